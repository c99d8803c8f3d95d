//! The outbox, with bodies that lack what opens something.

use super::{next_href, state_kind, word};
use crate::admin::db::mail::{self as db, MailRow};
use crate::admin::mail;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::MailId;
use crate::state::App;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/mail", get(list))
        .route("/admin/mail/{id}", get(show))
        .route("/admin/mail/{id}/retry", post(retry))
}

const STATES: [&str; 3] = ["waiting", "sent", "abandoned"];

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    state: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/mails.html")]
struct ListPage {
    page: Page,
    rows: Vec<MailRow>,
    states: Vec<(&'static str, String)>,
    search: String,
    state: String,
    next: String,
    /// Without a mail server mails stay here.
    delivers: bool,
}

impl ListPage {
    fn kind(&self, row: &MailRow) -> &'static str {
        state_kind(row.state())
    }

    fn word(&self, row: &MailRow) -> String {
        word(&self.page, "mail", row.state())
    }
}

async fn list(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Query(Wanted { search, state }): Query<Wanted>,
    paging: Paging<MailId>,
) -> Result<ListPage> {
    let rows = db::list(app.db.platform(), search.trim(), &state, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |row| row.id.to_string());
    let next = next_href("/admin/mail", &[("search", &search), ("state", &state)], &listed);
    let states = STATES.into_iter().map(|code| (code, word(&page, "mail", code))).collect();
    let delivers = app.config.smtp_url.is_some();
    Ok(ListPage { page, rows: listed.items, states, search, state, next, delivers })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/mail.html")]
struct MailPage {
    page: Page,
    mail: MailRow,
    /// Without what opens something; absent once it was removed.
    body: Option<String>,
    kind: &'static str,
    word: String,
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<MailPage> {
    let row = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    let (kind, word) = (state_kind(row.state()), word(&page, "mail", row.state()));
    let body = mail::shown(&app, &row)?;
    Ok(MailPage { page, mail: row, body, kind, word })
}

async fn retry(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<Response> {
    mail::retry(&app, &actor, id.parse()?).await?;
    Ok(flash::redirect(&format!("/admin/mail/{id}"), "mail-retried"))
}
