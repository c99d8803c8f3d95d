//! How a customer stands: what there is, what was used and not billed yet, what can be spent, and how long it lasts.

use super::accounts::Account;
use super::bill::{self, Billed, Line, Metered};
use super::calendar::Month;
use super::db;
use super::db::accounts::Gate;
use super::forecast::{Sold, continued};
use super::money::{CannotAdd, Money, taxed};
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
    /// What keeps the account from ordering, besides money.
    pub gate: Gate,
    /// Seconds since 1970.
    now: i64,
    metered: Vec<Metered>,
    billed: Billed,
    sold: Vec<Sold>,
}

/// The longest runway that is told, in seconds.
const HORIZON: i64 = 90 * 86_400;

impl Standing {
    pub fn available(&self) -> Result<Money> {
        Ok(self.balance.minus(self.unbilled).map_err(anyhow::Error::from)?)
    }

    pub fn tax_rate(&self) -> i32 {
        self.account.tax_rate.unwrap_or(self.settings.tax_rate)
    }

    /// Whether anybody owes us anything by now.
    pub fn bills(&self) -> bool {
        self.settings.begins().is_some_and(|first| first <= self.month.first)
    }

    /// How far below zero the account may go.
    pub fn credit(&self) -> Money {
        let currency = self.account.currency;
        let platform = if self.account.prepaid { 0 } else { self.settings.credit_limit(currency) };
        Money::new(currency, self.account.credit_limit.unwrap_or(platform))
    }

    /// What is left until the account is locked: below zero, it is due.
    pub fn funds(&self) -> Result<Money> {
        Ok(self.available()?.plus(self.credit()).map_err(anyhow::Error::from)?)
    }

    /// What everything costs in its next period, with an order or without one; with tax.
    pub fn first_period(&self, order: Option<&Sold>) -> Result<Money> {
        let until = self.now + self.settings.first_period.seconds();
        Ok(self.owed_by(until, order)?.minus(self.unbilled).map_err(anyhow::Error::from)?)
    }

    /// What must be added before everything, with the order, is covered for its first period; zero: nothing.
    pub fn missing(&self, order: Option<&Sold>) -> Result<Money> {
        let rest = self.funds()?.minus(self.first_period(order)?).map_err(anyhow::Error::from)?;
        Ok(Money { minor: rest.minor.min(0).saturating_neg(), ..rest })
    }

    /// What can be spent on orders now: nothing while the account is closed for them.
    pub fn spendable(&self) -> Result<Money> {
        let rest = self.funds()?.minus(self.first_period(None)?).map_err(anyhow::Error::from)?;
        let open = self.closed().is_none();
        Ok(Money { minor: if open { rest.minor.max(0) } else { 0 }, ..rest })
    }

