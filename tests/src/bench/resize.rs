//! From the call that changes a limit to its effect, where it bites; beside the bare command on a guest
//! of which the platform knows nothing.

use super::bounds;
use super::report::{Report, quantile};
use crate::Api;
use crate::customer::{Instance, text};
use crate::guest::{self, Bare};
use crate::in_force::{self, InForce, Rates, run as command, virsh};
use crate::stack::{Guests, Stack};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};

const CHANGES: usize = 100;
const SIZE: u64 = 512;

pub async fn run() -> anyhow::Result<Report> {
    println!("this takes about eight minutes");
    let image = guest::micro_image();
    let stack = Stack::start(Guests::Real).await;
    stack.furnish(Some(&image)).await;
    let customer = stack.customer("bench@example.com").await;
    stack.let_buy("bench@example.com").await;
    let key = guest::Key::generate(stack.directory.path());
    let instance = stack.create_instance(&customer, "bench", "large", &[&key.public]).await;
    stack.reach(&customer, &instance, &key, "true", Duration::from_secs(120)).await;
    let bare = Bare::start(&stack.prefix, &image, &key, stack.directory.path()).await?;
    let bench =
        Bench { in_force: InForce::of(&stack.prefix, &instance)?, stack: &stack, key, instance, bare };
    let mut report = Report::default();
    let measured = bench.measure(&customer, &mut report).await;
    bench.bare.remove().await;
    measured?;
    stack.stop().await;
    Ok(report)
}

struct Bench<'a> {
    stack: &'a Stack,
    key: guest::Key,
    instance: Instance,
    in_force: InForce,
    bare: Bare,
}

impl Bench<'_> {
    async fn measure(&self, customer: &Api, report: &mut Report) -> anyhow::Result<()> {
        let policy = self.policy().await;
        let seen = Seen::follow(&self.key, &self.instance.address)?;
        let bare_seen = Seen::follow(&self.key, guest::ADDRESS)?;
        let bare = crate::cgroup::Domain::of_domain(&self.bare.name)?;
        let (domain, tap) = (self.bare.name.as_str(), self.bare.tap.as_str());

        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for number in 0..CHANGES {
            let quota = [30_000, 60_000][number % 2];
            let wanted = with(&policy, "/cpu/limit", json!(quota / 100));
            let there = || Ok(self.in_force.groups.quota()? == Some(quota));
            ours.push(self.change(customer, wanted, there).await?);
            let setting = format!("global_quota={quota}");
            let begun = Instant::now();
            virsh(&["schedinfo", domain, "--live", "--set", &setting])?;
            theirs.push(until(begun, || Ok(bare.quota()? == Some(quota))).await?);
        }
        add(report, "CPU limit", &mut ours, &mut theirs, bounds::CPU_CHANGE_MS);
        // What follows is not held back by it.
        self.change(customer, policy.clone(), || Ok(true)).await?;
        virsh(&["schedinfo", domain, "--live", "--set", "global_quota=-1"])?;

        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for number in 0..CHANGES {
            let average = [20_000, 40_000][number % 2];
            let rates = Some(Rates { average, peak: None });
            let wanted = with(&policy, "/network/inbound/average", json!(average));
            ours.push(self.change(customer, wanted, || Ok(self.in_force.inbound()? == rates)).await?);
            let rate = format!("{average}kbit");
            let begun = Instant::now();
            let bucket = ["tbf", "rate", &rate, "burst", "65536", "limit", "262144"];
            command(
                "tc",
                &[&["qdisc", "replace", "dev", tap, "root", "handle", "1:"][..], &bucket].concat(),
            )?;
            theirs.push(until(begun, || Ok(in_force::rates(tap)? == rates)).await?);
        }
        add(report, "network limit", &mut ours, &mut theirs, bounds::NETWORK_CHANGE_MS);

        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for number in 0..CHANGES {
            let target = [SIZE * 5 / 8, SIZE * 7 / 8][number % 2];
            let wanted = with(&policy, "/memory/limit", json!(target));
            let near = |left: u64| left.abs_diff(target) * 20 <= target;
            ours.push(self.change(customer, wanted, || Ok(near(self.in_force.balloon()?))).await?);
            // The bare guest has half as much.
            let near = |left: u64| left.abs_diff(target / 2) * 20 <= target / 2;
            let begun = Instant::now();
            virsh(&["setmem", domain, "--live", &format!("{}M", target / 2)])?;
            theirs.push(until(begun, || Ok(near(in_force::balloon(domain)?))).await?);
        }
        add(report, "balloon within 5 %", &mut ours, &mut theirs, bounds::BALLOON_CHANGE_MS);

        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for number in 1..=CHANGES as u64 {
            let (mib, bare_mib) = (1024 + number * 2, 512 + number * 2);
            let wanted = with(&policy, "/disk/size", json!(mib));
            ours.push(self.change(customer, wanted, || Ok(seen.mib() == mib)).await?);
            let begun = Instant::now();
            virsh(&["blockresize", domain, "vda", &format!("{bare_mib}M")])?;
            theirs.push(until(begun, || Ok(bare_seen.mib() == bare_mib)).await?);
        }
        add(report, "disk, seen by the guest", &mut ours, &mut theirs, bounds::DISK_CHANGE_MS);
        Ok(())
    }

    async fn policy(&self) -> Value {
        let path = format!("/api/v1/admin/instances/{}", self.instance.id);
        self.stack.admin().get(&path).await.expect(200).json()["policy"].clone()
    }

    /// Asks for a policy, and gives the milliseconds until it is in force.  Returns when the operation has
    /// ended.
    async fn change(
        &self,
        customer: &Api,
        policy: Value,
        there: impl Fn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<f64> {
        let path = format!("/api/v1/admin/instances/{}/policy", self.instance.id);
        let begun = Instant::now();
        let accepted = self.stack.admin().put(&path, json!({ "policy": policy })).await.expect(202).json();
        let milliseconds = until(begun, there).await?;
        let operation = self.stack.wait_for_operation(customer, text(&accepted["operation_id"])).await;
        ensure!(operation["state"] == "succeeded", "{operation}");
        ensure!(operation["restart_required"] == json!([]), "{operation}");
        Ok(milliseconds)
    }
}

