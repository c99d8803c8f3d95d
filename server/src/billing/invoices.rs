//! Invoices and credit notes.
//!
//! After a month has ended, every customer gets one invoice: what was used in it, and what is charged in advance of
//! the next one.  They are written some at a time, in one transaction with how far the run has come, in the order of
//! customers.  So a run may be cut off anywhere, and whoever goes on gives the same numbers to the same customers.

use super::accounts::{self, Account, EntryKind, NewEntry};
use super::bill::{self, Line};
use super::calendar::Month;
use super::db;
use super::entitlement;
use super::money::{Money, Taxed, taxed};
use super::settings::{self, BillingSettings};
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result};
use crate::events::Source;
use crate::ids::{CreditNoteId, InvoiceId, TenantId};
use crate::mail;
use crate::set_aside::{self, Item, Kind};
use crate::state::App;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

#[derive(Clone, Debug)]
pub struct Invoice {
    pub id: InvoiceId,
    pub number: i64,
    pub tenant: TenantId,
    pub tenant_name: String,
    pub month: jiff::civil::Date,
    /// In which the month began and ended.
    pub time_zone: String,
    pub issued_at: OffsetDateTime,
    pub due_at: OffsetDateTime,
    pub net: Money,
    pub tax: Money,
    pub total: Money,
    /// Hundredths of a percent.
    pub tax_rate: i32,
    pub tax_included: bool,
    pub issuer: String,
    pub billed_to: String,
}

#[derive(Clone, Debug)]
pub struct CreditNote {
    pub id: CreditNoteId,
    pub number: i64,
    pub issued_at: OffsetDateTime,
    pub net: Money,
    pub tax: Money,
    pub total: Money,
    pub reason: String,
}

/// `INV-000042`.
pub fn invoice_number(number: i64) -> String {
    format!("INV-{number:06}")
}

/// `CN-000007`.
pub fn credit_note_number(number: i64) -> String {
    format!("CN-{number:06}")
}

/// Reports that are being written when a month ends are in the ledger long before this many seconds have passed: no
/// transaction of ours lives longer than a minute and a half.
const SETTLED: i64 = 600;

/// Customers in one transaction: few enough to hold the numbers for a moment only.
const BATCH: i64 = 20;

/// Makes all invoices that are due.  Replicas take turns.
pub async fn run(app: &App) -> Result<()> {
    while let Some(month) = due(app).await? {
        tracing::info!(month = month.name(), "making invoices");
        while next(app, &month).await? {}
    }
    retry(app).await
}

/// How an invoice that could not be made is known: its month and its customer.
fn aside(month: &Month, tenant: TenantId) -> Item {
    Item::new(Kind::Invoice, format!("{} {}", month.name(), tenant.uuid())).tenant(tenant)
}

