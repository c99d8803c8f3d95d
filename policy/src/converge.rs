//! What has to be done to one instance: from what is desired and what was observed to ordered actions.
//!
//! The agent plans with [`converge`], executes the actions without choices of its own, observes again
//! and plans again: a plan without actions is the proof that the instance is as desired.  Planning is
//! therefore the only place where it is decided what happens to a guest, and it can be tested without one.

use crate::units::MiB;
use serde::{Deserialize, Serialize};

/// What is desired of one instance, reduced to what decisions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub presence: Presence,
    pub build: u32,
    pub vcpus: u32,
    pub memory: MiB,
    pub disk: MiB,
    /// Size of the image's contents: no volume can be made smaller.
    pub image: MiB,
    /// Why a guest that is not running may not be started now; running guests are left alone.
    pub hold: Option<Hold>,
    /// True until the guest has booted once from this build.
    pub needs_seed: bool,
    /// The oldest one-shot action that has no outcome yet.
    pub cycle: Option<Cycle>,
    /// Fields that the running guest did not take; they wait for its next start.
    pub untaken: Vec<Field>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    Running,
    Stopped,
    /// Stopped and kept as it is: nothing is created or changed any more.
    Retained,
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// The host cannot prove that nobody else runs this instance.
    LeaseExpired,
    /// The guest shut itself down; only a newer generation starts it again.
    StoppedByGuest,
    /// The guest crashed, and the policy or the ceiling of restarts forbids another start.
    Crashed,
    /// Other instances start first.
    StartOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cycle {
    Reboot,
    PowerCycle,
    /// Ends the guest without asking it.
    PowerOff,
}

/// What was observed of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub domain: Option<Domain>,
    /// Root volumes, one a build; more than one only in the middle of a rebuild.
    pub volumes: Vec<Volume>,
    /// The network devices and filters exist.
    pub network: bool,
    pub seed: bool,
    /// Other files, such as the console's log.
    pub leftovers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    pub build: u32,
    pub size: MiB,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    pub build: u32,
    pub state: DomainState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DomainState {
    Stopped(StopReason),
    /// Held by the hypervisor, usually because its storage was full.
    Paused(Live),
    Running(Live),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StopReason {
    /// It has not run since it was defined or since the host started.
    NotStarted,
    /// The guest powered itself off, or followed our request to.
    Guest,
    /// It was destroyed on purpose.
    Destroyed,
    /// Its process or its kernel failed.
    Crashed,
}

/// What is in force in a running guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    pub vcpus: u32,
    pub max_vcpus: u32,
    pub memory: MiB,
    /// What the guest was started with.  It goes back no further while it runs: a balloon can take
    /// more, but the guest can empty it again, and a size that was sold must hold.
    pub boot_memory: MiB,
    /// Largest size that can be reached without a restart.
    pub max_memory: MiB,
    pub cpu_in_force: bool,
    pub disk_in_force: bool,
    /// Taps, filters and shaping are those of the current generation.
    pub network_in_force: bool,
}

/// A field of the resource policy that can need a restart; its path in the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Field {
    #[serde(rename = "cpu.vcpus")]
    Vcpus,
    #[serde(rename = "memory.size")]
    Memory,
    #[serde(rename = "disk.size")]
    Disk,
}

impl Field {
    pub const fn path(self) -> &'static str {
        match self {
            Self::Vcpus => "cpu.vcpus",
            Self::Memory => "memory.size",
            Self::Disk => "disk.size",
        }
    }
}

/// One thing to do.  Each is idempotent, so that a plan may be cut off anywhere and made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Fetches the image where the host lacks it, and makes the root volume of this build.
    CreateVolume {
        build: u32,
        size: MiB,
    },
    /// Grows the volume of a stopped guest.
    GrowVolume {
        build: u32,
        size: MiB,
    },
    DeleteVolume {
        build: u32,
    },
    WriteSeed,
    RemoveSeed,
    /// Filters first, then devices, addresses and shaping; also changes what is attached already.
    AttachNetwork,
    DetachNetwork,
    /// Writes the persistent definition, with every limit in it.
    Define,
    Undefine,
    Start,
    /// Asks the guest to power off, and destroys it when it has not done so in time.
    Shutdown,
    Destroy,
    Resume,
    /// Asks the guest to restart, and resets it when it has not done so in time.
    Reboot,
    SetVcpus(u32),
    SetMemory(MiB),
    ResizeDisk(MiB),
    SetCpuLimits,
    SetDiskLimits,
    DeleteLeftovers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    DiskNeverShrinks,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub restart_required: Vec<Field>,
    /// A start is due and held back.
    pub held: Option<Hold>,
    /// A part of what is desired that will never be done.
    pub refused: Option<Refusal>,
}

/// Plans the next steps.  Pure and total.
pub fn converge(wish: &Wish, observed: &Observed) -> Plan {
    match wish.presence {
        Presence::Deleted => delete(observed),
        Presence::Retained => retain(observed),
        Presence::Stopped | Presence::Running => keep(wish, observed),
    }
}

fn live(observed: &Observed) -> Option<&Live> {
    match &observed.domain.as_ref()?.state {
        DomainState::Running(live) | DomainState::Paused(live) => Some(live),
        DomainState::Stopped(_) => None,
    }
}

