//! The API of accounts.

mod account;
mod activity;
mod sessions;
mod ssh_keys;
mod team;
mod tokens;

use crate::state::App;
use utoipa_axum::router::OpenApiRouter;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(account::routes())
        .merge(ssh_keys::routes())
        .merge(tokens::routes())
        .merge(team::routes())
        .merge(sessions::routes())
        .merge(activity::routes())
}
