//! Simulated hosts: what guests really have, which the platform learns from reports alone, late, twice, or never.

use jst_policy::instance::ResourcePolicy;
use jst_policy::lifecycle::Power;
use jst_protocol::desired::{DesiredInstance, InstanceSpec, OneShotKind, Presence};
use jst_protocol::report::{ActionReport, Applied, FailureCode, InstanceReport, Observed, Outcome, Step};
use jst_server::ids::HostId;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Reports that may come again.
const REMEMBERED: usize = 40;

pub struct Host {
    pub id: HostId,
    /// Out of reach: it hears nothing and says nothing.  Its guests run on.
    pub lost: bool,
    /// In the order of their ids, so that a seed means the same another time.
    pub guests: BTreeMap<Uuid, Guest>,
    /// Made and not delivered.
    outbox: Vec<Letter>,
    /// Delivered.
    sent: Vec<Letter>,
}

/// A report, and the how-manieth of all that were made.
#[derive(Clone)]
pub struct Letter {
    pub serial: u64,
    pub report: InstanceReport,
}

/// One instance on its host.
#[derive(Clone, Default)]
pub struct Guest {
    /// What its host was told last.
    told: Option<DesiredInstance>,
    /// What is in force in the running guest.
    pub running: Option<ResourcePolicy>,
    /// In MiB, once there is a volume.
    pub disk: Option<u64>,
    build: u32,
    /// It stopped by itself in this generation, and is started again for a newer one only.
    stopped_in: Option<i64>,
    /// It could not be made in this generation, for good: nothing is tried again.
    given_up_in: Option<i64>,
    /// The newest report that was delivered, and what it said was in force.
    pub newest: u64,
    pub seen: Option<ResourcePolicy>,
    /// The generation of which the newest report said that all is as desired; none after an older one was heard.
    pub settled: Option<i64>,
}

impl Host {
    pub fn new(id: HostId) -> Self {
        Self { id, lost: false, guests: BTreeMap::new(), outbox: Vec::new(), sent: Vec::new() }
    }

    /// The host hears what is desired.
    pub fn hear(&mut self, desired: Vec<DesiredInstance>) {
        for told in desired {
            let guest = self.guests.entry(told.id).or_default();
            if guest.told.as_ref().is_none_or(|before| before.generation <= told.generation) {
                guest.told = Some(told);
            }
        }
    }

    /// One of its guests, at random.
    pub fn any(&self, random: &mut StdRng) -> Option<Uuid> {
        (!self.guests.is_empty())
            .then(|| random.random_range(0..self.guests.len()))
            .and_then(|index| self.guests.keys().nth(index).copied())
    }

    pub fn post(&mut self, serial: u64, report: InstanceReport) {
        self.outbox.push(Letter { serial, report });
    }

    /// One of the reports that wait, in no order; some stay and come again.
    pub fn deliver(&mut self, random: &mut StdRng) -> Option<Letter> {
        if self.outbox.is_empty() {
            return None;
        }
        let index = random.random_range(0..self.outbox.len());
        let letter = self.outbox[index].clone();
        if random.random_ratio(9, 10) {
            self.outbox.remove(index);
        }
        self.sent.push(letter.clone());
        if self.sent.len() > REMEMBERED {
            self.sent.remove(0);
        }
        Some(letter)
    }

    /// What was delivered last of the instances that are named.
    pub fn said_of(&self, named: &str) -> Vec<String> {
        let of = |letter: &&Letter| named.contains(&letter.report.id.to_string());
        let said = |Letter { serial, report }: &Letter| {
            let has = report.applied.as_ref().map(|has| (has.policy.cpu.vcpus, has.policy.memory.size.get()));
            let (generation, observed) = (report.generation, report.observed);
            format!("report {serial} of generation {generation}: {observed:?} {has:?}, {:?}", report.outcome)
        };
        self.sent.iter().filter(of).map(said).collect()
    }

    /// One that was delivered before.
    pub fn repeat(&self, random: &mut StdRng) -> Option<Letter> {
        (!self.sent.is_empty()).then(|| self.sent[random.random_range(0..self.sent.len())].clone())
    }
}

impl Guest {
    /// Does what was told, or a part of it, and says how that went; nothing when nothing was told.
    pub fn act(&mut self, random: &mut StdRng) -> Option<InstanceReport> {
        let told = self.told.clone()?;
        let mut report = InstanceReport {
            id: told.id,
            epoch: told.epoch,
            generation: told.generation,
            observed: Observed::Absent,
            outcome: Outcome::Applied,
            actions: Vec::new(),
            applied: None,
            usage: None,
        };
        match &told.presence {
            Presence::Deleted => (self.running, self.disk) = (None, None),
            Presence::Retained { .. } => self.running = None,
            Presence::Present { power, spec } => {
                self.once(&told, spec, &mut report);
                report.outcome = self.keep(*power, spec, told.generation, random);
            }
        }
        self.describe(&mut report);
        Some(report)
    }

    /// One-shot actions.
    fn once(&mut self, told: &DesiredInstance, spec: &InstanceSpec, report: &mut InstanceReport) {
        for action in &told.actions {
            match action.kind {
                OneShotKind::PowerOff => self.running = None,
                OneShotKind::PowerCycle if self.running.is_some() => self.running = Some(spec.policy.clone()),
                _ => {}
            }
            report.actions.push(ActionReport { id: action.id, outcome: Outcome::Applied });
        }
    }

