//! Where guests run: libvirt, or a simulation of it.  Two kinds and no more, so an enumeration; each
//! observes one instance and executes one action of `jst_policy::converge` at a time.

pub mod libvirt;
pub mod sim;

use crate::cores::Place;
use crate::cpus::CpuList;
use jst_policy::converge::{Action, Field, Observed};
use jst_policy::cores::Processor;
use jst_policy::memory::Statistics;
use jst_policy::units::{Iops, MiB, MilliCpu};
use jst_policy::weights::Scale;
use jst_protocol::desired::{ConsoleKind, HostSettings, InstanceSpec};
use jst_protocol::report::{Applied, FailureCode, HostFacts, HostLoad, Qualification, Step, Usage};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Clone)]
pub enum Hypervisor {
    Libvirt(Arc<libvirt::Libvirt>),
    Sim(Arc<sim::Sim>),
}

/// One instance, as it is desired now.
#[derive(Clone)]
pub struct Target {
    pub id: Uuid,
    pub generation: i64,
    pub epoch: i64,
    /// Absent when the instance is to be deleted.
    pub spec: Option<Arc<InstanceSpec>>,
    /// The guest has not booted from this build yet, so its disks include the seed.
    pub seed: bool,
    /// The processors that it may run on.  Absent when it is not desired to run, and where guests cannot be kept
    /// to processors.
    pub place: Option<Place>,
    /// Of its control group, among all guests of the host.  Absent when it is not desired to run; then it
    /// keeps what it has.
    pub cpu_weight: Option<u64>,
    /// The same, and absent as well where nothing honours weights of disks.
    pub disk_weight: Option<u64>,
}

/// Told while an action goes on: the step and its percentage.
pub type Progress<'a> = &'a (dyn Fn(Step, u8) + Send + Sync);

/// How an action ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Done,
    /// The running guest did not take it; it waits for the next start.
    Untaken(Field),
}

/// Why an action or an observation did not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    pub code: FailureCode,
    pub detail: String,
    /// Trying again with the same desired state cannot help.
    pub permanent: bool,
}

impl Fault {
    pub fn passing(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), permanent: false }
    }

    pub fn permanent(code: FailureCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), permanent: true }
    }
}

/// Something happened to an instance; whoever hears it looks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Instance(Uuid),
    /// Events were lost, or the connection is new: look at everything.
    Everything,
}

/// Byte counters of an instance's network devices since these were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkReading {
    pub in_bytes: u64,
    pub out_bytes: u64,
}

/// The memory of one running guest, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestMemory {
    pub id: Uuid,
    /// What the guest sees.
    pub size: MiB,
    /// The part of it that was plugged in while it ran, which the balloon's figures do not include.
    pub plugged: MiB,
    /// What the balloon leaves it, of all that it sees.
    pub left: MiB,
    /// It was started when pages might be merged, which a running process keeps.
    pub mergeable: bool,
    /// What its process occupies of the host.
    pub resident: MiB,
    /// Absent until the guest's driver has answered.
    pub statistics: Option<Statistics>,
}

/// A guest's serial port or screen.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

pub type GuestEnd = Box<dyn Duplex>;

