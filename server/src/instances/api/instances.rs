use super::schema::{
    CreateBody, FirewallBody, InstanceBody, OperationBody, PatchBody, RenameBody, UsageBody,
};
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::ids::InstanceId;
use crate::instances::create::{self, NewInstance};
use crate::instances::delete::{self, When};
use crate::instances::{change, view};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, remove))
        .routes(routes!(rename))
        .routes(routes!(set_firewall))
        .routes(routes!(usage))
}

/// An accepted change: what is desired is written, and the host makes it so.
pub type Accepted = (StatusCode, Json<OperationBody>);

/// Your instances, newest first.
#[utoipa::path(get, path = "/api/v1/instances", tag = "instances", params(PageParams), responses(
    (status = 200, body = Listed<InstanceBody>),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 422, body = Problem),
))]
async fn list(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<InstanceId>,
) -> Result<Json<Listed<InstanceBody>>> {
    Ok(Json(view::list(&app, &actor, &paging).await?.map(InstanceBody::from)))
}

/// Creates an instance.
///
/// The answer comes at once, with the operation to wait for; addresses are booked already.
#[utoipa::path(post, path = "/api/v1/instances", tag = "instances", params(IdempotencyParams),
    request_body = CreateBody, responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem),
    (status = 403, description = "Not confirmed, suspended, over quota, or no trial any more", body = Problem),
    (status = 409, description = "No host has room at the moment", body = Problem),
    (status = 422, body = Problem),
))]
async fn create(State(app): State<App>, actor: Actor, Json(body): Json<CreateBody>) -> Result<Accepted> {
    let new = NewInstance {
        plan: body.plan,
        image: body.image,
        name: body.name,
        hostname: body.hostname.unwrap_or_default(),
        ssh_keys: body.ssh_keys,
        user_data: body.user_data.unwrap_or_default(),
        trial: body.trial,
        sold: None,
    };
    let operation = create::create(&app, &actor, new).await?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}

/// One instance.
#[utoipa::path(get, path = "/api/v1/instances/{id}", tag = "instances",
    params(("id" = InstanceId, Path)), responses(
    (status = 200, body = InstanceBody),
    (status = 401, body = Problem), (status = 404, body = Problem),
))]
async fn get(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Json<InstanceBody>> {
    Ok(Json(view::one(&app, &actor, id.parse()?).await?.into()))
}

/// Changes what the host has no part in: the protection from being deleted.
#[utoipa::path(patch, path = "/api/v1/instances/{id}", tag = "instances",
    params(("id" = InstanceId, Path)), request_body = PatchBody, responses(
    (status = 200, body = InstanceBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem),
))]
async fn patch(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<PatchBody>,
) -> Result<Json<InstanceBody>> {
    let id = id.parse()?;
    if let Some(on) = body.delete_protection {
        change::set_protection(&app, &actor, id, on).await?;
    }
    Ok(Json(view::one(&app, &actor, id).await?.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RemoveParams {
    /// `true` removes everything at once, without a way back; else it can be undone for some days.
    now: Option<String>,
}

/// Deletes an instance.
#[utoipa::path(delete, path = "/api/v1/instances/{id}", tag = "instances",
    params(("id" = InstanceId, Path), RemoveParams), responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "Protected, or being deleted already", body = Problem),
    (status = 422, body = Problem),
))]
async fn remove(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Query(params): Query<RemoveParams>,
) -> Result<Accepted> {
    let when = match params.now.as_deref() {
        None | Some("false") => When::Later,
        Some("true") => When::Now,
        Some(_) => return Err(Error::invalid("now", "choice")),
    };
    let operation = delete::delete(&app, &actor, id.parse()?, when).await?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}

/// Gives an instance another name.
#[utoipa::path(put, path = "/api/v1/instances/{id}/name", tag = "instances",
    params(("id" = InstanceId, Path)), request_body = RenameBody, responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem),
))]
async fn rename(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<RenameBody>,
) -> Result<Accepted> {
    let hostname = body.hostname.unwrap_or_default();
    let operation = change::rename(&app, &actor, id.parse()?, &body.name, &hostname).await?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}

/// Replaces the rules of the firewall.
#[utoipa::path(put, path = "/api/v1/instances/{id}/firewall", tag = "instances",
    params(("id" = InstanceId, Path)), request_body = FirewallBody, responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = 422, body = Problem),
))]
async fn set_firewall(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<FirewallBody>,
) -> Result<Accepted> {
    let id = id.parse()?;
    let operation = change::set_firewall(&app, &actor, id, body.into_rules()?).await?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}

/// The latest counters; `null` until the host has reported some.
#[utoipa::path(get, path = "/api/v1/instances/{id}/usage", tag = "instances",
    params(("id" = InstanceId, Path)), responses(
    (status = 200, body = Option<UsageBody>),
    (status = 401, body = Problem), (status = 404, body = Problem),
))]
async fn usage(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Json<Option<UsageBody>>> {
    let usage = view::usage(&app, &actor, id.parse()?).await?;
    Ok(Json(usage.map(|(at, usage)| UsageBody::new(at, usage))))
}