    fn keep(&mut self, power: Power, spec: &InstanceSpec, generation: i64, random: &mut StdRng) -> Outcome {
        let wanted = spec.policy.disk.size.get();
        if self.given_up_in == Some(generation) {
            return failed(true);
        }
        if self.disk.is_none() && random.random_ratio(1, 12) {
            let permanent = random.random_ratio(1, 2);
            self.given_up_in = permanent.then_some(generation);
            return failed(permanent);
        }
        if self.build != spec.build {
            // A new disk, and a new process on it.
            (self.running, self.disk, self.build) = (None, None, spec.build);
        }
        self.disk = Some(self.disk.unwrap_or(wanted).max(wanted));
        if power == Power::Stopped {
            self.running = None;
            return Outcome::Applied;
        }
        match self.running.take() {
            None if self.stopped_in == Some(generation) => Outcome::Applied,
            None if random.random_ratio(1, 20) => failed(false),
            None => {
                self.running = Some(spec.policy.clone());
                Outcome::Applied
            }
            Some(has) => {
                let (has, outcome) = adjust(has, spec, generation, random);
                self.running = Some(has);
                outcome
            }
        }
    }

    /// The guest ends by itself; only what the host says of it is left.
    pub fn stop(&mut self, observed: Observed) -> Option<InstanceReport> {
        let told = self.told.as_ref()?;
        self.running.take()?;
        self.stopped_in = Some(told.generation);
        let mut report = InstanceReport {
            id: told.id,
            epoch: told.epoch,
            generation: told.generation,
            observed: Observed::Absent,
            outcome: Outcome::Applied,
            actions: Vec::new(),
            applied: None,
            usage: None,
        };
        self.describe(&mut report);
        report.observed = observed;
        Some(report)
    }

    /// What is seen, and read back.
    fn describe(&self, report: &mut InstanceReport) {
        report.observed = match (&self.running, self.disk) {
            (Some(_), _) => Observed::Running,
            (None, Some(_)) => Observed::Stopped,
            (None, None) => Observed::Absent,
        };
        let Some(Presence::Present { spec, .. }) = self.told.as_ref().map(|told| &told.presence) else {
            return;
        };
        if let (Some(has), false) = (&self.running, matches!(report.outcome, Outcome::Progress { .. })) {
            report.applied = Some(Applied { policy: has.clone(), drift: drift(has, &spec.policy) });
        }
    }

    /// Nothing is left of it, and the platform was told so.
    pub fn is_gone(&self) -> bool {
        // A late report of an older generation leaves it where it is: forgotten, it would believe still older ones.
        let deleted = self.told.as_ref().filter(|told| told.presence == Presence::Deleted);
        self.disk.is_none() && deleted.is_some_and(|told| self.settled == Some(told.generation))
    }

    /// What a delivered report teaches: the newest of those that were made says what is in force.
    pub fn heard(&mut self, letter: &Letter) {
        let report = &letter.report;
        self.settled = None;
        if letter.serial < self.newest {
            return;
        }
        self.newest = letter.serial;
        let settled = report.outcome == Outcome::Applied
            && report.applied.as_ref().is_none_or(|applied| applied.drift.is_empty());
        self.settled = settled.then_some(report.generation);
        match (&report.applied, report.observed) {
            (Some(applied), _) => self.seen = Some(applied.policy.clone()),
            (None, Observed::Running) => {}
            (None, _) => self.seen = None,
        }
    }
}

fn failed(permanent: bool) -> Outcome {
    Outcome::Failed { code: FailureCode::HostMemory, detail: String::new(), permanent }
}

/// A running guest is asked to become what is desired: it may refuse to give anything up, the change may fail half-way, its
/// limits may not take, or it is still on its way.
fn adjust(
    mut has: ResourcePolicy,
    spec: &InstanceSpec,
    generation: i64,
    random: &mut StdRng,
) -> (ResourcePolicy, Outcome) {
    let wanted = &spec.policy;
    match random.random_range(0..10) {
        0 => return (has, Outcome::Progress { step: Step::Resizing, percent: 50 }),
        1 => {
            has.memory.size = has.memory.size.max(wanted.memory.size);
            return (has, failed(generation > 1 && random.random_ratio(1, 4)));
        }
        2 => {}
        _ => has.network = wanted.network.clone(),
    }
    let gives = random.random_ratio(1, 2);
    if gives || wanted.cpu.vcpus > has.cpu.vcpus {
        has.cpu.vcpus = wanted.cpu.vcpus;
    }
    if gives || wanted.memory.size > has.memory.size {
        has.memory.size = wanted.memory.size;
    }
    has.cpu.reservation = wanted.cpu.reservation;
    has.memory.reservation = wanted.memory.reservation;
    has.disk = wanted.disk.clone();
    let mut fields = Vec::new();
    if has.cpu.vcpus != wanted.cpu.vcpus {
        fields.push("cpu.vcpus".to_owned());
    }
    if has.memory.size != wanted.memory.size {
        fields.push("memory.size".to_owned());
    }
    let outcome = if fields.is_empty() { Outcome::Applied } else { Outcome::RestartRequired { fields } };
    (has, outcome)
}

fn drift(has: &ResourcePolicy, wanted: &ResourcePolicy) -> Vec<String> {
    let differs = [
        ("cpu.vcpus", has.cpu.vcpus != wanted.cpu.vcpus),
        ("memory.size", has.memory.size != wanted.memory.size),
        ("disk.size", has.disk.size != wanted.disk.size),
        ("network.outbound.average", has.network != wanted.network),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()).collect()
}
