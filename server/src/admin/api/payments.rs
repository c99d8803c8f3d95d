//! Payments through providers as an API of the administration.

use crate::auth::Admin;
use crate::billing::payments::api::PaymentView;
use crate::billing::payments::db::{self, EventRow};
use crate::billing::payments::provider::Provider;
use crate::billing::payments::settings::{self, NewSettings, ProviderSettings};
use crate::billing::payments::{Payment, attention, inbox, masked};
use crate::error::{Error, Result};
use crate::ids::PaymentId;
use crate::state::App;
use crate::web::api::{Conflicts, Problem, Refusals};
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(settle_dispute))
        .routes(routes!(list_events))
        .routes(routes!(show_event))
        .routes(routes!(retry))
        .routes(routes!(providers))
        .routes(routes!(update_provider))
}

/// All payments, the newest first
#[utoipa::path(get, path = "/api/v1/admin/payments", tag = "Administration: billing", params(PageParams),
    responses((status = 200, body = Listed<PaymentView>)))]
async fn list(
    State(app): State<App>,
    _: Admin,
    paging: Paging<PaymentId>,
) -> Result<Json<Listed<PaymentView>>> {
    let mut tx = app.db.begin_platform().await?;
    let rows = db::list(&mut tx, None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |payment: &Payment| payment.id.to_string());
    Ok(Json(listed.map(|payment| (&payment).into())))
}

/// Open an account for orders in spite of a dispute
///
/// A payment that is disputed, or was lost to a dispute, closes its account for orders.  The money stays where the dispute put it.
#[utoipa::path(post, path = "/api/v1/admin/payments/{id}/settle-dispute", tag = "Administration: billing",
    params(("id" = PaymentId, Path, description = "`pay_…`")),
    responses((status = 200, body = PaymentView), Refusals, Conflicts))]
async fn settle_dispute(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<PaymentView>> {
    let id = id.parse()?;
    attention::settle(&app, &actor, id).await?;
    let mut tx = app.db.begin_platform().await?;
    let payment = db::by_id(&mut tx, None, id).await?.ok_or(Error::NotFound)?;
    Ok(Json((&payment).into()))
}

/// What a provider has told.
#[derive(Serialize, ToSchema)]
#[schema(as = PaymentEvent)]
struct EventView {
    id: i64,
    provider: Provider,
    /// The provider's number of it; it counts once.
    event_id: String,
    /// The provider's word for it.
    kind: String,
    /// `received`, `applied`, `ignored`, `unknown`, `disputed` or `unreadable`.
    state: String,
    /// Why it was not applied.
    reason: String,
    payment_id: Option<PaymentId>,
    attempts: i32,
    last_error: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    received_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    processed_at: Option<OffsetDateTime>,
}

impl From<EventRow> for EventView {
    fn from(row: EventRow) -> Self {
        Self {
            id: row.id,
            provider: row.provider,
            event_id: row.event_id,
            kind: row.kind,
            state: row.state,
            reason: row.reason,
            payment_id: row.payment,
            attempts: row.attempts,
            last_error: row.last_error,
            received_at: row.received_at,
            processed_at: row.processed_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = PaymentEventDetail)]
struct EventDetail {
    #[serde(flatten)]
    event: EventView,
    /// As it was received, without secrets and without who paid.
    body: String,
}

/// What payment providers have told, the newest first
#[utoipa::path(get, path = "/api/v1/admin/payment-events", tag = "Administration: billing", params(PageParams),
    responses((status = 200, body = Listed<EventView>)))]
async fn list_events(
    State(app): State<App>,
    _: Admin,
    paging: Paging<i64>,
) -> Result<Json<Listed<EventView>>> {
    let rows = db::events(app.db.platform(), None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |event: &EventRow| event.id.to_string());
    Ok(Json(listed.map(EventView::from)))
}

async fn detail(app: &App, id: i64) -> Result<EventDetail> {
    let row = db::event(app.db.platform(), id).await?.ok_or(Error::NotFound)?;
    Ok(EventDetail { body: masked(&row.body), event: row.into() })
}

fn number(id: &str) -> Result<i64> {
    id.parse().map_err(|_| Error::NotFound)
}

/// One event of a payment provider
#[utoipa::path(get, path = "/api/v1/admin/payment-events/{id}", tag = "Administration: billing",
    params(("id" = i64, Path)),
    responses((status = 200, body = EventDetail), (status = 404, description = "There is no such event.", body = Problem)))]
async fn show_event(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<EventDetail>> {
    Ok(Json(detail(&app, number(&id)?).await?))
}

/// Read and apply an event of a payment provider again
#[utoipa::path(post, path = "/api/v1/admin/payment-events/{id}/retry", tag = "Administration: billing",
    params(("id" = i64, Path)), responses((status = 200, body = EventDetail), Refusals, Conflicts))]
async fn retry(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<EventDetail>> {
    let id = number(&id)?;
    inbox::retry(&app, &actor, id).await?;
    Ok(Json(detail(&app, id).await?))
}

/// The payment providers and their settings
///
/// Secrets are never told; `secrets` names those that are set.
#[utoipa::path(get, path = "/api/v1/admin/payment-providers", tag = "Administration: billing",
    responses((status = 200, body = [ProviderSettings])))]
async fn providers(State(app): State<App>, _: Admin) -> Result<Json<Vec<ProviderSettings>>> {
    Ok(Json(settings::all(&app).await?))
}

/// Change the settings of a payment provider
///
/// Fields that are absent or empty stay as they are.
#[utoipa::path(put, path = "/api/v1/admin/payment-providers/{provider}", tag = "Administration: billing",
    params(("provider" = Provider, Path)), request_body = NewSettings,
    responses((status = 200, body = ProviderSettings), Refusals))]
async fn update_provider(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(provider): Path<String>,
    Json(new): Json<NewSettings>,
) -> Result<Json<ProviderSettings>> {
    let provider = Provider::parse(&provider).ok_or(Error::NotFound)?;
    Ok(Json(settings::update(&app, &actor, provider, &new).await?))
}
