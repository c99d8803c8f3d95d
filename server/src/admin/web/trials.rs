//! Free trials, and who was refused one and why.

use super::{next_href, state_kind, word};
use crate::admin::db::audit::{self, EventRow};
use crate::admin::db::trials::{self as db, TrialRow};
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::TrialId;
use crate::state::App;
use crate::trials::appeals;
use crate::trials::db::Appeal;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/trials", get(list))
        .route("/admin/trials/appeals/{id}/{decision}", post(decide))
}

/// Refusals on the page; the audit log has all of them.
const REFUSALS: i64 = 20;

#[derive(Template, WebTemplate)]
#[template(path = "admin/trials.html")]
struct ListPage {
    page: Page,
    rows: Vec<TrialRow>,
    refusals: Vec<EventRow>,
    appeals: Vec<Appeal>,
    next: String,
}

impl ListPage {
    fn kind(&self, row: &TrialRow) -> &'static str {
        state_kind(row.state())
    }

    fn word(&self, row: &TrialRow) -> String {
        word(&self.page, "trial", row.state())
    }

    fn reason(&self, event: &EventRow) -> String {
        let reason = event.data["reason"].as_str().unwrap_or_default();
        word(&self.page, "trial-refused", reason)
    }

    fn why(&self, appeal: &Appeal) -> String {
        word(&self.page, "trial-refused", &appeal.reason)
    }
}

async fn list(State(app): State<App>, _: Admin, page: Page, paging: Paging<TrialId>) -> Result<ListPage> {
    let pool = app.db.platform();
    let rows = db::list(pool, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |row| row.id.to_string());
    let next = next_href("/admin/trials", &[], &listed);
    let filter = audit::Filter { action: "trial.refused", ..Default::default() };
    let refusals = audit::list(pool, &filter, None, REFUSALS).await?;
    let appeals = appeals::waiting(&app).await?;
    Ok(ListPage { page, rows: listed.items, refusals, appeals, next })
}

async fn decide(
    State(app): State<App>,
    Admin(actor): Admin,
    Path((id, decision)): Path<(String, String)>,
) -> Result<Response> {
    let grant = match decision.as_str() {
        "grant" => true,
        "decline" => false,
        _ => return Err(Error::NotFound),
    };
    appeals::decide(&app, &actor, id.parse()?, grant).await?;
    Ok(flash::redirect("/admin/trials", if grant { "appeal-granted" } else { "appeal-declined" }))
}
