//! Does it fit: what a host has, what is booked on it, and what one more guest needs.
//!
//! Two kinds of sums are kept within two kinds of ceilings, over all instances booked on a host,
//! running or not:
//!
//! ```text
//! guaranteed   sum(cpu.reservation)               <= capacity.cpu
//!              sum(memory.reservation + overhead) <= capacity.memory
//!              sum(network.inbound.reservation)   <= capacity.uplink
//!              sum(network.outbound.reservation)  <= capacity.uplink
//!              sum(disk.reservation)              <= capacity.iops
//!              sum(vcpus of dedicated guests)     <= floor(capacity.cpu / 1,000) - 1
//! sold         sum(vcpus*)       <= floor(capacity.cpu    * cpu_permille / 1,000,000)
//!              sum(memory.size)  <= floor(capacity.memory * memory_permille / 1,000)
//!              sum(disk.size)    <= floor(capacity.disk   * disk_permille / 1,000)
//! ```
//!
//! What is guaranteed is never overcommitted.  What is sold may be, by a ratio that the operator
//! chooses for each pool.  Dedicated guests leave one core to all others, and to the host itself; nothing of
//! theirs is sold twice, so that `vcpus*` counts each of their cores as often as a core may be sold.
//!
//! A resource of which nothing more is asked is never short.  Thus a guest can always shrink, also on
//! a host that lost capacity and is over its ceilings, and a guest that guarantees no bandwidth is not
//! refused for it.  For a booking that goes from `old` to `new` (`old` is zero for a new guest):
//!
//! ```text
//! new <= old  OR  booked - old + new <= ceiling
//! ```
//!
//! The decision here is advice: another request may book in between.  The statement that books has
//! the same formulas in its WHERE clause and is the last word.

use crate::instance::ResourcePolicy;
use crate::units::{Grouped, Iops, KbitPerSec, MiB, MilliCpu};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// What a host offers to guests: what is kept for the host itself is already taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCapacity {
    pub cpu: MilliCpu,
    pub memory: MiB,
    /// Of the storage pool, used and free together.
    pub disk: MiB,
    /// Of each direction; links are full duplex.
    pub uplink: KbitPerSec,
    /// Of the storage, reads and writes together; 0 where nobody has said it.
    pub iops: Iops,
}

/// How much more may be sold than there is, in thousandths: 1,000 is as much, 4,000 four times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overcommit {
    pub cpu_permille: u32,
    pub memory_permille: u32,
    pub disk_permille: u32,
}

/// Nothing is overcommitted.
impl Default for Overcommit {
    fn default() -> Self {
        Self { cpu_permille: 1000, memory_permille: 1000, disk_permille: 1000 }
    }
}

/// What one instance books on its host, or what all of them do together.
///
/// Sums and differences saturate: an absurd figure is refused for being too large, and releasing
/// more than is booked leaves nothing booked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    pub cpu_reservation: MilliCpu,
    pub vcpus: u32,
    /// Cores that nobody else runs on.
    pub dedicated_cores: u32,
    /// With the overhead of the guest's process (see [`overhead`]).
    pub memory_reservation: MiB,
    /// What the guest sees, without overhead.
    pub memory_size: MiB,
    pub disk: MiB,
    pub disk_reservation: Iops,
    pub network_reservation_in: KbitPerSec,
    pub network_reservation_out: KbitPerSec,
}

/// A host as admission sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLoad {
    pub capacity: HostCapacity,
    pub overcommit: Overcommit,
    /// The sum over all instances of the host.
    pub booked: Booking,
}

/// What can run short, each with its own sum and ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// In mCPU.
    CpuReservation,
    DedicatedCores,
    Vcpus,
    /// In MiB, with overhead.
    MemoryReservation,
    /// In MiB.
    MemorySize,
    /// In MiB.
    Disk,
    /// In operations a second.
    DiskReservation,
    /// In kbit/s, towards the guests.
    NetworkInbound,
    /// In kbit/s, from the guests.
    NetworkOutbound,
}

impl Resource {
    /// Every resource, in the order in which shortages are listed.
    pub const ALL: [Self; 9] = [
        Self::CpuReservation,
        Self::DedicatedCores,
        Self::Vcpus,
        Self::MemoryReservation,
        Self::MemorySize,
        Self::Disk,
        Self::DiskReservation,
        Self::NetworkInbound,
        Self::NetworkOutbound,
    ];
}

