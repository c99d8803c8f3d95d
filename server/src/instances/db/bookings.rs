//! Bookings and the sums of them that stand in the host's row.
//!
//! Both change in one statement.  Its WHERE clause repeats the formulas of
//! `jst_policy::admission` on the row as it is at that very moment, under its lock, so that no two
//! requests can be promised the same thing.

use crate::db::Tx;
use crate::ids::{HostId, InstanceId};
use jst_policy::admission::Booking;
use jst_policy::units::{Iops, KbitPerSec, MiB, MilliCpu};

/// Amounts as columns have them.  What is beyond 2^63 fits on no host and is refused there.
struct Columns {
    cpu: i64,
    vcpus: i64,
    dedicated_cores: i64,
    memory_reserved: i64,
    memory_size: i64,
    storage: i64,
    disk_iops: i64,
    network_in: i64,
    network_out: i64,
}

impl From<&Booking> for Columns {
    fn from(booking: &Booking) -> Self {
        let column = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX / 4);
        Self {
            cpu: column(booking.cpu_reservation.get()),
            vcpus: booking.vcpus.into(),
            dedicated_cores: booking.dedicated_cores.into(),
            memory_reserved: column(booking.memory_reservation.get()),
            memory_size: column(booking.memory_size.get()),
            storage: column(booking.disk.get()),
            disk_iops: column(booking.disk_reservation.get()),
            network_in: column(booking.network_reservation_in.get()),
            network_out: column(booking.network_reservation_out.get()),
        }
    }
}

