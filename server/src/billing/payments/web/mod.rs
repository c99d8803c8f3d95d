//! The customer's pages of payments, and the addresses where providers tell us.

mod notify;

use super::provider::Provider;
use super::state::{Disputed, State as PaymentState};
use super::{MAX_AMOUNT, MIN_AMOUNT, NewPayment, Payment, create, db, may_pay, settings};
use crate::accounts::second_factor::qr;
use crate::auth::{Actor, Role};
use crate::billing::money::{Money, parse_amount};
use crate::billing::standing;
use crate::error::{Error, FieldError, Result};
use crate::ids::{InvoiceId, PaymentId};
use crate::state::App;
use crate::typed::figure;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::header::REFRESH;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/billing/payments", get(list).post(begin))
        .route("/billing/payments/{id}", get(show))
        .merge(notify::routes())
}

/// A provider as it calls itself in the reader's language.
pub fn provider_word(page: &Page, provider: Provider) -> String {
    page.t(&format!("payment-by-{}", provider.name()))
}

pub fn state_word(page: &Page, payment: &Payment) -> String {
    match payment.dispute {
        Disputed::Open => return page.t("payment-state-disputed"),
        Disputed::Lost => return page.t("payment-state-dispute-lost"),
        Disputed::None | Disputed::Won => {}
    }
    // A part that went back leaves it paid.
    if payment.state == PaymentState::Paid && payment.refunded.minor > 0 {
        return page.t1("payment-state-partly", "amount", payment.refunded);
    }
    page.t(&format!("payment-state-{}", payment.state.name()))
}

pub const fn state_kind(payment: &Payment) -> &'static str {
    if matches!(payment.dispute, Disputed::Open | Disputed::Lost) {
        return "failed";
    }
    match payment.state {
        PaymentState::Pending => "working",
        PaymentState::Paid => "running",
        PaymentState::Failed => "failed",
        PaymentState::Expired => "stopped",
        PaymentState::Refunded => "attention",
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "billing/payments.html")]
struct ListPage {
    page: Page,
    payments: Vec<Payment>,
    next: String,
    currency: &'static str,
    /// Ways to pay; none for who may not.
    providers: Vec<Provider>,
    may_pay: bool,
    amount: String,
    chosen: String,
    errors: Vec<FieldError>,
}

impl ListPage {
    async fn load(app: &App, page: Page, actor: &Actor, paging: &Paging<PaymentId>) -> Result<Self> {
        let mut tx = app.db.tenant(actor.tenant_id).await?;
        let standing = standing::of(&mut tx, actor.tenant_id).await?;
        let rows = db::list(&mut tx, Some(actor.tenant_id), paging.after, paging.fetch()).await?;
        drop(tx);
        let listed = Listed::new(rows, paging, |payment: &Payment| payment.id.to_string());
        let cursor = listed.next_cursor.as_deref();
        let may_pay = actor.role >= Role::Owner;
        let providers =
            if may_pay { settings::offered(app, standing.account.currency).await? } else { Vec::new() };
        let due = standing.missing(None)?.minor;
        Ok(Self {
            next: cursor.map(|cursor| format!("/billing/payments?cursor={cursor}")).unwrap_or_default(),
            payments: listed.items,
            currency: standing.account.currency.code(),
            chosen: providers.first().map(|provider| provider.name().to_owned()).unwrap_or_default(),
            providers,
            may_pay,
            amount: if due > 0 { plain(due) } else { String::new() },
            errors: Vec::new(),
            page,
        })
    }

    fn word(&self, payment: &Payment) -> String {
        state_word(&self.page, payment)
    }

    fn kind(&self, payment: &Payment) -> &'static str {
        state_kind(payment)
    }

    fn by(&self, provider: &Provider) -> String {
        provider_word(&self.page, *provider)
    }

    fn note(&self, provider: &Provider) -> String {
        self.page.t(&format!("payment-note-{}", provider.name()))
    }
}

/// `12.50`: how an amount stands in a form.
fn plain(minor: i64) -> String {
    crate::web::format::money("", minor)
}

#[derive(Deserialize)]
struct Wanted {
    /// The invoice that is to be paid.
    #[serde(default)]
    invoice: String,
    /// What an order misses, as it stands in a form.
    #[serde(default)]
    amount: String,
}

