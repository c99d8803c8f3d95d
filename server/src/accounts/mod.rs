pub mod api;
pub mod web;
pub async fn create_admin(_app: &crate::state::App, _email: &str, _password: &str) -> anyhow::Result<String> {
    anyhow::bail!("soon")
}
