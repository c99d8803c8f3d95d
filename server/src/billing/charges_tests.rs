use super::*;
use crate::billing::calendar::Month;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

fn november() -> Month {
    Month::of(date(2026, 11, 1), &TimeZone::UTC).unwrap()
}

/// One dollar at most a month, in 500 hours.
const BY_THE_HOUR: Price = Price {
    currency: Currency::Usd,
    hour_micro: 2000,
    month: 100,
    traffic_gib_micro: 10_000,
    quota_mib: Some(1024),
};
const BY_THE_MONTH: Price = Price { hour_micro: 0, month: 3000, ..BY_THE_HOUR };

fn sold(n: i32, price: Price, since: i64, until: Option<i64>) -> Interval {
    Interval { n, kind: Kind::Sold, price, since, until }
}

fn total(charges: &[Charge]) -> i64 {
    Money::sum(Currency::Usd, charges.iter().map(|charge| charge.amount)).unwrap().minor
}

fn cost(intervals: &[Interval], now: i64) -> i64 {
    total(&charges(intervals, &[], &november(), now).unwrap())
}

#[test]
fn hours_are_charged_to_the_second_up_to_the_cap() {
    let start = november().start;
    let open = [sold(1, BY_THE_HOUR, start, None)];
    assert_eq!(cost(&open, start), 0);
    // 50 hours at 0.2 cents are 10 cents, and half an hour and a second more round down.
    assert_eq!(cost(&open, start + 50 * HOUR), 10);
    assert_eq!(cost(&open, start + 52 * HOUR + HOUR / 2 - 1), 10);
    assert_eq!(cost(&open, start + 52 * HOUR + HOUR / 2), 11);
    assert_eq!(cost(&open, start + 499 * HOUR), 100);
    assert_eq!(cost(&open, november().end), 100);
    let uncapped = [sold(1, Price { month: 0, ..BY_THE_HOUR }, start, None)];
    assert_eq!(cost(&uncapped, november().end), 144);
}

#[test]
fn months_are_charged_in_advance_and_given_back() {
    let start = november().start;
    assert_eq!(cost(&[sold(1, BY_THE_MONTH, start, None)], start), 3000);
    // Ordered in the middle: the half of it, at once.
    assert_eq!(cost(&[sold(1, BY_THE_MONTH, start + 15 * DAY, None)], start + 15 * DAY), 1500);
    assert_eq!(cost(&[sold(1, BY_THE_MONTH, start, Some(start + 10 * DAY))], start + 20 * DAY), 1000);
    // What begins after now is not in the ledger of now.
    assert_eq!(cost(&[sold(1, BY_THE_MONTH, start + DAY, None)], start), 0);
}

/// Deleted, undone, deleted: what lies between a deletion and its undoing was kept, and is paid for; the last is not.
#[test]
fn a_deletion_that_is_undone_is_charged() {
    let start = november().start;
    let retained = |n, since, until| Interval { kind: Kind::Retained, ..sold(n, BY_THE_HOUR, since, until) };
    let mut life = vec![
        sold(1, BY_THE_HOUR, start, Some(start + HOUR)),
        retained(2, start + HOUR, Some(start + 50 * HOUR)),
        retained(3, start + 50 * HOUR, None),
    ];
    assert_eq!(cost(&life, start + 100 * HOUR), 0, "nothing is owed while it is deleted");
    life[2].until = Some(start + 100 * HOUR);
    life.push(sold(4, BY_THE_HOUR, start + 100 * HOUR, Some(start + 100 * HOUR + 1)));
    life.push(retained(5, start + 100 * HOUR + 1, None));
    assert_eq!(cost(&life, start + 100 * HOUR - 1), 0, "it was not undone yet");
    assert_eq!(cost(&life, start + 200 * HOUR), 20);
    assert_eq!(restored_since(&life, start + 100 * HOUR, start + 200 * HOUR), Some(start + HOUR));
    assert_eq!(restored_since(&life, start + 101 * HOUR, start + 200 * HOUR), None);
    // A trial that comes back is one again.
    life[3].kind = Kind::Trial;
    assert_eq!(cost(&life, start + 200 * HOUR), 0);
}