async fn list(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    paging: Paging<PaymentId>,
    Query(wanted): Query<Wanted>,
) -> Result<ListPage> {
    let mut shown = ListPage::load(&app, page, &actor, &paging).await?;
    // Below what providers take, the least that they take.
    if let Some(minor) = parse_amount(&wanted.amount).filter(|minor| (1..=MAX_AMOUNT).contains(minor)) {
        shown.amount = plain(minor.max(MIN_AMOUNT));
    }
    if !wanted.invoice.is_empty() {
        let id: InvoiceId = wanted.invoice.parse()?;
        let mut tx = app.db.tenant(actor.tenant_id).await?;
        let invoice = crate::billing::db::invoices::by_id(&mut tx, Some(actor.tenant_id), id)
            .await?
            .ok_or(Error::NotFound)?;
        let notes = crate::billing::db::invoices::credit_notes(&mut tx, actor.tenant_id, id).await?;
        let given_back: i64 = notes.iter().map(|note| note.total.minor).sum();
        shown.amount = plain(invoice.total.minor - given_back);
    }
    Ok(shown)
}

#[derive(Deserialize)]
struct PayForm {
    #[serde(default)]
    amount: String,
    #[serde(default)]
    provider: String,
}

async fn begin(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Form(form): Form<PayForm>,
) -> Result<Response> {
    may_pay(&actor)?;
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let account =
        crate::billing::db::accounts::get(&mut tx, actor.tenant_id).await?.ok_or(Error::NotFound)?;
    drop(tx);
    let begun = match Provider::parse(&form.provider) {
        // What is no amount is refused like one that is out of bounds.
        Some(provider) => {
            let amount =
                parse_amount(&figure(&form.amount, 2)).filter(|minor| *minor <= MAX_AMOUNT).unwrap_or(0);
            create(&app, &actor, &NewPayment { provider, amount, currency: account.currency }).await
        }
        None => Err(Error::invalid("provider", "choice")),
    };
    match begun {
        // Not to the provider at once: browsers do not let a form lead to somebody else's page, and are right.
        Ok(id) => Ok(Redirect::to(&format!("/billing/payments/{id}?go=1")).into_response()),
        Err(Error::Invalid(errors)) => {
            let fresh = ListPage::load(&app, page, &actor, &Paging::default()).await?;
            let refused = ListPage { amount: form.amount, chosen: form.provider, errors, ..fresh };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, refused).into_response())
        }
        Err(error) => Err(error),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "billing/payment.html")]
struct ShowPage {
    page: Page,
    payment: Payment,
    /// The provider's page, while it can be paid there.
    pay_url: Option<String>,
    /// An SVG path over a square of so many modules.
    code: Option<(String, usize)>,
    came_back: bool,
    cancelled: bool,
}

impl ShowPage {
    fn word(&self) -> String {
        state_word(&self.page, &self.payment)
    }

    fn kind(&self) -> &'static str {
        state_kind(&self.payment)
    }

    fn by(&self) -> String {
        provider_word(&self.page, self.payment.provider)
    }

    fn amount(&self) -> Money {
        self.payment.amount
    }
}

/// How somebody came here.  Nothing of it is believed: it only chooses words.
#[derive(Deserialize)]
struct Way {
    go: Option<String>,
    back: Option<String>,
    cancelled: Option<String>,
}

async fn show(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
    Query(way): Query<Way>,
) -> Result<Response> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let payment = db::by_id(&mut tx, Some(actor.tenant_id), id.parse()?).await?.ok_or(Error::NotFound)?;
    // Paying is the owners' business, and seeing it is everybody's.
    let target = payment.payable().filter(|_| actor.role >= Role::Owner).map(str::to_owned);
    let (code, pay_url) = if payment.provider.by_code() { (target, None) } else { (None, target) };
    let code = code.map(|text| qr(&text)).transpose()?;
    let pending = payment.state == PaymentState::Pending;
    let shown = ShowPage {
        came_back: pending && way.back.is_some(),
        cancelled: pending && way.cancelled.is_some(),
        pay_url: pay_url.clone(),
        code,
        payment,
        page,
    };
    let mut response = shown.into_response();
    if way.go.is_some()
        && let Some(url) = pay_url
        && let Ok(refresh) = HeaderValue::from_str(&format!("0; url={url}"))
    {
        response.headers_mut().insert(REFRESH, refresh);
    }
    Ok(response)
}
