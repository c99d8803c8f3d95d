//! From the ledger to what is owed: one pure function.
//!
//! - A plan with a price an hour is charged for every second, after it has passed.
//! - A plan with a price a month only is charged for its part of the month, in advance: what runs on is taken to run to
//!   the month's end, and what ends sooner is given back with the next invoice.
//! - An instance never costs more in a calendar month than the highest monthly price that it had in it.
//! - What is deleted is kept for nothing until it is removed.  When the deletion is undone, the time in between is charged
//!   as if it had never been deleted.
//! - While the account is suspended for money, nothing is charged.
//! - Traffic beyond the quota is charged a GiB, both directions together.  The highest quota of the month counts, in
//!   full; a plan without one makes the month unmetered.
//!
//! An instance's charges of a month are one exact sum.  Each charge is what the rounded sum grows by, so that their sum
//! is the rounded sum, in however many parts the month was used.

use super::calendar::Month;
use super::money::{CannotAdd, Currency, Money, rounded};

/// Why an interval is in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sold,
    /// Free, and remembered as what it was.
    Trial,
    /// Deleted, and kept for the grace period: free, unless the deletion is undone.
    Retained,
    /// Sold by a billing system of the operator's, which bills for it.
    External,
    /// Sold or kept, in a time in which the account was suspended for money: free.
    Suspended,
}

/// What was agreed upon, in the customer's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub currency: Currency,
    /// Millionths of the currency; 0: charged by the month.
    pub hour_micro: i64,
    /// Minor units; 0: hours have no cap.
    pub month: i64,
    /// Millionths of the currency.
    pub traffic_gib_micro: i64,
    /// None: unmetered.
    pub quota_mib: Option<i64>,
}

/// A row of the ledger; times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub n: i32,
    pub kind: Kind,
    pub price: Price,
    pub since: i64,
    /// None: open.
    pub until: Option<i64>,
}

/// What passed in the hour that begins then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficHour {
    pub hour: i64,
    pub bytes: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Seconds.
    Time,
    /// Bytes beyond the quota.
    Traffic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub item: Item,
    /// The interval; of traffic the last one of the month.
    pub n: i32,
    pub since: i64,
    pub until: i64,
    pub quantity: i64,
    pub amount: Money,
}

/// Millionths an hour and a second, to minor units.
const HOURLY: i128 = 3600 * MICRO;
/// Millionths of a currency in its minor unit.
const MICRO: i128 = 10_000;
const GIB: i128 = 1 << 30;
const MIB: i128 = 1 << 20;

/// What one instance costs in a month, as the ledger stood at the second `now`: what was written there later changes
/// nothing, so that the same bill can be made again at any time.  `intervals` are in their order; `traffic` may be in any.
pub fn charges(
    intervals: &[Interval],
    traffic: &[TrafficHour],
    month: &Month,
    now: i64,
) -> Result<Vec<Charge>, CannotAdd> {
    let Some(currency) = intervals.first().map(|interval| interval.price.currency) else {
        return Ok(Vec::new());
    };
    if intervals.iter().any(|interval| interval.price.currency != currency) {
        return Err(CannotAdd);
    }
    let sold: Vec<Used> =
        (0..intervals.len()).filter_map(|index| used(intervals, index, month, now)).collect();
    let mut charges = time(&sold, month, currency);
    charges.extend(beyond_quota(&sold, traffic, month, now, currency));
    Ok(charges)
}

/// A part of the month for which something was sold.
struct Used {
    n: i32,
    price: Price,
    since: i64,
    until: i64,
}

/// Whether a deletion was undone by then; what follows says whether it is sold again.
fn is_restored(intervals: &[Interval], index: usize, now: i64) -> bool {
    let next =
        intervals[index..].iter().find(|later| !matches!(later.kind, Kind::Retained | Kind::Suspended));
    intervals[index].kind == Kind::Retained
        && next.is_some_and(|next| next.kind == Kind::Sold && next.since <= now)
}

/// Since when a customer owes for deletions that were undone between two seconds; None: there were none.
pub fn restored_since(intervals: &[Interval], from: i64, now: i64) -> Option<i64> {
    let restored =
        |index: &usize| is_restored(intervals, *index, now) && !is_restored(intervals, *index, from - 1);
    (0..intervals.len()).find(restored).map(|index| intervals[index].since)
}

