//! Which resource policies the platform accepts.
//!
//! The rules stand in one place because four doors lead to them: the plan editor, the customer's
//! resize form, the REST API and the billing modules.  A policy that passes here can be applied by
//! QEMU, tc and the cgroups without a further check; the bounds that come from those are derived
//! where they are defined.  Whether a host has room is another question: see [`crate::admission`].

use crate::claim::Shares;
use crate::instance::{
    BurstLimit, CpuPolicy, DiskLimits, DiskPolicy, MemoryPolicy, NetworkLimits, Problem, ResourcePolicy,
    Violation,
};
use crate::units::{Grouped, MiB};
use std::fmt;

/// Most virtual CPUs of one instance.
pub const MAX_VCPUS: u32 = 128;
/// Least memory of an instance; a current Linux kernel with an initramfs does not boot in less.
pub const MIN_MEMORY: MiB = MiB(64);
/// Most memory of an instance: 1 TiB.
pub const MAX_MEMORY: MiB = MiB::from_gib(1024);
/// Smallest root disk.
pub const MIN_DISK: MiB = MiB(64);
/// Largest root disk: 16 TiB.
pub const MAX_DISK: MiB = MiB::from_gib(16 * 1024);
/// Smallest CPU limit a vCPU, in mCPU.  The scheduler takes no quota below 1 ms, and the usual
/// period is 100 ms.
pub const MIN_CPU_LIMIT_PER_VCPU: u64 = 10;
/// Longest time, in seconds, that a disk may stay at its peak.
pub const MAX_PEAK_SECONDS: u32 = 3600;
/// Fastest disk limit, in bytes a second: 100 GB/s.  QEMU refuses a limit whose peak times its
/// length is above 10^15 (`THROTTLE_VALUE_MAX`); 10^11 × 3,600 s stays below.  Zero is refused because
/// QEMU takes it for "no limit".
pub const MAX_DISK_BYTES_PER_SEC: u64 = 100_000_000_000;
/// Most disk operations a second, as limit or as reservation.
pub const MAX_IOPS: u64 = 100_000_000;
/// Fastest network rate: 400 Gbit/s, the fastest port sold.  The slowest is 1 kbit/s.
pub const MAX_KBIT_PER_SEC: u64 = 400_000_000;
/// Smallest network burst, in KiB: one full Ethernet frame must fit, or nothing ever passes.
pub const MIN_BURST_KIB: u64 = 2;
/// Largest network burst, in KiB: tc carries it as 32 bits of bytes.
pub const MAX_BURST_KIB: u64 = u32::MAX as u64 / 1024;
/// Longest time, in seconds, that a bucket may take to fill at the average rate: tc carries the
/// time as 32 bits of 64 ns, which is 274.9 s.
pub const MAX_BURST_SECONDS: u64 = 274;
/// Largest monthly quota: 256 PiB, more than the fastest network carries in a month both ways.
pub const MAX_MONTHLY_QUOTA: MiB = MiB(1 << 38);

impl ResourcePolicy {
    /// Everything that is wrong with this policy, in the order of the JSON document; empty when it
    /// is acceptable.  A rule that compares with a figure already reported is not reported again.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Findings::default();
        check_cpu(&self.cpu, &mut found);
        check_memory(&self.memory, &mut found);
        check_disk(&self.disk, &mut found);
        check_network("network.inbound", &self.network.inbound, &mut found);
        check_network("network.outbound", &self.network.outbound, &mut found);
        if let Some(quota) = self.network.monthly_quota {
            found.range("network.monthly_quota", quota.get(), 1, MAX_MONTHLY_QUOTA.get());
        }
        found.0
    }
}

