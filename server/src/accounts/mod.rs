//! People, their teams, and what they sign in with.

pub mod api;
pub mod email;
pub mod web;

pub use email::mailbox;

pub async fn create_admin(_app: &crate::state::App, _email: &str, _password: &str) -> anyhow::Result<String> {
    anyhow::bail!("soon")
}
