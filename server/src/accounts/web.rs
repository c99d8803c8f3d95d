//! The pages of accounts.

mod activity;
mod notifications;
mod passkeys;
mod recovery;
mod security;
mod sign_in;
mod sign_up;
mod ssh_keys;
mod team;
mod tokens;
mod two_factor;

use crate::error::{Error, FieldError, Result};
use crate::state::App;
use crate::web::paging::Listed;
use axum::Router;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .merge(sign_up::routes())
        .merge(sign_in::routes())
        .merge(recovery::routes())
        .merge(security::routes())
        .merge(two_factor::routes())
        .merge(passkeys::routes())
        .merge(notifications::routes())
        .merge(team::routes())
        .merge(ssh_keys::routes())
        .merge(tokens::routes())
        .merge(activity::routes())
}

/// What the pages behind a mail's link get.
#[derive(Default, Deserialize)]
pub struct LinkQuery {
    #[serde(default)]
    pub token: String,
}

/// Errors at fields are shown in the form again; everything else has a page of its own.
fn field_errors(error: Error) -> Result<Vec<FieldError>> {
    match error {
        Error::Invalid(errors) => Ok(errors),
        other => Err(other),
    }
}

/// The link to the next part of a list, or "".
fn next_href<T>(path: &str, list: &Listed<T>) -> String {
    list.next_cursor.as_ref().map_or(String::new(), |cursor| format!("{path}?cursor={cursor}"))
}
