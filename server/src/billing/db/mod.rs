//! SQL of metering and money.

pub mod accounts;
pub mod entitlement;
pub mod invoices;
pub mod ledger;
pub mod overview;

use super::calendar;
use super::money::Currency;
use super::settings::{BillingSettings, Period, QuotaStep};
use crate::db::Tx;
use sqlx::PgExecutor;
use sqlx::types::Json;
use time::OffsetDateTime;

/// A word of the schema that the code must know.
fn known<T>(column: &str, word: &str, found: Option<T>) -> sqlx::Result<T> {
    found.ok_or_else(|| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{word:?} is unknown").into(),
    })
}

fn currency(code: &str) -> sqlx::Result<Currency> {
    known("currency", code, Currency::parse(code))
}

fn month(day: time::Date) -> jiff::civil::Date {
    calendar::from_sql(day)
}

pub async fn now(tx: &mut Tx) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!("SELECT now() AS \"now!\"").fetch_one(&mut **tx).await
}

pub async fn settings(executor: impl PgExecutor<'_>) -> sqlx::Result<BillingSettings> {
    let row = sqlx::query!(
        "SELECT first_month, time_zone, currency, prepaid, tax_rate, tax_included, traffic_usd_micro, traffic_cny_micro, issuer, \
         due_days, remind_days, suspend_days, delete_days, low_balance_usd, low_balance_cny, \
         first_period, credit_limit_usd, credit_limit_cny, quota_steps AS \"quota_steps: Json<Vec<QuotaStep>>\" \
         FROM billing_settings"
    )
    .fetch_one(executor)
    .await?;
    Ok(BillingSettings {
        first_month: row.first_month.map(|day| month(day).strftime("%Y-%m").to_string()),
        time_zone: row.time_zone,
        currency: currency(&row.currency)?,
        prepaid: row.prepaid,
        tax_rate: row.tax_rate,
        tax_included: row.tax_included,
        traffic_usd_micro: row.traffic_usd_micro,
        traffic_cny_micro: row.traffic_cny_micro,
        issuer: row.issuer,
        due_days: row.due_days,
        remind_days: row.remind_days,
        suspend_days: row.suspend_days,
        delete_days: row.delete_days,
        low_balance_usd: row.low_balance_usd,
        low_balance_cny: row.low_balance_cny,
        first_period: known("first_period", &row.first_period, Period::parse(&row.first_period))?,
        credit_limit_usd: row.credit_limit_usd,
        credit_limit_cny: row.credit_limit_cny,
        quota_steps: row.quota_steps.0,
    })
}

pub async fn lock_settings(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("SELECT id FROM billing_settings FOR UPDATE").fetch_one(&mut **tx).await?;
    Ok(())
}

pub async fn save_settings(tx: &mut Tx, settings: &BillingSettings) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE billing_settings SET time_zone = $1, currency = $2, prepaid = $3, tax_rate = $4, tax_included = $5, \
         traffic_usd_micro = $6, traffic_cny_micro = $7, issuer = $8, due_days = $9, remind_days = $10, \
         suspend_days = $11, delete_days = $12, low_balance_usd = $13, low_balance_cny = $14, first_month = $15, \
         first_period = $16, credit_limit_usd = $17, credit_limit_cny = $18, quota_steps = $19",
        settings.time_zone,
        settings.currency.code(),
        settings.prepaid,
        settings.tax_rate,
        settings.tax_included,
        settings.traffic_usd_micro,
        settings.traffic_cny_micro,
        settings.issuer,
        settings.due_days,
        settings.remind_days,
        settings.suspend_days,
        settings.delete_days,
        settings.low_balance_usd,
        settings.low_balance_cny,
        settings.begins().map(calendar::to_sql),
        settings.first_period.name(),
        settings.credit_limit_usd,
        settings.credit_limit_cny,
        Json(&settings.quota_steps) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
