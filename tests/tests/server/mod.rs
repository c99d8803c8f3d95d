//! The server, on a real Postgres.

mod accounts;
mod agent_api;
mod api_frame;
mod frame;
mod instances;
mod keys_and_tokens;
mod mail;
mod second_factor;
mod team;
