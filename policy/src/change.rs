//! What each change of a policy means for a guest that runs: in force at once, at the next start, or
//! never.
//!
//! The customer sees this before confirming a resize, and the agent plans by it.  It is a promise
//! about the usual case.  What is really in force is read back: where a guest refuses to give up a
//! CPU or memory, that field stays `restart required`.
//!
//! For a stopped guest every change that is not refused is in force at the next start anyway, and the
//! caller need not ask.

use crate::instance::{
    BurstLimit, CpuPolicy, DiskLimits, DiskPolicy, MemoryPolicy, NetworkLimits, NetworkPolicy, ResourcePolicy,
};
use crate::units::MiB;
use crate::validate::{MAX_MEMORY, MAX_VCPUS};
use serde::{Deserialize, Serialize};

/// The head-room that a domain was defined with, and what it was started with: how far a running
/// guest can grow and shrink.
///
/// Head-room is not booked and not paid for; admission counts what is plugged in.  It costs little:
/// a guest kernel prepares per-CPU areas for each CPU it might ever have, of the order of 0.2 MiB
/// each, and QEMU tracks dirty pages of the largest memory size, 1 bit for 4 KiB or 32 KiB for each
/// GiB.  Hence a multiple of the size and not always the most that the platform allows: 128 possible
/// CPUs would take more than a third of a 64 MiB guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLimits {
    /// `maxcpus` of the domain.
    pub max_vcpus: u32,
    /// `maxMemory` of the domain: memory at boot and virtio-mem together.
    pub max_memory: MiB,
    /// What the guest was started with, without virtio-mem.  The guest keeps it until it stops.
    pub boot_memory: MiB,
}

impl GuestLimits {
    /// Least head-room in CPUs: the smallest plans can grow to a middling one without a restart.
    pub const LEAST_MAX_VCPUS: u32 = 8;
    /// Least head-room in memory, for the same reason.
    pub const LEAST_MAX_MEMORY: MiB = MiB::from_gib(8);
    /// Head-room as a multiple of the size.  Linux by default (`memory_hotplug.auto_movable_ratio`, 301 %) puts
    /// up to three times its boot memory where it can be taken away again, so four times is what
    /// a guest can both grow to and come back from.
    pub const GROWTH: u32 = 4;
    /// Steps of virtio-mem on x86-64: one huge page.
    pub const MEMORY_BLOCK: MiB = MiB(2);

    /// What a domain is defined with when a guest of this policy is started: four times its size,
    /// at least 8 vCPUs and 8 GiB, at most what the platform allows.
    pub fn for_policy(policy: &ResourcePolicy) -> Self {
        let vcpus = policy.cpu.vcpus.saturating_mul(Self::GROWTH);
        let memory = MiB(policy.memory.size.get().saturating_mul(Self::GROWTH.into()));
        Self {
            max_vcpus: vcpus.clamp(Self::LEAST_MAX_VCPUS, MAX_VCPUS),
            max_memory: memory.clamp(Self::LEAST_MAX_MEMORY, MAX_MEMORY),
            boot_memory: policy.memory.size,
        }
    }
}

/// What one changed field means for a running guest, from harmless to impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// In force at once.
    Live,
    /// In force when the guest's process starts anew; a reboot from inside does not do it.
    RestartRequired,
    /// Not possible, running or stopped: the whole change is to be refused.
    Refused(Reason),
}

/// Why a change is refused.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// What lies beyond the new end would be lost.
    #[error("a disk can grow and never shrink")]
    DiskNeverShrinks,
}

/// One field that differs between two policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The path in the JSON document, such as `disk.read.throughput.peak`.
    pub field: String,
    /// What that means while the guest runs.
    pub effect: Effect,
}

/// The fields that differ between `from`, which the guest has, and `to`, which it is to have, in the
/// order of the JSON document; empty when nothing differs.
///
/// Both are taken to be acceptable (see [`ResourcePolicy::violations`]).  The effect of the change
/// as a whole is the greatest [`Effect`].
pub fn classify(from: &ResourcePolicy, to: &ResourcePolicy, guest: &GuestLimits) -> Vec<FieldChange> {
    // Every structure is taken apart here: a field that is added must be classified to compile.
    let ResourcePolicy { cpu, memory, disk, network } = to;
    let mut changes = Changes::default();
    compare_cpu(&from.cpu, cpu, guest, &mut changes);
    compare_memory(&from.memory, memory, guest, &mut changes);
    compare_disk(&from.disk, disk, &mut changes);
    let NetworkPolicy { inbound, outbound, monthly_quota } = network;
    compare_network("network.inbound", &from.network.inbound, inbound, &mut changes);
    compare_network("network.outbound", &from.network.outbound, outbound, &mut changes);
    changes.live("network.monthly_quota", from.network.monthly_quota != *monthly_quota);
    changes.0
}

