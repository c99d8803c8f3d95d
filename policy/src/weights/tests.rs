use super::*;
use crate::units::MilliCpu;
use proptest::prelude::*;

fn claim(reservation: u64, limit: u64, shares: u64) -> Claim {
    Claim { reservation, limit: Some(limit), shares, demand: None }
}

/// What each gets of a processor by its weight when all have work.
fn parts(capacity: MilliCpu, weights: &[u64]) -> Vec<f64> {
    let sum: u64 = weights.iter().sum();
    weights.iter().map(|&weight| capacity.get() as f64 * weight as f64 / sum as f64).collect()
}

#[test]
fn shares_alone_stand_in_their_proportion() {
    let levels = [500, 1000, 2000].map(|shares| claim(0, 2000, shares));
    assert_eq!(weights(Some(1400), &levels, Scale::CPU_V1), [400, 800, 1600]);
    assert_eq!(weights(Some(1400), &levels, Scale::CPU_V2), [400, 800, 1600]);
}

#[test]
fn a_reservation_holds_beside_many_with_far_more_shares() {
    let mut claims = vec![claim(0, 1000, 1_000_000); 8];
    claims.push(claim(400, 1000, 1));
    for scale in [Scale::CPU_V1, Scale::CPU_V2] {
        let part = *parts(MilliCpu(1000), &weights(Some(1000), &claims, scale)).last().unwrap();
        assert!((399.9..404.0).contains(&part), "{part}");
    }
}

#[test]
fn a_host_with_room_gives_everybody_the_weight_of_its_limit() {
    let claims = [claim(100, 500, 1000), claim(0, 4000, 1), claim(0, 1000, 9000)];
    assert_eq!(weights(Some(64_000), &claims, Scale::CPU_V1), [1000, 8000, 2000]);
}

#[test]
fn what_a_scale_has_no_room_for_is_as_fine_as_it_can_be() {
    let claims = [claim(0, 128_000, 1000), claim(64_000, 64_000, 1), claim(1280, 1280, 1), claim(1, 1, 1)];
    assert_eq!(weights(Some(256_000), &claims, Scale::CPU_V1), [256_000, 128_000, 2560, 2]);
    assert_eq!(weights(Some(256_000), &claims, Scale::CPU_V2), [10_000, 5000, 100, 1]);
    let absurd = [claim(0, u64::MAX, 1), claim(0, u64::MAX, 1)];
    assert_eq!(weights(Some(u64::MAX), &absurd, Scale::CPU_V2), [5000, 5000]);
    assert_eq!(weights(Some(0), &absurd, Scale::CPU_V2), [1, 1]);
    assert_eq!(weights(Some(1000), &[], Scale::CPU_V2), [0; 0]);
}

/// One more guest of the same kind changes nothing for the others as long as there is room.
#[test]
fn a_newcomer_leaves_the_others_alone_where_there_is_room() {
    let old = [claim(100, 1000, 1000), claim(0, 2000, 500)];
    let new = [old[0], old[1], claim(500, 2000, 4000)];
    let (before, after) =
        (weights(Some(8000), &old, Scale::CPU_V2), weights(Some(8000), &new, Scale::CPU_V2));
    assert_eq!(before, after[..2]);
}

#[test]
fn the_largest_grant_of_a_disk_has_the_largest_weight() {
    let levels = [500, 1000, 2000].map(|shares| Claim { limit: None, ..claim(0, 0, shares) });
    assert_eq!(weights(Some(7000), &levels, Scale::BFQ), [250, 500, 1000]);
    // 4000 of 5000 are guaranteed, and of what is left each gets a third.
    let guaranteed = [claim(4000, 20_000, 1000), claim(0, 20_000, 1000), claim(0, 20_000, 1000)];
    assert_eq!(weights(Some(5000), &guaranteed, Scale::BFQ), [1000, 77, 77]);
}

#[test]
fn of_an_unknown_capacity_shares_say_everything() {
    let claims = [claim(4000, 5000, 500), claim(0, 10, 1000), Claim { limit: None, ..claim(0, 0, 2000) }];
    assert_eq!(weights(None, &claims, Scale::BFQ), [250, 500, 1000]);
    assert_eq!(weights(None, &[claim(0, 1, 0)], Scale::BFQ), [1]);
}

