//! What an account comes to if everything goes on as it is: pure.
//!
//! The ledger says what was and what is in force; [`Sold`] says what was asked for, which no host may have reported yet.
//! [`continued`] joins the two to the ledger as it will be, and the same function that makes bills says what that costs.

use super::bill::{Metered, Plan};
use super::charges::{Interval, Kind, Price};
use crate::ids::InstanceId;

/// An instance and the price that it was ordered at.
#[derive(Clone, Debug, PartialEq)]
pub struct Sold {
    pub instance: InstanceId,
    pub name: String,
    pub plan: Plan,
    pub price: Price,
}

/// Hours in a month by which prices of both kinds are compared.
const HOURS: i64 = 730;
/// Millionths of a currency in its minor unit.
const MICRO: i64 = 10_000;

impl Price {
    /// Millionths of the currency for (an hour, a month).
    const fn rates(&self) -> (i64, i64) {
        let month = self.month.saturating_mul(MICRO);
        let hours = self.hour_micro.saturating_mul(HOURS);
        match (self.hour_micro, self.month) {
            (0, _) => (month / HOURS, month),
            (hour, 0) => (hour, hours),
            (hour, _) => (hour, if hours < month { hours } else { month }),
        }
    }

    /// An hour or a month of it costs more.
    pub fn dearer_than(&self, other: &Self) -> bool {
        let ((hour, month), (other_hour, other_month)) = (self.rates(), other.rates());
        hour > other_hour || month > other_month
    }
}

/// The ledger as it will be if each of `sold` is in force from the second `now` on.  What is cheaper than what is in force
/// changes nothing: it counts when a host has reported it.
pub fn continued(metered: &[Metered], sold: &[Sold], now: i64) -> Vec<Metered> {
    let mut all = metered.to_vec();
    for sold in sold {
        match all.iter_mut().find(|metered| metered.instance == sold.instance) {
            Some(metered) => go_on(metered, sold, now),
            None => {
                let mut metered = Metered {
                    instance: sold.instance,
                    name: sold.name.clone(),
                    intervals: Vec::new(),
                    plans: Vec::new(),
                    traffic: Vec::new(),
                };
                go_on(&mut metered, sold, now);
                all.push(metered);
            }
        }
    }
    all
}

fn go_on(metered: &mut Metered, sold: &Sold, now: i64) {
    let mut n = 1;
    if let Some(last) = metered.intervals.last_mut() {
        n = last.n + 1;
        if last.until.is_none() {
            if last.kind == Kind::Sold && !sold.price.dearer_than(&last.price) {
                return;
            }
            // A clock of tests may be ahead.
            last.until = Some(now.max(last.since));
        }
    }
    let since = now.max(metered.intervals.last().map_or(now, |last| last.until.unwrap_or(now)));
    metered.intervals.push(Interval { n, kind: Kind::Sold, price: sold.price, since, until: None });
    metered.plans.push(sold.plan.clone());
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
