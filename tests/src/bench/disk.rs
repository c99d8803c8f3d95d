//! Limits and shares of the disk, with real guests on a disk of the benchmark's own under bfq; beside each figure
//! the same throttle set by hand, plain control groups with the same weights, or another scheduler.
//!
//! Bytes and latencies are those that QEMU counts, by the host's clock: emulated clocks may run several
//! times too fast.

mod latency;
mod peers;

use super::bounds;
use super::report::Report;
use crate::cgroup::Domain;
use crate::customer::Instance;
use crate::disk::Disk;
use crate::in_force::virsh;
use crate::stack::{Guests, Host, Stack};
use crate::{Api, eventually, guest};
use anyhow::{Context, ensure};
use latency::Latencies;
use peers::Readers;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long throughput is measured, and latency: long enough for some thousand requests.
const WINDOW: Duration = Duration::from_secs(20);
const LATENCY_WINDOW: Duration = Duration::from_secs(45);
/// What the capped plan sells, in bytes a second.
const CAP: u64 = 20_000_000;
/// What the slow disk carries, in bytes a second: less than two emulated guests can ask for.
const SLOW_DISK: u64 = 100_000_000;

/// Loads of a guest, for as long as there is a file that says so.  Busy ones keep four requests of a MiB in flight,
/// so that it is the disk they wait for, and not the disk for them.
const READ: &str = "for at in 0 40 80 120; do while [ -e /tmp/busy ]; do \
                    dd if=/data of=/dev/null bs=1M skip=$at count=40 iflag=direct; done & done";
const WRITE: &str = "for at in 0 40 80 120; do while [ -e /tmp/busy ]; do \
                     dd if=/dev/zero of=/data bs=1M seek=$at count=40 conv=notrunc oflag=direct; done & done";
/// A few small reads now and then, anywhere in the file.
const QUIET: &str = "while [ -e /tmp/busy ]; do \
                     dd if=/data of=/dev/null bs=4k count=8 skip=$((RANDOM * 40000 / 32768)) iflag=direct; \
                     usleep 50000; done";

pub async fn run() -> anyhow::Result<Report> {
    println!("this takes about ten minutes");
    let mut report = Report::default();
    // Shares matter where the disk is what everybody waits for, and emulated guests are too slow for a fast one.
    let bench = Bench::open(Disk::slow(2 * 1024, "bfq", SLOW_DISK)?).await?;
    bench.shares(&mut report).await?;
    bench.stack.stop().await;
    // On a slow one a single large request of a neighbour takes longer than a small one of one's own may.
    let mut bench = Bench::open(Disk::make(2 * 1024, "bfq")?).await?;
    bench.neighbours(&mut report).await?;
    bench.caps(&mut report).await?;
    bench.stack.stop().await;
    Ok(report)
}

struct Bench {
    // Before the disk, so that guests are gone when it is taken away.
    stack: Stack,
    disk: Disk,
    customer: Api,
    key: Arc<guest::Key>,
}

impl Bench {
    async fn open(disk: Disk) -> anyhow::Result<Self> {
        let host = Host { storage_dir: Some(disk.path()), ..Host::default() };
        let stack = Stack::start_on(Guests::Real, host).await;
        stack.furnish(Some(&guest::micro_image())).await;
        let cap = json!({ "throughput": { "average": CAP } });
        for (slug, disk) in [
            ("capped", json!({ "size": 512, "read": cap, "write": cap })),
            ("low", json!({ "size": 512, "shares": "low" })),
            ("normal", json!({ "size": 512, "shares": "normal" })),
        ] {
            let policy =
                json!({ "cpu": { "vcpus": 1 }, "memory": { "size": 256 }, "disk": disk, "network": {} });
            stack.add_plan(slug, policy).await;
        }
        let customer = stack.customer("bench@example.com").await;
        stack.let_buy("bench@example.com").await;
        let key = Arc::new(guest::Key::generate(stack.directory.path()));
        Ok(Self { stack, disk, customer, key })
    }

    /// Two busy guests, one with twice the weight.
    async fn shares(&self, report: &mut Report) -> anyhow::Result<()> {
        let (low, normal) = (self.create("low", "low").await?, self.create("normal", "normal").await?);
        let weights = [low.weight()?, normal.weight()?];
        println!("weights {weights:?}");
        for guest in [&low, &normal] {
            self.start(guest, READ).await;
        }
        let ours = self.rates(&[&low, &normal]).await?;
        for guest in [&low, &normal] {
            self.stop(guest).await;
        }
        let readers = Readers::make(&self.disk.path(), &weights)?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let theirs = window(|| readers.bytes()).await?;
        drop(readers);
        println!("guests {ours:.0?} bytes/s, plain readers {theirs:.0?} bytes/s");
        let wanted = weights[1] as f64 / weights[0] as f64;
        let error = |rates: &[f64]| (rates[1] / rates[0] / wanted - 1.0).abs() * 100.0;
        report.beside(
            "error of shares 1:2, both reading",
            error(&ours),
            Some(error(&theirs)),
            "%",
            Some(bounds::DISK_SHARES_PERCENT),
        );
        self.remove([low, normal]).await;
        Ok(())
    }

