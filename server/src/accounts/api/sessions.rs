use crate::accounts::db::sessions::SessionRow;
use crate::accounts::sessions::{self, SessionKey};
use crate::auth::Actor;
use crate::error::Result;
use crate::state::App;
use crate::web::api::Refusals;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, end_all)).routes(routes!(end))
}

/// A browser in which the token's owner is signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    id: String,
    #[schema(value_type = Option<String>)]
    ip: Option<std::net::IpAddr>,
    user_agent: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_seen_at: OffsetDateTime,
    /// It ends by then at the latest, however often it is used; sooner after 14 days without a visit.
    #[serde(with = "time::serde::rfc3339")]
    ends_at: OffsetDateTime,
}

impl From<SessionRow> for SessionView {
    fn from(row: SessionRow) -> Self {
        Self {
            id: SessionKey(row.id_hash).to_string(),
            ip: row.ip,
            user_agent: row.user_agent,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            ends_at: row.ends_at,
        }
    }
}

/// List where one is signed in, the newest first
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(PageParams),
    responses((status = 200, body = Listed<SessionView>), Refusals))]
async fn list(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<SessionKey>,
) -> Result<Json<Listed<SessionView>>> {
    Ok(Json(sessions::list(&app, &actor, &paging).await?.map(SessionView::from)))
}

/// Sign out one browser
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 204), Refusals))]
async fn end(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<StatusCode> {
    sessions::end(&app, &actor, &id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EndAll {
    /// Revoke all API tokens of the person too, in every team, and so the one that asks.
    #[serde(default)]
    tokens: bool,
}

/// Sign out everywhere
#[utoipa::path(delete, path = "/api/v1/sessions", tag = "sessions", params(EndAll),
    responses((status = 204), Refusals))]
async fn end_all(State(app): State<App>, actor: Actor, query: Query<EndAll>) -> Result<StatusCode> {
    sessions::end_all(&app, &actor, None, query.tokens).await?;
    Ok(StatusCode::NO_CONTENT)
}