/// One resource that a host has too little of; amounts in the unit of the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// What is short.
    pub resource: Resource,
    /// What is needed beyond what the instance has already.
    pub needed: u64,
    /// What could still be booked.
    pub free: u64,
}

/// Memory of the guest's process beyond the guest's own, in MiB: 64 for QEMU and its libraries, 1 for
/// each 128 MiB of guest memory (page tables, dirty bitmaps, device buffers) and 8 for each vCPU
/// (stack, KVM state, I/O in flight).
///
/// A first estimate on the safe side, until the agent's measurements replace it.
pub fn overhead(policy: &ResourcePolicy) -> MiB {
    let by_memory = policy.memory.size.get().div_ceil(128);
    MiB(64 + by_memory + 8 * u64::from(policy.cpu.vcpus))
}

/// Whether one more guest fits; else every resource that is short, in the order of [`Resource::ALL`].
pub fn fits(host: &HostLoad, needed: &Booking) -> Result<(), Vec<Shortage>> {
    resize_fits(host, &Booking::default(), needed)
}

/// Whether a guest that has booked `old` on this host can stay there with `new`; else every resource
/// that is short.  `host.booked` includes `old`.
pub fn resize_fits(host: &HostLoad, old: &Booking, new: &Booking) -> Result<(), Vec<Shortage>> {
    let shortages: Vec<Shortage> =
        Resource::ALL.into_iter().filter_map(|resource| shortage(host, old, new, resource)).collect();
    if shortages.is_empty() { Ok(()) } else { Err(shortages) }
}

fn shortage(host: &HostLoad, old: &Booking, new: &Booking, resource: Resource) -> Option<Shortage> {
    let (old, new) = (host.counted(old, resource), host.counted(new, resource));
    let needed = new.checked_sub(old)?;
    let free = host.free(resource);
    (needed > free).then_some(Shortage { resource, needed, free })
}

impl HostLoad {
    /// [`fits`] as a plain yes or no, for a scheduler that asks thousands of hosts.
    pub fn admits(&self, needed: &Booking) -> bool {
        let none = Booking::default();
        Resource::ALL.into_iter().all(|resource| shortage(self, &none, needed, resource).is_none())
    }

    /// The most that may be booked of a resource, in its unit: the right side of the formulas above.
    /// Beyond 2^64 the products saturate, far above any real host.
    pub fn ceiling(&self, resource: Resource) -> u64 {
        let HostCapacity { cpu, memory, disk, uplink, iops } = self.capacity;
        let times = |capacity: u64, permille: u32| capacity.saturating_mul(permille.into());
        match resource {
            Resource::CpuReservation => cpu.get(),
            Resource::Vcpus => times(cpu.get(), self.overcommit.cpu_permille) / 1_000_000,
            Resource::DedicatedCores => (cpu.get() / 1000).saturating_sub(1),
            Resource::MemoryReservation => memory.get(),
            Resource::MemorySize => times(memory.get(), self.overcommit.memory_permille) / 1000,
            Resource::Disk => times(disk.get(), self.overcommit.disk_permille) / 1000,
            Resource::DiskReservation => iops.get(),
            Resource::NetworkInbound | Resource::NetworkOutbound => uplink.get(),
        }
    }

    /// What can still be booked of a resource, in its unit; zero when the host is at its ceiling or,
    /// having lost capacity, above it.
    pub fn free(&self, resource: Resource) -> u64 {
        self.ceiling(resource).saturating_sub(self.counted(&self.booked, resource))
    }

    /// What a booking takes of a resource on this host: a dedicated core counts as often as one may be sold.
    pub fn counted(&self, booking: &Booking, resource: Resource) -> u64 {
        if resource != Resource::Vcpus {
            return booking.amount(resource);
        }
        let dedicated = u64::from(booking.dedicated_cores);
        let often = dedicated.saturating_mul(self.overcommit.cpu_permille.into()).div_ceil(1000);
        u64::from(booking.vcpus).saturating_sub(dedicated).saturating_add(often)
    }
}

impl Booking {
    /// What an instance of this policy books.
    pub fn of(policy: &ResourcePolicy) -> Self {
        Self {
            cpu_reservation: policy.cpu.reservation,
            vcpus: policy.cpu.vcpus,
            dedicated_cores: if policy.cpu.dedicated { policy.cpu.vcpus } else { 0 },
            memory_reservation: policy.memory.reservation.saturating_add(overhead(policy)),
            memory_size: policy.memory.size,
            disk: policy.disk.size,
            disk_reservation: policy.disk.reservation,
            network_reservation_in: policy.network.inbound.reservation,
            network_reservation_out: policy.network.outbound.reservation,
        }
    }

