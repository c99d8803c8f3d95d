use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::PlanId;
use crate::plans::api::{PlanList, PlanView};
use crate::plans::db;
use crate::plans::edit::{self, PlanInput};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, retire))
        .routes(routes!(restore))
}

/// All plans
#[utoipa::path(get, path = "/api/v1/admin/plans", tag = "Administration: catalogue",
    responses((status = 200, description = "Every plan, retired ones last.", body = PlanList)))]
async fn list(State(app): State<App>, _: Admin) -> Result<Json<PlanList>> {
    let plans = db::list_all(app.db.platform()).await?;
    Ok(Json(PlanList { items: plans.into_iter().map(PlanView::from).collect() }))
}

/// Create a plan
#[utoipa::path(post, path = "/api/v1/admin/plans", tag = "Administration: catalogue",
    request_body = PlanInput,
    responses((status = 201, body = PlanView),
        (status = 422, description = "A field is wrong; `errors` names each.", body = Problem)))]
async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    Json(input): Json<PlanInput>,
) -> Result<(StatusCode, Json<PlanView>)> {
    Ok((StatusCode::CREATED, Json(edit::create(&app, &actor, &input).await?.into())))
}

/// One plan
#[utoipa::path(get, path = "/api/v1/admin/plans/{id}", tag = "Administration: catalogue",
    params(("id" = PlanId, Path, description = "`plan_…`")),
    responses((status = 200, body = PlanView), (status = 404, description = "There is no such plan.", body = Problem)))]
async fn show(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<PlanView>> {
    let plan = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    Ok(Json(plan.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Seen {
    /// The version that the change was made upon: where another change came first, it is refused.
    version: Option<i32>,
}

/// Replace a plan
///
/// Makes the next version. Instances keep the policy of the version they were moved to.
#[utoipa::path(put, path = "/api/v1/admin/plans/{id}", tag = "Administration: catalogue",
    params(("id" = PlanId, Path, description = "`plan_…`"), Seen), request_body = PlanInput,
    responses((status = 200, body = PlanView), (status = 404, description = "There is no such plan.", body = Problem),
        (status = 409, description = "It was changed meanwhile.", body = Problem),
        (status = 422, description = "A field is wrong; `errors` names each.", body = Problem)))]
async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Query(Seen { version }): Query<Seen>,
    Json(input): Json<PlanInput>,
) -> Result<Json<PlanView>> {
    Ok(Json(edit::update(&app, &actor, id.parse()?, version, &input).await?.into()))
}

/// Retire a plan
///
/// It is offered to nobody any more; instances that have it keep it.
#[utoipa::path(delete, path = "/api/v1/admin/plans/{id}", tag = "Administration: catalogue",
    params(("id" = PlanId, Path, description = "`plan_…`")),
    responses((status = 200, body = PlanView), (status = 404, description = "There is no such plan.", body = Problem)))]
async fn retire(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<PlanView>> {
    Ok(Json(edit::set_retired(&app, &actor, id.parse()?, true).await?.into()))
}

/// Offer a retired plan again
#[utoipa::path(post, path = "/api/v1/admin/plans/{id}/restore", tag = "Administration: catalogue", params(("id" = PlanId, Path, description = "`plan_…`")),
    responses((status = 200, body = PlanView), (status = 404, description = "There is no such plan.", body = Problem)))]
async fn restore(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<PlanView>> {
    Ok(Json(edit::set_retired(&app, &actor, id.parse()?, false).await?.into()))
}
