//! Guests under libvirt: what is observed of one, and how one action is executed.
//!
//! A domain's UUID is the instance's id, and its metadata names the host that defined it: a domain
//! without our host id is never touched, whatever its name.

mod attachment;
mod balloon;
mod conn;
mod console;
mod cores;
mod disk_shares;
mod domain_xml;
mod error;
mod events;
mod ffi;
mod host;
mod lifecycle;
mod limits;
mod merged;
mod network;
pub mod qualify;
mod resize;
mod seen;
pub mod steal;
mod storage;
mod usage;

use super::{Done, Event, Fault, Progress, Target};
use crate::config::Config;
use crate::cpus::CpuList;
use crate::images::ImageCache;
use crate::link::{ImageAnswer, Link};
use crate::network::Network;
use crate::reports::Reports;
use attachment::Attachments;
use conn::{Conn, QUICK};
use domain_xml::{DomainFacts, DomainXml, InterfaceXml, Virtualization};
use futures::{StreamExt as _, TryStreamExt as _};
use jst_policy::change::GuestLimits;
use jst_policy::converge::{Action, Domain, DomainState, Live, Observed, StopReason};
use jst_policy::cores::Processor;
use jst_policy::instance::DiskPolicy;
use jst_policy::units::MiB;
use jst_protocol::desired::{HostSettings, InstanceSpec};
use jst_protocol::report::{Applied, FailureCode, Qualification, Step};
use limits::{CgroupVersion, CpuLimits};
use network::{network_fault, network_settings};
use seen::Seen;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use steal::Places;
use storage::Storage;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use virt::sys;

pub struct Libvirt {
    config: Config,
    host_id: Uuid,
    conn: Conn,
    /// Those for guests.  They are looked up before any is parked, because those that are count as well.
    processors: Vec<Processor>,
    storage: Storage,
    images: ImageCache,
    /// Opened anew when what it was opened with changes, see [`Libvirt::follow`].
    network: RwLock<Network>,
    link: Arc<Link>,
    /// What the server says of the whole host.
    host: Mutex<HostSettings>,
    cgroup: CgroupVersion,
    emulator: String,
    direct_io: bool,
    qualification: watch::Sender<Qualification>,
    attachments: Attachments,
    cpu_seen: Seen<CpuLimits>,
    disk_seen: Seen<DiskPolicy>,
    disk_shares_seen: Seen<u64>,
    places_seen: Seen<CpuList>,
    stubborn: Mutex<HashMap<Uuid, cores::Stubborn>>,
    reports: Arc<Reports>,
}

/// Raw findings of one domain, in one call.
struct Found {
    state: u32,
    reason: i32,
    facts: DomainFacts,
    cpu: Option<(u64, Option<u64>)>,
    disk: Vec<(String, u64)>,
    /// Absent where nothing honours it.
    disk_weight: Option<u64>,
    /// Absent where the process was not found.
    allowed: Option<BTreeSet<CpuList>>,
}

impl Libvirt {
    pub async fn open(
        config: &Config,
        host_id: Uuid,
        host: &HostSettings,
        link: Arc<Link>,
        events: mpsc::Sender<Event>,
        reports: Arc<Reports>,
    ) -> anyhow::Result<Arc<Self>> {
        let settings = network_settings(config, host);
        let storage = Storage::open(config.storage_dir())?;
        let direct_io = storage.direct_io();
        let unified = config.cgroup_root.join("cgroup.controllers").exists();
        let version = if unified { CgroupVersion::V2 } else { CgroupVersion::V1 };
        let libvirt = Arc::new(Self {
            config: config.clone(),
            host_id,
            conn: Conn::new(&config.libvirt_uri, events.clone())?,
            processors: cores::for_guests(config, version),
            storage,
            images: ImageCache::open(config.data_dir.join("images"))?,
            network: RwLock::new(Network::open(settings).await?),
            link,
            host: Mutex::new(host.clone()),
            cgroup: version,
            emulator: "/usr/bin/qemu-system-x86_64".into(),
            direct_io,
            qualification: watch::Sender::new(Qualification::Pending),
            attachments: Attachments::default(),
            cpu_seen: Seen::new("cpu", &reports),
            disk_seen: Seen::new("disk", &reports),
            disk_shares_seen: Seen::new("disk.shares", &reports),
            places_seen: Seen::new("cpu.dedicated", &reports),
            stubborn: Mutex::default(),
            reports,
        });
        libvirt.follow_scheduler();
        // The probe takes seconds; running guests are looked after meanwhile, and none is started.
        tokio::spawn({
            let libvirt = libvirt.clone();
            async move {
                libvirt.qualify().await;
                let _ = events.send(Event::Everything).await;
            }
        });
        Ok(libvirt)
    }