#[test]
fn trials_and_what_is_deleted_are_free() {
    let start = november().start;
    for kind in [Kind::Trial, Kind::Retained, Kind::External] {
        let interval = Interval { kind, ..sold(1, BY_THE_MONTH, start, None) };
        let passed = [TrafficHour { hour: start + HOUR, bytes: 1 << 40 }];
        assert_eq!(charges(&[interval], &passed, &november(), november().end).unwrap(), []);
    }
}

#[test]
fn traffic_counts_from_the_quota_on() {
    let start = november().start;
    let gib = 1 << 30;
    let intervals = [
        Interval { kind: Kind::Trial, ..sold(1, BY_THE_HOUR, start, Some(start + 10 * HOUR + 1)) },
        sold(2, BY_THE_HOUR, start + 10 * HOUR + 1, None),
    ];
    let hours = [
        // In the trial, and in the hour of the purchase.
        TrafficHour { hour: start + 9 * HOUR, bytes: 100 * gib },
        TrafficHour { hour: start + 10 * HOUR, bytes: 100 * gib },
        TrafficHour { hour: start + 11 * HOUR, bytes: 5 * gib },
        TrafficHour { hour: start + 12 * HOUR, bytes: 6 * gib },
        // In the next month.
        TrafficHour { hour: november().end, bytes: 100 * gib },
    ];
    let found = charges(&intervals, &hours, &november(), november().end).unwrap();
    let traffic: Vec<_> = found.iter().filter(|charge| charge.item == Item::Traffic).collect();
    assert_eq!(traffic.len(), 1);
    assert_eq!((traffic[0].quantity, traffic[0].amount.minor, traffic[0].n), (10 * gib, 10, 2));
    // The highest quota of the month counts, and none at all is the highest.
    for (quota, charged) in [(Some(11 * 1024), 0), (Some(6 * 1024), 5), (None, 0)] {
        let mut more = intervals.to_vec();
        more[1].until = Some(start + 20 * HOUR);
        more.push(sold(3, Price { quota_mib: quota, ..BY_THE_HOUR }, start + 20 * HOUR, None));
        let found = charges(&more, &hours, &november(), november().end).unwrap();
        let amount: i64 =
            found.iter().filter(|charge| charge.item == Item::Traffic).map(|c| c.amount.minor).sum();
        assert_eq!(amount, charged, "{quota:?}");
    }
}

fn price() -> impl Strategy<Value = Price> {
    (0i64..3_000_000, prop_oneof![Just(0i64), 1..500_000i64]).prop_map(|(hour_micro, month)| Price {
        currency: Currency::Usd,
        // Some by the month only.
        hour_micro: if hour_micro % 3 == 0 { 0 } else { hour_micro },
        month,
        traffic_gib_micro: 10_000,
        quota_mib: Some(0),
    })
}

/// Intervals without gap or overlap, from before the month to after it; the last one is open.
fn lifecycle() -> impl Strategy<Value = Vec<Interval>> {
    let step = (price(), 0..20 * DAY, 0u8..6);
    (prop::collection::vec(step, 1..12), 0..40 * DAY).prop_map(|(steps, before)| {
        let mut since = november().start - 20 * DAY + before;
        let last = steps.len() as i32;
        let interval = |(n, (price, seconds, kind)): (i32, (Price, i64, u8))| {
            let kind = match kind {
                0 => Kind::Trial,
                1 => Kind::Retained,
                _ => Kind::Sold,
            };
            let begun = since;
            since += seconds;
            Interval { n, kind, price, since: begun, until: (n < last).then_some(since) }
        };
        (1..).zip(steps).map(interval).collect()
    })
}