fn delete(observed: &Observed) -> Plan {
    let mut actions = Vec::new();
    if live(observed).is_some() {
        actions.push(Action::Destroy);
    }
    // The network goes while the definition still names the instance, so that an agent that dies
    // between the two finds both again.
    if observed.network {
        actions.push(Action::DetachNetwork);
    }
    if observed.domain.is_some() {
        actions.push(Action::Undefine);
    }
    if observed.seed {
        actions.push(Action::RemoveSeed);
    }
    actions.extend(observed.volumes.iter().map(|volume| Action::DeleteVolume { build: volume.build }));
    if observed.leftovers {
        actions.push(Action::DeleteLeftovers);
    }
    Plan { actions, ..Plan::default() }
}

fn retain(observed: &Observed) -> Plan {
    let mut actions = Vec::new();
    if live(observed).is_some() {
        actions.push(Action::Shutdown);
    }
    if observed.network {
        actions.push(Action::DetachNetwork);
    }
    Plan { actions, ..Plan::default() }
}

fn keep(wish: &Wish, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    let volume = observed.volumes.iter().find(|volume| volume.build == wish.build);
    let running = live(observed);
    let of_this_build = observed.domain.as_ref().is_some_and(|domain| domain.build == wish.build);

    // The new volume is made before the old one goes: when the image cannot be had, the customer
    // keeps what there was.
    match volume {
        None if wish.disk < wish.image => {
            plan.refused = Some(Refusal::DiskNeverShrinks);
            return plan;
        }
        None => plan.actions.push(Action::CreateVolume { build: wish.build, size: wish.disk }),
        Some(volume) if volume.size > wish.disk => plan.refused = Some(Refusal::DiskNeverShrinks),
        Some(_) => {}
    }
    let stale = || observed.volumes.iter().filter(|volume| volume.build != wish.build);

    // Once the guest is stopped, the rest is planned anew from what is observed then: a stop takes
    // long, and more may have changed than the power.
    let stop = match (running, wish.presence, wish.cycle) {
        (None, _, _) => None,
        (Some(_), _, _) if !of_this_build => Some(Action::Destroy),
        (Some(_), _, Some(Cycle::PowerOff)) => Some(Action::Destroy),
        (Some(_), Presence::Stopped, _) => Some(Action::Shutdown),
        // A held guest could not come back, so it is not stopped either.
        (Some(_), _, Some(Cycle::PowerCycle)) if wish.hold.is_none() => Some(Action::Shutdown),
        (Some(_), _, _) => None,
    };
    match (stop, running) {
        (Some(stop), _) => plan.actions.push(stop),
        (None, Some(live)) => adjust_running(wish, observed, live, volume, stale(), &mut plan),
        (None, None) => finish_stopped(wish, observed, volume, stale(), &mut plan),
    }
    plan
}

/// The guest is stopped.
fn finish_stopped<'a>(
    wish: &Wish,
    observed: &Observed,
    volume: Option<&Volume>,
    stale: impl Iterator<Item = &'a Volume>,
    plan: &mut Plan,
) {
    plan.actions.extend(stale.map(|volume| Action::DeleteVolume { build: volume.build }));
    if volume.is_some_and(|volume| volume.size < wish.disk) {
        plan.actions.push(Action::GrowVolume { build: wish.build, size: wish.disk });
    }
    if !wish.needs_seed && observed.seed {
        plan.actions.push(Action::RemoveSeed);
    }
    let start = wish.presence == Presence::Running && wish.cycle != Some(Cycle::PowerOff);
    if start {
        plan.held = wish.hold;
    }
    if !start || wish.hold.is_some() {
        if observed.network {
            plan.actions.push(Action::DetachNetwork);
        }
        return;
    }
    if wish.needs_seed {
        plan.actions.push(Action::WriteSeed);
    }
    // The filters stand before the guest can send its first frame.
    plan.actions.extend([Action::AttachNetwork, Action::Define, Action::Start]);
}

fn adjust_running<'a>(
    wish: &Wish,
    observed: &Observed,
    live: &Live,
    volume: Option<&Volume>,
    stale: impl Iterator<Item = &'a Volume>,
    plan: &mut Plan,
) {
    plan.actions.extend(stale.map(|volume| Action::DeleteVolume { build: volume.build }));
    if matches!(observed.domain.as_ref().map(|domain| &domain.state), Some(DomainState::Paused(_))) {
        plan.actions.push(Action::Resume);
    }
    // Limits come before growth: a guest never has, not for a moment, more than was sold.
    if !live.network_in_force {
        plan.actions.push(Action::AttachNetwork);
    }
    if !live.cpu_in_force {
        plan.actions.push(Action::SetCpuLimits);
    }
    if !live.disk_in_force {
        plan.actions.push(Action::SetDiskLimits);
    }
    let mut change = |field: Field, differs: bool, possible: bool, action: Action| {
        if differs {
            if possible && !wish.untaken.contains(&field) {
                plan.actions.push(action);
            } else {
                plan.restart_required.push(field);
            }
        }
    };
    change(
        Field::Vcpus,
        live.vcpus != wish.vcpus,
        wish.vcpus <= live.max_vcpus,
        Action::SetVcpus(wish.vcpus),
    );
    change(
        Field::Memory,
        live.memory != wish.memory,
        (live.boot_memory..=live.max_memory).contains(&wish.memory),
        Action::SetMemory(wish.memory),
    );
    change(
        Field::Disk,
        volume.is_some_and(|volume| volume.size < wish.disk),
        true,
        Action::ResizeDisk(wish.disk),
    );
    if !wish.needs_seed && observed.seed {
        plan.actions.push(Action::RemoveSeed);
    }
    if wish.cycle == Some(Cycle::Reboot) {
        plan.actions.push(Action::Reboot);
    }
}

#[cfg(test)]
mod tests;
