use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::{HostId, PoolId};
use crate::networks::{self, Pool, PoolInput, db};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, update, delete))
}

/// A pool of public addresses.
#[derive(Serialize, ToSchema)]
#[schema(as = Pool)]
struct PoolView {
    id: PoolId,
    name: String,
    #[schema(example = "203.0.113.0/24")]
    network: String,
    #[schema(value_type = Vec<String>)]
    excluded: Vec<IpAddr>,
    #[schema(value_type = Vec<String>)]
    nameservers: Vec<IpAddr>,
    host_id: Option<HostId>,
    enabled: bool,
    used: i64,
    /// How many addresses can be booked in all; absent where they cannot be counted in 64 bits.
    usable: Option<u64>,
}

impl From<Pool> for PoolView {
    fn from(pool: Pool) -> Self {
        Self {
            usable: pool.usable(),
            id: pool.id,
            name: pool.name,
            network: pool.network.to_string(),
            excluded: pool.excluded,
            nameservers: pool.nameservers,
            host_id: pool.host_id,
            enabled: pool.enabled,
            used: pool.used,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct PoolList {
    items: Vec<PoolView>,
}

/// All address pools
#[utoipa::path(get, path = "/api/v1/admin/pools", tag = "Administration: networks",
    responses((status = 200, body = PoolList)))]
async fn list(State(app): State<App>, _: Admin) -> Result<Json<PoolList>> {
    let pools = db::list(app.db.platform()).await?;
    Ok(Json(PoolList { items: pools.into_iter().map(PoolView::from).collect() }))
}

/// Create an address pool
#[utoipa::path(post, path = "/api/v1/admin/pools", tag = "Administration: networks",
    request_body = PoolInput,
    responses((status = 201, body = PoolView),
        (status = 422, description = "A field is wrong, or the network overlaps that of another pool.", body = Problem)))]
async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    Json(input): Json<PoolInput>,
) -> Result<(StatusCode, Json<PoolView>)> {
    Ok((StatusCode::CREATED, Json(networks::create(&app, &actor, &input).await?.into())))
}

/// One address pool
#[utoipa::path(get, path = "/api/v1/admin/pools/{id}", tag = "Administration: networks",
    params(("id" = PoolId, Path, description = "`pool_…`")),
    responses((status = 200, body = PoolView), (status = 404, description = "There is no such pool.", body = Problem)))]
async fn show(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<PoolView>> {
    let pool = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    Ok(Json(pool.into()))
}

/// Replace an address pool
///
/// A pool with booked addresses keeps its network.
#[utoipa::path(put, path = "/api/v1/admin/pools/{id}", tag = "Administration: networks",
    params(("id" = PoolId, Path, description = "`pool_…`")), request_body = PoolInput,
    responses((status = 200, body = PoolView), (status = 404, description = "There is no such pool.", body = Problem),
        (status = 422, description = "A field is wrong, or the network overlaps that of another pool.", body = Problem)))]
async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(input): Json<PoolInput>,
) -> Result<Json<PoolView>> {
    Ok(Json(networks::update(&app, &actor, id.parse()?, &input).await?.into()))
}

/// Delete an address pool
#[utoipa::path(delete, path = "/api/v1/admin/pools/{id}", tag = "Administration: networks",
    params(("id" = PoolId, Path, description = "`pool_…`")),
    responses((status = 204, description = "It is gone."), (status = 404, description = "There is no such pool.", body = Problem),
        (status = 409, description = "Addresses of it are booked.", body = Problem)))]
async fn delete(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<StatusCode> {
    networks::delete(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
