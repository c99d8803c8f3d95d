//! Configuration of the agent: a TOML file, whose every key has a default that suits an ordinary host.

use crate::cpus::CpuList;
use anyhow::Context as _;
use jst_policy::units::{Iops, KbitPerSec};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Identity, ledger, image cache and volumes.
    pub data_dir: PathBuf,
    /// `https://HOST:PORT` of the server's agent port.
    pub server: String,
    pub hypervisor: HypervisorKind,
    pub libvirt_uri: String,
    /// Root volumes.  Absent: `volumes` in the data directory.
    pub storage_dir: Option<PathBuf>,
    /// Processors for guests, such as `2-63`; absent: all.  The others are left to the host itself.  Only
    /// these are offered and divided.
    pub guest_cpus: Option<CpuList>,
    /// Guests together may occupy no more memory than this, in MiB, and no more is sold; absent: all.
    pub guest_memory_mib: Option<u64>,
    /// Where libvirt keeps the process ids of its guests.
    pub libvirt_run_dir: PathBuf,
    /// Where the kernel shows control groups and devices; tests point them at a made tree.
    pub cgroup_root: PathBuf,
    pub sysfs_root: PathBuf,
    /// Where the managers of memory and power find `meminfo` and `stat`.
    pub proc_root: PathBuf,
    pub storage: Storage,
    pub network: Network,
    pub sim: Sim,
    pub timing: Timing,
    /// Instances that are worked on at the same time.
    pub parallel: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum HypervisorKind {
    Libvirt,
    Sim,
}

/// The disks that hold the volumes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The I/O scheduler that the agent gives them; absent: they keep theirs.  Only `bfq` honours shares.
    pub io_scheduler: Option<String>,
    /// Operations a second that they carry, reads and writes together.  Absent: it is not known, and
    /// nothing can be guaranteed of it; shares hold without.
    pub iops: Option<Iops>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// At most four characters, at the start of every device and table name.
    pub prefix: String,
    /// Absent: the device of the default route.
    pub uplink: Option<String>,
    /// What the uplink carries in each direction, in kbit/s (1,000 bit), where the device does not say it
    /// (a virtual one) or the line behind it carries less.  Guests get guaranteed rates and shares of this.
    pub uplink_kbit: Option<KbitPerSec>,
    /// Translate guests' addresses on the way out, whatever the server says.
    pub nat: bool,
    /// Networks that guests of a host with `nat` may reach although they are private or on the host's own
    /// links, such as `["10.20.0.0/24"]`.  Absent: none.  Guests' nameservers and other guests need no entry.
    pub guests_may_reach: Vec<ipnet::IpNet>,
}

/// What a simulated host has, and how badly it behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sim {
    pub cpus: u32,
    pub memory_mib: u64,
    pub storage_mib: u64,
    /// How long each action takes.
    pub delay_ms: u64,
    /// How long a guest takes to power off; above `timing.shutdown_seconds` it never does.
    pub shutdown_ms: u64,
    /// One action in so many fails for a passing reason; 0: none.
    pub fail_one_in: u32,
    /// Guests run and are never heard of.
    pub silent: bool,
    /// Guests boot and never take their addresses.
    pub unreachable: bool,
}

/// All in seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// Every instance is observed this often, whatever events were seen.
    pub check: u64,
    pub usage: u64,
    /// The memory manager takes a step this often.
    pub memory: u64,
    /// The power manager takes a step this often.
    pub power: u64,
    /// Reports, which renew the lease.
    pub heartbeat: u64,
    /// How long a guest may take to power off before it is destroyed.
    pub shutdown: u64,
    /// How long a guest may take to restart before it is reset.
    pub reboot: u64,
    /// How long a guest may take to be heard of, the first time it is started from a new disk.
    pub boot: u64,
    /// A guest that has run this long from a build needs its seed no more.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/jst-agent".into(),
            server: "https://127.0.0.1:8443".into(),
            hypervisor: HypervisorKind::Libvirt,
            libvirt_uri: "qemu:///system".into(),
            storage_dir: None,
            guest_cpus: None,
            guest_memory_mib: None,
            libvirt_run_dir: "/run/libvirt/qemu".into(),
            cgroup_root: "/sys/fs/cgroup".into(),
            sysfs_root: "/sys".into(),
            proc_root: "/proc".into(),
            storage: Storage::default(),
            network: Network::default(),
            sim: Sim::default(),
            timing: Timing::default(),
            parallel: 8,
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            prefix: "jst".into(),
            uplink: None,
            uplink_kbit: None,
            nat: false,
            guests_may_reach: Vec::new(),
        }
    }
}

impl Default for Sim {
    fn default() -> Self {
        Self {
            cpus: 64,
            memory_mib: 256 * 1024,
            storage_mib: 4 * 1024 * 1024,
            delay_ms: 20,
            shutdown_ms: 200,
            fail_one_in: 0,
            silent: false,
            unreachable: false,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        // The heartbeat is a sixth of the lease: five reports may be lost before it lapses.
        Self {
            check: 30,
            usage: 10,
            memory: 5,
            power: 5,
            heartbeat: 5,
            shutdown: 60,
            reboot: 60,
            boot: 300,
            seed: 600,
        }
    }
}

impl Timing {
    pub fn of(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}

impl Config {
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("{} is not a configuration of the agent", path.display()))
    }

    /// Where the settings of the machine itself are found.  A simulated host is not the machine that it is
    /// simulated on, and leaves that alone.
    pub fn machine_sysfs(&self) -> PathBuf {
        match self.hypervisor {
            HypervisorKind::Libvirt => self.sysfs_root.clone(),
            HypervisorKind::Sim => self.data_dir.join("sim/sys"),
        }
    }

    pub fn storage_dir(&self) -> PathBuf {
        self.storage_dir.clone().unwrap_or_else(|| self.data_dir.join("volumes"))
    }
}
