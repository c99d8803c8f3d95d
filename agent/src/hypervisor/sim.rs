//! Simulated guests.  They are kept in files, so that they outlive the agent as real ones do, and
//! the simulation refuses what libvirt refuses: a plan in the wrong order fails here too.
//!
//! A test acts as the guest through a file in `sim/guests/` of the data directory: `UUID.poweroff`
//! and `UUID.crash` are carried out within a quarter of a second and removed; `UUID.uses` says how much
//! memory its programs use, and `UUID.mute` that it has no balloon driver.

use super::{Done, Event, Fault, NetworkReading, Progress, Target};
use crate::config::Config;
use crate::{durable, facts};
use jst_policy::change::GuestLimits;
use jst_policy::converge::{Action, Domain, DomainState, Live, Observed, StopReason, Volume};
use jst_policy::instance::ResourcePolicy;
use jst_policy::placement::Capability;
use jst_policy::units::{Iops, MiB, MilliCpu};
use jst_protocol::report::{
    Applied, FailureCode, HostFacts, HostLoad, Hypervisor, Qualification, Step, Usage,
};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

mod console;
mod memory;

pub struct Sim {
    config: Config,
    directory: PathBuf,
    machines: Mutex<HashMap<Uuid, Machine>>,
    /// Of guests that are started from now on.
    page_merging: AtomicBool,
    /// Never changes.
    qualification: watch::Sender<Qualification>,
}

/// Everything of one simulated instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Machine {
    observed: Observed,
    /// What the definition says; it becomes `policy` at a start.
    defined: Option<(u32, ResourcePolicy)>,
    /// What is in force in the running guest.
    policy: Option<ResourcePolicy>,
    /// As above: in the definition, and in force.
    #[serde(default)]
    defined_weight: Option<u64>,
    #[serde(default)]
    weight: Option<u64>,
    /// Of the running guest; no part of the definition.
    #[serde(default)]
    disk_weight: Option<u64>,
    attached_generation: i64,
    started_unix: i64,
    boots: u32,
    /// What the balloon holds back of the running guest.
    #[serde(default)]
    held: MiB,
    /// The running guest's pages may be merged.
    #[serde(default)]
    mergeable: bool,
}

