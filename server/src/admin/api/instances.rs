use crate::admin::db::instances::{self as db, Filter, InstanceRow};
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::{HostId, InstanceId, OperationId, TenantId};
use crate::instances::api::metrics::{MetricsBody, MetricsParams};
use crate::instances::{resize, samples};
use crate::plans::edit::policy_problems;
use crate::plans::schema;
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use jst_policy::instance::ResourcePolicy;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(set_policy))
        .routes(routes!(metrics))
}

/// An instance of any customer.
#[derive(Serialize, ToSchema)]
#[schema(as = AdminInstance)]
struct InstanceView {
    id: InstanceId,
    name: String,
    #[schema(example = "running")]
    state: String,
    /// What is wanted: `running` or `stopped`.
    power: String,
    tenant_id: TenantId,
    tenant_name: String,
    host_id: HostId,
    host_name: String,
    plan: String,
    image: String,
    #[schema(value_type = schema::ResourcePolicy)]
    policy: ResourcePolicy,
    #[schema(value_type = Vec<String>)]
    addresses: Vec<IpAddr>,
    /// Fields that are in force only after a restart.
    restart_required: Vec<String>,
    /// Fields in which the host differs from what is wanted.
    drift: Vec<String>,
    lock_reason: Option<String>,
    /// What of its memory is merged with equal pages of any guest, in MiB; absent while nothing was measured.
    memory_merged_mib: Option<i64>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
}

impl From<InstanceRow> for InstanceView {
    fn from(row: InstanceRow) -> Self {
        Self {
            addresses: row.ips(),
            id: row.id,
            name: row.name,
            state: row.state,
            power: row.power,
            tenant_id: row.tenant_id,
            tenant_name: row.tenant_name,
            host_id: row.host_id,
            host_name: row.host_name,
            plan: row.plan_slug,
            image: row.image_slug,
            policy: row.policy.0,
            restart_required: row.restart_required,
            drift: row.drift,
            lock_reason: row.lock_reason,
            memory_merged_mib: row.memory_merged_mib,
            deleted_at: row.deleted_at,
            created_at: row.created_at,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InstanceQuery {
    /// Part of a name, host name or customer's name; or an address or identifier.
    #[serde(default)]
    search: String,
    /// `running`, `stopped`, `failed` …
    #[serde(default)]
    state: String,
    #[param(value_type = Option<String>)]
    host: Option<HostId>,
    #[param(value_type = Option<String>)]
    customer: Option<TenantId>,
    /// Only those with drift or a restart outstanding.
    #[serde(default)]
    attention: bool,
}

/// All instances
#[utoipa::path(get, path = "/api/v1/admin/instances", tag = "Administration: instances",
    params(InstanceQuery, PageParams), responses((status = 200, body = Listed<InstanceView>)))]
async fn list(
    State(app): State<App>,
    _: Admin,
    Query(query): Query<InstanceQuery>,
    paging: Paging<InstanceId>,
) -> Result<Json<Listed<InstanceView>>> {
    let filter = Filter {
        search: query.search.trim(),
        state: &query.state,
        host: query.host,
        tenant: query.customer,
        attention: query.attention,
    };
    let rows = db::list(app.db.platform(), &filter, paging.after, paging.fetch()).await?;
    Ok(Json(Listed::new(rows, &paging, |row| row.id.to_string()).map(InstanceView::from)))
}

/// One instance
#[utoipa::path(get, path = "/api/v1/admin/instances/{id}", tag = "Administration: instances", params(("id" = InstanceId, Path, description = "`vm_…`")),
    responses((status = 200, body = InstanceView), (status = 404, description = "There is no such instance.", body = Problem)))]
async fn show(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<InstanceView>> {
    let row = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    Ok(Json(row.into()))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PolicyChange {
    #[serde(deserialize_with = "schema::strict")]
    #[schema(value_type = schema::ResourcePolicy)]
    policy: ResourcePolicy,
}

#[derive(Serialize, ToSchema)]
struct PolicyAccepted {
    /// Ask for it until its state is `succeeded` or `failed`.
    operation_id: OperationId,
}

/// Give an instance a policy of its own
///
/// Within its plan, for this instance only, and without regard to quotas. What can change while the guest runs is in
/// force at once; the rest waits for a restart. The host must have room, and a disk never shrinks.
#[utoipa::path(put, path = "/api/v1/admin/instances/{id}/policy", tag = "Administration: instances", params(("id" = InstanceId, Path, description = "`vm_…`")), request_body = PolicyChange,
    responses((status = 202, body = PolicyAccepted), (status = 404, description = "There is no such instance.", body = Problem),
        (status = 409, description = "The host has no room for it, or cannot do it.", body = Problem),
        (status = 422, description = "A field of the policy is wrong.", body = Problem)))]
async fn set_policy(
    State(app): State<App>,
    admin: Admin,
    Path(id): Path<String>,
    Json(PolicyChange { policy }): Json<PolicyChange>,
) -> Result<(StatusCode, Json<PolicyAccepted>)> {
    let problems = policy_problems("policy", &policy);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let operation = resize::set_policy(&app, &admin, id.parse()?, policy).await?;
    Ok((StatusCode::ACCEPTED, Json(PolicyAccepted { operation_id: operation.id })))
}

/// What an instance used over time
///
/// The same as its owner sees.
#[utoipa::path(get, path = "/api/v1/admin/instances/{id}/metrics", tag = "Administration: instances", params(("id" = InstanceId, Path, description = "`vm_…`"), MetricsParams),
    responses((status = 200, body = MetricsBody), (status = 404, description = "There is no such instance.", body = Problem),
        (status = 422, description = "There is no such range.", body = Problem)))]
async fn metrics(
    State(app): State<App>,
    admin: Admin,
    Path(id): Path<String>,
    Query(params): Query<MetricsParams>,
) -> Result<Json<MetricsBody>> {
    let (instance, history) = samples::history_of_any(&app, &admin, id.parse()?, params.range()?).await?;
    Ok(Json(MetricsBody::new(&instance, &history)))
}
