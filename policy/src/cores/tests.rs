use super::*;
use proptest::prelude::*;

/// Nodes of so many processors each.
fn host(nodes: &[u32]) -> Vec<Processor> {
    let nodes = (0..).zip(nodes).flat_map(|(node, count)| std::iter::repeat_n(node, *count as usize));
    (0..).zip(nodes).map(|(number, node)| Processor { number, node, online: true }).collect()
}

fn of<const N: usize>(numbers: [u32; N]) -> BTreeSet<u32> {
    numbers.into()
}

#[test]
fn a_guest_has_its_own_and_the_others_what_is_left() {
    let first = assign(&host(&[4]), &[(7, 2)].into(), &BTreeMap::new());
    assert_eq!((&first.exclusive[&7], &first.shared), (&of([0, 1]), &of([2, 3])));
    // An older guest comes later, and moves nobody.
    let second = assign(&host(&[4]), &[(3, 1), (7, 2)].into(), &first.exclusive);
    assert_eq!(
        (&second.exclusive[&7], &second.exclusive[&3], &second.shared),
        (&of([0, 1]), &of([2]), &of([3]))
    );
    // It goes; what it had is the others' again.
    let third = assign(&host(&[4]), &[(3, 1)].into(), &second.exclusive);
    assert_eq!((&third.exclusive[&3], &third.shared), (&of([2]), &of([0, 1, 3])));
}

#[test]
fn the_last_processor_is_nobodys_own() {
    let wanted = [(1, 2)].into();
    assert_eq!(assign(&host(&[2]), &wanted, &BTreeMap::new()).exclusive, BTreeMap::new());
    // One that cannot grow keeps what it has, unless the host has lost all others.
    let now = [(1, of([0]))].into();
    assert_eq!(assign(&host(&[2]), &wanted, &now).exclusive, now);
    assert_eq!(assign(&host(&[1]), &wanted, &now).shared, of([0]));
}

#[test]
fn a_guest_leaves_a_processor_that_goes_offline() {
    let mut host = host(&[4]);
    let first = assign(&host, &[(7, 2)].into(), &BTreeMap::new());
    assert_eq!(first.exclusive[&7], of([0, 1]));
    host[1].online = false;
    let second = assign(&host, &[(7, 2)].into(), &first.exclusive);
    assert_eq!((&second.exclusive[&7], &second.shared), (&of([0, 2]), &of([1, 3])));
}

#[test]
fn a_guest_is_on_one_node_where_one_has_room() {
    let wanted: BTreeMap<u32, u32> = [(1, 3), (2, 4), (3, 1)].into();
    let found = assign(&host(&[4, 7]), &wanted, &BTreeMap::new());
    // The second fits on the other node only; the third where the least is left over.
    assert_eq!(found.exclusive[&1], of([0, 1, 2]));
    assert_eq!(found.exclusive[&2], of([4, 5, 6, 7]));
    assert_eq!(found.exclusive[&3], of([3]));
    // It grows where it is.
    let grown = assign(&host(&[4, 7]), &[(1, 3), (2, 7)].into(), &found.exclusive);
    assert_eq!(grown.exclusive[&2], of([4, 5, 6, 7, 8, 9, 10]));
}

/// A host, what is wanted, and what is there.
type Population = (Vec<Processor>, BTreeMap<u8, u32>, BTreeMap<u8, BTreeSet<u32>>);

fn population() -> impl Strategy<Value = Population> {
    let nodes = prop::collection::vec(1..=16_u32, 1..4);
    let wanted = prop::collection::btree_map(any::<u8>(), 1..=8_u32, 0..12);
    let now = prop::collection::btree_map(any::<u8>(), prop::collection::btree_set(0..60_u32, 0..8), 0..12);
    (nodes, wanted, now).prop_map(|(nodes, wanted, now)| (host(&nodes), wanted, now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_processor_is_somebodys_and_nobody_shares_a_dedicated_one((host, wanted, now) in population()) {
        let found = assign(&host, &wanted, &now);
        let mut all: Vec<u32> = found.exclusive.values().flatten().chain(&found.shared).copied().collect();
        all.sort_unstable();
        prop_assert_eq!(all, host.iter().map(|one| one.number).collect::<Vec<_>>());
        prop_assert!(!found.shared.is_empty());
        for (guest, own) in &found.exclusive {
            prop_assert!(own.len() <= wanted[guest] as usize);
        }
    }

    /// What was given stays, and a second look changes nothing.
    #[test]
    fn nobody_moves_without_need((host, wanted, now) in population()) {
        let found = assign(&host, &wanted, &now);
        prop_assert_eq!(&assign(&host, &wanted, &found.exclusive), &found);
        for (guest, own) in &found.exclusive {
            // All that changes around it: others go, and one comes.
            let mut other: BTreeMap<u8, u32> = wanted.iter().filter(|(id, _)| *id <= guest).map(|(id, n)| (*id, *n)).collect();
            other.entry(0).or_insert(3);
            let next = assign(&host, &other, &found.exclusive);
            prop_assert!(own.is_subset(&next.exclusive[guest]));
        }
    }

    /// Who is served has all of it, or what it had; and nobody waits who would fit.
    #[test]
    fn who_fits_is_served((host, wanted, _) in population()) {
        let found = assign(&host, &wanted, &BTreeMap::new());
        for (guest, count) in &wanted {
            match found.exclusive.get(guest) {
                Some(own) => prop_assert_eq!(own.len(), *count as usize),
                None => prop_assert!(found.shared.len() <= *count as usize),
            }
        }
    }
}
