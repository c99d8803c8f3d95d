//! What reports write.

use crate::db::Tx;
use crate::ids::{HostId, InstanceId, TenantId};
use crate::instances::model::observed_name;
use jst_policy::instance::ResourcePolicy;
use jst_policy::lifecycle::InstanceState;
use jst_protocol::report::{Observed, Outcome, Usage};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a report says about an instance, ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub epoch: i64,
    pub generation: i64,
    pub observed: Observed,
    pub outcome: Outcome,
    /// The generation is in force.
    pub applied: bool,
    /// Something of the generation is in force.
    pub reached: bool,
    /// Nothing larger of an earlier generation is in force.
    pub settled: bool,
    pub policy: Option<ResourcePolicy>,
    pub restart_required: Vec<String>,
    pub drift: Vec<String>,
}

/// Stores an observation where it is not older than what is there: of the same epoch, from the
/// instance's own host, and about no earlier generation than the last one.  False: it was older.
pub async fn observe(
    tx: &mut Tx,
    host: HostId,
    id: InstanceId,
    state: InstanceState,
    seen: &Observation,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE instances SET observed = $4, reported_generation = $5, outcome = $6, \
         applied_generation = CASE WHEN $7 THEN $5 ELSE applied_generation END, \
         reached_generation = CASE WHEN $12 THEN greatest(reached_generation, $5) ELSE reached_generation END, \
         held_generation = CASE WHEN $13 THEN $5 ELSE held_generation END, \
         applied = $8, restart_required = $9, drift = $10, state = $11, reported_at = now() \
         WHERE id = $1 AND host_id = $2 AND epoch = $3 AND reported_generation <= $5 AND generation >= $5 \
         AND purged_at IS NULL",
        id.uuid(),
        host.uuid(),
        seen.epoch,
        observed_name(seen.observed),
        seen.generation,
        Json(&seen.outcome) as _,
        seen.applied,
        seen.policy.as_ref().map(Json) as _,
        &seen.restart_required,
        &seen.drift,
        state.name(),
        seen.reached,
        seen.settled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn save_state(tx: &mut Tx, id: InstanceId, state: InstanceState) -> sqlx::Result<()> {
    sqlx::query!("UPDATE instances SET state = $2 WHERE id = $1 AND state <> $2", id.uuid(), state.name(),)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The deletion is done: the row stays as history.
pub async fn purge(tx: &mut Tx, id: InstanceId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE instances SET purged_at = now(), state = 'deleted', observed = 'absent', applied = NULL, \
         restart_required = '{}', drift = '{}', user_data = NULL WHERE id = $1 AND purged_at IS NULL",
        id.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn forget_usage(tx: &mut Tx, id: InstanceId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM instance_usage WHERE instance_id = $1", id.uuid()).execute(&mut **tx).await?;
    Ok(())
}

pub async fn save_usage(tx: &mut Tx, id: InstanceId, tenant: TenantId, usage: &Usage) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO instance_usage (instance_id, tenant_id, at, usage) VALUES ($1, $2, now(), $3) \
         ON CONFLICT (instance_id) DO UPDATE SET at = now(), usage = excluded.usage",
        id.uuid(),
        tenant.uuid(),
        Json(usage) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Wakes the host so that its agent hears of a list of actions that has become shorter.
pub async fn wake(tx: &mut Tx, id: InstanceId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH host AS (UPDATE hosts SET revision = revision + 1 \
             WHERE id = (SELECT host_id FROM instances WHERE id = $1) RETURNING id, revision) \
         UPDATE instances SET revision = host.revision FROM host WHERE instances.id = $1",
        id.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub struct NetworkRow {
    pub instance_id: InstanceId,
    pub seen: Option<bool>,
}

/// Of those of these instances that have reported counters.
pub async fn network_seen(tx: &mut Tx, tenant: TenantId, ids: &[Uuid]) -> sqlx::Result<Vec<NetworkRow>> {
    sqlx::query_as!(
        NetworkRow,
        "SELECT instance_id, (usage ->> 'network_seen')::boolean AS seen FROM instance_usage \
         WHERE tenant_id = $1 AND instance_id = ANY($2)",
        tenant.uuid(),
        ids,
    )
    .fetch_all(&mut **tx)
    .await
}

pub struct UsageRow {
    pub at: OffsetDateTime,
    pub usage: Json<Usage>,
}

pub async fn usage(tx: &mut Tx, tenant: TenantId, id: InstanceId) -> sqlx::Result<Option<UsageRow>> {
    sqlx::query_as!(
        UsageRow,
        "SELECT at, usage AS \"usage: Json<Usage>\" FROM instance_usage WHERE instance_id = $1 AND tenant_id = $2",
        id.uuid(),
        tenant.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await
}
