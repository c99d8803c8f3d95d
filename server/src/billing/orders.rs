//! Whether an account can pay for an order.
//!
//! An order needs what its first period costs, of everything that the account runs and of what is ordered.  What was used and
//! not invoiced yet is gone, and so is what was ordered and no host has reported yet.  The account is locked by whoever asks,
//! so that two orders cannot spend the same money.

use super::db;
use super::forecast::Sold;
use super::standing::{self, Standing};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::instances::funding::{Funding, Order};
use async_trait::async_trait;

/// Answers for all accounts.
pub struct Accounts;

#[async_trait]
impl Funding for Accounts {
    async fn check(&self, tx: &mut Tx, order: &Order) -> Result<()> {
        let standing = standing::of(tx, order.tenant).await?;
        let plan = db::ledger::plan(tx, order.tenant, order.plan, order.plan_version).await?;
        let (plan, price) = plan.ok_or(Error::NotFound)?;
        judge(&standing, &Sold { instance: order.instance, name: String::new(), plan, price })
    }
}

fn judge(standing: &Standing, order: &Sold) -> Result<()> {
    // What becomes cheaper needs no money.
    if standing.sold_as(order).is_some_and(|now| !order.price.dearer_than(&now.price)) {
        return Ok(());
    }
    if standing.gate.disputed {
        return Err(Error::refused("account-disputed"));
    }
    if !standing.bills() {
        return Ok(());
    }
    if standing.account.overdue_since.is_some() {
        return Err(Error::refused("account-overdue"));
    }
    let missing = standing.missing(Some(order))?;
    if missing.minor == 0 {
        return Ok(());
    }
    let code = if standing.credit().minor > 0 { "credit-exhausted" } else { "funds-missing" };
    Err(Error::refused(code)
        .with("missing", missing)
        .with("missing_minor", missing.minor)
        .with("currency", missing.currency.code())
        .with("needed", standing.first_period(Some(order))?)
        .with("available", standing.available()?)
        .with("credit", standing.credit())
        .with("hours", standing.settings.first_period.seconds() / 3600))
}
