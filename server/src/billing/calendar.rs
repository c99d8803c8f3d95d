//! Calendar months in the operator's time zone.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A calendar month; times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    /// Its first day.
    pub first: Date,
    pub start: i64,
    /// The first second that belongs to the next month.
    pub end: i64,
}

impl Month {
    /// The month that begins with this day.
    pub fn of(first: Date, zone: &TimeZone) -> Result<Self, jiff::Error> {
        let first = first.first_of_month();
        let start = |day: Date| Ok::<_, jiff::Error>(day.to_zoned(zone.clone())?.timestamp().as_second());
        Ok(Self { first, start: start(first)?, end: start(first.checked_add(1.month())?)? })
    }

    pub fn containing(second: i64, zone: &TimeZone) -> Result<Self, jiff::Error> {
        let day = Timestamp::from_second(second)?.to_zoned(zone.clone()).date();
        Self::of(day, zone)
    }

    pub fn previous(&self, zone: &TimeZone) -> Result<Self, jiff::Error> {
        Self::of(self.first.checked_sub(1.month())?, zone)
    }

    pub fn next(&self, zone: &TimeZone) -> Result<Self, jiff::Error> {
        Self::of(self.first.checked_add(1.month())?, zone)
    }

    pub const fn seconds(&self) -> i64 {
        self.end - self.start
    }

    /// `2026-11`.
    pub fn name(&self) -> String {
        format!("{:04}-{:02}", self.first.year(), self.first.month())
    }

    /// Reads [`Month::name`].
    pub fn parse(name: &str) -> Option<Date> {
        let (year, month) = name.split_once('-')?;
        if year.len() != 4 || month.len() != 2 {
            return None;
        }
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        Date::new(year, month, 1).ok()
    }
}

/// As the database keeps it.
pub fn to_sql(day: Date) -> time::Date {
    let month = time::Month::try_from(day.month() as u8).expect("both have twelve months");
    time::Date::from_calendar_date(day.year().into(), month, day.day() as u8)
        .expect("both have the same days")
}

pub fn from_sql(day: time::Date) -> Date {
    date(day.year() as i16, u8::from(day.month()) as i8, day.day() as i8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_month_begins_at_midnight_where_the_operator_is() {
        let shanghai = TimeZone::get("Asia/Shanghai").unwrap();
        let month = Month::of(date(2026, 11, 1), &shanghai).unwrap();
        assert_eq!(Timestamp::from_second(month.start).unwrap().to_string(), "2026-10-31T16:00:00Z");
        assert_eq!(month.seconds(), 30 * 86_400);
        // Summer time ends in it: an hour more.
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(Month::of(date(2026, 10, 1), &berlin).unwrap().seconds(), 31 * 86_400 + 3600);
        assert_eq!(Month::parse("2026-11"), Some(date(2026, 11, 1)));
        for name in ["", "2026", "2026-13", "2026-1", "-026-11", "2026-11-01"] {
            assert_eq!(Month::parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn months_follow_each_other_without_a_gap(second in 0i64..4_000_000_000, zone in 0usize..4) {
            let zone = ["UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"][zone];
            let zone = TimeZone::get(zone).unwrap();
            let month = Month::containing(second, &zone).unwrap();
            prop_assert!((month.start..month.end).contains(&second));
            prop_assert_eq!(month.next(&zone).unwrap().start, month.end);
            prop_assert_eq!(month.previous(&zone).unwrap().end, month.start);
            prop_assert_eq!(from_sql(to_sql(month.first)), month.first);
            prop_assert_eq!(Month::parse(&month.name()), Some(month.first));
        }
    }
}
