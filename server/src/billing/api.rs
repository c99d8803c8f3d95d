//! The customer's account as an API.

use super::accounts::EntryKind;
use super::bill::Line;
use super::charges::Item;
use super::db;
use super::db::accounts::Entry;
use super::dunning::Stage;
use super::invoices::{CreditNote, Invoice, credit_note_number, invoice_number};
use super::money::Money;
use super::standing::{self, Standing, at};
use super::vouchers;
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::ids::{CreditNoteId, InstanceId, InvoiceId, TenantId};
use crate::state::App;
use crate::web::api::Refusals;
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(list_entries))
        .routes(routes!(list_invoices))
        .routes(routes!(show_invoice))
        .routes(routes!(redeem))
}

/// How an account stands.  Amounts are cents or fen, with tax.
#[derive(Serialize, ToSchema)]
pub struct AccountView {
    pub tenant_id: TenantId,
    pub prepaid: bool,
    /// What was paid and given, less invoices.
    pub balance: Money,
    /// Used, or due in advance, and not on an invoice yet.
    pub unbilled: Money,
    /// `balance` less `unbilled`.
    pub available: Money,
    /// The calendar month in the operator's time zone.
    #[schema(example = "2026-11")]
    pub month: String,
    /// What the month costs if everything goes on as it is.
    pub forecast: Money,
    /// How far below zero `available` may go before the account is locked.
    pub credit_limit: Money,
    /// What everything that runs costs in its next hour, day or month, which is what the operator asks for with an order.
    pub first_period: Money,
    /// What can be spent on new orders now.  Zero while `orders_closed` says why.
    pub spendable: Money,
    /// What must be added before everything that runs is covered for its next period.
    pub missing: Money,
    /// Why no order is taken, whatever the balance is: the code of the refusal.  Absent: orders are taken.
    #[schema(example = "may-not-buy")]
    pub orders_closed: Option<&'static str>,
    /// When nothing is left if everything goes on as it is; absent: in more than 90 days, or nothing is charged.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub runs_out_at: Option<OffsetDateTime>,
    pub stage: Stage,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub overdue_since: Option<OffsetDateTime>,
    /// What `unbilled` is made of, before tax.
    pub lines: Vec<LineView>,
}

impl TryFrom<&Standing> for AccountView {
    type Error = Error;

    fn try_from(standing: &Standing) -> Result<Self> {
        Ok(Self {
            tenant_id: standing.account.tenant,
            prepaid: standing.account.prepaid,
            balance: standing.balance,
            unbilled: standing.unbilled,
            available: standing.available()?,
            month: standing.month.name(),
            forecast: standing.forecast,
            credit_limit: standing.credit(),
            first_period: standing.first_period(None)?,
            spendable: standing.spendable()?,
            missing: standing.missing(None)?,
            orders_closed: standing.closed(),
            runs_out_at: standing.runs_out_at()?.map(at),
            stage: standing.account.stage,
            overdue_since: standing.account.overdue_since,
            lines: standing.lines.iter().map(LineView::from).collect(),
        })
    }
}

/// What an amount is for.
#[derive(Serialize, ToSchema)]
#[schema(as = InvoiceLine)]
pub struct LineView {
    instance_id: InstanceId,
    name: String,
    #[schema(example = "2026-11")]
    month: String,
    /// `time` or `traffic`.
    item: &'static str,
    plan_en: String,
    plan_zh: String,
    plan_version: i32,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    until: OffsetDateTime,
    /// Seconds, or bytes beyond the quota.
    quantity: i64,
    amount: Money,
}

impl From<&Line> for LineView {
    fn from(line: &Line) -> Self {
        Self {
            instance_id: line.instance,
            name: line.name.clone(),
            month: line.month.strftime("%Y-%m").to_string(),
            item: match line.item {
                Item::Time => "time",
                Item::Traffic => "traffic",
            },
            plan_en: line.plan.name_en.clone(),
            plan_zh: line.plan.name_zh.clone(),
            plan_version: line.plan.version,
            since: at(line.since),
            until: at(line.until),
            quantity: line.quantity,
            amount: line.amount,
        }
    }
}

