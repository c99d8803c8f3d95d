//! What the kernel does with a guest: its control groups, read where they bite.

use anyhow::Context;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// Whether the controller of processors is that of cgroup v1.
pub fn is_v1() -> bool {
    Path::new(ROOT).join("cpu").exists()
}

/// Groups of one domain: those with its weights, and that where the kernel counts its time.
pub struct Domain {
    cpu: PathBuf,
    disk: PathBuf,
    time: PathBuf,
}

impl Domain {
    /// Of the instance with this id, as the API writes it, whose guest runs.
    pub fn of(instance: &str) -> anyhow::Result<Self> {
        let id = uuid::Uuid::try_parse(instance.trim_start_matches("vm_"))?;
        Self::of_domain(&format!("jst-{id}"))
    }

    /// Of the domain with this name, which runs.
    pub fn of_domain(name: &str) -> anyhow::Result<Self> {
        let pid = std::fs::read_to_string(format!("/run/libvirt/qemu/{name}.pid"))?;
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.trim()))?;
        let group = |wanted: &str| {
            groups.lines().find_map(|line| {
                let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
                controllers.split(',').any(|controller| controller == wanted).then(|| domain_of(group))?
            })
        };
        let unified = group("").context("the guest is in a group")?;
        // With v1 for its controllers a machine may have v2 beside it, which counts as well.
        let beside = Path::new(ROOT).join("unified");
        let root = if beside.exists() { beside } else { ROOT.into() };
        let time = root.join(&unified);
        let cpu = group("cpu").map_or_else(|| time.clone(), |group| Path::new(ROOT).join("cpu").join(group));
        let disk =
            group("blkio").map_or_else(|| time.clone(), |group| Path::new(ROOT).join("blkio").join(group));
        Ok(Self { cpu, disk, time })
    }

    pub fn weight(&self) -> anyhow::Result<u64> {
        let file = if is_v1() { "cpu.shares" } else { "cpu.weight" };
        Ok(std::fs::read_to_string(self.cpu.join(file))?.trim().parse()?)
    }

    /// The limit in microseconds of each tenth of a second; absent: none.
    pub fn quota(&self) -> anyhow::Result<Option<u64>> {
        let file = if is_v1() { "cpu.cfs_quota_us" } else { "cpu.max" };
        let text = std::fs::read_to_string(self.cpu.join(file))?;
        // "-1" or "max" where there is none.
        Ok(text.split_whitespace().next().and_then(|quota| quota.parse().ok()))
    }

    /// By which bfq divides disks.
    pub fn disk_weight(&self) -> anyhow::Result<u64> {
        let file = if is_v1() { "blkio.bfq.weight" } else { "io.bfq.weight" };
        let text = std::fs::read_to_string(self.disk.join(file))?;
        Ok(text.trim().trim_start_matches("default ").parse()?)
    }

    /// Processor time of all its threads, in seconds.
    pub fn seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(self.time.join("cpu.stat"))?;
        let line = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(line.context("the group counts time")?.parse::<f64>()? / 1e6)
    }
}

/// The path down to the domain's group, without those of its emulator and its vCPUs.
fn domain_of(group: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = group.split('/').filter(|part| !part.is_empty()).collect();
    let domain = parts.iter().position(|part| part.contains("qemu"))?;
    Some(parts[..=domain].iter().collect())
}
