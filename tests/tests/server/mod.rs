//! The server, on a real Postgres.

mod accounts;
mod agent_api;
mod frame;
mod instances;
