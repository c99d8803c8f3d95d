//! Dividing a capacity among claims: what every guest gets when not everybody can have everything.
//!
//! One algorithm serves processor time, memory, disk operations and both directions of the network,
//! so that a customer who understands one minimum, maximum and share understands them all.
//!
//! 1. Each claim gets its reservation, as far as its limit and its demand let it use it.  What an
//!    idle guest has reserved and does not use is lent to the others until it wants it back.
//! 2. The rest is poured out in proportion to shares, and whoever is full, at its limit or at its
//!    demand, drops out and leaves its part to the others (progressive filling, also called water
//!    filling: Bertsekas and Gallager, *Data Networks*, section 6.5.2, here with weights).
//! 3. Fractions are settled by largest remainder (Hamilton's method), so the grants are integers
//!    that sum exactly; no grant is a whole unit or more away from its exact part.
//!
//! Equal claims get the same, but for one unit where the sum leaves no choice.  Who wins that unit
//! is decided by what is claimed and never by the position in the list, so two hosts or two rounds
//! that list the same guests in another order come to the same result.

use crate::claim::Claim;
use std::cmp::{Ordering, Reverse};

/// Divides `capacity` among `claims`; the result has the same order and unit.
///
/// The grants sum exactly to `capacity`, or to everything that is wanted where that is less.  None is
/// above the claim's limit or demand.  None is below its reservation, unless limit or demand is.
///
/// A claim without shares gets its reservation, and more only when every claim with shares is full.
///
/// Admission keeps the sum of the reservations within the capacity.  Should it not be so, because
/// a host lost memory or a link came up slower, the reservations are cut in proportion: everybody
/// keeps the same fraction of what it was promised.
///
/// O(n log n); sums and products are of 128 bits, so no figure is too large.
///
/// ```
/// use jst_policy::{claim::Claim, divide::divide};
/// let busy = Claim { reservation: 100, limit: None, shares: 1000, demand: None };
/// let idle = Claim { demand: Some(40), ..busy };
/// let large = Claim { shares: 2000, ..busy };
/// // 100 + 40 + 100 are guaranteed; the other 360 go one to two among those who want more.
/// assert_eq!(divide(600, &[busy, idle, large]), [220, 40, 340]);
/// ```
pub fn divide(capacity: u64, claims: &[Claim]) -> Vec<u64> {
    let wanted: Vec<u64> = claims.iter().map(Claim::wanted).collect();
    if sum(&wanted) <= u128::from(capacity) {
        return wanted;
    }

    let mut grants: Vec<u64> =
        claims.iter().zip(&wanted).map(|(claim, &wanted)| claim.reservation.min(wanted)).collect();
    let Some(rest) = u128::from(capacity).checked_sub(sum(&grants)) else {
        return cut_reservations(capacity, claims, &grants);
    };
    // No more than the capacity, so it fits.
    let rest = rest as u64;

    let rest = pour(rest, claims, &wanted, |claim| claim.shares, &mut grants);
    pour(rest, claims, &wanted, |claim| u64::from(claim.shares == 0), &mut grants);
    grants
}

fn sum(numbers: &[u64]) -> u128 {
    numbers.iter().map(|&number| u128::from(number)).sum()
}

/// One claim that takes part in a distribution.
#[derive(Clone, Copy)]
struct Part {
    index: usize,
    weight: u64,
    /// How much more it can take.
    room: u64,
}

fn cut_reservations(capacity: u64, claims: &[Claim], reservations: &[u64]) -> Vec<u64> {
    let parts: Vec<Part> = reservations
        .iter()
        .enumerate()
        .map(|(index, &reservation)| Part { index, weight: reservation, room: reservation })
        .collect();
    let mut grants = vec![0; claims.len()];
    apportion(capacity, &parts, sum(reservations), claims, &mut grants);
    grants
}

/// Adds `amount` to the grants in proportion to `weight`, nobody above what it wants, and returns
/// what is left once all with a weight are full.
fn pour(
    mut amount: u64,
    claims: &[Claim],
    wanted: &[u64],
    weight: impl Fn(&Claim) -> u64,
    grants: &mut [u64],
) -> u64 {
    let mut parts: Vec<Part> = claims
        .iter()
        .enumerate()
        .map(|(index, claim)| Part { index, weight: weight(claim), room: wanted[index] - grants[index] })
        .filter(|part| part.weight > 0 && part.room > 0)
        .collect();
    // Who is full first, when the level rises by the same amount per weight for everybody.
    parts.sort_unstable_by(full_earlier);
    let mut weights: u128 = parts.iter().map(|part| u128::from(part.weight)).sum();

    for (position, part) in parts.iter().enumerate() {
        // Full when its exact part, amount × weight / weights, is no less than its room.  The right
        // side is below 2^128; where the left is not, it is the greater one.
        let full = u128::from(part.room)
            .checked_mul(weights)
            .is_some_and(|needed| needed <= u128::from(amount) * u128::from(part.weight));
        if !full {
            // Nor are those after it.
            apportion(amount, &parts[position..], weights, claims, grants);
            return 0;
        }
        grants[part.index] += part.room;
        amount -= part.room;
        weights -= u128::from(part.weight);
    }
    amount
}

/// Orders by room / weight, without a fraction.
fn full_earlier(a: &Part, b: &Part) -> Ordering {
    (u128::from(a.room) * u128::from(b.weight)).cmp(&(u128::from(b.room) * u128::from(a.weight)))
}

/// Adds exactly `amount` to the grants in proportion to the weights, which sum to `weights`, by
/// largest remainder.  Where each exact part is within the part's room, the rounded one is too, since
/// the room is an integer.
fn apportion(amount: u64, parts: &[Part], weights: u128, claims: &[Claim], grants: &mut [u64]) {
    let mut left = amount;
    let mut remainders: Vec<(u128, usize)> = Vec::with_capacity(parts.len());
    for part in parts {
        let product = u128::from(amount) * u128::from(part.weight);
        let whole = (product / weights) as u64;
        grants[part.index] += whole;
        left -= whole;
        remainders.push((product % weights, part.index));
    }
    if left == 0 {
        return;
    }
    // The remainders sum to `left` × `weights` and each is below `weights`: fewer units are left
    // than parts have a remainder, and a part without one never gets a unit.
    remainders
        .sort_unstable_by_key(|&(remainder, index)| (Reverse(remainder), precedence(&claims[index]), index));
    for &(_, index) in &remainders[..left as usize] {
        grants[index] += 1;
    }
}

/// Who gets the odd unit among equal remainders.  More shares come first: otherwise raising a claim's
/// shares to a tie could cost it a unit.  The rest only has to be a total order of what is claimed.
fn precedence(claim: &Claim) -> (Reverse<u64>, Reverse<u64>, Option<u64>, Option<u64>) {
    (Reverse(claim.shares), Reverse(claim.reservation), claim.limit, claim.demand)
}

#[cfg(test)]
mod tests;
