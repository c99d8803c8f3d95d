//! Real guests.  Skipped, and said so, where there is no libvirt or no test image.

mod merging;

use crate::server::{Agent, Server};
use crate::{delete, instance, set_power};
use jst_agent::config::HypervisorKind;
use jst_policy::instance::BurstLimit;
use jst_policy::lifecycle::Power;
use jst_policy::units::*;
use jst_protocol::desired::*;
use jst_protocol::report::*;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

struct Lab {
    server: Arc<Server>,
    agent: Agent,
    image: ImageRef,
    key: PathBuf,
}

fn image_path() -> PathBuf {
    std::env::var_os("JST_TEST_IMAGE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../var/images/micro.qcow2"),
        PathBuf::from,
    )
}

async fn lab(name: &str) -> Option<Lab> {
    lab_with(name, |_| {}).await
}

async fn lab_with(name: &str, adjust: impl FnOnce(&mut jst_agent::config::Config)) -> Option<Lab> {
    let path = image_path();
    if !path.exists() || !Path::new("/run/libvirt/libvirt-sock").exists() {
        eprintln!("skipped: it needs libvirtd and {}", path.display());
        return None;
    }
    let bytes = std::fs::read(&path).unwrap();
    let image = ImageRef {
        sha256: hex::encode(Sha256::digest(&bytes)),
        format: ImageFormat::Qcow2,
        file_bytes: bytes.len() as u64,
        virtual_bytes: 256 * 1024 * 1024,
    };
    let server = Server::start().await;
    server.serve_image(&image.sha256, path);
    let agent = Agent::enrolled(&server, HypervisorKind::Libvirt, |config| {
        config.network.prefix = name.into();
        config.timing.shutdown = 30;
        config.timing.reboot = 30;
        adjust(config);
    })
    .await;
    let key = agent.config.data_dir.join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    Some(Lab { server, agent, image, key })
}

impl Lab {
    fn address(id: Uuid) -> std::net::Ipv4Addr {
        let bytes = id.as_bytes();
        std::net::Ipv4Addr::new(10, 222, bytes[14], bytes[15].clamp(1, 254))
    }

    fn wanted(&self, power: Power) -> DesiredInstance {
        let mut wanted = instance(power);
        let id = wanted.id;
        let key = std::fs::read_to_string(self.key.with_extension("pub")).unwrap();
        if let Presence::Present { spec, .. } = &mut wanted.presence {
            spec.image = self.image.clone();
            spec.seed.ssh_keys = vec![key.trim().to_owned()];
            let bytes = id.as_bytes();
            spec.interfaces = vec![Interface {
                index: 0,
                mac: format!("52:54:00:{:02x}:{:02x}:{:02x}", bytes[13], bytes[14], bytes[15]),
                addresses: vec![format!("{}/32", Self::address(id)).parse().unwrap()],
                nameservers: vec![],
            }];
        }
        wanted
    }

    fn ssh(&self, id: Uuid, command: &str) -> Option<String> {
        let output = Command::new("ssh")
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "ConnectTimeout=2", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-i"])
            .arg(&self.key)
            .arg(format!("root@{}", Self::address(id)))
            .arg(command)
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    async fn ssh_until(&self, id: Uuid, command: &str, seconds: u64, test: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mut last = None;
        while Instant::now() < deadline {
            let answer = tokio::task::block_in_place(|| self.ssh(id, command));
            if let Some(answer) = &answer
                && test(answer)
            {
                return answer.clone();
            }
            last = answer.or(last);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("`{command}` in the guest: {last:?}");
    }
}

/// A failed test leaves no guest and no device behind.
impl Drop for Lab {
    fn drop(&mut self) {
        // One that goes on would start again what is ended here.
        self.agent.end();
        for id in self.server.ids() {
            if std::thread::panicking() {
                let console = self.agent.config.data_dir.join(format!("volumes/{id}/console.log"));
                let text = std::fs::read_to_string(console).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("--- console of {id}\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
                let address = Self::address(id).to_string();
                let domain = id.to_string();
                let monitor = ["virsh", "-c", "qemu:///system", "qemu-monitor-command", &domain, "--hmp"];
                for question in [
                    &["virsh", "-c", "qemu:///system", "domstate", "--reason", &domain][..],
                    // Twice, to see whether the processors run; and what the boot loader wrote on the screen.
                    &["virsh", "-c", "qemu:///system", "domstats", "--cpu-total", "--vcpu", &domain],
                    &[&monitor[..], &["info registers -a"]].concat(),
                    &[&monitor[..], &["info registers -a"]].concat(),
                    &[&monitor[..], &["xp /1000hx 0xb8000"]].concat(),
                    &["virsh", "-c", "qemu:///system", "domstats", "--cpu-total", "--vcpu", &domain],
                    &["ip", "-s", "link"],
                    &["ip", "route", "get", &address],
                    &["ip", "neigh"],
                    &["ping", "-c", "2", "-W", "1", &address],
                    &["nft", "list", "ruleset"],
                ] {
                    let answer =
                        Command::new(question[0]).args(&question[1..]).output().map(|answer| answer.stdout);
                    let answer = answer.unwrap_or_default();
                    eprintln!("--- {}\n{}", question.join(" "), String::from_utf8_lossy(&answer));
                }
            }
            let id = id.to_string();
            virsh(&["destroy", &id]);
            virsh(&["undefine", &id]);
        }
        let settings = jst_agent::network::NetworkSettings {
            prefix: self.agent.config.network.prefix.clone(),
            ..Default::default()
        };
        let ids = self.server.ids();
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let network = jst_agent::network::Network::open(settings).await?;
                for id in ids {
                    network.detach(id).await?;
                }
                anyhow::Ok(())
            })
        });
        let _ = cleaned.join();
    }
}