    /// In each resource the larger of both: what must be there while a guest may have either.
    pub fn larger(&self, other: &Self) -> Self {
        Self {
            cpu_reservation: self.cpu_reservation.max(other.cpu_reservation),
            vcpus: self.vcpus.max(other.vcpus),
            dedicated_cores: self.dedicated_cores.max(other.dedicated_cores),
            memory_reservation: self.memory_reservation.max(other.memory_reservation),
            memory_size: self.memory_size.max(other.memory_size),
            disk: self.disk.max(other.disk),
            disk_reservation: self.disk_reservation.max(other.disk_reservation),
            network_reservation_in: self.network_reservation_in.max(other.network_reservation_in),
            network_reservation_out: self.network_reservation_out.max(other.network_reservation_out),
        }
    }

    /// Whether nothing of `other` is more than here.
    pub fn covers(&self, other: &Self) -> bool {
        self.larger(other) == *self
    }

    /// The booked amount of a resource, in its unit: one term of the left side of the formulas above.
    pub fn amount(&self, resource: Resource) -> u64 {
        match resource {
            Resource::CpuReservation => self.cpu_reservation.get(),
            Resource::Vcpus => self.vcpus.into(),
            Resource::DedicatedCores => self.dedicated_cores.into(),
            Resource::MemoryReservation => self.memory_reservation.get(),
            Resource::MemorySize => self.memory_size.get(),
            Resource::Disk => self.disk.get(),
            Resource::DiskReservation => self.disk_reservation.get(),
            Resource::NetworkInbound => self.network_reservation_in.get(),
            Resource::NetworkOutbound => self.network_reservation_out.get(),
        }
    }
}

impl Add for Booking {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu_reservation: self.cpu_reservation.saturating_add(other.cpu_reservation),
            vcpus: self.vcpus.saturating_add(other.vcpus),
            dedicated_cores: self.dedicated_cores.saturating_add(other.dedicated_cores),
            memory_reservation: self.memory_reservation.saturating_add(other.memory_reservation),
            memory_size: self.memory_size.saturating_add(other.memory_size),
            disk: self.disk.saturating_add(other.disk),
            disk_reservation: self.disk_reservation.saturating_add(other.disk_reservation),
            network_reservation_in: self.network_reservation_in.saturating_add(other.network_reservation_in),
            network_reservation_out: self
                .network_reservation_out
                .saturating_add(other.network_reservation_out),
        }
    }
}

impl AddAssign for Booking {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Booking {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            cpu_reservation: self.cpu_reservation.saturating_sub(other.cpu_reservation),
            vcpus: self.vcpus.saturating_sub(other.vcpus),
            dedicated_cores: self.dedicated_cores.saturating_sub(other.dedicated_cores),
            memory_reservation: self.memory_reservation.saturating_sub(other.memory_reservation),
            memory_size: self.memory_size.saturating_sub(other.memory_size),
            disk: self.disk.saturating_sub(other.disk),
            disk_reservation: self.disk_reservation.saturating_sub(other.disk_reservation),
            network_reservation_in: self.network_reservation_in.saturating_sub(other.network_reservation_in),
            network_reservation_out: self
                .network_reservation_out
                .saturating_sub(other.network_reservation_out),
        }
    }
}

impl Sum for Booking {
    fn sum<I: Iterator<Item = Self>>(bookings: I) -> Self {
        bookings.fold(Self::default(), Add::add)
    }
}

/// `needs 2,048 MiB guaranteed, 512 free`
impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.resource {
            Resource::CpuReservation => "mCPU guaranteed",
            Resource::Vcpus => "vCPUs",
            Resource::DedicatedCores => "dedicated cores",
            Resource::MemoryReservation => "MiB guaranteed",
            Resource::MemorySize => "MiB of memory",
            Resource::Disk => "MiB of disk",
            Resource::DiskReservation => "IOPS guaranteed",
            Resource::NetworkInbound => "kbit/s inbound guaranteed",
            Resource::NetworkOutbound => "kbit/s outbound guaranteed",
        };
        write!(f, "needs {} {what}, {} free", Grouped(self.needed), Grouped(self.free))
    }
}

#[cfg(test)]
mod tests;
