//! Power of this host: reads its processors, asks `jst_policy::power` which governor they should have and
//! which of them may sleep, and sets what differs.
//!
//! ```text
//!             the operator wants it          does not any more, or the agent stops
//!   hands off ---------------------> claimed --------------------------------------> hands off
//! ```
//!
//! What was there before is kept in a file for as long as it is ours, and then put back.  Parked processors
//! need somebody who brings them back, so they come back when the agent stops, and when it starts after it was
//! killed; only then it counts what it may offer.
//!
//! A processor that somebody else took offline is none of ours, and stays so.

mod energy;

use crate::config::Config;
use crate::durable;
use crate::facts;
use crate::ledger::Ledger;
use anyhow::{Context as _, bail};
use energy::Meter;
use jst_policy::instance::ResourcePolicy;
use jst_policy::placement::Capability;
use jst_policy::power::{Core, Governor, Saving, Standing, step};
use jst_policy::units::MilliCpu;
use jst_protocol::report::{AbsentCapability, HostFacts, HostLoad};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

pub struct Processors {
    /// The kernel's directory.
    kernel: PathBuf,
    energy: PathBuf,
    proc: PathBuf,
    /// What was there before; it is ours while the file exists.
    claim: PathBuf,
    /// Why this host's processors are not parked, whatever the operator wants.
    unparkable: Option<String>,
    look: Notify,
    /// The agent stops, and a step that is still under way must not begin.  Also held during each.
    stopped: Mutex<bool>,
}

/// How power stands, for the report on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    pub governor: Option<Governor>,
    pub parked: u32,
    pub watts: Option<u32>,
}

impl Draw {
    pub fn add_to(&self, load: HostLoad) -> HostLoad {
        HostLoad { governor: self.governor, parked_cores: self.parked, watts: self.watts, ..load }
    }
}

/// What was there before it was ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    /// By the processor's number.
    governors: BTreeMap<u32, String>,
    parked: BTreeSet<u32>,
}

/// A processor as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    online: bool,
    /// It can be taken offline.
    hotplug: bool,
    governor: Option<String>,
    governors: Vec<Governor>,
}

/// What a step needs to know beyond the processors.
struct Need {
    saving: Saving,
    busy: MilliCpu,
    peak: Option<MilliCpu>,
    reserved: MilliCpu,
    /// A guest has processors of its own, and which these are is not known here.
    dedicated: bool,
}

impl Processors {
    /// Brings back what an earlier agent left parked.
    pub fn open(config: &Config) -> Arc<Self> {
        let sysfs = config.machine_sysfs();
        let processors = Self {
            kernel: sysfs.join("devices/system/cpu"),
            energy: sysfs.join("class/powercap"),
            proc: config.proc_root.clone(),
            claim: config.data_dir.join("power-saving"),
            unparkable: why_not_to_park(config),
            look: Notify::new(),
            stopped: Mutex::default(),
        };
        if let Err(error) = processors.wake_all() {
            tracing::error!(error = format!("{error:#}"), "parked processors were not brought back");
        }
        Arc::new(processors)
    }

    /// Something changed that a step should know soon: guests, or what the operator wants.
    pub fn look(&self) {
        self.look.notify_one();
    }

    /// Adds to what the host can do, or to what it lacks.
    pub fn add_to(&self, facts: &mut HostFacts) {
        let found = self.read().unwrap_or_default();
        let parking = match &self.unparkable {
            Some(reason) => Err(reason.clone()),
            None => self.may_write("online", found.iter().filter(|(_, core)| core.hotplug)),
        };
        let governing = self
            .may_write("cpufreq/scaling_governor", found.iter().filter(|(_, core)| core.governors.len() > 1));
        for (capability, present) in
            [(Capability::PowerGovernor, governing), (Capability::CoreParking, parking)]
        {
            let capability = capability.name().to_owned();
            match present {
                Ok(()) => facts.capabilities.push(capability),
                Err(reason) => facts.absent.push(AbsentCapability { capability, reason }),
            }
        }
    }

