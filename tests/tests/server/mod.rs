//! The server, on a real Postgres.

mod accounts;
mod acting;
mod admin;
mod agent_api;
mod announcements;
mod api_frame;
mod billing;
mod billing_systems;
mod catalogue;
mod cli;
mod consoles;
mod frame;
mod hosts;
mod image_imports;
mod input;
mod instances;
mod keys_and_tokens;
mod mail;
mod notifications;
mod passkeys;
mod payments;
mod probe;
mod second_factor;
mod team;
mod webhooks;
