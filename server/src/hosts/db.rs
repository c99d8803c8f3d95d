use super::{Host, HostState, amount, capacity};
use crate::db::Tx;
use crate::ids::{HostId, InstanceId, UserId};
use jst_policy::admission::{Booking, Overcommit};
use jst_policy::power::Saving;
use jst_policy::units::{Iops, KbitPerSec, MiB, MilliCpu};
use jst_protocol::report::{HostFacts, HostLoad};
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    name: String,
    state: String,
    revision: i64,
    acknowledged_revision: i64,
    lease_until: Option<OffsetDateTime>,
    last_seen_at: Option<OffsetDateTime>,
    online: bool,
    facts: Option<serde_json::Value>,
    load: Option<serde_json::Value>,
    qualification: String,
    capabilities: Vec<String>,
    nat: bool,
    page_merging: bool,
    power_saving: String,
    uplink_kbit: Option<i64>,
    system_memory_mib: i64,
    capacity_cpu_millicpu: i64,
    capacity_memory_mib: i64,
    capacity_storage_mib: i64,
    capacity_network_kbit: i64,
    capacity_disk_iops: i64,
    overcommit_cpu_permille: i64,
    overcommit_memory_permille: i64,
    overcommit_storage_permille: i64,
    booked_cpu_millicpu: i64,
    booked_vcpus: i64,
    booked_dedicated_cores: i64,
    booked_memory_reserved_mib: i64,
    booked_memory_size_mib: i64,
    booked_storage_mib: i64,
    booked_disk_iops: i64,
    booked_network_in_kbit: i64,
    booked_network_out_kbit: i64,
    created_at: OffsetDateTime,
}

impl From<Row> for Host {
    fn from(row: Row) -> Self {
        let permille = |column: i64| u32::try_from(column).unwrap_or(u32::MAX);
        Self {
            id: row.id.into(),
            name: row.name,
            // The schema allows these three only; an unknown state takes no guests.
            state: HostState::parse(&row.state).unwrap_or(HostState::Disabled),
            revision: row.revision,
            acknowledged_revision: row.acknowledged_revision,
            lease_until: row.lease_until,
            last_seen_at: row.last_seen_at,
            online: row.online,
            // What another release wrote and this one cannot read is as good as not reported yet.
            facts: row.facts.and_then(|facts| serde_json::from_value::<HostFacts>(facts).ok()),
            load: row.load.and_then(|load| serde_json::from_value::<HostLoad>(load).ok()),
            qualification: row.qualification,
            capabilities: row.capabilities,
            nat: row.nat,
            page_merging: row.page_merging,
            power_saving: Saving::from_name(&row.power_saving).unwrap_or_default(),
            uplink_kbit: row.uplink_kbit,
            system_memory_mib: row.system_memory_mib,
            capacity: capacity(
                row.capacity_cpu_millicpu,
                row.capacity_memory_mib,
                row.capacity_storage_mib,
                row.capacity_network_kbit,
                row.capacity_disk_iops,
            ),
            overcommit: Overcommit {
                cpu_permille: permille(row.overcommit_cpu_permille),
                memory_permille: permille(row.overcommit_memory_permille),
                disk_permille: permille(row.overcommit_storage_permille),
            },
            booked: Booking {
                cpu_reservation: MilliCpu(amount(row.booked_cpu_millicpu)),
                vcpus: u32::try_from(row.booked_vcpus).unwrap_or(u32::MAX),
                dedicated_cores: u32::try_from(row.booked_dedicated_cores).unwrap_or(u32::MAX),
                memory_reservation: MiB(amount(row.booked_memory_reserved_mib)),
                memory_size: MiB(amount(row.booked_memory_size_mib)),
                disk: MiB(amount(row.booked_storage_mib)),
                disk_reservation: Iops(amount(row.booked_disk_iops)),
                network_reservation_in: KbitPerSec(amount(row.booked_network_in_kbit)),
                network_reservation_out: KbitPerSec(amount(row.booked_network_out_kbit)),
            },
            created_at: row.created_at,
        }
    }
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: HostId) -> sqlx::Result<Option<Host>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, name, state, revision, acknowledged_revision, lease_until, last_seen_at, \
         coalesce(lease_until > now(), false) AS \"online!\", facts, load, qualification, capabilities, nat, uplink_kbit, \
         page_merging, power_saving, system_memory_mib, capacity_cpu_millicpu, capacity_memory_mib, capacity_storage_mib, capacity_network_kbit, \
         capacity_disk_iops, \
         overcommit_cpu_permille, overcommit_memory_permille, overcommit_storage_permille, booked_cpu_millicpu, booked_vcpus, booked_dedicated_cores, \
         booked_memory_reserved_mib, booked_memory_size_mib, booked_storage_mib, booked_disk_iops, booked_network_in_kbit, \
         booked_network_out_kbit, created_at FROM hosts WHERE id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Host::from))
}

