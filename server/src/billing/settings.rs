//! What the operator decides about money.

use super::calendar::Month;
use super::db;
use super::dunning::Dates;
use super::money::Currency;
use crate::auth::Actor;
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event};
use crate::state::App;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BillingSettings {
    /// The first month for which invoices are made, and after which who does not pay is told and locked.  Absent: never; everything
    /// is metered, and somebody else bills.
    #[schema(example = "2026-11")]
    pub first_month: Option<String>,
    /// A zone of the IANA database; months of bills begin and end in it.
    #[schema(example = "Asia/Shanghai")]
    pub time_zone: String,
    /// Of new customers.
    pub currency: Currency,
    /// New customers pay before they use.
    pub prepaid: bool,
    /// Hundredths of a percent.
    #[schema(example = 600)]
    pub tax_rate: i32,
    /// Prices contain the tax already.
    pub tax_included: bool,
    /// Millionths of a dollar for a GiB beyond the quota.
    pub traffic_usd_micro: i64,
    /// Millionths of a yuan for a GiB beyond the quota.
    pub traffic_cny_micro: i64,
    /// Name, address and tax number as they stand on invoices.
    pub issuer: String,
    /// Days from an invoice to its due date.
    pub due_days: i32,
    /// Days from the due date to the reminder, the suspension and the deletion.
    pub remind_days: i32,
    pub suspend_days: i32,
    pub delete_days: i32,
    /// Cents: a prepaid balance below this is told by mail.
    pub low_balance_usd: i64,
    /// Fen.
    pub low_balance_cny: i64,
    /// An order needs what everything that the account runs, and what is ordered, costs for so long.
    pub first_period: Period,
    /// Cents: what a postpaid account may owe, unless its own limit says otherwise.
    pub credit_limit_usd: i64,
    /// Fen.
    pub credit_limit_cny: i64,
    /// Quotas that accounts reach by what they paid, less what went back.  They only raise a customer's own quota.
    pub quota_steps: Vec<QuotaStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Hour,
    Day,
    Month,
}

impl Period {
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.name() == name)
    }

    /// A month is 30 days.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Month => 30 * 86_400,
        }
    }
}

/// What an account may have that paid at least so much in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaStep {
    /// Cents.
    #[schema(example = 10000)]
    pub paid_usd: i64,
    /// Fen.
    #[schema(example = 70000)]
    pub paid_cny: i64,
    #[schema(example = 20)]
    pub instances: i32,
    #[schema(example = 80)]
    pub vcpus: i32,
    #[schema(example = 163840)]
    pub memory_mib: i64,
    #[schema(example = 2097152)]
    pub disk_mib: i64,
}

const MAX_STEPS: usize = 20;

impl QuotaStep {
    fn is_sound(&self) -> bool {
        let money = 1..=1_000_000_000;
        money.contains(&self.paid_usd)
            && money.contains(&self.paid_cny)
            && (0..=100_000).contains(&self.instances)
            && (0..=1_000_000).contains(&self.vcpus)
            && (0..=1 << 40).contains(&self.memory_mib)
            && (0..=1 << 44).contains(&self.disk_mib)
    }
}

impl BillingSettings {
    /// The first day of the first month.
    pub fn begins(&self) -> Option<Date> {
        self.first_month.as_deref().and_then(Month::parse)
    }

    pub const fn dates(&self) -> Dates {
        Dates { remind: self.remind_days, suspend: self.suspend_days, delete: self.delete_days }
    }

    pub const fn low_balance(&self, currency: Currency) -> i64 {
        match currency {
            Currency::Usd => self.low_balance_usd,
            Currency::Cny => self.low_balance_cny,
        }
    }

    pub const fn credit_limit(&self, currency: Currency) -> i64 {
        match currency {
            Currency::Usd => self.credit_limit_usd,
            Currency::Cny => self.credit_limit_cny,
        }
    }

    /// The zone, or UTC where the machine no longer knows it.
    pub fn zone(&self) -> TimeZone {
        TimeZone::get(&self.time_zone).unwrap_or_else(|error| {
            tracing::warn!(zone = self.time_zone, %error, "the time zone of bills is unknown here");
            TimeZone::UTC
        })
    }

    fn problems(&self) -> Vec<FieldError> {
        let mut problems = Vec::new();
        if self.first_month.is_some() && self.begins().is_none() {
            problems.push(FieldError::new("first_month", "month"));
        }
        if TimeZone::get(&self.time_zone).is_err() {
            problems.push(FieldError::new("time_zone", "time-zone"));
        }
        if self.issuer.chars().count() > MAX_TEXT {
            problems.push(FieldError::new("issuer", "too-long").with("max", MAX_TEXT));
        }
        if self.quota_steps.len() > MAX_STEPS || !self.quota_steps.iter().all(QuotaStep::is_sound) {
            problems.push(FieldError::new("quota_steps", "quota-steps").with("max", MAX_STEPS));
        }
        let numbers = [
            ("tax_rate", self.tax_rate.into(), 10_000),
            ("traffic_usd_micro", self.traffic_usd_micro, 1_000_000_000),
            ("traffic_cny_micro", self.traffic_cny_micro, 1_000_000_000),
            ("due_days", self.due_days.into(), 365),
            ("remind_days", self.remind_days.into(), self.suspend_days.into()),
            ("suspend_days", self.suspend_days.into(), i64::from(self.delete_days) - 1),
            ("delete_days", self.delete_days.into(), 3650),
            ("low_balance_usd", self.low_balance_usd, 1_000_000_000),
            ("low_balance_cny", self.low_balance_cny, 1_000_000_000),
            ("credit_limit_usd", self.credit_limit_usd, 100_000_000_000),
            ("credit_limit_cny", self.credit_limit_cny, 100_000_000_000),
        ];
        let outside = numbers.into_iter().filter(|(_, number, most)| !(0..=*most).contains(number));
        problems.extend(
            outside.map(|(field, _, most)| {
                FieldError::new(field, "range").with("min", 0).with("max", most.max(0))
            }),
        );
        problems
    }
}

/// Of an issuer, a customer's address, a note.
pub const MAX_TEXT: usize = 1000;

pub async fn get(app: &App) -> Result<BillingSettings> {
    Ok(db::settings(app.db.platform()).await?)
}

/// Replaces them all; the event names what differs.
pub async fn update(app: &App, actor: &Actor, wanted: &BillingSettings) -> Result<()> {
    let problems = wanted.problems();
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let mut tx = app.db.begin_platform().await?;
    db::lock_settings(&mut tx).await?;
    let document = |settings: &BillingSettings| serde_json::to_value(settings).map_err(anyhow::Error::from);
    let changes = events::changes(&document(&db::settings(&mut *tx).await?)?, &document(wanted)?);
    if changes.is_empty() {
        return Ok(());
    }
    db::save_settings(&mut tx, wanted).await?;
    let event = Event {
        tenant: None,
        action: "billing.settings_changed",
        subject_kind: "settings",
        subject_id: "billing",
        data: changes.into(),
    };
    events::record(&mut tx, &actor.into(), event).await?;
    tx.commit().await?;
    Ok(())
}