    /// Whether there is anything to control by this file, and it may be written.
    fn may_write<'a>(
        &self,
        file: &str,
        mut cores: impl Iterator<Item = (&'a u32, &'a Found)>,
    ) -> Result<(), String> {
        let (number, _) = cores.next().ok_or_else(|| format!("no processor has a choice of {file}"))?;
        let path = self.core(*number).join(file);
        match fs::OpenOptions::new().write(true).open(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Puts back what was there before, and lets go.  Harmless where nothing is ours.
    fn release(&self) -> anyhow::Result<()> {
        let Some(claim) = self.claimed()? else { return Ok(()) };
        self.wake_all()?;
        for (number, governor) in &claim.governors {
            // A processor may have been taken out meanwhile.
            if self.core(*number).join("cpufreq").exists() {
                self.put(*number, "cpufreq/scaling_governor", governor)?;
            }
        }
        durable::remove(&self.claim)?;
        tracing::info!("processors have the governors that they had before, and none is parked");
        Ok(())
    }

    /// All that we parked come back.
    fn wake_all(&self) -> anyhow::Result<()> {
        let Some(mut claim) = self.claimed()? else { return Ok(()) };
        for number in std::mem::take(&mut claim.parked) {
            if self.core(number).exists() {
                self.put(number, "online", "1")?;
            }
        }
        self.keep_claim(&claim)
    }

    /// The agent stops: nobody would bring processors back.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if let Err(error) = self.release() {
            tracing::error!(error = format!("{error:#}"), "processors are not as they were before");
        }
    }

    /// One step; how power stands after it.
    fn step(&self, need: &Need) -> anyhow::Result<Draw> {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if *stopped {
            return Ok(Draw::default());
        }
        if matches!(need.saving, Saving::Off | Saving::Unknown) {
            self.release()?;
            let governor = common(&self.read()?);
            return Ok(Draw { governor, ..Draw::default() });
        }
        let found = self.read()?;
        let mut claim = match self.claimed()? {
            Some(claim) => claim,
            None => {
                let governor = |(number, core): (&u32, &Found)| Some((*number, core.governor.clone()?));
                let governors = found.iter().filter_map(governor).collect();
                let claim = Claim { governors, ..Claim::default() };
                self.keep_claim(&claim)?;
                claim
            }
        };
        // Somebody else's hand may have brought one back.
        claim.parked.retain(|number| found.get(number).is_some_and(|core| !core.online));
        let parking = self.unparkable.is_none() && !need.dedicated;
        let saving = if parking { need.saving } else { Saving::Governor };
        let ours = found.iter().filter(|(number, core)| core.online || claim.parked.contains(number));
        let cores = ours
            .clone()
            .map(|(&number, core)| Core { number, online: core.online, fixed: number == 0 || !core.hotplug })
            .collect();
        let standing = Standing {
            saving,
            busy: need.busy,
            peak: need.peak,
            reserved: need.reserved,
            cores,
            governors: choices(&found),
            governor: common(&found),
        };
        let step = step(&standing);
        let parked: BTreeSet<u32> =
            ours.map(|(number, _)| *number).filter(|number| !step.online.contains(number)).collect();
        let coming: Vec<u32> = claim.parked.difference(&parked).copied().collect();
        for &number in &coming {
            self.put(number, "online", "1")?;
        }
        if parked != claim.parked {
            tracing::info!(
                ?parked,
                busy = need.busy.get(),
                reserved = need.reserved.get(),
                "processors are parked"
            );
        }
        let going: Vec<u32> = parked.difference(&claim.parked).copied().collect();
        let governor = step.governor.filter(|governor| *governor != Governor::Other);
        if let Some(governor) = governor {
            // Processors that came back have the kernel's own.
            for (number, core) in self.read()?.iter().filter(|(_, core)| core.online) {
                if core.governor.as_deref().is_some_and(|now| now != governor.name()) {
                    self.put(*number, "cpufreq/scaling_governor", governor.name())?;
                }
            }
            if standing.governor != Some(governor) {
                tracing::info!(governor = governor.name(), busy = need.busy.get(), "governor");
            }
        }
        claim.parked = parked;
        // Before it is done: whoever finds it half done brings back too many and none too few.
        self.keep_claim(&claim)?;
        for &number in &going {
            self.put(number, "online", "0")?;
        }
        let parked = u32::try_from(claim.parked.len()).unwrap_or(u32::MAX);
        Ok(Draw { governor: common(&self.read()?), parked, watts: None })
    }

    fn read(&self) -> anyhow::Result<BTreeMap<u32, Found>> {
        let entries = fs::read_dir(&self.kernel).with_context(|| self.kernel.display().to_string())?;
        let mut found = BTreeMap::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("cpu")?.parse::<u32>().ok());
            if let Some(number) = number {
                found.insert(number, read_core(&entry.path())?);
            }
        }
        Ok(found)
    }

    fn online(&self) -> u64 {
        let online = |found: BTreeMap<u32, Found>| found.values().filter(|core| core.online).count();
        self.read().map_or(0, online).max(1) as u64
    }

    fn claimed(&self) -> anyhow::Result<Option<Claim>> {
        match fs::read(&self.claim) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| {
                format!(
                    "{} cannot be read; look which processors are offline, set them right, and remove it",
                    self.claim.display()
                )
            })?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| self.claim.display().to_string()),
        }
    }

    fn keep_claim(&self, claim: &Claim) -> anyhow::Result<()> {
        if self.claimed()?.as_ref() == Some(claim) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(claim)?;
        durable::replace(&self.claim, &bytes)
            .with_context(|| format!("cannot write {}", self.claim.display()))
    }

    fn core(&self, number: u32) -> PathBuf {
        self.kernel.join(format!("cpu{number}"))
    }

    /// Writes a file of a processor, and reads it back.
    fn put(&self, number: u32, file: &str, value: &str) -> anyhow::Result<()> {
        let path = self.core(number).join(file);
        fs::write(&path, value).with_context(|| format!("cannot write {value} to {}", path.display()))?;
        let back = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        if back.trim() != value {
            bail!("{value} was written to {}, and {:?} is read back", path.display(), back.trim());
        }
        Ok(())
    }
}