/// Every host, by name.
pub async fn list(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Host>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, name, state, revision, acknowledged_revision, lease_until, last_seen_at, \
         coalesce(lease_until > now(), false) AS \"online!\", facts, load, qualification, capabilities, nat, uplink_kbit, \
         page_merging, power_saving, system_memory_mib, capacity_cpu_millicpu, capacity_memory_mib, capacity_storage_mib, capacity_network_kbit, \
         capacity_disk_iops, \
         overcommit_cpu_permille, overcommit_memory_permille, overcommit_storage_permille, booked_cpu_millicpu, booked_vcpus, booked_dedicated_cores, \
         booked_memory_reserved_mib, booked_memory_size_mib, booked_storage_mib, booked_disk_iops, booked_network_in_kbit, \
         booked_network_out_kbit, created_at FROM hosts ORDER BY name",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Host::from).collect())
}

// Joining ----------------------------------------------------------------------------------------

pub async fn insert_join_token(
    tx: &mut Tx,
    secret_hash: &[u8],
    host_name: &str,
    nat: bool,
    created_by: UserId,
    minutes: i32,
    until: Option<OffsetDateTime>,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        "INSERT INTO host_join_tokens (secret_hash, host_name, nat, created_by, expires_at) \
         VALUES ($1, $2, $3, $4, least(now() + make_interval(mins => $5), $6)) RETURNING expires_at",
        secret_hash,
        host_name,
        nat,
        created_by.uuid(),
        minutes,
        until,
    )
    .fetch_one(&mut **tx)
    .await
}

pub struct JoinTokenRow {
    pub host_name: String,
    pub nat: bool,
}

