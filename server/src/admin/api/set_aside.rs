use crate::auth::Admin;
use crate::error::Result;
use crate::ids::{HostId, InstanceId, TenantId};
use crate::set_aside::{Aside, Filter, db};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// As many as an answer holds; the latest come first.
const MOST: i64 = 1000;

/// A report or a piece of work that failed and is tried again, while everything else goes on.
#[derive(Serialize, ToSchema)]
#[schema(as = SetAside)]
struct SetAsideView {
    /// What it is: `report`, `purge`, `account`, `invoice` and others.
    #[schema(example = "report")]
    kind: String,
    /// What it is about, as the platform names it among its own.
    subject: String,
    host_id: Option<HostId>,
    instance_id: Option<InstanceId>,
    tenant_id: Option<TenantId>,
    /// `constraint`, `busy`, `unreadable`, `refused`, `database` or `internal`.
    reason: String,
    detail: String,
    /// What could not be taken, as it came.
    document: Option<String>,
    failures: i32,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    last_at: OffsetDateTime,
    /// When the platform tries again by itself.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    next_at: OffsetDateTime,
}

impl From<Aside> for SetAsideView {
    fn from(aside: Aside) -> Self {
        Self {
            kind: aside.kind,
            subject: aside.subject,
            host_id: aside.host.map(|(id, _)| id),
            instance_id: aside.instance.map(|(id, _)| id),
            tenant_id: aside.tenant,
            reason: aside.reason,
            detail: aside.detail,
            document: aside.document,
            failures: aside.failures,
            first_at: aside.first_at,
            last_at: aside.last_at,
            next_at: aside.next_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SetAsideQuery {
    #[param(value_type = Option<String>)]
    host: Option<HostId>,
    #[param(value_type = Option<String>)]
    instance: Option<InstanceId>,
}

/// Failures that are set aside
///
/// Reports that could not be stored and work that could not be done, the latest first. Each is tried again after a growing
/// pause and disappears when it succeeds.
#[utoipa::path(get, path = "/api/v1/admin/set-aside", tag = "Administration: platform", params(SetAsideQuery),
    responses((status = 200, description = "At most a thousand.", body = Vec<SetAsideView>),
        (status = 422, description = "A malformed id.", body = Problem)))]
async fn list(
    State(app): State<App>,
    _: Admin,
    Query(SetAsideQuery { host, instance }): Query<SetAsideQuery>,
) -> Result<Json<Vec<SetAsideView>>> {
    let rows = db::list(app.db.platform(), Filter { host, instance }, MOST).await?;
    Ok(Json(rows.into_iter().map(SetAsideView::from).collect()))
}
