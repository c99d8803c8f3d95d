//! Accounts of customers: entries, and what they come to.
//!
//! An entry moves an amount from one account to another: what a customer pays goes from `bank` to `customer`, what an invoice
//! asks for from `customer` to `revenue` and `tax`.  Thus the sum over all accounts is always zero, and a customer's
//! balance is the sum of their entries; it is stored nowhere, so that it cannot be changed without one.

use super::db;
use super::dunning::Stage;
use super::money::{Currency, Money};
use super::{entitlement, settings};
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::{InvoiceId, TenantId};
use crate::state::App;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

#[derive(Clone, Debug)]
pub struct Account {
    pub tenant: TenantId,
    pub tenant_name: String,
    pub currency: Currency,
    pub prepaid: bool,
    /// Instead of the operator's; hundredths of a percent.
    pub tax_rate: Option<i32>,
    /// As it stands on invoices; the tenant's name when empty.
    pub billed_to: String,
    pub stage: Stage,
    pub overdue_since: Option<OffsetDateTime>,
    pub suspended_here: bool,
    pub entitlement_version: i64,
    pub low_balance_told: bool,
    /// How far below zero it may go, in minor units, if somebody decided that for this account.
    pub credit_limit: Option<i64>,
    /// The notice about the runway that was sent last, in days.
    pub runway_told: Option<i32>,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Came in.
    Payment,
    /// Went back.
    Refund,
    /// Taken back by the payer's bank, or given back after that.
    Chargeback,
    /// A gift.
    Credit,
    Voucher,
    Invoice,
    Tax,
    CreditNote,
}

impl EntryKind {
    pub const ALL: [Self; 8] = [
        Self::Payment,
        Self::Refund,
        Self::Chargeback,
        Self::Credit,
        Self::Voucher,
        Self::Invoice,
        Self::Tax,
        Self::CreditNote,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Chargeback => "chargeback",
            Self::Credit => "credit",
            Self::Voucher => "voucher",
            Self::Invoice => "invoice",
            Self::Tax => "tax",
            Self::CreditNote => "credit_note",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Where the other side of the customer's account is.
    const fn other(self) -> &'static str {
        match self {
            Self::Payment | Self::Refund | Self::Chargeback => "bank",
            Self::Credit | Self::Voucher => "goodwill",
            Self::Invoice | Self::CreditNote => "revenue",
            Self::Tax => "tax",
        }
    }
}

/// A movement of money.  What is above zero is the customer's gain.
pub struct NewEntry<'a> {
    pub tenant: TenantId,
    pub kind: EntryKind,
    pub amount: Money,
    /// What must not be entered twice.
    pub reference: &'a str,
    pub note: &'a str,
    pub invoice: Option<InvoiceId>,
    pub actor: &'a str,
}

/// Writes an entry.  Nothing moves nothing, and leaves no entry.  A payment opens an account that never was open for orders.
pub async fn enter(tx: &mut Tx, entry: &NewEntry<'_>) -> Result<()> {
    let (debit, credit) = match entry.amount.minor {
        0 => return Ok(()),
        minor if minor > 0 => (entry.kind.other(), "customer"),
        _ => ("customer", entry.kind.other()),
    };
    db::accounts::insert_entry(tx, entry, debit, credit).await.map_err(|error| match violated_constraint(
        &error,
    ) {
        Some("account_entries_once") => Error::invalid("reference", "reference-taken"),
        _ => error.into(),
    })?;
    if entry.kind == EntryKind::Payment {
        open_for_orders(tx, entry.tenant, entry.reference).await?;
    }
    Ok(())
}

/// Opens an account for orders that never was open: an operator who closes one later is not overruled.  Gives whether it did.
pub async fn open_for_orders(tx: &mut Tx, tenant: TenantId, reference: &str) -> Result<bool> {
    let opened = db::accounts::open_for_orders(tx, tenant).await?;
    if opened {
        let source = Source::system("billing");
        record(tx, &source, tenant, "billing.opened_for_orders", json!({ "reference": reference })).await?;
    }
    Ok(opened)
}

/// What an administrator enters by hand.
#[derive(Clone, Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualEntry {
    /// `payment`, `refund`, `credit` or `chargeback`: a transfer that the payer's bank took back, which also closes the
    /// account for orders.
    pub kind: EntryKind,
    /// Cents or fen, above zero.
    #[schema(example = 5000)]
    pub amount: i64,
    /// Must be the customer's.
    pub currency: Currency,
    /// The bank's reference, or another that is used once.
    pub reference: String,
    #[serde(default)]
    pub note: String,
}

const MAX_AMOUNT: i64 = 100_000_000_000;
const MAX_REFERENCE: usize = 200;

