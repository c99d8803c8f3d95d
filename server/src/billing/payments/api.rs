//! Payments as an API: what customers pay, and what they have paid.

use super::provider::Provider;
use super::state::{Disputed, State as PaymentState};
use super::{NewPayment, Payment, create, db, settings};
use crate::auth::Actor;
use crate::billing::money::Money;
use crate::error::{Error, Result};
use crate::ids::{PaymentId, TenantId};
use crate::state::App;
use crate::web::api::{Problem, Refusals};
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, begin)).routes(routes!(show)).routes(routes!(providers))
}

/// A payment through a provider.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentView {
    id: PaymentId,
    tenant_id: TenantId,
    provider: Provider,
    amount: Money,
    state: PaymentState,
    /// What went back; it may be a part.
    refunded: Money,
    /// Whether the payer's bank disputes it.  `open` and `lost` close the account for orders.
    dispute: Disputed,
    /// What disputes took and did not give back.
    disputed: Money,
    /// The operator has opened the account again in spite of the dispute.
    dispute_settled: bool,
    /// While it is pending: the provider's page, where it is paid.
    pay_url: Option<String>,
    /// While it is pending: the text of the QR code by which it is paid, instead of a page.
    code: Option<String>,
    /// Viewers are told their own address only.
    created_by: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<OffsetDateTime>,
}

impl From<&Payment> for PaymentView {
    fn from(payment: &Payment) -> Self {
        let target = payment.payable().map(str::to_owned);
        let (code, pay_url) = if payment.provider.by_code() { (target, None) } else { (None, target) };
        Self {
            id: payment.id,
            tenant_id: payment.tenant,
            provider: payment.provider,
            amount: payment.amount,
            state: payment.state,
            refunded: payment.refunded,
            dispute: payment.dispute,
            disputed: payment.disputed,
            dispute_settled: payment.dispute_settled,
            pay_url,
            code,
            created_by: Some(payment.created_by.clone()),
            created_at: payment.created_at,
            expires_at: payment.expires_at,
            paid_at: payment.paid_at,
        }
    }
}

impl PaymentView {
    fn told_to(actor: &Actor, payment: &Payment) -> Self {
        let view = Self::from(payment);
        Self { created_by: view.created_by.and_then(|email| actor.shown(email)), ..view }
    }
}

/// List payments, the newest first
#[utoipa::path(get, path = "/api/v1/billing/payments", tag = "billing", params(PageParams),
    responses((status = 200, body = Listed<PaymentView>), Refusals))]
async fn list(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<PaymentId>,
) -> Result<Json<Listed<PaymentView>>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = db::list(&mut tx, Some(actor.tenant_id), paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |payment: &Payment| payment.id.to_string());
    Ok(Json(listed.map(|payment| PaymentView::told_to(&actor, &payment))))
}

/// Begin a payment
///
/// The answer says where it is paid: at `pay_url`, or with the QR code of `code`. It counts when the provider has confirmed it.
#[utoipa::path(post, path = "/api/v1/billing/payments", tag = "billing", params(IdempotencyParams),
    request_body = NewPayment, responses((status = 201, body = PaymentView), Refusals,
    (status = 502, description = "The provider did not take it.", body = Problem)))]
async fn begin(
    State(app): State<App>,
    actor: Actor,
    Json(new): Json<NewPayment>,
) -> Result<(StatusCode, Json<PaymentView>)> {
    let id = create(&app, &actor, &new).await?;
    Ok((StatusCode::CREATED, Json(one(&app, &actor, id).await?)))
}

async fn one(app: &App, actor: &Actor, id: PaymentId) -> Result<PaymentView> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let payment = db::by_id(&mut tx, Some(actor.tenant_id), id).await?.ok_or(Error::NotFound)?;
    Ok(PaymentView::told_to(actor, &payment))
}

/// One payment
#[utoipa::path(get, path = "/api/v1/billing/payments/{id}", tag = "billing",
    params(("id" = PaymentId, Path, description = "`pay_…`")),
    responses((status = 200, body = PaymentView), Refusals))]
async fn show(State(app): State<App>, actor: Actor, Path(id): Path<String>) -> Result<Json<PaymentView>> {
    Ok(Json(one(&app, &actor, id.parse()?).await?))
}

/// Ways to pay.
#[derive(Serialize, ToSchema)]
struct WaysToPay {
    /// Empty: there are none, or not in the account's currency.
    providers: Vec<Provider>,
}

/// The ways to pay in the account's currency
#[utoipa::path(get, path = "/api/v1/billing/payment-providers", tag = "billing",
    responses((status = 200, body = WaysToPay), Refusals))]
async fn providers(State(app): State<App>, actor: Actor) -> Result<Json<WaysToPay>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let account =
        crate::billing::db::accounts::get(&mut tx, actor.tenant_id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    Ok(Json(WaysToPay { providers: settings::offered(&app, account.currency).await? }))
}
