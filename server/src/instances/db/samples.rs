//! Samples: rows of what was used, and what is made of them.

use crate::db::Tx;
use crate::ids::{HostId, InstanceId, TenantId};
use crate::instances::samples::figure::{Figure, Figures};
use crate::instances::samples::history::{Parts, Row};
use jst_policy::instance::ResourcePolicy;
use jst_protocol::report::Usage;
use sqlx::PgPool;
use sqlx::types::Json;
use std::collections::HashMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// An instance whose next sample is due.
pub struct Due {
    pub instance_id: InstanceId,
    pub tenant_id: TenantId,
    /// When the counters were reported.
    pub at: OffsetDateTime,
    pub usage: Usage,
    /// The counters at the latest sample.
    pub sampled_at: Option<OffsetDateTime>,
    pub sampled: Option<Usage>,
    /// What is in force, else what was bought.
    pub policy: ResourcePolicy,
}

pub struct Sample {
    pub instance_id: InstanceId,
    pub tenant_id: TenantId,
    pub at: OffsetDateTime,
    pub seconds: i32,
    pub figures: Figures,
}

/// Those of these instances whose counters are of another minute than their latest sample, locked.
///
/// The first report of each minute makes its sample, so that no minute is without.  Less than twenty seconds
/// are too few to make a rate of: the seconds that a report travels would show.
pub async fn due(tx: &mut Tx, ids: &[InstanceId]) -> sqlx::Result<Vec<Due>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        "SELECT latest.instance_id, latest.tenant_id, at, usage AS \"usage: Json<Usage>\", sampled_at, \
             sampled AS \"sampled: Json<Usage>\", coalesce(applied, policy) AS \"policy!: Json<ResourcePolicy>\" \
         FROM instance_usage AS latest JOIN instances ON instances.id = latest.instance_id \
         WHERE latest.instance_id = ANY($1) AND (sampled_at IS NULL OR sampled_at > at \
             OR (date_trunc('minute', at) > date_trunc('minute', sampled_at) AND at - sampled_at >= interval '20 seconds')) \
         ORDER BY latest.instance_id FOR UPDATE OF latest",
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            instance_id: row.instance_id.into(),
            tenant_id: row.tenant_id.into(),
            at: row.at,
            usage: row.usage.0,
            sampled_at: row.sampled_at,
            sampled: row.sampled.map(|sampled| sampled.0),
            policy: row.policy.0,
        })
        .collect())
}

