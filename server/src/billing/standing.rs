//! How a customer stands: what there is, what was used and not billed yet, what the month will come to.

use super::accounts::Account;
use super::bill::{self, Line};
use super::calendar::Month;
use super::db;
use super::money::{Money, taxed};
use super::settings::BillingSettings;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::TenantId;
use time::OffsetDateTime;

#[derive(Clone, Debug)]
pub struct Standing {
    pub account: Account,
    pub settings: BillingSettings,
    pub month: Month,
    /// Payments, credits and vouchers less invoices.
    pub balance: Money,
    /// Used, or due in advance, and not on an invoice yet; with tax.
    pub unbilled: Money,
    /// What this month costs if everything goes on as it is; with tax, and without traffic that did not pass yet.
    pub forecast: Money,
    /// What `unbilled` is made of, before tax.
    pub lines: Vec<Line>,
}

impl Standing {
    pub fn available(&self) -> Result<Money> {
        Ok(self.balance.minus(self.unbilled).map_err(anyhow::Error::from)?)
    }

    pub fn tax_rate(&self) -> i32 {
        self.account.tax_rate.unwrap_or(self.settings.tax_rate)
    }
}

/// In a transaction of the customer's or of the platform.
pub async fn of(tx: &mut Tx, tenant: TenantId) -> Result<Standing> {
    let settings = db::settings(&mut **tx).await?;
    let account = db::accounts::get(tx, tenant).await?.ok_or(Error::NotFound)?;
    let now = db::now(tx).await?;
    let zone = settings.zone();
    let month = Month::containing(now.unix_timestamp(), &zone).map_err(anyhow::Error::from)?;
    let previous = month.previous(&zone).map_err(anyhow::Error::from)?;
    // Nobody owes for what was before bills began.
    let begins = settings.begins();
    let months: Vec<Month> = [previous, month]
        .into_iter()
        .filter(|month| begins.is_some_and(|first| first <= month.first))
        .collect();
    let metered = db::ledger::of_tenant(tx, tenant, previous.start, month.end).await?;
    let billed = db::invoices::billed(tx, tenant, previous.first, None).await?;
    let rate = account.tax_rate.unwrap_or(settings.tax_rate);
    let gross = |lines: &[Line]| -> Result<Money> {
        let net = Money::sum(account.currency, lines.iter().map(|line| line.amount))
            .map_err(anyhow::Error::from)?;
        Ok(Money::new(account.currency, taxed(net.minor, rate, settings.tax_included).total()))
    };
    let lines = bill::lines(&metered, &months, &billed, now.unix_timestamp()).map_err(anyhow::Error::from)?;
    let whole =
        bill::lines(&metered, &[month], &bill::Billed::new(), month.end).map_err(anyhow::Error::from)?;
    Ok(Standing {
        balance: db::accounts::balance(tx, tenant, account.currency).await?,
        unbilled: gross(&lines)?,
        forecast: gross(&whole)?,
        account,
        settings,
        month,
        lines,
    })
}

/// The second as the database keeps it.
pub fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