fn compare_cpu(from: &CpuPolicy, to: &CpuPolicy, guest: &GuestLimits, changes: &mut Changes) {
    let &CpuPolicy { vcpus, reservation, limit, shares, dedicated } = to;
    if from.vcpus != vcpus {
        // Taking a CPU away needs the guest's consent, which most give and none has to.
        let live = vcpus > from.vcpus && vcpus <= guest.max_vcpus;
        changes.add("cpu.vcpus", if live { Effect::Live } else { Effect::RestartRequired });
    }
    changes.live("cpu.reservation", from.reservation != reservation);
    changes.live("cpu.limit", from.limit != limit);
    changes.live("cpu.shares", from.shares != shares);
    changes.live("cpu.dedicated", from.dedicated != dedicated);
}

fn compare_memory(from: &MemoryPolicy, to: &MemoryPolicy, guest: &GuestLimits, changes: &mut Changes) {
    let &MemoryPolicy { size, reservation, limit, shares } = to;
    if from.size != size {
        let live = size <= guest.max_memory
            && size.get().checked_sub(guest.boot_memory.get()).is_some_and(|plugged| {
                // virtio-mem plugs whole blocks only.
                plugged.is_multiple_of(GuestLimits::MEMORY_BLOCK.get())
            });
        changes.add("memory.size", if live { Effect::Live } else { Effect::RestartRequired });
    }
    changes.live("memory.reservation", from.reservation != reservation);
    changes.live("memory.limit", from.limit != limit);
    changes.live("memory.shares", from.shares != shares);
}

fn compare_disk(from: &DiskPolicy, to: &DiskPolicy, changes: &mut Changes) {
    let DiskPolicy { size, reservation, shares, read, write } = to;
    if from.size != *size {
        let shrinks = *size < from.size;
        changes
            .add("disk.size", if shrinks { Effect::Refused(Reason::DiskNeverShrinks) } else { Effect::Live });
    }
    changes.live("disk.reservation", from.reservation != *reservation);
    changes.live("disk.shares", from.shares != *shares);
    for (path, from, to) in [("disk.read", &from.read, read), ("disk.write", &from.write, write)] {
        let DiskLimits { throughput, operations } = to;
        compare_burst_limit(&format!("{path}.throughput"), &from.throughput, throughput, changes);
        compare_burst_limit(&format!("{path}.operations"), &from.operations, operations, changes);
    }
}

fn compare_burst_limit<Rate: Copy + PartialEq>(
    path: &str,
    from: &Option<BurstLimit<Rate>>,
    to: &Option<BurstLimit<Rate>>,
    changes: &mut Changes,
) {
    let parts = |limit: &Option<BurstLimit<Rate>>| match *limit {
        Some(BurstLimit { average, peak, peak_seconds }) => (Some(average), peak, peak.map(|_| peak_seconds)),
        None => (None, None, None),
    };
    let (from, to) = (parts(from), parts(to));
    changes.live(&format!("{path}.average"), from.0 != to.0);
    changes.live(&format!("{path}.peak"), from.1 != to.1);
    changes.live(&format!("{path}.peak_seconds"), from.2 != to.2);
}

fn compare_network(path: &str, from: &NetworkLimits, to: &NetworkLimits, changes: &mut Changes) {
    let &NetworkLimits { reservation, average, peak, burst, shares } = to;
    changes.live(&format!("{path}.reservation"), from.reservation != reservation);
    changes.live(&format!("{path}.average"), from.average != average);
    changes.live(&format!("{path}.peak"), from.peak != peak);
    changes.live(&format!("{path}.burst"), from.burst != burst);
    changes.live(&format!("{path}.shares"), from.shares != shares);
}

#[derive(Default)]
struct Changes(Vec<FieldChange>);

impl Changes {
    fn add(&mut self, field: &str, effect: Effect) {
        self.0.push(FieldChange { field: field.to_owned(), effect });
    }

