//! The resource policy of an instance: what a plan sells and what a host must keep.

use crate::claim::{Claim, ShareUnit, Shares};
use crate::units::{BytesPerSec, Iops, KbitPerSec, KiB, MiB, MilliCpu};
use serde::{Deserialize, Serialize};

/// The whole policy of one instance: a minimum, a maximum and shares of every resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourcePolicy {
    pub cpu: CpuPolicy,
    pub memory: MemoryPolicy,
    pub disk: DiskPolicy,
    pub network: NetworkPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuPolicy {
    /// What the guest sees.
    pub vcpus: u32,
    #[serde(default)]
    pub reservation: MilliCpu,
    /// Absent: `vcpus` whole cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<MilliCpu>,
    #[serde(default)]
    pub shares: Shares,
    /// Exclusive physical cores: the reservation is then `vcpus` whole cores.
    #[serde(default)]
    pub dedicated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    /// What the guest sees.
    pub size: MiB,
    /// Never ballooned or reclaimed below this.
    #[serde(default)]
    pub reservation: MiB,
    /// A cap on the host side below `size`.  Absent: `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<MiB>,
    #[serde(default)]
    pub shares: Shares,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPolicy {
    /// Size of the root disk.  Disks grow and never shrink.
    pub size: MiB,
    #[serde(default)]
    pub reservation: Iops,
    #[serde(default)]
    pub shares: Shares,
    #[serde(default)]
    pub read: DiskLimits,
    #[serde(default)]
    pub write: DiskLimits,
}

/// Limits of one direction of one disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<BurstLimit<BytesPerSec>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<BurstLimit<Iops>>,
}

/// A limit that may be exceeded up to `peak` for `peak_seconds` after a quiet time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurstLimit<Rate> {
    pub average: Rate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<Rate>,
    /// Meaningful with `peak` only; 1 to 3,600.
    #[serde(default = "one_second")]
    pub peak_seconds: u32,
}

const fn one_second() -> u32 {
    1
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPolicy {
    /// Towards the guest.
    #[serde(default)]
    pub inbound: NetworkLimits,
    /// From the guest.
    #[serde(default)]
    pub outbound: NetworkLimits,
    /// Traffic included in a calendar month, both directions together, in MiB.  Absent: unmetered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_quota: Option<MiB>,
}

/// Limits of one direction of the public interface.
///
/// The long-run average is never above `average`, the rate is never above `peak`, and after idling
/// `burst` may pass at `peak`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkLimits {
    #[serde(default)]
    pub reservation: KbitPerSec,
    /// Absent: the whole uplink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<KbitPerSec>,
    /// Absent: `average`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<KbitPerSec>,
    /// Meaningful with `peak` only.  Absent: 100 ms at `peak`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<KiB>,
    #[serde(default)]
    pub shares: Shares,
}

/// What the instance claims of each resource of its host, with no demand: add a measured one with
/// [`Claim::with_demand`].
impl ResourcePolicy {
    /// In mCPU.  Never more than the guest's virtual CPUs can use.
    pub fn cpu_claim(&self) -> Claim {
        let CpuPolicy { vcpus, reservation, limit, shares, dedicated: _ } = self.cpu;
        Claim {
            reservation: reservation.get(),
            limit: Some(limit.unwrap_or(self.cpu.size()).get()),
            shares: shares.weight(ShareUnit::Vcpu, vcpus.into()),
            demand: None,
        }
    }

    /// In MiB, without the overhead of the guest's process.
    pub fn memory_claim(&self) -> Claim {
        let MemoryPolicy { size, reservation, limit, shares } = self.memory;
        Claim {
            reservation: reservation.get(),
            limit: Some(limit.unwrap_or(size).get()),
            shares: shares.weight(ShareUnit::MemoryMiB, size.get()),
            demand: None,
        }
    }

    /// In operations a second, reads and writes together, in the long run; peaks are beyond it.
    pub fn disk_claim(&self) -> Claim {
        Claim {
            reservation: self.disk.reservation.get(),
            limit: self.disk.operations_limit().map(Iops::get),
            shares: self.disk.shares.weight(ShareUnit::Disk, 1),
            demand: None,
        }
    }

    /// In kbit/s towards the guest, in the long run; peaks are beyond it.
    pub fn inbound_claim(&self) -> Claim {
        self.network.inbound.claim()
    }

    /// In kbit/s from the guest, in the long run; peaks are beyond it.
    pub fn outbound_claim(&self) -> Claim {
        self.network.outbound.claim()
    }
}