fn used(intervals: &[Interval], index: usize, month: &Month, now: i64) -> Option<Used> {
    let interval = &intervals[index];
    let price = interval.price;
    // What is paid in advance is taken to run on.
    let reached = if price.hour_micro == 0 { month.end } else { now.min(month.end) };
    let since = interval.since.max(month.start);
    let closed = interval.until.filter(|until| *until <= now);
    let until = closed.unwrap_or(i64::MAX).min(reached);
    // Nothing is due of a month before it begins, also not in advance.
    let begun = interval.since.max(month.start) <= now;
    let charged = interval.kind == Kind::Sold || is_restored(intervals, index, now);
    (charged && begun && since < until).then_some(Used { n: interval.n, price, since, until })
}

fn time(sold: &[Used], month: &Month, currency: Currency) -> Vec<Charge> {
    // Minor units of the exact sum have this denominator, which both kinds of price divide.
    let whole = HOURLY * i128::from(month.seconds());
    let mut exact = 0;
    let mut highest = Some(0);
    let charge = |used: &Used| {
        let Used { n, price, since, until } = *used;
        let seconds = i128::from(until - since);
        let before = rounded(exact, whole);
        exact += if price.hour_micro == 0 {
            i128::from(price.month) * seconds * HOURLY
        } else {
            i128::from(price.hour_micro) * seconds * i128::from(month.seconds())
        };
        let capped = price.month > 0 || price.hour_micro == 0;
        highest = highest.filter(|_| capped).map(|highest: i64| highest.max(price.month));
        if let Some(highest) = highest {
            exact = exact.min(i128::from(highest) * whole);
        }
        let amount = (rounded(exact, whole) - before) as i64;
        Charge {
            item: Item::Time,
            n,
            since,
            until,
            quantity: until - since,
            amount: Money::new(currency, amount),
        }
    };
    // An interval that a suspension divides stays one charge.
    let merged = |mut all: Vec<Charge>, next: Charge| {
        match all.last_mut().filter(|last| last.n == next.n) {
            Some(last) => {
                last.until = next.until;
                last.quantity += next.quantity;
                last.amount.minor += next.amount.minor;
            }
            None => all.push(next),
        }
        all
    };
    sold.iter().map(charge).fold(Vec::new(), merged)
}

/// Takes the times in which the account was suspended out of what was sold.  `windows` are (since, until), in their order and
/// apart from each other; the last may be open.  The parts keep the number of their interval.
pub fn without_suspensions(interval: Interval, windows: &[(i64, Option<i64>)]) -> Vec<Interval> {
    if !matches!(interval.kind, Kind::Sold | Kind::Retained) {
        return vec![interval];
    }
    let (mut parts, mut since) = (Vec::new(), interval.since);
    let end = interval.until.unwrap_or(i64::MAX);
    let time = |second: i64| (second < i64::MAX).then_some(second);
    let mut part = |kind, since: i64, until: i64| {
        if since < until {
            parts.push(Interval { kind, since, until: time(until), ..interval });
        }
    };
    for (from, to) in windows {
        let (from, to) = (from.clamp(&since, &end), to.unwrap_or(i64::MAX).clamp(since, end));
        part(interval.kind, since, *from);
        part(Kind::Suspended, *from, to);
        since = since.max(to);
    }
    part(interval.kind, since, end);
    if parts.is_empty() { vec![interval] } else { parts }
}

fn beyond_quota(
    sold: &[Used],
    traffic: &[TrafficHour],
    month: &Month,
    now: i64,
    currency: Currency,
) -> Option<Charge> {
    let (first, last) = (sold.first()?, sold.last()?);
    let quotas: Option<Vec<i64>> = sold.iter().map(|used| used.price.quota_mib).collect();
    let quota = i128::from(quotas?.into_iter().max()?) * MIB;
    // What passed in the hour of a purchase, before and after it, is a gift.
    let until = now.min(month.end);
    let counted = |hour: &&TrafficHour| (first.since..until).contains(&hour.hour);
    let bytes: i128 = traffic.iter().filter(counted).map(|hour| i128::from(hour.bytes)).sum();
    let beyond = (bytes - quota).max(0);
    let amount = rounded(beyond * i128::from(last.price.traffic_gib_micro), GIB * MICRO) as i64;
    (amount > 0).then_some(Charge {
        item: Item::Traffic,
        n: last.n,
        since: first.since,
        until,
        quantity: beyond as i64,
        amount: Money::new(currency, amount),
    })
}

#[cfg(test)]
#[path = "charges_tests.rs"]
mod tests;
