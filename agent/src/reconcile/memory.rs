//! What a task knows beyond the ledger, and how observations change what the ledger remembers.

use crate::facts;
use crate::ledger::{Entry, Memo};
use jst_policy::converge::{self, Cycle, DomainState, Field, Hold, Observed, Presence, StopReason, Wish};
use jst_policy::lifecycle::Power;
use jst_policy::units::MiB;
use jst_protocol::desired::{InstanceSpec, OnCrash, OneShot, OneShotKind, Presence as Told};
use jst_protocol::report::Outcome;

/// Crashes within [`CRASH_WINDOW_SECONDS`] after which a guest is no longer restarted: one that
/// crashes at once would otherwise keep the host busy for ever.
const CRASH_CEILING: usize = 3;
const CRASH_WINDOW_SECONDS: i64 = 600;

/// Lost with the task, and found out again.
#[derive(Default)]
pub struct Recall {
    /// The generation that the rest is about.
    pub generation: i64,
    pub untaken: Vec<Field>,
    /// The generation failed for good; it is not tried again.
    pub failed: Option<Outcome>,
    pub failures: u32,
    /// When the present run of the guest was first seen.
    pub running_since: Option<std::time::Instant>,
}

impl Recall {
    /// A newer generation starts with a clean sheet.
    pub fn turn_to(&mut self, generation: i64) {
        if self.generation != generation {
            self.generation = generation;
            self.untaken.clear();
            self.failed = None;
            self.failures = 0;
        }
    }
}

pub fn spec(entry: &Entry) -> Option<&InstanceSpec> {
    match &entry.desired.presence {
        Told::Present { spec, .. } | Told::Retained { spec } => Some(spec),
        Told::Deleted => None,
    }
}

fn power(entry: &Entry) -> Option<Power> {
    match &entry.desired.presence {
        Told::Present { power, .. } => Some(*power),
        Told::Retained { .. } | Told::Deleted => None,
    }
}

pub fn is_live(observed: &Observed) -> bool {
    matches!(
        observed.domain.as_ref().map(|domain| &domain.state),
        Some(DomainState::Running(_) | DomainState::Paused(_))
    )
}

fn stopped(observed: &Observed) -> Option<StopReason> {
    match observed.domain.as_ref()?.state {
        DomainState::Stopped(reason) => Some(reason),
        DomainState::Running(_) | DomainState::Paused(_) => None,
    }
}

/// The first one-shot action without an outcome.
pub fn pending(entry: &Entry) -> Option<&OneShot> {
    entry.desired.actions.iter().find(|action| !entry.memo.actions.contains_key(&action.id))
}

/// Takes note of what the guest did by itself.  Pure: the caller makes it durable.
pub fn note(entry: &Entry, observed: &Observed, seed_is_spent: bool) -> Memo {
    let mut memo = entry.memo.clone();
    let generation = entry.desired.generation;
    if is_live(observed) {
        memo.guest_stopped_at_generation = None;
        memo.crashed_at_generation = None;
    }
    let cycle = matches!(
        pending(entry).map(|action| action.kind),
        Some(OneShotKind::PowerCycle | OneShotKind::Reboot)
    );
    match stopped(observed) {
        Some(StopReason::Guest) if power(entry) == Some(Power::Running) && !memo.stopping && !cycle => {
            memo.guest_stopped_at_generation.get_or_insert(generation);
        }
        Some(StopReason::Crashed)
            if memo.crashed_at_generation.is_none() && !memo.stopping && !memo.restarting =>
        {
            let now = facts::unix_now();
            memo.crashes.retain(|at| now - at < CRASH_WINDOW_SECONDS);
            memo.crashes.push(now);
            let restart = spec(entry).is_some_and(|spec| spec.on_crash == OnCrash::Restart);
            if restart && memo.crashes.len() < CRASH_CEILING {
                memo.restarting = true;
            } else {
                memo.crashed_at_generation = Some(generation);
            }
        }
        _ => {}
    }
    // A guest that powered itself off, on request or not, had come up far enough to read its seed.
    let read_its_seed = seed_is_spent || stopped(observed) == Some(StopReason::Guest);
    if let (true, Some(spec), Some(domain)) = (read_its_seed, spec(entry), &observed.domain)
        && domain.build == spec.build
    {
        memo.booted_build = Some(spec.build);
    }
    memo
}

pub fn wish(entry: &Entry, recall: &Recall, leased: bool, gate: i32) -> Wish {
    let memo = &entry.memo;
    let generation = entry.desired.generation;
    let presence = match &entry.desired.presence {
        Told::Present { power: Power::Running, .. } => Presence::Running,
        Told::Present { power: Power::Stopped, .. } => Presence::Stopped,
        Told::Retained { .. } => Presence::Retained,
        Told::Deleted => Presence::Deleted,
    };
    let cycle = pending(entry).and_then(|action| match action.kind {
        OneShotKind::Reboot => Some(Cycle::Reboot),
        OneShotKind::PowerCycle => Some(Cycle::PowerCycle),
        OneShotKind::PowerOff => Some(Cycle::PowerOff),
        OneShotKind::Unknown => None,
    });
    let spec = spec(entry);
    let hold = if !leased {
        Some(Hold::LeaseExpired)
    } else if memo.guest_stopped_at_generation.is_some_and(|at| at >= generation) && cycle.is_none() {
        Some(Hold::StoppedByGuest)
    } else if memo.crashed_at_generation.is_some_and(|at| at >= generation) && cycle.is_none() {
        Some(Hold::Crashed)
    } else if spec.is_some_and(|spec| spec.start_order > gate) {
        Some(Hold::StartOrder)
    } else {
        None
    };
    Wish {
        presence,
        build: spec.map_or(0, |spec| spec.build),
        vcpus: spec.map_or(0, |spec| spec.policy.cpu.vcpus),
        memory: spec.map_or(MiB::ZERO, |spec| spec.policy.memory.size),
        disk: spec.map_or(MiB::ZERO, |spec| spec.policy.disk.size),
        image: spec.map_or(MiB::ZERO, |spec| MiB(spec.image.virtual_bytes.div_ceil(1024 * 1024))),
        hold,
        needs_seed: spec.is_some_and(|spec| memo.booted_build != Some(spec.build)),
        cycle,
        untaken: recall.untaken.clone(),
    }
}

/// The state as it is reported.
pub fn reported(entry: &Entry, observed: &Observed) -> jst_protocol::report::Observed {
    use jst_protocol::report::Observed as Report;
    match observed.domain.as_ref().map(|domain| &domain.state) {
        Some(DomainState::Running(_) | DomainState::Paused(_)) => Report::Running,
        // We were stopping it: that its process was found dead, because libvirt died first, is no crash.
        Some(DomainState::Stopped(StopReason::Crashed)) if !entry.memo.stopping => Report::Crashed,
        Some(DomainState::Stopped(_)) => Report::Stopped,
        // A tombstone is done when nothing at all is left, not even a filter.
        None if *observed == Observed::default() => Report::Absent,
        None if spec(entry).is_some() && observed.volumes.is_empty() => Report::Absent,
        None => Report::Stopped,
    }
}

pub fn is_deleted(wish: &Wish) -> bool {
    wish.presence == converge::Presence::Deleted
}