    pub fn qualification_news(&self) -> watch::Receiver<Qualification> {
        self.qualification.subscribe()
    }

    fn qualification(&self) -> Qualification {
        self.qualification.borrow().clone()
    }

    /// How guests run here.  The first guests after an installation wait for the probe.
    async fn virtualization(&self) -> Result<Virtualization, Fault> {
        let mut verdict = self.qualification.subscribe();
        let decided = verdict.wait_for(|verdict| *verdict != Qualification::Pending);
        let _ = tokio::time::timeout(Duration::from_secs(60), decided).await;
        match self.qualification() {
            Qualification::Kvm { .. } => Ok(Virtualization::Kvm),
            Qualification::Emulated { .. } => Ok(Virtualization::Emulation),
            Qualification::Failed { reason } => Err(Fault::passing(
                FailureCode::CapabilityAbsent,
                format!("this host runs no guests: {reason}"),
            )),
            _ => {
                Err(Fault::passing(FailureCode::HypervisorUnavailable, "the probe guest has not booted yet"))
            }
        }
    }

    /// Where the kernel and libvirt show a guest's process.
    fn places(&self) -> Places {
        Places {
            proc: "/proc".into(),
            cgroup: self.config.cgroup_root.clone(),
            run: self.config.libvirt_run_dir.clone(),
        }
    }

    async fn find(&self, id: Uuid) -> Result<Option<Found>, Fault> {
        let weighed = self.disk_weights().is_ok();
        let places = self.places();
        let found = self
            .conn
            .domain(id, "observe", QUICK, move |domain| {
                let (state, reason) = ffi::domain_state(domain)?;
                let facts = DomainFacts::read(&domain.xml_desc(0)?).unwrap_or_default();
                let live = matches!(
                    state,
                    sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED | sys::VIR_DOMAIN_PAUSED
                );
                let (mut cpu, mut disk, mut disk_weight, mut allowed) = (None, Vec::new(), None, None);
                if live {
                    let scheduler = domain.scheduler_parameters_flags(sys::VIR_DOMAIN_AFFECT_LIVE)?;
                    // libvirt answers a negative quota, or the largest number, where there is none.
                    let quota = scheduler.global_bw.quota.and_then(|quota| u64::try_from(quota).ok());
                    let quota = quota
                        .filter(|quota| (1..u64::MAX / 2).contains(quota) && *quota < 17_000_000_000_000);
                    cpu = scheduler.cpu_shares.map(|weight| (weight, quota));
                    disk = ffi::block_io_tune(domain, "vda")?;
                    allowed = places.allowed(id, &DomainXml::name_of(id));
                    if weighed {
                        disk_weight = ffi::block_io_weight(domain)?;
                    }
                }
                Ok(Found { state, reason, facts, cpu, disk, disk_weight, allowed })
            })
            .await?;
        match found {
            Some(found) if found.facts.host != Some(self.host_id) => Err(Fault::permanent(
                FailureCode::HypervisorRefused,
                "a domain with this id belongs to somebody else; it is not touched",
            )),
            found => Ok(found),
        }
    }

    pub async fn observe(&self, target: &Target) -> Result<Observed, Fault> {
        let id = target.id;
        let found = self.find(id).await?;
        let attached = self.network().attached().await.map_err(|error| network_fault(&error))?.contains(&id);
        let volumes = self.storage.volumes(id).map_err(|error| storage::failed(&error))?;
        let domain = match found {
            None => None,
            Some(found) => {
                let build = found.facts.build;
                Some(Domain { build, state: self.state(target, &found, attached).await? })
            }
        };
        Ok(Observed {
            domain,
            volumes,
            network: attached,
            seed: self.storage.seed(id).exists(),
            leftovers: self.storage.directory(id).exists(),
        })
    }