/// A host and guests as they are sold: reservations fit together, as admission keeps them.
fn population() -> impl Strategy<Value = (MilliCpu, Vec<Claim>)> {
    let guest = (1..=32_u64, 0..=1000_u64, 1..=1000_u64, prop_oneof![1..=4000_u64, 1..=1_000_000_u64]);
    (1..=128_u64, prop::collection::vec(guest, 1..200)).prop_map(|(cores, guests)| {
        let capacity = cores * 1000;
        let mut free = capacity;
        let claims = guests
            .into_iter()
            .map(|(vcpus, reserved, limit, shares)| {
                let limit = vcpus * limit;
                let reservation = (limit * reserved / 1000 / 4).min(free);
                free -= reservation;
                claim(reservation, limit, shares)
            })
            .collect();
        (MilliCpu(capacity), claims)
    })
}

fn any_scale() -> impl Strategy<Value = Scale> {
    prop_oneof![Just(Scale::CPU_V1), Just(Scale::CPU_V2), Just(Scale::BFQ), Just(Scale::IO_COST)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn weights_are_what_the_kernel_takes((capacity, claims) in population(), scale in any_scale()) {
        for weight in weights(Some(capacity.get()), &claims, scale) {
            prop_assert!((scale.least..=scale.most).contains(&weight));
        }
    }

    /// Within 1 % between all that have 100 weights or more, which on cgroup v1 is 50 mCPU.
    #[test]
    fn ratios_are_those_of_the_grants((capacity, claims) in population(), scale in any_scale()) {
        let grants = divide(capacity.get(), &claims);
        let weights = weights(Some(capacity.get()), &claims, scale);
        let large: Vec<usize> = (0..claims.len()).filter(|&index| weights[index] >= 101).collect();
        for &a in &large {
            for &b in &large {
                let wanted = grants[a] as f64 / grants[b] as f64;
                let ratio = weights[a] as f64 / weights[b] as f64;
                prop_assert!((ratio / wanted - 1.0).abs() < 0.01, "{ratio} and not {wanted}");
            }
        }
        if scale == Scale::CPU_V1 {
            for (weight, grant) in weights.iter().zip(&grants) {
                prop_assert_eq!(*weight, (2 * grant).max(2));
            }
        }
    }

    #[test]
    fn nobody_gets_less_than_its_reservation_when_all_are_busy(
        (capacity, claims) in population(), scale in any_scale()
    ) {
        let grants = divide(capacity.get(), &claims);
        let weights = weights(Some(capacity.get()), &claims, scale);
        let granted: u64 = grants.iter().sum();
        let largest = match scale.step {
            Some(_) => claims.iter().map(Claim::wanted).max().unwrap_or(0).min(capacity.get()),
            None => grants.iter().copied().max().unwrap_or(0),
        };
        let step = (largest as f64 / scale.most as f64).max(0.5);
        // All weights together are above the exact ones by what was rounded up, at most.
        let excess = claims.len() as f64 * scale.least as f64 * step / granted as f64;
        for (part, claim) in parts(MilliCpu(granted), &weights).into_iter().zip(&claims) {
            let least = (claim.reservation as f64 - step / 2.0) / (1.0 + excess);
            prop_assert!(part >= least - 1e-6, "{part} of {} mCPU, at least {least}", claim.reservation);
        }
    }

    /// Those who are busy have no less than when all are.
    #[test]
    fn what_the_idle_leave_takes_from_nobody(
        (capacity, claims) in population(), scale in any_scale(), busy in prop::collection::vec(any::<bool>(), 200)
    ) {
        let all = weights(Some(capacity.get()), &claims, scale);
        let full = parts(capacity, &all);
        let some: Vec<u64> =
            all.iter().zip(&busy).map(|(&weight, &busy)| if busy { weight } else { 0 }).collect();
        prop_assume!(some.iter().any(|&weight| weight > 0));
        for (index, part) in parts(capacity, &some).into_iter().enumerate() {
            prop_assert!(!busy[index] || part >= full[index] - 1e-9);
        }
    }
}
