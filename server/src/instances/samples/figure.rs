//! The figures of a sample: their names, their units, and what a policy says about each.

use jst_policy::instance::{DiskLimits, NetworkLimits, ResourcePolicy};
use std::ops::{Index, IndexMut};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    CpuUsed,
    /// Work that waited for a processor of the host, which others used.
    CpuStolen,
    /// Work that the instance's own limit held back.
    CpuHeldBack,
    MemoryUsed,
    /// What the balloon holds back for others.
    MemoryLent,
    MemorySize,
    DiskReadBytes,
    DiskWriteBytes,
    DiskReadOperations,
    DiskWriteOperations,
    /// Towards the guest.
    NetworkIn,
    /// From the guest.
    NetworkOut,
    /// Packets that the instance's own limit dropped.
    NetworkInDropped,
    NetworkOutDropped,
}

/// The units of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    MilliCpu,
    MiB,
    BytesPerSec,
    Iops,
    KbitPerSec,
    PacketsPerSec,
}

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Self::MilliCpu => "millicpu",
            Self::MiB => "mib",
            Self::BytesPerSec => "bytes_per_second",
            Self::Iops => "operations_per_second",
            Self::KbitPerSec => "kbit_per_second",
            Self::PacketsPerSec => "packets_per_second",
        }
    }
}

impl Figure {
    pub const COUNT: usize = 14;

    /// In the order of the columns.
    pub const ALL: [Self; Self::COUNT] = [
        Self::CpuUsed,
        Self::CpuStolen,
        Self::CpuHeldBack,
        Self::MemoryUsed,
        Self::MemoryLent,
        Self::MemorySize,
        Self::DiskReadBytes,
        Self::DiskWriteBytes,
        Self::DiskReadOperations,
        Self::DiskWriteOperations,
        Self::NetworkIn,
        Self::NetworkOut,
        Self::NetworkInDropped,
        Self::NetworkOutDropped,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuUsed => "cpu_used",
            Self::CpuStolen => "cpu_stolen",
            Self::CpuHeldBack => "cpu_held_back",
            Self::MemoryUsed => "memory_used",
            Self::MemoryLent => "memory_lent",
            Self::MemorySize => "memory_size",
            Self::DiskReadBytes => "disk_read_bytes",
            Self::DiskWriteBytes => "disk_write_bytes",
            Self::DiskReadOperations => "disk_read_operations",
            Self::DiskWriteOperations => "disk_write_operations",
            Self::NetworkIn => "network_in",
            Self::NetworkOut => "network_out",
            Self::NetworkInDropped => "network_in_dropped",
            Self::NetworkOutDropped => "network_out_dropped",
        }
    }

    pub const fn unit(self) -> Unit {
        match self {
            Self::CpuUsed | Self::CpuStolen | Self::CpuHeldBack => Unit::MilliCpu,
            Self::MemoryUsed | Self::MemoryLent | Self::MemorySize => Unit::MiB,
            Self::DiskReadBytes | Self::DiskWriteBytes => Unit::BytesPerSec,
            Self::DiskReadOperations | Self::DiskWriteOperations => Unit::Iops,
            Self::NetworkIn | Self::NetworkOut => Unit::KbitPerSec,
            Self::NetworkInDropped | Self::NetworkOutDropped => Unit::PacketsPerSec,
        }
    }

    /// What is guaranteed; nothing where the policy guarantees nothing of this kind.  Operations on the
    /// disk are guaranteed for reads and writes together.
    pub fn guaranteed(self, policy: &ResourcePolicy) -> Option<u64> {
        let amount = match self {
            Self::CpuUsed => policy.cpu.reservation.get(),
            Self::MemoryUsed => policy.memory.reservation.get(),
            Self::DiskReadOperations | Self::DiskWriteOperations => policy.disk.reservation.get(),
            Self::NetworkIn => policy.network.inbound.reservation.get(),
            Self::NetworkOut => policy.network.outbound.reservation.get(),
            _ => 0,
        };
        (amount > 0).then_some(amount)
    }

    /// The most in the long run; nothing where there is no limit.
    pub fn maximum(self, policy: &ResourcePolicy) -> Option<u64> {
        let bytes = |limits: &DiskLimits| limits.throughput.map(|limit| limit.average.get());
        let operations = |limits: &DiskLimits| limits.operations.map(|limit| limit.average.get());
        let rate = |limits: &NetworkLimits| limits.average.map(|rate| rate.get());
        match self {
            Self::CpuUsed => policy.cpu_claim().limit,
            Self::MemoryUsed => policy.memory_claim().limit,
            Self::DiskReadBytes => bytes(&policy.disk.read),
            Self::DiskWriteBytes => bytes(&policy.disk.write),
            Self::DiskReadOperations => operations(&policy.disk.read),
            Self::DiskWriteOperations => operations(&policy.disk.write),
            Self::NetworkIn => rate(&policy.network.inbound),
            Self::NetworkOut => rate(&policy.network.outbound),
            Self::CpuStolen
            | Self::CpuHeldBack
            | Self::MemoryLent
            | Self::MemorySize
            | Self::NetworkInDropped
            | Self::NetworkOutDropped => None,
        }
    }
}

/// One value of each figure; absent: not known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures(pub [Option<f32>; Figure::COUNT]);

impl Index<Figure> for Figures {
    type Output = Option<f32>;

    fn index(&self, figure: Figure) -> &Option<f32> {
        &self.0[figure as usize]
    }
}

impl IndexMut<Figure> for Figures {
    fn index_mut(&mut self, figure: Figure) -> &mut Option<f32> {
        &mut self.0[figure as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_the_order_of_their_numbers() {
        for (index, figure) in Figure::ALL.into_iter().enumerate() {
            assert_eq!(figure as usize, index, "{figure:?}");
        }
    }

    #[test]
    fn a_policy_says_what_is_guaranteed_and_the_most() {
        let policy: ResourcePolicy = serde_json::from_value(serde_json::json!({
            "cpu": { "vcpus": 2, "reservation": 500 }, "memory": { "size": 1024, "reservation": 256 },
            "disk": { "size": 64, "write": { "throughput": { "average": 5000 } } },
            "network": { "outbound": { "average": 7000 } },
        }))
        .unwrap();
        let of = |figure: Figure| (figure.guaranteed(&policy), figure.maximum(&policy));
        assert_eq!(of(Figure::CpuUsed), (Some(500), Some(2000)));
        assert_eq!(of(Figure::CpuStolen), (None, None));
        assert_eq!(of(Figure::MemoryUsed), (Some(256), Some(1024)));
        assert_eq!(
            (of(Figure::DiskReadBytes), of(Figure::DiskWriteBytes)),
            ((None, None), (None, Some(5000)))
        );
        assert_eq!((of(Figure::NetworkIn), of(Figure::NetworkOut)), ((None, None), (None, Some(7000))));
    }
}
