//! SQL of instances.

pub mod addresses;
pub mod bookings;
pub mod catalogue;
pub mod operations;
pub mod reports;
pub mod samples;

use super::model::{Instance, observed_name, power_name};
use crate::db::Tx;
use crate::ids::{HostId, InstanceId, TenantId};
use jst_policy::instance::ResourcePolicy;
use jst_policy::lifecycle::{InstanceState, Power};
use jst_protocol::desired::Firewall;
use jst_protocol::report::{Observed, Outcome};
use serde::de::DeserializeOwned;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// Every column that [`Instance`] has.
pub struct Row {
    id: Uuid,
    tenant_id: Uuid,
    host_id: Uuid,
    name: String,
    hostname: String,
    domain: Option<String>,
    plan_id: Uuid,
    plan_version: i32,
    image_id: Uuid,
    policy: Json<ResourcePolicy>,
    on_crash: String,
    build: i32,
    build_generation: i64,
    mac: String,
    ssh_keys: Vec<String>,
    user_data: Option<String>,
    firewall: Json<Firewall>,
    delete_protection: bool,
    power: String,
    generation: i64,
    epoch: i64,
    revision: i64,
    observed: String,
    reported_generation: i64,
    applied_generation: i64,
    held_generation: i64,
    outcome: Option<Json<Outcome>>,
    applied: Option<Json<ResourcePolicy>>,
    restart_required: Vec<String>,
    drift: Vec<String>,
    state: String,
    reported_at: Option<OffsetDateTime>,
    deleted_at: Option<OffsetDateTime>,
    first_deleted_at: Option<OffsetDateTime>,
    purge_at: Option<OffsetDateTime>,
    tombstone_at: Option<OffsetDateTime>,
    purged_at: Option<OffsetDateTime>,
    lock_reason: Option<String>,
    created_at: OffsetDateTime,
    now: OffsetDateTime,
}

/// A word of the schema as the type whose serde name it is.
fn word<T: DeserializeOwned>(column: &str, text: &str) -> sqlx::Result<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
}

impl TryFrom<Row> for Instance {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            host_id: row.host_id.into(),
            name: row.name,
            hostname: row.hostname,
            domain: row.domain,
            plan_id: row.plan_id.into(),
            plan_version: row.plan_version,
            image_id: row.image_id.into(),
            policy: row.policy.0,
            restart_on_crash: row.on_crash == "restart",
            build: row.build,
            build_generation: row.build_generation,
            mac: row.mac,
            ssh_keys: row.ssh_keys,
            user_data: row.user_data,
            firewall: row.firewall.0,
            delete_protection: row.delete_protection,
            power: word::<Power>("power", &row.power)?,
            generation: row.generation,
            epoch: row.epoch,
            revision: row.revision,
            observed: word::<Observed>("observed", &row.observed)?,
            reported_generation: row.reported_generation,
            applied_generation: row.applied_generation,
            held_generation: row.held_generation,
            outcome: row.outcome.map(|outcome| outcome.0),
            applied: row.applied.map(|applied| applied.0),
            restart_required: row.restart_required,
            drift: row.drift,
            state: word::<InstanceState>("state", &row.state)?,
            reported_at: row.reported_at,
            deleted_at: row.deleted_at,
            first_deleted_at: row.first_deleted_at,
            purge_at: row.purge_at,
            tombstone_at: row.tombstone_at,
            purged_at: row.purged_at,
            lock_reason: row.lock_reason,
            created_at: row.created_at,
            now: row.now,
        })
    }
}