/// The same document with another value in one place.
fn with(policy: &Value, pointer: &str, value: Value) -> Value {
    let mut policy = policy.clone();
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    policy.pointer_mut(parent).expect("the policy has this part")[field] = value;
    policy
}

/// Milliseconds since `begun` until it is there, looking as often as reading allows.
async fn until(begun: Instant, there: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<f64> {
    while !there()? {
        ensure!(begun.elapsed() < Duration::from_secs(30), "a change did not come into force within 30 s");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

fn add(report: &mut Report, what: &str, ours: &mut [f64], theirs: &mut [f64], bound: f64) {
    for (name, part, bound) in [("p50", 0.5, Some(bound)), ("p99", 0.99, Some(bound))] {
        let (ours, theirs) = (quantile(ours, part), quantile(theirs, part));
        report.beside(format!("{what}: call to effect, {name}"), ours, Some(theirs), "ms", bound);
    }
}

/// The size of its disk as the guest says it, again and again.
struct Seen {
    sectors: Arc<AtomicU64>,
    _guest: tokio::process::Child,
}

impl Seen {
    fn follow(key: &guest::Key, address: &str) -> anyhow::Result<Self> {
        // The shell's own reading, for a program to start costs an emulated guest more than all else.
        let watch = "while read -r size </sys/block/vda/size; do echo $size; sleep 0.05; done";
        let mut guest = key.ssh(address, watch).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(guest.stdout.take().context("a pipe")?).lines();
        let sectors = Arc::new(AtomicU64::new(0));
        let last = sectors.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                last.store(line.trim().parse().unwrap_or(0), Ordering::Relaxed);
            }
        });
        Ok(Self { sectors, _guest: guest })
    }

    fn mib(&self) -> u64 {
        self.sectors.load(Ordering::Relaxed) / 2048
    }
}