fn check_cpu(cpu: &CpuPolicy, found: &mut Findings) {
    let vcpus_fit = found.range("cpu.vcpus", cpu.vcpus.into(), 1, MAX_VCPUS.into());
    if vcpus_fit {
        let size = cpu.size().get();
        let floor = u64::from(cpu.vcpus) * MIN_CPU_LIMIT_PER_VCPU;
        let limit = cpu.limit.map(|limit| limit.get());
        if cpu.dedicated {
            if cpu.reservation.get() != size {
                found.add("cpu.reservation", Problem::DedicatedReservation { expected: size });
            }
            // A limit below the whole cores would take back what the plan sells.
            found.limit("cpu.limit", limit, size, size);
        } else {
            let limit = found.limit("cpu.limit", limit, floor, size);
            found.reservation("cpu.reservation", cpu.reservation.get(), limit, size);
        }
    }
    found.shares("cpu.shares", cpu.shares);
}

fn check_memory(memory: &MemoryPolicy, found: &mut Findings) {
    let size = memory.size.get();
    if found.range("memory.size", size, MIN_MEMORY.get(), MAX_MEMORY.get()) {
        let limit = memory.limit.map(|limit| limit.get());
        let limit = found.limit("memory.limit", limit, MIN_MEMORY.get(), size);
        found.reservation("memory.reservation", memory.reservation.get(), limit, size);
    }
    found.shares("memory.shares", memory.shares);
}

fn check_disk(disk: &DiskPolicy, found: &mut Findings) {
    found.range("disk.size", disk.size.get(), MIN_DISK.get(), MAX_DISK.get());
    let reservation = disk.reservation.get();
    if found.range("disk.reservation", reservation, 0, MAX_IOPS)
        && let Some(limit) = disk.operations_limit().filter(|limit| reservation > limit.get())
    {
        let limit = limit.get();
        found.add("disk.reservation", Problem::ReservationAboveLimit { reservation, limit });
    }
    found.shares("disk.shares", disk.shares);
    check_disk_direction("disk.read", &disk.read, found);
    check_disk_direction("disk.write", &disk.write, found);
}

fn check_disk_direction(path: &str, limits: &DiskLimits, found: &mut Findings) {
    if let Some(limit) = &limits.throughput {
        check_burst_limit(
            &format!("{path}.throughput"),
            limit,
            |rate| rate.get(),
            MAX_DISK_BYTES_PER_SEC,
            found,
        );
    }
    if let Some(limit) = &limits.operations {
        check_burst_limit(&format!("{path}.operations"), limit, |rate| rate.get(), MAX_IOPS, found);
    }
}

fn check_burst_limit<Rate: Copy>(
    path: &str,
    limit: &BurstLimit<Rate>,
    number: impl Fn(Rate) -> u64,
    max: u64,
    found: &mut Findings,
) {
    let average = number(limit.average);
    let average_fits = found.range(&format!("{path}.average"), average, 1, max);
    if let Some(peak) = limit.peak.map(&number) {
        found.peak(&format!("{path}.peak"), peak, average_fits.then_some(average), max);
    }
    let seconds = format!("{path}.peak_seconds");
    if found.range(&seconds, limit.peak_seconds.into(), 1, MAX_PEAK_SECONDS.into())
        && limit.peak.is_none()
        && limit.peak_seconds != 1
    {
        found.add(&seconds, Problem::NeedsPeak);
    }
}

fn check_network(path: &str, limits: &NetworkLimits, found: &mut Findings) {
    let (average_path, peak_path) = (format!("{path}.average"), format!("{path}.peak"));
    let average = limits.average.map(|rate| rate.get());
    let average_fits = average.is_none_or(|rate| found.range(&average_path, rate, 1, MAX_KBIT_PER_SEC));
    let average = average.filter(|_| average_fits);

    let reservation_path = format!("{path}.reservation");
    let reservation = limits.reservation.get();
    if found.range(&reservation_path, reservation, 0, MAX_KBIT_PER_SEC)
        && let Some(limit) = average.filter(|limit| reservation > *limit)
    {
        found.add(&reservation_path, Problem::ReservationAboveLimit { reservation, limit });
    }
    if let Some(peak) = limits.peak {
        if limits.average.is_none() {
            found.add(&peak_path, Problem::NeedsAverage);
        } else {
            found.peak(&peak_path, peak.get(), average, MAX_KBIT_PER_SEC);
        }
    }
    if let Some(burst) = limits.burst {
        let burst_path = format!("{path}.burst");
        if limits.peak.is_none() {
            found.add(&burst_path, Problem::NeedsPeak);
        } else {
            found.range(&burst_path, burst.get(), MIN_BURST_KIB, max_burst_kib(average));
        }
    }
    found.shares(&format!("{path}.shares"), limits.shares);
}

