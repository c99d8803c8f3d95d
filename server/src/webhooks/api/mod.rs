//! Webhooks as an API.  The operator's calls are the same below `/api/v1/admin`.

mod operator;

use super::deliveries::{self, Attempt, Delivery, Detail};
use super::endpoints::{self, Endpoint, Wanted};
use super::{Keeper, types};
use crate::error::Result;
use crate::ids::{DeliveryId, MessageId, WebhookId};
use crate::state::App;
use crate::web::api::{Conflicts, Refusals};
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What endpoints are sent, for those who write one.
#[derive(OpenApi)]
#[openapi(components(schemas(types::WebhookMessage)))]
struct Messages;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Messages::openapi())
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(list_deliveries))
        .routes(routes!(show_delivery))
        .routes(routes!(resend))
        .merge(operator::routes())
}

/// An endpoint, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
struct EndpointView {
    id: WebhookId,
    name: String,
    url: String,
    /// Empty: all types.
    types: Vec<String>,
    enabled: bool,
    /// Why not: `owner`, `gone` (it answered 410), `exhausted` (all attempts of a message failed), `overflow` (too many
    /// messages waited) or `token` (the API token that made or last changed it has ended).
    disabled_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<OffsetDateTime>,
    /// Until then the secret before the last rotation signs as well.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    old_secret_until: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// Messages that wait for it.
    waiting: i64,
}

impl From<Endpoint> for EndpointView {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            name: endpoint.name,
            url: endpoint.url,
            types: endpoint.types,
            enabled: endpoint.disabled_at.is_none(),
            disabled_reason: endpoint.disabled_reason,
            disabled_at: endpoint.disabled_at,
            old_secret_until: endpoint.old_secret_until,
            created_at: endpoint.created_at,
            waiting: endpoint.waiting,
        }
    }
}

/// An endpoint with its new secret.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
struct SecretView {
    #[serde(flatten)]
    endpoint: EndpointView,
    /// Told only now.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

impl From<(Endpoint, String)> for SecretView {
    fn from((endpoint, secret): (Endpoint, String)) -> Self {
        Self { endpoint: endpoint.into(), secret }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook)]
struct NewBody {
    /// `https`; others are told in words why they are refused.
    #[schema(example = "https://example.com/hooks")]
    url: String,
    /// The host's name when absent.
    #[serde(default)]
    name: String,
    /// All types when absent or empty.
    #[serde(default)]
    types: Vec<String>,
}

/// What is absent stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookChanges)]
struct ChangeBody {
    url: Option<String>,
    name: Option<String>,
    types: Option<Vec<String>>,
    /// Once enabled again, it gets what waits for it.
    enabled: Option<bool>,
}

/// One message to one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
struct DeliveryView {
    id: DeliveryId,
    webhook_id: WebhookId,
    /// The header `webhook-id`.
    message_id: MessageId,
    r#type: String,
    test: bool,
    /// `pending`, `succeeded` or `failed`.
    state: String,
    /// Since it was begun or begun again.
    attempts: i32,
    /// While it is pending.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<OffsetDateTime>,
    /// Of the last attempt.
    last_status: Option<i32>,
    /// Of the last attempt, as in `WebhookAttempt`.
    last_problem: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let pending = delivery.state == "pending";
        Self {
            id: delivery.id,
            webhook_id: delivery.webhook,
            message_id: delivery.message,
            r#type: delivery.kind,
            test: delivery.probe,
            state: delivery.state,
            attempts: delivery.attempts,
            next_attempt_at: pending.then_some(delivery.next_attempt_at),
            created_at: delivery.created_at,
            ended_at: delivery.ended_at,
            last_status: delivery.last_status,
            last_problem: delivery.last_problem,
        }
    }
}

/// One request, and what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
struct AttemptView {
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: OffsetDateTime,
    url: String,
    /// The headers of the request.
    #[schema(value_type = Object)]
    headers: Value,
    duration_ms: i32,
    status: Option<i32>,
    /// Absent when it was accepted; otherwise `forbidden`, `unsigned`, `connect`, `timeout`, `broken`, `redirect`, `gone`
    /// or `status`.
    problem: Option<String>,
    /// The first 4 KiB of the answer.
    response: String,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            at: attempt.at,
            url: attempt.url,
            headers: attempt.headers,
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            problem: attempt.problem,
            response: attempt.response,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeliveryDetail)]
struct DetailView {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// A `WebhookMessage`, as it is signed and sent to the byte.
    body: String,
    /// The latest first.
    log: Vec<AttemptView>,
}

impl From<Detail> for DetailView {
    fn from(detail: Detail) -> Self {
        Self {
            delivery: detail.delivery.into(),
            body: detail.body,
            log: detail.attempts.into_iter().map(AttemptView::from).collect(),
        }
    }
}