impl Sim {
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let directory = config.data_dir.join("sim");
        durable::make_directory(&directory.join("guests"), 0o700)?;
        let mut machines = HashMap::new();
        for file in std::fs::read_dir(&directory)? {
            let path = file?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let (Some(id), Some("json")) = (id, path.extension().and_then(|extension| extension.to_str()))
                && let Ok(machine) = serde_json::from_slice(&std::fs::read(&path)?)
            {
                machines.insert(id, machine);
            }
        }
        let qualification = watch::Sender::new(Qualification::Simulated);
        let sim = Self {
            config: config.clone(),
            directory,
            machines: Mutex::new(machines),
            page_merging: AtomicBool::default(),
            qualification,
        };
        // What happened while the agent was away.
        sim.obey_tests();
        Ok(sim)
    }

    /// Carries out what tests ask guests to do, for ever.
    pub async fn act_as_guests(self: std::sync::Arc<Self>, events: mpsc::Sender<Event>) {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            for id in self.obey_tests() {
                let _ = events.send(Event::Instance(id)).await;
            }
        }
    }

    /// A file `guests/ID.poweroff`, `.crash` or `.reboot` (of the host) ends a guest.  Gives those that ended.
    fn obey_tests(&self) -> Vec<Uuid> {
        let Ok(files) = std::fs::read_dir(self.directory.join("guests")) else { return Vec::new() };
        let mut ended = Vec::new();
        for path in files.flatten().map(|file| file.path()) {
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            let reason = match path.extension().and_then(|extension| extension.to_str()) {
                Some("poweroff") => StopReason::Guest,
                Some("crash") => StopReason::Crashed,
                Some("reboot") => StopReason::NotStarted,
                _ => continue,
            };
            let _ = std::fs::remove_file(&path);
            if let Some(id) = id
                && self.change(id, |machine| machine.stop(reason)).is_ok()
            {
                ended.push(id);
            }
        }
        ended
    }

    pub fn observe(&self, target: &Target) -> Result<Observed, Fault> {
        let Some(machine) = self.lock().get(&target.id).cloned() else { return Ok(Observed::default()) };
        let mut observed = machine.observed.clone();
        if let (Some(live), Some(spec), Some(policy)) =
            (live_mut(&mut observed), &target.spec, &machine.policy)
        {
            let weighed = target.cpu_weight.is_none() || machine.weight == target.cpu_weight;
            live.cpu_in_force = weighed && same_cpu(policy, &spec.policy);
            let weighed = target.disk_weight.is_none() || machine.disk_weight == target.disk_weight;
            live.disk_in_force = weighed && same_disk(policy, &spec.policy);
            live.network_in_force = machine.attached_generation == target.generation;
        }
        Ok(observed)
    }

    pub async fn execute(
        &self,
        target: &Target,
        action: Action,
        progress: Progress<'_>,
    ) -> Result<Done, Fault> {
        let sim = &self.config.sim;
        let steps = match action {
            Action::CreateVolume { .. } => 4,
            _ => 1,
        };
        for step in 1..=steps {
            tokio::time::sleep(Duration::from_millis(sim.delay_ms)).await;
            if let Action::CreateVolume { .. } = action {
                let step_name = if step < 3 { Step::FetchingImage } else { Step::CreatingVolume };
                progress(step_name, if step % 2 == 1 { 50 } else { 100 });
            }
        }
        if sim.fail_one_in > 0 && rand::rng().random_ratio(1, sim.fail_one_in) {
            return Err(Fault::passing(FailureCode::HypervisorUnavailable, "a simulated failure"));
        }
        if action == Action::Shutdown {
            let patience = self.config.timing.shutdown * 1000;
            tokio::time::sleep(Duration::from_millis(sim.shutdown_ms.min(patience))).await;
        }
        self.admit(target, action)?;
        let refused = Fault::permanent;
        let merging = self.page_merging.load(Ordering::Relaxed);
        let act = |machine: &mut Machine| {
            machine.act(target, action)?;
            if action == Action::Start {
                machine.mergeable = merging;
            }
            Ok(())
        };
        self.change(target.id, act)?
            .map_err(|why: Refused| refused(FailureCode::HypervisorRefused, format!("{action:?}: {why}")))?;
        Ok(Done::Done)
    }

    /// The simulated host has an end, too.
    fn admit(&self, target: &Target, action: Action) -> Result<(), Fault> {
        let machines = self.lock();
        let others = || machines.iter().filter(|(id, _)| **id != target.id);
        match (action, &target.spec) {
            (Action::Start, Some(spec)) => {
                // What is idle can be had back; what is in use must be there.
                let in_use = |(id, machine): (&Uuid, &Machine)| {
                    machine.policy.as_ref().map(|policy| self.working_set(*id, policy.memory.size))
                };
                let used: MiB = others().filter_map(in_use).sum();
                let needed = self.working_set(target.id, spec.policy.memory.size);
                if (used + needed).get() > self.config.sim.memory_mib {
                    return Err(Fault::passing(FailureCode::HostMemory, "the simulated memory is used up"));
                }
            }
            (Action::CreateVolume { size, .. }, _) => {
                let volumes = others().flat_map(|(_, machine)| &machine.observed.volumes);
                let used: MiB = volumes.map(|volume| volume.size).sum();
                if (used + size).get() > self.config.sim.storage_mib {
                    return Err(Fault::passing(FailureCode::StorageFull, "the simulated storage is full"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub fn applied(&self, target: &Target) -> Option<Applied> {
        let (policy, weight, disk_weight) = {
            let machines = self.lock();
            let machine = machines.get(&target.id)?;
            (machine.policy.clone()?, machine.weight, machine.disk_weight)
        };
        let mut drift = Vec::new();
        if target.cpu_weight.is_some_and(|wanted| weight != Some(wanted)) {
            drift.push("cpu.shares".into());
        }
        if target.disk_weight.is_some_and(|wanted| disk_weight != Some(wanted)) {
            drift.push("disk.shares".into());
        }
        if let Some(spec) = &target.spec {
            let wanted = &spec.policy;
            if policy.cpu.vcpus != wanted.cpu.vcpus {
                drift.push("cpu.vcpus".into());
            }
            if policy.memory.size != wanted.memory.size {
                drift.push("memory.size".into());
            }
        }
        Some(Applied { policy, drift })
    }

    pub fn usage(&self, id: Uuid) -> Option<(Usage, NetworkReading)> {
        let machines = self.lock();
        let machine = machines.get(&id)?;
        let policy = machine.policy.as_ref()?;
        // A guest that uses a tenth of its vCPUs and waits for a hundredth of that, half of its memory, and a steady trickle.
        let seconds = (facts::unix_now() - machine.started_unix).max(0).unsigned_abs();
        let usage = Usage {
            cpu_nanoseconds: seconds * u64::from(policy.cpu.vcpus) * 100_000_000,
            cpu_steal_nanoseconds: seconds * u64::from(policy.cpu.vcpus) * 1_000_000,
            memory_resident_mib: machine.left().get(),
            memory_unused_mib: machine.left().saturating_sub(self.working_set(id, policy.memory.size)).get(),
            balloon_mib: machine.left().get(),
            disk_read_bytes: seconds * 40_960,
            disk_write_bytes: seconds * 81_920,
            disk_read_operations: seconds * 10,
            disk_write_operations: seconds * 20,
            ..Usage::default()
        };
        Some((usage, NetworkReading { in_bytes: seconds * 125_000, out_bytes: seconds * 250_000 }))
    }

    pub fn qualification_news(&self) -> watch::Receiver<Qualification> {
        self.qualification.subscribe()
    }

    /// See [`super::Hypervisor::packets`].
    pub fn packets(&self, id: Uuid) -> Option<u64> {
        let (_, network) = self.usage(id)?;
        Some(if self.config.sim.unreachable { 0 } else { network.out_bytes / 1000 })
    }

    pub fn is_silent(&self) -> bool {
        self.config.sim.silent
    }

    pub fn list(&self) -> Vec<Uuid> {
        self.lock().keys().copied().collect()
    }

    pub fn facts(&self) -> HostFacts {
        let sim = &self.config.sim;
        HostFacts {
            agent_version: env!("CARGO_PKG_VERSION").into(),
            hypervisor: Hypervisor::Sim,
            hypervisor_version: "simulated".into(),
            kernel: facts::kernel(),
            cpu_model: "simulated".into(),
            cpus: sim.cpus,
            memory_mib: sim.memory_mib,
            storage_mib: sim.storage_mib,
            disk_iops: self.disk_capacity().map_or(0, Iops::get),
            uplink: "sim0".into(),
            uplink_kbit: 10_000_000,
            qualification: self.qualification.borrow().clone(),
            capabilities: Capability::ALL
                .iter()
                // Those of the machine itself are told by those who look for them.
                .filter(|capability| {
                    !matches!(
                        capability,
                        Capability::KsmOptIn | Capability::PowerGovernor | Capability::CoreParking
                    )
                })
                .map(|capability| capability.name().to_owned())
                .collect(),
            absent: Vec::new(),
        }
    }

    pub fn cpu_capacity(&self) -> MilliCpu {
        MilliCpu(u64::from(self.config.sim.cpus) * 1000)
    }

    pub fn disk_capacity(&self) -> Option<Iops> {
        Some(self.config.storage.iops.unwrap_or(Iops(1_000_000)))
    }

    pub fn load(&self) -> HostLoad {
        let machines = self.lock();
        let running = || machines.values().filter_map(|machine| machine.policy.as_ref());
        HostLoad {
            cpu_used_millicpu: running().map(|policy| u64::from(policy.cpu.vcpus) * 100).sum(),
            memory_used_mib: machines.values().map(|machine| machine.left().get()).sum(),
            storage_used_mib: machines.values().flat_map(|m| &m.observed.volumes).map(|v| v.size.get()).sum(),
            running: u32::try_from(running().count()).unwrap_or(u32::MAX),
            ..HostLoad::default()
        }
    }

    fn change<T>(&self, id: Uuid, change: impl FnOnce(&mut Machine) -> T) -> Result<T, Fault> {
        let mut machines = self.lock();
        let mut machine = machines.get(&id).cloned().unwrap_or_default();
        let result = change(&mut machine);
        let path = self.directory.join(format!("{id}.json"));
        let written = if machine.observed == Observed::default() {
            machines.remove(&id);
            durable::remove(&path)
        } else {
            let bytes = serde_json::to_vec(&machine).unwrap_or_default();
            machines.insert(id, machine);
            let aside = path.with_extension("new");
            std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, &path))
        };
        written.map_err(|error| Fault::passing(FailureCode::HypervisorUnavailable, error.to_string()))?;
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Machine>> {
        self.machines.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

type Refused = &'static str;

impl Machine {
    fn act(&mut self, target: &Target, action: Action) -> Result<(), Refused> {
        let wanted = target.spec.as_ref().map(|spec| (spec.build, spec.policy.clone()));
        let running = live(&self.observed).is_some();
        match action {
            Action::CreateVolume { build, size } => {
                if self.volume(build).is_none() {
                    self.observed.volumes.push(Volume { build, size });
                    self.observed.leftovers = true;
                }
            }
            Action::GrowVolume { build, size } => {
                if running {
                    return Err("the volume is in use");
                }
                self.grow(build, size)?;
            }
            Action::ResizeDisk(size) => {
                self.must_run()?;
                let build = self.defined.as_ref().ok_or("not defined")?.0;
                self.grow(build, size)?;
                self.set(|policy| policy.disk.size = size)?;
            }
            Action::DeleteVolume { build } => {
                let used = self.observed.domain.as_ref().is_some_and(|domain| domain.build == build);
                if running && used {
                    return Err("the volume is in use");
                }
                self.observed.volumes.retain(|volume| volume.build != build);
            }
            Action::WriteSeed => self.observed.seed = true,
            Action::RemoveSeed => self.observed.seed = false,
            Action::AttachNetwork => {
                self.observed.network = true;
                self.attached_generation = target.generation;
                let network = wanted.map(|(_, policy)| policy.network).ok_or("no network is desired")?;
                if running {
                    self.set(|policy| policy.network = network)?;
                }
            }
            Action::DetachNetwork => {
                if running {
                    return Err("the device is in use");
                }
                self.observed.network = false;
            }
            Action::Define => {
                let (build, policy) = wanted.ok_or("nothing is desired")?;
                self.volume(build).ok_or("there is no such volume")?;
                if running {
                    return Err("the domain is running");
                }
                self.defined = Some((build, policy));
                self.defined_weight = target.cpu_weight;
                let state = DomainState::Stopped(StopReason::NotStarted);
                self.observed.domain = Some(Domain { build, state });
            }
            Action::Undefine => {
                if running {
                    return Err("the domain is running");
                }
                self.observed.domain = None;
                self.defined = None;
            }
            Action::Start => {
                self.start()?;
                self.disk_weight = target.disk_weight;
            }
            Action::Shutdown => self.stop(StopReason::Guest),
            Action::Destroy => self.stop(StopReason::Destroyed),
            Action::Resume => self.must_run()?,
            Action::Reboot => {
                self.must_run()?;
                self.boots += 1;
            }
            Action::SetVcpus(vcpus) => {
                let live = live(&self.observed).ok_or("the domain is not running")?;
                if vcpus > live.max_vcpus {
                    return Err("more vCPUs than the definition allows");
                }
                self.set(|policy| policy.cpu.vcpus = vcpus)?;
                self.set_live(|live| live.vcpus = vcpus);
            }
            Action::SetMemory(memory) => {
                let live = live(&self.observed).ok_or("the domain is not running")?;
                if memory < live.boot_memory || memory > live.max_memory {
                    return Err("memory outside what the definition allows");
                }
                self.set(|policy| policy.memory.size = memory)?;
                self.set_live(|live| live.memory = memory);
            }
            Action::SetCpuLimits => {
                let cpu = wanted.ok_or("nothing is desired")?.1.cpu;
                self.weight = target.cpu_weight.or(self.weight);
                self.set(|policy| {
                    policy.cpu = jst_policy::instance::CpuPolicy { vcpus: policy.cpu.vcpus, ..cpu }
                })?;
            }
            Action::SetDiskLimits => {
                let disk = wanted.ok_or("nothing is desired")?.1.disk;
                self.disk_weight = target.disk_weight.or(self.disk_weight);
                self.set(|policy| {
                    policy.disk = jst_policy::instance::DiskPolicy { size: policy.disk.size, ..disk }
                })?;
            }
            Action::DeleteLeftovers => {
                if !self.observed.volumes.is_empty() {
                    return Err("volumes are left");
                }
                self.observed.leftovers = false;
            }
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Refused> {
        let (build, policy) = self.defined.clone().ok_or("the domain is not defined")?;
        if live(&self.observed).is_some() {
            return Err("the domain is already running");
        }
        self.volume(build).ok_or("there is no such volume")?;
        if !self.observed.network {
            return Err("the network device does not exist");
        }
        let limits = GuestLimits::for_policy(&policy);
        let live = Live {
            vcpus: policy.cpu.vcpus,
            max_vcpus: limits.max_vcpus,
            memory: policy.memory.size,
            boot_memory: limits.boot_memory,
            max_memory: limits.max_memory,
            cpu_in_force: true,
            disk_in_force: true,
            network_in_force: true,
        };
        self.observed.domain = Some(Domain { build, state: DomainState::Running(live) });
        self.policy = Some(policy);
        self.weight = self.defined_weight;
        self.started_unix = facts::unix_now();
        self.boots += 1;
        Ok(())
    }

    fn stop(&mut self, reason: StopReason) {
        if let Some(domain) = &mut self.observed.domain
            && matches!(domain.state, DomainState::Running(_) | DomainState::Paused(_))
        {
            domain.state = DomainState::Stopped(reason);
            self.policy = None;
            self.held = MiB::ZERO;
        }
    }

    fn volume(&self, build: u32) -> Option<&Volume> {
        self.observed.volumes.iter().find(|volume| volume.build == build)
    }

    fn grow(&mut self, build: u32, size: MiB) -> Result<(), Refused> {
        let volume = self.observed.volumes.iter_mut().find(|volume| volume.build == build);
        let volume = volume.ok_or("there is no such volume")?;
        if size < volume.size {
            return Err("a disk never shrinks");
        }
        volume.size = size;
        Ok(())
    }

    fn must_run(&self) -> Result<(), Refused> {
        live(&self.observed).map(|_| ()).ok_or("the domain is not running")
    }

    fn set(&mut self, change: impl FnOnce(&mut ResourcePolicy)) -> Result<(), Refused> {
        change(self.policy.as_mut().ok_or("the domain is not running")?);
        Ok(())
    }

    fn set_live(&mut self, change: impl FnOnce(&mut Live)) {
        if let Some(live) = live_mut(&mut self.observed) {
            change(live);
        }
    }
}

fn live(observed: &Observed) -> Option<&Live> {
    match &observed.domain.as_ref()?.state {
        DomainState::Running(live) | DomainState::Paused(live) => Some(live),
        DomainState::Stopped(_) => None,
    }
}

fn live_mut(observed: &mut Observed) -> Option<&mut Live> {
    match &mut observed.domain.as_mut()?.state {
        DomainState::Running(live) | DomainState::Paused(live) => Some(live),
        DomainState::Stopped(_) => None,
    }
}

fn same_cpu(a: &ResourcePolicy, b: &ResourcePolicy) -> bool {
    let (a, b) = (&a.cpu, &b.cpu);
    (a.reservation, a.limit, a.shares, a.dedicated) == (b.reservation, b.limit, b.shares, b.dedicated)
}

fn same_disk(a: &ResourcePolicy, b: &ResourcePolicy) -> bool {
    let (a, b) = (&a.disk, &b.disk);
    (a.reservation, a.shares, &a.read, &a.write) == (b.reservation, b.shares, &b.read, &b.write)
}

#[cfg(test)]
mod tests;
