//! The central server: portal, administration, API and control plane of the platform.
//!
//! Floors; imports only go down: main → router → agent_api, admin, worker → billing_systems → billing, consoles,
//! webhooks → instances →
//! hosts, plans, images, networks, accounts → auth, web, events, mail.

pub mod accounts;
pub mod admin;
pub mod agent_api;
pub mod announcements;
pub mod auth;
pub mod billing;
pub mod billing_systems;
pub mod ca;
pub mod config;
pub mod consoles;
pub mod db;
pub mod embedded_postgres;
pub mod error;
pub mod events;
pub mod help;
pub mod hosts;
pub mod ids;
pub mod images;
pub mod instances;
pub mod landing;
pub mod mail;
pub mod metrics;
pub mod name;
pub mod networks;
pub mod outbound;
pub mod plans;
pub mod router;
pub mod search;
pub mod secrets;
pub mod server;
pub mod set_aside;
pub mod settings;
pub mod state;
pub mod trials;
pub mod typed;
pub mod web;
pub mod webhooks;
pub mod worker;