/// A movement of money; above zero, the customer's gain.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountEntry)]
pub struct EntryView {
    id: i64,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    at: OffsetDateTime,
    kind: EntryKind,
    amount: Money,
    reference: String,
    note: String,
    invoice_id: Option<InvoiceId>,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            kind: entry.kind,
            amount: entry.amount,
            reference: entry.reference,
            note: entry.note,
            invoice_id: entry.invoice,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceView {
    id: InvoiceId,
    #[schema(example = "INV-000042")]
    number: String,
    tenant_id: TenantId,
    tenant_name: String,
    #[schema(example = "2026-11")]
    month: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    issued_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    due_at: OffsetDateTime,
    net: Money,
    tax: Money,
    total: Money,
    /// Hundredths of a percent.
    tax_rate: i32,
    tax_included: bool,
}

impl From<&Invoice> for InvoiceView {
    fn from(invoice: &Invoice) -> Self {
        Self {
            id: invoice.id,
            number: invoice_number(invoice.number),
            tenant_id: invoice.tenant,
            tenant_name: invoice.tenant_name.clone(),
            month: invoice.month.strftime("%Y-%m").to_string(),
            issued_at: invoice.issued_at,
            due_at: invoice.due_at,
            net: invoice.net,
            tax: invoice.tax,
            total: invoice.total,
            tax_rate: invoice.tax_rate,
            tax_included: invoice.tax_included,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = CreditNote)]
pub struct CreditNoteView {
    id: CreditNoteId,
    #[schema(example = "CN-000007")]
    number: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    issued_at: OffsetDateTime,
    net: Money,
    tax: Money,
    total: Money,
    reason: String,
}

impl From<CreditNote> for CreditNoteView {
    fn from(note: CreditNote) -> Self {
        Self {
            id: note.id,
            number: credit_note_number(note.number),
            issued_at: note.issued_at,
            net: note.net,
            tax: note.tax,
            total: note.total,
            reason: note.reason,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct InvoiceDetail {
    #[serde(flatten)]
    invoice: InvoiceView,
    issuer: String,
    billed_to: String,
    /// Before tax, unless prices contain it.
    lines: Vec<LineView>,
    credit_notes: Vec<CreditNoteView>,
}

/// One invoice of a tenant, or for administrators of any.
pub async fn detail(
    app: &App,
    actor: &Actor,
    tenant: Option<TenantId>,
    id: InvoiceId,
) -> Result<InvoiceDetail> {
    let mut tx = match tenant {
        Some(tenant) => app.db.tenant(tenant).await?,
        None if actor.is_admin => app.db.begin_platform().await?,
        None => return Err(Error::NotFound),
    };
    let invoice = db::invoices::by_id(&mut tx, tenant, id).await?.ok_or(Error::NotFound)?;
    let lines = db::invoices::lines(&mut tx, invoice.tenant, Some(id)).await?;
    let notes = db::invoices::credit_notes(&mut tx, invoice.tenant, id).await?;
    Ok(InvoiceDetail {
        invoice: (&invoice).into(),
        issuer: invoice.issuer,
        billed_to: invoice.billed_to,
        lines: lines.iter().map(|(_, line)| line.into()).collect(),
        credit_notes: notes.into_iter().map(CreditNoteView::from).collect(),
    })
}

/// How the account stands
///
/// The balance, what was used and not billed yet, and what the month will come to.
#[utoipa::path(get, path = "/api/v1/billing", tag = "billing",
    responses((status = 200, body = AccountView), Refusals))]
async fn show(State(app): State<App>, actor: Actor) -> Result<Json<AccountView>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    Ok(Json(AccountView::try_from(&standing::of(&mut tx, actor.tenant_id).await?)?))
}

/// List the account's entries, the newest first
#[utoipa::path(get, path = "/api/v1/billing/entries", tag = "billing", params(PageParams),
    responses((status = 200, body = Listed<EntryView>), Refusals))]
async fn list_entries(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<i64>,
) -> Result<Json<Listed<EntryView>>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = db::accounts::entries(&mut tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    Ok(Json(Listed::new(rows, &paging, |entry| entry.id.to_string()).map(EntryView::from)))
}

/// List invoices, the newest first
#[utoipa::path(get, path = "/api/v1/billing/invoices", tag = "billing", params(PageParams),
    responses((status = 200, body = Listed<InvoiceView>), Refusals))]
async fn list_invoices(
    State(app): State<App>,
    actor: Actor,
    paging: Paging<InvoiceId>,
) -> Result<Json<Listed<InvoiceView>>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = db::invoices::list(&mut tx, Some(actor.tenant_id), paging.after, paging.fetch()).await?;
    Ok(Json(Listed::new(rows, &paging, |invoice| invoice.id.to_string()).map(|invoice| (&invoice).into())))
}

/// One invoice with its lines and credit notes
#[utoipa::path(get, path = "/api/v1/billing/invoices/{id}", tag = "billing",
    params(("id" = InvoiceId, Path, description = "`bill_…`")),
    responses((status = 200, body = InvoiceDetail), Refusals))]
async fn show_invoice(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Json<InvoiceDetail>> {
    Ok(Json(detail(&app, &actor, Some(actor.tenant_id), id.parse()?).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RedeemBody {
    #[schema(example = "7KQ2M-4RXPB-9HTWC-E6N3F")]
    code: String,
}

/// Add a voucher to the balance
#[utoipa::path(post, path = "/api/v1/billing/vouchers", tag = "billing", params(IdempotencyParams),
    request_body = RedeemBody, responses((status = 200, body = AccountView), Refusals))]
async fn redeem(
    State(app): State<App>,
    actor: Actor,
    Json(body): Json<RedeemBody>,
) -> Result<Json<AccountView>> {
    vouchers::redeem(&app, &actor, &body.code).await?;
    show(State(app), actor).await
}