    /// The code of why orders are refused whatever there is; nothing: they are not.
    pub fn closed(&self) -> Option<&'static str> {
        match () {
            () if self.gate.suspended => Some("tenant-suspended"),
            () if self.gate.sold_elsewhere => Some("orders-elsewhere"),
            () if self.gate.disputed => Some("account-disputed"),
            () if self.account.overdue_since.is_some() => Some("account-overdue"),
            () if !self.gate.may_buy => Some("may-not-buy"),
            () => None,
        }
    }

    /// What this instance is sold as now.
    pub fn sold_as(&self, order: &Sold) -> Option<&Sold> {
        self.sold.iter().find(|sold| sold.instance == order.instance)
    }

    /// Whether anything runs that costs something.
    pub fn runs_anything(&self) -> bool {
        !self.sold.is_empty()
    }

    /// What is owed and not billed at a time to come, if everything that was asked for runs until then; with tax.
    fn owed_by(&self, until: i64, order: Option<&Sold>) -> Result<Money> {
        let others =
            self.sold.iter().filter(|sold| order.is_none_or(|order| order.instance != sold.instance));
        let sold: Vec<Sold> = others.chain(order).cloned().collect();
        let metered = continued(&self.metered, &sold, self.now);
        let lines = bill::lines(&metered, &self.months(until)?, &self.billed, until);
        Ok(self.gross(&lines.map_err(anyhow::Error::from)?).map_err(anyhow::Error::from)?)
    }

    /// The second at which nothing is left if everything goes on as it is; nothing: it lasts for longer than three months.
    pub fn runs_out_at(&self) -> Result<Option<i64>> {
        if !self.bills() || self.sold.is_empty() {
            return Ok(None);
        }
        let all = self.balance.plus(self.credit()).map_err(anyhow::Error::from)?;
        let lasts = |until: i64| Ok::<_, Error>(self.owed_by(until, None)?.minor <= all.minor);
        let (mut lasting, mut out) = (self.now, self.now + HORIZON);
        if lasts(out)? {
            return Ok(None);
        }
        if !lasts(lasting)? {
            return Ok(Some(lasting));
        }
        while out - lasting > 60 {
            let middle = lasting + (out - lasting) / 2;
            if lasts(middle)? { lasting = middle } else { out = middle }
        }
        Ok(Some(out))
    }

    /// Seconds until nothing is left; see [`Standing::runs_out_at`].
    pub fn runway(&self) -> Result<Option<i64>> {
        Ok(self.runs_out_at()?.map(|at| at - self.now))
    }

    /// The months of which something may be owed at a time: nobody owes for what was before bills began.
    fn months(&self, until: i64) -> Result<Vec<Month>> {
        let zone = self.settings.zone();
        let mut month = self.month.previous(&zone).map_err(anyhow::Error::from)?;
        let mut months = Vec::new();
        while month.start <= until.max(self.now) {
            if self.settings.begins().is_some_and(|first| first <= month.first) {
                months.push(month);
            }
            month = month.next(&zone).map_err(anyhow::Error::from)?;
        }
        Ok(months)
    }

    fn gross(&self, lines: &[Line]) -> Result<Money, CannotAdd> {
        let net = Money::sum(self.account.currency, lines.iter().map(|line| line.amount))?;
        let gross = taxed(net.minor, self.tax_rate(), self.settings.tax_included).total();
        Ok(Money::new(self.account.currency, gross))
    }
}

/// In a transaction of the customer's or of the platform.
pub async fn of(tx: &mut Tx, tenant: TenantId) -> Result<Standing> {
    let settings = db::settings(&mut **tx).await?;
    let account = db::accounts::get(tx, tenant).await?.ok_or(Error::NotFound)?;
    let now = db::now(tx).await?.unix_timestamp();
    let zone = settings.zone();
    let month = Month::containing(now, &zone).map_err(anyhow::Error::from)?;
    let previous = month.previous(&zone).map_err(anyhow::Error::from)?;
    let nothing = Money::new(account.currency, 0);
    let mut standing = Standing {
        balance: db::accounts::balance(tx, tenant, account.currency).await?,
        unbilled: nothing,
        forecast: nothing,
        lines: Vec::new(),
        gate: db::accounts::gate(tx, tenant).await?,
        metered: db::ledger::of_tenant(tx, tenant, previous.start, month.end).await?,
        billed: db::invoices::billed(tx, tenant, previous.first, None).await?,
        sold: db::ledger::sold(tx, tenant).await?,
        account,
        settings,
        month,
        now,
    };
    let (months, billed) = (standing.months(now)?, &standing.billed);
    let lines = bill::lines(&standing.metered, &months, billed, now).map_err(anyhow::Error::from)?;
    let whole =
        bill::lines(&standing.metered, &[month], &Billed::new(), month.end).map_err(anyhow::Error::from)?;
    standing.unbilled = standing.gross(&lines).map_err(anyhow::Error::from)?;
    standing.forecast = standing.gross(&whole).map_err(anyhow::Error::from)?;
    standing.lines = lines;
    Ok(standing)
}

/// The second as the database keeps it.
pub fn at(second: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
