//! The table and the JSON of a benchmark.

use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

struct Row {
    metric: String,
    value: f64,
    unit: &'static str,
    /// The same figure of the bare tool in the same run.
    peer: Option<f64>,
    bound: Option<Bound>,
}

#[derive(Clone, Copy)]
enum Bound {
    Value(f64),
    Ratio(f64),
}

impl Bound {
    const fn figure(self) -> f64 {
        match self {
            Self::Value(figure) | Self::Ratio(figure) => figure,
        }
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.map(|peer| self.value / peer)
    }

    fn holds(&self) -> bool {
        match self.bound {
            None => true,
            Some(Bound::Value(bound)) => self.value <= bound,
            Some(Bound::Ratio(bound)) => self.ratio().is_some_and(|ratio| ratio <= bound),
        }
    }
}

impl Report {
    pub fn add(&mut self, metric: impl Into<String>, value: f64, unit: &'static str, bound: Option<f64>) {
        self.beside(metric, value, None, unit, bound);
    }

    /// The bound is of the value; the peer stands beside it to be compared by the reader.
    pub fn beside(
        &mut self,
        metric: impl Into<String>,
        value: f64,
        peer: Option<f64>,
        unit: &'static str,
        bound: Option<f64>,
    ) {
        let bound = bound.map(Bound::Value);
        self.rows.push(Row { metric: metric.into(), value, unit, peer, bound });
    }

    /// The bound is of the ratio to the peer.
    pub fn compare(
        &mut self,
        metric: impl Into<String>,
        value: f64,
        peer: f64,
        unit: &'static str,
        bound: Option<f64>,
    ) {
        let bound = bound.map(Bound::Ratio);
        self.rows.push(Row { metric: metric.into(), value, unit, peer: Some(peer), bound });
    }

    /// Prints the table, writes `target/bench/NAME.json`, and says whether every bound holds.
    pub fn finish(&self, name: &str) -> anyhow::Result<bool> {
        println!(
            "{:<54} {:>10} {:>6} {:>10} {:>7} {:>7}",
            "metric", "value", "unit", "peer", "ratio", "bound"
        );
        for row in &self.rows {
            let number = |value: Option<f64>| value.map_or(String::from("-"), |value| format!("{value:.3}"));
            println!(
                "{:<54} {:>10.3} {:>6} {:>10} {:>7} {:>7} {}",
                row.metric,
                row.value,
                row.unit,
                number(row.peer),
                number(row.ratio()),
                row.bound.map_or(String::from("-"), |bound| format!("{}", bound.figure())),
                if row.holds() { "" } else { "MISSED" }
            );
        }
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({ "metric": row.metric, "value": row.value, "unit": row.unit, "peer": row.peer,
                    "ratio": row.ratio(), "bound": row.bound.map(Bound::figure), "ok": row.holds() })
            })
            .collect();
        let folder = PathBuf::from("target/bench");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{name}.json")), serde_json::to_string_pretty(&rows)? + "\n")?;
        Ok(self.rows.iter().all(Row::holds))
    }
}

/// The value below which the given part of the samples lies (nearest rank).
pub fn quantile(samples: &mut [f64], part: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let rank = (part * samples.len() as f64).ceil() as usize;
    samples[rank.clamp(1, samples.len()) - 1]
}