/// Stores samples, and makes the present counters of all that were measured the ones to start from next time.
pub async fn save(tx: &mut Tx, measured: &[InstanceId], samples: &[Sample]) -> sqlx::Result<()> {
    let measured: Vec<Uuid> = measured.iter().map(|id| id.uuid()).collect();
    let instances: Vec<Uuid> = samples.iter().map(|sample| sample.instance_id.uuid()).collect();
    let tenants: Vec<Uuid> = samples.iter().map(|sample| sample.tenant_id.uuid()).collect();
    let times: Vec<OffsetDateTime> = samples.iter().map(|sample| sample.at).collect();
    let seconds: Vec<i32> = samples.iter().map(|sample| sample.seconds).collect();
    let column = |figure: Figure| -> Vec<Option<f32>> {
        samples.iter().map(|sample| sample.figures[figure]).collect()
    };
    sqlx::query!(
        "WITH measured AS (UPDATE instance_usage SET sampled_at = at, sampled = usage WHERE instance_id = ANY($1)) \
         INSERT INTO instance_samples (step, instance_id, tenant_id, at, seconds, cpu_used, cpu_stolen, cpu_held_back, \
             memory_used, memory_lent, memory_size, disk_read_bytes, disk_write_bytes, disk_read_operations, \
             disk_write_operations, network_in, network_out, network_in_dropped, network_out_dropped) \
         SELECT 60, instance_id, tenant_id, date_trunc('minute', at), seconds, cpu_used, cpu_stolen, cpu_held_back, \
             memory_used, memory_lent, memory_size, disk_read_bytes, disk_write_bytes, disk_read_operations, \
             disk_write_operations, network_in, network_out, network_in_dropped, network_out_dropped \
         FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::integer[], $6::real[], $7::real[], $8::real[], \
             $9::real[], $10::real[], $11::real[], $12::real[], $13::real[], $14::real[], $15::real[], $16::real[], \
             $17::real[], $18::real[], $19::real[]) AS sample (instance_id, tenant_id, at, seconds, cpu_used, cpu_stolen, cpu_held_back, \
             memory_used, memory_lent, memory_size, disk_read_bytes, disk_write_bytes, disk_read_operations, \
             disk_write_operations, network_in, network_out, network_in_dropped, network_out_dropped) \
         ON CONFLICT DO NOTHING",
        &measured,
        &instances,
        &tenants,
        &times,
        &seconds,
        &column(Figure::CpuUsed) as &[Option<f32>],
        &column(Figure::CpuStolen) as &[Option<f32>],
        &column(Figure::CpuHeldBack) as &[Option<f32>],
        &column(Figure::MemoryUsed) as &[Option<f32>],
        &column(Figure::MemoryLent) as &[Option<f32>],
        &column(Figure::MemorySize) as &[Option<f32>],
        &column(Figure::DiskReadBytes) as &[Option<f32>],
        &column(Figure::DiskWriteBytes) as &[Option<f32>],
        &column(Figure::DiskReadOperations) as &[Option<f32>],
        &column(Figure::DiskWriteOperations) as &[Option<f32>],
        &column(Figure::NetworkIn) as &[Option<f32>],
        &column(Figure::NetworkOut) as &[Option<f32>],
        &column(Figure::NetworkInDropped) as &[Option<f32>],
        &column(Figure::NetworkOutDropped) as &[Option<f32>],
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The database's time, and up to when the coarser rows are made.
pub struct Clock {
    pub now: OffsetDateTime,
    pub ten_minutes: OffsetDateTime,
    pub two_hours: OffsetDateTime,
}

pub async fn clock(tx: &mut Tx) -> sqlx::Result<Clock> {
    sqlx::query_as!(
        Clock,
        "SELECT now() AS \"now!\", (SELECT rolled_until FROM sample_rollups WHERE step = 600) AS \"ten_minutes!\", \
         (SELECT rolled_until FROM sample_rollups WHERE step = 7200) AS \"two_hours!\"",
    )
    .fetch_one(&mut **tx)
    .await
}

/// Rows of one instance, the oldest first.  The first condition on the time says nothing new: by it, days that are not
/// wanted are left alone.
pub async fn rows(tx: &mut Tx, tenant: TenantId, id: InstanceId, parts: &Parts) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query!(
        "SELECT extract(epoch FROM at)::bigint AS \"at!\", seconds, \
         ARRAY[cpu_used, cpu_stolen, cpu_held_back, memory_used, memory_lent, memory_size, disk_read_bytes, \
             disk_write_bytes, disk_read_operations, disk_write_operations, network_in, network_out, \
             network_in_dropped, network_out_dropped] \
             AS \"average!: Vec<Option<f32>>\", \
         ARRAY[cpu_used_most, cpu_stolen_most, cpu_held_back_most, memory_used_most, memory_lent_most, memory_size_most, \
             disk_read_bytes_most, disk_write_bytes_most, disk_read_operations_most, disk_write_operations_most, \
             network_in_most, network_out_most, network_in_dropped_most, network_out_dropped_most] AS \"most!: Vec<Option<f32>>\" \
         FROM instance_samples WHERE instance_id = $1 AND tenant_id = $2 AND at >= to_timestamp($3) \
         AND ((step = 7200 AND at >= to_timestamp($3) AND at < to_timestamp($4)) \
             OR (step = 600 AND at >= to_timestamp($4) AND at < to_timestamp($5)) \
             OR (step = 60 AND at >= to_timestamp($5))) ORDER BY at",
        id.uuid(),
        tenant.uuid(),
        parts.two_hours as f64,
        parts.ten_minutes as f64,
        parts.minutes as f64,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Row {
                at: row.at,
                seconds: row.seconds,
                average: figures("average", row.average)?,
                most: figures("most", row.most)?,
            })
        })
        .collect()
}

/// The latest sample of each instance of a host, of the last minutes only.
pub async fn latest_of_host(pool: &PgPool, host: HostId) -> sqlx::Result<HashMap<InstanceId, Figures>> {
    let rows = sqlx::query!(
        "SELECT instances.id, latest.figures AS \"figures!: Vec<Option<f32>>\" FROM instances \
         CROSS JOIN LATERAL (SELECT ARRAY[cpu_used, cpu_stolen, cpu_held_back, memory_used, memory_lent, memory_size, \
                 disk_read_bytes, disk_write_bytes, disk_read_operations, disk_write_operations, network_in, network_out, \
             network_in_dropped, network_out_dropped] \
                 AS figures \
             FROM instance_samples WHERE instance_id = instances.id AND step = 60 AND at > now() - interval '3 minutes' \
             ORDER BY at DESC LIMIT 1) AS latest \
         WHERE host_id = $1 AND purged_at IS NULL AND state <> 'stopped'",
        host.uuid(),
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| Ok((row.id.into(), figures("figures", row.figures)?))).collect()
}

fn figures(column: &str, values: Vec<Option<f32>>) -> sqlx::Result<Figures> {
    let values = values.try_into().map_err(|values: Vec<_>| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{} figures", values.len()).into(),
    })?;
    Ok(Figures(values))
}

