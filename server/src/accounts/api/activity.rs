use crate::accounts::activity;
use crate::accounts::db::activity::EventRow;
use crate::auth::Actor;
use crate::error::Result;
use crate::state::App;
use crate::web::api::Refusals;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::State;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// One thing that happened in the tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
struct EventView {
    id: i64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// `user`, `token`, `host` or `system`.
    actor_kind: String,
    /// Absent where it is a colleague's address, which viewers are not told; in `data` it is null.
    actor: Option<String>,
    /// `ssh_key.created`, `instance.resized` …
    action: String,
    subject_kind: String,
    subject_id: String,
    /// Facts, or `{"field": {"from": …, "to": …}}`.
    data: serde_json::Value,
}

impl From<EventRow> for EventView {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            at: row.at,
            actor_kind: row.actor_kind,
            actor: row.actor,
            action: row.action,
            subject_kind: row.subject_kind,
            subject_id: row.subject_id,
            data: row.data,
        }
    }
}

/// List what happened, the newest first
#[utoipa::path(get, path = "/api/v1/activity", tag = "activity", params(PageParams),
    responses((status = 200, body = Listed<EventView>), Refusals))]
async fn list(State(app): State<App>, actor: Actor, paging: Paging<i64>) -> Result<Json<Listed<EventView>>> {
    Ok(Json(activity::list(&app, &actor, &paging).await?.map(EventView::from)))
}
