//! `POST /api/v1/instances/{id}/actions/…`: what an instance is asked to do.

use super::instances::Accepted;
use super::schema::{OperationBody, RebuildBody, ResizeBody};
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::InstanceId;
use crate::instances::power::{self, PowerAction};
use crate::instances::rebuild::{self, Rebuild};
use crate::instances::{Operation, delete, resize};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(shutdown))
        .routes(routes!(power_off))
        .routes(routes!(reboot))
        .routes(routes!(rebuild))
        .routes(routes!(resize))
        .routes(routes!(undelete))
        .routes(routes!(retry))
}

fn accepted(operation: Operation) -> Accepted {
    (StatusCode::ACCEPTED, Json(operation.into()))
}

/// Starts an instance.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/start", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "Not possible in this state", body = Problem),
))]
async fn start(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Accepted> {
    Ok(accepted(power::power(&app, &actor, id.parse()?, PowerAction::Start).await?))
}

/// Asks the guest to shut down; one that does not follow is ended after a while.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/shutdown", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "Not possible in this state", body = Problem),
))]
async fn shutdown(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Accepted> {
    Ok(accepted(power::power(&app, &actor, id.parse()?, PowerAction::Shutdown).await?))
}

/// Ends the guest without asking it: as pulling the plug.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/power-off", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "Not possible in this state", body = Problem),
))]
async fn power_off(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Accepted> {
    Ok(accepted(power::power(&app, &actor, id.parse()?, PowerAction::PowerOff).await?))
}

/// Asks the guest to restart; one that does not follow is reset.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/reboot", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "Not possible in this state", body = Problem),
))]
async fn reboot(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Accepted> {
    Ok(accepted(power::power(&app, &actor, id.parse()?, PowerAction::Reboot).await?))
}

/// Destroys what is on the disk and starts the instance from an image.
///
/// Name, plan and addresses stay.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/rebuild", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), request_body = RebuildBody, responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "Not possible in this state", body = Problem), (status = 422, body = Problem),
))]
async fn rebuild(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<RebuildBody>,
) -> Result<Accepted> {
    let new = Rebuild {
        image: body.image,
        hostname: body.hostname.unwrap_or_default(),
        ssh_keys: body.ssh_keys,
        user_data: body.user_data,
    };
    Ok(accepted(rebuild::rebuild(&app, &actor, id.parse()?, new).await?))
}

/// Moves an instance to another plan; a trial becomes a bought instance.
///
/// Most of a change is in force at once.  What needs a restart of the guest is named in the operation
/// and in the instance.  Until a smaller plan is in force, the larger one stays reserved and is charged; the instance
/// names it as `charged_plan`.  A disk grows with `grow_disk` and never shrinks: a plan with a smaller disk is refused.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/resize", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), request_body = ResizeBody, responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "The host has no room, or not possible in this state", body = Problem),
    (status = 422, body = Problem),
))]
async fn resize(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<ResizeBody>,
) -> Result<Accepted> {
    Ok(accepted(resize::resize(&app, &actor, id.parse()?, &body.plan, body.grow_disk).await?))
}

/// Undoes a deletion while its grace period runs; the instance is then stopped.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/undelete", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "Not deleted, or too late", body = Problem),
))]
async fn undelete(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Accepted> {
    Ok(accepted(delete::undelete(&app, &actor, id.parse()?).await?))
}

/// Tries again to make an instance whose creation failed.
#[utoipa::path(post, path = "/api/v1/instances/{id}/actions/retry", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), responses(
    (status = 202, body = OperationBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "It has not failed, or no host has room", body = Problem),
))]
async fn retry(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Accepted> {
    Ok(accepted(rebuild::retry(&app, &actor, id.parse()?).await?))
}
