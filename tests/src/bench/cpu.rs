//! Shares, limits and reservations of the processor, with real guests on one core and, beside each figure,
//! plain control groups with the same weights and busy shells in them.
//!
//! The agent has one processor for guests, the last; everything else of the platform stays on the others.
//! What is measured of a guest is the time of its whole control group, as the kernel counts it.

use super::bounds;
use super::report::Report;
use crate::cgroup::{self, Domain};
use crate::customer::Instance;
use crate::stack::{Guests, Host, Stack};
use crate::{Api, eventually, guest};
use anyhow::{Context, ensure};
use jst_agent::hypervisor::libvirt::steal::{Places, Waited};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// How long each figure is measured.
const WINDOW: Duration = Duration::from_secs(20);
const NEIGHBOURS: usize = 8;

pub async fn run() -> anyhow::Result<Report> {
    println!("this takes about five minutes");
    let last = std::thread::available_parallelism()?.get() - 1;
    ensure!(last > 0, "it needs a processor for guests and one for everything else");
    let core = last.to_string();
    // This program and all that it starts; guests are libvirtd's children.
    let own = ["-a", "-c", "-p", &format!("0-{}", last - 1), &std::process::id().to_string()];
    ensure!(Command::new("taskset").args(own).stdout(Stdio::null()).status()?.success(), "taskset failed");
    let bench = Bench::open(core).await?;
    let mut report = Report::default();
    bench.measure(&mut report).await?;
    bench.stack.stop().await;
    Ok(report)
}

struct Bench {
    stack: Stack,
    customer: Api,
    key: Arc<guest::Key>,
    core: String,
}

/// What a guest had of the core, and what it had not, as parts of the window.
#[derive(Clone, Copy, Debug)]
struct Part {
    ran: f64,
    waited: f64,
    held_back: f64,
}

/// One guest and where the kernel counts its time.
struct Subject {
    instance: Instance,
    group: Domain,
}

impl Bench {
    async fn open(core: String) -> anyhow::Result<Self> {
        // All neighbours boot on the one core at the same time.
        let boot_together = Some(NEIGHBOURS as u32);
        let host = Host { guest_cpus: Some(core.clone()), boot_together, ..Host::default() };
        let stack = Stack::start_on(Guests::Real, host).await;
        stack.furnish(Some(&guest::micro_image())).await;
        let host = format!("/api/v1/admin/hosts/{}", stack.host_id);
        stack.admin().patch(&host, json!({ "overcommit_cpu_permille": 20_000 })).await.expect(200);
        for (slug, cpu) in [
            ("low", json!({ "vcpus": 1, "shares": "low" })),
            ("normal", json!({ "vcpus": 1, "shares": "normal" })),
            ("high", json!({ "vcpus": 1, "shares": "high" })),
            ("limited", json!({ "vcpus": 1, "limit": 250 })),
            // Nothing but its reservation speaks for it.
            ("reserved", json!({ "vcpus": 1, "reservation": 400, "shares": 1 })),
        ] {
            let policy =
                json!({ "cpu": cpu, "memory": { "size": 256 }, "disk": { "size": 512 }, "network": {} });
            stack.add_plan(slug, policy).await;
        }
        let customer = stack.customer("bench@example.com").await;
        stack.let_buy("bench@example.com").await;
        let key = Arc::new(guest::Key::generate(stack.directory.path()));
        Ok(Self { stack, customer, key, core })
    }

