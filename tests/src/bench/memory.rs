//! Guests that together were sold half again what they may occupy, one after another busy.
//!
//! Each fills its page cache from its disk first, so that all of them are large and idle: what a busy one needs
//! has to come from the others.  The peer of the time that it takes is the same work in a guest that
//! was left everything.

use super::bounds;
use super::report::Report;
use crate::customer::Instance;
use crate::in_force::{InForce, balloon};
use crate::stack::{Guests, Host, Stack};
use crate::{Api, eventually, guest};
use anyhow::{Context, ensure};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What all guests together have of memory, in MiB.
const POOL: u64 = 3072;
/// What an emulator keeps beside each guest's memory, in MiB: 64 of translations of its code, and its own.  With KVM
/// there are none of the former, and this is too generous.
const EMULATOR: u64 = 130;
const GUESTS: usize = 6;
const SIZE: u64 = 768;
const RESERVATION: u64 = 128;
/// What a busy guest holds in its memory, in MiB.
const WORK: u64 = 500;

pub async fn run() -> anyhow::Result<Report> {
    println!("this takes about four minutes");
    let host = Host { guest_memory_mib: Some(POOL + GUESTS as u64 * EMULATOR), ..Host::default() };
    let stack = Stack::start_on(Guests::Real, host).await;
    let bench = Bench::open(&stack).await?;
    let mut report = Report::default();
    bench.measure(&mut report).await?;
    stack.stop().await;
    Ok(report)
}

struct Bench<'a> {
    stack: &'a Stack,
    customer: Api,
    key: Arc<guest::Key>,
}

struct Subject {
    instance: Instance,
    in_force: InForce,
    /// The guest's process.
    pid: u32,
}

/// The worst of what was seen while the guests worked.
#[derive(Debug)]
struct Seen {
    samples: usize,
    /// Least that any balloon left.
    least: u64,
    /// Most that all processes together occupied.
    occupied: u64,
}

impl<'a> Bench<'a> {
    async fn open(stack: &'a Stack) -> anyhow::Result<Self> {
        stack.furnish(Some(&guest::micro_image())).await;
        let admin = stack.admin();
        // A reserve of 256 MiB: memory is taken back below 128 MiB available.
        let settings = json!({ "system_memory_mib": 256, "overcommit_memory_permille": 2000, "overcommit_cpu_permille": 20_000 });
        admin.patch(&format!("/api/v1/admin/hosts/{}", stack.host_id), settings).await.expect(200);
        let policy = json!({ "cpu": { "vcpus": 1 }, "memory": { "size": SIZE, "reservation": RESERVATION },
            "disk": { "size": 1024 }, "network": {} });
        stack.add_plan("lender", policy).await;
        let customer = stack.customer("bench@example.com").await;
        stack.let_buy("bench@example.com").await;
        let key = Arc::new(guest::Key::generate(stack.directory.path()));
        Ok(Self { stack, customer, key })
    }

    async fn measure(&self, report: &mut Report) -> anyhow::Result<()> {
        let killed = oom_kills()?;
        let mut subjects = vec![self.create(0).await?];
        let alone = self.work(&subjects[0]).await?;
        self.rest(&subjects[0]).await;
        println!("alone: {WORK} MiB filled in {alone:.1} s");
        for number in 1..GUESTS {
            subjects.push(self.create(number).await?);
        }
        let watch = Watch::begin(&subjects);
        for subject in &subjects {
            self.fill_cache(subject).await;
        }
        let (mut slowest, mut reached) = (0.0f64, 0.0f64);
        for (number, subject) in subjects.iter().enumerate() {
            let begun = Instant::now();
            let seconds = self.work(subject).await?;
            eventually("the busy guest is left what it works on", Duration::from_secs(90), || async {
                balloon(&subject.in_force.domain).ok().filter(|left| *left >= WORK)
            })
            .await;
            let moved = begun.elapsed().as_secs_f64();
            println!("guest {number}: filled in {seconds:.1} s; left what it works on after {moved:.1} s");
            (slowest, reached) = (slowest.max(seconds), reached.max(moved));
            self.rest(subject).await;
            self.fill_cache(subject).await;
        }
        let seen = watch.end().await?;
        println!("{seen:?}");
        for subject in &subjects {
            ensure!(Path::new("/proc").join(subject.pid.to_string()).exists(), "a guest has ended");
            let said = self.told(subject, "dmesg | grep -ci 'out of memory\\|oom-kill' || true").await;
            ensure!(said == "0", "a guest has killed programs of its own: {said}");
        }
        report.beside("until a busy guest holds what it works on, slowest", slowest, Some(alone), "s", None);
        report.add(
            "until the balloon leaves it as much, slowest",
            reached,
            "s",
            Some(bounds::MEMORY_MOVED_SECONDS),
        );
        report.add(
            "reservation less the least that was left",
            RESERVATION as f64 - seen.least as f64,
            "MiB",
            Some(0.0),
        );
        // With what an emulator keeps beside the guests' memory, and before it is all taken back.
        report.add("most that their processes occupied", seen.occupied as f64, "MiB", None);
        report.add("sold of what they have", (GUESTS as u64 * SIZE) as f64 / POOL as f64, "", None);
        report.add("samples", seen.samples as f64, "", None);
        report.add("programs killed for want of memory", (oom_kills()? - killed) as f64, "", Some(0.0));
        Ok(())
    }