/// Makes one row of each instance of the finer rows of its next step, once that is over; false when there
/// is nothing to do, or another replica does it.
///
/// `keep_days` is for how long the finer rows are kept: what is older was not rolled up in time, and is gone.
pub async fn roll_up(pool: &PgPool, step: i32, source: i32, keep_days: i32) -> sqlx::Result<bool> {
    let mut tx = pool.begin().await?;
    // Finer rows are complete up to where they were rolled up themselves, and the finest some time after
    // their minute: who stores them reads the clock first.
    let due = sqlx::query_scalar!(
        "SELECT begin AS \"begin!\" FROM (SELECT greatest(rolled_until, \
                 date_bin(make_interval(secs => $1::integer), now() - make_interval(days => $3), 'epoch')) AS begin \
             FROM sample_rollups WHERE step = $1 FOR UPDATE SKIP LOCKED) AS next \
         WHERE begin + make_interval(secs => $1::integer) \
             <= coalesce((SELECT rolled_until FROM sample_rollups WHERE step = $2), now() - interval '2 minutes')",
        step,
        source,
        keep_days,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(begin) = due else { return Ok(false) };
    sqlx::query!(
        "INSERT INTO instance_samples (step, instance_id, tenant_id, at, seconds, cpu_used, cpu_stolen, cpu_held_back, \
             memory_used, memory_lent, memory_size, disk_read_bytes, disk_write_bytes, disk_read_operations, \
             disk_write_operations, network_in, network_out, network_in_dropped, network_out_dropped, cpu_used_most, cpu_stolen_most, cpu_held_back_most, \
             memory_used_most, memory_lent_most, memory_size_most, disk_read_bytes_most, disk_write_bytes_most, \
             disk_read_operations_most, disk_write_operations_most, network_in_most, network_out_most, \
             network_in_dropped_most, network_out_dropped_most) \
         SELECT $1::integer, instance_id, tenant_id, $3::timestamptz, sum(seconds), sum(cpu_used * seconds) / sum(seconds), \
             sum(cpu_stolen * seconds) / sum(seconds), sum(cpu_held_back * seconds) / sum(seconds), \
             sum(memory_used * seconds) / sum(seconds) FILTER (WHERE memory_used IS NOT NULL), \
             sum(memory_lent * seconds) / sum(seconds) FILTER (WHERE memory_lent IS NOT NULL), \
             sum(memory_size * seconds) / sum(seconds), sum(disk_read_bytes * seconds) / sum(seconds), \
             sum(disk_write_bytes * seconds) / sum(seconds), sum(disk_read_operations * seconds) / sum(seconds), \
             sum(disk_write_operations * seconds) / sum(seconds), sum(network_in * seconds) / sum(seconds), \
             sum(network_out * seconds) / sum(seconds), sum(network_in_dropped * seconds) / sum(seconds), \
             sum(network_out_dropped * seconds) / sum(seconds), max(coalesce(cpu_used_most, cpu_used)), \
             max(coalesce(cpu_stolen_most, cpu_stolen)), max(coalesce(cpu_held_back_most, cpu_held_back)), \
             max(coalesce(memory_used_most, memory_used)), max(coalesce(memory_lent_most, memory_lent)), \
             max(coalesce(memory_size_most, memory_size)), max(coalesce(disk_read_bytes_most, disk_read_bytes)), \
             max(coalesce(disk_write_bytes_most, disk_write_bytes)), \
             max(coalesce(disk_read_operations_most, disk_read_operations)), \
             max(coalesce(disk_write_operations_most, disk_write_operations)), \
             max(coalesce(network_in_most, network_in)), max(coalesce(network_out_most, network_out)), \
             max(coalesce(network_in_dropped_most, network_in_dropped)), \
             max(coalesce(network_out_dropped_most, network_out_dropped)) \
         FROM instance_samples WHERE step = $2 AND at >= $3 AND at < $3 + make_interval(secs => $1::integer) \
         GROUP BY instance_id, tenant_id ON CONFLICT DO NOTHING",
        step,
        source,
        begin,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE sample_rollups SET rolled_until = $2::timestamptz + make_interval(secs => $1::integer) WHERE step = $1",
        step,
        begin
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// How many daily partitions were made and dropped.
pub struct Partitions {
    pub made: i32,
    pub dropped: i32,
}

/// Partitions of a step from the first day that may still be written to until two days ahead, and none that is
/// older than `keep_days`.
pub async fn keep_partitions(pool: &PgPool, step: i32, keep_days: i32) -> sqlx::Result<Partitions> {
    sqlx::query_as!(
        Partitions,
        "SELECT made AS \"made!\", dropped AS \"dropped!\" FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS today) AS clock, \
         keep_sample_partitions($1, greatest(today - $2::integer, least(today - 1, \
             (SELECT (rolled_until AT TIME ZONE 'UTC')::date FROM sample_rollups WHERE step = $1))), \
             today + 2, today - $2::integer)",
        step,
        keep_days,
    )
    .fetch_one(pool)
    .await
}