    async fn state(&self, target: &Target, found: &Found, attached: bool) -> Result<DomainState, Fault> {
        let reason = u32::try_from(found.reason).unwrap_or(0);
        match found.state {
            sys::VIR_DOMAIN_SHUTOFF => {
                return Ok(DomainState::Stopped(match reason {
                    sys::VIR_DOMAIN_SHUTOFF_SHUTDOWN => StopReason::Guest,
                    sys::VIR_DOMAIN_SHUTOFF_DESTROYED => StopReason::Destroyed,
                    sys::VIR_DOMAIN_SHUTOFF_CRASHED | sys::VIR_DOMAIN_SHUTOFF_FAILED => StopReason::Crashed,
                    _ => StopReason::NotStarted,
                }));
            }
            sys::VIR_DOMAIN_CRASHED => return Ok(DomainState::Stopped(StopReason::Crashed)),
            _ => {}
        }
        let facts = &found.facts;
        // The guest has powered off, and its process is about to end.  Why it ended is told when it has;
        // until then there is nothing to adjust.
        let ending = found.state == sys::VIR_DOMAIN_SHUTDOWN;
        let spec = target.spec.as_deref().filter(|_| !ending);
        let live = Live {
            vcpus: facts.vcpus,
            max_vcpus: facts.max_vcpus,
            memory: facts.boot_memory + facts.plugged,
            boot_memory: facts.boot_memory,
            max_memory: facts.boot_memory + facts.room,
            cpu_in_force: spec.is_none_or(|spec| {
                let wanted = CpuLimits::of(&spec.policy, target.cpu_weight);
                self.cpu_seen.judge(target.id, wanted, found.cpu, wanted.are(found.cpu))
                    && self.place_in_force(target, found)
            }),
            disk_in_force: spec.is_none_or(|spec| {
                let wanted = &spec.policy.disk;
                let throttled = limits::disk_drift(&limits::disk(wanted), &found.disk).is_empty();
                self.disk_seen.judge(target.id, wanted.clone(), &found.disk, throttled)
                    && self.disk_weight_in_force(target, found)
            }),
            network_in_force: match spec {
                Some(spec) => attached && self.network_in_force(target, spec).await,
                None => true,
            },
        };
        Ok(match found.state {
            sys::VIR_DOMAIN_PAUSED => DomainState::Paused(live),
            _ => DomainState::Running(live),
        })
    }

    fn disk_weight_in_force(&self, target: &Target, found: &Found) -> bool {
        let Some(wanted) = target.disk_weight else { return true };
        let in_force = found.disk_weight == Some(wanted);
        self.disk_shares_seen.judge(target.id, wanted, found.disk_weight, in_force)
    }

    fn forget_limits(&self, id: Uuid) {
        self.cpu_seen.forget(id);
        self.disk_seen.forget(id);
        self.disk_shares_seen.forget(id);
        self.places_seen.forget(id);
        self.stubborn().remove(&id);
    }

    pub async fn execute(
        &self,
        target: &Target,
        action: Action,
        progress: Progress<'_>,
    ) -> Result<Done, Fault> {
        let id = target.id;
        match action {
            Action::CreateVolume { build, size } => {
                self.create_volume(target, build, size, progress).await?;
            }
            Action::GrowVolume { build, size } => self.storage.grow(id, build, size).await?,
            Action::DeleteVolume { build } => self.storage.delete_volume(id, build)?,
            Action::WriteSeed => self.write_seed(target).await?,
            Action::RemoveSeed => self.remove_seed(id).await?,
            Action::AttachNetwork => self.attach(target).await?,
            Action::DetachNetwork => {
                self.attachments.forget(id);
                self.network().detach(id).await.map_err(|error| network_fault(&error))?;
            }
            Action::Define => self.define(target).await?,
            Action::Undefine => {
                self.undefine(id).await?;
                self.forget_limits(id);
            }
            Action::Start => {
                // It starts with what its definition says, and with the weight of a new group.
                self.forget_limits(id);
                self.start_paused(id).await?;
                // libvirt puts a queue of its own on every tap it opens, in place of our limits.  The
                // guest runs once they are back, so that there is no moment without them.
                self.attach(target).await?;
                // Without it the guest runs with an ordinary weight until the next look.
                if let Err(fault) = self.set_disk_weight(id, target.disk_weight).await {
                    tracing::warn!(instance = %id, %fault, "the guest starts without its share of the disk");
                }
                self.quick(id, "resume", |domain| domain.resume()).await?;
            }
            Action::Shutdown => self.shutdown(id).await?,
            Action::Destroy => self.destroy(id).await?,
            Action::Resume => self.quick(id, "resume", |domain| domain.resume()).await?,
            Action::Reboot => self.reboot(id).await?,
            Action::SetVcpus(vcpus) => {
                let done = self.set_vcpus(id, vcpus).await?;
                // A new vCPU begins where the guest was started, which may be another's by now.
                self.places_seen.forget(id);
                self.set_place(target).await;
                return Ok(done);
            }
            Action::SetMemory(memory) => return self.set_memory(id, memory).await,
            Action::ResizeDisk(size) => return self.resize_disk(id, size).await,
            Action::SetCpuLimits => self.set_cpu_limits(target).await?,
            Action::SetDiskLimits => self.set_disk_limits(target).await?,
            Action::DeleteLeftovers => self.storage.delete_leftovers(id)?,
        }
        Ok(Done::Done)
    }