    async fn create(&self, number: usize) -> anyhow::Result<Subject> {
        let name = format!("guest-{number}");
        let instance = self.stack.create_instance(&self.customer, &name, "lender", &[&self.key.public]).await;
        self.stack.reach(&self.customer, &instance, &self.key, "true", Duration::from_secs(120)).await;
        let in_force = InForce::of(&self.stack.prefix, &instance)?;
        let pid = std::fs::read_to_string(format!("/run/libvirt/qemu/{}.pid", in_force.domain))?;
        Ok(Subject { instance, in_force, pid: pid.trim().parse()? })
    }

    /// Fills memory that nobody can take from the guest, and gives the seconds until it is all there.
    async fn work(&self, subject: &Subject) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let fill = format!(
            "mkdir -p /work && mount -t tmpfs -o size={SIZE}m work /work && \
             {{ dd if=/dev/zero of=/work/filled bs=1M count={WORK} >/work/said 2>&1 & }}"
        );
        self.told(subject, &fill).await;
        let wanted = WORK * 1024 * 1024;
        eventually("the guest has filled its memory", Duration::from_secs(120), || async {
            let size = self.key.run(&subject.instance.address, "stat -c %s /work/filled").await?;
            (size.parse::<u64>().ok()? == wanted).then_some(())
        })
        .await;
        Ok(begun.elapsed().as_secs_f64())
    }

    async fn rest(&self, subject: &Subject) {
        self.told(subject, "umount /work").await;
    }

    /// Reads the whole disk, which the guest keeps as long as nobody asks for the memory.
    async fn fill_cache(&self, subject: &Subject) {
        let read = "rm -f /tmp/read; { dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null; touch /tmp/read; } >/dev/null &";
        self.told(subject, read).await;
        self.told(subject, "test -e /tmp/read").await;
    }

    async fn told(&self, subject: &Subject, command: &str) -> String {
        let what = format!("{} does as it is told", subject.instance.address);
        eventually(&what, Duration::from_secs(120), || self.key.run(&subject.instance.address, command)).await
    }
}

/// Looks at all guests several times a second.
struct Watch {
    ends: Arc<AtomicBool>,
    seen: tokio::task::JoinHandle<anyhow::Result<Seen>>,
}

impl Watch {
    fn begin(subjects: &[Subject]) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let subjects: Vec<(String, u32)> =
            subjects.iter().map(|subject| (subject.in_force.domain.clone(), subject.pid)).collect();
        let end = ends.clone();
        let seen = tokio::task::spawn_blocking(move || {
            let mut seen = Seen { samples: 0, least: u64::MAX, occupied: 0 };
            while !end.load(Ordering::Relaxed) {
                let mut occupied = 0;
                for (domain, pid) in &subjects {
                    seen.least = seen.least.min(balloon(domain)?);
                    occupied += resident(*pid)?;
                }
                seen.occupied = seen.occupied.max(occupied);
                seen.samples += 1;
                std::thread::sleep(Duration::from_millis(250));
            }
            Ok(seen)
        });
        Self { ends, seen }
    }

    async fn end(self) -> anyhow::Result<Seen> {
        self.ends.store(true, Ordering::Relaxed);
        self.seen.await?
    }
}

/// Resident memory of a process, in MiB.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// Programs that the host's kernel has killed since it started.
fn oom_kills() -> anyhow::Result<u64> {
    let figures = std::fs::read_to_string("/proc/vmstat")?;
    let line = figures.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(line.context("the kernel counts them")?.parse()?)
}