/// `SELECT every column FROM instances` and the rest of the statement; checked like any other query.
macro_rules! select_instances {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            crate::instances::db::Row,
            "SELECT id, tenant_id, host_id, name, hostname, domain, plan_id, plan_version, image_id, \
             policy AS \"policy: Json<ResourcePolicy>\", on_crash, build, build_generation, mac, ssh_keys, user_data, \
             firewall AS \"firewall: Json<Firewall>\", delete_protection, power, generation, epoch, revision, observed, \
             reported_generation, applied_generation, held_generation, outcome AS \"outcome: Json<Outcome>\", \
             applied AS \"applied: Json<ResourcePolicy>\", restart_required, drift, state, reported_at, deleted_at, \
             first_deleted_at, purge_at, tombstone_at, purged_at, lock_reason, created_at, now() AS \"now!\" FROM instances " + $rest
            $(, $argument)*
        )
    };
}

/// One instance of a tenant, purged ones not.
pub async fn by_id(tx: &mut Tx, tenant: TenantId, id: InstanceId) -> sqlx::Result<Option<Instance>> {
    select_instances!("WHERE id = $1 AND tenant_id = $2 AND purged_at IS NULL", id.uuid(), tenant.uuid())
        .fetch_optional(&mut **tx)
        .await?
        .map(Instance::try_from)
        .transpose()
}

/// An instance of any tenant, purged ones not; for administrators.
pub async fn of_any(tx: &mut Tx, id: InstanceId) -> sqlx::Result<Option<Instance>> {
    select_instances!("WHERE id = $1 AND purged_at IS NULL", id.uuid())
        .fetch_optional(&mut **tx)
        .await?
        .map(Instance::try_from)
        .transpose()
}

/// [`by_id`], locked until the end of the transaction.
pub async fn lock(tx: &mut Tx, tenant: TenantId, id: InstanceId) -> sqlx::Result<Option<Instance>> {
    select_instances!(
        "WHERE id = $1 AND tenant_id = $2 AND purged_at IS NULL FOR UPDATE",
        id.uuid(),
        tenant.uuid()
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Instance::try_from)
    .transpose()
}

/// An instance of any tenant, locked; for the platform's own work.
pub async fn lock_any(tx: &mut Tx, id: InstanceId) -> sqlx::Result<Option<Instance>> {
    select_instances!("WHERE id = $1 AND purged_at IS NULL FOR UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?
        .map(Instance::try_from)
        .transpose()
}

/// An instance of a host, locked; for the host's reports.
pub async fn lock_on_host(tx: &mut Tx, host: HostId, id: InstanceId) -> sqlx::Result<Option<Instance>> {
    select_instances!(
        "WHERE id = $1 AND host_id = $2 AND purged_at IS NULL FOR UPDATE",
        id.uuid(),
        host.uuid()
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Instance::try_from)
    .transpose()
}

/// Instances of a tenant, newest first, older than `before`; purged ones not.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    before: Option<InstanceId>,
    limit: i64,
) -> sqlx::Result<Vec<Instance>> {
    select_instances!(
        "WHERE tenant_id = $1 AND purged_at IS NULL AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        tenant.uuid(),
        before.map(InstanceId::uuid),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Instance::try_from)
    .collect()
}

/// Instances of a host that changed after its `revision`, oldest change first.  A tombstone is told
/// again with every document until it is acknowledged.
pub async fn changed_since(tx: &mut Tx, host: Uuid, revision: i64) -> sqlx::Result<Vec<Instance>> {
    select_instances!(
        "WHERE host_id = $1 AND purged_at IS NULL AND (revision > $2 OR tombstone_at IS NOT NULL) ORDER BY revision, id",
        host,
        revision,
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Instance::try_from)
    .collect()
}

