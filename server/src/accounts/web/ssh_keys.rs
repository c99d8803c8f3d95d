//! The list of SSH keys, with the form that adds one.

use super::{field_errors, next_href};
use crate::accounts::db::ssh_keys::SshKey;
use crate::accounts::ssh_keys;
use crate::auth::{Actor, Portal};
use crate::error::{FieldError, Result};
use crate::ids::SshKeyId;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::Paging;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/ssh-keys", get(show).post(add)).route("/ssh-keys/{id}/delete", post(delete))
}

#[derive(Default, Deserialize)]
struct KeyForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    public_key: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/ssh_keys.html")]
struct KeysPage {
    page: Page,
    actor: Actor,
    keys: Vec<SshKey>,
    next: String,
    form: KeyForm,
    errors: Vec<FieldError>,
}

async fn show(
    State(app): State<App>,
    page: Page,
    Portal(actor): Portal,
    paging: Paging<SshKeyId>,
) -> Result<KeysPage> {
    let list = ssh_keys::list(&app, &actor, &paging).await?;
    let next = next_href("/ssh-keys", &list);
    Ok(KeysPage { page, actor, keys: list.items, next, form: KeyForm::default(), errors: Vec::new() })
}

async fn add(
    State(app): State<App>,
    page: Page,
    Portal(actor): Portal,
    Form(form): Form<KeyForm>,
) -> Result<Response> {
    match ssh_keys::add(&app, &actor, &form.name, &form.public_key).await {
        Ok(key) => Ok(flash::redirect_with("/ssh-keys", "ssh-key-added", &key.name)),
        Err(error) => {
            let errors = field_errors(error)?;
            let list = ssh_keys::list(&app, &actor, &Paging::default()).await?;
            let next = next_href("/ssh-keys", &list);
            // A private key that was pasted by mistake does not come back on the page.
            let form = if errors.iter().any(|error| error.code == "ssh-key-private") {
                KeyForm { public_key: String::new(), ..form }
            } else {
                form
            };
            let page = KeysPage { page, actor, keys: list.items, next, form, errors };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

async fn delete(State(app): State<App>, Portal(actor): Portal, Path(id): Path<String>) -> Result<Response> {
    ssh_keys::delete(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect("/ssh-keys", "ssh-key-deleted"))
}
