//! Money: revenue, who owes, one account, one instance's ledger, and what the operator decides.

use super::form::{Sent, again, field_errors, switch, unprocessable};
use super::next_href;
use crate::auth::Admin;
use crate::billing::accounts::{self, AccountTerms, EntryKind, ManualEntry};
use crate::billing::bill::Metered;
use crate::billing::charges::Kind;
use crate::billing::db;
use crate::billing::db::accounts::Entry;
use crate::billing::db::overview::{Debtor, Revenue};
use crate::billing::dunning::Stage;
use crate::billing::invoices::{self, Invoice, NewCreditNote, invoice_number};
use crate::billing::money::{Currency, Money, parse_amount};
use crate::billing::settings::{self, BillingSettings, Period, QuotaStep};
use crate::billing::standing::{self, Standing, at};
use crate::billing::vouchers::{self, NewVoucher};
use crate::billing::web::{Document, closed_word, entry_word};
use crate::error::{Error, FieldError, Result};
use crate::ids::{InvoiceId, TenantId};
use crate::state::App;
use crate::typed::figure;
use crate::web::flash;
use crate::web::page::Page;
use crate::web::paging::{Listed, Paging};
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use time::OffsetDateTime;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/admin/billing", get(overview))
        .route("/admin/billing/vouchers", post(create_voucher))
        .route("/admin/billing/settings", get(show_settings).post(save_settings))
        .route("/admin/billing/invoices", get(list_invoices))
        .route("/admin/billing/invoices/{id}", get(show_invoice).post(credit))
        .route("/admin/customers/{id}/billing", get(show_account).post(save_terms))
        .route("/admin/customers/{id}/entries", post(enter))
        .route("/admin/instances/{id}/ledger", get(ledger))
}

/// `12.50`: how an amount stands in a form.
fn plain(minor: i64) -> String {
    crate::web::format::money("", minor)
}

fn amount(form: &Sent, name: &'static str, problems: &mut Vec<FieldError>) -> i64 {
    parse_amount(&figure(form.value(name), 2)).unwrap_or_else(|| {
        problems.push(FieldError::new(name, "amount"));
        0
    })
}

fn currency(form: &Sent) -> Result<Currency> {
    Currency::parse(form.trimmed("currency")).ok_or_else(|| Error::invalid("currency", "choice"))
}

fn small(number: i64) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

fn stage_word(page: &Page, stage: Stage) -> String {
    page.t(match stage {
        Stage::Clear => "admin-stage-clear",
        Stage::Reminded => "admin-stage-reminded",
        Stage::Suspended => "admin-stage-suspended",
        Stage::Deleted => "admin-stage-deleted",
    })
}

const fn stage_kind(stage: Stage) -> &'static str {
    match stage {
        Stage::Clear => "running",
        Stage::Reminded => "attention",
        Stage::Suspended | Stage::Deleted => "failed",
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/billing.html")]
struct OverviewPage {
    page: Page,
    revenue: Vec<Revenue>,
    receivables: Vec<Money>,
    debtors: Vec<Debtor>,
    form: Sent,
    errors: Vec<FieldError>,
    /// The code of a voucher that was just made: shown now and never again.
    code: Option<String>,
}

impl OverviewPage {
    async fn load(app: &App, page: Page) -> Result<Self> {
        let pool = app.db.platform();
        Ok(Self {
            revenue: db::overview::revenue(pool).await?,
            receivables: db::overview::receivables(pool).await?,
            debtors: db::overview::debtors(pool).await?,
            form: Sent::from([("opens_orders", switch(true))]),
            errors: Vec::new(),
            code: None,
            page,
        })
    }

    fn month(&self, row: &Revenue) -> String {
        row.month.strftime("%Y-%m").to_string()
    }

    fn word(&self, stage: &Stage) -> String {
        stage_word(&self.page, *stage)
    }

    fn kind(&self, stage: &Stage) -> &'static str {
        stage_kind(*stage)
    }
}

async fn overview(State(app): State<App>, _: Admin, page: Page) -> Result<OverviewPage> {
    OverviewPage::load(&app, page).await
}

fn read_voucher(form: &Sent) -> Result<NewVoucher> {
    let mut problems = Vec::new();
    let currency = currency(form)?;
    let amount = amount(form, "amount", &mut problems);
    let valid_days = match form.trimmed("valid_days") {
        "" => None,
        _ => Some(small(form.number("valid_days", &mut problems))),
    };
    if problems.is_empty() {
        Ok(NewVoucher { currency, amount, valid_days, opens_orders: form.on("opens_orders") })
    } else {
        Err(Error::Invalid(problems))
    }
}

