//! The server, on a real Postgres.

mod accounts;
mod admin;
mod agent_api;
mod api_frame;
mod billing;
mod catalogue;
mod frame;
mod hosts;
mod instances;
mod keys_and_tokens;
mod mail;
mod second_factor;
mod team;
