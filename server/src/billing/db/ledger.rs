use super::{currency, known};
use crate::billing::bill::{Metered, Plan};
use crate::billing::charges::{Interval, Kind, Price, TrafficHour, without_suspensions};
use crate::billing::forecast::Sold;
use crate::billing::standing::at;
use crate::db::Tx;
use crate::ids::{InstanceId, PlanId, TenantId};
use std::collections::HashMap;
use time::OffsetDateTime;

fn kind(word: &str) -> sqlx::Result<Kind> {
    let kind = match word {
        "sold" => Some(Kind::Sold),
        "trial" => Some(Kind::Trial),
        "retained" => Some(Kind::Retained),
        "external" => Some(Kind::External),
        _ => None,
    };
    known("kind", word, kind)
}

/// All that one instance ever was, in its tenant's currency; for administrators.
pub async fn of_instance(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<Option<Metered>> {
    let tenant = sqlx::query_scalar!("SELECT tenant_id FROM instances WHERE id = $1", instance.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(tenant) = tenant else { return Ok(None) };
    // No server is older than the year 2000, nor will it be younger than 2200.
    let all = of_tenant(tx, tenant.into(), 946_684_800, 7_258_118_400).await?;
    Ok(all.into_iter().find(|metered| metered.instance == instance))
}

/// What a tenant had between two times, in the tenant's currency; seconds since 1970.
pub async fn of_tenant(tx: &mut Tx, tenant: TenantId, from: i64, until: i64) -> sqlx::Result<Vec<Metered>> {
    let rows = sqlx::query!(
        "SELECT instance_id, instances.name, n, kind, ledger.plan_id, ledger.plan_version, name_en, name_zh, currency, \
         CASE currency WHEN 'USD' THEN price_hourly_usd_micro ELSE price_hourly_cny_micro END AS \"hour_micro!\", \
         CASE currency WHEN 'USD' THEN price_monthly_usd ELSE price_monthly_cny END AS \"month!\", \
         CASE currency WHEN 'USD' THEN traffic_usd_micro ELSE traffic_cny_micro END AS \"traffic_micro!\", \
         quota_mib, since, until FROM ledger \
         JOIN billing_accounts USING (tenant_id) \
         JOIN plan_versions ON plan_versions.plan_id = ledger.plan_id AND version = ledger.plan_version \
         JOIN instances ON instances.id = instance_id \
         WHERE ledger.tenant_id = $1 AND resource = 'instance' AND since <= $3 AND (until IS NULL OR until >= $2) \
         ORDER BY instance_id, n",
        tenant.uuid(),
        at(from),
        at(until),
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut traffic: HashMap<_, Vec<TrafficHour>> = HashMap::new();
    let hours = sqlx::query!(
        "SELECT instance_id, hour, bytes FROM traffic_hours WHERE tenant_id = $1 AND hour >= $2 AND hour < $3",
        tenant.uuid(),
        at(from),
        at(until),
    )
    .fetch_all(&mut **tx)
    .await?;
    for row in hours {
        let hour = TrafficHour { hour: row.hour.unix_timestamp(), bytes: row.bytes };
        traffic.entry(row.instance_id).or_default().push(hour);
    }
    let suspensions = suspensions(tx, tenant).await?;
    let mut found: Vec<Metered> = Vec::new();
    for row in rows {
        let instance = InstanceId::from_uuid(row.instance_id);
        if found.last().is_none_or(|last| last.instance != instance) {
            let traffic = traffic.remove(&row.instance_id).unwrap_or_default();
            let (intervals, plans) = (Vec::new(), Vec::new());
            found.push(Metered { instance, name: row.name, intervals, plans, traffic });
        }
        let Some(metered) = found.last_mut() else { continue };
        let interval = Interval {
            n: row.n,
            kind: kind(&row.kind)?,
            price: Price {
                currency: currency(&row.currency)?,
                hour_micro: row.hour_micro,
                month: row.month,
                traffic_gib_micro: row.traffic_micro,
                quota_mib: row.quota_mib,
            },
            since: row.since.unix_timestamp(),
            until: row.until.map(OffsetDateTime::unix_timestamp),
        };
        let plan = Plan {
            id: row.plan_id.into(),
            version: row.plan_version,
            name_en: row.name_en,
            name_zh: row.name_zh,
        };
        for part in without_suspensions(interval, &suspensions) {
            metered.intervals.push(part);
            metered.plans.push(plan.clone());
        }
    }
    Ok(found)
}

/// When a tenant's account was suspended for money, in order; the last may be open.
async fn suspensions(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Vec<(i64, Option<i64>)>> {
    let rows = sqlx::query!(
        "SELECT since, until FROM account_suspensions WHERE tenant_id = $1 ORDER BY since",
        tenant.uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    let second = OffsetDateTime::unix_timestamp;
    Ok(rows.into_iter().map(|row| (second(row.since), row.until.map(second))).collect())
}

/// What a tenant has and pays for, as it was asked for last: neither trials, nor what is deleted, failed or sold elsewhere.  What
/// no host has reported yet is among it.
pub async fn sold(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Vec<Sold>> {
    let rows = sqlx::query!(
        "SELECT instances.id, instances.name, instances.plan_id, instances.plan_version, name_en, name_zh, account.currency, \
         CASE account.currency WHEN 'USD' THEN price_hourly_usd_micro ELSE price_hourly_cny_micro END AS \"hour_micro!\", \
         CASE account.currency WHEN 'USD' THEN price_monthly_usd ELSE price_monthly_cny END AS \"month!\" \
         FROM instances JOIN billing_accounts AS account USING (tenant_id) \
         JOIN plan_versions ON plan_versions.plan_id = instances.plan_id AND version = instances.plan_version \
         WHERE tenant_id = $1 AND deleted_at IS NULL AND tombstone_at IS NULL AND purged_at IS NULL \
         AND NOT EXISTS (SELECT FROM trials WHERE instance_id = instances.id AND converted_at IS NULL) \
         AND NOT EXISTS (SELECT FROM billing_services WHERE instance_id = instances.id) ORDER BY instances.id",
        tenant.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let price = price(&row.currency, row.hour_micro, row.month)?;
            let (id, version) = (row.plan_id.into(), row.plan_version);
            let plan = Plan { id, version, name_en: row.name_en, name_zh: row.name_zh };
            Ok(Sold { instance: row.id.into(), name: row.name, plan, price })
        })
        .collect()
}

/// Without traffic: what did not pass yet is no part of a forecast.
fn price(code: &str, hour_micro: i64, month: i64) -> sqlx::Result<Price> {
    Ok(Price { currency: currency(code)?, hour_micro, month, traffic_gib_micro: 0, quota_mib: None })
}

/// A version of a plan, and what it costs in a tenant's currency.
pub async fn plan(
    tx: &mut Tx,
    tenant: TenantId,
    plan: PlanId,
    version: i32,
) -> sqlx::Result<Option<(Plan, Price)>> {
    let row = sqlx::query!(
        "SELECT name_en, name_zh, account.currency, \
         CASE account.currency WHEN 'USD' THEN price_hourly_usd_micro ELSE price_hourly_cny_micro END AS \"hour_micro!\", \
         CASE account.currency WHEN 'USD' THEN price_monthly_usd ELSE price_monthly_cny END AS \"month!\" \
         FROM plan_versions CROSS JOIN billing_accounts AS account \
         WHERE plan_id = $2 AND version = $3 AND account.tenant_id = $1",
        tenant.uuid(),
        plan.uuid(),
        version,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        let price = price(&row.currency, row.hour_micro, row.month)?;
        Ok((Plan { id: plan, version, name_en: row.name_en, name_zh: row.name_zh }, price))
    })
    .transpose()
}
