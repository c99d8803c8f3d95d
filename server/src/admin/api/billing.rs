use crate::auth::Admin;
use crate::billing::accounts::{self, AccountTerms, ManualEntry};
use crate::billing::api::{self as portal, AccountView, EntryView, InvoiceDetail, InvoiceView};
use crate::billing::bill::Metered;
use crate::billing::charges::Kind;
use crate::billing::db;
use crate::billing::dunning::Stage;
use crate::billing::invoices::{self, NewCreditNote};
use crate::billing::money::Money;
use crate::billing::settings::{self, BillingSettings};
use crate::billing::standing::{self, at};
use crate::billing::vouchers::{self, NewVoucher};
use crate::error::{Error, Result};
use crate::ids::{InstanceId, InvoiceId, TenantId};
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
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(show_settings, update_settings))
        .routes(routes!(list_invoices))
        .routes(routes!(show_invoice))
        .routes(routes!(credit))
        .routes(routes!(show_account, set_terms))
        .routes(routes!(list_entries, enter))
        .routes(routes!(ledger))
        .routes(routes!(create_voucher))
}

/// What the business comes to.
#[derive(Serialize, ToSchema)]
struct BillingOverview {
    revenue: Vec<RevenueView>,
    /// All that customers owe, by currency.
    receivables: Vec<Money>,
    debtors: Vec<DebtorView>,
}

/// Invoices of a month less credit notes, before tax.
#[derive(Serialize, ToSchema)]
#[schema(as = Revenue)]
struct RevenueView {
    month: String,
    net: Money,
    invoices: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Debtor)]
struct DebtorView {
    tenant_id: TenantId,
    name: String,
    balance: Money,
    stage: Stage,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    overdue_since: Option<OffsetDateTime>,
}

/// Revenue and receivables
#[utoipa::path(get, path = "/api/v1/admin/billing", tag = "Administration: billing",
    responses((status = 200, body = BillingOverview)))]
async fn overview(State(app): State<App>, _: Admin) -> Result<Json<BillingOverview>> {
    let pool = app.db.platform();
    let revenue = db::overview::revenue(pool).await?;
    let debtors = db::overview::debtors(pool).await?;
    Ok(Json(BillingOverview {
        revenue: revenue
            .into_iter()
            .map(|row| RevenueView {
                month: row.month.strftime("%Y-%m").to_string(),
                net: row.net,
                invoices: row.invoices,
            })
            .collect(),
        receivables: db::overview::receivables(pool).await?,
        debtors: debtors
            .into_iter()
            .map(|row| DebtorView {
                tenant_id: row.tenant,
                name: row.name,
                balance: row.balance,
                stage: row.stage,
                overdue_since: row.overdue_since,
            })
            .collect(),
    }))
}

/// What the operator decides about money
#[utoipa::path(get, path = "/api/v1/admin/billing/settings", tag = "Administration: billing",
    responses((status = 200, body = BillingSettings)))]
async fn show_settings(State(app): State<App>, _: Admin) -> Result<Json<BillingSettings>> {
    Ok(Json(settings::get(&app).await?))
}

/// Replace what the operator decides about money
///
/// Prices of traffic count for what begins or changes from then on.
#[utoipa::path(put, path = "/api/v1/admin/billing/settings", tag = "Administration: billing", request_body = BillingSettings,
    responses((status = 200, body = BillingSettings), (status = 422, description = "A value is out of its range.", body = Problem)))]
async fn update_settings(
    State(app): State<App>,
    Admin(actor): Admin,
    Json(wanted): Json<BillingSettings>,
) -> Result<Json<BillingSettings>> {
    settings::update(&app, &actor, &wanted).await?;
    Ok(Json(wanted))
}

/// All invoices, the newest first
#[utoipa::path(get, path = "/api/v1/admin/invoices", tag = "Administration: billing", params(PageParams),
    responses((status = 200, body = Listed<InvoiceView>)))]
async fn list_invoices(
    State(app): State<App>,
    _: Admin,
    paging: Paging<InvoiceId>,
) -> Result<Json<Listed<InvoiceView>>> {
    let mut tx = app.db.begin_platform().await?;
    let rows = db::invoices::list(&mut tx, None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |invoice| {
        let invoice: &invoices::Invoice = invoice;
        invoice.id.to_string()
    });
    Ok(Json(listed.map(|invoice| (&invoice).into())))
}

/// One invoice of any customer
#[utoipa::path(get, path = "/api/v1/admin/invoices/{id}", tag = "Administration: billing",
    params(("id" = InvoiceId, Path, description = "`bill_…`")),
    responses((status = 200, body = InvoiceDetail), (status = 404, description = "There is no such invoice.", body = Problem)))]
async fn show_invoice(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<InvoiceDetail>> {
    Ok(Json(portal::detail(&app, &actor, None, id.parse()?).await?))
}

/// Give back a part of an invoice
///
/// Writes a credit note with a number of its own; an invoice is never changed.
#[utoipa::path(post, path = "/api/v1/admin/invoices/{id}/credit-notes", tag = "Administration: billing",
    params(("id" = InvoiceId, Path, description = "`bill_…`"), IdempotencyParams), request_body = NewCreditNote,
    responses((status = 201, body = InvoiceDetail), Refusals))]
async fn credit(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(new): Json<NewCreditNote>,
) -> Result<(StatusCode, Json<InvoiceDetail>)> {
    let id = id.parse()?;
    invoices::credit(&app, &actor, id, &new).await?;
    Ok((StatusCode::CREATED, Json(portal::detail(&app, &actor, None, id).await?)))
}

