//! The customer's pages of money: how the account stands, and invoices to print.

use super::accounts::EntryKind;
use super::bill::Line;
use super::charges::Item;
use super::db::accounts::Entry;
use super::invoices::{CreditNote, Invoice, credit_note_number, invoice_number};
use super::money::Money;
use super::standing::{self, Standing};
use super::{csv, db, payments, vouchers};
use crate::auth::{Actor, Role};
use crate::error::{Error, FieldError, Result};
use crate::ids::{InvoiceId, TenantId};
use crate::state::App;
use crate::web::flash;
use crate::web::language::Language;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::tz::TimeZone;
use serde::Deserialize;
use time::OffsetDateTime;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/billing", get(show))
        .route("/billing/month", get(month))
        .route("/billing/vouchers", post(redeem))
        .route("/billing/lines.csv", get(lines_csv))
        .route("/billing/invoices/{id}", get(invoice))
}

/// A line as people read it.
pub struct LineView {
    pub name: String,
    pub plan: String,
    pub period: String,
    pub quantity: String,
    pub amount: Money,
    pub traffic: bool,
}

impl LineView {
    pub fn new(page: &Page, zone: &TimeZone, line: &Line) -> Self {
        Self {
            name: line.name.clone(),
            plan: match page.language {
                Language::English => line.plan.name_en.clone(),
                Language::Chinese => line.plan.name_zh.clone(),
            },
            period: period(zone, line.since, line.until),
            quantity: match line.item {
                Item::Time => page.t1("billing-hours", "hours", hundredths(line.quantity, 3600)),
                Item::Traffic => format!("{} GiB", hundredths(line.quantity, 1 << 30)),
            },
            amount: line.amount,
            traffic: line.item == Item::Traffic,
        }
    }
}

/// `2026-11-01 00:00 – 2026-11-05 12:30`, where the bills are.
fn period(zone: &TimeZone, since: i64, until: i64) -> String {
    let text = |second| {
        jiff::Timestamp::from_second(second)
            .map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string())
            .unwrap_or_default()
    };
    format!("{} – {}", text(since), text(until))
}

/// `12.5`: a quantity in a larger unit, as it is shown and never as it is charged.
fn hundredths(quantity: i64, unit: i64) -> String {
    let hundredths = super::money::rounded(i128::from(quantity) * 100, i128::from(unit)) as i64;
    crate::web::format::money("", hundredths)
}

/// An entry's kind in words.
pub fn entry_word(page: &Page, kind: EntryKind) -> String {
    page.t(match kind {
        EntryKind::Payment => "billing-entry-payment",
        EntryKind::Refund => "billing-entry-refund",
        EntryKind::Chargeback => "billing-entry-chargeback",
        EntryKind::Credit => "billing-entry-credit",
        EntryKind::Voucher => "billing-entry-voucher",
        EntryKind::Invoice => "billing-entry-invoice",
        EntryKind::Tax => "billing-entry-tax",
        EntryKind::CreditNote => "billing-entry-credit-note",
    })
}

/// Why the account takes no orders, in words; "" where it does.
pub fn closed_word(page: &Page, standing: &Standing) -> String {
    let code = standing.closed().filter(|_| standing.bills());
    code.map(|code| page.t(&format!("orders-closed-{code}"))).unwrap_or_default()
}

/// How long what there is lasts, in words.
fn runway_word(page: &Page, standing: &Standing) -> Result<String> {
    const HOUR: i64 = 3600;
    let words = match standing.runway()? {
        _ if !standing.bills() || !standing.runs_anything() => page.t("billing-runway-nothing"),
        None => page.t("billing-runway-long"),
        Some(..=0) => page.t("billing-runway-over"),
        Some(left) if left < 48 * HOUR => page.t1("billing-runway-hours", "hours", left / HOUR),
        Some(left) => page.t1("billing-runway-days", "days", left / (24 * HOUR)),
    };
    Ok(words)
}

#[derive(Template, WebTemplate)]
#[template(path = "billing/account.html")]
struct AccountPage {
    page: Page,
    standing: Standing,
    available: Money,
    spendable: Money,
    runway: String,
    /// Why orders are refused; "" for none.
    closed: String,
    /// What must be added before all that runs is covered; as it stands in the form of payments, "" for nothing.
    missing: String,
    missing_shown: Money,
    lines: Vec<LineView>,
    entries: Vec<Entry>,
    invoices: Vec<Invoice>,
    /// May redeem vouchers.
    owner: bool,
    /// And can pay through a provider.
    pays_here: bool,
    code: String,
    errors: Vec<FieldError>,
}

/// Entries and invoices on the page; the API has all of them.
const SHOWN: i64 = 24;

