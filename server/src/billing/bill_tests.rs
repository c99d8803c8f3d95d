use super::*;
use crate::billing::charges::{Kind, Price, charges};
use crate::billing::money::Currency;
use jiff::civil::date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

const DAY: i64 = 86_400;

fn months() -> Vec<Month> {
    (8..=12).map(|month| Month::of(date(2026, month, 1), &TimeZone::UTC).unwrap()).collect()
}

/// A life from August to November without gap or overlap, in plans by the hour and by the month.
fn life() -> impl Strategy<Value = Metered> {
    let step = (0i64..3_000_000, 0..100_000i64, 0..30 * DAY, 0u8..6);
    (prop::collection::vec(step, 1..10), 0..30 * DAY, any::<bool>()).prop_map(|(steps, before, ends)| {
        let mut since = months()[0].start + before;
        let (mut intervals, mut plans) = (Vec::new(), Vec::new());
        let last = steps.len();
        for (index, (hour, month, seconds, kind)) in steps.into_iter().enumerate() {
            let price = Price {
                currency: Currency::Cny,
                hour_micro: if hour % 2 == 0 { 0 } else { hour },
                month,
                traffic_gib_micro: 5_000,
                quota_mib: Some(1024),
            };
            let kind = [Kind::Trial, Kind::Retained, Kind::Sold, Kind::Sold, Kind::Sold, Kind::Sold]
                [usize::from(kind)];
            let until = (ends || index + 1 < last).then_some(since + seconds);
            intervals.push(Interval { n: index as i32 + 1, kind, price, since, until });
            plans.push(Plan {
                id: PlanId::new(),
                version: 1,
                name_en: String::new(),
                name_zh: String::new(),
            });
            since += seconds;
        }
        let hour = |number: i64| TrafficHour { hour: months()[0].start + number * 3600 * 7, bytes: 1 << 28 };
        Metered {
            instance: InstanceId::new(),
            name: "web".to_owned(),
            intervals,
            plans,
            traffic: (0..500).map(hour).collect(),
        }
    })
}

/// The bill at the end of the first of two months.
fn bill(life: &Metered, two: &[Month], billed: &Billed) -> Vec<Line> {
    let life = std::slice::from_ref(life);
    let earlier = months().into_iter().rev().filter(|month| month.end <= two[0].start);
    lines(life, &super::months(life, earlier, [two[0], two[1]]), billed, two[0].end).unwrap()
}

/// Bills at the end of each month, as the platform does it: the month, and the next one in advance.
fn billed_monthly(life: &Metered) -> (Vec<Vec<Line>>, Billed) {
    let mut billed = Billed::new();
    let mut bills = Vec::new();
    for pair in months().windows(2) {
        let bill = bill(life, pair, &billed);
        for line in &bill {
            *billed.entry((line.instance, line.month, line.item, line.interval)).or_default() +=
                line.amount.minor;
        }
        bills.push(bill);
    }
    (bills, billed)
}

/// Paid for December, and given up in its first second: all of it comes back.
#[test]
fn what_was_never_used_is_given_back_whole() {
    let [november, december, january] = [months()[3], months()[4], months()[4].next(&TimeZone::UTC).unwrap()];
    let price =
        Price { currency: Currency::Cny, hour_micro: 0, month: 3100, traffic_gib_micro: 0, quota_mib: None };
    let interval = |until| Interval { n: 1, kind: Kind::Sold, price, since: november.start, until };
    let plan = Plan { id: PlanId::new(), version: 1, name_en: String::new(), name_zh: String::new() };
    let mut life = Metered {
        instance: InstanceId::new(),
        name: "web".to_owned(),
        intervals: vec![interval(None)],
        plans: vec![plan],
        traffic: Vec::new(),
    };
    let mut billed = Billed::new();
    let first = lines(std::slice::from_ref(&life), &[november, december], &billed, november.end).unwrap();
    for line in &first {
        billed.insert((line.instance, line.month, line.item, line.interval), line.amount.minor);
    }
    assert_eq!(first.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [3100, 3100]);
    life.intervals = vec![interval(Some(december.start))];
    let second = lines(&[life], &[december, january], &billed, december.end).unwrap();
    assert_eq!(second.iter().map(|line| line.amount.minor).collect::<Vec<_>>(), [-3100]);
}

proptest! {
    /// The ledger's total is the sum of all invoices: for every month that is over, to the cent.
    #[test]
    fn invoices_come_to_what_the_ledger_says(life in life()) {
        let (bills, _) = billed_monthly(&life);
        // The last bill is in advance of December.
        for month in &months()[..4] {
            // Long after: everything that ever came into the ledger is there.
            let owed: i64 = charges(&life.intervals, &life.traffic, month, months()[3].end)
                .unwrap().iter().map(|charge| charge.amount.minor).sum();
            let billed: i64 = bills.iter().flatten().filter(|line| line.month == month.first).map(|line| line.amount.minor).sum();
            prop_assert_eq!(billed, owed, "{}", month.name());
        }
    }

    /// A bill that is made again is the same, though the ledger has gone on.
    #[test]
    fn a_bill_is_made_again(life in life()) {
        let (bills, _) = billed_monthly(&life);
        let mut billed = Billed::new();
        for (pair, made) in months().windows(2).zip(&bills) {
            let mut then = life.clone();
            then.intervals.retain(|interval| interval.since <= pair[0].end);
            then.plans.truncate(then.intervals.len());
            for interval in &mut then.intervals {
                interval.until = interval.until.filter(|until| *until <= pair[0].end);
            }
            prop_assert_eq!(&bill(&then, pair, &billed), made);
            for line in made {
                *billed.entry((line.instance, line.month, line.item, line.interval)).or_default() += line.amount.minor;
            }
        }
    }

    /// Who is billed twice for the same time pays once.
    #[test]
    fn nothing_is_billed_twice(life in life()) {
        let (_, billed) = billed_monthly(&life);
        let last = &months()[3..];
        prop_assert_eq!(lines(&[life], last, &billed, last[0].end).unwrap(), []);
    }
}
