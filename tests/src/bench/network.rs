//! Rates, bursts, reservations and shares of the network, with real traffic.
//!
//! The agent's own tests make hosts and guests of network namespaces; this runs the long one of them and
//! holds its figures against the bounds.  The guests' side of the wire is theirs alone, so it would be
//! no gain to build it a second time here.

use super::bounds;
use super::report::Report;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::process::Stdio;
use tokio::process::Command;

pub async fn run() -> anyhow::Result<Report> {
    println!("this takes about five minutes");
    // The whole workspace, so that no dependency is built again with other features.
    let test = ["network::netns::traffic::bench::figures", "--exact", "--ignored", "--nocapture"];
    let output = Command::new("cargo")
        .args(["test", "--quiet", "--locked", "--workspace", "--lib", "--"])
        .args(test)
        .env("SQLX_OFFLINE", "true")
        .stdin(Stdio::null())
        .output()
        .await
        .context("cargo does not start")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    // The reason of a failed test stands on either, of a failed build on the second.
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the measurement failed ({}):\n{printed}{said}", output.status);
    let mut report = Report::default();
    for line in printed.lines().filter_map(|line| Some(line.split_once("BENCH ")?.1)) {
        let figure: Value = serde_json::from_str(line)?;
        let metric = figure["metric"].as_str().context("a figure has a name")?;
        let value = figure["value"].as_f64().with_context(|| format!("{metric} has no value"))?;
        let unit = unit(figure["unit"].as_str().unwrap_or_default());
        let bound = bound(metric).with_context(|| format!("no bound is known of: {metric}"))?;
        report.beside(metric, value, figure["peer"].as_f64(), unit, Some(bound));
    }
    Ok(report)
}

fn bound(metric: &str) -> Option<f64> {
    [
        ("error at ", bounds::NETWORK_ERROR_PERCENT),
        ("error of the long-run average", bounds::NETWORK_ERROR_PERCENT),
        ("fastest second", bounds::NETWORK_PEAK_PERCENT),
        ("error of a burst", bounds::NETWORK_BURST_PERCENT),
        ("worst error of shares", bounds::NETWORK_DIVISION_PERCENT),
        ("error of a reservation", bounds::NETWORK_DIVISION_PERCENT),
        ("1 - Jain's index", bounds::NETWORK_UNFAIRNESS),
        ("until an idle share", bounds::NETWORK_REUSE_SECONDS),
        ("change to read back", bounds::NETWORK_CHANGE_MS),
    ]
    .into_iter()
    .find_map(|(begin, bound)| metric.starts_with(begin).then_some(bound))
}

fn unit(unit: &str) -> &'static str {
    ["%", "s", "ms"].into_iter().find(|known| *known == unit).unwrap_or_default()
}
