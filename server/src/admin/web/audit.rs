//! The audit log: who did what to what, and what changed.

use super::next_href;
use crate::admin::db::audit::{self as db, EventRow, Filter};
use crate::auth::Admin;
use crate::error::Result;
use crate::ids::TenantId;
use crate::state::App;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

pub fn routes() -> Router<App> {
    Router::new().route("/admin/audit", get(list))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    customer: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/audit.html")]
struct ListPage {
    page: Page,
    rows: Vec<EventRow>,
    wanted: Wanted,
    next: String,
}

impl ListPage {
    /// What changed, field by field; facts have no former value.
    fn facts(&self, event: &EventRow) -> Vec<(String, Option<String>, String)> {
        let Some(fields) = event.data.as_object() else { return Vec::new() };
        fields
            .iter()
            .map(|(field, value)| match (value.get("from"), value.get("to")) {
                (Some(from), Some(to)) => (field.clone(), Some(text(from)), text(to)),
                _ => (field.clone(), None, text(value)),
            })
            .collect()
    }
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // A whole policy or user data in a table cell helps nobody; the API has all of it.
    if text.chars().count() > 120 { text.chars().take(120).chain(['…']).collect() } else { text }
}

async fn list(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Query(wanted): Query<Wanted>,
    paging: Paging<i64>,
) -> Result<ListPage> {
    let customer = Some(wanted.customer.as_str()).filter(|customer| !customer.is_empty());
    let filter = Filter {
        actor: wanted.actor.trim(),
        action: wanted.action.trim(),
        subject: wanted.subject.trim(),
        tenant: customer.map(str::parse::<TenantId>).transpose()?,
    };
    let rows = db::list(app.db.platform(), &filter, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |row| row.id.to_string());
    let filters = [
        ("actor", wanted.actor.as_str()),
        ("action", wanted.action.as_str()),
        ("subject", wanted.subject.as_str()),
        ("customer", wanted.customer.as_str()),
    ];
    let next = next_href("/admin/audit", &filters, &listed);
    Ok(ListPage { page, rows: listed.items, wanted, next })
}
