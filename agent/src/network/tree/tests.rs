use super::*;
use figures::{class, describe, queue, same, whole};
use jst_policy::claim::Shares;
use jst_policy::instance::NetworkLimits;

const LINK: KbitPerSec = KbitPerSec(1_000_000);

fn limits(reservation: u64, average: Option<u64>, peak: Option<u64>, shares: Shares) -> NetworkLimits {
    NetworkLimits {
        reservation: KbitPerSec(reservation),
        average: average.map(KbitPerSec),
        peak: peak.map(KbitPerSec),
        burst: None,
        shares,
    }
}

#[test]
fn a_class_has_the_reservation_the_peak_and_the_shares() {
    let found = class(&limits(40_000, Some(100_000), Some(200_000), Shares::High), LINK, 7);
    assert_eq!((found.rate, found.ceil, found.parent), (5_000_000, 26_250_000, 7));
    // 20 ms of the reservation, 4 ms of the ceiling.
    assert_eq!((found.burst, found.ceil_burst), (100_000, 105_000));
    assert_eq!(found.quantum, 288_000);
    // Two turns, or 20 ms of the ceiling.
    assert_eq!(queue(&found), 576_000);
}

#[test]
fn nothing_claimed_is_a_tiny_floor_and_the_whole_link() {
    let found = class(&NetworkLimits::default(), LINK, 7);
    assert_eq!((found.rate, found.ceil, found.quantum), (100, 125_000_000, 144_000));
    assert_eq!(found.burst, 16_000);
    assert_eq!(describe(&Found::NoTree, &NetworkLimits::default()).0, (KbitPerSec::ZERO, false));
}

#[test]
fn what_a_link_cannot_carry_is_cut() {
    let slow = KbitPerSec(10_000);
    let found = class(&limits(20_000, None, Some(40_000), Shares::Normal), slow, 7);
    assert_eq!((found.rate, found.ceil), (1_250_000, 1_250_000));
    assert_eq!(whole(slow).rate, 1_250_000);
    // One byte a second less than nothing would be refused by the kernel.
    assert_eq!(class(&limits(1, None, None, Shares::Normal), KbitPerSec(1), 7).rate, 125);
}

#[test]
fn quanta_stand_as_shares_do_and_no_turn_is_shorter_than_a_packet() {
    let quantum = |shares| class(&limits(0, None, None, shares), LINK, 7).quantum;
    let [low, normal, high] = [Shares::Low, Shares::Normal, Shares::High].map(quantum);
    assert_eq!((low * 2, low * 4), (normal, high));
    assert_eq!(quantum(Shares::Custom(37)), 37 * 2880);
    assert_eq!(quantum(Shares::Custom(1)), 72_000);
    assert_eq!(quantum(Shares::Custom(1_000_000)), 28_800_000);
}

#[test]
fn only_what_is_in_force_reads_back_as_wanted() {
    let wanted = limits(40_000, Some(100_000), None, Shares::Custom(60));
    let figures = class(&wanted, LINK, 7);
    let told = |now: HtbClass, leaf| describe(&Found::Class { now, wanted: figures, leaf }, &wanted);
    let good = ((KbitPerSec(40_000), false), (Shares::Custom(60), false));
    assert_eq!(told(figures, true), good);
    assert_eq!(told(HtbClass { rate: 2_500_000, ..figures }, true).0, (KbitPerSec(20_000), true));
    assert_eq!(told(HtbClass { quantum: 72_000, ..figures }, true).1, (Shares::Custom(25), true));
    assert!(told(HtbClass { ceil: 1, ..figures }, true).1.1);
    assert!(told(figures, false).1.1);
    assert!(describe(&Found::Unclassified, &wanted).0.1);
    // Equal shares are kept by a class as well.
    assert!(describe(&Found::Unclassified, &NetworkLimits::default()).1.1);
    // A level reads back as the level, although it is a number below.
    let level = limits(0, None, None, Shares::High);
    let figures = class(&level, LINK, 7);
    let told = describe(&Found::Class { now: figures, wanted: figures, leaf: true }, &level);
    assert_eq!(told, ((KbitPerSec::ZERO, false), (Shares::High, false)));
}

#[test]
fn sizes_may_differ_by_what_the_kernel_rounds() {
    let wanted = class(&limits(40_000, None, None, Shares::Normal), LINK, 7);
    assert!(same(&wanted, &HtbClass { burst: wanted.burst + 1, ..wanted }, false));
    assert!(!same(&wanted, &HtbClass { burst: wanted.burst + 1000, ..wanted }, false));
    assert!(same(&wanted, &HtbClass { quantum: 0, ..wanted }, true));
}

#[test]
fn instances_keep_apart_and_mostly_find_their_class_again() {
    let prefix = Prefix::new("jst").unwrap();
    let mut slots = Slots::new();
    let first = Slot::choose(Uuid::from_u128(1), &slots).unwrap();
    assert_eq!(Slot::choose(Uuid::from_u128(1), &slots), Some(first));
    for number in 0..u128::from(Slot::COUNT) {
        let slot = Slot::choose(Uuid::from_u128(number), &slots).expect("a free one");
        assert!(slot.0.is_multiple_of(16) && slot.0 > 0, "{slot:?}");
        assert!(!slots.values().any(|taken| *taken == slot));
        slots.insert(format!("jst-t{number}"), slot);
    }
    assert_eq!(Slot::choose(Uuid::from_u128(9999), &slots), None);
    // Frozen: a restarted agent of a newer release must know its tree.
    assert_eq!(major(&prefix), 0x4000 | major(&prefix) & 0x3fff);
    assert_ne!(major(&prefix), major(&Prefix::new("jst2").unwrap()));
}

#[test]
fn the_map_is_read_from_json() {
    let prefix = Prefix::new("jst").unwrap();
    let ours = Slot(0x120).text(&prefix);
    let answer = serde_json::json!({"nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"map": {"name": "classes", "elem": [["jst-ta", ours], ["jst-tb", "1:10"], ["jst-tc", "none"]]}}
    ]});
    assert_eq!(parse_slots(&prefix, &answer), Slots::from([("jst-ta".to_owned(), Slot(0x120))]));
    assert!(
        parse_slots(&prefix, &serde_json::json!({"nftables": [{"map": {"name": "classes"}}]})).is_empty()
    );
}