    /// One call with a domain that must exist.
    async fn quick<T: Send + 'static>(
        &self,
        id: Uuid,
        what: &'static str,
        call: impl FnOnce(&virt::domain::Domain) -> Result<T, virt::error::Error> + Send + 'static,
    ) -> Result<T, Fault> {
        self.conn.domain(id, what, QUICK, call).await?.ok_or_else(|| {
            Fault::passing(FailureCode::HypervisorRefused, format!("{what}: the domain is gone"))
        })
    }

    async fn create_volume(
        &self,
        target: &Target,
        build: u32,
        size: MiB,
        progress: Progress<'_>,
    ) -> Result<(), Fault> {
        let image = &spec(target)?.image;
        let path = self
            .images
            .ensure(
                image,
                || async {
                    let response = self.link.image(image).await?;
                    Ok(response.bytes_stream().map_err(anyhow::Error::from).boxed())
                },
                |percent| progress(Step::FetchingImage, percent),
            )
            .await
            .map_err(|error| {
                // The server's word that there is no such image is final for this desired state.
                let refused = std::error::Error::source(&error)
                    .and_then(|source| source.downcast_ref::<ImageAnswer>())
                    .is_some_and(|answer| matches!(answer, ImageAnswer::Refused(_)));
                let code = error.code();
                let permanent = error.is_permanent() || refused;
                Fault { code, detail: format!("{:#}", anyhow::Error::from(error)), permanent }
            })?;
        progress(Step::CreatingVolume, 0);
        let path = path.canonicalize().map_err(|error| storage::failed(&error))?;
        self.storage.create(target.id, build, size, &path, image.format).await
    }

    async fn write_seed(&self, target: &Target) -> Result<(), Fault> {
        let spec = target.spec.clone().ok_or_else(no_spec)?;
        let (id, path) = (target.id, self.storage.seed(target.id));
        let written =
            tokio::task::spawn_blocking(move || crate::seed::write_seed(&path, id, spec.build, &spec));
        written
            .await
            .map_err(anyhow::Error::from)
            .and_then(|written| written)
            .map_err(|error| Fault::passing(FailureCode::StorageFull, format!("seed: {error:#}")))
    }

    /// The file goes; a running guest also loses the disk, if it lets go of it.
    async fn remove_seed(&self, id: Uuid) -> Result<(), Fault> {
        let detached = self
            .conn
            .domain(id, "detach the seed", QUICK, |domain| {
                let xml = domain.xml_desc(0)?;
                match domain_xml::seed_disk(&xml) {
                    Some(disk) if domain.is_active()? => {
                        domain.detach_device_flags(disk, sys::VIR_DOMAIN_AFFECT_LIVE)
                    }
                    _ => Ok(()),
                }
            })
            .await;
        if let Err(fault) = detached {
            tracing::debug!(instance = %id, %fault, "the guest keeps the seed's disk until it stops");
        }
        self.storage.delete_seed(id)
    }

    async fn define(&self, target: &Target) -> Result<(), Fault> {
        let xml = self.definition(target, self.virtualization().await?)?;
        self.conn
            .run("define", QUICK, move |connect| {
                connect.define_domain_xml_flags(&xml, sys::VIR_DOMAIN_DEFINE_VALIDATE).map(drop)
            })
            .await
    }

    fn definition(&self, target: &Target, virtualization: Virtualization) -> Result<String, Fault> {
        let spec = spec(target)?;
        let id = target.id;
        let room = GuestLimits::for_policy(&spec.policy);
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let seed = self.storage.seed(id);
        let definition = DomainXml {
            virtualization,
            emulator: self.emulator.clone(),
            id,
            name: DomainXml::name_of(id),
            title: domain_xml::title(&spec.name),
            host: self.host_id,
            generation: target.generation,
            epoch: target.epoch,
            build: spec.build,
            vcpus: spec.policy.cpu.vcpus,
            max_vcpus: room.max_vcpus,
            cpuset: match &target.place {
                Some(place) => Some(place.processors.to_string()),
                None => self.config.guest_cpus.as_ref().map(ToString::to_string),
            },
            numa_node: target.place.as_ref().and_then(|place| place.node),
            memory_mib: room.boot_memory.get(),
            max_memory_mib: room.max_memory.get(),
            page_merging: self.host.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).page_merging,
            cpu: CpuLimits::of(&spec.policy, target.cpu_weight),
            cpu_period: DomainXml::PERIOD,
            disk: limits::disk_definition(&spec.policy.disk),
            direct_io: self.direct_io,
            root_disk: text(self.storage.volume(id, spec.build)),
            seed: (target.seed && seed.exists()).then(|| text(seed)),
            interfaces: spec
                .interfaces
                .iter()
                .map(|interface| InterfaceXml {
                    mac: interface.mac.clone(),
                    tap: self.network().tap_name(id, interface.index),
                })
                .collect(),
            console_log: text(self.storage.console(id)),
        };
        askama::Template::render(&definition)
            .map_err(|error| Fault::permanent(FailureCode::HypervisorRefused, error.to_string()))
    }

    pub async fn applied(&self, target: &Target) -> Result<Option<Applied>, Fault> {
        let (Some(found), Some(spec)) = (self.find(target.id).await?, target.spec.as_deref()) else {
            return Ok(None);
        };
        if found.cpu.is_none() {
            return Ok(None);
        }
        let mut policy = spec.policy.clone();
        let mut drift = Vec::new();
        policy.cpu.vcpus = found.facts.vcpus;
        policy.memory.size = found.facts.boot_memory + found.facts.plugged;
        if let Ok(volumes) = self.storage.volumes(target.id)
            && let Some(volume) = volumes.iter().find(|volume| volume.build == spec.build)
        {
            policy.disk.size = volume.size;
        }
        let mut compare = |differs: bool, field: &str| {
            if differs {
                drift.push(field.to_owned());
            }
        };
        compare(policy.cpu.vcpus != spec.policy.cpu.vcpus, "cpu.vcpus");
        compare(policy.memory.size != spec.policy.memory.size, "memory.size");
        compare(policy.disk.size != spec.policy.disk.size, "disk.size");
        let wanted = CpuLimits::of(&spec.policy, target.cpu_weight);
        compare(!found.cpu.is_some_and(|(weight, _)| wanted.is_weight(weight)), "cpu.shares");
        compare(found.cpu.map(|(_, quota)| quota) != Some(wanted.quota), "cpu.limit");
        policy.cpu.dedicated = target.place.as_ref().is_some_and(|place| place.exclusive);
        let moved = !self.is_in_place(target.place.as_ref(), found.allowed.as_ref());
        compare(moved || policy.cpu.dedicated != spec.policy.cpu.dedicated, "cpu.dedicated");
        let mut fields: Vec<String> = limits::disk_drift(&limits::disk(&spec.policy.disk), &found.disk)
            .into_iter()
            .map(limits::disk_field)
            .collect();
        fields.dedup();
        drift.extend(fields);
        if target.disk_weight.is_some() && found.disk_weight != target.disk_weight {
            drift.push("disk.shares".into());
        }
        match self.network().read_back(target.id, &spec.policy.network).await {
            Ok(read) => {
                policy.network = read.policy;
                drift.extend(read.drift);
            }
            Err(error) => {
                tracing::warn!(instance = %target.id, %error, "the network cannot be read back");
                drift.push("network".into());
            }
        }
        Ok(Some(Applied { policy, drift }))
    }

    pub async fn list(&self) -> Result<Vec<Uuid>, Fault> {
        let host = self.host_id;
        let mut found = self
            .conn
            .run("list", QUICK, move |connect| {
                let mut ours = Vec::new();
                for domain in connect.list_all_domains(0)? {
                    // A domain may vanish between the list and the look.
                    let Ok(xml) = domain.xml_desc(0) else { continue };
                    if DomainFacts::read(&xml).is_ok_and(|facts| facts.host == Some(host)) {
                        ours.push(domain.uuid()?);
                    }
                }
                Ok(ours)
            })
            .await?;
        found.extend(self.storage.instances().map_err(|error| storage::failed(&error))?);
        found.extend(self.network().attached().await.map_err(|error| network_fault(&error))?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

fn no_spec() -> Fault {
    Fault::permanent(FailureCode::Unknown, "nothing is desired of this instance")
}

fn spec(target: &Target) -> Result<&InstanceSpec, Fault> {
    target.spec.as_deref().ok_or_else(no_spec)
}
