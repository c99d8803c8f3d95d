//! From the ledger to the lines of an invoice: pure.
//!
//! A bill says what is owed by now and was not billed before.  So what was billed in advance and given up is given back by
//! a line below zero, and nothing is ever billed twice, whatever was billed when.

use super::calendar::Month;
use super::charges::{self, Charge, Interval, Item, TrafficHour};
use super::money::{CannotAdd, Money};
use crate::ids::{InstanceId, PlanId};
use jiff::civil::Date;
use std::collections::BTreeMap;

/// One instance in the ledger, with the names that bills show.
#[derive(Clone, Debug)]
pub struct Metered {
    pub instance: InstanceId,
    pub name: String,
    pub intervals: Vec<Interval>,
    /// Beside each interval.
    pub plans: Vec<Plan>,
    pub traffic: Vec<TrafficHour>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub id: PlanId,
    pub version: i32,
    pub name_en: String,
    pub name_zh: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub instance: InstanceId,
    pub name: String,
    /// The first day of the month that it is for.
    pub month: Date,
    pub item: Item,
    /// Number of the interval in the instance's ledger.
    pub interval: i32,
    pub plan: Plan,
    /// Seconds since 1970.
    pub since: i64,
    pub until: i64,
    /// Seconds, or bytes beyond the quota.
    pub quantity: i64,
    pub amount: Money,
}

/// What was billed before, by what it was for.
pub type Billed = BTreeMap<(InstanceId, Date, Item, i32), i64>;

/// The months that a bill of two months looks at: before them those for which a deletion that was undone in the two is
/// owed.  `earlier` holds the months before, the latest first.
pub fn months(metered: &[Metered], earlier: impl IntoIterator<Item = Month>, two: [Month; 2]) -> Vec<Month> {
    let restored = |life: &Metered| charges::restored_since(&life.intervals, two[0].start, two[1].end);
    let since = metered.iter().filter_map(restored).min().unwrap_or(two[0].start);
    let mut months: Vec<Month> = earlier.into_iter().take_while(|earlier| since < earlier.end).collect();
    months.reverse();
    months.extend(two);
    months
}

/// What is owed for these months at the second `now`, less what was billed.
pub fn lines(
    metered: &[Metered],
    months: &[Month],
    billed: &Billed,
    now: i64,
) -> Result<Vec<Line>, CannotAdd> {
    let mut lines = Vec::new();
    for instance in metered {
        for month in months {
            let charges = charges::charges(&instance.intervals, &instance.traffic, month, now)?;
            for charge in charges.iter().copied().chain(given_back(instance, month, &charges, billed)) {
                let key = (instance.instance, month.first, charge.item, charge.n);
                let before = Money::new(charge.amount.currency, billed.get(&key).copied().unwrap_or(0));
                let amount = charge.amount.minus(before)?;
                if amount.minor != 0 {
                    lines.extend(line(instance, month, &charge, amount));
                }
            }
        }
    }
    Ok(lines)
}

/// What was billed and is not owed at all any more.
fn given_back<'a>(
    instance: &'a Metered,
    month: &'a Month,
    charges: &'a [Charge],
    billed: &'a Billed,
) -> impl Iterator<Item = Charge> + 'a {
    let of_month = (instance.instance, month.first, Item::Time, i32::MIN)
        ..=(instance.instance, month.first, Item::Traffic, i32::MAX);
    billed.range(of_month).filter_map(move |((_, _, item, n), _)| {
        let owed = charges.iter().any(|charge| (charge.item, charge.n) == (*item, *n));
        let interval = instance.intervals.iter().find(|interval| interval.n == *n).filter(|_| !owed)?;
        let since = interval.since.max(month.start);
        let amount = Money::new(interval.price.currency, 0);
        Some(Charge { item: *item, n: *n, since, until: since, quantity: 0, amount })
    })
}

fn line(instance: &Metered, month: &Month, charge: &Charge, amount: Money) -> Option<Line> {
    let index = instance.intervals.iter().position(|interval| interval.n == charge.n)?;
    Some(Line {
        instance: instance.instance,
        name: instance.name.clone(),
        month: month.first,
        item: charge.item,
        interval: charge.n,
        plan: instance.plans[index].clone(),
        since: charge.since,
        until: charge.until,
        quantity: charge.quantity,
        amount,
    })
}

#[cfg(test)]
#[path = "bill_tests.rs"]
mod tests;