type Created = (StatusCode, Json<SecretView>);
type Accepted = (StatusCode, Json<DetailView>);

/// List webhooks, the newest first
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks", params(PageParams),
    responses((status = 200, body = Listed<EndpointView>), Refusals))]
async fn list(
    State(app): State<App>,
    keeper: Keeper,
    paging: Paging<WebhookId>,
) -> Result<Json<Listed<EndpointView>>> {
    Ok(Json(endpoints::list(&app, &keeper, &paging).await?.map(EndpointView::from)))
}

/// Make a webhook
///
/// Its secret is told now and never again.  What is sent is described by `WebhookMessage`, and signed as Standard Webhooks
/// has it.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", params(IdempotencyParams), request_body = NewBody,
    responses((status = 201, body = SecretView), Refusals, Conflicts))]
async fn create(State(app): State<App>, keeper: Keeper, Json(body): Json<NewBody>) -> Result<Created> {
    let wanted = Wanted { name: body.name, url: body.url, types: body.types };
    let made = endpoints::create(&app, &keeper, &wanted).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// One webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`")),
    responses((status = 200, body = EndpointView), Refusals))]
async fn show(State(app): State<App>, keeper: Keeper, Path(id): Path<String>) -> Result<Json<EndpointView>> {
    Ok(Json(endpoints::get(&app, &keeper, id.parse()?).await?.into()))
}

/// Change, enable or disable a webhook
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`")), request_body = ChangeBody,
    responses((status = 200, body = EndpointView), Refusals))]
async fn update(
    State(app): State<App>,
    keeper: Keeper,
    Path(id): Path<String>,
    Json(change): Json<ChangeBody>,
) -> Result<Json<EndpointView>> {
    let before = endpoints::get(&app, &keeper, id.parse()?).await?;
    let wanted = Wanted {
        name: change.name.unwrap_or(before.name),
        url: change.url.unwrap_or(before.url),
        types: change.types.unwrap_or(before.types),
    };
    let enabled = change.enabled.unwrap_or(before.disabled_at.is_none());
    Ok(Json(endpoints::update(&app, &keeper, before.id, &wanted, enabled).await?.into()))
}

/// Delete a webhook with its deliveries
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`")), responses((status = 204), Refusals))]
async fn delete(State(app): State<App>, keeper: Keeper, Path(id): Path<String>) -> Result<StatusCode> {
    endpoints::delete(&app, &keeper, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a webhook a new secret
///
/// The secret before signs as well for 24 hours; then `webhook-signature` holds two signatures.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/rotate", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), IdempotencyParams),
    responses((status = 200, body = SecretView), Refusals))]
async fn rotate(State(app): State<App>, keeper: Keeper, Path(id): Path<String>) -> Result<Json<SecretView>> {
    Ok(Json(endpoints::rotate(&app, &keeper, id.parse()?).await?.into()))
}

/// Send a test to a webhook
///
/// A message of the type `webhook.test`, which is tried once.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), IdempotencyParams),
    responses((status = 202, body = DetailView), Refusals, Conflicts))]
async fn test(State(app): State<App>, keeper: Keeper, Path(id): Path<String>) -> Result<Accepted> {
    let id = id.parse()?;
    let delivery = endpoints::test(&app, &keeper, id).await?;
    Ok((StatusCode::ACCEPTED, Json(deliveries::get(&app, &keeper, id, delivery).await?.into())))
}

/// List a webhook's deliveries, the newest first
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), PageParams),
    responses((status = 200, body = Listed<DeliveryView>), Refusals))]
async fn list_deliveries(
    State(app): State<App>,
    keeper: Keeper,
    Path(id): Path<String>,
    paging: Paging<DeliveryId>,
) -> Result<Json<Listed<DeliveryView>>> {
    Ok(Json(deliveries::list(&app, &keeper, id.parse()?, &paging).await?.map(DeliveryView::from)))
}

/// One delivery with its attempts
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries/{delivery}", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), ("delivery" = DeliveryId, Path, description = "`dlv_…`")),
    responses((status = 200, body = DetailView), Refusals))]
async fn show_delivery(
    State(app): State<App>,
    keeper: Keeper,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Json<DetailView>> {
    Ok(Json(deliveries::get(&app, &keeper, id.parse()?, delivery.parse()?).await?.into()))
}

/// Send a delivery again
///
/// Now, and with all attempts before it.  `webhook-id` stays the same.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/resend", tag = "webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), ("delivery" = DeliveryId, Path, description = "`dlv_…`"),
        IdempotencyParams),
    responses((status = 202, body = DetailView), Refusals, Conflicts))]
async fn resend(
    State(app): State<App>,
    keeper: Keeper,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Accepted> {
    let detail = deliveries::resend(&app, &keeper, id.parse()?, delivery.parse()?).await?;
    Ok((StatusCode::ACCEPTED, Json(detail.into())))
}