impl Hypervisor {
    /// Opens the guest's end of a console, which ends with the guest.
    pub async fn console(&self, id: Uuid, kind: ConsoleKind) -> Result<GuestEnd, Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.console(id, kind).await,
            Self::Sim(sim) => sim.console(id, kind),
        }
    }

    pub async fn observe(&self, target: &Target) -> Result<Observed, Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.observe(target).await,
            Self::Sim(sim) => sim.observe(target),
        }
    }

    pub async fn execute(
        &self,
        target: &Target,
        action: Action,
        progress: Progress<'_>,
    ) -> Result<Done, Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.execute(target, action, progress).await,
            Self::Sim(sim) => sim.execute(target, action, progress).await,
        }
    }

    /// What is in force in a running guest, read back from where it bites.
    pub async fn applied(&self, target: &Target) -> Result<Option<Applied>, Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.applied(target).await,
            Self::Sim(sim) => Ok(sim.applied(target)),
        }
    }

    /// Counters of a running guest.  Those of the network are returned apart, because they end with
    /// their devices.
    pub async fn usage(&self, id: Uuid) -> Result<Option<(Usage, NetworkReading)>, Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.usage(id).await,
            Self::Sim(sim) => Ok(sim.usage(id)),
        }
    }

    /// Whether anything was heard of a running guest: a frame from its network device, or figures from
    /// its balloon driver.  Firmware that finds nothing to boot gives neither.
    pub async fn is_alive(&self, id: Uuid) -> Result<bool, Fault> {
        let heard =
            |(usage, network): (Usage, NetworkReading)| network.out_bytes > 0 || usage.memory_unused_mib > 0;
        match self {
            Self::Libvirt(libvirt) => Ok(libvirt.usage(id).await?.is_some_and(heard)),
            Self::Sim(sim) => Ok(!sim.is_silent()),
        }
    }

    /// Packets that a guest has sent from addresses of its own; a count that grows, and may begin anew.
    /// Absent where that is not known.
    pub async fn packets(&self, id: Uuid) -> Option<u64> {
        let counted = match self {
            Self::Libvirt(libvirt) => libvirt.network().packets(id).await,
            Self::Sim(sim) => Ok(sim.packets(id)),
        };
        counted.unwrap_or_else(|error| {
            tracing::debug!(instance = %id, error = format!("{error:#}"), "packets were not counted");
            None
        })
    }

    /// Those for guests.  None where guests cannot be kept to some of them.
    pub fn processors(&self) -> Vec<Processor> {
        match self {
            Self::Libvirt(libvirt) => libvirt.processors(),
            Self::Sim(_) => Vec::new(),
        }
    }

    /// The processors that a running guest may run on, all of it.
    pub fn allowed(&self, id: Uuid) -> Option<CpuList> {
        match self {
            Self::Libvirt(libvirt) => libvirt.allowed(id),
            Self::Sim(_) => None,
        }
    }

    /// Takes the server's settings of the whole host.
    pub async fn adopt(&self, host: &HostSettings) {
        match self {
            Self::Libvirt(libvirt) => libvirt.adopt(host).await,
            Self::Sim(sim) => sim.adopt(host),
        }
    }

    /// The weights that this host's control groups take.
    pub fn cpu_scale(&self) -> Scale {
        match self {
            Self::Libvirt(libvirt) => libvirt.cpu_scale(),
            Self::Sim(_) => Scale::CPU_V2,
        }
    }

    /// The same for disks.  Absent: nothing here honours weights of disks, at the moment.
    pub fn disk_scale(&self) -> Option<Scale> {
        match self {
            Self::Libvirt(libvirt) => libvirt.disk_weights().ok(),
            Self::Sim(_) => Some(Scale::BFQ),
        }
    }

    /// What is divided among guests; absent: nobody has said it.
    pub fn disk_capacity(&self) -> Option<Iops> {
        match self {
            Self::Libvirt(libvirt) => libvirt.disk_capacity(),
            Self::Sim(sim) => sim.disk_capacity(),
        }
    }

    /// What is divided among guests.
    pub fn cpu_capacity(&self) -> MilliCpu {
        match self {
            Self::Libvirt(libvirt) => libvirt.cpu_capacity(),
            Self::Sim(sim) => sim.cpu_capacity(),
        }
    }

    /// Every instance of which this host holds something: a domain, files, or network devices.
    pub async fn list(&self) -> Result<Vec<Uuid>, Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.list().await,
            Self::Sim(sim) => Ok(sim.list()),
        }
    }

    /// Total and available memory of the host.
    pub fn host_memory(&self) -> (MiB, MiB) {
        match self {
            Self::Libvirt(libvirt) => libvirt.host_memory(),
            Self::Sim(sim) => sim.host_memory(),
        }
    }

    /// The memory of every running guest of this host's.
    pub async fn guest_memory(&self) -> Result<Vec<GuestMemory>, Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.guest_memory().await,
            Self::Sim(sim) => Ok(sim.guest_memory()),
        }
    }

    /// Asks a guest's balloon to leave it so much.  The guest follows in its own time.
    pub async fn set_balloon(&self, guest: &GuestMemory, target: MiB) -> Result<(), Fault> {
        match self {
            Self::Libvirt(libvirt) => libvirt.set_balloon(guest, target).await,
            Self::Sim(sim) => sim.set_balloon(guest.id, target),
        }
    }

    pub async fn facts(&self) -> anyhow::Result<HostFacts> {
        match self {
            Self::Libvirt(libvirt) => libvirt.facts().await,
            Self::Sim(sim) => Ok(sim.facts()),
        }
    }

    /// Changes once it is known whether, and how, guests boot here.
    pub fn qualification(&self) -> watch::Receiver<Qualification> {
        match self {
            Self::Libvirt(libvirt) => libvirt.qualification_news(),
            Self::Sim(sim) => sim.qualification_news(),
        }
    }

    pub async fn load(&self) -> anyhow::Result<HostLoad> {
        match self {
            Self::Libvirt(libvirt) => libvirt.load().await,
            Self::Sim(sim) => Ok(sim.load()),
        }
    }
}
