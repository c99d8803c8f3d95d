//! The SQL of accounts, a file a concern.
//!
//! What belongs to a person (password, sessions, second factor) runs as the platform, with the
//! person in every query; what belongs to a tenant runs in a transaction of that tenant.

pub mod activity;
pub mod credentials;
pub mod invitations;
pub mod members;
pub mod notifications;
pub mod passkeys;
pub mod sessions;
pub mod sign_in_links;
pub mod ssh_keys;
pub mod tokens;
pub mod unconfirmed;
pub mod users;
