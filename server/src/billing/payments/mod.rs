//! Payments that come in through providers.
//!
//! ```text
//!   customer ── create ──> payments (pending) ── book ──> provider ── the customer pays there
//!                                                            │
//!   account_entries <── apply, once ── payment_events <── receive: verified, stored, acknowledged
//! ```
//!
//! A payment is stored before the provider hears of it.  What the browser says when the customer comes back credits nothing; what
//! counts is what the provider tells, signed, and that is stored before it is acknowledged and applied by a worker
//! ([`inbox`]).  Where nothing is told, because it was lost, the provider is asked ([`ask`]).  What it comes to is decided by [`state`], purely.

mod alipay;
pub mod api;
pub mod ask;
pub mod attention;
pub mod db;
pub mod gateway;
pub mod inbox;
pub mod keys;
mod mask;
pub use mask::masked;
pub mod provider;
pub mod settings;
pub mod state;
mod stripe;
pub mod web;
mod wechat;

use super::accounts;
use super::money::{Currency, Money};
use crate::auth::limits::{self, AttemptLimit};
use crate::auth::{Actor, Role};
use crate::error::{Error, FieldError, Result};
use crate::ids::{PaymentId, TenantId};
use crate::state::App;
use anyhow::Context;
use gateway::{Booked, Order};
use provider::Provider;
use serde::Deserialize;
use serde_json::json;
use state::{Disputed, Facts, State};
use std::time::Duration;
use time::OffsetDateTime;

/// A provider's answer takes at most so long, while the customer waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// And has at most so many bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// How long a payment can be made after it was begun.  Codes of WeChat Pay are good for two hours.
pub const VALID_HOURS: i32 = 2;

/// Payments begun by one customer.
const BEGUN: AttemptLimit = AttemptLimit { attempts: 30, seconds: 3600 };

/// Cents or fen: below, the provider's fee is most of it; above, their forms end.
pub const MIN_AMOUNT: i64 = 100;
pub const MAX_AMOUNT: i64 = 99_999_900;

#[derive(Clone, Debug)]
pub struct Payment {
    pub id: PaymentId,
    pub tenant: TenantId,
    pub tenant_name: String,
    pub provider: Provider,
    pub amount: Money,
    pub state: State,
    /// What went back.
    pub refunded: Money,
    /// How chargebacks stand, and what they hold.
    pub dispute: Disputed,
    pub disputed: Money,
    /// An administrator decided that the dispute no longer closes the account.
    pub dispute_settled: bool,
    pub facts: Facts,
    /// Where it is paid: an address, or the text of a code.  Nothing until the provider has answered.
    pub target: Option<String>,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub paid_at: Option<OffsetDateTime>,
}

impl Payment {
    /// The account takes no orders because of it.
    pub fn closes_orders(&self) -> bool {
        matches!(self.dispute, Disputed::Open | Disputed::Lost) && !self.dispute_settled
    }

    /// Where the customer can still pay.
    pub fn payable(&self) -> Option<&str> {
        if self.state == State::Pending { self.target.as_deref() } else { None }
    }
}

#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    pub provider: Provider,
    /// Cents or fen.
    #[schema(example = 5000)]
    pub amount: i64,
    /// Must be the account's.
    pub currency: Currency,
}

/// Fails unless the actor pays for the team: its owners, also while it is suspended.
pub fn may_pay(actor: &Actor) -> Result<()> {
    if actor.role < Role::Owner { Err(Error::Forbidden) } else { Ok(()) }
}

/// Begins a payment.  Who is suspended may: it is the way out.
pub async fn create(app: &App, actor: &Actor, new: &NewPayment) -> Result<PaymentId> {
    may_pay(actor)?;
    let tenant = actor.tenant_id;
    let mut tx = app.db.begin_platform().await?;
    let account = super::db::accounts::get(&mut tx, tenant).await?.ok_or(Error::NotFound)?;
    let mut problems = Vec::new();
    if !(MIN_AMOUNT..=MAX_AMOUNT).contains(&new.amount) {
        let bound = |minor| Money::new(account.currency, minor);
        let problem = FieldError::new("amount", "payment-amount");
        problems.push(problem.with("min", bound(MIN_AMOUNT)).with("max", bound(MAX_AMOUNT)));
    }
    if new.currency != account.currency {
        problems
            .push(FieldError::new("currency", "currency-other").with("currency", account.currency.code()));
    }
    let stored = db::provider(&mut *tx, new.provider).await?;
    let gateway = if stored.offered(account.currency) { stored.open(app)? } else { None };
    if gateway.is_none() {
        problems.push(FieldError::new("provider", "choice"));
    }
    let Some(gateway) = gateway.filter(|_| problems.is_empty()) else { return Err(Error::Invalid(problems)) };
    drop(tx);
    limits::count(app.db.platform(), &format!("payment:{tenant}"), BEGUN).await?;

    let mut tx = app.db.begin_platform().await?;
    let id = PaymentId::new();
    let amount = Money::new(account.currency, new.amount);
    let expires_at = db::insert(&mut tx, id, tenant, new.provider, amount, &actor.email, VALID_HOURS).await?;
    let data = json!({ "payment": id, "provider": new.provider, "amount": amount });
    accounts::record(&mut tx, &actor.into(), tenant, "payment.created", data).await?;
    tx.commit().await?;

    let public = app.config.public_url.trim_end_matches('/');
    let page = format!("{public}/billing/payments/{id}");
    let order = Order {
        payment: id,
        amount,
        subject: format!("Jinshitong VPS {}", &id.to_string()[..12]),
        expires_at,
        notify_url: settings::notify_url(app, new.provider),
        back_url: format!("{page}?back=1"),
        cancel_url: format!("{page}?cancelled=1"),
    };
    let http = gateway::client(app).map_err(anyhow::Error::from)?;
    match gateway.book(&http, &order).await.and_then(|booked| checked(new.provider, booked)) {
        Ok(booked) => db::set_booked(app.db.platform(), id, &booked).await?,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(provider = new.provider.name(), payment = %id, error, "a payment was not booked");
            inbox::note(app, id, &state::Fact::Failed).await?;
            return Err(Error::unavailable("payment-provider"));
        }
    }
    Ok(id)
}

/// Customers are sent to web pages, and to nothing else that an address can be.
fn checked(provider: Provider, booked: Booked) -> anyhow::Result<Booked> {
    let target = &booked.target;
    let reference = booked.reference.as_deref().unwrap_or_default();
    anyhow::ensure!(reference.len() <= 200, "the provider's number of the order is too long");
    anyhow::ensure!(target.len() <= 8000, "the provider's answer is too long");
    if provider.by_code() {
        // As much as fits into a code that a telephone can read off a screen.
        anyhow::ensure!((1..=512).contains(&target.len()), "the text of the code is no code's");
    } else {
        let url: reqwest::Url = target.parse().context("the provider gave no address")?;
        anyhow::ensure!(matches!(url.scheme(), "https" | "http"), "the provider gave no address of a page");
    }
    Ok(booked)
}

/// The body of a provider's answer, if it agrees.
async fn answered(mut answer: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        anyhow::ensure!(body.len() + piece.len() <= MAX_ANSWER, "the provider's answer is too long");
        body.extend_from_slice(&piece);
    }
    // The beginning of a refusal says why; providers do not repeat secrets in it.
    let start = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    anyhow::ensure!(status.is_success(), "the provider refused with {status}: {start}");
    Ok(body)
}
