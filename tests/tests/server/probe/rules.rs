//! What must hold after every step, as statements of the test's own upon the database.
//!
//! `probe_guests` has what the simulated hosts know: what each guest really has, and what the newest report that was
//! delivered said.

use super::host::{Guest, Host};
use sqlx::PgPool;
use uuid::Uuid;

pub const TABLE: &str = "CREATE TABLE probe_guests (instance_id uuid PRIMARY KEY, host_id uuid NOT NULL, \
     vcpus bigint, memory bigint, cpu bigint, memory_reserved bigint, inbound bigint, outbound bigint, disk bigint, \
     seen_vcpus bigint, seen_memory bigint, settled bigint); \
     GRANT SELECT, INSERT, UPDATE, DELETE ON probe_guests TO PUBLIC";

/// Writes down what a host knows of a guest.
pub async fn note(pool: &PgPool, host: &Host, id: Uuid, guest: &Guest) {
    let has = guest.running.as_ref();
    let figure = |amount: Option<u64>| amount.map(|amount| i64::try_from(amount).unwrap());
    sqlx::query(
        "INSERT INTO probe_guests VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (instance_id) \
         DO UPDATE SET vcpus = $3, memory = $4, cpu = $5, memory_reserved = $6, inbound = $7, outbound = $8, disk = $9, \
         seen_vcpus = $10, seen_memory = $11, settled = $12",
    )
    .bind(id)
    .bind(host.id.uuid())
    .bind(figure(has.map(|policy| policy.cpu.vcpus.into())))
    .bind(figure(has.map(|policy| policy.memory.size.get())))
    .bind(figure(has.map(|policy| policy.cpu.reservation.get())))
    .bind(figure(has.map(|policy| policy.memory.reservation.get())))
    .bind(figure(has.map(|policy| policy.network.inbound.reservation.get())))
    .bind(figure(has.map(|policy| policy.network.outbound.reservation.get())))
    .bind(figure(guest.disk))
    .bind(figure(guest.seen.as_ref().map(|policy| policy.cpu.vcpus.into())))
    .bind(figure(guest.seen.as_ref().map(|policy| policy.memory.size.get())))
    .bind(guest.settled)
    .execute(pool)
    .await
    .unwrap();
}

