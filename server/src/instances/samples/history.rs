//! What is shown of a time: rows of any step, folded into steps of equal length.

use super::figure::{Figure, Figures};
use crate::error::Error;
use std::str::FromStr;

/// A time up to now, as people choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    Hour,
    Day,
    Week,
    Month,
}

/// From when on rows of each step are read, each up to where the next finer one begins; Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub two_hours: i64,
    pub ten_minutes: i64,
    pub minutes: i64,
}

impl Range {
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// How long it is, in seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 31 * 86_400,
        }
    }

    /// Seconds between two points, so that there are 60 to 400 of them.  Steps lie on multiples of it since
    /// the epoch, as the rows do.
    pub const fn step(self) -> i64 {
        match self {
            Self::Hour => 60,
            Self::Day => 600,
            Self::Week => 1800,
            Self::Month => 7200,
        }
    }

    /// When the first step begins.  The last one is not over yet.
    fn first(self, now: i64) -> i64 {
        (now.div_euclid(self.step()) + 1) * self.step() - self.seconds()
    }

    /// Where to read, when rows of ten minutes and two hours are made up to these times: the coarsest that are
    /// fine enough, and finer ones for what has not been rolled up yet.
    pub fn parts(self, now: i64, ten_minutes_until: i64, two_hours_until: i64) -> Parts {
        let first = self.first(now);
        let rolled = |until: i64| until.max(first);
        match self {
            Self::Hour | Self::Day => Parts { two_hours: first, ten_minutes: first, minutes: first },
            Self::Week => Parts { two_hours: first, ten_minutes: first, minutes: rolled(ten_minutes_until) },
            Self::Month => Parts {
                two_hours: first,
                ten_minutes: rolled(two_hours_until),
                minutes: rolled(ten_minutes_until).max(rolled(two_hours_until)),
            },
        }
    }
}

impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|range| range.name() == text)
            .ok_or_else(|| Error::invalid("range", "choice"))
    }
}

/// A row of the store.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// When its step begins, in Unix seconds.
    pub at: i64,
    /// The weight in an average.
    pub seconds: i32,
    pub average: Figures,
    /// The highest sample; absent where the row is one.
    pub most: Figures,
}

/// One figure over the whole time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub lowest: f32,
    pub average: f32,
    /// Of the samples, and not of the averages that are shown.
    pub highest: f32,
    pub latest: f32,
}

#[derive(Clone, Debug, Default)]
pub struct Series {
    /// One value a step; absent: nothing is known, and there is no line.
    pub average: Vec<Option<f32>>,
    pub highest: Vec<Option<f32>>,
    pub summary: Option<Summary>,
}

pub struct History {
    pub range: Range,
    /// When each step begins, in Unix seconds.
    pub timestamps: Vec<i64>,
    series: Vec<Series>,
}

impl History {
    pub fn of(&self, figure: Figure) -> &Series {
        &self.series[figure as usize]
    }

    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.summary.is_none())
    }
}

/// Sums of one figure in one step, or in all.
#[derive(Clone, Copy, Default)]
struct Heap {
    seconds: f64,
    weighted: f64,
    highest: Option<f32>,
}

impl Heap {
    fn add(&mut self, row: &Row, figure: Figure) {
        let Some(average) = row.average[figure] else { return };
        let seconds = f64::from(row.seconds.max(1));
        self.seconds += seconds;
        self.weighted += f64::from(average) * seconds;
        let most = row.most[figure].unwrap_or(average);
        self.highest = Some(self.highest.map_or(most, |highest| highest.max(most)));
    }

    fn average(&self) -> Option<f32> {
        (self.seconds > 0.0).then(|| (self.weighted / self.seconds) as f32)
    }
}

/// Folds rows into the steps of a range that ends now.  Rows from outside of it are left out.
pub fn fold(range: Range, now: i64, rows: &[Row]) -> History {
    let (first, step) = (range.first(now), range.step());
    let timestamps: Vec<i64> = (0..range.seconds() / step).map(|index| first + index * step).collect();
    let place = |row: &Row| {
        usize::try_from((row.at - first).div_euclid(step)).ok().filter(|at| *at < timestamps.len())
    };
    let series = Figure::ALL
        .into_iter()
        .map(|figure| {
            let mut whole = Heap::default();
            let mut steps = vec![Heap::default(); timestamps.len()];
            for row in rows {
                if let Some(at) = place(row) {
                    steps[at].add(row, figure);
                    whole.add(row, figure);
                }
            }
            series(&steps, &whole)
        })
        .collect();
    History { range, timestamps, series }
}

