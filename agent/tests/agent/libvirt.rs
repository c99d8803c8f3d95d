//! Real guests.  Skipped, and said so, where there is no libvirt or no test image.

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
        for id in self.server.ids() {
            if std::thread::panicking() {
                let console = self.agent.config.data_dir.join(format!("volumes/{id}/console.log"));
                let text = std::fs::read_to_string(console).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("--- console of {id}\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
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
    assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
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
