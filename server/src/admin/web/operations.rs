//! Operations of all customers: what runs, what failed and why.

use super::{next_href, state_kind, word};
use crate::admin::db::operations::{self as db, OperationRow};
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::OperationId;
use crate::instances::oversee;
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
        .route("/admin/operations", get(list))
        .route("/admin/operations/{id}/retry", post(retry))
        .route("/admin/operations/{id}/cancel", post(cancel))
}

const FILTERS: [&str; 6] = ["open", "late", "failed", "succeeded", "cancelled", "pending"];

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    state: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/operations.html")]
struct ListPage {
    page: Page,
    rows: Vec<OperationRow>,
    filters: Vec<(&'static str, String)>,
    state: String,
    next: String,
}

impl ListPage {
    fn kind(&self, row: &OperationRow) -> &'static str {
        match (row.late, row.state.as_str()) {
            (true, _) => "attention",
            (_, "running") => "working",
            (_, state) => state_kind(state),
        }
    }

    fn word(&self, group: &str, code: &str) -> String {
        word(&self.page, group, code)
    }

    fn open(&self, row: &OperationRow) -> bool {
        matches!(row.state.as_str(), "pending" | "running")
    }

    /// Whether it is a wish that can be taken back.
    fn cancellable(&self, row: &OperationRow) -> bool {
        self.open(row) && matches!(row.kind.as_str(), "start" | "shutdown" | "power_off" | "reboot")
    }
}

async fn list(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Query(Wanted { state }): Query<Wanted>,
    paging: Paging<OperationId>,
) -> Result<ListPage> {
    let rows = db::list(app.db.platform(), &state, None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |row| row.id.to_string());
    let next = next_href("/admin/operations", &[("state", &state)], &listed);
    let filters = FILTERS.into_iter().map(|code| (code, word(&page, "opstate", code))).collect();
    Ok(ListPage { page, rows: listed.items, filters, state, next })
}

async fn retry(State(app): State<App>, admin: Admin, Path(id): Path<String>) -> Result<Response> {
    let done = oversee::retry(&app, &admin, id.parse()?).await;
    answer(done.map(|_| ()), "operation-retried")
}

async fn cancel(State(app): State<App>, admin: Admin, Path(id): Path<String>) -> Result<Response> {
    answer(oversee::cancel(&app, &admin, id.parse()?).await, "operation-cancelled")
}

/// Back to the list, which says what became of it: it may have moved on since the page was made.
fn answer(done: Result<()>, key: &'static str) -> Result<Response> {
    match done {
        Ok(()) => Ok(flash::redirect("/admin/operations", key)),
        Err(Error::Refused { code, .. }) => Ok(flash::redirect_refused("/admin/operations", code, "")),
        Err(error) => Err(error),
    }
}
