use crate::ids::{BillingSystemId, InstanceId, ServiceId};
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct UsageRow {
    pub id: ServiceId,
    pub external_ref: String,
    pub instance: InstanceId,
    pub in_bytes: i64,
    pub out_bytes: i64,
    /// For which it was there and not deleted.
    pub seconds: i64,
    /// What it was, from when to when: `[{"plan", "since", "until"}]`.
    pub intervals: Value,
}

/// What the services of a system used since then, the newest service first.  Traffic is known by the hour: it counts from
/// the beginning of the hour.
pub async fn list(
    pool: &PgPool,
    system: BillingSystemId,
    since: OffsetDateTime,
    before: Option<ServiceId>,
    limit: i64,
) -> sqlx::Result<Vec<UsageRow>> {
    let rows = sqlx::query!(
        "SELECT services.id, external_ref, services.instance_id, traffic.in_bytes AS \"in_bytes!\", \
         traffic.out_bytes AS \"out_bytes!\", metered.seconds AS \"seconds!\", metered.intervals AS \"intervals!\" \
         FROM billing_services AS services, \
         LATERAL (SELECT coalesce(sum(in_bytes), 0)::bigint AS in_bytes, coalesce(sum(out_bytes), 0)::bigint AS out_bytes \
             FROM traffic_hours WHERE traffic_hours.instance_id = services.instance_id \
             AND hour >= date_trunc('hour', $2, 'UTC')) AS traffic, \
         LATERAL (SELECT coalesce(sum(extract(epoch FROM coalesce(until, now()) - greatest(since, $2))), 0)::bigint AS seconds, \
             coalesce(jsonb_agg(jsonb_build_object('plan', slug, 'since', to_char(greatest(since, $2) AT TIME ZONE 'UTC', \
                 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), 'until', to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) \
                 ORDER BY n), '[]') AS intervals \
             FROM ledger JOIN plans ON plans.id = plan_id WHERE ledger.instance_id = services.instance_id \
             AND kind = 'external' AND coalesce(until, now()) > $2) AS metered \
         WHERE system_id = $1 AND ($3::uuid IS NULL OR services.id < $3) ORDER BY services.id DESC LIMIT $4",
        system.uuid(),
        since,
        before.map(ServiceId::uuid),
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| UsageRow {
            id: row.id.into(),
            external_ref: row.external_ref,
            instance: row.instance_id.into(),
            in_bytes: row.in_bytes,
            out_bytes: row.out_bytes,
            seconds: row.seconds,
            intervals: row.intervals,
        })
        .collect())
}