    /// A guest that reads a little beside one that reads, and then writes, as fast as it can.
    async fn neighbours(&self, report: &mut Report) -> anyhow::Result<()> {
        let (quiet, noisy) = (self.create("quiet", "normal").await?, self.create("noisy", "normal").await?);
        self.start(&quiet, QUIET).await;
        for scheduler in ["bfq", "none"] {
            self.disk.set_scheduler(scheduler)?;
            let alone = self.latencies(&quiet, &format!("alone under {scheduler}")).await?;
            for (load, what) in [(READ, "reads"), (WRITE, "writes")] {
                self.start(&noisy, load).await;
                let beside = self.latencies(&quiet, &format!("beside {what} under {scheduler}")).await?;
                self.stop(&noisy).await;
                let bound = (scheduler == "bfq").then_some(bounds::DISK_NEIGHBOUR_RATIO);
                let metric = format!("p99 of a quiet guest beside {what}, and alone, {scheduler}");
                report.compare(metric, beside.quantile(0.99), alone.quantile(0.99), "ms", bound);
            }
        }
        self.disk.set_scheduler("bfq")?;
        self.remove([quiet, noisy]).await;
        Ok(())
    }

    /// A guest of a plan with a limit, and one that was limited by hand.
    async fn caps(&mut self, report: &mut Report) -> anyhow::Result<()> {
        let (ours, theirs) =
            (self.create("capped", "capped").await?, self.create("by-hand", "normal").await?);
        // It would take the other's limit away again.
        self.stack.kill_agent();
        let cap = CAP.to_string();
        let limits = ["--live", "--read-bytes-sec", &cap, "--write-bytes-sec", &cap];
        virsh(&[&["blkdeviotune", &theirs.name, "vda"][..], &limits].concat())?;
        for (load, what) in [(READ, "reads"), (WRITE, "writes")] {
            let mut errors = Vec::new();
            for guest in [&ours, &theirs] {
                self.start(guest, load).await;
                let rate = self.rates(&[guest]).await?[0];
                println!("{what} {rate:.0} bytes/s of {CAP}");
                errors.push((rate / CAP as f64 - 1.0).abs() * 100.0);
                self.stop(guest).await;
            }
            let metric = format!("error of a limit of 20 MB/s, {what}");
            report.beside(metric, errors[0], Some(errors[1]), "%", Some(bounds::DISK_LIMIT_PERCENT));
        }
        self.stack.start_agent();
        self.remove([ours, theirs]).await;
        Ok(())
    }

    /// A guest with a file to work on, all of which is on the disk.
    async fn create(&self, name: &str, plan: &str) -> anyhow::Result<Subject> {
        let instance = self.stack.create_instance(&self.customer, name, plan, &[&self.key.public]).await;
        self.stack.reach(&self.customer, &instance, &self.key, "true", Duration::from_secs(240)).await;
        let fill = "[ -e /filled ] || { dd if=/dev/zero of=/data bs=1M count=160 oflag=direct && sync && touch /filled; }";
        eventually("its file is written", Duration::from_secs(120), || self.key.run(&instance.address, fill))
            .await;
        let id = uuid::Uuid::try_parse(instance.id.trim_start_matches("vm_"))?;
        Ok(Subject { name: format!("jst-{id}"), group: Domain::of(&instance.id)?, instance })
    }

    async fn remove(&self, subjects: [Subject; 2]) {
        for subject in subjects {
            self.stack.delete_now(&self.customer, &subject.instance.id).await;
        }
    }

    /// Told again, because the answer was late, a guest does not do it twice.
    async fn start(&self, subject: &Subject, load: &str) {
        let command = format!(
            "[ -e /tmp/busy ] || {{ sh -c 'echo $$ >/tmp/busy; {load}' >/dev/null 2>&1 </dev/null & }}"
        );
        self.tell(subject, &command).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    }

    async fn stop(&self, subject: &Subject) {
        self.tell(
            subject,
            "[ ! -e /tmp/busy ] || { kill $(cat /tmp/busy); killall dd; rm /tmp/busy; }; true",
        )
        .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    async fn tell(&self, subject: &Subject, command: &str) {
        let what = format!("{} does as it is told", subject.name);
        let address = &subject.instance.address;
        eventually(&what, Duration::from_secs(90), || self.key.run(address, command)).await;
    }

    /// Bytes a second that each reads and writes.
    async fn rates(&self, subjects: &[&Subject]) -> anyhow::Result<Vec<f64>> {
        window(|| subjects.iter().map(|subject| subject.bytes()).collect()).await
    }

    async fn latencies(&self, subject: &Subject, what: &str) -> anyhow::Result<Latencies> {
        Latencies::begin(&subject.name)?;
        tokio::time::sleep(LATENCY_WINDOW).await;
        let latencies = Latencies::read(&subject.name)?;
        let [p50, p99] = [0.5, 0.99].map(|part| latencies.quantile(part));
        println!("quiet, {what}: p50 {p50:.2} ms, p99 {p99:.2} ms of {} reads", latencies.count());
        ensure!(latencies.count() >= 500, "the quiet guest read too little for a p99");
        Ok(latencies)
    }
}

struct Subject {
    instance: Instance,
    /// Of its domain.
    name: String,
    group: Domain,
}

impl Subject {
    fn weight(&self) -> anyhow::Result<u64> {
        self.group.disk_weight()
    }

    fn bytes(&self) -> anyhow::Result<f64> {
        let said = virsh(&["domblkstat", &self.name, "vda"])?;
        let figure = |name: &str| -> anyhow::Result<f64> {
            let line = said.lines().find_map(|line| line.split_once(name)).context("QEMU counts bytes")?;
            Ok(line.1.trim().parse()?)
        };
        Ok(figure(" rd_bytes ")? + figure(" wr_bytes ")?)
    }
}

/// What each figure grew by in a second.
async fn window(read: impl Fn() -> anyhow::Result<Vec<f64>>) -> anyhow::Result<Vec<f64>> {
    let (before, begun) = (read()?, Instant::now());
    tokio::time::sleep(WINDOW).await;
    let (after, seconds) = (read()?, begun.elapsed().as_secs_f64());
    Ok(before.iter().zip(&after).map(|(before, after)| (after - before) / seconds).collect())
}