impl ManualEntry {
    fn problems(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        if !matches!(
            self.kind,
            EntryKind::Payment | EntryKind::Refund | EntryKind::Chargeback | EntryKind::Credit
        ) {
            problems.push(FieldError::new("kind", "choice"));
        }
        if !(1..=MAX_AMOUNT).contains(&self.amount) {
            problems.push(FieldError::new("amount", "amount"));
        }
        if self.reference.trim().is_empty() {
            problems.push(FieldError::new("reference", "required"));
        }
        for (field, text, max) in
            [("reference", &self.reference, MAX_REFERENCE), ("note", &self.note, settings::MAX_TEXT)]
        {
            if text.chars().count() > max {
                problems.push(FieldError::new(field, "too-long").with("max", max));
            }
        }
        problems
    }
}

/// Records a payment that came by bank, a refund, or a gift; and lifts at once what it settles.
pub async fn enter_by_hand(app: &App, actor: &Actor, tenant: TenantId, manual: &ManualEntry) -> Result<()> {
    let mut problems = manual.problems();
    let mut tx = app.db.begin_platform().await?;
    let account = db::accounts::lock(&mut tx, tenant).await?.ok_or(Error::NotFound)?;
    if manual.currency != account.currency {
        problems
            .push(FieldError::new("currency", "currency-other").with("currency", account.currency.code()));
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let sign = if matches!(manual.kind, EntryKind::Refund | EntryKind::Chargeback) { -1 } else { 1 };
    let entry = NewEntry {
        tenant,
        kind: manual.kind,
        amount: Money::new(manual.currency, sign * manual.amount),
        reference: manual.reference.trim(),
        note: manual.note.trim(),
        invoice: None,
        actor: &actor.email,
    };
    enter(&mut tx, &entry).await?;
    if manual.kind == EntryKind::Chargeback && db::accounts::close_for_orders(&mut tx, tenant).await? {
        let data = json!({ "reference": entry.reference });
        record(&mut tx, &actor.into(), tenant, "billing.closed_for_orders", data).await?;
    }
    let data = json!({ "kind": manual.kind, "amount": entry.amount, "reference": entry.reference });
    record(&mut tx, &actor.into(), tenant, "billing.entry_recorded", data).await?;
    tx.commit().await?;
    entitlement::review(app, tenant).await
}

/// What an administrator decides about an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountTerms {
    /// Can be changed until there is a first entry.
    pub currency: Currency,
    pub prepaid: bool,
    /// Instead of the operator's rate; hundredths of a percent.
    pub tax_rate: Option<i32>,
    /// Name, address and tax number as they stand on invoices; the team's name when empty.
    #[serde(default)]
    pub billed_to: String,
    /// How far below zero the account may go before it is locked, in cents or fen.  Absent: not at all for a prepaid account,
    /// and the platform's limit for a postpaid one.
    #[serde(default)]
    pub credit_limit: Option<i64>,
}

impl From<&Account> for AccountTerms {
    fn from(account: &Account) -> Self {
        Self {
            currency: account.currency,
            prepaid: account.prepaid,
            tax_rate: account.tax_rate,
            billed_to: account.billed_to.clone(),
            credit_limit: account.credit_limit,
        }
    }
}

pub async fn set_terms(app: &App, actor: &Actor, tenant: TenantId, terms: &AccountTerms) -> Result<()> {
    let mut problems = Vec::new();
    if terms.tax_rate.is_some_and(|rate| !(0..=10_000).contains(&rate)) {
        problems.push(FieldError::new("tax_rate", "range").with("min", 0).with("max", 10_000));
    }
    if terms.credit_limit.is_some_and(|limit| !(0..=MAX_AMOUNT).contains(&limit)) {
        problems.push(FieldError::new("credit_limit", "range").with("min", 0).with("max", MAX_AMOUNT));
    }
    if terms.billed_to.chars().count() > settings::MAX_TEXT {
        problems.push(FieldError::new("billed_to", "too-long").with("max", settings::MAX_TEXT));
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let mut tx = app.db.begin_platform().await?;
    let account = db::accounts::lock(&mut tx, tenant).await?.ok_or(Error::NotFound)?;
    let document = |terms: &AccountTerms| serde_json::to_value(terms).map_err(anyhow::Error::from);
    let changes = events::changes(&document(&AccountTerms::from(&account))?, &document(terms)?);
    if changes.is_empty() {
        return Ok(());
    }
    db::accounts::set_terms(&mut tx, tenant, terms).await.map_err(|error| {
        match error.as_database_error().map(|error| error.is_foreign_key_violation()) {
            Some(true) => Error::invalid("currency", "currency-settled"),
            _ => error.into(),
        }
    })?;
    record(&mut tx, &actor.into(), tenant, "billing.account_changed", changes.into()).await?;
    tx.commit().await?;
    // More credit may lift a suspension.
    entitlement::review(app, tenant).await
}

pub async fn record(
    tx: &mut Tx,
    source: &Source,
    tenant: TenantId,
    action: &'static str,
    data: Value,
) -> Result<()> {
    let subject_id = tenant.to_string();
    let event = Event { tenant: Some(tenant), action, subject_kind: "tenant", subject_id: &subject_id, data };
    Ok(events::record(tx, source, event).await?)
}
