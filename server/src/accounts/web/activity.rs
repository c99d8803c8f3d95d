//! What happened in the tenant.

use super::next_href;
use crate::accounts::activity;
use crate::auth::Actor;
use crate::error::Result;
use crate::state::App;
use crate::web::page::Page;
use crate::web::paging::Paging;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use time::OffsetDateTime;

pub fn routes() -> Router<App> {
    Router::new().route("/activity", get(show))
}

struct EventView {
    kind: &'static str,
    sentence: String,
    /// Who, and from where.
    by: String,
    at: OffsetDateTime,
}

#[derive(Template, WebTemplate)]
#[template(path = "accounts/activity.html")]
struct ActivityPage {
    page: Page,
    events: Vec<EventView>,
    next: String,
    first: bool,
}

async fn show(State(app): State<App>, page: Page, actor: Actor, paging: Paging<i64>) -> Result<ActivityPage> {
    let list = activity::list(&app, &actor, &paging).await?;
    let next = next_href("/activity", &list);
    let events = list.items.iter().map(|event| EventView {
        kind: kind(&event.action),
        sentence: activity::sentence(event, page.language),
        by: match (activity::by(event, page.language), event.ip) {
            (label, Some(ip)) => format!("{label} · {ip}"),
            (label, None) => label,
        },
        at: event.at,
    });
    let events = events.collect();
    Ok(ActivityPage { events, next, first: paging.after.is_none(), page })
}

/// The mark beside an event.
fn kind(action: &str) -> &'static str {
    match action.rsplit('.').next().unwrap_or("") {
        end if end.contains("failed") => "failed",
        end if end.contains("refused") || end.contains("overdue") || end.contains("drift") => "attention",
        end if ["deleted", "revoked", "removed", "stopped", "ended"]
            .iter()
            .any(|word| end.contains(word)) =>
        {
            "stopped"
        }
        _ => "running",
    }
}
