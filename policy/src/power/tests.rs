use super::*;
use proptest::prelude::*;

/// `online` of eight processors are awake; the first is fixed.
fn standing(online: u32, busy: u64, peak: u64, reserved: u64) -> Standing {
    Standing {
        saving: Saving::Park,
        busy: MilliCpu(busy),
        peak: Some(MilliCpu(peak)),
        reserved: MilliCpu(reserved),
        cores: (0..8).map(|number| Core { number, online: number < online, fixed: number == 0 }).collect(),
        governors: vec![Governor::Performance, Governor::Powersave, Governor::Schedutil],
        governor: Some(Governor::Performance),
    }
}

fn awake(now: &Standing) -> usize {
    step(now).online.len()
}

#[test]
fn what_is_not_needed_is_parked_and_comes_back_all_at_once() {
    assert_eq!(awake(&standing(8, 500, 1200, 0)), 3, "twice the peak of a minute");
    assert_eq!(awake(&standing(8, 500, 1200, 4500)), 6, "reservations and one core to spare");
    assert_eq!(awake(&standing(8, 0, 0, 0)), 1);
    assert_eq!(awake(&standing(8, 0, 0, 50_000)), 8);
    // Three are awake: at seven tenths of them everything comes back.
    assert_eq!(awake(&standing(3, 2099, 2099, 0)), 3);
    assert_eq!(awake(&standing(3, 2100, 2100, 0)), 8);
    // A guest with a reservation comes.
    assert_eq!(awake(&standing(3, 0, 0, 4000)), 5);
    // Before a minute has passed nothing is parked.
    assert_eq!(awake(&Standing { peak: None, ..standing(8, 0, 0, 0) }), 8);
    assert_eq!(step(&standing(8, 0, 1500, 0)).online, BTreeSet::from([0, 1, 2]));
}

#[test]
fn the_governor_follows_the_load_with_two_marks() {
    let chosen = |busy, peak, governor| {
        let now = Standing { governor: Some(governor), ..standing(8, busy, peak, 0) };
        step(&Standing { saving: Saving::Governor, ..now }).governor
    };
    use Governor::{Performance, Schedutil};
    assert_eq!(chosen(4800, 4800, Schedutil), Some(Performance));
    assert_eq!(chosen(4799, 4799, Schedutil), Some(Schedutil));
    assert_eq!(chosen(100, 3200, Performance), Some(Performance), "it was busy within the minute");
    assert_eq!(chosen(100, 3199, Performance), Some(Schedutil));
    // With `intel_pstate` there are two.
    let two = Standing { governors: vec![Performance, Governor::Powersave], ..standing(8, 0, 0, 0) };
    assert_eq!(step(&two).governor, Some(Governor::Powersave));
    // Where there is no choice, none is made.
    let none = Standing { governors: vec![], governor: None, ..standing(8, 0, 0, 0) };
    assert_eq!(step(&none).governor, None);
}

#[test]
fn switched_off_everything_is_left_or_comes_back() {
    for saving in [Saving::Off, Saving::Unknown] {
        let left = step(&Standing { saving, ..standing(2, 0, 0, 0) });
        assert_eq!((left.governor, left.online.len()), (None, 8));
    }
    assert_eq!(awake(&Standing { saving: Saving::Governor, ..standing(2, 0, 0, 0) }), 8);
}

#[test]
fn names_are_the_kernels_and_the_wires() {
    for saving in Saving::ALL {
        assert_eq!(serde_json::to_value(saving).unwrap(), saving.name());
        assert_eq!(Saving::from_name(saving.name()), Some(saving));
    }
    assert_eq!(serde_json::from_str::<Saving>("\"hibernate\"").unwrap(), Saving::Unknown);
    assert_eq!(Saving::from_name("unknown"), None);
    assert_eq!(serde_json::to_value(Governor::Ondemand).unwrap(), "ondemand");
    assert_eq!(Governor::from_name("schedutil"), Governor::Schedutil);
    assert_eq!(Governor::from_name("userspace"), Governor::Other);
}

prop_compose! {
    fn any_standing()(
        cores in prop::collection::vec((any::<bool>(), any::<bool>()), 1..40),
        saving in prop::sample::select(vec![Saving::Off, Saving::Governor, Saving::Park, Saving::Unknown]),
        busy in 0..50_000u64, more in 0..20_000u64, known: bool, reserved in 0..50_000u64,
        governors in prop::sample::subsequence(
            vec![Governor::Performance, Governor::Schedutil, Governor::Ondemand, Governor::Powersave], 0..=4),
        governor in prop::option::of(prop::sample::select(vec![Governor::Performance, Governor::Powersave])),
    ) -> Standing {
        let cores: Vec<Core> = cores
            .into_iter()
            .zip(0..)
            // A fixed one is online: nobody can have parked it.
            .map(|((online, fixed), number)| {
                let fixed = fixed || number == 0;
                Core { number, online: online || fixed, fixed }
            })
            .collect();
        // Nobody uses more than there is.
        let online = cores.iter().filter(|core| core.online).count() as u64 * 1000;
        Standing {
            saving,
            busy: MilliCpu(busy.min(online)),
            peak: known.then(|| MilliCpu((busy + more).max(busy.min(online)))),
            reserved: MilliCpu(reserved),
            cores,
            governors,
            governor,
        }
    }
}

fn after(now: &Standing, step: &Step) -> Standing {
    let cores = now.cores.iter().map(|core| Core { online: step.online.contains(&core.number), ..*core });
    Standing { cores: cores.collect(), governor: step.governor.or(now.governor), ..now.clone() }
}

proptest! {
    #[test]
    fn nobody_loses_what_is_guaranteed(now in any_standing()) {
        let step = step(&now);
        let needed = (now.reserved.get() + 1000).div_ceil(1000).min(now.cores.len() as u64);
        prop_assert!(step.online.len() as u64 >= needed);
        prop_assert!(now.cores.iter().all(|core| !core.fixed || step.online.contains(&core.number)));
        prop_assert!(step.online.iter().all(|number| now.cores.iter().any(|core| core.number == *number)));
        if now.saving != Saving::Park || now.peak.is_none() {
            prop_assert!(now.cores.iter().all(|core| !core.online || step.online.contains(&core.number)));
        }
        if let Some(governor) = step.governor {
            prop_assert!(now.governors.contains(&governor) || now.governor == Some(governor));
        }
    }

    #[test]
    fn a_steady_load_is_decided_once(mut now in any_standing()) {
        // The load of the whole last minute is that of now.
        now.peak = Some(now.busy);
        let first = step(&now);
        let settled = after(&now, &first);
        let second = step(&settled);
        let third = step(&after(&settled, &second));
        // What came back because of the load may be parked again in part, and then it stays.
        prop_assert_eq!(&third.online, &second.online);
        prop_assert_eq!(&step(&after(&after(&settled, &second), &third)), &third);
    }

    #[test]
    fn more_reservations_never_park_more(now in any_standing(), more in 0..20_000u64) {
        let with = Standing { reserved: MilliCpu(now.reserved.get() + more), ..now.clone() };
        prop_assert!(step(&with).online.is_superset(&step(&now).online));
    }
}