    async fn measure(&self, report: &mut Report) -> anyhow::Result<()> {
        let mut subjects = self.create("first", &["low", "normal", "high"]).await?;

        // Peers get the weights that the kernel has for the guests, so that both divide alike.
        let [low, normal, high] = [&subjects[0], &subjects[1], &subjects[2]];
        let parts = self.busy(&[low, normal, high]).await?;
        let ours: Vec<f64> = parts.iter().map(|part| part.ran).collect();
        let weights = weights(&[low, normal, high])?;
        println!("weights {weights:?}");
        let theirs = self.peers(&weights, None).await?;
        let error = |parts: &[f64]| {
            [(parts[1] / parts[0] / 2.0), (parts[2] / parts[1] / 2.0), (parts[2] / parts[0] / 4.0)]
                .map(|ratio| (ratio - 1.0).abs() * 100.0)
                .into_iter()
                .fold(0.0, f64::max)
        };
        report.beside(
            "worst error of shares 1:2:4",
            error(&ours),
            Some(error(&theirs)),
            "%",
            Some(bounds::CPU_SHARES_PERCENT),
        );

        // Each was busy all the time, so that it waited for what it did not get.
        let missed = parts.iter().map(|part| (1.0 - part.ran - part.waited).abs() * 100.0);
        report.add(
            "worst error of the time waited, of the window",
            missed.fold(0.0, f64::max),
            "%",
            Some(bounds::CPU_WAITED_PERCENT),
        );

        let ours = self.busy(&[low]).await?[0].ran;
        let theirs = self.peers(&weights[..1], None).await?[0];
        let left = |part: f64| (1.0 - part) * 100.0;
        report.beside(
            "core not had while the others idle",
            left(ours),
            Some(left(theirs)),
            "%",
            Some(bounds::CPU_IDLE_PERCENT),
        );

        self.resize(low, "limited").await?;
        let ours = self.busy(&[low]).await?[0];
        let theirs = self.peers(&weights[..1], Some(25_000)).await?[0];
        let error = |part: f64| (part / 0.25 - 1.0).abs() * 100.0;
        report.beside(
            "error of a limit of 25 %",
            error(ours.ran),
            Some(error(theirs)),
            "%",
            Some(bounds::CPU_LIMIT_PERCENT),
        );
        report.add(
            "error of the time held back by it, of the window",
            (1.0 - ours.ran - ours.held_back).abs() * 100.0,
            "%",
            Some(bounds::CPU_WAITED_PERCENT),
        );
        report.add(
            "waiting that was its own limit, of the window",
            ours.waited * 100.0,
            "%",
            Some(bounds::CPU_WAITED_PERCENT),
        );

        self.resize(low, "reserved").await?;
        self.resize(normal, "high").await?;
        subjects.extend(self.create("more", &["high"; NEIGHBOURS - 2]).await?);
        let all: Vec<&Subject> = subjects.iter().collect();
        let ours = self.busy(&all).await?;
        let weights = self::weights(&all)?;
        println!("weights {weights:?}");
        let theirs = self.peers(&weights, None).await?;
        let error = |part: f64| (part / 0.4 - 1.0).abs() * 100.0;
        report.beside(
            "error of a reservation of 40 % beside eight",
            error(ours[0].ran),
            Some(error(theirs[0])),
            "%",
            Some(bounds::CPU_RESERVATION_PERCENT),
        );
        // The rest of the machine takes its part of the core before guests divide theirs.
        let all: f64 = ours.iter().map(|part| part.ran).sum();
        report.beside(
            "the same, of what all nine had together",
            error(ours[0].ran / all),
            Some(error(theirs[0] / theirs.iter().sum::<f64>())),
            "%",
            Some(bounds::CPU_RESERVATION_PERCENT),
        );
        Ok(())
    }

    /// Makes guests at the same time and waits until people could use them.
    async fn create(&self, names: &str, plans: &[&str]) -> anyhow::Result<Vec<Subject>> {
        let mut instances = Vec::new();
        for (number, plan) in plans.iter().enumerate() {
            let name = format!("{names}-{number}");
            instances
                .push(self.stack.create_instance(&self.customer, &name, plan, &[&self.key.public]).await);
        }
        let mut subjects = Vec::new();
        for instance in instances {
            let limit = Duration::from_secs(240);
            self.stack.reach(&self.customer, &instance, &self.key, "true", limit).await;
            subjects.push(Subject { group: Domain::of(&instance.id)?, instance });
        }
        Ok(subjects)
    }

    async fn resize(&self, subject: &Subject, plan: &str) -> anyhow::Result<()> {
        let operation =
            self.stack.act(&self.customer, &subject.instance.id, "resize", json!({ "plan": plan })).await;
        ensure!(
            operation["state"] == "succeeded" && operation["restart_required"] == json!([]),
            "{operation}"
        );
        Ok(())
    }

