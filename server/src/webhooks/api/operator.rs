//! The operator's webhooks, which are told what happens to everybody, and to the hosts.

use super::{Accepted, ChangeBody, Created, DeliveryView, DetailView, EndpointView, NewBody, SecretView};
use crate::error::Result;
use crate::ids::{DeliveryId, WebhookId};
use crate::state::App;
use crate::web::api::{Conflicts, Refusals};
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use crate::webhooks::Keeper;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(list_deliveries))
        .routes(routes!(show_delivery))
        .routes(routes!(resend))
}

/// List webhooks, the newest first
#[utoipa::path(get, path = "/api/v1/admin/webhooks", tag = "Administration: webhooks", params(PageParams),
    responses((status = 200, body = Listed<EndpointView>), Refusals))]
async fn list(
    app: State<App>,
    keeper: Keeper,
    paging: Paging<WebhookId>,
) -> Result<Json<Listed<EndpointView>>> {
    super::list(app, keeper, paging).await
}

/// Make a webhook
#[utoipa::path(post, path = "/api/v1/admin/webhooks", tag = "Administration: webhooks", params(IdempotencyParams), request_body = NewBody,
    responses((status = 201, body = SecretView), Refusals, Conflicts))]
async fn create(app: State<App>, keeper: Keeper, body: Json<NewBody>) -> Result<Created> {
    super::create(app, keeper, body).await
}

/// One webhook
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`")),
    responses((status = 200, body = EndpointView), Refusals))]
async fn show(app: State<App>, keeper: Keeper, path: Path<String>) -> Result<Json<EndpointView>> {
    super::show(app, keeper, path).await
}

/// Change, enable or disable a webhook
#[utoipa::path(patch, path = "/api/v1/admin/webhooks/{id}", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`")), request_body = ChangeBody,
    responses((status = 200, body = EndpointView), Refusals))]
async fn update(
    app: State<App>,
    keeper: Keeper,
    path: Path<String>,
    body: Json<ChangeBody>,
) -> Result<Json<EndpointView>> {
    super::update(app, keeper, path, body).await
}

/// Delete a webhook with its deliveries
#[utoipa::path(delete, path = "/api/v1/admin/webhooks/{id}", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`")), responses((status = 204), Refusals))]
async fn delete(app: State<App>, keeper: Keeper, path: Path<String>) -> Result<StatusCode> {
    super::delete(app, keeper, path).await
}

/// Give a webhook a new secret
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/rotate", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), IdempotencyParams),
    responses((status = 200, body = SecretView), Refusals))]
async fn rotate(app: State<App>, keeper: Keeper, path: Path<String>) -> Result<Json<SecretView>> {
    super::rotate(app, keeper, path).await
}

/// Send a test to a webhook
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/test", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), IdempotencyParams),
    responses((status = 202, body = DetailView), Refusals, Conflicts))]
async fn test(app: State<App>, keeper: Keeper, path: Path<String>) -> Result<Accepted> {
    super::test(app, keeper, path).await
}

/// List a webhook's deliveries, the newest first
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}/deliveries", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), PageParams),
    responses((status = 200, body = Listed<DeliveryView>), Refusals))]
async fn list_deliveries(
    app: State<App>,
    keeper: Keeper,
    path: Path<String>,
    paging: Paging<DeliveryId>,
) -> Result<Json<Listed<DeliveryView>>> {
    super::list_deliveries(app, keeper, path, paging).await
}

/// One delivery with its attempts
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}/deliveries/{delivery}", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), ("delivery" = DeliveryId, Path, description = "`dlv_…`")),
    responses((status = 200, body = DetailView), Refusals))]
async fn show_delivery(
    app: State<App>,
    keeper: Keeper,
    path: Path<(String, String)>,
) -> Result<Json<DetailView>> {
    super::show_delivery(app, keeper, path).await
}

/// Send a delivery again
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/deliveries/{delivery}/resend", tag = "Administration: webhooks",
    params(("id" = WebhookId, Path, description = "`hook_…`"), ("delivery" = DeliveryId, Path, description = "`dlv_…`"),
        IdempotencyParams),
    responses((status = 202, body = DetailView), Refusals, Conflicts))]
async fn resend(app: State<App>, keeper: Keeper, path: Path<(String, String)>) -> Result<Accepted> {
    super::resend(app, keeper, path).await
}
