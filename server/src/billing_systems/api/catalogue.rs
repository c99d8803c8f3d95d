use super::schema::{PingBody, StockBody, UsageBody};
use crate::auth::billing_system::{BillingSystem, Scope};
use crate::billing_systems::{db, stock};
use crate::error::{Error, Result};
use crate::ids::ServiceId;
use crate::images::api::{ImageList, ImageView};
use crate::plans::api::{PlanList, PlanView};
use crate::state::App;
use crate::web::api::Refusals;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Query, State};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ping))
        .routes(routes!(plans))
        .routes(routes!(images))
        .routes(routes!(stock_of))
        .routes(routes!(usage))
}

/// Who am I here
///
/// For the button that tests a connection.
#[utoipa::path(get, path = "/billing/v1/ping", tag = "Catalogue", responses((status = 200, body = PingBody)))]
async fn ping(system: BillingSystem) -> Json<PingBody> {
    Json(PingBody { system: system.name, scopes: system.scopes })
}

/// The plans that can be sold
///
/// Also those that the portal does not offer; trials are not among them.
#[utoipa::path(get, path = "/billing/v1/plans", tag = "Catalogue", responses((status = 200, body = PlanList), Refusals))]
async fn plans(State(app): State<App>, system: BillingSystem) -> Result<Json<PlanList>> {
    system.may(Scope::Read)?;
    let all = crate::plans::db::list_all(app.db.platform()).await?;
    let sold = all.into_iter().filter(|plan| !plan.retired && !plan.trial_only());
    Ok(Json(PlanList { items: sold.map(PlanView::from).collect() }))
}

/// The images that instances start from
#[utoipa::path(get, path = "/billing/v1/images", tag = "Catalogue", responses((status = 200, body = ImageList), Refusals))]
async fn images(State(app): State<App>, system: BillingSystem) -> Result<Json<ImageList>> {
    system.may(Scope::Read)?;
    let all = crate::images::db::list_all(app.db.platform()).await?;
    let usable = all.into_iter().filter(|image| !image.retired);
    Ok(Json(ImageList { items: usable.map(ImageView::from).collect() }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StockParams {
    /// Slug or id.
    #[serde(default)]
    plan: String,
}

/// How many more of a plan there is room for
#[utoipa::path(get, path = "/billing/v1/stock", tag = "Catalogue", params(StockParams),
    responses((status = 200, body = StockBody), Refusals))]
async fn stock_of(
    State(app): State<App>,
    system: BillingSystem,
    Query(params): Query<StockParams>,
) -> Result<Json<StockBody>> {
    system.may(Scope::Read)?;
    Ok(Json(StockBody { available: stock::of(&app, &params.plan).await? }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UsageParams {
    /// RFC 3339, in UTC: `2026-07-01T00:00:00Z`.
    #[serde(default)]
    since: String,
}

/// What all services used since then
///
/// The newest service first, terminated ones too.
#[utoipa::path(get, path = "/billing/v1/usage", tag = "Services", params(UsageParams, PageParams),
    responses((status = 200, body = Listed<UsageBody>), Refusals))]
async fn usage(
    State(app): State<App>,
    system: BillingSystem,
    paging: Paging<ServiceId>,
    Query(params): Query<UsageParams>,
) -> Result<Json<Listed<UsageBody>>> {
    system.may(Scope::Read)?;
    let since = params.since.trim();
    let since = OffsetDateTime::parse(since, &Rfc3339)
        .map_err(|_| Error::invalid("since", if since.is_empty() { "required" } else { "time" }))?;
    let rows = db::usage::list(app.db.platform(), system.id, since, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |row| row.id.to_string());
    Ok(Json(listed.map(UsageBody::from)))
}