fn virsh(arguments: &[&str]) -> String {
    let output = Command::new("virsh").args(["-q", "-c", "qemu:///system"]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_guest_lives_from_creation_to_deletion() {
    let Some(mut lab) = lab("ta").await else { return };
    let begun = Instant::now();
    let lap = |what: &str| eprintln!("{:>8} ms  {what}", begun.elapsed().as_millis());
    let wanted = lab.wanted(Power::Running);
    let id = wanted.id;
    lab.server.set(wanted);
    let report = lab.server.until_applied(id, 1, 60).await;
    assert_eq!(report.observed, Observed::Running);
    lap("created and running");
    assert_eq!(report.applied.unwrap().drift, Vec::<String>::new());
    lab.ssh_until(id, "nproc", 60, |n| n == "1").await;
    lap("reached by SSH");

    // Grow everything while it runs.
    let generation = lab.server.change_spec(id, |spec| {
        spec.policy.cpu.vcpus = 2;
        spec.policy.cpu.limit = Some(MilliCpu(1500));
        spec.policy.memory.size = MiB(512);
        spec.policy.disk.size = MiB(1024);
        spec.policy.disk.read.operations =
            Some(BurstLimit { average: Iops(500), peak: Some(Iops(1000)), peak_seconds: 10 });
        spec.policy.disk.write.throughput =
            Some(BurstLimit { average: BytesPerSec(10_000_000), peak: None, peak_seconds: 1 });
        spec.policy.network.outbound.average = Some(KbitPerSec(50_000));
    });
    let report = lab.server.until_applied(id, generation, 60).await;
    lap("grown");
    assert_eq!(report.applied.unwrap().drift, Vec::<String>::new());
    lab.ssh_until(id, "nproc", 20, |n| n == "2").await;
    lab.ssh_until(id, "awk '/MemTotal/{print $2}' /proc/meminfo", 20, |n| {
        n.parse::<u64>().is_ok_and(|kib| kib > 400_000)
    })
    .await;
    lab.ssh_until(id, "cat /sys/block/vda/size", 20, |n| n == "2097152").await;
    lap("seen from inside");

    // And back, where the guest allows it.
    let generation = lab.server.change_spec(id, |spec| {
        spec.policy.memory.size = MiB(256);
        spec.policy.disk.read.operations = None;
        spec.policy.cpu.limit = None;
    });
    let report = lab.server.until_applied(id, generation, 60).await;
    assert_eq!(report.applied.unwrap().drift, Vec::<String>::new());
    lap("memory shrunk, limits lifted");
    let generation = lab.server.change_spec(id, |spec| spec.policy.memory.size = MiB(16_384));
    let settled =
        |r: &InstanceReport| r.generation == generation && !matches!(r.outcome, Outcome::Progress { .. });
    let report = lab.server.until(id, 30, settled).await;
    assert_eq!(report.outcome, Outcome::RestartRequired { fields: vec!["memory.size".into()] });
    let generation = lab.server.change_spec(id, |spec| spec.policy.memory.size = MiB(256));
    lab.server.until_applied(id, generation, 30).await;

    // A restarted agent changes nothing, and the guest does not notice.
    let started = lab.ssh(id, "cat /proc/sys/kernel/random/boot_id");
    lab.agent.stop().await;
    lab.agent.start();
    let generation =
        lab.server.change_spec(id, |spec| spec.policy.cpu.shares = jst_policy::claim::Shares::High);
    lab.server.until_applied(id, generation, 30).await;
    assert_eq!(lab.ssh(id, "cat /proc/sys/kernel/random/boot_id"), started);
    lap("agent restarted");

    let reboot = |lab: &Lab, kind| {
        let action = Uuid::now_v7();
        let generation = lab.server.change(id, |i| i.actions = vec![OneShot { id: action, kind }]);
        (action, generation)
    };
    let (action, generation) = reboot(&lab, OneShotKind::Reboot);
    let report = lab.server.until_applied(id, generation, 90).await;
    assert_eq!(report.actions, vec![ActionReport { id: action, outcome: Outcome::Applied }]);
    lab.ssh_until(id, "cat /proc/sys/kernel/random/boot_id", 60, |now| Some(now) != started.as_deref()).await;
    lap("rebooted");
    let (_, generation) = reboot(&lab, OneShotKind::PowerCycle);
    lab.server.until_applied(id, generation, 90).await;
    lab.ssh_until(id, "nproc", 60, |n| n == "2").await;
    lap("power-cycled");
    let seed = lab.agent.config.data_dir.join(format!("volumes/{id}/seed.img"));
    assert!(!seed.exists(), "the seed is a secret and must go after the first boot");

    // Killed from outside: restarted.
    let pid = std::fs::read_to_string(format!("/run/libvirt/qemu/jst-{id}.pid")).unwrap();
    let before = lab.server.history(id).len();
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let back = Instant::now();
    loop {
        let history = lab.server.history(id);
        let crashed = history[before..].iter().any(|r| r.observed == Observed::Crashed);
        if crashed
            && history
                .last()
                .is_some_and(|r| r.observed == Observed::Running && r.outcome == Outcome::Applied)
        {
            break;
        }
        assert!(back.elapsed() < Duration::from_secs(30), "{:#?}", &history[before..]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lap("crashed and restarted");
    lab.ssh_until(id, "nproc", 60, |n| n == "2").await;

    // Powered off from inside: stays off.
    lab.ssh_until(id, "poweroff; echo ok", 30, |answer| answer == "ok").await;
    lab.server.until(id, 60, |r| r.observed == Observed::Stopped && r.outcome == Outcome::Applied).await;
    lap("powered off from inside");
    let generation = lab.server.change(id, |_| {});
    lab.server
        .until(id, 60, |r| {
            r.generation == generation && r.observed == Observed::Running && r.outcome == Outcome::Applied
        })
        .await;
    lab.ssh_until(id, "touch /marker && nproc", 60, |n| n == "2").await;

    let generation = lab.server.change_spec(id, |spec| spec.build = 2);
    lab.server.until_applied(id, generation, 60).await;
    lab.ssh_until(id, "test -e /marker || echo clean", 60, |n| n == "clean").await;
    lap("rebuilt");

    let generation = lab.server.change(id, |i| set_power(i, Power::Stopped));
    assert_eq!(lab.server.until_applied(id, generation, 60).await.observed, Observed::Stopped);
    lap("stopped");
    let generation = lab.server.change(id, delete);
    assert_eq!(lab.server.until_applied(id, generation, 30).await.observed, Observed::Absent);
    lap("deleted");
    assert!(virsh(&["dominfo", &id.to_string()]).contains("failed to get domain"));
    assert!(!lab.agent.config.data_dir.join(format!("volumes/{id}")).exists());
    eprintln!("{:#?}", lab.server.facts());
}

/// The host's memory as the agent is to see it.
fn pretend(lab: &Lab, available_mib: u64) {
    let text = format!("MemTotal: {} kB\nMemAvailable: {} kB\n", 8192 * 1024, available_mib * 1024);
    // In one go: a half-written file would be a host without memory.
    let file = lab.agent.config.proc_root.join("meminfo");
    std::fs::create_dir_all(&lab.agent.config.proc_root).unwrap();
    std::fs::write(file.with_extension("new"), text).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
}

fn balloon(id: Uuid) -> u64 {
    let said = virsh(&["dommemstat", &id.to_string()]);
    let actual =
        said.lines().find_map(|line| line.strip_prefix("actual ")).unwrap_or_else(|| panic!("{said}"));
    actual.trim().parse::<u64>().unwrap() / 1024
}

/// Idle memory of real guests is taken back when the host runs short of it, and returned when it does not.
#[tokio::test(flavor = "multi_thread")]
async fn idle_guests_lend_their_memory_for_as_long_as_the_host_is_short_of_it() {
    const SIZE: u64 = 512;
    // Well below what an idle guest and its emulator occupy, 270 to 330 MiB: from one that occupies less than is guaranteed to
    // it nothing can be had back, and it is rightly left alone.
    const RESERVATION: u64 = 200;
    let made = lab_with("tm", |config| {
        config.proc_root = config.data_dir.join("proc");
        config.timing.memory = 1;
        config.timing.usage = 1;
    });
    let Some(mut lab) = made.await else { return };
    let begun = Instant::now();
    let lap = |what: &str| eprintln!("{:>8} ms  {what}", begun.elapsed().as_millis());
    pretend(&lab, 4000);
    let ids: Vec<Uuid> = (0..2)
        .map(|_| {
            let mut wanted = lab.wanted(Power::Running);
            if let Presence::Present { spec, .. } = &mut wanted.presence {
                (spec.policy.memory.size, spec.policy.memory.reservation) = (MiB(SIZE), MiB(RESERVATION));
            }
            lab.server.set(wanted.clone());
            wanted.id
        })
        .collect();
    for id in &ids {
        lab.server.until_applied(*id, 1, 60).await;
        lab.ssh_until(*id, "true", 60, |_| true).await;
    }
    lap("both reached by SSH");
    let boot = |lab: &Lab| {
        let id = |id: &Uuid| lab.ssh(*id, "cat /proc/sys/kernel/random/boot_id").expect("the guest answers");
        ids.iter().map(id).collect::<Vec<_>>()
    };
    let booted = boot(&lab);
    assert!(ids.iter().all(|id| balloon(*id) == SIZE), "memory was taken without need");

    // The low mark of 8 GiB is 128 MiB.  The pretended host does not feel what it gets back, so it takes all it may.
    pretend(&lab, 100);
    let (mut left, mut least) = (vec![SIZE; 2], SIZE);
    let deadline = Instant::now() + Duration::from_secs(40);
    while left.iter().any(|left| *left > RESERVATION) {
        assert!(Instant::now() < deadline, "{left:?} MiB are left");
        tokio::time::sleep(Duration::from_millis(200)).await;
        left = ids.iter().map(|id| balloon(*id)).collect();
        least = least.min(*left.iter().min().unwrap());
    }
    lap("both are at their reservations");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(ids.iter().map(|id| balloon(*id)).collect::<Vec<_>>(), [RESERVATION; 2]);
    assert!(least >= RESERVATION, "a guest was left {least} MiB");
    assert_eq!(boot(&lab), booted, "a guest does not answer as before");
    // The size that was sold is in force, whatever the balloon does; what is lent is said beside it.
    for id in &ids {
        let generation = lab.server.change(*id, |_| {});
        lab.server.until_applied(*id, generation, 20).await;
        let lent = |r: &InstanceReport| r.usage.is_some_and(|usage| usage.balloon_mib == RESERVATION);
        let applied = lab.server.until(*id, 20, lent).await.applied.unwrap();
        assert_eq!((applied.policy.memory.size, applied.drift), (MiB(SIZE), vec![]));
    }
    // Memory is sold and plugged in meanwhile, without a restart; the balloon keeps what it holds.
    let generation = lab.server.change_spec(ids[0], |spec| spec.policy.memory.size = MiB(SIZE + 256));
    let report = lab.server.until_applied(ids[0], generation, 30).await;
    assert_eq!(report.applied.unwrap().policy.memory.size, MiB(SIZE + 256));
    lap("grown under pressure");

    // Another agent takes over, and the pressure ends.
    lab.agent.stop().await;
    pretend(&lab, 4000);
    lab.agent.start();
    let deadline = Instant::now() + Duration::from_secs(30);
    while ids.iter().any(|id| balloon(*id) != SIZE) {
        assert!(Instant::now() < deadline, "it was not given back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    lap("everything is given back");
    assert_eq!(boot(&lab), booted, "a guest does not answer as before");
    for id in &ids {
        let generation = lab.server.change(*id, delete);
        lab.server.until_applied(*id, generation, 30).await;
    }
}
