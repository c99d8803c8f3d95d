//! How long a guest's reads take, from its request to the answer, as QEMU counts them in a histogram.

use crate::in_force::virsh;
use anyhow::Context;
use serde_json::{Value, json};

/// 20 µs to 5 s in steps of 5 %, so that a quantile is at most that much too high.
fn boundaries() -> Vec<u64> {
    let mut boundaries = vec![20_000_u64];
    while let Some(last) = boundaries.last().filter(|last| **last < 5_000_000_000) {
        boundaries.push(last * 105 / 100);
    }
    boundaries
}

pub struct Latencies {
    /// In nanoseconds; a bin ends where its boundary is.
    boundaries: Vec<u64>,
    bins: Vec<u64>,
}

impl Latencies {
    /// Counts anew.
    pub fn begin(domain: &str) -> anyhow::Result<()> {
        let disk = disk(domain)?;
        let id = disk["qdev"].as_str().context("a disk has a device")?;
        let arguments = json!({ "id": id, "boundaries-read": boundaries() });
        monitor(domain, json!({ "execute": "block-latency-histogram-set", "arguments": arguments })).map(drop)
    }

    pub fn read(domain: &str) -> anyhow::Result<Self> {
        let histogram = &disk(domain)?["stats"]["rd_latency_histogram"];
        let numbers = |name: &str| -> anyhow::Result<Vec<u64>> {
            let list = histogram[name].as_array().context("QEMU counts latencies")?;
            Ok(list.iter().filter_map(Value::as_u64).collect())
        };
        Ok(Self { boundaries: numbers("boundaries")?, bins: numbers("bins")? })
    }

    pub fn count(&self) -> u64 {
        self.bins.iter().sum()
    }

    /// The latency in ms below which the given part of the reads lies, rounded up to the end of its bin.
    pub fn quantile(&self, part: f64) -> f64 {
        let rank = (part * self.count() as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.bins.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return self.boundaries.get(index).map_or(f64::INFINITY, |end| *end as f64 / 1e6);
            }
        }
        f64::INFINITY
    }
}

/// QEMU's figures of the root disk.
fn disk(domain: &str) -> anyhow::Result<Value> {
    let answer = monitor(domain, json!({ "execute": "query-blockstats" }))?;
    let disks = answer.as_array().context("a list of disks")?;
    let root = |disk: &&Value| disk["qdev"].as_str().is_some_and(|device| device.contains("virtio-disk0"));
    disks.iter().find(root).cloned().context("the root disk")
}

fn monitor(domain: &str, command: Value) -> anyhow::Result<Value> {
    let said = virsh(&["qemu-monitor-command", domain, &command.to_string()])?;
    let mut answer: Value = serde_json::from_str(&said)?;
    let returned = answer.get_mut("return").map(Value::take);
    returned.with_context(|| format!("QEMU answers {command}: {}", answer["error"]["desc"]))
}