/// How a customer's account stands
#[utoipa::path(get, path = "/api/v1/admin/customers/{id}/billing", tag = "Administration: billing",
    params(("id" = TenantId, Path, description = "`ten_…`")),
    responses((status = 200, body = AccountView), (status = 404, description = "There is no such customer.", body = Problem)))]
async fn show_account(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<AccountView>> {
    let mut tx = app.db.begin_platform().await?;
    Ok(Json(AccountView::try_from(&standing::of(&mut tx, id.parse()?).await?)?))
}

/// Set the terms of a customer's account
///
/// The currency can be changed until there is a first entry.
#[utoipa::path(put, path = "/api/v1/admin/customers/{id}/billing", tag = "Administration: billing",
    params(("id" = TenantId, Path, description = "`ten_…`")), request_body = AccountTerms,
    responses((status = 200, body = AccountView), Refusals))]
async fn set_terms(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(terms): Json<AccountTerms>,
) -> Result<Json<AccountView>> {
    accounts::set_terms(&app, &actor, id.parse()?, &terms).await?;
    show_account(State(app), Admin(actor), Path(id)).await
}

/// A customer's entries, the newest first
#[utoipa::path(get, path = "/api/v1/admin/customers/{id}/entries", tag = "Administration: billing",
    params(("id" = TenantId, Path, description = "`ten_…`"), PageParams),
    responses((status = 200, body = Listed<EntryView>)))]
async fn list_entries(
    State(app): State<App>,
    _: Admin,
    Path(id): Path<String>,
    paging: Paging<i64>,
) -> Result<Json<Listed<EntryView>>> {
    let mut tx = app.db.begin_platform().await?;
    let rows = db::accounts::entries(&mut tx, id.parse()?, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |entry: &db::accounts::Entry| entry.id.to_string());
    Ok(Json(listed.map(EntryView::from)))
}

/// Record a payment, a refund, a credit or a chargeback
///
/// A payment that settles what is overdue lifts the suspension at once.
#[utoipa::path(post, path = "/api/v1/admin/customers/{id}/entries", tag = "Administration: billing",
    params(("id" = TenantId, Path, description = "`ten_…`"), IdempotencyParams), request_body = ManualEntry,
    responses((status = 201, body = AccountView), Refusals))]
async fn enter(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(entry): Json<ManualEntry>,
) -> Result<(StatusCode, Json<AccountView>)> {
    accounts::enter_by_hand(&app, &actor, id.parse()?, &entry).await?;
    Ok((StatusCode::CREATED, show_account(State(app), Admin(actor), Path(id)).await?))
}

/// What an instance was, from when to when.
#[derive(Serialize, ToSchema)]
struct LedgerView {
    instance_id: InstanceId,
    name: String,
    intervals: Vec<IntervalView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LedgerInterval)]
struct IntervalView {
    n: i32,
    /// `sold`, `trial`, `external` (sold by a billing system of the operator's), `suspended` (sold, and free while the account
    /// is suspended for money), or `retained`: deleted, and kept for the grace period.
    kind: &'static str,
    plan_en: String,
    plan_zh: String,
    plan_version: i32,
    /// Millionths of the currency an hour.
    hour_micro: i64,
    /// Cents or fen a month.
    month: i64,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    since: OffsetDateTime,
    /// Absent while it lasts.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<OffsetDateTime>,
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sold => "sold",
        Kind::Trial => "trial",
        Kind::Retained => "retained",
        Kind::External => "external",
        Kind::Suspended => "suspended",
    }
}

impl From<Metered> for LedgerView {
    fn from(metered: Metered) -> Self {
        let intervals = metered.intervals.iter().zip(metered.plans);
        Self {
            instance_id: metered.instance,
            name: metered.name,
            intervals: intervals
                .map(|(interval, plan)| IntervalView {
                    n: interval.n,
                    kind: kind_name(interval.kind),
                    plan_en: plan.name_en,
                    plan_zh: plan.name_zh,
                    plan_version: plan.version,
                    hour_micro: interval.price.hour_micro,
                    month: interval.price.month,
                    since: at(interval.since),
                    until: interval.until.map(at),
                })
                .collect(),
        }
    }
}

/// The ledger of an instance
#[utoipa::path(get, path = "/api/v1/admin/instances/{id}/ledger", tag = "Administration: billing",
    params(("id" = InstanceId, Path, description = "`vm_…`")),
    responses((status = 200, body = LedgerView), (status = 404, description = "It was never metered.", body = Problem)))]
async fn ledger(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<LedgerView>> {
    let mut tx = app.db.begin_platform().await?;
    let metered = db::ledger::of_instance(&mut tx, id.parse()?).await?.ok_or(Error::NotFound)?;
    Ok(Json(metered.into()))
}

/// A voucher that was just made.
#[derive(Serialize, ToSchema)]
struct VoucherView {
    /// Told only now.
    #[schema(example = "7KQ2M-4RXPB-9HTWC-E6N3F")]
    code: String,
}

/// Make a voucher
#[utoipa::path(post, path = "/api/v1/admin/vouchers", tag = "Administration: billing", params(IdempotencyParams),
    request_body = NewVoucher, responses((status = 201, body = VoucherView), Refusals))]
async fn create_voucher(
    State(app): State<App>,
    Admin(actor): Admin,
    Json(new): Json<NewVoucher>,
) -> Result<(StatusCode, Json<VoucherView>)> {
    let code = vouchers::create(&app, &actor, &new).await?;
    Ok((StatusCode::CREATED, Json(VoucherView { code })))
}
