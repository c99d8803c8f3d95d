//! What a host may or may not be able to do.

use crate::claim::Shares;
use crate::instance::{DiskLimits, NetworkLimits, ResourcePolicy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Something that not every host can do, found by trying it at the agent's start.
///
/// On the wire it is a name; a name that this release does not know reads as `Unknown`, which
/// satisfies nothing and is satisfied by nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Weights of the CPU controller are honoured.
    CpuShares,
    /// CPU quota and period are honoured.
    CpuLimit,
    /// Cores can be given to one guest alone.
    CpuPinning,
    /// The balloon moves, and the guest's statistics come back.
    MemoryBalloon,
    /// Guests grow and shrink in memory while they run.
    VirtioMem,
    /// Limits of IOPS and bytes a second, with peaks.
    DiskThrottle,
    /// The storage's scheduler honours weights.
    DiskShares,
    /// It does, and is known to carry so many operations a second that parts of them can be guaranteed.
    DiskReservation,
    /// Average, peak and burst in both directions.
    NetworkShaping,
    /// The uplink is divided by guaranteed rates and shares, in both directions.
    NetworkShares,
    Ipv6,
    LiveMigration,
    /// The operator lets pages of different tenants be merged here.
    KsmOptIn,
    /// The governor of the processors can be chosen.
    PowerGovernor,
    /// Processors can be taken offline and brought back.
    CoreParking,
    #[serde(other)]
    Unknown,
}

impl Capability {
    /// Every capability that this release knows.
    pub const ALL: [Self; 15] = [
        Self::CpuShares,
        Self::CpuLimit,
        Self::CpuPinning,
        Self::MemoryBalloon,
        Self::VirtioMem,
        Self::DiskThrottle,
        Self::DiskShares,
        Self::DiskReservation,
        Self::NetworkShaping,
        Self::NetworkShares,
        Self::Ipv6,
        Self::LiveMigration,
        Self::KsmOptIn,
        Self::PowerGovernor,
        Self::CoreParking,
    ];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuShares => "cpu_shares",
            Self::CpuLimit => "cpu_limit",
            Self::CpuPinning => "cpu_pinning",
            Self::MemoryBalloon => "memory_balloon",
            Self::VirtioMem => "virtio_mem",
            Self::DiskThrottle => "disk_throttle",
            Self::DiskShares => "disk_shares",
            Self::DiskReservation => "disk_reservation",
            Self::NetworkShaping => "network_shaping",
            Self::NetworkShares => "network_shares",
            Self::Ipv6 => "ipv6",
            Self::LiveMigration => "live_migration",
            Self::KsmOptIn => "ksm_opt_in",
            Self::PowerGovernor => "power_governor",
            Self::CoreParking => "core_parking",
            Self::Unknown => "unknown",
        }
    }

    /// The capability of that name, or `Unknown`.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|capability| capability.name() == name).unwrap_or(Self::Unknown)
    }

    /// What a host must be able to do so that nothing which this policy promises is dropped.
    ///
    /// Normal shares need nothing, for guests are equal without weights too; other shares and
    /// reservations do, for without weights they would mean nothing under contention.  Memory
    /// reservations are kept by admission and by the agent's own restraint on every host.
    pub fn needed_by(policy: &ResourcePolicy) -> BTreeSet<Self> {
        let ResourcePolicy { cpu, memory: _, disk, network } = policy;
        let throttled = |limits: &DiskLimits| limits.throughput.is_some() || limits.operations.is_some();
        let shaped = |limits: &NetworkLimits| limits.average.is_some() || limits.peak.is_some();
        let divided =
            |limits: &NetworkLimits| limits.reservation.get() > 0 || limits.shares != Shares::Normal;
        [
            (Self::CpuPinning, cpu.dedicated),
            (Self::CpuLimit, cpu.limit.is_some_and(|limit| limit < cpu.size())),
            (Self::CpuShares, cpu.shares != Shares::Normal || cpu.reservation.get() > 0),
            (Self::DiskThrottle, throttled(&disk.read) || throttled(&disk.write)),
            (Self::DiskShares, disk.shares != Shares::Normal),
            (Self::DiskReservation, disk.reservation.get() > 0),
            (Self::NetworkShaping, shaped(&network.inbound) || shaped(&network.outbound)),
            (Self::NetworkShares, divided(&network.inbound) || divided(&network.outbound)),
        ]
        .into_iter()
        .filter_map(|(capability, needed)| needed.then_some(capability))
        .collect()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_on_the_wire_and_by_hand() {
        for capability in Capability::ALL.into_iter().chain([Capability::Unknown]) {
            assert_eq!(serde_json::to_value(capability).unwrap(), capability.name());
            assert_eq!(Capability::from_name(capability.name()), capability);
        }
        assert_eq!(serde_json::from_str::<Capability>(r#""teleportation""#).unwrap(), Capability::Unknown);
        assert_eq!(Capability::from_name("teleportation"), Capability::Unknown);
    }

    #[test]
    fn a_policy_needs_what_it_promises_and_no_more() {
        let bare: ResourcePolicy = serde_json::from_str(
            r#"{"cpu":{"vcpus":1,"limit":1000},"memory":{"size":512,"reservation":512},"disk":{"size":64},"network":{}}"#,
        )
        .unwrap();
        assert_eq!(Capability::needed_by(&bare), BTreeSet::new());

        let sample = ResourcePolicy::sample();
        type Edit = fn(&mut ResourcePolicy, &ResourcePolicy);
        let cases: [(Edit, Capability); 14] = [
            (|policy, _| policy.cpu.dedicated = true, Capability::CpuPinning),
            (
                |policy, sample| policy.cpu.limit = sample.cpu.limit.map(|_| crate::units::MilliCpu(999)),
                Capability::CpuLimit,
            ),
            (|policy, sample| policy.cpu.shares = sample.cpu.shares, Capability::CpuShares),
            (|policy, sample| policy.cpu.reservation = sample.cpu.reservation, Capability::CpuShares),
            (
                |policy, sample| policy.disk.read.throughput = sample.disk.read.throughput,
                Capability::DiskThrottle,
            ),
            (
                |policy, sample| policy.disk.read.operations = sample.disk.read.operations,
                Capability::DiskThrottle,
            ),
            (
                |policy, sample| policy.disk.write.throughput = sample.disk.write.throughput,
                Capability::DiskThrottle,
            ),
            (
                |policy, sample| policy.disk.write.operations = sample.disk.write.operations,
                Capability::DiskThrottle,
            ),
            (|policy, sample| policy.disk.shares = sample.disk.shares, Capability::DiskShares),
            (|policy, sample| policy.disk.reservation = sample.disk.reservation, Capability::DiskReservation),
            (
                |policy, sample| policy.network.inbound.average = sample.network.inbound.average,
                Capability::NetworkShaping,
            ),
            (
                |policy, sample| policy.network.outbound.average = sample.network.outbound.average,
                Capability::NetworkShaping,
            ),
            (
                |policy, sample| policy.network.outbound.reservation = sample.network.outbound.reservation,
                Capability::NetworkShares,
            ),
            (|policy, _| policy.network.inbound.shares = Shares::High, Capability::NetworkShares),
        ];
        for (index, (edit, capability)) in cases.into_iter().enumerate() {
            let mut policy = bare.clone();
            edit(&mut policy, &sample);
            assert_eq!(Capability::needed_by(&policy), [capability].into(), "case {index}");
        }
    }
}