/// Work that failed.  Nothing here makes any fail, so each is a defect, and with a clock that stands nothing is tried again.
pub async fn failed(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat('set aside: ', kind, ' ', subject, ', ', reason, ': ', detail) FROM set_aside \
         UNION ALL SELECT concat('a payment event failed: ', last_error) FROM payment_events \
             WHERE state = 'received' AND last_error IS NOT NULL",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// What is wrong, in words; nothing: all is well.
///
/// What is deleted at once before anything of it was reported is not metered any more: what is deleted costs nothing, and this
/// cannot be undone.
pub async fn broken(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        // Nothing is in force that is not booked.
        "SELECT 'more in force than booked: ' || guest.instance_id FROM probe_guests AS guest \
             LEFT JOIN bookings AS booked USING (instance_id) \
             WHERE (guest.vcpus, guest.memory, guest.cpu, guest.disk) IS NOT NULL \
             AND (booked.instance_id IS NULL OR guest.vcpus > booked.vcpus OR guest.memory > booked.memory_size_mib \
             OR guest.cpu > booked.cpu_millicpu OR guest.memory_reserved > booked.memory_reserved_mib \
             OR guest.inbound > booked.network_in_kbit OR guest.outbound > booked.network_out_kbit) \
             OR guest.disk > coalesce(booked.storage_mib, 0) \
         UNION ALL SELECT 'sums of host ' || host.name FROM hosts AS host \
             LEFT JOIN bookings AS booked ON booked.host_id = host.id GROUP BY host.id \
             HAVING host.booked_vcpus <> coalesce(sum(booked.vcpus), 0) \
             OR host.booked_memory_size_mib <> coalesce(sum(booked.memory_size_mib), 0) \
             OR host.booked_memory_reserved_mib <> coalesce(sum(booked.memory_reserved_mib), 0) \
             OR host.booked_cpu_millicpu <> coalesce(sum(booked.cpu_millicpu), 0) \
             OR host.booked_storage_mib <> coalesce(sum(booked.storage_mib), 0) \
             OR host.booked_network_in_kbit <> coalesce(sum(booked.network_in_kbit), 0) \
             OR host.booked_network_out_kbit <> coalesce(sum(booked.network_out_kbit), 0) \
         UNION ALL SELECT 'host ' || name || ' is oversold' FROM hosts \
             WHERE booked_vcpus > capacity_cpu_millicpu * overcommit_cpu_permille / 1000000 \
             OR booked_cpu_millicpu > capacity_cpu_millicpu OR booked_memory_reserved_mib > capacity_memory_mib \
             OR booked_memory_size_mib > capacity_memory_mib * overcommit_memory_permille / 1000 \
             OR booked_storage_mib > capacity_storage_mib * overcommit_storage_permille / 1000 \
             OR booked_network_in_kbit > capacity_network_kbit OR booked_network_out_kbit > capacity_network_kbit \
         UNION ALL SELECT 'the guests of host ' || host.name || ' have more than is booked' FROM hosts AS host \
             JOIN probe_guests AS guest ON guest.host_id = host.id GROUP BY host.id \
             HAVING sum(guest.memory) > host.booked_memory_size_mib OR sum(guest.vcpus) > host.booked_vcpus \
             OR sum(guest.disk) > host.booked_storage_mib \
         UNION ALL SELECT 'a policy with another disk than is booked: ' || id FROM instances \
             JOIN bookings ON instance_id = id WHERE (policy #>> '{disk,size}')::bigint <> storage_mib \
         UNION ALL SELECT concat('more in force than metered: ', instance.id, ' has ', guest.seen_vcpus, '/', guest.seen_memory, \
             ', metered as ', open.kind, ' at ', charged.price_hourly_usd_micro, ', generations ', instance.generation, '/', \
             instance.applied_generation, '/', instance.held_generation, '/', instance.reached_generation, ', built by ', \
             instance.build_generation, ', deleted ', instance.deleted_at, '/', instance.tombstone_at, ', told ', \
             instance.outcome) FROM probe_guests AS guest \
             JOIN instances AS instance ON instance.id = guest.instance_id AND instance.purged_at IS NULL \
             LEFT JOIN ledger AS open ON open.instance_id = instance.id AND open.until IS NULL \
             LEFT JOIN plan_versions AS charged ON charged.plan_id = open.plan_id AND charged.version = open.plan_version \
             WHERE guest.seen_memory IS NOT NULL AND (open.kind IS NULL AND instance.applied_generation > 0 \
             AND instance.tombstone_at IS NULL \
             OR open.kind = 'retained' AND instance.deleted_at IS NULL AND NOT EXISTS (SELECT FROM operations \
                 WHERE operations.instance_id = instance.id AND kind = 'undelete' AND generation > instance.applied_generation) \
             OR charged.price_hourly_usd_micro < (SELECT max(price_hourly_usd_micro) FROM plans \
                 WHERE slug IN ('one', 'two', 'three', 'four') AND ((policy #>> '{cpu,vcpus}')::bigint = guest.seen_vcpus \
                 OR (policy #>> '{memory,size}')::bigint = guest.seen_memory))) \
         UNION ALL SELECT 'settled, and yet more is booked or charged: ' || instance.id FROM probe_guests AS guest \
             JOIN instances AS instance ON instance.id = guest.instance_id AND guest.settled = instance.generation \
             JOIN bookings AS booked ON booked.instance_id = instance.id \
             JOIN ledger AS open ON open.instance_id = instance.id AND open.until IS NULL \
             WHERE instance.tombstone_at IS NULL AND (open.plan_id <> instance.plan_id \
             OR booked.memory_size_mib <> (instance.policy #>> '{memory,size}')::bigint \
             OR booked.vcpus <> (instance.policy #>> '{cpu,vcpus}')::bigint \
             OR (open.kind = 'retained') <> (instance.deleted_at IS NOT NULL)) \
         UNION ALL SELECT 'a gap or an overlap in the ledger: ' || instance_id FROM ( \
             SELECT instance_id, n, since, until, lag(until) OVER life AS before, lag(n) OVER life AS previous, \
             lead(n) OVER life AS next FROM ledger WHERE instance_id IN (SELECT instance_id FROM bookings) \
             WINDOW life AS (PARTITION BY instance_id ORDER BY n)) AS lives \
             WHERE until < since OR previous IS NOT NULL AND before IS DISTINCT FROM since OR n <> coalesce(previous, 0) + 1 \
             OR next IS NOT NULL AND until IS NULL \
         UNION ALL SELECT 'kept beyond the grace period of its first deletion: ' || id FROM instances, \
             LATERAL (SELECT coalesce((SELECT value::text::bigint FROM settings WHERE key = 'delete_grace_hours'), 72) AS hours) AS grace \
             WHERE deleted_at IS NOT NULL AND tombstone_at IS NULL \
             AND purge_at > greatest(deleted_at, first_deleted_at + make_interval(hours => hours::integer)) \
             AND deleted_at > first_deleted_at",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Everything that was ever metered, and that money only moves.
pub async fn broken_over_all_time(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT 'a gap or an overlap in the ledger: ' || later.instance_id FROM ledger AS later \
             LEFT JOIN ledger AS earlier ON earlier.instance_id = later.instance_id AND earlier.n = later.n - 1 \
             WHERE later.n > 1 AND earlier.until IS DISTINCT FROM later.since OR later.until < later.since \
         UNION ALL SELECT 'metered after its end: ' || id FROM instances JOIN ledger ON instance_id = id \
             WHERE purged_at IS NOT NULL AND until IS NULL \
         UNION ALL SELECT 'booked after its end: ' || id FROM instances JOIN bookings ON instance_id = id \
             WHERE purged_at IS NOT NULL \
         UNION ALL SELECT 'an entry within one account: ' || id FROM account_entries WHERE debit = credit OR amount <= 0",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}