fn series(steps: &[Heap], whole: &Heap) -> Series {
    let average: Vec<Option<f32>> = steps.iter().map(Heap::average).collect();
    let known = || average.iter().copied().flatten();
    let summary = whole.average().zip(whole.highest).zip(known().last()).map(|((mean, highest), latest)| {
        Summary { lowest: known().fold(f32::INFINITY, f32::min), average: mean, highest, latest }
    });
    Series { highest: steps.iter().map(|step| step.highest).collect(), summary, average }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn row(at: i64, seconds: i32, average: f32, most: Option<f32>) -> Row {
        let figures = |value: Option<f32>| {
            let mut figures = Figures::default();
            figures[Figure::CpuUsed] = value;
            figures
        };
        Row { at, seconds, average: figures(Some(average)), most: figures(most) }
    }

    #[test]
    fn every_range_ends_now_and_has_its_length() {
        for range in Range::ALL {
            let history = fold(range, NOW, &[]);
            let (first, last) = (history.timestamps[0], *history.timestamps.last().unwrap());
            assert!(last <= NOW && NOW < last + range.step(), "{range:?}");
            assert_eq!(last + range.step() - first, range.seconds(), "{range:?}");
            assert!((60..=400).contains(&history.timestamps.len()), "{range:?}");
            assert!(first % range.step() == 0 && history.is_empty());
            assert_eq!(range.name().parse::<Range>().unwrap(), range);
        }
        assert!("year".parse::<Range>().is_err() && "".parse::<Range>().is_err());
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let step = NOW.div_euclid(60) * 60;
        let history =
            fold(Range::Hour, NOW, &[row(step - 180, 60, 10.0, None), row(step - 60, 60, 30.0, None)]);
        let values = &history.of(Figure::CpuUsed).average;
        assert_eq!(values[56..], [Some(10.0), None, Some(30.0), None]);
        assert_eq!(
            history.of(Figure::CpuUsed).summary,
            Some(Summary { lowest: 10.0, average: 20.0, highest: 30.0, latest: 30.0 })
        );
        assert!(history.of(Figure::CpuStolen).summary.is_none() && !history.is_empty());
    }

    #[test]
    fn rows_weigh_what_they_last_and_peaks_survive() {
        let step = NOW.div_euclid(600) * 600;
        let rows = [row(step, 30, 100.0, None), row(step + 60, 90, 20.0, Some(500.0))];
        let series = fold(Range::Day, NOW, &rows).of(Figure::CpuUsed).clone();
        assert_eq!(series.average.last(), Some(&Some(40.0)));
        assert_eq!(series.highest.last(), Some(&Some(500.0)));
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let (before, after) = (row(NOW - 3700, 60, 1.0, None), row(NOW + 600, 60, 1.0, None));
        assert!(fold(Range::Hour, NOW, &[before, after]).is_empty());
    }

    #[test]
    fn the_newest_is_read_from_finer_rows() {
        let first = Range::Month.first(NOW);
        let parts = Range::Month.parts(NOW, NOW - 700, NOW - 9000);
        assert_eq!(parts, Parts { two_hours: first, ten_minutes: NOW - 9000, minutes: NOW - 700 });
        // Nothing was rolled up for longer than the range: everything comes from the finest rows.
        let parts = Range::Week.parts(NOW, 0, 0);
        assert_eq!((parts.minutes, parts.ten_minutes), (Range::Week.first(NOW), Range::Week.first(NOW)));
        let parts = Range::Day.parts(NOW, NOW, NOW);
        assert_eq!(parts.minutes, Range::Day.first(NOW));
        // Each part begins where the coarser one ends.
        for range in Range::ALL {
            let Parts { two_hours, ten_minutes, minutes } = range.parts(NOW, NOW - 900, NOW - 600);
            assert!(two_hours <= ten_minutes && ten_minutes <= minutes, "{range:?}");
        }
    }
}
