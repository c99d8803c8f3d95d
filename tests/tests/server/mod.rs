//! The server, on a real Postgres.

mod accounts;
mod frame;
