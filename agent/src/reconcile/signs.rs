//! Whether guests were seen on the network since they started.
//!
//! A guest that is heard of (a frame, figures of its balloon) may still have the wrong addresses or none,
//! and nobody reaches it.  What it sends from an address of its own says that it took them; the
//! filter counts that.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Lost with the agent, and found out again by the next packet.
pub struct Signs {
    /// How long a guest may take before it counts as not seen.
    patience: Duration,
    guests: Mutex<HashMap<Uuid, Sign>>,
}

struct Sign {
    since: Instant,
    /// Packets before the present run of the guest.
    before: u64,
    seen: bool,
}

impl Signs {
    pub fn new(patience: Duration) -> Self {
        Self { patience, guests: Mutex::default() }
    }

    /// The guest was started; so many packets of earlier runs were counted.
    pub fn started(&self, id: Uuid, packets: u64) {
        self.lock().insert(id, Sign { since: Instant::now(), before: packets, seen: false });
    }

    /// Then nothing has to be counted any more until it is started again.
    pub fn is_seen(&self, id: Uuid) -> bool {
        self.lock().get(&id).is_some_and(|sign| sign.seen)
    }

    /// Takes the count of packets from the guest's own addresses, and judges: absent while the guest may
    /// still take its time.
    pub fn judge(&self, id: Uuid, packets: u64) -> Option<bool> {
        let mut guests = self.lock();
        let sign = guests.entry(id).or_insert(Sign { since: Instant::now(), before: 0, seen: false });
        // The filter was written anew, and counts from nought.
        sign.before = sign.before.min(packets);
        sign.seen |= packets > sign.before;
        (sign.seen || sign.since.elapsed() >= self.patience).then_some(sign.seen)
    }

    pub fn forget(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Sign>> {
        self.guests.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_seen_by_packets_of_its_present_run() {
        let (patient, strict) = (Signs::new(Duration::from_secs(60)), Signs::new(Duration::ZERO));
        let id = Uuid::nil();
        for signs in [&patient, &strict] {
            signs.started(id, 7);
        }
        assert_eq!((patient.judge(id, 7), strict.judge(id, 7)), (None, Some(false)));
        assert_eq!(strict.judge(id, 0), Some(false), "the filter was written anew");
        assert_eq!((patient.judge(id, 8), strict.judge(id, 1)), (Some(true), Some(true)));
        assert_eq!(strict.judge(id, 0), Some(true), "what was seen stays seen");
        assert!(strict.is_seen(id));
        strict.started(id, 1);
        assert!(!strict.is_seen(id));
        assert_eq!(strict.judge(id, 1), Some(false));
    }

    #[test]
    fn a_guest_that_ran_before_the_agent_is_seen_by_any_packet() {
        let signs = Signs::new(Duration::ZERO);
        assert_eq!(signs.judge(Uuid::nil(), 3), Some(true));
    }
}