/// The same without rounding, as a float: written down the other way, to be compared.
fn about(intervals: &[Interval], month: &Month) -> f64 {
    let mut sum = 0.0f64;
    let mut highest = 0.0f64;
    // The time between a deletion and its undoing is charged, once what follows it has begun.
    let is_restored = |index: usize| {
        let next = intervals[index..].iter().find(|later| later.kind != Kind::Retained);
        next.is_some_and(|next| next.kind == Kind::Sold && next.since <= month.end)
    };
    let counts = |index: usize| match intervals[index].kind {
        Kind::Sold => true,
        Kind::Retained => is_restored(index),
        _ => false,
    };
    for interval in (0..intervals.len()).filter(|index| counts(*index)).map(|index| &intervals[index]) {
        let since = interval.since.max(month.start);
        let until = interval.until.unwrap_or(month.end).min(month.end);
        if since >= until {
            continue;
        }
        let Price { hour_micro, month: monthly, .. } = interval.price;
        let seconds = (until - since) as f64;
        sum += match hour_micro {
            0 => monthly as f64 * seconds / month.seconds() as f64,
            hourly => hourly as f64 * seconds / 36e6,
        };
        highest = if monthly == 0 && hour_micro > 0 { f64::INFINITY } else { highest.max(monthly as f64) };
        sum = sum.min(highest);
    }
    sum
}

proptest! {
    #[test]
    fn the_sum_is_the_exact_sum_rounded_once(intervals in lifecycle()) {
        let sum = cost(&intervals, november().end) as f64;
        prop_assert!((sum - about(&intervals, &november())).abs() <= 0.5 + 1e-6);
    }

    #[test]
    fn the_highest_monthly_price_is_never_exceeded(intervals in lifecycle(), now in 0..40 * DAY) {
        // A cap that hours reach: an hour's price is at most 3 dollars.
        let capped: Vec<Interval> = intervals
            .into_iter()
            .map(|interval| Interval { price: Price { month: interval.price.month % 5000 + 1, ..interval.price }, ..interval })
            .collect();
        let highest = capped.iter().map(|interval| interval.price.month).max().unwrap_or(0);
        prop_assert!(cost(&capped, november().start + now) <= highest);
    }

    /// A month in parts costs what it costs as a whole: cutting an interval anywhere changes no cent.
    #[test]
    fn no_part_is_lost(intervals in lifecycle(), which in any::<prop::sample::Index>(), cut in 1..20 * DAY) {
        let mut parts = intervals.clone();
        let index = which.index(parts.len());
        let first = parts[index];
        let at = first.since + cut.min(first.until.map_or(i64::MAX, |until| until - first.since));
        parts[index].until = Some(at);
        parts.insert(index + 1, Interval { n: 100, since: at, ..first });
        prop_assert_eq!(cost(&intervals, november().end), cost(&parts, november().end));
    }

    #[test]
    fn a_whole_month_costs_its_price(month in 1..500_000i64, cuts in prop::collection::vec(0..30 * DAY, 0..10)) {
        let price = Price { month, ..BY_THE_MONTH };
        let mut edges: Vec<i64> = cuts.into_iter().map(|cut| november().start + cut).collect();
        edges.extend([november().start, november().end]);
        edges.sort_unstable();
        let parts: Vec<Interval> =
            (1..).zip(edges.windows(2)).map(|(n, edge)| sold(n, price, edge[0], Some(edge[1]))).collect();
        prop_assert_eq!(cost(&parts, november().end), month);
    }

    /// What is owed for hours only grows as they pass, and what stays closed stays as it is.
    #[test]
    fn hours_only_add_up(intervals in lifecycle(), first in 0..30 * DAY, later in 0..30 * DAY) {
        let hourly: Vec<Interval> = intervals.into_iter().filter(|interval| interval.price.hour_micro > 0).collect();
        let now = november().start + first;
        prop_assert!(cost(&hourly, now) <= cost(&hourly, now + later));
        let closed: Vec<Interval> =
            hourly.iter().copied().filter(|interval| interval.until.is_some_and(|until| until <= now)).collect();
        prop_assert_eq!(cost(&closed, now), cost(&closed, now + later));
    }

    /// A bill can be made again, whatever has happened since.
    #[test]
    fn what_is_written_later_changes_nothing(intervals in lifecycle(), now in 0..30 * DAY) {
        let now = november().start + now;
        let mut then: Vec<Interval> = intervals.iter().copied().filter(|interval| interval.since <= now).collect();
        for interval in &mut then {
            interval.until = interval.until.filter(|until| *until <= now);
        }
        let bill = |intervals: &[Interval]| charges(intervals, &[], &november(), now).unwrap();
        prop_assert_eq!(bill(&intervals), bill(&then));
    }

    #[test]
    fn months_share_nothing(intervals in lifecycle()) {
        let zone = TimeZone::UTC;
        let (month, next) = (november(), november().next(&zone).unwrap());
        let now = next.end;
        for charge in charges(&intervals, &[], &month, now).unwrap() {
            prop_assert!(charge.since >= month.start && charge.until <= month.end && charge.quantity > 0);
        }
        for charge in charges(&intervals, &[], &next, now).unwrap() {
            prop_assert!(charge.since >= next.start && charge.until <= next.end);
        }
    }

    #[test]
    fn one_instance_has_one_currency(intervals in lifecycle(), which in any::<prop::sample::Index>()) {
        let mut mixed = intervals.clone();
        let index = which.index(mixed.len());
        mixed[index].price.currency = Currency::Cny;
        prop_assert_eq!(charges(&mixed, &[], &november(), november().end).is_err(), mixed.len() > 1);
    }
}

