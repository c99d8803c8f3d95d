//! The figures of a class, and what they mean when they are read back.

use crate::network::netlink::HtbClass;
use crate::network::shaping::same_size;
use jst_policy::claim::{ShareUnit, Shares};
use jst_policy::instance::NetworkLimits;
use jst_policy::units::KbitPerSec;

/// Bytes a second of a class without a reservation.  The kernel wants a rate, and this is below the
/// smallest reservation, 1 kbit/s: 4,000 classes have 3 Mbit/s of it together.
const NO_RESERVATION: u64 = 100;

/// Bytes a turn for each share.  A turn must be no shorter than the largest packet: a class sends at
/// least one packet a turn whatever its quantum is, and what it sends too much is never taken back.
/// The largest is a segment of 64 KiB that counts with the headers of its 45 frames, 68.5 KB; the lowest
/// level has 25 shares.
const BYTES_PER_SHARE: u64 = SMALLEST_QUANTUM / 25;
const SMALLEST_QUANTUM: u64 = 72_000;
/// Shares of 10,000, a hundred times the highest level: beyond it a turn would last for a good part of
/// a second.  More shares than that read back as these, and show as drift.
const LARGEST_QUANTUM: u64 = BYTES_PER_SHARE * 10_000;

/// A ceiling lies this much above the limit that the token bucket at the tap enforces, so that exactly
/// one of the two does.  It only keeps a flood that will be dropped there from taking the others' part.
const CEILING_PERCENT: u64 = 105;

/// How long a class may wait for its turn without losing what it was promised meanwhile: the timer's
/// lateness, and one turn of somebody else.
const RATE_MILLISECONDS: u64 = 20;
/// How much of a ceiling is kept for a timer that fires late.
const CEILING_MILLISECONDS: u64 = 4;
const SMALLEST_BURST: u64 = 16_000;
/// The kernel counts a bucket in 32 bits of 64 ns, that is up to 274 s at its rate.
const LONGEST_BURST_SECONDS: u64 = 274;

/// A queue holds this much at the ceiling, and two turns at least, within bounds: a class whose queue
/// runs empty within its turn does not get what its shares are worth.
const QUEUE_MILLISECONDS: u64 = 20;
const LARGEST_QUEUE: u64 = 4_000_000;

/// The class of one direction of an instance.
pub fn class(limits: &NetworkLimits, link: KbitPerSec, parent: u32) -> HtbClass {
    let link = link.bytes_per_sec().max(NO_RESERVATION);
    let rate = limits.reservation.bytes_per_sec().clamp(NO_RESERVATION, link);
    let limit = limits.peak.or(limits.average).map(KbitPerSec::bytes_per_sec);
    let ceil = limit.map_or(link, |limit| (limit * CEILING_PERCENT / 100).clamp(rate, link));
    let weight = limits.shares.weight(ShareUnit::Interface, 1);
    // Nothing is lost while the largest packets of two others pass.
    let turn = 2 * SMALLEST_QUANTUM * rate / link;
    HtbClass {
        parent,
        rate,
        ceil,
        burst: bucket(rate, (rate * RATE_MILLISECONDS / 1000).max(turn)),
        ceil_burst: bucket(ceil, ceil * CEILING_MILLISECONDS / 1000),
        quantum: (weight * BYTES_PER_SHARE).clamp(SMALLEST_QUANTUM, LARGEST_QUANTUM) as u32,
    }
}

/// The class that holds the whole uplink.  Classes within it borrow by their own quanta, and its own is
/// not used.
pub fn whole(link: KbitPerSec) -> HtbClass {
    let link = link.bytes_per_sec().max(NO_RESERVATION);
    let burst = bucket(link, link * CEILING_MILLISECONDS / 1000);
    HtbClass {
        // `TC_H_ROOT`, whatever handle the tree has.
        parent: u32::MAX,
        rate: link,
        ceil: link,
        burst,
        ceil_burst: burst,
        quantum: SMALLEST_QUANTUM as u32,
    }
}

fn bucket(rate: u64, bytes: u64) -> u64 {
    bytes.max(SMALLEST_BURST).min(rate * LONGEST_BURST_SECONDS).min(u32::MAX.into())
}

/// Bytes that the queue of a class holds.
pub fn queue(class: &HtbClass) -> u64 {
    let turns = 2 * u64::from(class.quantum);
    (class.ceil * QUEUE_MILLISECONDS / 1000).max(turns).min(LARGEST_QUEUE)
}

/// Equal but for rounding, see [`same_size`].  A class with classes below has no quantum.
pub fn same(wanted: &HtbClass, now: &HtbClass, inner: bool) -> bool {
    same_promise(wanted, now) && same_weight(wanted, now, inner)
}

fn same_promise(wanted: &HtbClass, now: &HtbClass) -> bool {
    wanted.rate == now.rate && same_size(wanted.burst, now.burst, wanted.rate)
}

fn same_weight(wanted: &HtbClass, now: &HtbClass, inner: bool) -> bool {
    wanted.parent == now.parent
        && wanted.ceil == now.ceil
        && same_size(wanted.ceil_burst, now.ceil_burst, wanted.ceil)
        && (inner || wanted.quantum == now.quantum)
}

/// What one direction of an instance has of the uplink.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// This host has no trees.
    NoTree,
    /// It has, and the packets of this instance do not pass a class of its own.
    Unclassified,
    Class {
        now: HtbClass,
        wanted: HtbClass,
        leaf: bool,
    },
}

/// Reservation and shares as they really are, and whether each differs from `wanted`.
///
/// Without a class there is no floor, and everybody is equal.
pub fn describe(found: &Found, wanted: &NetworkLimits) -> ((KbitPerSec, bool), (Shares, bool)) {
    match found {
        Found::NoTree => (
            (KbitPerSec::ZERO, wanted.reservation > KbitPerSec::ZERO),
            (Shares::Normal, wanted.shares != Shares::Normal),
        ),
        // Even equal shares are not kept by nobody.
        Found::Unclassified => {
            ((KbitPerSec::ZERO, wanted.reservation > KbitPerSec::ZERO), (Shares::Normal, true))
        }
        Found::Class { now, wanted: class, leaf } => {
            let reservation =
                if now.rate <= NO_RESERVATION { KbitPerSec::ZERO } else { KbitPerSec(now.rate / 125) };
            let number = u64::from(now.quantum).div_ceil(BYTES_PER_SHARE);
            let shares = if wanted.shares.weight(ShareUnit::Interface, 1) == number {
                wanted.shares
            } else {
                Shares::Custom(u32::try_from(number).unwrap_or(u32::MAX))
            };
            let keeps_floor = same_promise(class, now) && reservation == wanted.reservation;
            let keeps_shares = same_weight(class, now, false) && *leaf && shares == wanted.shares;
            ((reservation, !keeps_floor), (shares, !keeps_shares))
        }
    }
}
