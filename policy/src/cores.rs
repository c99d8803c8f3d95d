//! Which processors belong to dedicated guests alone, and which are left to all others.
//!
//! A dedicated guest has as many processors of the host as it has vCPUs, and nobody else runs on them.  The
//! others float over what is left, where the kernel divides it by weights.
//!
//! What was given once stays: a guest that moves loses its caches, and on another NUMA node its memory
//! is far away.  So the assignment starts from what is in force, and only what is missing is given: a guest
//! comes to the node on which it fits with the least left over, so that large guests find whole nodes
//! later, and is spread over nodes only where none has room.

use std::collections::{BTreeMap, BTreeSet};

/// One that guests may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    pub number: u32,
    /// NUMA node; 0 on machines that have only one.
    pub node: u32,
    /// One that is not keeps its place in the set of all others, and is nobody's own.
    pub online: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment<K: Ord> {
    /// Each dedicated guest's own.  One for which there is not enough keeps what it had, or is missing.
    pub exclusive: BTreeMap<K, BTreeSet<u32>>,
    pub shared: BTreeSet<u32>,
}

/// Assigns processors to dedicated guests, from how many each wants and what each has now.  What is in `now` and
/// not wanted is free again.  One processor is left to all others, as admission leaves one.
///
/// Guests are served in the order of their keys, so that of several new ones the older comes first.
pub fn assign<K: Ord + Copy>(
    processors: &[Processor],
    wanted: &BTreeMap<K, u32>,
    now: &BTreeMap<K, BTreeSet<u32>>,
) -> Assignment<K> {
    let nodes: BTreeMap<u32, u32> = processors.iter().map(|one| (one.number, one.node)).collect();
    let numbers =
        |online: bool| processors.iter().filter(move |one| one.online == online).map(|one| one.number);
    let mut free: BTreeSet<u32> = numbers(true).collect();
    let mut exclusive: BTreeMap<K, BTreeSet<u32>> = BTreeMap::new();
    for (guest, count) in wanted {
        let most = (*count as usize).min(free.len().saturating_sub(1));
        let had = now.get(guest).into_iter().flatten();
        let kept: BTreeSet<u32> = had.copied().filter(|number| free.contains(number)).take(most).collect();
        free.retain(|number| !kept.contains(number));
        if !kept.is_empty() {
            exclusive.insert(*guest, kept);
        }
    }
    for (guest, count) in wanted {
        let own = exclusive.get(guest).cloned().unwrap_or_default();
        let missing = (*count as usize).saturating_sub(own.len());
        if missing == 0 || free.len() <= missing {
            continue;
        }
        let given = choose(&nodes, &free, &own, missing);
        free.retain(|number| !given.contains(number));
        exclusive.entry(*guest).or_default().extend(given);
    }
    free.extend(numbers(false));
    Assignment { exclusive, shared: free }
}

/// So many of the free ones, of which there are enough.
fn choose(
    nodes: &BTreeMap<u32, u32>,
    free: &BTreeSet<u32>,
    own: &BTreeSet<u32>,
    count: usize,
) -> BTreeSet<u32> {
    let mut rooms: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for number in free {
        rooms.entry(nodes[number]).or_default().push(*number);
    }
    let is_own = |node: u32| own.iter().any(|number| nodes.get(number) == Some(&node));
    let mut rooms: Vec<(u32, Vec<u32>)> = rooms.into_iter().collect();
    // Its own nodes first; then the smallest that holds all of it, and else the largest, so that it is on few.
    rooms.sort_by_key(|(node, room)| {
        let fits = room.len() >= count;
        let size = if fits { room.len() } else { usize::MAX - room.len() };
        (!is_own(*node), !fits, size, *node)
    });
    rooms.into_iter().flat_map(|(_, room)| room).take(count).collect()
}

#[cfg(test)]
mod tests;
