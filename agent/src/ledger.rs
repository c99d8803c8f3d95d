//! What this host was told and what it did about it, on disk: one file an instance, and one for the host.
//!
//! The ledger is what makes a crash of the agent harmless: it remembers the epoch that fences an
//! instance, the outcome of each one-shot action, and that a guest shut itself down.  A file that
//! cannot be read is set aside; the server then tells everything again, because every start of the
//! agent begins with a complete document.

use crate::durable;
use anyhow::Context as _;
use jst_policy::instance::ResourcePolicy;
use jst_policy::lifecycle::Power;
use jst_protocol::desired::{Desired, DesiredInstance, HostSettings, Presence};
use jst_protocol::report::Outcome;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub struct Ledger {
    directory: PathBuf,
    state: Mutex<State>,
}

struct State {
    meta: Meta,
    entries: HashMap<Uuid, Entry>,
    /// When counters of an entry were last written.
    counted: HashMap<Uuid, Instant>,
}

/// Traffic that a power cut of the host may leave uncounted.  A crash of the agent loses none: the devices
/// count on.
const COUNTERS_AT_RISK: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    pub revision: i64,
    #[serde(default)]
    pub host: HostSettings,
    /// Last epoch of every instance whose deletion was acknowledged.  Ids are never used again, so
    /// that a late document cannot bring one back.
    #[serde(default)]
    pub graves: BTreeMap<Uuid, i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub desired: DesiredInstance,
    #[serde(default)]
    pub memo: Memo,
}

/// What the agent itself must remember about an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memo {
    /// The generation at which the guest powered itself off; only a newer one starts it again.
    #[serde(default)]
    pub guest_stopped_at_generation: Option<i64>,
    /// The agent is stopping the guest, or has: a power-off now is not the guest's own wish.
    #[serde(default)]
    pub stopping: bool,
    /// A crash was noted, and the start that follows is the agent's own.
    #[serde(default)]
    pub restarting: bool,
    /// Unix times of the latest crashes.
    #[serde(default)]
    pub crashes: Vec<i64>,
    /// The generation at which a crash ended the restarts.
    #[serde(default)]
    pub crashed_at_generation: Option<i64>,
    /// The build from which the guest has come up at least once.
    #[serde(default)]
    pub alive_build: Option<u32>,
    /// The build from which the guest has booted, and whose seed is gone.
    #[serde(default)]
    pub booted_build: Option<u32>,
    #[serde(default)]
    pub actions: BTreeMap<Uuid, Outcome>,
    #[serde(default)]
    pub network: NetworkBase,
}

/// Turns counters that end with their device into counters that never go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkBase {
    pub in_base: u64,
    pub out_base: u64,
    pub in_last: u64,
    pub out_last: u64,
}

impl NetworkBase {
    /// Takes a new reading and returns the totals, towards the guest and from it.
    pub fn advance(&mut self, in_bytes: u64, out_bytes: u64) -> (u64, u64) {
        if in_bytes < self.in_last || out_bytes < self.out_last {
            self.in_base += self.in_last;
            self.out_base += self.out_last;
        }
        self.in_last = in_bytes;
        self.out_last = out_bytes;
        self.totals()
    }

    pub fn totals(&self) -> (u64, u64) {
        (self.in_base + self.in_last, self.out_base + self.out_last)
    }
}

/// What a document changed.
#[derive(Debug, Default)]
pub struct Accepted {
    pub changed: Vec<Uuid>,
    /// In the ledger but absent from a complete document: left alone, and told to the operator.
    pub unlisted: Vec<Uuid>,
}

impl Ledger {
    /// Opens the ledger.  The second value is true when something was damaged and set aside.
    pub fn open(data_dir: &Path) -> anyhow::Result<(Self, bool)> {
        let directory = data_dir.join("ledger");
        durable::make_directory(&directory, 0o700)?;
        let mut damaged = false;
        let mut entries = HashMap::new();
        let mut meta = Meta::default();
        for file in std::fs::read_dir(&directory).context("the ledger cannot be listed")? {
            let path = file?.path();
            let (Some(stem), Some("json")) =
                (path.file_stem().and_then(|s| s.to_str()), path.extension().and_then(|s| s.to_str()))
            else {
                continue;
            };
            if stem == "meta" {
                match read(&path)? {
                    Some(read) => meta = read,
                    None => damaged = true,
                }
            } else if let Ok(id) = stem.parse::<Uuid>() {
                match read::<Entry>(&path)? {
                    Some(entry) if entry.desired.id == id => drop(entries.insert(id, entry)),
                    Some(_) => set_aside(&path)?,
                    None => damaged = true,
                }
            }
        }
        Ok((Self { directory, state: Mutex::new(State { meta, entries, counted: HashMap::new() }) }, damaged))
    }

    pub fn revision(&self) -> i64 {
        self.lock().meta.revision
    }

    pub fn host(&self) -> HostSettings {
        self.lock().meta.host.clone()
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.lock().entries.keys().copied().collect()
    }

    pub fn get(&self, id: Uuid) -> Option<Entry> {
        self.lock().entries.get(&id).cloned()
    }

    /// Something of the policy of every guest that is desired to run, such as what it claims of a resource.
    pub fn running<T>(&self, of: impl Fn(&ResourcePolicy) -> T) -> Vec<(Uuid, T)> {
        let state = self.lock();
        let part = |entry: &Entry| match &entry.desired.presence {
            Presence::Present { power: Power::Running, spec } => Some(of(&spec.policy)),
            Presence::Present { power: Power::Stopped, .. }
            | Presence::Retained { .. }
            | Presence::Deleted => None,
        };
        state.entries.iter().filter_map(|(id, entry)| Some((*id, part(entry)?))).collect()
    }

