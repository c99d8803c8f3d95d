//! What is in force of an instance's policy, read with the bare tools from where it bites: so that a test
//! believes neither server nor agent.

use crate::cgroup::Domain;
use crate::customer::Instance;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::process::{Command, Stdio};
use uuid::Uuid;

pub struct InForce {
    pub domain: String,
    pub groups: Domain,
    pub tap: String,
    /// The device on which what the guest sends is shaped.
    pub ifb: String,
}

impl InForce {
    /// Of an instance whose guest runs, under an agent whose devices begin with `prefix`.
    pub fn of(prefix: &str, instance: &Instance) -> anyhow::Result<Self> {
        let id = Uuid::try_parse(instance.id.trim_start_matches("vm_"))?;
        let links = json("ip", &["-j", "link", "show"])?;
        let alias = format!("{prefix}:{id}:0");
        let tap = links
            .as_array()
            .into_iter()
            .flatten()
            .find(|link| {
                link["ifalias"] == alias && link["ifname"].as_str().is_some_and(|n| n.contains("-t"))
            })
            .and_then(|link| link["ifname"].as_str())
            .with_context(|| format!("{id} has no tap"))?;
        Ok(Self {
            domain: format!("jst-{id}"),
            groups: Domain::of(&instance.id)?,
            tap: tap.to_owned(),
            ifb: tap.replacen("-t", "-i", 1),
        })
    }

    /// What the balloon leaves the guest, in MiB.
    pub fn balloon(&self) -> anyhow::Result<u64> {
        balloon(&self.domain)
    }

    /// Rates of the bucket towards the guest, in kbit/s.
    pub fn inbound(&self) -> anyhow::Result<Option<Rates>> {
        rates(&self.tap)
    }

    /// Rates of the bucket from the guest, in kbit/s.
    pub fn outbound(&self) -> anyhow::Result<Option<Rates>> {
        rates(&self.ifb)
    }

    /// Limits of the disk by libvirt's names; 0 where there is none.
    pub fn disk(&self) -> anyhow::Result<HashMap<String, u64>> {
        let printed = virsh(&["blkdeviotune", &self.domain, "vda"])?;
        let pair = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().parse().ok()?))
        };
        Ok(printed.lines().filter_map(pair).collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub average: u64,
    pub peak: Option<u64>,
}

/// Rates of the token bucket at the root of a device, in kbit/s.  Read from what `tc` writes for people, because its
/// JSON keeps the peak to itself.
pub fn rates(device: &str) -> anyhow::Result<Option<Rates>> {
    let queues = run("tc", &["qdisc", "show", "dev", device])?;
    let Some(bucket) = queues.lines().find(|queue| queue.starts_with("qdisc tbf")) else { return Ok(None) };
    let words: Vec<&str> = bucket.split(' ').collect();
    let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    let average = after("rate").and_then(|text| kbit(text));
    let average = average.with_context(|| format!("a bucket without a rate: {bucket}"))?;
    let peak = match after("peakrate") {
        Some(text) => Some(kbit(text).with_context(|| format!("a peak that is no rate: {bucket}"))?),
        None => None,
    };
    Ok(Some(Rates { average, peak }))
}

/// A rate as `tc` writes it: `71829Kbit`.
fn kbit(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "bit" => Some(number / 1000),
        "Kbit" => Some(number),
        "Mbit" => Some(number * 1000),
        "Gbit" => Some(number * 1_000_000),
        _ => None,
    }
}

/// What the balloon leaves a domain, in MiB.
pub fn balloon(domain: &str) -> anyhow::Result<u64> {
    let printed = virsh(&["dommemstat", domain])?;
    let actual = printed.lines().find_map(|line| line.strip_prefix("actual "));
    Ok(actual.context("a running guest has a balloon")?.trim().parse::<u64>()? / 1024)
}

/// Runs `virsh` and gives what it prints.
pub fn virsh(arguments: &[&str]) -> anyhow::Result<String> {
    run("virsh", &[&["-q", "-c", "qemu:///system"], arguments].concat())
}

/// Runs a program and gives what it prints.
///
/// # Errors
/// It does not start, or fails; with what it said.
pub fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn json(program: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    serde_json::from_str(&run(program, arguments)?).with_context(|| format!("{program} prints JSON"))
}
