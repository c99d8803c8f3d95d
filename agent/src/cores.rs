//! Which processors of the host each guest may run on now: a dedicated one on its own alone, all others on what is
//! left, assigned by `jst_policy::cores` when the population changes.
//!
//! A guest floats over its own processors, of which it has as many as vCPUs: so its emulator has room where a
//! vCPU idles, and one that is plugged in needs no plan.  Nobody else is there, so nothing is lost by it.

use crate::cpus::CpuList;
use jst_policy::cores::{Assignment, Processor, assign};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

/// Where one guest may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub processors: CpuList,
    /// Nobody else runs there.
    pub exclusive: bool,
    /// On a machine with several, the one NUMA node of a dedicated guest's processors, where its memory should be.
    pub node: Option<u32>,
}

#[derive(Default)]
pub struct Cores {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    own: BTreeMap<Uuid, BTreeSet<u32>>,
    places: HashMap<Uuid, Place>,
    shared: u32,
}

/// One guest that is desired to run.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    pub id: Uuid,
    pub vcpus: u32,
    pub dedicated: bool,
}

impl Cores {
    /// What a guest was found to have, when the agent starts: it need not move.
    pub fn found(&self, id: Uuid, processors: &CpuList) {
        self.lock().own.insert(id, processors.numbers().collect());
    }

    /// Absent: the guest is not desired to run, or guests cannot be kept to processors here.
    pub fn place(&self, id: Uuid) -> Option<Place> {
        self.lock().places.get(&id).cloned()
    }

    /// Processors that are not one guest's alone.
    pub fn shared(&self) -> u32 {
        self.lock().shared
    }

    /// Assigns anew, and tells who is somewhere else than before, or new.  Without processors nobody can be kept
    /// to any.
    pub fn renew(&self, processors: &[Processor], guests: &[Guest]) -> Vec<Uuid> {
        let wanted: BTreeMap<Uuid, u32> =
            guests.iter().filter(|guest| guest.dedicated).map(|guest| (guest.id, guest.vcpus)).collect();
        let mut state = self.lock();
        let Assignment { exclusive, shared } = assign(processors, &wanted, &state.own);
        let nodes: BTreeMap<u32, u32> = processors.iter().map(|one| (one.number, one.node)).collect();
        let several = nodes.values().collect::<BTreeSet<_>>().len() > 1;
        let place = |guest: &Guest| {
            let own =
                exclusive.get(&guest.id).filter(|own| wanted.get(&guest.id) == Some(&(own.len() as u32)));
            let Some(own) = own else {
                // One that gets too few of its own runs with the others meanwhile, on those few as well.
                let few = exclusive.get(&guest.id).into_iter().flatten();
                let processors = CpuList::of(shared.iter().chain(few).copied())?;
                return Some(Place { processors, exclusive: false, node: None });
            };
            let on: BTreeSet<u32> = own.iter().filter_map(|number| nodes.get(number).copied()).collect();
            let node = on.first().copied().filter(|_| several && on.len() == 1);
            Some(Place { processors: CpuList::of(own.iter().copied())?, exclusive: true, node })
        };
        let places: HashMap<Uuid, Place> =
            guests.iter().filter_map(|guest| Some((guest.id, place(guest)?))).collect();
        let moved = places.iter().filter(|(id, place)| state.places.get(id) != Some(place));
        let moved = moved.map(|(id, _)| *id).collect();
        *state = State { shared: u32::try_from(shared.len()).unwrap_or(u32::MAX), own: exclusive, places };
        moved
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // It is replaced as a whole, so that a panic leaves the old one.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(nodes: u32, each: u32) -> Vec<Processor> {
        (0..nodes * each).map(|number| Processor { number, node: number / each, online: true }).collect()
    }

    #[test]
    fn those_who_have_to_move_are_told_and_nobody_else() {
        let cores = Cores::default();
        let ids: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
        let shared = Guest { id: ids[0], vcpus: 2, dedicated: false };
        let first = Guest { id: ids[1], vcpus: 2, dedicated: true };
        let second = Guest { id: ids[2], vcpus: 2, dedicated: true };
        let on = |id| cores.place(id).map(|place| (place.processors.to_string(), place.exclusive));
        let machine = machine(1, 4);
        assert_eq!(cores.renew(&machine, &[shared]), [ids[0]]);
        assert_eq!((on(ids[0]), cores.shared()), (Some(("0-3".into(), false)), 4));
        let mut moved = cores.renew(&machine, &[shared, first]);
        moved.sort_unstable();
        assert_eq!(moved, ids[..2]);
        assert_eq!((on(ids[0]), on(ids[1])), (Some(("2-3".into(), false)), Some(("0-1".into(), true))));
        // Too many: it runs with the others, and takes nothing from the first.
        assert_eq!(cores.renew(&machine, &[shared, first, second]), [ids[2]]);
        assert_eq!((on(ids[2]), cores.shared()), (Some(("2-3".into(), false)), 2));
        assert_eq!(cores.renew(&machine, &[second, first, shared]), [] as [Uuid; 0]);
        // The first ends; what it had is free.
        cores.renew(&machine, &[shared, second]);
        assert_eq!((on(ids[1]), on(ids[2])), (None, Some(("0-1".into(), true))));
        assert_eq!(cores.renew(&[], &[shared]), [] as [Uuid; 0]);
        assert_eq!((on(ids[0]), cores.shared()), (None, 0));
    }

    #[test]
    fn what_was_found_stays_and_memory_is_on_the_same_node() {
        let cores = Cores::default();
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        cores.found(two, &"6-7".parse().unwrap());
        let dedicated = |id, vcpus| Guest { id, vcpus, dedicated: true };
        cores.renew(&machine(2, 4), &[dedicated(one, 4), dedicated(two, 2)]);
        let place = |id| cores.place(id).map(|place| (place.processors.to_string(), place.node)).unwrap();
        assert_eq!(place(one), ("0-3".into(), Some(0)));
        assert_eq!(place(two), ("6-7".into(), Some(1)));
        cores.renew(&machine(2, 4), &[dedicated(one, 5), dedicated(two, 2)]);
        assert_eq!(place(one), ("0-4".into(), None), "on two nodes its memory is on both");
    }
}
