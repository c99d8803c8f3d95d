//! Weights of the kernel's schedulers that make a division of the processor, or of a disk, true.
//!
//! A scheduler with weights knows no reservation: it gives everybody who has work a part of the
//! resource in proportion to weights.  So the weights are made proportional to what [`divide`]
//! grants when everybody has work.  Let the grants be g, their sum G no more than the capacity C,
//! and the weights w = k × g:
//!
//! - When all are busy, each gets C × w / Σw = C × g / G ≥ g: what `divide` says, no less than its
//!   reservation, with the shares' proportion in what is beyond it.
//! - When only some are busy, the same fraction has fewer terms below its line.  Nobody's part
//!   becomes smaller, and what the idle ones leave goes to the busy ones in proportion to their
//!   grants.  (`divide` with measured demand would lend it in proportion to shares.  That would need a
//!   new weight with every change of load, always late; the guarantee is the same either way.)
//!
//! So the weights depend on who is on the host and never on who is busy.  They are computed anew when
//! a guest comes, goes or changes its policy, and hold by themselves in between, also without an agent.
//!
//! What this cannot do: the kernel balances between processors, so that several of them are divided
//! with the error of its balancing, while one is divided exactly.  And a guest that has fewer vCPUs
//! with work than its grant has cores leaves the difference to others, as it must.
//!
//! How much a disk can do is often not known.  Then nothing can be guaranteed of it, and the weights are
//! proportional to the shares alone.
//!
//! # Rounding
//!
//! Weights are integers of a scale of the kernel's.  For processors k is 2 for each mCPU where the scale has
//! room for it, and less where it has not: `most` for the largest guest that there is on the host.  A weight is at most
//! half a step from k × g, but for a grant that is below the least weight, which is rounded up to that.
//!
//! - cgroup v1: exact up to guests of 131 cores.
//! - cgroup v2: exact up to guests of 5 cores (and of 10, where k is 1).  Beyond that a weight w is wrong
//!   by 1 / 2w at most: half a percent for a guest that is a hundredth of the largest.
//! - bfq has a small scale, and guests whose disks have no limit may claim all of one.  So there the largest
//!   grant has `most`, and what is a hundredth of it is wrong by 5 % at most.
//!
//! In one population of n guests nobody's part of the processor is below its grant by more than half
//! a step of its own and the half steps (or least weights) of the others, as a part of all weights.

use crate::claim::Claim;
use crate::divide::divide;

/// The weights that a scheduler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    pub least: u64,
    pub most: u64,
    /// Weights for each unit of a grant, where there is room for that.  Absent: as many as there is room for.
    step: Option<u64>,
}

impl Scale {
    /// So that the least grant, 1 mCPU, has the least weight of cgroup v1.  A larger figure would gain
    /// nothing, and put groups that are not ours and have the kernel's usual weight, 1024 or 100, at
    /// a larger disadvantage beside guests.
    const PER_MILLICPU: Option<u64> = Some(2);

    /// `cpu.shares` of cgroup v1.
    pub const CPU_V1: Self = Self { least: 2, most: 262_144, step: Self::PER_MILLICPU };
    /// `cpu.weight` of cgroup v2.
    pub const CPU_V2: Self = Self { least: 1, most: 10_000, step: Self::PER_MILLICPU };
    /// `blkio.bfq.weight` of cgroup v1, and `io.bfq.weight` of v2.
    pub const BFQ: Self = Self { least: 1, most: 1000, step: None };
    /// `io.weight` of cgroup v2, which the cost model (`io.cost.qos`) honours.
    pub const IO_COST: Self = Self { least: 1, most: 10_000, step: None };

    /// The weight of a grant where no grant is above `largest`.
    fn weight(self, grant: u64, largest: u64) -> u64 {
        let step =
            self.step.filter(|step| largest.checked_mul(*step).is_some_and(|weight| weight <= self.most));
        let weight = match step {
            Some(step) => grant.saturating_mul(step),
            None => {
                // No more than `most`, because no grant is above the largest.
                let (grant, largest) = (u128::from(grant), u128::from(largest).max(1));
                ((grant * u128::from(self.most) + largest / 2) / largest) as u64
            }
        };
        weight.clamp(self.least, self.most)
    }
}

/// The weights of the guests of one host, from their claims, in the same order.  The capacity has the unit of
/// the claims; absent: it is not known.
///
/// A step for each unit depends on the largest claim and not on the largest grant, so that weights move
/// little when one more guest of the same size comes.
pub fn weights(capacity: Option<u64>, claims: &[Claim], scale: Scale) -> Vec<u64> {
    let grants = match capacity {
        Some(capacity) => divide(capacity, claims),
        None => claims.iter().map(|claim| claim.shares).collect(),
    };
    let largest = match (scale.step, capacity) {
        (Some(_), Some(capacity)) => claims.iter().map(Claim::wanted).max().unwrap_or(0).min(capacity),
        _ => grants.iter().copied().max().unwrap_or(0),
    };
    grants.into_iter().map(|grant| scale.weight(grant, largest)).collect()
}

#[cfg(test)]
mod tests;