/// On such hosts parking would take from guests what nobody gives back.
fn why_not_to_park(config: &Config) -> Option<String> {
    if config.guest_cpus.is_some() {
        return Some("guest_cpus lays the processors out, and they stay as they are laid out".into());
    }
    // Its sets forget a processor that goes offline, and do not take it back when it returns.
    if config.cgroup_root.join("cpuset").exists() {
        return Some(
            "with cgroup v1 guests would lose a parked processor for good; cgroup v2 keeps it for them"
                .into(),
        );
    }
    None
}

fn read_core(path: &Path) -> anyhow::Result<Found> {
    let text = |file: &str| match fs::read_to_string(path.join(file)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.join(file).display().to_string()),
    };
    let online = text("online")?;
    let governors = text("cpufreq/scaling_available_governors")?.unwrap_or_default();
    Ok(Found {
        online: match online.as_deref() {
            // The first processor often has no such file.
            None | Some("1") => true,
            Some("0") => false,
            Some(other) => bail!("{}: {other:?} is neither 0 nor 1", path.join("online").display()),
        },
        hotplug: online.is_some(),
        governor: text("cpufreq/scaling_governor")?,
        governors: governors.split_whitespace().map(Governor::from_name).collect(),
    })
}

/// Governors that every processor that is online can have.
fn choices(found: &BTreeMap<u32, Found>) -> Vec<Governor> {
    let mut online = found.values().filter(|core| core.online);
    let Some(first) = online.next() else { return Vec::new() };
    let others: Vec<&Found> = online.collect();
    let all = |governor: &&Governor| others.iter().all(|core| core.governors.contains(governor));
    first.governors.iter().filter(all).copied().collect()
}

/// The governor that all processors have that are online.
fn common(found: &BTreeMap<u32, Found>) -> Option<Governor> {
    let mut names = found.values().filter(|core| core.online).map(|core| core.governor.as_deref());
    let first = names.next()??;
    if names.all(|name| name == Some(first)) {
        Some(Governor::from_name(first))
    } else {
        Some(Governor::Other)
    }
}

/// What it must have been calm for.
const MINUTE: Duration = Duration::from_secs(60);

/// Takes a step every `period`, and whenever it is told to look, for ever.
pub async fn keep(
    processors: Arc<Processors>,
    ledger: Arc<Ledger>,
    period: Duration,
    draw: watch::Sender<Draw>,
) {
    let readings = (MINUTE.as_millis() / period.as_millis().max(1)).max(1) as usize;
    let mut lately: VecDeque<MilliCpu> = VecDeque::new();
    let mut meter = Meter::new(processors.energy.clone());
    let mut told = String::new();
    let mut before = facts::busy_ticks_below(&processors.proc);
    loop {
        let pause = tokio::time::sleep(period);
        let regular = tokio::select! {
            () = pause => true,
            () = processors.look.notified() => false,
        };
        let after = facts::busy_ticks_below(&processors.proc);
        // A look out of turn has too short a time behind it to say anything of the load.
        if regular {
            let busy = facts::part_of(before, after, processors.online() * 1000);
            if after.1 <= before.1 {
                // Nothing was counted, and nothing is known: the minute begins anew.
                lately.clear();
            } else {
                lately.push_back(MilliCpu(busy));
            }
            before = after;
            if lately.len() > readings {
                lately.pop_front();
            }
        }
        let need = need(&ledger, &lately, readings);
        let stepped = {
            let processors = processors.clone();
            // Taking a processor offline blocks for milliseconds.
            tokio::task::spawn_blocking(move || processors.step(&need)).await
        };
        match stepped.map_err(anyhow::Error::from).and_then(|stepped| stepped) {
            Ok(now) => {
                told.clear();
                let watts = if regular { meter.watts() } else { draw.borrow().watts };
                draw.send_replace(Draw { watts, ..now });
            }
            Err(error) => {
                let error = format!("{error:#}");
                // Once, and not every few seconds.
                if told != error {
                    tracing::warn!(error, "power cannot be managed; it is tried again");
                    told = error;
                }
            }
        }
    }
}

fn need(ledger: &Ledger, lately: &VecDeque<MilliCpu>, readings: usize) -> Need {
    let claims = ledger.running(ResourcePolicy::cpu_claim);
    Need {
        saving: ledger.host().power_saving,
        busy: lately.back().copied().unwrap_or_default(),
        peak: lately.iter().max().copied().filter(|_| lately.len() >= readings),
        reserved: MilliCpu(claims.iter().map(|(_, claim)| claim.reservation).sum()),
        dedicated: ledger.running(|policy| policy.cpu.dedicated).iter().any(|(_, dedicated)| *dedicated),
    }
}

#[cfg(test)]
mod tests;
