//! How the limits of a policy are said to libvirt, and whether they are in force.
//!
//! Weight and quota of the processor are those of the domain's own control group.  Its emulator and each of
//! its vCPUs are groups below it on cgroup v1 and v2, so both count towards both, and a guest earns nothing by keeping its devices busy.  Beside the
//! domain's group are those of the other guests; above it is libvirt's (`machine`, or `machine.slice`), whose
//! own weight decides what guests together get beside the rest of the host.  That one is the operator's
//! (see the runbook): here it is only divided.

use jst_policy::instance::{BurstLimit, DiskPolicy, ResourcePolicy};
use jst_policy::units::{BytesPerSec, Iops};
use jst_policy::weights::Scale;

/// The usual period of the kernel's bandwidth control, 0.1 s.
pub const PERIOD_MICROSECONDS: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    V1,
    V2,
}

impl CgroupVersion {
    pub const fn cpu_scale(self) -> Scale {
        match self {
            Self::V1 => Scale::CPU_V1,
            Self::V2 => Scale::CPU_V2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuLimits {
    /// `cpu.shares` on cgroup v1, `cpu.weight` on v2.  Absent: whatever it is.
    pub weight: Option<u64>,
    /// Microseconds in each period for the whole domain: its vCPUs and its emulator together, so
    /// that a guest cannot earn more by keeping the emulator busy, and one vCPU alone may use all
    /// of a fractional limit.  Absent: no limit.
    pub quota: Option<u64>,
}

impl CpuLimits {
    /// The quota is the policy's; the weight depends on all guests of the host and is given.
    pub fn of(policy: &ResourcePolicy, weight: Option<u64>) -> Self {
        // The kernel's least quota is 1 ms, a hundredth of a core.
        let quota = policy.cpu.limit.map(|limit| (limit.get() * PERIOD_MICROSECONDS / 1000).max(1000));
        Self { weight, quota }
    }

    /// Whether they are what was found in a running domain: its weight, and its quota if any.
    pub fn are(&self, found: Option<(u64, Option<u64>)>) -> bool {
        found.is_some_and(|(weight, quota)| self.is_weight(weight) && self.quota == quota)
    }

    pub fn is_weight(&self, found: u64) -> bool {
        self.weight.is_none_or(|wanted| wanted == found)
    }
}

/// Block I/O limits by libvirt's names; 0 means none.  Every name is always present, because a
/// running guest keeps what is not named.
pub fn disk(policy: &DiskPolicy) -> Vec<(&'static str, u64)> {
    let bytes = |limit: &Option<BurstLimit<BytesPerSec>>| {
        limit.map_or((0, 0, 0), |l| burst(l.average.get(), l.peak.map(BytesPerSec::get), l.peak_seconds))
    };
    let operations = |limit: &Option<BurstLimit<Iops>>| {
        limit.map_or((0, 0, 0), |l| burst(l.average.get(), l.peak.map(Iops::get), l.peak_seconds))
    };
    let mut parameters = Vec::with_capacity(12);
    let mut add = |names: [&'static str; 3], (average, peak, seconds): (u64, u64, u64)| {
        parameters.extend([(names[0], average), (names[1], peak), (names[2], seconds)]);
    };
    add(
        ["read_bytes_sec", "read_bytes_sec_max", "read_bytes_sec_max_length"],
        bytes(&policy.read.throughput),
    );
    add(
        ["write_bytes_sec", "write_bytes_sec_max", "write_bytes_sec_max_length"],
        bytes(&policy.write.throughput),
    );
    add(
        ["read_iops_sec", "read_iops_sec_max", "read_iops_sec_max_length"],
        operations(&policy.read.operations),
    );
    add(
        ["write_iops_sec", "write_iops_sec_max", "write_iops_sec_max_length"],
        operations(&policy.write.operations),
    );
    parameters
}

/// Average, peak and its length.  A peak that is not above the average is none.
fn burst(average: u64, peak: Option<u64>, seconds: u32) -> (u64, u64, u64) {
    match peak {
        Some(peak) if peak > average && average > 0 => (average, peak, u64::from(seconds.max(1))),
        _ => (average, 0, 0),
    }
}

/// As in the definition, where a length without a peak is refused and zeros are noise.
pub fn disk_definition(policy: &DiskPolicy) -> Vec<(&'static str, u64)> {
    disk(policy).into_iter().filter(|(_, value)| *value > 0).collect()
}

/// Which of the wanted parameters are not in force.  Where no peak is wanted, its length means
/// nothing: QEMU answers 1 whatever was set.
pub fn disk_drift(wanted: &[(&'static str, u64)], found: &[(String, u64)]) -> Vec<&'static str> {
    let value = |name: &str| found.iter().find(|(found, _)| found == name).map_or(0, |(_, value)| *value);
    wanted
        .iter()
        .filter(|(name, wanted)| !(name.ends_with("_length") && *wanted == 0) && value(name) != *wanted)
        .map(|(name, _)| *name)
        .collect()
}

/// The path of a policy's field, from libvirt's name.
pub fn disk_field(name: &str) -> String {
    let direction = if name.starts_with("read") { "read" } else { "write" };
    let kind = if name.contains("bytes") { "throughput" } else { "operations" };
    format!("disk.{direction}.{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jst_policy::claim::Shares;
    use jst_policy::instance::{CpuPolicy, DiskLimits, MemoryPolicy, NetworkPolicy};
    use jst_policy::units::{MiB, MilliCpu};

    fn policy(vcpus: u32, shares: Shares, limit: Option<u64>) -> ResourcePolicy {
        ResourcePolicy {
            cpu: CpuPolicy {
                vcpus,
                reservation: MilliCpu::ZERO,
                limit: limit.map(MilliCpu),
                shares,
                dedicated: false,
            },
            memory: MemoryPolicy {
                size: MiB(512),
                reservation: MiB::ZERO,
                limit: None,
                shares: Shares::Normal,
            },
            disk: DiskPolicy {
                size: MiB(1024),
                reservation: Iops::ZERO,
                shares: Shares::Normal,
                read: DiskLimits::default(),
                write: DiskLimits::default(),
            },
            network: NetworkPolicy::default(),
        }
    }

    #[test]
    fn a_weight_is_judged_where_one_is_wanted() {
        let limits = |weight| CpuLimits::of(&policy(1, Shares::Normal, None), weight);
        assert!(limits(Some(700)).are(Some((700, None))));
        assert!(!limits(Some(700)).are(Some((699, None))));
        assert!(!limits(Some(700)).are(Some((700, Some(1000)))));
        assert!(limits(None).are(Some((699, None))));
        assert!(!limits(None).are(None));
    }

    #[test]
    fn a_limit_is_a_quota_of_the_whole_domain() {
        let quota = |limit| CpuLimits::of(&policy(2, Shares::Normal, limit), Some(2)).quota;
        assert_eq!(quota(Some(1500)), Some(150_000));
        assert_eq!(quota(None), None);
    }

    #[test]
    fn a_limit_that_is_lifted_is_said_and_a_length_without_a_peak_is_no_drift() {
        let mut wanted = policy(1, Shares::Normal, None).disk;
        assert_eq!(disk(&wanted).len(), 12);
        wanted.read.operations =
            Some(BurstLimit { average: Iops(100), peak: Some(Iops(400)), peak_seconds: 10 });
        let found: Vec<(String, u64)> =
            disk(&wanted).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert!(disk_drift(&disk(&wanted), &found).is_empty());
        wanted.read.operations = Some(BurstLimit { average: Iops(100), peak: None, peak_seconds: 10 });
        assert_eq!(disk_drift(&disk(&wanted), &found), ["read_iops_sec_max"]);
        assert_eq!(disk_definition(&wanted), [("read_iops_sec", 100)]);
    }
}