impl NetworkLimits {
    /// In kbit/s, in the long run; no demand.
    pub fn claim(&self) -> Claim {
        Claim {
            reservation: self.reservation.get(),
            limit: self.average.map(KbitPerSec::get),
            shares: self.shares.weight(ShareUnit::Interface, 1),
            demand: None,
        }
    }
}

impl CpuPolicy {
    /// The whole cores that the guest sees: what `limit` and `reservation` cannot exceed.
    pub const fn size(&self) -> MilliCpu {
        MilliCpu(self.vcpus as u64 * 1000)
    }
}

impl DiskPolicy {
    /// Most operations a second in the long run, reads and writes together.  Absent when either
    /// direction has no limit, for then the whole has none.
    pub fn operations_limit(&self) -> Option<Iops> {
        let (read, write) = (self.read.operations?, self.write.operations?);
        Some(read.average.saturating_add(write.average))
    }
}

/// One thing that is wrong with a policy.
///
/// `field` is the path in the JSON document and in the forms (`memory.reservation`); `problem`
/// selects the message in the reader's language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub field: String,
    pub problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Problem {
    /// Outside what the platform supports.
    OutOfRange {
        min: u64,
        max: u64,
    },
    /// The guaranteed minimum is above the maximum.
    ReservationAboveLimit {
        reservation: u64,
        limit: u64,
    },
    /// The guaranteed minimum is above what the guest sees.
    ReservationAboveSize {
        reservation: u64,
        size: u64,
    },
    /// The limit is above what the guest sees.
    LimitAboveSize {
        limit: u64,
        size: u64,
    },
    /// The peak rate is below the average rate.
    PeakBelowAverage {
        peak: u64,
        average: u64,
    },
    /// Peak or burst without an average, or burst without a peak.
    NeedsAverage,
    NeedsPeak,
    /// A dedicated plan reserves its whole cores; another figure was given.
    DedicatedReservation {
        expected: u64,
    },
}

#[cfg(test)]
impl ResourcePolicy {
    /// An acceptable policy with every field present and each figure different from its default.
    pub(crate) fn sample() -> Self {
        let disk = || DiskLimits {
            throughput: Some(BurstLimit {
                average: BytesPerSec(100_000_000),
                peak: Some(BytesPerSec(200_000_000)),
                peak_seconds: 60,
            }),
            operations: Some(BurstLimit { average: Iops(1000), peak: Some(Iops(3000)), peak_seconds: 30 }),
        };
        let network = || NetworkLimits {
            reservation: KbitPerSec::from_mbit(10),
            average: Some(KbitPerSec::from_mbit(100)),
            peak: Some(KbitPerSec::from_mbit(1000)),
            burst: Some(KiB(10_000)),
            shares: Shares::Normal,
        };
        Self {
            cpu: CpuPolicy {
                vcpus: 2,
                reservation: MilliCpu(500),
                limit: Some(MilliCpu(1500)),
                shares: Shares::Custom(1234),
                dedicated: false,
            },
            memory: MemoryPolicy {
                size: MiB(2048),
                reservation: MiB(512),
                limit: Some(MiB(1024)),
                shares: Shares::High,
            },
            disk: DiskPolicy {
                size: MiB(20_480),
                reservation: Iops(100),
                shares: Shares::Low,
                read: disk(),
                write: disk(),
            },
            network: NetworkPolicy {
                inbound: network(),
                outbound: network(),
                monthly_quota: Some(MiB(1 << 20)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_carry_the_figures_of_their_resource() {
        let policy = ResourcePolicy::sample();
        let claim =
            |reservation, limit, shares| Claim { reservation, limit: Some(limit), shares, demand: None };
        assert_eq!(policy.cpu_claim(), claim(500, 1500, 1234));
        assert_eq!(policy.memory_claim(), claim(512, 1024, 20 * 2048));
        assert_eq!(policy.disk_claim(), claim(100, 2000, 500));
        assert_eq!(policy.inbound_claim(), claim(10_000, 100_000, 50));
        assert_eq!(policy.outbound_claim(), policy.inbound_claim());
    }

    #[test]
    fn without_limits_a_claim_ends_where_the_guest_does() {
        let bare: ResourcePolicy = serde_json::from_str(
            r#"{"cpu":{"vcpus":3},"memory":{"size":64},"disk":{"size":64},"network":{}}"#,
        )
        .unwrap();
        assert_eq!((bare.cpu_claim().limit, bare.cpu_claim().shares), (Some(3000), 3000));
        assert_eq!((bare.memory_claim().limit, bare.memory_claim().shares), (Some(64), 640));
        assert_eq!((bare.disk_claim().limit, bare.disk_claim().shares), (None, 1000));
        assert_eq!((bare.outbound_claim().limit, bare.outbound_claim().shares), (None, 50));
    }
}