/// Makes those that could not be made in their turn.  They get the numbers that are next now.
async fn retry(app: &App) -> Result<()> {
    let mut due = set_aside::db::due(app.db.platform(), Kind::Invoice, BATCH).await?;
    // A customer's months follow each other: what is charged in advance depends on what was billed before.
    due.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    for (subject, _, _) in due {
        let Some((name, id)) = subject.split_once(' ') else { continue };
        let (Some(first), Ok(tenant)) = (Month::parse(name), id.parse().map(TenantId::from_uuid)) else {
            continue;
        };
        let mut tx = app.db.begin_platform().await?;
        let settings = db::settings(&mut *tx).await?;
        if !set_aside::db::lock(&mut tx, Kind::Invoice, &subject).await? {
            continue;
        }
        let month = Month::of(first, &settings.zone()).map_err(anyhow::Error::from)?;
        if issue_alone(&mut tx, app, &settings, tenant, &month).await? {
            set_aside::db::remove_in(&mut tx, Kind::Invoice, &subject).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// One customer's invoice.  False: it could not be made, which is noted, and its number goes to the next customer.
async fn issue_alone(
    tx: &mut Tx,
    app: &App,
    settings: &BillingSettings,
    tenant: TenantId,
    month: &Month,
) -> Result<bool> {
    tx.begin_part().await?;
    let made = match set_aside::db::waits_for_earlier(tx, Kind::Invoice, tenant, &month.name()).await? {
        false => set_aside::caught(issue(tx, app, settings, tenant, month)).await,
        true => Err(Error::Internal(anyhow::anyhow!("an earlier invoice of this customer is not made yet"))),
    };
    match made {
        Ok(()) => {
            tx.keep_part().await?;
            Ok(true)
        }
        Err(error) if error.is_outage() => Err(error),
        Err(error) => {
            tx.undo_part().await?;
            set_aside::note_in(tx, app, &aside(month, tenant), &error).await?;
            Ok(false)
        }
    }
}

/// The earliest month that has ended and whose invoices are not all made.
async fn due(app: &App) -> Result<Option<Month>> {
    let settings = settings::get(app).await?;
    let zone = settings.zone();
    let mut tx = app.db.begin_platform().await?;
    let Some(first) = settings.begins() else { return Ok(None) };
    let month = match db::invoices::last_run(&mut tx).await? {
        Some((last, false)) => Month::of(last, &zone),
        Some((last, true)) if last >= first => Month::of(last, &zone).and_then(|month| month.next(&zone)),
        _ => Month::of(first, &zone),
    };
    let month = month.map_err(anyhow::Error::from)?;
    let now = db::now(&mut tx).await?.unix_timestamp();
    Ok((month.end + SETTLED <= now).then_some(month))
}

/// The invoices of some customers; false when there are none left to make.
async fn next(app: &App, month: &Month) -> Result<bool> {
    let mut tx = app.db.begin_platform().await?;
    let settings = db::settings(&mut *tx).await?;
    // The row of the run is locked until the end: one at a time, in order.
    let Some(after) = db::invoices::lock_run(&mut tx, month.first, &settings.time_zone).await? else {
        return Ok(false);
    };
    let tenants = db::invoices::next_tenants(&mut tx, after, month.end, BATCH).await?;
    for tenant in &tenants {
        issue_alone(&mut tx, app, &settings, *tenant, month).await?;
    }
    db::invoices::note_run(&mut tx, month.first, tenants.last().copied()).await?;
    tx.commit().await?;
    Ok(!tenants.is_empty())
}

/// The lines of a customer's invoice of a month, as they were or would be at its end.
pub async fn lines(tx: &mut Tx, tenant: TenantId, month: &Month, zone: &TimeZone) -> Result<Vec<Line>> {
    let next = month.next(zone).map_err(anyhow::Error::from)?;
    let begins = db::settings(&mut **tx).await?.begins();
    let (metered, months) = metered(tx, tenant, [*month, next], begins, zone).await?;
    let from = months.first().map_or(month.first, |month| month.first);
    let billed = db::invoices::billed(tx, tenant, from, Some(month.first)).await?;
    let lines = bill::lines(&metered, &months, &billed, month.end);
    Ok(lines.map_err(anyhow::Error::from)?)
}

/// What a customer had in two months, and in those before for which a deletion that was undone in the two is owed; with
/// all these months.  Bills begin with the first month that the operator chose.
async fn metered(
    tx: &mut Tx,
    tenant: TenantId,
    two: [Month; 2],
    begins: Option<jiff::civil::Date>,
    zone: &TimeZone,
) -> Result<(Vec<bill::Metered>, Vec<Month>)> {
    let previous = |month: &Month| month.previous(zone).ok();
    let earlier = std::iter::successors(previous(&two[0]), previous)
        .take_while(|month| begins.is_some_and(|first| first <= month.first));
    let metered = db::ledger::of_tenant(tx, tenant, two[0].start, two[1].end).await?;
    let months = bill::months(&metered, earlier, two);
    let from = months.first().map_or(two[0].start, |month| month.start);
    if from == two[0].start {
        return Ok((metered, months));
    }
    // What else there was in a month decides what a part of it costs.
    Ok((db::ledger::of_tenant(tx, tenant, from, two[1].end).await?, months))
}

async fn issue(
    tx: &mut Tx,
    app: &App,
    settings: &BillingSettings,
    tenant: TenantId,
    month: &Month,
) -> Result<()> {
    let lines = lines(tx, tenant, month, &settings.zone()).await?;
    if lines.is_empty() {
        return Ok(());
    }
    let account = db::accounts::lock(tx, tenant).await?.ok_or(Error::NotFound)?;
    let amounts = lines.iter().map(|line| line.amount);
    let sum = Money::sum(account.currency, amounts).map_err(anyhow::Error::from)?;
    let rate = account.tax_rate.unwrap_or(settings.tax_rate);
    let taxed = taxed(sum.minor, rate, settings.tax_included);
    let id = InvoiceId::new();
    let number = db::invoices::take_number(tx, "invoice").await?;
    let new = db::invoices::NewInvoice { id, number, account: &account, month, settings, rate, taxed };
    let due_at = db::invoices::insert(tx, &new).await?;
    db::invoices::insert_lines(tx, id, tenant, &lines).await?;
    let reference = id.to_string();
    let owed = Taxed { net: -taxed.net, tax: -taxed.tax };
    let entries = Entries { account: &account, invoice: id, reference: &reference, actor: "invoices" };
    entries.enter(tx, EntryKind::Invoice, owed, &invoice_number(number)).await?;
    let total = Money::new(account.currency, taxed.total());
    let data = json!({ "invoice_id": id, "number": invoice_number(number), "total": total,
        "due_at": due_at.unix_timestamp() });
    accounts::record(tx, &Source::system("invoices"), tenant, "invoice.issued", data).await?;
    let facts = [("number", invoice_number(number)), ("total", total.to_string()), ("month", month.name())];
    entitlement::tell(tx, app, tenant, mail::Kind::InvoiceIssued, &facts).await
}

/// The two entries of a document: what it says, and the tax in it.
struct Entries<'a> {
    account: &'a Account,
    invoice: InvoiceId,
    reference: &'a str,
    actor: &'a str,
}

impl Entries<'_> {
    async fn enter(&self, tx: &mut Tx, kind: EntryKind, amount: Taxed, note: &str) -> Result<()> {
        for (kind, minor) in [(kind, amount.net), (EntryKind::Tax, amount.tax)] {
            let entry = NewEntry {
                tenant: self.account.tenant,
                kind,
                amount: Money::new(self.account.currency, minor),
                reference: self.reference,
                note,
                invoice: Some(self.invoice),
                actor: self.actor,
            };
            accounts::enter(tx, &entry).await?;
        }
        Ok(())
    }
}

/// What of an invoice is given back, and why.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCreditNote {
    /// Cents or fen, with tax; at most what is left of the invoice.
    pub amount: i64,
    pub reason: String,
}

