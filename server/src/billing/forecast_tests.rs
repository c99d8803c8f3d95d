use super::*;
use crate::billing::bill::{Billed, lines};
use crate::billing::calendar::Month;
use crate::billing::money::Currency;
use crate::ids::PlanId;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn months() -> Vec<Month> {
    [11, 12].map(|month| Month::of(date(2026, month, 1), &TimeZone::UTC).unwrap()).to_vec()
}

fn price(hour_micro: i64, month: i64) -> Price {
    Price { currency: Currency::Usd, hour_micro, month, traffic_gib_micro: 0, quota_mib: None }
}

/// Two cents an hour and ten dollars at most; five cents and 25 dollars; 31 dollars a month.
const PRICES: [(i64, i64); 3] = [(20_000, 1000), (50_000, 2500), (0, 3100)];

fn sold(instance: InstanceId, plan: usize) -> Sold {
    let (hour, month) = PRICES[plan];
    let plan = Plan { id: PlanId::default(), version: 1, name_en: String::new(), name_zh: String::new() };
    Sold { instance, name: "vm".to_owned(), plan, price: price(hour, month) }
}

/// An instance that is in force since then.
fn metered(sold: &Sold, kind: Kind, since: i64) -> Metered {
    let interval = Interval { n: 1, kind, price: sold.price, since, until: None };
    Metered {
        instance: sold.instance,
        name: sold.name.clone(),
        intervals: vec![interval],
        plans: vec![sold.plan.clone()],
        traffic: Vec::new(),
    }
}

fn owed(ledger: &[Metered], until: i64) -> i64 {
    let lines = lines(ledger, &months(), &Billed::new(), until).unwrap();
    lines.iter().map(|line| line.amount.minor).sum()
}

#[test]
fn what_was_ordered_and_is_not_in_force_counts_from_now_on() {
    let now = months()[0].start + 10 * DAY;
    let (running, ordered) = (InstanceId::new(), InstanceId::new());
    let ledger = [metered(&sold(running, 0), Kind::Sold, now - 5 * HOUR)];
    let all = [sold(running, 0), sold(ordered, 1)];
    assert_eq!(owed(&continued(&ledger, &all, now), now), 10);
    // An hour of both.
    assert_eq!(owed(&continued(&ledger, &all, now), now + HOUR), 10 + 2 + 5);
    // A resize to a dearer plan counts at once, one to a cheaper when it is in force.
    assert_eq!(owed(&continued(&ledger, &[sold(running, 1)], now), now + HOUR), 10 + 5);
    let large = [metered(&sold(running, 1), Kind::Sold, now)];
    assert_eq!(owed(&continued(&large, &[sold(running, 0)], now), now + HOUR), 5);
    // Trials, what is deleted, and what is suspended come back as what is sold; a deletion that is undone costs the
    // time between as well.
    for (kind, owes) in [(Kind::Trial, 2), (Kind::Retained, 24 * 2 + 2), (Kind::Suspended, 2)] {
        let free = [metered(&sold(running, 0), kind, now - DAY)];
        assert_eq!(owed(&continued(&free, &[], now), now + HOUR), 0);
        assert_eq!(owed(&continued(&free, &[sold(running, 0)], now), now + HOUR), owes, "{kind:?}");
    }
    // By the month, the rest of it is due in advance; and the next one when that begins.
    let flat = continued(&[], &[sold(ordered, 2)], months()[0].start + 15 * DAY);
    assert_eq!(owed(&flat, months()[0].start + 15 * DAY), 1550);
    assert_eq!(owed(&flat, months()[1].start), 1550 + 3100);
}

#[test]
fn prices_of_both_kinds_are_compared() {
    let [small, large, flat] = PRICES.map(|(hour, month)| price(hour, month));
    assert!(large.dearer_than(&small) && !small.dearer_than(&large) && !small.dearer_than(&small));
    assert!(flat.dearer_than(&small) && flat.dearer_than(&large));
    assert!(!price(0, 0).dearer_than(&small) && small.dearer_than(&price(0, 0)));
    assert!(price(20_000, 0).dearer_than(&small), "without a cap");
    assert!(!price(i64::MAX, 0).dearer_than(&price(i64::MAX, 0)));
}

proptest! {
    /// Going on costs more the longer it lasts, and an order never makes everything cheaper.
    #[test]
    fn what_goes_on_never_gives_money_back(
        plans in prop::collection::vec((0usize..3, 0usize..3, 0i64..40), 0..5),
        order in 0usize..3,
        mut times in prop::collection::vec(0i64..45 * DAY, 2..6),
    ) {
        let now = months()[0].start + 12 * DAY;
        let all: Vec<(Sold, Sold, i64)> = plans
            .into_iter()
            .map(|(plan, wanted, hours)| {
                let id = InstanceId::new();
                (sold(id, plan), sold(id, wanted), now - hours * HOUR)
            })
            .collect();
        let ledger: Vec<Metered> =
            all.iter().map(|(sold, _, since)| metered(sold, Kind::Sold, *since)).collect();
        let mut wanted: Vec<Sold> = all.iter().map(|(_, wanted, _)| wanted.clone()).collect();
        times.sort_unstable();
        let without = continued(&ledger, &wanted, now);
        wanted.push(sold(InstanceId::new(), order));
        let with = continued(&ledger, &wanted, now);
        let mut before = 0;
        for time in times {
            let cost = owed(&without, now + time);
            prop_assert!(cost >= before);
            prop_assert!(owed(&with, now + time) >= cost);
            before = cost;
        }
    }
}
