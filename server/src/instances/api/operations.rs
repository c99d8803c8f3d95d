use super::schema::OperationBody;
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::ids::{InstanceId, OperationId};
use crate::instances::operations;
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Operations of this instance only.
    instance: Option<String>,
}

/// Operations, newest first.
#[utoipa::path(get, path = "/api/v1/operations", tag = "operations", params(PageParams, ListParams), responses(
    (status = 200, body = Listed<OperationBody>),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
))]
async fn list(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<OperationId>,
    Query(params): Query<ListParams>,
) -> Result<Json<Listed<OperationBody>>> {
    let instance = match params.instance.as_deref().map(str::parse::<InstanceId>) {
        None => None,
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => return Err(Error::invalid("instance", "choice")),
    };
    let rows = operations::list(&app, &actor, instance, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |operation| operation.id.to_string());
    Ok(Json(listed.map(OperationBody::from)))
}

/// One operation: ask for it again until its state is `succeeded`, `failed` or `cancelled`.
#[utoipa::path(get, path = "/api/v1/operations/{id}", tag = "operations",
    params(("id" = OperationId, Path)), responses(
    (status = 200, body = OperationBody),
    (status = 401, body = Problem), (status = 404, body = Problem),
))]
async fn get(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Json<OperationBody>> {
    Ok(Json(operations::get(&app, &actor, id.parse()?).await?.into()))
}