const MAX_REASON: usize = 500;

/// Gives back a part of an invoice, or all of it.  An invoice itself is never changed.
pub async fn credit(app: &App, actor: &Actor, id: InvoiceId, new: &NewCreditNote) -> Result<CreditNoteId> {
    let mut problems = Vec::new();
    let reason = new.reason.trim();
    if reason.is_empty() {
        problems.push(FieldError::new("reason", "required"));
    } else if reason.chars().count() > MAX_REASON {
        problems.push(FieldError::new("reason", "too-long").with("max", MAX_REASON));
    }
    let mut tx = app.db.begin_platform().await?;
    let invoice = db::invoices::by_id(&mut tx, None, id).await?.ok_or(Error::NotFound)?;
    // The account's lock puts credit notes of one customer in a line.
    let account = db::accounts::lock(&mut tx, invoice.tenant).await?.ok_or(Error::NotFound)?;
    let credited: i64 = db::invoices::credit_notes(&mut tx, invoice.tenant, id)
        .await?
        .iter()
        .map(|note| note.total.minor)
        .sum();
    let left = invoice.total.minor - credited;
    if !(1..=left).contains(&new.amount) {
        problems.push(
            FieldError::new("amount", "credit-too-much").with("left", Money::new(account.currency, left)),
        );
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    // What is given back contains its tax, whichever way the invoice was made.
    let amount = taxed(new.amount, invoice.tax_rate, true);
    let note = CreditNoteId::new();
    let number = db::invoices::take_number(&mut tx, "credit_note").await?;
    db::invoices::insert_credit_note(&mut tx, note, number, &invoice, amount, reason).await?;
    let reference = note.to_string();
    let entries = Entries { account: &account, invoice: id, reference: &reference, actor: &actor.email };
    entries.enter(&mut tx, EntryKind::CreditNote, amount, &credit_note_number(number)).await?;
    let data = json!({ "credit_note_id": note, "number": credit_note_number(number),
        "invoice_id": id, "invoice": invoice_number(invoice.number),
        "total": Money::new(account.currency, new.amount), "reason": reason });
    accounts::record(&mut tx, &actor.into(), invoice.tenant, "invoice.credited", data).await?;
    tx.commit().await?;
    entitlement::review(app, invoice.tenant).await?;
    Ok(note)
}