/// Writes everything that is desired, at a new revision of the host, which wakes its agent; returns
/// that revision.  The caller holds the lock on the row.
pub async fn save_desired(tx: &mut Tx, instance: &Instance) -> sqlx::Result<i64> {
    let row = sqlx::query!(
        "WITH host AS (UPDATE hosts SET revision = revision + 1 WHERE id = $2 RETURNING revision) \
         UPDATE instances SET host_id = $2, name = $3, hostname = $4, plan_id = $5, plan_version = $6, image_id = $7, \
         policy = $8, on_crash = $9, build = $10, ssh_keys = $11, user_data = $12, firewall = $13, \
         delete_protection = $14, power = $15, generation = $16, epoch = $17, state = $18, deleted_at = $19, \
         purge_at = $20, tombstone_at = $21, purged_at = $22, lock_reason = $23, observed = $24, build_generation = $25, domain = $26, first_deleted_at = $27, \
         revision = host.revision, updated_at = now() \
         FROM host WHERE instances.id = $1 RETURNING instances.revision",
        instance.id.uuid(),
        instance.host_id.uuid(),
        instance.name,
        instance.hostname,
        instance.plan_id.uuid(),
        instance.plan_version,
        instance.image_id.uuid(),
        Json(&instance.policy) as _,
        if instance.restart_on_crash { "restart" } else { "stop" },
        instance.build,
        &instance.ssh_keys,
        instance.user_data,
        Json(&instance.firewall) as _,
        instance.delete_protection,
        power_name(instance.power),
        instance.generation,
        instance.epoch,
        instance.state.name(),
        instance.deleted_at,
        instance.purge_at,
        instance.tombstone_at,
        instance.purged_at,
        instance.lock_reason,
        observed_name(instance.observed),
        instance.build_generation,
        instance.domain,
        instance.first_deleted_at,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.revision)
}

/// Writes a new instance at revision 0; false when its MAC address is taken and another must be
/// drawn.  The booking that follows sets host and revision.
pub async fn insert(tx: &mut Tx, instance: &Instance) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO instances (id, tenant_id, host_id, name, hostname, plan_id, plan_version, image_id, policy, on_crash, \
         mac, ssh_keys, user_data, firewall, power, domain, revision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0) ON CONFLICT (mac) DO NOTHING",
        instance.id.uuid(),
        instance.tenant_id.uuid(),
        instance.host_id.uuid(),
        instance.name,
        instance.hostname,
        instance.plan_id.uuid(),
        instance.plan_version,
        instance.image_id.uuid(),
        Json(&instance.policy) as _,
        if instance.restart_on_crash { "restart" } else { "stop" },
        instance.mac,
        &instance.ssh_keys,
        instance.user_data,
        Json(&instance.firewall) as _,
        power_name(instance.power),
        instance.domain,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn save_protection(tx: &mut Tx, id: InstanceId, on: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE instances SET delete_protection = $2, updated_at = now() WHERE id = $1",
        id.uuid(),
        on
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Instances whose grace period is over and whose hosts have not been told yet.
pub async fn due_for_purge(pool: &sqlx::PgPool, limit: i64) -> sqlx::Result<Vec<InstanceId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM instances WHERE purge_at <= now() AND tombstone_at IS NULL AND purged_at IS NULL \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'purge' AND subject = instances.id::text AND next_at > now()) \
         ORDER BY purge_at LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(InstanceId::from).collect())
}

/// Whether another instance of the tenant that is not deleted has the name, in whatever spelling.
pub async fn name_is_taken(
    tx: &mut Tx,
    tenant: TenantId,
    except: InstanceId,
    name: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM instances WHERE tenant_id = $1 AND id <> $2 AND name_key(name) = name_key($3) \
         AND deleted_at IS NULL AND purged_at IS NULL) AS \"taken!\"",
        tenant.uuid(),
        except.uuid(),
        name,
    )
    .fetch_one(&mut **tx)
    .await
}

pub async fn name(tx: &mut Tx, id: InstanceId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT name FROM instances WHERE id = $1", id.uuid()).fetch_optional(&mut **tx).await
}

/// The billing system that sells an instance, where that is not ourselves.
pub async fn seller(tx: &mut Tx, id: InstanceId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT systems.name FROM billing_services JOIN billing_systems AS systems ON systems.id = system_id \
         WHERE instance_id = $1",
        id.uuid()
    )
    .fetch_optional(&mut **tx)
    .await
}
