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
    /// Upper bound of the value, or of the ratio to the peer where there is one.
    bound: Option<f64>,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.map(|peer| self.value / peer)
    }

    fn holds(&self) -> bool {
        self.bound.is_none_or(|bound| self.ratio().unwrap_or(self.value) <= bound)
    }
}

impl Report {
    pub fn add(&mut self, metric: impl Into<String>, value: f64, unit: &'static str, bound: Option<f64>) {
        self.rows.push(Row { metric: metric.into(), value, unit, peer: None, bound });
    }

    pub fn compare(
        &mut self,
        metric: impl Into<String>,
        value: f64,
        peer: f64,
        unit: &'static str,
        bound: Option<f64>,
    ) {
        self.rows.push(Row { metric: metric.into(), value, unit, peer: Some(peer), bound });
    }

    /// Prints the table, writes `target/bench/NAME.json`, and says whether every bound holds.
    pub fn finish(&self, name: &str) -> anyhow::Result<bool> {
        println!(
            "{:<44} {:>10} {:>6} {:>10} {:>7} {:>7}",
            "metric", "value", "unit", "peer", "ratio", "bound"
        );
        for row in &self.rows {
            let number = |value: Option<f64>| value.map_or(String::from("-"), |value| format!("{value:.2}"));
            println!(
                "{:<44} {:>10.2} {:>6} {:>10} {:>7} {:>7} {}",
                row.metric,
                row.value,
                row.unit,
                number(row.peer),
                number(row.ratio()),
                number(row.bound),
                if row.holds() { "" } else { "MISSED" }
            );
        }
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({ "metric": row.metric, "value": row.value, "unit": row.unit, "peer": row.peer,
                    "ratio": row.ratio(), "bound": row.bound, "ok": row.holds() })
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
