use super::schema::{
    ChangePlanBody, DecisionBody, OrderBody, RehearsalBody, ServiceBody, SignOnBody, TerminateBody,
};
use crate::auth::billing_system::{BillingSystem, Scope};
use crate::billing_systems::decisions::{self, Outcome};
use crate::billing_systems::order::Message;
use crate::billing_systems::provision::{self, Put};
use crate::billing_systems::{db, find, newest_operation, sign_on};
use crate::error::{Error, Result};
use crate::ids::ServiceId;
use crate::state::App;
use crate::web::api::{Conflicts, Refusals};
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put))
        .routes(routes!(suspend))
        .routes(routes!(unsuspend))
        .routes(routes!(renew))
        .routes(routes!(terminate))
        .routes(routes!(undo_terminate))
        .routes(routes!(change_plan))
        .routes(routes!(reset_password))
        .routes(routes!(sso))
}

type Answer = (StatusCode, Json<ServiceBody>);

/// 202 where a host has something to do.
fn answer(outcome: Outcome) -> Answer {
    let status = if outcome.operation.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    (status, Json(outcome.into()))
}

/// Your services, the newest first
#[utoipa::path(get, path = "/billing/v1/services", tag = "Services", params(PageParams),
    responses((status = 200, body = Listed<ServiceBody>), Refusals))]
async fn list(
    State(app): State<App>,
    system: BillingSystem,
    paging: Paging<ServiceId>,
) -> Result<Json<Listed<ServiceBody>>> {
    system.may(Scope::Read)?;
    let rows = db::list(app.db.platform(), system.id, None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |service| service.id.to_string());
    Ok(Json(listed.map(ServiceBody::from)))
}

/// The service of a reference
///
/// With the operation that is under way or was the last.
#[utoipa::path(get, path = "/billing/v1/services/{external_ref}", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference")),
    responses((status = 200, body = ServiceBody), Refusals))]
async fn show(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
) -> Result<Json<ServiceBody>> {
    system.may(Scope::Read)?;
    let service = find(&app, &system, &reference).await?;
    let operation = newest_operation(&app, &service).await?;
    Ok(Json(Outcome { service, operation }.into()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PutParams {
    /// `true`: everything is looked at, room for it too, and nothing is changed.
    dry_run: Option<String>,
}

/// Order a service
///
/// The same order again is answered with what there is. Another plan is a 409 `use-change-plan`.
#[utoipa::path(put, path = "/billing/v1/services/{external_ref}", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference: letters, digits and `._:@+-`"), PutParams),
    request_body = OrderBody, responses((status = 202, body = ServiceBody),
    (status = 200, description = "It is there already; or with `dry_run`: it would be possible.", body = RehearsalBody),
    Refusals, Conflicts))]
async fn put(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
    Query(params): Query<PutParams>,
    Json(body): Json<OrderBody>,
) -> Result<Response> {
    system.may(Scope::Provision)?;
    let dry_run = match params.dry_run.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Error::invalid("dry_run", "choice")),
    };
    // Carried out to its end also where the caller hangs up: the next step of an order is in another transaction.
    let work =
        tokio::spawn(async move { provision::put(&app, &system, &reference, body.into(), dry_run).await });
    Ok(match work.await.map_err(|error| Error::Internal(error.into()))?? {
        Put::There(outcome) => answer(*outcome).into_response(),
        Put::Possible => Json(RehearsalBody { possible: true }).into_response(),
    })
}

async fn decide(
    app: &App,
    system: &BillingSystem,
    reference: &str,
    message: Message,
    body: &DecisionBody,
) -> Result<Answer> {
    system.may(Scope::Provision)?;
    let (version, meant) = (body.entitlement_version, body.service_id);
    decisions::take(app, system, reference, message, version, meant).await.map(answer)
}

/// Suspend a service
///
/// The instance is stopped and locked until the service is released; whether it ran is remembered.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/suspend", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference"), IdempotencyParams), request_body = DecisionBody,
    responses((status = 202, body = ServiceBody), (status = 200, body = ServiceBody), Refusals, Conflicts))]
async fn suspend(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
    Json(body): Json<DecisionBody>,
) -> Result<Answer> {
    decide(&app, &system, &reference, Message::Suspend, &body).await
}