impl AccountPage {
    async fn load(app: &App, page: Page, actor: &Actor) -> Result<Self> {
        let mut tx = app.db.tenant(actor.tenant_id).await?;
        let standing = standing::of(&mut tx, actor.tenant_id).await?;
        let zone = standing.settings.zone();
        let owner = actor.role >= Role::Owner;
        let entries = db::accounts::entries(&mut tx, actor.tenant_id, None, SHOWN).await?;
        let invoices = db::invoices::list(&mut tx, Some(actor.tenant_id), None, SHOWN).await?;
        drop(tx);
        Ok(Self {
            pays_here: owner
                && !payments::settings::offered(app, standing.account.currency).await?.is_empty(),
            available: standing.available()?,
            spendable: standing.spendable()?,
            runway: runway_word(&page, &standing)?,
            closed: closed_word(&page, &standing),
            missing: match standing.missing(None)?.minor {
                minor @ 1.. if standing.bills() => crate::web::format::money("", minor),
                _ => String::new(),
            },
            missing_shown: standing.missing(None)?,
            lines: standing.lines.iter().map(|line| LineView::new(&page, &zone, line)).collect(),
            entries,
            invoices,
            owner,
            code: String::new(),
            errors: Vec::new(),
            standing,
            page,
        })
    }

    fn word(&self, entry: &Entry) -> String {
        entry_word(&self.page, entry.kind)
    }

    fn number(&self, invoice: &Invoice) -> String {
        invoice_number(invoice.number)
    }
}

async fn show(State(app): State<App>, page: Page, actor: Actor) -> Result<AccountPage> {
    AccountPage::load(&app, page, &actor).await
}

/// A part of the overview, which asks for it when it is there already.
#[derive(Template, WebTemplate)]
#[template(path = "billing/month.html")]
struct MonthPart {
    standing: Standing,
    spendable: Money,
    /// Why nothing can be spent, or what the figure is.
    note: String,
    page: Page,
}

/// 204 where nobody is billed.
async fn month(State(app): State<App>, page: Page, actor: Actor) -> Result<Response> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let standing = standing::of(&mut tx, actor.tenant_id).await?;
    if standing.settings.begins().is_none_or(|first| first > standing.month.first) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let note = match closed_word(&page, &standing) {
        closed if closed.is_empty() => page.t("billing-spendable-note"),
        closed => closed,
    };
    Ok(MonthPart { spendable: standing.spendable()?, note, standing, page }.into_response())
}

#[derive(Deserialize)]
struct VoucherForm {
    #[serde(default)]
    code: String,
}

async fn redeem(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Form(form): Form<VoucherForm>,
) -> Result<Response> {
    match vouchers::redeem(&app, &actor, &form.code).await {
        Ok(amount) => Ok(flash::redirect_with("/billing", "voucher-redeemed", &amount.to_string())),
        Err(Error::Invalid(errors)) => {
            let fresh = AccountPage::load(&app, page, &actor).await?;
            let refused = AccountPage { code: form.code, errors, ..fresh };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, refused).into_response())
        }
        Err(error) => Err(error),
    }
}

/// All lines of all invoices, for a spreadsheet.
async fn lines_csv(State(app): State<App>, actor: Actor) -> Result<Response> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let lines = db::invoices::lines(&mut tx, actor.tenant_id, None).await?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"invoice-lines.csv\""),
    ];
    Ok((headers, csv::of_lines(&lines)).into_response())
}

/// An invoice with everything that stands on it; portal and administration show the same paper.
pub struct Document {
    pub invoice: Invoice,
    pub number: String,
    pub month: String,
    pub rate: String,
    pub lines: Vec<LineView>,
    pub notes: Vec<CreditNote>,
}

impl Document {
    /// Of one tenant, or for administrators of any.
    pub async fn load(app: &App, page: &Page, tenant: Option<TenantId>, id: InvoiceId) -> Result<Self> {
        let mut tx = match tenant {
            Some(tenant) => app.db.tenant(tenant).await?,
            None => app.db.begin_platform().await?,
        };
        let invoice = db::invoices::by_id(&mut tx, tenant, id).await?.ok_or(Error::NotFound)?;
        let zone = TimeZone::get(&invoice.time_zone).unwrap_or(TimeZone::UTC);
        let lines = db::invoices::lines(&mut tx, invoice.tenant, Some(id)).await?;
        Ok(Self {
            number: invoice_number(invoice.number),
            month: invoice.month.strftime("%Y-%m").to_string(),
            rate: crate::web::format::money("", invoice.tax_rate.into()),
            lines: lines.iter().map(|(_, line)| LineView::new(page, &zone, line)).collect(),
            notes: db::invoices::credit_notes(&mut tx, invoice.tenant, id).await?,
            invoice,
        })
    }

    pub fn note_number(&self, note: &CreditNote) -> String {
        credit_note_number(note.number)
    }

    /// The day, where the bills are.
    pub fn day(&self, at: &OffsetDateTime) -> String {
        let zone = TimeZone::get(&self.invoice.time_zone).unwrap_or(TimeZone::UTC);
        jiff::Timestamp::from_second(at.unix_timestamp())
            .map(|at| at.to_zoned(zone).strftime("%Y-%m-%d").to_string())
            .unwrap_or_default()
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "billing/invoice.html")]
struct InvoicePage {
    page: Page,
    document: Document,
    pays_here: bool,
}

async fn invoice(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<InvoicePage> {
    let document = Document::load(&app, &page, Some(actor.tenant_id), id.parse()?).await?;
    let offered = payments::settings::offered(&app, document.invoice.total.currency).await?;
    Ok(InvoicePage { page, document, pays_here: actor.role >= Role::Owner && !offered.is_empty() })
}
