//! What a report proves of a change, and what an instance books until it is proven.
//!
//! ```text
//!   asked for a smaller plan ──> both booked, the dearer one charged ──read back──> the smaller one booked and charged
//!   asked for a larger plan  ──> both booked, the old one charged    ──in force───> the larger one charged
//! ```
//!
//! A guest may keep memory and processors that it was asked to give up, and its host may be out of reach.  So what is
//! smaller counts once the host has read back that nothing larger is left, or that the guest is stopped: it starts with
//! what is desired then.  Generations say how far this is (`held_generation`, `reached_generation`); bookings follow
//! here, and the ledger by its trigger.

use super::db::bookings;
use super::db::reports::Observation;
use super::model::Instance;
use super::reports::judge::is_in_force;
use super::work::Work;
use crate::error::Result;
use jst_policy::admission::Booking;
use jst_policy::instance::ResourcePolicy;
use jst_protocol::report::{Applied, InstanceReport, Observed, Outcome};

/// Whether the report proves that nothing larger of an earlier generation is left.
pub fn is_settled(instance: &Instance, report: &InstanceReport) -> bool {
    match report.observed {
        // Of a creation that failed nothing ever was in force.
        _ if instance.has_failed() => false,
        Observed::Absent | Observed::Stopped | Observed::Crashed => is_in_force(&report.outcome),
        Observed::Running => {
            report.outcome == Outcome::Applied
                && report.applied.as_ref().is_some_and(holds)
                && keeps_memory_limit(instance, report)
        }
        Observed::Unknown => false,
    }
}

/// Everything that limits the guest was read back as desired.  Shares limit nobody.
fn holds(applied: &Applied) -> bool {
    applied.drift.iter().all(|field| field.ends_with(".shares"))
}

/// A limit below the guest's size is the balloon's doing, which a guest may refuse.
fn keeps_memory_limit(instance: &Instance, report: &InstanceReport) -> bool {
    let memory = &instance.policy.memory;
    match memory.limit.filter(|limit| *limit < memory.size) {
        Some(limit) => report.usage.is_some_and(|usage| usage.balloon_mib <= limit.get()),
        None => true,
    }
}

/// Whether something of the report's generation is in force: it is applied, or a change that failed half-way has left
/// the guest larger than it was.
pub fn is_reached(instance: &Instance, report: &InstanceReport) -> bool {
    // What is created for the first time counts once it is there as a whole.
    let created = instance.held_generation > 0;
    let grown = |applied: &Applied| {
        let before = instance.applied.as_ref().map(Booking::of).unwrap_or_default();
        !before.covers(&Booking::of(&applied.policy))
    };
    let changed = created && report.applied.as_ref().is_some_and(grown);
    !instance.has_failed() && (is_in_force(&report.outcome) || changed)
}

/// What an instance books: what is desired and what is in force, and what it has booked already until a report proves
/// that nothing of that is left.
fn booking(
    desired: &ResourcePolicy,
    booked: &Booking,
    settled: bool,
    in_force: Option<&ResourcePolicy>,
) -> Booking {
    let least = Booking::of(desired).larger(&in_force.map(Booking::of).unwrap_or_default());
    if settled { least } else { least.larger(booked) }
}

/// Books what is in force after an observation.  What a guest has is booked even where the host is full: the sums of
/// the host say what is true, and nothing more is placed there.  Once a generation was settled, a report of it that says
/// otherwise is an older one that comes again.
pub async fn rebook(work: &mut Work, seen: &Observation) -> Result<()> {
    let instance = &work.instance;
    let settled = seen.settled && seen.generation == instance.generation;
    let Some(booked) = bookings::of(&mut work.tx, instance.id).await? else { return Ok(()) };
    let in_force = seen.policy.as_ref().filter(|_| instance.held_generation < seen.generation);
    let new = booking(&instance.policy, &booked, settled, in_force);
    if new != booked {
        bookings::rebook(&mut work.tx, instance.id, &new, bookings::Room::Taken).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jst_policy::units::MiB;

    fn policy(memory: u64) -> ResourcePolicy {
        serde_json::from_value(serde_json::json!({
            "cpu": { "vcpus": 1 }, "memory": { "size": memory }, "disk": { "size": 512 }, "network": {}
        }))
        .unwrap()
    }

    #[test]
    fn the_larger_stays_booked_until_nothing_of_it_is_left() {
        let (large, small) = (Booking::of(&policy(1024)), Booking::of(&policy(256)));
        let booked = |settled, in_force: Option<u64>| {
            booking(&policy(256), &large, settled, in_force.map(policy).as_ref())
        };
        assert_eq!(booked(false, None), large);
        assert_eq!(booked(false, Some(256)), large);
        assert_eq!(booked(true, None), small);
        assert_eq!(booked(true, Some(256)), small);
        assert_eq!(booked(true, Some(512)).memory_size, MiB(512));
    }

    #[test]
    fn shares_are_no_limit() {
        let drift = |fields: &[&str]| Applied {
            policy: policy(256),
            drift: fields.iter().map(ToString::to_string).collect(),
        };
        assert!(holds(&drift(&[])) && holds(&drift(&["cpu.shares", "disk.shares"])));
        for field in ["cpu.limit", "memory.size", "network", "cpu.dedicated", "network.inbound.peak"] {
            assert!(!holds(&drift(&["cpu.shares", field])), "{field}");
        }
    }
}