    /// Takes a document: instances first, and the revision last, so that a crash in between only
    /// makes the server tell again.
    pub fn accept(&self, document: &Desired) -> anyhow::Result<Accepted> {
        let mut state = self.lock();
        let mut accepted = Accepted::default();
        for desired in &document.instances {
            if !is_news(&state, desired) {
                if is_repeated_tombstone(&state, desired) {
                    accepted.changed.push(desired.id);
                }
                continue;
            }
            let memo = match state.entries.get(&desired.id) {
                // A new epoch means that the instance was elsewhere: what happened here before its
                // move says nothing about it.
                Some(entry) if entry.desired.epoch == desired.epoch => entry.memo.clone(),
                Some(entry) => Memo { network: entry.memo.network, ..Memo::default() },
                None => Memo::default(),
            };
            let mut entry = Entry { desired: desired.clone(), memo };
            let listed: HashSet<Uuid> = desired.actions.iter().map(|action| action.id).collect();
            entry.memo.actions.retain(|id, _| listed.contains(id));
            self.write(&entry)?;
            state.entries.insert(desired.id, entry);
            accepted.changed.push(desired.id);
        }
        if !accepted.changed.is_empty() {
            durable::sync_directory(&self.directory)?;
        }
        if document.complete {
            let listed: HashSet<Uuid> = document.instances.iter().map(|instance| instance.id).collect();
            accepted.unlisted = state.entries.keys().filter(|id| !listed.contains(id)).copied().collect();
        }
        let meta = Meta {
            revision: document.revision,
            host: document.host.clone(),
            graves: state.meta.graves.clone(),
        };
        self.write_meta(&mut state, meta)?;
        Ok(accepted)
    }

    /// Changes what the agent remembers, durably.  Does nothing when the instance is gone.
    pub fn remember(&self, id: Uuid, change: impl FnOnce(&mut Memo)) -> anyhow::Result<()> {
        let mut state = self.lock();
        let Some(entry) = state.entries.get(&id) else { return Ok(()) };
        let mut next = entry.clone();
        change(&mut next.memo);
        if next != *entry {
            self.write(&next)?;
            durable::sync_directory(&self.directory)?;
            state.entries.insert(id, next);
        }
        Ok(())
    }

    /// Takes a reading of the network counters and returns the totals.  It is written now and then
    /// only: with hundreds of guests it would otherwise be most of what the host's disk has to flush.
    pub fn count(&self, id: Uuid, in_bytes: u64, out_bytes: u64) -> anyhow::Result<(u64, u64)> {
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(&id) else { return Ok((in_bytes, out_bytes)) };
        let before = entry.memo.network;
        let totals = entry.memo.network.advance(in_bytes, out_bytes);
        let restarted =
            entry.memo.network.in_base != before.in_base || entry.memo.network.out_base != before.out_base;
        let changed = entry.memo.network != before;
        let entry = entry.clone();
        let now = Instant::now();
        let last = *state.counted.entry(id).or_insert(now);
        if restarted || (changed && now.duration_since(last) >= COUNTERS_AT_RISK) {
            state.counted.insert(id, now);
            self.write(&entry)?;
            durable::sync_directory(&self.directory)?;
        }
        Ok(totals)
    }

    /// The server has stored that this instance is gone.
    pub fn bury(&self, id: Uuid, epoch: i64) -> anyhow::Result<bool> {
        let mut state = self.lock();
        let buried = state
            .entries
            .get(&id)
            .is_some_and(|entry| entry.desired.epoch == epoch && entry.desired.presence == Presence::Deleted);
        if buried {
            let mut meta = state.meta.clone();
            meta.graves.insert(id, epoch);
            self.write_meta(&mut state, meta)?;
            durable::remove(&self.path(id))?;
            state.entries.remove(&id);
            state.counted.remove(&id);
        }
        Ok(buried)
    }

    fn write(&self, entry: &Entry) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(entry)?;
        durable::replace_without_directory(&self.path(entry.desired.id), &bytes)
            .context("the ledger cannot be written")
    }

    fn write_meta(&self, state: &mut State, meta: Meta) -> anyhow::Result<()> {
        if meta != state.meta {
            durable::replace(&self.directory.join("meta.json"), &serde_json::to_vec(&meta)?)
                .context("the ledger cannot be written")?;
            state.meta = meta;
        }
        Ok(())
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves memory behind disk at worst: entries are replaced
        // whole, after they were written.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Epochs and generations only move forward; within a generation the list of actions may change.
fn is_news(state: &State, desired: &DesiredInstance) -> bool {
    if let Some(grave) = state.meta.graves.get(&desired.id) {
        let told_again = desired.epoch == *grave && desired.presence == Presence::Deleted;
        if desired.epoch <= *grave && !told_again {
            tracing::warn!(instance = %desired.id, "a document names a deleted instance; ignored");
            return false;
        }
    }
    match state.entries.get(&desired.id) {
        None => true,
        Some(entry) => {
            (desired.epoch, desired.generation) >= (entry.desired.epoch, entry.desired.generation)
                && *desired != entry.desired
        }
    }
}

/// A tombstone that comes again was not acknowledged: it is to be answered again.
fn is_repeated_tombstone(state: &State, desired: &DesiredInstance) -> bool {
    desired.presence == Presence::Deleted
        && state.entries.get(&desired.id).is_some_and(|entry| entry.desired == *desired)
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "damaged ledger file set aside");
            set_aside(path)?;
            Ok(None)
        }
    }
}

fn set_aside(path: &Path) -> anyhow::Result<()> {
    std::fs::rename(path, path.with_extension("damaged"))?;
    Ok(())
}

#[cfg(test)]
mod tests;