/// Uses a join token up.  One statement: of two agents with the same token one gets nothing.
pub async fn use_join_token(tx: &mut Tx, secret_hash: &[u8]) -> sqlx::Result<Option<JoinTokenRow>> {
    sqlx::query_as!(
        JoinTokenRow,
        "UPDATE host_join_tokens SET used_at = now() \
         WHERE secret_hash = $1 AND used_at IS NULL AND expires_at > now() RETURNING host_name, nat",
        secret_hash,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The host of that name, made if there is none.  Returns its id and whether it is new.
pub async fn upsert_host(tx: &mut Tx, id: HostId, name: &str, nat: bool) -> sqlx::Result<(HostId, bool)> {
    let found = sqlx::query_scalar!(
        "INSERT INTO hosts (id, name, nat) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET nat = EXCLUDED.nat, revision = hosts.revision + 1 RETURNING id",
        id.uuid(),
        name,
        nat,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok((found.into(), found == id.uuid()))
}

pub async fn note_token_host(tx: &mut Tx, secret_hash: &[u8], host: HostId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE host_join_tokens SET host_id = $2 WHERE secret_hash = $1", secret_hash, host.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn insert_certificate(
    tx: &mut Tx,
    serial: &str,
    host: HostId,
    not_after: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO host_certificates (serial, host_id, not_after) VALUES ($1, $2, $3)",
        serial,
        host.uuid(),
        not_after,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Revokes one certificate of a host, or all of them.  Returns how many were in force.
pub async fn revoke_certificates(tx: &mut Tx, host: HostId, serial: Option<&str>) -> sqlx::Result<u64> {
    let result = sqlx::query!(
        "UPDATE host_certificates SET revoked_at = now() \
         WHERE host_id = $1 AND ($2::text IS NULL OR serial = $2) AND revoked_at IS NULL",
        host.uuid(),
        serial,
    )
    .execute(&mut **tx)
    .await?;
    Ok(result.rows_affected())
}

#[derive(Clone, Debug)]
pub struct Certificate {
    pub serial: String,
    pub not_after: OffsetDateTime,
    pub revoked_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

/// Newest first.
pub async fn certificates(executor: impl PgExecutor<'_>, host: HostId) -> sqlx::Result<Vec<Certificate>> {
    sqlx::query_as!(
        Certificate,
        "SELECT serial, not_after, revoked_at, created_at FROM host_certificates WHERE host_id = $1 \
         ORDER BY created_at DESC, serial LIMIT 50",
        host.uuid(),
    )
    .fetch_all(executor)
    .await
}

// The agents' link -------------------------------------------------------------------------------

/// What every request of an agent needs to know of its host.
#[derive(Clone, Debug)]
pub struct LinkRow {
    pub name: String,
    pub state: String,
    pub revision: i64,
    pub nat: bool,
    pub system_memory_mib: i64,
    pub uplink_kbit: Option<i64>,
    pub page_merging: bool,
    pub power_saving: String,
}

/// The host that a certificate belongs to; nothing when it was revoked, has expired or is not ours.
pub async fn link(pool: &PgPool, host: HostId, serial: &str) -> sqlx::Result<Option<LinkRow>> {
    sqlx::query_as!(
        LinkRow,
        "SELECT hosts.name, hosts.state, hosts.revision, hosts.nat, hosts.system_memory_mib, \
         hosts.uplink_kbit, hosts.page_merging, hosts.power_saving FROM host_certificates \
         JOIN hosts ON hosts.id = host_certificates.host_id \
         WHERE host_certificates.serial = $1 AND hosts.id = $2 AND host_certificates.revoked_at IS NULL \
         AND host_certificates.not_after > now()",
        serial,
        host.uuid(),
    )
    .fetch_optional(pool)
    .await
}

/// Notes a sign of life and renews the lease.
pub async fn renew_lease(
    pool: &PgPool,
    host: HostId,
    acknowledged: i64,
    load: Option<&HostLoad>,
    lease_seconds: f64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE hosts SET last_seen_at = now(), lease_until = now() + make_interval(secs => $4), \
         acknowledged_revision = least($2, revision), load = coalesce($3, load) WHERE id = $1",
        host.uuid(),
        acknowledged,
        load.map(Json) as Option<Json<&HostLoad>>,
        lease_seconds,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Qualification and facts as they stand, with the row locked until the transaction ends.
pub async fn facts_for_update(
    tx: &mut Tx,
    host: HostId,
) -> sqlx::Result<Option<(String, Option<serde_json::Value>)>> {
    let row = sqlx::query!("SELECT qualification, facts FROM hosts WHERE id = $1 FOR UPDATE", host.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.map(|row| (row.qualification, row.facts)))
}

/// Locks the host's row until the transaction ends.
pub async fn lock(tx: &mut Tx, host: HostId) -> sqlx::Result<()> {
    sqlx::query!("SELECT id FROM hosts WHERE id = $1 FOR UPDATE", host.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(())
}

/// Whether the log has an event of this request.
pub async fn is_recorded(tx: &mut Tx, request_key: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT 1 FROM events WHERE request_key = $1) AS \"recorded!\"",
        request_key
    )
    .fetch_one(&mut **tx)
    .await
}

pub async fn has_instance(tx: &mut Tx, host: HostId, instance: InstanceId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT 1 FROM instances WHERE id = $1 AND host_id = $2) AS \"exists!\"",
        instance.uuid(),
        host.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// Writes what the agent measured, and the capacity that follows from it.
pub async fn write_facts(
    tx: &mut Tx,
    host: HostId,
    facts: &serde_json::Value,
    qualification: &str,
    capabilities: &[String],
    measured: &super::report::Measured,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE hosts SET facts = $2, qualification = $3, capabilities = $4, capacity_cpu_millicpu = $5, \
         capacity_memory_mib = greatest($6 - system_memory_mib, 0), capacity_storage_mib = $7, \
         capacity_network_kbit = coalesce(uplink_kbit, $8), capacity_disk_iops = $9 WHERE id = $1",
        host.uuid(),
        facts,
        qualification,
        capabilities,
        measured.cpu_millicpu,
        measured.memory_mib,
        measured.storage_mib,
        measured.uplink_kbit,
        measured.disk_iops,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

// Placement --------------------------------------------------------------------------------------

pub struct Room {
    pub host: HostId,
    /// In pools of this host or of no particular one.
    pub free_addresses_v4: u32,
    pub tenant_instances: u32,
}

pub async fn room(pool: &PgPool, tenant: Option<crate::ids::TenantId>) -> sqlx::Result<Vec<Room>> {
    // A pool has 2^n addresses less its own, its last and the excluded ones; no host needs more than fit.
    let rows = sqlx::query!(
        "WITH pools AS ( \
             SELECT host_id, greatest(0, 2 ^ (32 - masklen(network)) - 2 - cardinality(excluded) \
                 - (SELECT count(*) FROM addresses WHERE pool_id = address_pools.id))::bigint AS free \
             FROM address_pools WHERE enabled AND family(network) = 4 \
         ) \
         SELECT hosts.id, \
             coalesce((SELECT sum(free) FROM pools WHERE pools.host_id IS NULL OR pools.host_id = hosts.id), 0)::bigint \
                 AS \"free!\", \
             (SELECT count(*) FROM bookings JOIN instances ON instances.id = bookings.instance_id \
                 WHERE bookings.host_id = hosts.id AND instances.tenant_id = $1) AS \"tenant_instances!\" \
         FROM hosts",
        tenant.map(crate::ids::TenantId::uuid),
    )
    .fetch_all(pool)
    .await?;
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(rows
        .into_iter()
        .map(|row| Room {
            host: row.id.into(),
            free_addresses_v4: count(row.free),
            tenant_instances: count(row.tenant_instances),
        })
        .collect())
}

// The operator's decisions -----------------------------------------------------------------------

/// Also computes the capacity anew from what the agent measured.
pub async fn write_decided(
    tx: &mut Tx,
    host: HostId,
    decided: &super::edit::Decided,
    tells_agent: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE hosts SET state = $2, system_memory_mib = $3, uplink_kbit = $4, overcommit_cpu_permille = $5, \
         overcommit_memory_permille = $6, overcommit_storage_permille = $7, nat = $8, page_merging = $10, power_saving = $11, \
         revision = revision + CASE WHEN $9 THEN 1 ELSE 0 END, \
         capacity_memory_mib = greatest(coalesce((facts ->> 'memory_mib')::bigint, 0) - $3, 0), \
         capacity_network_kbit = coalesce($4, (facts ->> 'uplink_kbit')::bigint, 0) WHERE id = $1",
        host.uuid(),
        decided.state.as_str(),
        decided.system_memory_mib,
        decided.uplink_kbit,
        decided.overcommit_cpu_permille,
        decided.overcommit_memory_permille,
        decided.overcommit_storage_permille,
        decided.nat,
        tells_agent,
        decided.page_merging,
        decided.power_saving.name(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Hosts whose lease has run out since the last look: their names, and when they were last heard of.
pub async fn note_lost(tx: &mut Tx) -> sqlx::Result<Vec<(HostId, String, Option<OffsetDateTime>)>> {
    let rows = sqlx::query!(
        "UPDATE hosts SET away_since = now() WHERE away_since IS NULL AND lease_until < now() \
         RETURNING id, name, last_seen_at",
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.name, row.last_seen_at)).collect())
}

/// Hosts that were away and have a lease again.
pub async fn note_returned(tx: &mut Tx) -> sqlx::Result<Vec<(HostId, String)>> {
    let rows = sqlx::query!(
        "UPDATE hosts SET away_since = NULL WHERE away_since IS NOT NULL AND lease_until >= now() RETURNING id, name",
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.name)).collect())
}