/// Books a new instance on a host, if it accepts guests and everything still fits, and puts the
/// instance there; the new revision of the host, or nothing when it does not fit (any more).
pub async fn book(
    tx: &mut Tx,
    instance: InstanceId,
    host: HostId,
    booking: &Booking,
) -> sqlx::Result<Option<i64>> {
    let new = Columns::from(booking);
    sqlx::query_scalar!(
        "WITH host AS ( \
             UPDATE hosts SET revision = revision + 1, \
                 booked_cpu_millicpu = booked_cpu_millicpu + $3, \
                 booked_vcpus = booked_vcpus + $4, \
                 booked_memory_reserved_mib = booked_memory_reserved_mib + $5, \
                 booked_memory_size_mib = booked_memory_size_mib + $6, \
                 booked_storage_mib = booked_storage_mib + $7, \
                 booked_network_in_kbit = booked_network_in_kbit + $8, \
                 booked_network_out_kbit = booked_network_out_kbit + $9, \
                 booked_dedicated_cores = booked_dedicated_cores + $10, \
                 booked_disk_iops = booked_disk_iops + $11 \
             WHERE id = $2 AND state = 'active' AND lease_until > now() \
                 AND ($3::bigint <= 0 OR booked_cpu_millicpu + $3 <= capacity_cpu_millicpu) \
                 AND ($4::bigint <= 0 OR booked_vcpus + $4 - booked_dedicated_cores - $10 \
                     + ceil((booked_dedicated_cores + $10) * overcommit_cpu_permille / 1000.0) \
                     <= capacity_cpu_millicpu * overcommit_cpu_permille / 1000000) \
                 AND ($5::bigint <= 0 OR booked_memory_reserved_mib + $5 <= capacity_memory_mib) \
                 AND ($6::bigint <= 0 OR booked_memory_size_mib + $6 <= capacity_memory_mib * overcommit_memory_permille / 1000) \
                 AND ($7::bigint <= 0 OR booked_storage_mib + $7 <= capacity_storage_mib * overcommit_storage_permille / 1000) \
                 AND ($8::bigint <= 0 OR booked_network_in_kbit + $8 <= capacity_network_kbit) \
                 AND ($9::bigint <= 0 OR booked_network_out_kbit + $9 <= capacity_network_kbit) \
                 AND ($10::bigint <= 0 OR booked_dedicated_cores + $10 <= capacity_cpu_millicpu / 1000 - 1) \
                 AND ($11::bigint <= 0 OR booked_disk_iops + $11 <= capacity_disk_iops) \
             RETURNING id, revision \
         ), booking AS ( \
             INSERT INTO bookings (instance_id, host_id, cpu_millicpu, vcpus, memory_reserved_mib, memory_size_mib, \
                 storage_mib, network_in_kbit, network_out_kbit, dedicated_cores, disk_iops) \
             SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM host \
         ) \
         UPDATE instances SET host_id = host.id, revision = host.revision FROM host WHERE instances.id = $1 \
         RETURNING instances.revision",
        instance.uuid(),
        host.uuid(),
        new.cpu,
        new.vcpus,
        new.memory_reserved,
        new.memory_size,
        new.storage,
        new.network_in,
        new.network_out,
        new.dedicated_cores,
        new.disk_iops,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// What an instance has booked; absent when it has given everything back.
pub async fn of(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<Option<Booking>> {
    let row = sqlx::query!(
        "SELECT cpu_millicpu, vcpus, dedicated_cores, memory_reserved_mib, memory_size_mib, storage_mib, disk_iops, \
         network_in_kbit, network_out_kbit FROM bookings WHERE instance_id = $1",
        instance.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let amount = |column: i64| u64::try_from(column).unwrap_or(0);
    let count = |column: i64| u32::try_from(column).unwrap_or(u32::MAX);
    Ok(row.map(|row| Booking {
        cpu_reservation: MilliCpu(amount(row.cpu_millicpu)),
        vcpus: count(row.vcpus),
        dedicated_cores: count(row.dedicated_cores),
        memory_reservation: MiB(amount(row.memory_reserved_mib)),
        memory_size: MiB(amount(row.memory_size_mib)),
        disk: MiB(amount(row.storage_mib)),
        disk_reservation: Iops(amount(row.disk_iops)),
        network_reservation_in: KbitPerSec(amount(row.network_in_kbit)),
        network_reservation_out: KbitPerSec(amount(row.network_out_kbit)),
    }))
}

/// Whether what is booked must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// What is asked for must fit beside everything else.
    Needed,
    /// It is in force already: the sums say so, also above the host's ceilings.
    Taken,
}

/// Changes what an instance has booked on the host where it is, if the difference still fits; false
/// when it does not.  What is not asked more of is never short.
pub async fn rebook(tx: &mut Tx, instance: InstanceId, booking: &Booking, room: Room) -> sqlx::Result<bool> {
    let new = Columns::from(booking);
    let changed = sqlx::query_scalar!(
        "WITH old AS (SELECT * FROM bookings WHERE instance_id = $1), \
         host AS ( \
             UPDATE hosts SET \
                 booked_cpu_millicpu = booked_cpu_millicpu - old.cpu_millicpu + $2, \
                 booked_vcpus = booked_vcpus - old.vcpus + $3, \
                 booked_memory_reserved_mib = booked_memory_reserved_mib - old.memory_reserved_mib + $4, \
                 booked_memory_size_mib = booked_memory_size_mib - old.memory_size_mib + $5, \
                 booked_storage_mib = booked_storage_mib - old.storage_mib + $6, \
                 booked_network_in_kbit = booked_network_in_kbit - old.network_in_kbit + $7, \
                 booked_network_out_kbit = booked_network_out_kbit - old.network_out_kbit + $8, \
                 booked_dedicated_cores = booked_dedicated_cores - old.dedicated_cores + $9, \
                 booked_disk_iops = booked_disk_iops - old.disk_iops + $10 \
             FROM old WHERE hosts.id = old.host_id AND ($11 \
                 OR ($2 <= old.cpu_millicpu OR booked_cpu_millicpu - old.cpu_millicpu + $2 <= capacity_cpu_millicpu) \
                 AND (($3 <= old.vcpus AND $9 <= old.dedicated_cores) \
                     OR booked_vcpus - old.vcpus + $3 - booked_dedicated_cores + old.dedicated_cores - $9 \
                     + ceil((booked_dedicated_cores - old.dedicated_cores + $9) * overcommit_cpu_permille / 1000.0) \
                     <= capacity_cpu_millicpu * overcommit_cpu_permille / 1000000) \
                 AND ($4 <= old.memory_reserved_mib \
                     OR booked_memory_reserved_mib - old.memory_reserved_mib + $4 <= capacity_memory_mib) \
                 AND ($5 <= old.memory_size_mib OR booked_memory_size_mib - old.memory_size_mib + $5 \
                     <= capacity_memory_mib * overcommit_memory_permille / 1000) \
                 AND ($6 <= old.storage_mib OR booked_storage_mib - old.storage_mib + $6 \
                     <= capacity_storage_mib * overcommit_storage_permille / 1000) \
                 AND ($7 <= old.network_in_kbit \
                     OR booked_network_in_kbit - old.network_in_kbit + $7 <= capacity_network_kbit) \
                 AND ($8 <= old.network_out_kbit \
                     OR booked_network_out_kbit - old.network_out_kbit + $8 <= capacity_network_kbit) \
                 AND ($9 <= old.dedicated_cores \
                     OR booked_dedicated_cores - old.dedicated_cores + $9 <= capacity_cpu_millicpu / 1000 - 1) \
                 AND ($10 <= old.disk_iops OR booked_disk_iops - old.disk_iops + $10 <= capacity_disk_iops)) \
             RETURNING hosts.id \
         ) \
         UPDATE bookings SET cpu_millicpu = $2, vcpus = $3, memory_reserved_mib = $4, memory_size_mib = $5, \
             storage_mib = $6, network_in_kbit = $7, network_out_kbit = $8, dedicated_cores = $9, disk_iops = $10 \
         FROM host WHERE instance_id = $1 RETURNING instance_id",
        instance.uuid(),
        new.cpu,
        new.vcpus,
        new.memory_reserved,
        new.memory_size,
        new.storage,
        new.network_in,
        new.network_out,
        new.dedicated_cores,
        new.disk_iops,
        room == Room::Taken,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(changed.is_some())
}

/// Gives back everything that an instance has booked: once, however often it is called.
pub async fn release(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<()> {
    sqlx::query!(
        "WITH freed AS (DELETE FROM bookings WHERE instance_id = $1 RETURNING *) \
         UPDATE hosts SET \
             booked_cpu_millicpu = booked_cpu_millicpu - freed.cpu_millicpu, \
             booked_vcpus = booked_vcpus - freed.vcpus, \
             booked_memory_reserved_mib = booked_memory_reserved_mib - freed.memory_reserved_mib, \
             booked_memory_size_mib = booked_memory_size_mib - freed.memory_size_mib, \
             booked_storage_mib = booked_storage_mib - freed.storage_mib, \
             booked_network_in_kbit = booked_network_in_kbit - freed.network_in_kbit, \
             booked_network_out_kbit = booked_network_out_kbit - freed.network_out_kbit, \
             booked_dedicated_cores = booked_dedicated_cores - freed.dedicated_cores, \
             booked_disk_iops = booked_disk_iops - freed.disk_iops \
         FROM freed WHERE hosts.id = freed.host_id",
        instance.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("DELETE FROM addresses WHERE instance_id = $1", instance.uuid()).execute(&mut **tx).await?;
    Ok(())
}

/// What a tenant holds altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub instances: i64,
    pub vcpus: i64,
    pub memory_mib: i64,
    pub disk_mib: i64,
}

pub async fn holdings(tx: &mut Tx, tenant: crate::ids::TenantId) -> sqlx::Result<Holdings> {
    sqlx::query_as!(
        Holdings,
        "SELECT count(*) AS \"instances!\", coalesce(sum(vcpus), 0)::bigint AS \"vcpus!\", \
         coalesce(sum(memory_size_mib), 0)::bigint AS \"memory_mib!\", \
         coalesce(sum(storage_mib), 0)::bigint AS \"disk_mib!\" \
         FROM bookings JOIN instances ON instances.id = bookings.instance_id WHERE tenant_id = $1",
        tenant.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}