/// The largest burst beside an average of `average` kbit/s, in KiB.
fn max_burst_kib(average: Option<u64>) -> u64 {
    // kbit/s × 1000 / 8 bytes a second, for as long as tc can express.
    let by_time = average.map_or(MAX_BURST_KIB, |rate| rate * 125 * MAX_BURST_SECONDS / 1024);
    by_time.min(MAX_BURST_KIB)
}

/// The violations found so far, and the rules that several resources share.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, field: &str, problem: Problem) {
        self.0.push(Violation { field: field.to_owned(), problem });
    }

    /// Whether `value` is within `min..=max`; where it is not, that is reported.
    fn range(&mut self, field: &str, value: u64, min: u64, max: u64) -> bool {
        let fits = (min..=max).contains(&value);
        if !fits {
            self.add(field, Problem::OutOfRange { min, max });
        }
        fits
    }

    /// The limit, when there is one and it is acceptable.
    fn limit(&mut self, field: &str, limit: Option<u64>, min: u64, size: u64) -> Option<u64> {
        let limit = limit?;
        if limit > size {
            self.add(field, Problem::LimitAboveSize { limit, size });
            return None;
        }
        self.range(field, limit, min, size).then_some(limit)
    }

    fn reservation(&mut self, field: &str, reservation: u64, limit: Option<u64>, size: u64) {
        if reservation > size {
            self.add(field, Problem::ReservationAboveSize { reservation, size });
        } else if let Some(limit) = limit.filter(|limit| reservation > *limit) {
            self.add(field, Problem::ReservationAboveLimit { reservation, limit });
        }
    }

    fn peak(&mut self, field: &str, peak: u64, average: Option<u64>, max: u64) {
        if self.range(field, peak, 1, max)
            && let Some(average) = average.filter(|average| peak < *average)
        {
            self.add(field, Problem::PeakBelowAverage { peak, average });
        }
    }

    /// Reading JSON refuses these already; a policy built in Rust comes past here only.
    fn shares(&mut self, field: &str, shares: Shares) {
        if let Shares::Custom(number) = shares {
            self.range(field, number.into(), 1, Shares::MAX_CUSTOM.into());
        }
    }
}

/// English, in the unit of the field, as a sentence that continues the field's name.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OutOfRange { min, max } => {
                write!(f, "must be from {} to {}", Grouped(min), Grouped(max))
            }
            Self::ReservationAboveLimit { reservation, limit } => write!(
                f,
                "guarantees {}, which is more than the limit of {}",
                Grouped(reservation),
                Grouped(limit)
            ),
            Self::ReservationAboveSize { reservation, size } => write!(
                f,
                "guarantees {}, which is more than the {} that the instance has",
                Grouped(reservation),
                Grouped(size)
            ),
            Self::LimitAboveSize { limit, size } => write!(
                f,
                "limits to {}, which is more than the {} that the instance has",
                Grouped(limit),
                Grouped(size)
            ),
            Self::PeakBelowAverage { peak, average } => {
                write!(f, "is {}, which is below the average rate of {}", Grouped(peak), Grouped(average))
            }
            Self::NeedsAverage => f.write_str("has a meaning only together with an average rate"),
            Self::NeedsPeak => f.write_str("has a meaning only together with a peak rate"),
            Self::DedicatedReservation { expected } => {
                write!(f, "must be {}, because the plan has dedicated cores", Grouped(expected))
            }
        }
    }
}

/// `cpu.limit: must be from 10 to 1,000`.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

#[cfg(test)]
mod tests;
