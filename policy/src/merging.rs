//! One step of page merging: how hard the kernel (KSM) searches guests' memory for equal pages, of which
//! it then keeps one.
//!
//! Merging is a side channel.  A write to a merged page takes longer, so that a guest can find out what
//! stands in the memory of another.  It is therefore off until the operator allows it on a host, for all
//! guests of that host, whoever they belong to; and when it is not allowed any more, merged pages are
//! separated again.
//!
//! Searching costs processor time that guests could have, so it follows the need, by the marks of
//! [`crate::memory`]:
//!
//! ```text
//!   0 ..... low ..... high ..... 2 × high ... 3 × high ..... total
//!   | hasty | brisk   | gentle   | as before | no search; what is merged stays
//! ```
//!
//! The search begins well above the mark at which memory is taken back from guests, for it takes minutes and
//! harms nobody.

use crate::memory::Host;
use crate::units::MiB;

/// What the kernel is told to do, by its own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Nothing is searched; what is merged stays merged.
    Stop,
    Merge,
    /// Everything is separated, and nothing is searched.
    Separate,
}

impl Run {
    pub const ALL: [Self; 3] = [Self::Stop, Self::Merge, Self::Separate];

    /// As `/sys/kernel/mm/ksm/run` has it.
    pub const fn number(self) -> u64 {
        match self {
            Self::Stop => 0,
            Self::Merge => 1,
            Self::Separate => 2,
        }
    }

    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|run| run.number() == number)
    }
}

/// The kernel's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    pub run: Run,
    /// Pages that are looked at each time that the search wakes.
    pub pages: u64,
    /// How long it sleeps in between.
    pub sleep_milliseconds: u64,
    /// Rounds are left out for pages that were looked at in vain (`smart_scan`, Linux 6.7).  Two equal pages with
    /// different rounds left out never meet and stay apart for good, so that it is never wanted.
    pub skips: bool,
}

/// What is known before a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The operator lets pages of guests be merged on this host.
    pub allowed: bool,
    pub memory: Host,
    /// All memory of the host.
    pub total: MiB,
    /// What merged pages save now; 0 when none is merged.
    pub saved: MiB,
    pub run: Run,
}

/// The kernel's own default: short beside the seconds that memory takes to fill, and long enough to sleep.
const SLEEP_MILLISECONDS: u64 = 20;

/// Of x86: 4 KiB.
const PAGES_PER_MIB: u64 = 256;

/// Least and most pages for one waking.  The kernel's own default; and what a processor of today looks
/// at in most of the 20 ms, so that there is no use in asking for more of its single thread.
const LEAST_PAGES: u64 = 100;
const MOST_PAGES: u64 = 5000;

/// Seconds in which all memory of the host is looked at once, by need.  A page is merged when it was found
/// unchanged a second time, so that it takes two to three rounds.
const GENTLE: u64 = 1800;
const BRISK: u64 = 480;
const HASTY: u64 = 120;

/// Decides one step.  Pure and total.
pub fn step(now: &Standing) -> Scan {
    let Host { available, marks, .. } = now.memory;
    let (available, low, high) = (available.get(), marks.low.get(), marks.high.get());
    let run = if !now.allowed {
        // Every merged page needs one of its own again.  Where there is no room for them yet, nothing more is
        // merged, and the memory manager makes room.
        let room = now.saved == MiB::ZERO || now.saved.get().saturating_add(low) <= available;
        if room { Run::Separate } else { Run::Stop }
    } else {
        // Two marks, so that what merging saves does not end it at once.
        let ample = if now.run == Run::Merge { 3 } else { 2 };
        if available > high.saturating_mul(ample) { Run::Stop } else { Run::Merge }
    };
    let round = match available {
        a if a < low => HASTY,
        a if a < high => BRISK,
        _ => GENTLE,
    };
    let wakings = round * 1000 / SLEEP_MILLISECONDS;
    let pages = now.total.get().saturating_mul(PAGES_PER_MIB) / wakings;
    let pages = pages.clamp(LEAST_PAGES, MOST_PAGES);
    Scan { run, pages, sleep_milliseconds: SLEEP_MILLISECONDS, skips: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Marks;
    use proptest::prelude::*;

    fn standing(available: u64, run: Run) -> Standing {
        let marks = Marks { low: MiB(1000), high: MiB(2000) };
        let memory = Host { available: MiB(available), overdrawn: MiB::ZERO, marks };
        Standing { allowed: true, memory, total: MiB(24_576), saved: MiB(300), run }
    }

    #[test]
    fn the_search_follows_the_need() {
        let pages = |available| step(&standing(available, Run::Merge)).pages;
        // 6,291,456 pages in 120 s of 50 wakings each, in 480 s, and in half an hour.
        assert_eq!([pages(999), pages(1999), pages(2000)], [1048, 262, 100]);
        let huge = Standing { total: MiB(1 << 21), ..standing(0, Run::Stop) };
        assert_eq!(step(&huge).pages, 5000, "one thread does no more");
    }

    #[test]
    fn it_begins_and_ends_at_two_marks() {
        let run = |available, run| step(&standing(available, run)).run;
        for before in [Run::Stop, Run::Separate] {
            assert_eq!([run(4001, before), run(4000, before)], [Run::Stop, Run::Merge]);
        }
        assert_eq!([run(6000, Run::Merge), run(6001, Run::Merge)], [Run::Merge, Run::Stop]);
    }

    #[test]
    fn what_is_not_allowed_is_separated_as_soon_as_there_is_room() {
        let run = |available, saved| {
            let forbidden = Standing { allowed: false, saved: MiB(saved), ..standing(available, Run::Merge) };
            step(&forbidden).run
        };
        assert_eq!(run(1300, 300), Run::Separate);
        assert_eq!(run(1299, 300), Run::Stop, "it would leave the host short of memory");
        assert_eq!(run(0, 0), Run::Separate, "it needs nothing");
    }

    #[test]
    fn the_numbers_are_the_kernels() {
        assert_eq!(Run::ALL.map(Run::number), [0, 1, 2]);
        assert_eq!([Run::from_number(2), Run::from_number(3)], [Some(Run::Separate), None]);
    }

    proptest! {
        #[test]
        fn nothing_is_ever_merged_without_leave_and_less_memory_never_means_less_search(
            allowed: bool, available in 0..1u64 << 40, less in 0..1u64 << 40, low in 0..1u64 << 30,
            total: u64, saved: u64, number in 0..3u64,
        ) {
            let run = Run::from_number(number).unwrap();
            let marks = Marks { low: MiB(low), high: MiB(low * 2) };
            let with = |available| {
                let memory = Host { available: MiB(available), overdrawn: MiB::ZERO, marks };
                step(&Standing { allowed, memory, total: MiB(total), saved: MiB(saved), run })
            };
            let (more, fewer) = (with(available.max(less)), with(available.min(less)));
            prop_assert_eq!(more.run == Run::Merge && !allowed, false);
            prop_assert_eq!(more.run == Run::Separate && allowed, false);
            prop_assert!(fewer.pages >= more.pages);
            prop_assert!((LEAST_PAGES..=MOST_PAGES).contains(&more.pages));
            if more.run == Run::Merge {
                prop_assert_eq!(fewer.run, Run::Merge);
            }
            // What one step decided, the next one leaves while nothing else changes.
            let memory = Host { available: MiB(available), overdrawn: MiB::ZERO, marks };
            let now = Standing { allowed, memory, total: MiB(total), saved: MiB(saved), run };
            let first = step(&now);
            prop_assert_eq!(step(&Standing { run: first.run, ..now }), first);
        }
    }
}
