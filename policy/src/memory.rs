//! One step of the memory manager of a host: how much memory the balloon leaves each guest.
//!
//! More memory may be sold than a host has (see [`crate::admission`]), because most guests leave a part
//! of theirs idle.  When the host runs short, idle memory is taken back, and it is returned as soon as
//! there is room.  What is available on the host decides which of three things happens:
//!
//! ```text
//!   0 ........ low ........ goal ........ high ........ total
//!   | take back | exchange: idle -> needing | give back |
//!   | up to goal|                           | down to goal
//! ```
//!
//! Between the marks only guests that need more get more, from what others do not need; nothing else
//! moves, so that a host at a mark does not swing around it.
//!
//! What a guest *needs* is its working set with a margin.  It is estimated from what the guest says it
//! could hand out at once, so that files it has cached do not count.  A guest is taken below its need
//! only when all are down at theirs and it is still not enough; then [`divide`] decides by reservation
//! and shares.  Nobody is ever taken below its reservation.  Where even that does not suffice, guests
//! have to move to other hosts, and the step says how much is missing.
//!
//! Of a guest without fresh statistics nothing is known: it is left alone, and counts as if it used
//! all that it was sold, which it may do at any moment.
//!
//! A step remembers nothing.  Everything it knows was just read, so an agent that was restarted
//! goes on where the other ended.

use crate::claim::Claim;
use crate::divide::divide;
use crate::units::MiB;

/// Statistics that are older say nothing.  Guests' drivers renew them every 5 s; four may be lost.
pub const FRESH_SECONDS: u64 = 20;

/// No guest is left less, whatever is guaranteed to it: a kernel needs it to go on at all.  It is also
/// the smallest size that is sold.
pub const LEAST: MiB = MiB(64);

/// The marks of available memory on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Below this, memory is taken back.
    pub low: MiB,
    /// Above this, it is given back.
    pub high: MiB,
}

impl Marks {
    /// The marks of a host of `total` memory of which `reserve` is kept for the system.
    ///
    /// Half of the reserve is the least that should be available, for the system uses a part of it; but
    /// no less than a 64th of the memory (at most 2 GiB), which guests can fill between two steps, and no
    /// more than a 16th.  The high mark is twice the low one: the distance that keeps them from
    /// being crossed in turn.
    pub fn of(total: MiB, reserve: MiB) -> Self {
        let least = (total.get() / 64).min(2048);
        let low = (reserve.get() / 2).clamp(least, (total.get() / 16).max(least));
        Self { low: MiB(low), high: MiB(low * 2) }
    }

    /// What is aimed at when memory is taken back.
    const fn goal(self) -> u64 {
        let (low, high) = (self.low.get(), self.high.get());
        low + high.saturating_sub(low) / 2
    }
}

/// The memory of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// What could be had without swapping.
    pub available: MiB,
    /// What guests occupy beyond what they together may; nothing is available then.
    pub overdrawn: MiB,
    pub marks: Marks,
}

/// The memory of one running guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest {
    /// What the guest sees.
    pub size: MiB,
    /// In MiB.  The limit may be below the size; the demand is not looked at.
    pub claim: Claim,
    /// What the balloon leaves it now; its size, when nothing is held back.
    pub left: MiB,
    /// What it occupies of the host.
    pub resident: MiB,
    /// Absent: the guest has no balloon driver, or it has not answered yet.
    pub statistics: Option<Statistics>,
}

/// What the guest's driver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// What its programs could still get without swapping: free, or cached files.
    pub usable: MiB,
    pub age_seconds: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    #[default]
    None,
    /// Below the low mark.
    Low,
    /// Below half of it.
    Critical,
}

/// What one step decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the balloon should leave each guest, in the order of the guests.  A guest that is left
    /// alone has what it has now.
    pub targets: Vec<MiB>,
    pub pressure: Pressure,
    /// With every guest at its reservation so much would still be missing: guests should move to
    /// other hosts.
    pub evacuate: Option<MiB>,
}

/// A guest in whole MiB, as the decision sees it.
struct View {
    /// Its driver answers, so its balloon may be moved.
    moves: bool,
    floor: u64,
    ceiling: u64,
    left: u64,
    /// What would be had back of it if all were taken.
    footprint: u64,
    /// Working set and margin.
    wanted: u64,
    /// The same, between floor and ceiling.
    need: u64,
    shares: u64,
    /// How much may be taken from it in one step.
    step: u64,
}

impl View {
    fn of(guest: &Guest) -> Self {
        let size = guest.size.get();
        let left = guest.left.get().min(size);
        let ceiling = guest.claim.limit.map_or(size, |limit| limit.min(size));
        let floor = guest.claim.reservation.max(LEAST.get()).min(ceiling);
        let fresh = guest.statistics.filter(|statistics| statistics.age_seconds <= FRESH_SECONDS);
        let wanted = fresh.map_or(size, |statistics| {
            let usable = statistics.usable.get();
            let working_set = left.saturating_sub(usable);
            // A guest that has used up what it was left cannot show what it would use of more: the
            // margin lets its need grow from step to step until it is met, and fast while it starves.
            let margin = if usable < left / 16 { working_set / 2 } else { working_set / 4 };
            working_set + margin.max(32)
        });
        Self {
            moves: fresh.is_some(),
            floor,
            ceiling,
            left,
            footprint: guest.resident.get().min(left),
            wanted,
            need: wanted.clamp(floor, ceiling),
            shares: guest.claim.shares,
            // An eighth of its memory: a guest that is taken all that can be is asked over about half
            // a minute, in which it can write out what it has cached.
            step: (size / 8).max(64),
        }
    }

