//! How a resource of the host, its processors or its disk, is divided among its guests now: the weight of each
//! guest's control group, computed by `jst_policy::weights` when the population changes, once for all.
//!
//! The population is every guest that is desired to run, from the ledger.  One that has powered itself
//! off or waits for its start counts as well: it takes nothing from the others while it does not run,
//! and its weight is right in the moment in which it does.  One that is being shut down counts no
//! more, and keeps its weight for its last seconds.

use jst_policy::claim::Claim;
use jst_policy::weights::{Scale, weights};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

#[derive(Default)]
pub struct Division {
    weights: Mutex<HashMap<Uuid, u64>>,
}

impl Division {
    /// Absent: the guest is not desired to run, or nothing here honours weights.
    pub fn weight(&self, id: Uuid) -> Option<u64> {
        self.lock().get(&id).copied()
    }

    /// Divides anew, and tells whose weight is another than before, or new.  Without a scale there is nothing to
    /// weigh with; the capacity has the unit of the claims and may be unknown.
    pub fn renew(
        &self,
        scale: Option<Scale>,
        capacity: Option<u64>,
        population: &[(Uuid, Claim)],
    ) -> Vec<Uuid> {
        let Some(scale) = scale else {
            self.lock().clear();
            return Vec::new();
        };
        // Among equal claims the place in the list decides who gets the odd mCPU; the ledger's order is
        // another after every change, and would move it about.
        let mut population = population.to_vec();
        population.sort_unstable_by_key(|(id, _)| *id);
        let claims: Vec<Claim> = population.iter().map(|(_, claim)| *claim).collect();
        let weights = weights(capacity, &claims, scale);
        let new: HashMap<Uuid, u64> = population.iter().map(|(id, _)| *id).zip(weights).collect();
        let mut current = self.lock();
        let changed =
            new.iter().filter(|(id, weight)| current.get(id) != Some(weight)).map(|(id, _)| *id).collect();
        *current = new;
        changed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, u64>> {
        // The table is replaced as a whole, so that a panic leaves the old one.
        self.weights.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(reservation: u64, shares: u64) -> Claim {
        Claim { reservation, limit: Some(1000), shares, demand: None }
    }

    #[test]
    fn those_whose_weight_changes_are_told_and_nobody_else() {
        let division = Division::default();
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        let [a, b, c] = [(ids[0], claim(0, 1000)), (ids[1], claim(0, 1000)), (ids[2], claim(400, 1))];
        let renew = |population: &[_]| division.renew(Some(Scale::CPU_V1), Some(2000), population);
        assert_eq!(renew(&[a]), [ids[0]]);
        // There is room for two whole cores.
        assert_eq!(renew(&[a, b]), [ids[1]]);
        assert_eq!(division.weight(ids[0]), Some(2000));
        // And none for a third guest with a guarantee.
        let mut changed = renew(&[a, b, c]);
        changed.sort_unstable();
        assert_eq!(changed, ids);
        assert!(division.weight(ids[2]).unwrap() >= 800);
        assert_eq!(renew(&[c, b, a]), [] as [Uuid; 0], "the order changes nothing");
        renew(&[a, b]);
        assert_eq!((division.weight(ids[0]), division.weight(ids[2])), (Some(2000), None));
        assert_eq!(division.renew(None, Some(2000), &[a, b]), [] as [Uuid; 0]);
        assert_eq!(division.weight(ids[0]), None, "nothing honours weights any more");
    }

    /// What one more guest costs among many.
    #[test]
    fn a_thousand_guests_are_divided_in_no_time() {
        let division = Division::default();
        let population: Vec<(Uuid, Claim)> =
            (0..1000).map(|number| (Uuid::now_v7(), claim(number % 50, 1 + number))).collect();
        let begun = std::time::Instant::now();
        division.renew(Some(Scale::CPU_V2), Some(128_000), &population);
        // Without optimisation, on a busy machine; it is a hundred times faster otherwise.
        assert!(begun.elapsed().as_millis() < 200, "{:?}", begun.elapsed());
    }
}