async fn create_voucher(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let made = match read_voucher(&form) {
        Ok(new) => vouchers::create(&app, &actor, &new).await,
        Err(error) => Err(error),
    };
    let fresh = OverviewPage::load(&app, page).await?;
    match made {
        Ok(code) => Ok(OverviewPage { code: Some(code), ..fresh }.into_response()),
        Err(error) => {
            let errors = field_errors(error)?;
            Ok(unprocessable(OverviewPage { form, errors, ..fresh }))
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/billing_settings.html")]
struct SettingsPage {
    page: Page,
    form: Sent,
    errors: Vec<FieldError>,
}

async fn show_settings(State(app): State<App>, _: Admin, page: Page) -> Result<SettingsPage> {
    let settings = settings::get(&app).await?;
    let form = Sent::from([
        ("first_month", settings.first_month.unwrap_or_default()),
        ("time_zone", settings.time_zone),
        ("currency", settings.currency.code().to_owned()),
        ("prepaid", switch(settings.prepaid)),
        ("tax_rate", plain(settings.tax_rate.into())),
        ("tax_included", switch(settings.tax_included)),
        ("traffic_usd_micro", settings.traffic_usd_micro.to_string()),
        ("traffic_cny_micro", settings.traffic_cny_micro.to_string()),
        ("issuer", settings.issuer),
        ("due_days", settings.due_days.to_string()),
        ("remind_days", settings.remind_days.to_string()),
        ("suspend_days", settings.suspend_days.to_string()),
        ("delete_days", settings.delete_days.to_string()),
        ("low_balance_usd", plain(settings.low_balance_usd)),
        ("low_balance_cny", plain(settings.low_balance_cny)),
        ("first_period", settings.first_period.name().to_owned()),
        ("credit_limit_usd", plain(settings.credit_limit_usd)),
        ("credit_limit_cny", plain(settings.credit_limit_cny)),
        ("quota_steps", steps_text(&settings.quota_steps)),
    ]);
    Ok(SettingsPage { page, form, errors: Vec::new() })
}

/// Each step on a line: paid in dollars and in yuan, then instances, vCPUs, MiB of memory and MiB of disk.
fn steps_text(steps: &[QuotaStep]) -> String {
    let line = |step: &QuotaStep| {
        let QuotaStep { paid_usd, paid_cny, instances, vcpus, memory_mib, disk_mib } = step;
        format!("{} {} {instances} {vcpus} {memory_mib} {disk_mib}", plain(*paid_usd), plain(*paid_cny))
    };
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads [`steps_text`].
fn read_steps(text: &str) -> Option<Vec<QuotaStep>> {
    let step = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [paid_usd, paid_cny, instances, vcpus, memory, disk] = fields[..] else { return None };
        Some(QuotaStep {
            paid_usd: parse_amount(paid_usd)?,
            paid_cny: parse_amount(paid_cny)?,
            instances: instances.parse().ok()?,
            vcpus: vcpus.parse().ok()?,
            memory_mib: memory.parse().ok()?,
            disk_mib: disk.parse().ok()?,
        })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(step).collect()
}

fn read_settings(form: &Sent) -> Result<BillingSettings> {
    let mut problems = Vec::new();
    let currency = currency(form)?;
    let tax_rate = small(amount(form, "tax_rate", &mut problems));
    let low_balance_usd = amount(form, "low_balance_usd", &mut problems);
    let low_balance_cny = amount(form, "low_balance_cny", &mut problems);
    let credit_limit_usd = amount(form, "credit_limit_usd", &mut problems);
    let credit_limit_cny = amount(form, "credit_limit_cny", &mut problems);
    let first_period = Period::parse(form.trimmed("first_period")).unwrap_or_else(|| {
        problems.push(FieldError::new("first_period", "choice"));
        Period::Day
    });
    let quota_steps = read_steps(form.trimmed("quota_steps")).unwrap_or_else(|| {
        problems.push(FieldError::new("quota_steps", "quota-steps").with("max", 20));
        Vec::new()
    });
    let mut whole = |name| form.number(name, &mut problems);
    let settings = BillingSettings {
        first_month: Some(form.trimmed("first_month").to_owned()).filter(|month| !month.is_empty()),
        time_zone: form.trimmed("time_zone").to_owned(),
        currency,
        prepaid: form.on("prepaid"),
        tax_rate,
        tax_included: form.on("tax_included"),
        traffic_usd_micro: whole("traffic_usd_micro"),
        traffic_cny_micro: whole("traffic_cny_micro"),
        issuer: form.trimmed("issuer").to_owned(),
        due_days: small(whole("due_days")),
        remind_days: small(whole("remind_days")),
        suspend_days: small(whole("suspend_days")),
        delete_days: small(whole("delete_days")),
        low_balance_usd,
        low_balance_cny,
        first_period,
        credit_limit_usd,
        credit_limit_cny,
        quota_steps,
    };
    if problems.is_empty() { Ok(settings) } else { Err(Error::Invalid(problems)) }
}

async fn save_settings(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let saved = match read_settings(&form) {
        Ok(wanted) => settings::update(&app, &actor, &wanted).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(()) => Ok(flash::redirect("/admin/billing/settings", "billing-settings-saved")),
        Err(error) => again(error, |errors| SettingsPage { page, form, errors }),
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/invoices.html")]
struct InvoicesPage {
    page: Page,
    invoices: Vec<Invoice>,
    next: String,
}

impl InvoicesPage {
    fn number(&self, invoice: &Invoice) -> String {
        invoice_number(invoice.number)
    }

    fn month(&self, invoice: &Invoice) -> String {
        invoice.month.strftime("%Y-%m").to_string()
    }
}

async fn list_invoices(
    State(app): State<App>,
    _: Admin,
    page: Page,
    paging: Paging<InvoiceId>,
) -> Result<InvoicesPage> {
    let mut tx = app.db.begin_platform().await?;
    let rows = db::invoices::list(&mut tx, None, paging.after, paging.fetch()).await?;
    let listed = Listed::new(rows, &paging, |invoice: &Invoice| invoice.id.to_string());
    let next = next_href("/admin/billing/invoices", &[], &listed);
    Ok(InvoicesPage { page, invoices: listed.items, next })
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/invoice.html")]
struct InvoicePage {
    page: Page,
    document: Document,
    form: Sent,
    errors: Vec<FieldError>,
}

async fn show_invoice(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Path(id): Path<String>,
) -> Result<InvoicePage> {
    let document = Document::load(&app, &page, None, id.parse()?).await?;
    Ok(InvoicePage { page, document, form: Sent::default(), errors: Vec::new() })
}

async fn credit(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let invoice: InvoiceId = id.parse()?;
    // What is no amount is refused like one that does not fit.
    let new = NewCreditNote {
        amount: parse_amount(&figure(form.value("amount"), 2)).unwrap_or(0),
        reason: form.trimmed("reason").to_owned(),
    };
    match invoices::credit(&app, &actor, invoice, &new).await {
        Ok(_) => Ok(flash::redirect(&format!("/admin/billing/invoices/{id}"), "credit-note-written")),
        Err(error) => {
            let errors = field_errors(error)?;
            let document = Document::load(&app, &page, None, invoice).await?;
            Ok(unprocessable(InvoicePage { page, document, form, errors }))
        }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/account.html")]
struct AccountPage {
    page: Page,
    id: TenantId,
    standing: Standing,
    available: Money,
    spendable: Money,
    /// Why orders are refused; "" for none.
    closed: String,
    entries: Vec<Entry>,
    invoices: Vec<Invoice>,
    form: Sent,
    errors: Vec<FieldError>,
}

/// Entries and invoices on the page; the API has all of them.
const SHOWN: i64 = 50;

impl AccountPage {
    async fn load(app: &App, page: Page, id: TenantId) -> Result<Self> {
        let mut tx = app.db.begin_platform().await?;
        let standing = standing::of(&mut tx, id).await?;
        let account = &standing.account;
        let form = Sent::from([
            ("currency", account.currency.code().to_owned()),
            ("prepaid", switch(account.prepaid)),
            ("tax_rate", account.tax_rate.map(|rate| plain(rate.into())).unwrap_or_default()),
            ("billed_to", account.billed_to.clone()),
            ("credit_limit", account.credit_limit.map(plain).unwrap_or_default()),
        ]);
        Ok(Self {
            available: standing.available()?,
            spendable: standing.spendable()?,
            closed: closed_word(&page, &standing),
            entries: db::accounts::entries(&mut tx, id, None, SHOWN).await?,
            invoices: db::invoices::list(&mut tx, Some(id), None, SHOWN).await?,
            errors: Vec::new(),
            id,
            standing,
            form,
            page,
        })
    }

    /// The same page with what was typed and what is wrong with it.
    async fn refused(app: &App, page: Page, id: TenantId, form: Sent, error: Error) -> Result<Response> {
        let errors = field_errors(error)?;
        let fresh = Self::load(app, page, id).await?;
        let form = fresh.form.clone().with(form);
        Ok(unprocessable(Self { form, errors, ..fresh }))
    }

    fn entry_word(&self, entry: &Entry) -> String {
        entry_word(&self.page, entry.kind)
    }

    fn number(&self, invoice: &Invoice) -> String {
        invoice_number(invoice.number)
    }

    fn word(&self) -> String {
        stage_word(&self.page, self.standing.account.stage)
    }

    fn kind(&self) -> &'static str {
        stage_kind(self.standing.account.stage)
    }
}

async fn show_account(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Path(id): Path<String>,
) -> Result<AccountPage> {
    AccountPage::load(&app, page, id.parse()?).await
}

fn read_terms(form: &Sent) -> Result<AccountTerms> {
    let mut problems = Vec::new();
    let tax_rate = match form.trimmed("tax_rate") {
        "" => None,
        _ => Some(small(amount(form, "tax_rate", &mut problems))),
    };
    let credit_limit = match form.trimmed("credit_limit") {
        "" => None,
        _ => Some(amount(form, "credit_limit", &mut problems)),
    };
    let terms = AccountTerms {
        currency: currency(form)?,
        prepaid: form.on("prepaid"),
        tax_rate,
        billed_to: form.trimmed("billed_to").to_owned(),
        credit_limit,
    };
    if problems.is_empty() { Ok(terms) } else { Err(Error::Invalid(problems)) }
}

async fn save_terms(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let tenant = id.parse()?;
    let saved = match read_terms(&form) {
        Ok(terms) => accounts::set_terms(&app, &actor, tenant, &terms).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(()) => Ok(flash::redirect(&format!("/admin/customers/{id}/billing"), "account-saved")),
        Err(error) => AccountPage::refused(&app, page, tenant, form, error).await,
    }
}

fn read_entry(form: &Sent) -> Result<ManualEntry> {
    let mut problems = Vec::new();
    let amount = amount(form, "amount", &mut problems);
    let kind = EntryKind::parse(form.trimmed("kind")).ok_or_else(|| Error::invalid("kind", "choice"))?;
    let entry = ManualEntry {
        kind,
        amount,
        currency: currency(form)?,
        reference: form.trimmed("reference").to_owned(),
        note: form.trimmed("note").to_owned(),
    };
    if problems.is_empty() { Ok(entry) } else { Err(Error::Invalid(problems)) }
}

async fn enter(
    State(app): State<App>,
    Admin(actor): Admin,
    page: Page,
    Path(id): Path<String>,
    Form(form): Form<Sent>,
) -> Result<Response> {
    let tenant = id.parse()?;
    let entered = match read_entry(&form) {
        Ok(entry) => accounts::enter_by_hand(&app, &actor, tenant, &entry).await,
        Err(error) => Err(error),
    };
    match entered {
        Ok(()) => Ok(flash::redirect(&format!("/admin/customers/{id}/billing"), "entry-recorded")),
        Err(error) => AccountPage::refused(&app, page, tenant, form, error).await,
    }
}

struct IntervalView {
    kind: &'static str,
    title: String,
    price: String,
    since: OffsetDateTime,
    until: Option<OffsetDateTime>,
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/ledger.html")]
struct LedgerPage {
    page: Page,
    id: String,
    name: String,
    intervals: Vec<IntervalView>,
}

fn interval_views(page: &Page, metered: &Metered) -> Vec<IntervalView> {
    let intervals = metered.intervals.iter().zip(&metered.plans);
    let view = |(interval, plan): (&crate::billing::charges::Interval, &crate::billing::bill::Plan)| {
        let (kind, word) = match interval.kind {
            Kind::Sold => ("running", "admin-ledger-sold"),
            Kind::Trial => ("working", "admin-ledger-trial"),
            Kind::Retained => ("stopped", "admin-ledger-retained"),
            Kind::External => ("running", "admin-ledger-external"),
            Kind::Suspended => ("stopped", "admin-ledger-suspended"),
        };
        let name = match page.language {
            crate::web::language::Language::English => &plan.name_en,
            crate::web::language::Language::Chinese => &plan.name_zh,
        };
        let price = interval.price;
        let month = Money::new(price.currency, price.month);
        IntervalView {
            kind,
            title: page.t2(word, "plan", name, "version", plan.version),
            price: if price.hour_micro == 0 {
                page.t1("admin-ledger-monthly", "month", month)
            } else {
                let hour = price.hour_micro as f64 / 1e6;
                page.t2("admin-ledger-hourly", "hour", format!("{hour:.6}"), "month", month)
            },
            since: at(interval.since),
            until: interval.until.map(at),
        }
    };
    intervals.map(view).rev().collect()
}

async fn ledger(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<LedgerPage> {
    let mut tx = app.db.begin_platform().await?;
    let instance = id.parse()?;
    let name = crate::instances::db::name(&mut tx, instance).await?.ok_or(Error::NotFound)?;
    let metered = db::ledger::of_instance(&mut tx, instance).await?;
    let intervals = metered.map(|metered| interval_views(&page, &metered)).unwrap_or_default();
    Ok(LedgerPage { page, id, name, intervals })
}