    /// Keeps these guests busy at the same time, and gives what each had of the core.  The others have nothing
    /// to do.
    async fn busy(&self, subjects: &[&Subject]) -> anyhow::Result<Vec<Part>> {
        // Told again, because the answer was late, a guest does not do it twice.  No time of the guest's own is
        // used: emulated clocks may run several times too fast.
        self.tell(
            subjects,
            "[ -e /tmp/busy ] || { sh -c 'echo $$ >/tmp/busy; while :; do :; done' >/dev/null 2>&1 & }",
        )
        .await;
        // The agent sets new weights within a second.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let read = || {
            let figures = subjects.iter().map(|subject| {
                let Waited { steal, throttled } = subject.waited()?;
                Ok([subject.group.seconds()?, steal as f64 / 1e9, throttled as f64 / 1e9])
            });
            Ok(figures.collect::<anyhow::Result<Vec<_>>>()?.concat())
        };
        let figures = window(read).await?;
        let parts: Vec<Part> = figures
            .chunks_exact(3)
            .map(|figures| Part { ran: figures[0], waited: figures[1], held_back: figures[2] })
            .collect();
        println!("guests {parts:.4?}");
        self.tell(subjects, "[ ! -e /tmp/busy ] || { kill $(cat /tmp/busy); rm /tmp/busy; }").await;
        Ok(parts)
    }

    /// Runs a command in these guests, all at once: a busy one is slow to answer.
    async fn tell(&self, subjects: &[&Subject], command: &str) {
        let mut told = tokio::task::JoinSet::new();
        for subject in subjects {
            let (key, address) = (self.key.clone(), subject.instance.address.clone());
            let command = command.to_owned();
            told.spawn(async move {
                let what = format!("{address} does as it is told");
                eventually(&what, Duration::from_secs(90), || key.run(&address, &command)).await;
            });
        }
        told.join_all().await;
    }

    /// The same with busy shells.  The quota is in microseconds of each tenth of a second.
    async fn peers(&self, weights: &[u64], quota: Option<u64>) -> anyhow::Result<Vec<f64>> {
        let groups = Groups::make(weights, quota, &self.core)?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let parts = window(|| groups.seconds()).await?;
        println!("shells {parts:.4?}");
        Ok(parts)
    }
}

impl Subject {
    /// As the agent measures it.
    fn waited(&self) -> anyhow::Result<Waited> {
        let id = uuid::Uuid::try_parse(self.instance.id.trim_start_matches("vm_"))?;
        let places =
            Places { proc: "/proc".into(), cgroup: "/sys/fs/cgroup".into(), run: "/run/libvirt/qemu".into() };
        places.waited(id, &format!("jst-{id}")).context("the kernel counts how long a guest waits")
    }
}

fn weights(subjects: &[&Subject]) -> anyhow::Result<Vec<u64>> {
    subjects.iter().map(|subject| subject.group.weight()).collect()
}

/// What each had of one core between two readings of its seconds.
async fn window(read: impl Fn() -> anyhow::Result<Vec<f64>>) -> anyhow::Result<Vec<f64>> {
    let (before, begun) = (read()?, std::time::Instant::now());
    tokio::time::sleep(WINDOW).await;
    let (after, seconds) = (read()?, begun.elapsed().as_secs_f64());
    Ok(before.iter().zip(&after).map(|(before, after)| (after - before) / seconds).collect())
}

/// Plain control groups with a busy shell in each.
struct Groups {
    parent: PathBuf,
    members: Vec<(PathBuf, Child)>,
}

impl Groups {
    fn make(weights: &[u64], quota: Option<u64>, core: &str) -> anyhow::Result<Self> {
        let v1 = cgroup::is_v1();
        let root = Path::new(if v1 { "/sys/fs/cgroup/cpu" } else { "/sys/fs/cgroup" });
        let parent = root.join(format!("jst-bench-{}", std::process::id()));
        std::fs::create_dir_all(&parent)?;
        let mut groups = Self { parent, members: Vec::new() };
        if !v1 {
            for directory in [root, &groups.parent] {
                std::fs::write(directory.join("cgroup.subtree_control"), "+cpu")?;
            }
        }
        for (number, weight) in weights.iter().enumerate() {
            let group = groups.parent.join(number.to_string());
            std::fs::create_dir_all(&group)?;
            std::fs::write(group.join(if v1 { "cpu.shares" } else { "cpu.weight" }), weight.to_string())?;
            match quota {
                Some(quota) if v1 => std::fs::write(group.join("cpu.cfs_quota_us"), quota.to_string())?,
                Some(quota) => std::fs::write(group.join("cpu.max"), format!("{quota} 100000"))?,
                None => {}
            }
            let shell = Command::new("taskset")
                .args(["-c", core, "sh", "-c", "while :; do :; done"])
                .stdin(Stdio::null())
                .spawn()?;
            let pid = shell.id().to_string();
            groups.members.push((group.clone(), shell));
            std::fs::write(group.join("cgroup.procs"), pid)?;
        }
        Ok(groups)
    }

    fn seconds(&self) -> anyhow::Result<Vec<f64>> {
        let seconds = |shell: &Child| -> anyhow::Result<f64> {
            let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", shell.id()))?;
            let time: f64 = stat.split_whitespace().next().context("the kernel counts")?.parse()?;
            Ok(time / 1e9)
        };
        self.members.iter().map(|(_, shell)| seconds(shell)).collect()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for (group, shell) in &mut self.members {
            let _ = shell.kill();
            let _ = shell.wait();
            let _ = std::fs::remove_dir(group);
        }
        let _ = std::fs::remove_dir(&self.parent);
    }
}