#[test]
fn suspended_time_is_free_and_divides_no_charge() {
    let start = november().start;
    let whole = sold(1, BY_THE_HOUR, start, Some(start + 20 * DAY));
    let windows = [(start + 2 * DAY, Some(start + 3 * DAY)), (start + 10 * DAY, None)];
    let parts = without_suspensions(whole, &windows);
    let kinds: Vec<_> = parts.iter().map(|part| (part.kind, part.since, part.until)).collect();
    let at = |day: i64| start + day * DAY;
    assert_eq!(
        kinds,
        [
            (Kind::Sold, start, Some(at(2))),
            (Kind::Suspended, at(2), Some(at(3))),
            (Kind::Sold, at(3), Some(at(10))),
            (Kind::Suspended, at(10), Some(at(20))),
        ]
    );
    let charges = charges(&parts, &[], &november(), november().end).unwrap();
    let [charge] = charges[..] else { panic!("{charges:?}") };
    assert_eq!((charge.quantity, charge.amount.minor), (9 * DAY, rounded_cents(9 * 24)));
    // By the month, what is suspended is given back; and what never was sold is left as it is.
    let open = without_suspensions(sold(1, BY_THE_MONTH, start, None), &[(at(15), None)]);
    assert_eq!(cost(&open, at(20)), 1500);
    let trial = Interval { kind: Kind::Trial, ..whole };
    assert_eq!(without_suspensions(trial, &windows), [trial]);
}

/// At 0.2 cents an hour.
fn rounded_cents(hours: i64) -> i64 {
    rounded(i128::from(hours) * 2, 10) as i64
}

proptest! {
    /// The parts of an interval follow each other from its beginning to its end, whatever the windows are.
    #[test]
    fn suspensions_leave_no_gap(
        since in 0i64..100, length in prop::option::of(0i64..100), cuts in prop::collection::btree_set(0i64..250, 0..9)
    ) {
        let until = length.map(|length| since + length);
        let cuts: Vec<i64> = cuts.into_iter().collect();
        let windows: Vec<_> = cuts.chunks(2).map(|pair| (pair[0], pair.get(1).copied())).collect();
        let parts = without_suspensions(sold(7, BY_THE_HOUR, since, until), &windows);
        prop_assert_eq!((parts[0].since, parts.last().unwrap().until), (since, until));
        for pair in parts.windows(2) {
            prop_assert_eq!(pair[0].until, Some(pair[1].since));
        }
        for part in parts {
            let inside = |second: i64| windows.iter().any(|(from, to)| *from <= second && to.is_none_or(|to| second < to));
            if part.until != Some(part.since) {
                prop_assert_eq!(part.kind == Kind::Suspended, inside(part.since));
            }
        }
    }
}