/// Release a service
///
/// What ran before runs again.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/unsuspend", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference"), IdempotencyParams), request_body = DecisionBody,
    responses((status = 202, body = ServiceBody), (status = 200, body = ServiceBody), Refusals, Conflicts))]
async fn unsuspend(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
    Json(body): Json<DecisionBody>,
) -> Result<Answer> {
    decide(&app, &system, &reference, Message::Unsuspend, &body).await
}

/// Say that a service is paid for
///
/// What was suspended goes on, whether or not you release it as well.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/renew", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference"), IdempotencyParams), request_body = DecisionBody,
    responses((status = 202, body = ServiceBody), (status = 200, body = ServiceBody), Refusals, Conflicts))]
async fn renew(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
    Json(body): Json<DecisionBody>,
) -> Result<Answer> {
    decide(&app, &system, &reference, Message::Renew, &body).await
}

/// Terminate a service
///
/// The instance is stopped and kept until `terminate_at`; until then the termination can be undone.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/terminate", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference"), IdempotencyParams), request_body = TerminateBody,
    responses((status = 202, body = ServiceBody), (status = 200, body = ServiceBody), Refusals, Conflicts))]
async fn terminate(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
    Json(body): Json<TerminateBody>,
) -> Result<Answer> {
    system.may(Scope::Terminate)?;
    let (version, meant) = (body.entitlement_version, Some(body.service_id));
    decisions::take(&app, &system, &reference, Message::Terminate, version, meant).await.map(answer)
}

/// Undo a termination
///
/// What ran before runs again. Once the instance is removed, this is a 409 `service-gone`.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/undo-terminate", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference"), IdempotencyParams), request_body = DecisionBody,
    responses((status = 202, body = ServiceBody), (status = 200, body = ServiceBody), Refusals, Conflicts))]
async fn undo_terminate(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
    Json(body): Json<DecisionBody>,
) -> Result<Answer> {
    decide(&app, &system, &reference, Message::UndoTerminate, &body).await
}

/// Move a service to another plan
///
/// Decisions about the plan count apart from those about suspension: of each kind the highest number wins. A plan whose
/// disk is smaller than the instance's is a 422 `plan-disk-too-small`, because disks never shrink. Usage names the dearer
/// plan until a smaller one is in force.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/change-plan", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference"), IdempotencyParams), request_body = ChangePlanBody,
    responses((status = 202, body = ServiceBody), (status = 200, body = ServiceBody), Refusals, Conflicts))]
async fn change_plan(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
    Json(body): Json<ChangePlanBody>,
) -> Result<Answer> {
    system.may(Scope::Provision)?;
    let ChangePlanBody { plan, grow_disk, entitlement_version: version, service_id: meant } = body;
    decisions::change_plan(&app, &system, &reference, &plan, grow_disk, version, meant).await.map(answer)
}

/// Let the owner choose a password
///
/// Sends the owner a mail with a link. Nobody else learns a password.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/reset-password", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference"), IdempotencyParams),
    responses((status = 204), Refusals))]
async fn reset_password(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
) -> Result<StatusCode> {
    system.may(Scope::Provision)?;
    sign_on::reset_password(&app, &system, &reference).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let the owner in
///
/// A link that works once and for 60 seconds, and leads to the page of the instance. The session reaches what
/// you sold to this customer, and no other team or account setting. Refused where the account was not made through you, for
/// administrators of the platform, and once the owner has chosen a password (403 `sso-own-password`): they sign in with it.
#[utoipa::path(post, path = "/billing/v1/services/{external_ref}/sso", tag = "Services",
    params(("external_ref" = String, Path, description = "Your reference")),
    responses((status = 201, body = SignOnBody), Refusals, Conflicts))]
async fn sso(
    State(app): State<App>,
    system: BillingSystem,
    Path(reference): Path<String>,
) -> Result<(StatusCode, Json<SignOnBody>)> {
    system.may(Scope::Sso)?;
    let (url, expires_at) = sign_on::link(&app, &system, &reference).await?;
    Ok((StatusCode::CREATED, Json(SignOnBody { url, expires_at })))
}
