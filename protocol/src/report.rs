//! What an agent observed: `POST /agent/v1/reports`, answered with 200 and [`Receipt`] once it is stored.
//!
//! A report renews the host's lease.  Everything in it is guarded by epoch and generation on the
//! server's side: what is older than what the server has is ignored.
//!
//! Each part of a report stands alone: the receipt names what could not be taken, and the rest counts, the lease included.

use jst_policy::instance::ResourcePolicy;
use jst_policy::power::Governor;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The revision that the agent has in its ledger.
    pub revision: i64,
    /// Present when the agent starts and whenever one of its facts changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostFacts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<HostLoad>,
    #[serde(default)]
    pub instances: Vec<InstanceReport>,
    /// Told until the report with them is answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
}

/// Something that was in force, was changed on the host by somebody else, and was set again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// One that is told twice is recorded once.
    pub id: Uuid,
    /// Absent: it is about the host itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Uuid>,
    /// Fields of the policy (`cpu.limit`), or what of the host it was (`network.tree`).
    pub fields: Vec<String>,
    pub at_unix: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Seconds for which the agent may go on starting guests, from when it sent the report.
    pub lease_seconds: u64,
    /// Instances whose report was not taken: the agent repeats it.  Absent from older servers, which take all or nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedReport>,
    /// What the host is was not taken: the agent repeats it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub facts_refused: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedReport {
    pub instance: Uuid,
    pub reason: RefusalReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// The server ran out of time before it came to this one: it may come again at once.
    Later,
    /// It could not be stored, and is set aside for the operator: it may come again after a pause.
    SetAside,
    #[serde(other)]
    Unknown,
}

/// What the host is and can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    pub agent_version: String,
    pub hypervisor: Hypervisor,
    pub hypervisor_version: String,
    pub kernel: String,
    pub cpu_model: String,
    pub cpus: u32,
    pub memory_mib: u64,
    /// Room for volumes in the storage pool, used and free together.
    pub storage_mib: u64,
    /// Operations a second that the storage carries, as its operator says; 0: unknown.
    #[serde(default)]
    pub disk_iops: u64,
    pub uplink: String,
    /// 0: unknown.
    pub uplink_kbit: u64,
    pub qualification: Qualification,
    /// Names of `jst_policy::placement::Capability`; unknown names are kept and ignored.
    pub capabilities: Vec<String>,
    /// What is missing and why, for the administrator.
    pub absent: Vec<AbsentCapability>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbsentCapability {
    pub capability: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hypervisor {
    Libvirt,
    Sim,
    #[serde(other)]
    Unknown,
}

/// Whether a probe guest really booted, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Qualification {
    Pending,
    /// A guest booted under KVM.
    Kvm {
        boot_milliseconds: u64,
    },
    /// A guest booted, but only by emulation: not for production.
    Emulated {
        boot_milliseconds: u64,
        reason: String,
    },
    /// A simulated host has no guests at all and never gets paying customers.
    Simulated,
    Failed {
        reason: String,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostLoad {
    pub cpu_used_millicpu: u64,
    pub memory_used_mib: u64,
    pub storage_used_mib: u64,
    pub running: u32,
    /// What balloons hold back of the guests' memory now.
    #[serde(default)]
    pub memory_reclaimed_mib: u64,
    #[serde(default)]
    pub memory_pressure: MemoryPressure,
    /// With every guest at its reservation so much memory would still be missing: guests should move to
    /// other hosts.
    #[serde(default)]
    pub memory_missing_mib: u64,
    /// What merged pages of guests save now.
    #[serde(default)]
    pub memory_merged_mib: u64,
    /// Absent where the kernel offers none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<Governor>,
    /// Processors that are parked; they count in what the host offers, for they come back on load.
    #[serde(default)]
    pub parked_cores: u32,
    /// What the processors take, where the host measures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watts: Option<u32>,
}

/// How short the host is of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryPressure {
    #[default]
    None,
    /// Memory is taken back from guests, idle ones first.
    Low,
    /// The same, in haste.
    Critical,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceReport {
    pub id: Uuid,
    pub epoch: i64,
    /// The generation that `outcome` is about.
    pub generation: i64,
    pub observed: Observed,
    pub outcome: Outcome,
    /// Outcomes of one-shot actions, repeated until the desired state no longer lists them.
    #[serde(default)]
    pub actions: Vec<ActionReport>,
    /// What was read back from where the limits bite; absent while the guest is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// No domain and no volume.
    Absent,
    Stopped,
    Running,
    /// Stopped by a failure of the guest or of its process.
    Crashed,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Everything in `generation` holds, and was read back.
    Applied,
    /// Everything holds but these fields, which need a restart of the guest.
    RestartRequired { fields: Vec<String> },
    /// On the way.  `percent` counts within the step.
    Progress { step: Step, percent: u8 },
    /// Did not work.  A failure that is not permanent is tried again by the agent.
    Failed { code: FailureCode, detail: String, permanent: bool },
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Queued,
    FetchingImage,
    CreatingVolume,
    Configuring,
    Starting,
    /// The guest runs, and has not been heard of yet.
    Booting,
    Stopping,
    Resizing,
    Deleting,
    #[serde(other)]
    Unknown,
}

/// Why something did not work; the pages turn it into words in the reader's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The server has no such image, or its checksum does not match.
    ImageUnavailable,
    ImageInvalid,
    StorageFull,
    /// Not enough memory on the host at the moment of start.
    HostMemory,
    NetworkSetup,
    HypervisorUnavailable,
    HypervisorRefused,
    /// The guest did not stop in time.
    GuestUnresponsive,
    /// Nothing was heard of a guest that was started from a new disk.
    GuestDidNotBoot,
    /// A disk would have to shrink.
    DiskNeverShrinks,
    CapabilityAbsent,
    LeaseExpired,
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReport {
    pub id: Uuid,
    pub outcome: Outcome,
}

/// What is in force, read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The policy in force, as far as it can be read; what differs from the desired one is drift.
    pub policy: ResourcePolicy,
    /// Paths of fields that could not be read back or differ, such as `network.inbound.peak`.
    #[serde(default)]
    pub drift: Vec<String>,
}

/// Counters since the guest's start, except where said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub cpu_nanoseconds: u64,
    /// How long its vCPUs had work and waited for a processor of the host, which others used.
    pub cpu_steal_nanoseconds: u64,
    /// How long its own limit held it back.  Absent from older agents.
    #[serde(default)]
    pub cpu_throttled_nanoseconds: u64,
    /// Resident memory of the guest's process, now.
    pub memory_resident_mib: u64,
    /// What the guest says it does not use, now.
    pub memory_unused_mib: u64,
    /// What the balloon leaves the guest of its memory, now; its size when nothing is held back.
    pub balloon_mib: u64,
    /// What of the guest's memory is merged with equal pages now, its own or others'.
    #[serde(default)]
    pub memory_merged_mib: u64,
    pub disk_read_bytes: u64,
    pub disk_write_bytes: u64,
    pub disk_read_operations: u64,
    pub disk_write_operations: u64,
    /// Towards the guest.  Survives restarts of guest and agent.
    pub network_in_bytes: u64,
    /// From the guest.  Survives restarts of guest and agent.
    pub network_out_bytes: u64,
    /// Packets that its limit dropped on the way to the guest, since its limit was set.
    #[serde(default)]
    pub network_in_dropped: u64,
    /// The same on the way from the guest.
    #[serde(default)]
    pub network_out_dropped: u64,
    /// Whether the guest has sent anything from a public address of its own since it was started.  Absent
    /// while it may still take its time, and from older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_seen: Option<bool>,
}
