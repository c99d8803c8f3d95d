use super::{currency, known};
use crate::billing::bill::{Metered, Plan};
use crate::billing::charges::{Interval, Kind, Price, TrafficHour};
use crate::billing::standing::at;
use crate::db::Tx;
use crate::ids::{InstanceId, TenantId};
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
    let mut found: Vec<Metered> = Vec::new();
    for row in rows {
        let instance = InstanceId::from_uuid(row.instance_id);
        if found.last().is_none_or(|last| last.instance != instance) {
            let traffic = traffic.remove(&row.instance_id).unwrap_or_default();
            let (intervals, plans) = (Vec::new(), Vec::new());
            found.push(Metered { instance, name: row.name, intervals, plans, traffic });
        }
        let Some(metered) = found.last_mut() else { continue };
        metered.intervals.push(Interval {
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
        });
        metered.plans.push(Plan {
            id: row.plan_id.into(),
            version: row.plan_version,
            name_en: row.name_en,
            name_zh: row.name_zh,
        });
    }
    Ok(found)
}