    fn live(&mut self, field: &str, differs: bool) {
        if differs {
            self.add(field, Effect::Live);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Iops, KbitPerSec};
    use Effect::{Live, RestartRequired};

    fn sample() -> (ResourcePolicy, GuestLimits) {
        let mut policy = ResourcePolicy::sample();
        // Directions that differ from each other, so that none can pass for the other.
        policy.disk.write.throughput.as_mut().unwrap().peak_seconds = 61;
        policy.disk.write.operations.as_mut().unwrap().average = Iops(800);
        policy.network.outbound.average = Some(KbitPerSec::from_mbit(90));
        let limits = GuestLimits::for_policy(&policy);
        (policy, limits)
    }

    /// The changes that one edit of the sample makes to a guest started with the sample.
    fn after(edit: impl FnOnce(&mut ResourcePolicy)) -> Vec<(String, Effect)> {
        let (from, limits) = sample();
        let mut to = from.clone();
        edit(&mut to);
        classify(&from, &to, &limits).into_iter().map(|change| (change.field, change.effect)).collect()
    }

    fn only(field: &str, effect: Effect) -> Vec<(String, Effect)> {
        vec![(field.to_owned(), effect)]
    }

    #[test]
    fn head_room_is_four_times_the_size_between_a_floor_and_a_ceiling() {
        let limits = |vcpus, size| {
            let mut policy = ResourcePolicy::sample();
            (policy.cpu.vcpus, policy.memory.size) = (vcpus, MiB(size));
            let GuestLimits { max_vcpus, max_memory, boot_memory } = GuestLimits::for_policy(&policy);
            assert_eq!(boot_memory, MiB(size));
            (max_vcpus, max_memory.get())
        };
        assert_eq!(limits(1, 64), (8, 8192));
        assert_eq!(limits(3, 4096), (12, 16_384));
        assert_eq!(limits(33, 1 << 19), (128, 1 << 20));
        assert_eq!(limits(u32::MAX, u64::MAX), (128, 1 << 20));
    }

    #[test]
    fn nothing_changes_when_nothing_differs() {
        assert_eq!(after(|_| ()), []);
    }

    #[test]
    fn processors_are_added_live_up_to_the_head_room() {
        let to = |vcpus| after(|policy| policy.cpu.vcpus = vcpus);
        assert_eq!(to(8), only("cpu.vcpus", Live));
        assert_eq!(to(9), only("cpu.vcpus", RestartRequired));
        assert_eq!(to(1), only("cpu.vcpus", RestartRequired));
    }

    #[test]
    fn memory_moves_live_between_the_boot_size_and_the_head_room() {
        let to = |size| after(|policy| policy.memory.size = MiB(size));
        assert_eq!(to(8192), only("memory.size", Live));
        assert_eq!(to(8194), only("memory.size", RestartRequired));
        assert_eq!(to(2046), only("memory.size", RestartRequired));
        assert_eq!(to(2051), only("memory.size", RestartRequired));

        // A guest that has grown comes back to what it booted with, and no further.
        let (booted, limits) = sample();
        let mut grown = booted.clone();
        grown.memory.size = MiB(4096);
        let back = |size| {
            let mut to = grown.clone();
            to.memory.size = MiB(size);
            classify(&grown, &to, &limits)[0].effect
        };
        assert_eq!(back(2048), Live);
        assert_eq!(back(1024), RestartRequired);
    }

    #[test]
    fn a_disk_grows_live_and_never_shrinks() {
        let to = |size| after(|policy| policy.disk.size = MiB(size));
        assert_eq!(to(20_481), only("disk.size", Live));
        assert_eq!(to(20_479), only("disk.size", Effect::Refused(Reason::DiskNeverShrinks)));
    }

    #[test]
    fn limits_appear_and_vanish_field_by_field() {
        let live = |fields: &[&str]| fields.iter().map(|&field| (field.to_owned(), Live)).collect::<Vec<_>>();
        assert_eq!(
            after(|policy| policy.disk.read.operations = None),
            live(&[
                "disk.read.operations.average",
                "disk.read.operations.peak",
                "disk.read.operations.peak_seconds"
            ])
        );
        // Without a peak there is no time to stay at it.
        let (mut from, limits) = sample();
        let mut to = from.clone();
        from.disk.read.operations = None;
        to.disk.read.operations = Some(BurstLimit { average: Iops(5), peak: None, peak_seconds: 1 });
        let found = classify(&from, &to, &limits);
        assert_eq!(found, [FieldChange { field: "disk.read.operations.average".to_owned(), effect: Live }]);
        assert_eq!(
            after(|policy| policy.disk.write.operations.as_mut().unwrap().average = Iops(999)),
            live(&["disk.write.operations.average"])
        );
        assert_eq!(
            after(|policy| policy.network.outbound.peak = Some(KbitPerSec(1))),
            live(&["network.outbound.peak"])
        );
    }

    /// Every number, switch and level of the document is changed in turn, so that no field can be
    /// forgotten: each must be reported, alone and under its own path.
    #[test]
    fn every_field_is_classified_under_its_own_path() {
        let (from, limits) = sample();
        let document = serde_json::to_value(&from).unwrap();
        let mut paths = Vec::new();
        leaves("", &document, &mut paths);
        assert!(paths.len() > 30, "{paths:?}");
        for path in paths {
            let mut changed = document.clone();
            let leaf = changed.pointer_mut(&path).unwrap();
            *leaf = match &*leaf {
                serde_json::Value::Number(number) => (number.as_u64().unwrap() + 2).into(),
                serde_json::Value::Bool(set) => (!set).into(),
                _ => "normal".into(),
            };
            if *leaf == *document.pointer(&path).unwrap() {
                *leaf = "low".into();
            }
            let to = serde_json::from_value(changed).unwrap();
            let found: Vec<String> =
                classify(&from, &to, &limits).into_iter().map(|change| change.field).collect();
            assert_eq!(found, [path[1..].replace('/', ".")]);
        }
    }

    fn leaves(path: &str, value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    leaves(&format!("{path}/{name}"), value, found);
                }
            }
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn effects_are_ordered_and_travel_as_words() {
        let refused = Effect::Refused(Reason::DiskNeverShrinks);
        assert!(Live < RestartRequired && RestartRequired < refused);
        assert_eq!(serde_json::to_string(&RestartRequired).unwrap(), r#""restart_required""#);
        assert_eq!(serde_json::to_string(&refused).unwrap(), r#"{"refused":"disk_never_shrinks"}"#);
    }
}
