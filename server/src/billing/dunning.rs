//! What happens to who does not pay: a pure state machine.
//!
//! ```text
//!   clear ──remind──> reminded ──suspend──> suspended ──grace──> deleted
//!     ^                   │                     │
//!     └────── paid ───────┴──────── paid ───────┘      what is deleted does not come back by paying
//! ```
//!
//! The stage follows from how long something has been overdue and from the operator's dates, and from nothing else.  So a
//! payment wins however late it is looked at: with nothing overdue the stage is clear.

use serde::Serialize;

/// In the order in which they are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Clear,
    Reminded,
    Suspended,
    Deleted,
}

impl Stage {
    pub const ALL: [Self; 4] = [Self::Clear, Self::Reminded, Self::Suspended, Self::Deleted];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Reminded => "reminded",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Nothing runs, and nothing can be changed.
    pub const fn is_locked(self) -> bool {
        matches!(self, Self::Suspended | Self::Deleted)
    }
}

/// Days after the due date; in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    pub remind: i32,
    pub suspend: i32,
    pub delete: i32,
}

pub const DAY: i64 = 86_400;

/// The stage that something has reached that is overdue since then; seconds since 1970.
pub fn stage(overdue_since: Option<i64>, dates: &Dates, now: i64) -> Stage {
    let Some(since) = overdue_since else { return Stage::Clear };
    let passed = |days: i32| now - since >= i64::from(days) * DAY;
    match () {
        () if passed(dates.delete) => Stage::Deleted,
        () if passed(dates.suspend) => Stage::Suspended,
        () if passed(dates.remind) => Stage::Reminded,
        () => Stage::Clear,
    }
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Remind,
    /// Stop everything, lock it, and remember what ran.
    Suspend,
    /// Start again what ran before.
    Release,
    Delete,
    /// Only note the stage: nothing was locked.
    Forget,
}

/// One step from the stage that was carried out to the one that is due.  Every stage is passed: nobody is deleted
/// who was not suspended before, however long nobody looked.
pub fn step(done: Stage, due: Stage) -> Option<(Step, Stage)> {
    match (done, due) {
        (done, due) if done == due => None,
        (Stage::Clear, _) => Some((Step::Remind, Stage::Reminded)),
        (Stage::Reminded, Stage::Clear) => Some((Step::Forget, Stage::Clear)),
        (Stage::Reminded, _) => Some((Step::Suspend, Stage::Suspended)),
        // Another date was set, or only a part was paid: what was reminded of stays so.
        (Stage::Suspended | Stage::Deleted, Stage::Clear | Stage::Reminded) => Some((Step::Release, due)),
        (Stage::Suspended, _) => Some((Step::Delete, Stage::Deleted)),
        (Stage::Deleted, _) => None,
    }
}

/// Since when something is overdue: the due date of the oldest invoice that what was paid does not cover.  Payments settle
/// the oldest first.  `debts` are (due, amount), `paid` is everything that was ever credited.
pub fn overdue_since(debts: &[(i64, i64)], paid: i64, now: i64) -> Option<i64> {
    let mut debts = debts.to_vec();
    debts.sort_unstable();
    let mut left = i128::from(paid);
    for (due, amount) in debts {
        left -= i128::from(amount);
        if left < 0 {
            return (due <= now).then_some(due);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATES: Dates = Dates { remind: 1, suspend: 7, delete: 30 };

    fn carried_out(mut done: Stage, due: Stage) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some((step, stage)) = step(done, due) {
            steps.push(step);
            done = stage;
            assert!(steps.len() < 5, "{steps:?}");
        }
        steps
    }

    #[test]
    fn every_stage_is_passed_on_its_day() {
        let at = |day: i64| stage(Some(0), &DATES, day * DAY);
        let days = [0, 1, 6, 7, 29, 30, 400].map(at);
        use Stage::*;
        assert_eq!(days, [Clear, Reminded, Reminded, Suspended, Suspended, Deleted, Deleted]);
        assert_eq!(carried_out(Clear, Deleted), [Step::Remind, Step::Suspend, Step::Delete]);
        assert_eq!(carried_out(Suspended, Clear), [Step::Release]);
        assert_eq!(carried_out(Reminded, Clear), [Step::Forget]);
        assert_eq!(carried_out(Deleted, Suspended), []);
    }

    #[test]
    fn payments_settle_the_oldest_first() {
        let debts = [(200, 50), (100, 30)];
        assert_eq!(overdue_since(&debts, 0, 150), Some(100));
        assert_eq!(overdue_since(&debts, 30, 150), None);
        assert_eq!(overdue_since(&debts, 30, 250), Some(200));
        assert_eq!(overdue_since(&debts, 79, 250), Some(200));
        assert_eq!(overdue_since(&debts, 80, 250), None);
        assert_eq!(overdue_since(&[], -5, 250), None);
    }

    proptest! {
        /// Whoever has paid everything is clear after one look, whatever was done before and whenever it is looked at.
        #[test]
        fn a_payment_wins(done in 0usize..4, now in any::<i32>(), debts in prop::collection::vec((0i64..1000, 1i64..1000), 0..8)) {
            let done = Stage::ALL[done];
            let paid = debts.iter().map(|(_, amount)| amount).sum();
            let due = stage(overdue_since(&debts, paid, now.into()), &DATES, now.into());
            prop_assert_eq!(due, Stage::Clear);
            let reached = step(done, due).map_or(done, |(_, stage)| stage);
            prop_assert_eq!(reached, Stage::Clear);
        }

        /// Time alone never helps.
        #[test]
        fn stages_only_get_worse(since in 0i64..1_000_000, first in 0i64..10_000_000, later in 0i64..10_000_000) {
            let reached = stage(Some(since), &DATES, since + first);
            prop_assert!(reached <= stage(Some(since), &DATES, since + first + later));
        }

        /// However rarely it is looked, nobody is deleted without having been suspended.
        #[test]
        fn nobody_is_deleted_unwarned(looks in prop::collection::vec(0i64..60 * DAY, 1..12)) {
            let mut looks = looks;
            looks.sort_unstable();
            let (mut done, mut last) = (Stage::Clear, None);
            for now in looks {
                while let Some((step, stage)) = step(done, stage(Some(0), &DATES, now)) {
                    prop_assert_ne!((step, last), (Step::Delete, None));
                    prop_assert!(step != Step::Delete || last == Some(Step::Suspend));
                    (done, last) = (stage, Some(step));
                }
            }
        }
    }
}