    /// How much it would like to have back.
    fn wants(&self) -> u64 {
        if self.moves { self.need.saturating_sub(self.left) } else { 0 }
    }
}

/// Decides one step.  Pure and total.
pub fn step(host: &Host, guests: &[Guest]) -> Step {
    let views: Vec<View> = guests.iter().map(View::of).collect();
    // Guests of which nothing is known may fill up what they were sold before the next step.
    let unknown: u64 = views
        .iter()
        .zip(guests)
        .filter(|(view, _)| !view.moves)
        .map(|(v, g)| g.size.get() - v.footprint)
        .sum();
    let available = host.available.get().saturating_sub(unknown);
    let (low, goal, high) = (host.marks.low.get(), host.marks.goal(), host.marks.high.get());
    let pressure = match available {
        a if a < low / 2 => Pressure::Critical,
        a if a < low => Pressure::Low,
        _ => Pressure::None,
    };
    let mut targets: Vec<u64> = views.iter().map(|view| view.left).collect();
    let haste = if pressure == Pressure::Critical { 2 } else { 1 };
    if available < low {
        take(&views, goal - available + host.overdrawn.get(), haste, &mut targets);
    } else {
        let room = worthwhile(available.saturating_sub(goal));
        let wants: u64 = views.iter().map(View::wants).sum();
        let given = give(room, &views, |view, _| view.wants(), &mut targets);
        // What is missing is taken from what the others do not need; it can be given in the next step.
        let idle: u64 = views.iter().map(idle).sum();
        take(&views, worthwhile((wants - given).min(idle)), haste, &mut targets);
        if available > high {
            // Down to the goal, as it is taken up to the goal: thus each crossing of a mark moves enough.
            let room = room - given;
            give(room, &views, |view, target| view.ceiling.saturating_sub(target), &mut targets);
        }
    }
    for (view, target) in views.iter().zip(&mut targets).filter(|(view, _)| view.moves) {
        // A limit below the size takes what is idle at once, and what is in use as gently as memory is taken
        // back; a reservation that was raised holds at once.
        let gently = view.footprint.saturating_sub(view.step * haste).min(view.wanted);
        *target = (*target).min(view.ceiling.max(gently)).max(view.floor);
    }
    let least: u64 = views.iter().filter(|view| view.moves).map(|v| v.footprint.min(v.floor)).sum();
    let most: u64 = views.iter().filter(|view| view.moves).map(|v| v.footprint).sum();
    let reachable = available + (most - least);
    let needed = low + host.overdrawn.get();
    Step {
        targets: targets.into_iter().map(MiB).collect(),
        pressure,
        evacuate: (reachable < needed).then(|| MiB(needed - reachable)),
    }
}

/// Nothing, of an amount that is not worth moving balloons for: otherwise a host that is a MiB above a mark
/// would give that MiB, unused as it stays, in every step.
const fn worthwhile(amount: u64) -> u64 {
    if amount < 32 { 0 } else { amount }
}

/// What a guest occupies and does not need.
fn idle(view: &View) -> u64 {
    if view.moves { view.footprint.saturating_sub(view.need) } else { 0 }
}

/// Lowers targets so that `amount` comes back: first what is idle, the larger part from those with fewer
/// shares; then, by reservation and shares, from what is needed.
fn take(views: &[View], amount: u64, haste: u64, targets: &mut [u64]) {
    if amount == 0 {
        return;
    }
    let movable: Vec<usize> = (0..views.len()).filter(|&index| views[index].moves).collect();
    let claims: Vec<Claim> = movable
        .iter()
        .map(|&index| {
            let View { floor, footprint, need, shares, .. } = views[index];
            Claim { reservation: floor, limit: Some(footprint), shares, demand: Some(need) }
        })
        .collect();
    let least: u64 = movable.iter().map(|&index| views[index].footprint.min(views[index].floor)).sum();
    let footprint: u64 = movable.iter().map(|&index| views[index].footprint).sum();
    // Never so little that reservations would be cut.
    let capacity = footprint.saturating_sub(amount).max(least);
    let needed = divide(capacity, &claims);
    let rest = capacity - needed.iter().sum::<u64>();
    let idle: Vec<Claim> = movable
        .iter()
        .zip(&needed)
        .map(|(&index, needed)| {
            let View { footprint, shares, .. } = views[index];
            Claim { reservation: 0, limit: Some(footprint - needed), shares, demand: None }
        })
        .collect();
    for ((&index, needed), kept) in movable.iter().zip(&needed).zip(divide(rest, &idle)) {
        let view = &views[index];
        let keeps = needed + kept;
        if keeps < view.footprint {
            // Memory that the guest has never touched goes at once: it does not miss it, and nothing comes
            // back to the host before it is gone.
            targets[index] = keeps.max(view.footprint.saturating_sub(view.step * haste));
        }
    }
}

/// Raises targets out of `room`, each by at most what it `wants`, by shares.  Gives how much was given.
fn give(room: u64, views: &[View], wants: impl Fn(&View, u64) -> u64, targets: &mut [u64]) -> u64 {
    let claims: Vec<Claim> = views
        .iter()
        .zip(&*targets)
        .map(|(view, &target)| {
            let wanted = if view.moves { wants(view, target) } else { 0 };
            Claim { reservation: 0, limit: Some(wanted), shares: view.shares, demand: None }
        })
        .collect();
    let grants = divide(room, &claims);
    for (target, grant) in targets.iter_mut().zip(&grants) {
        *target += grant;
    }
    grants.iter().sum()
}

#[cfg(test)]
mod tests;
