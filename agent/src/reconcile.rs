//! Brings every instance to its desired state: one task an instance, woken by a document, an event or
//! the clock.  A task takes no input but its id; it reads the ledger, looks at the host, and asks
//! `jst_policy::converge` what to do.
//!
//! ```text
//!   wake -> observe -> note -> plan --no actions--> read back -> report -> sleep
//!              ^                 |
//!              +---- execute <---+      a failure reports and sleeps with a growing pause
//! ```

mod memory;
mod pass;
mod signs;

pub use memory::spec;

use crate::config::{Config, Timing};
use crate::cores::{Cores, Guest};
use crate::division::Division;
use crate::hypervisor::{Event, Hypervisor};
use crate::lease::Lease;
use crate::ledger::{Accepted, Ledger};
use crate::merging::Merger;
use crate::power::Processors;
use crate::reports::Reports;
use jst_policy::instance::ResourcePolicy;
use jst_policy::units::Iops;
use jst_protocol::desired::Presence;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// What every instance's task shares.
pub struct Context {
    pub config: Config,
    pub hypervisor: Hypervisor,
    pub ledger: Arc<Ledger>,
    pub lease: Arc<Lease>,
    pub reports: Arc<Reports>,
    pub merger: Arc<Merger>,
    pub processors: Arc<Processors>,
    /// The processors that guests may run on.
    pub cores: Cores,
    /// The weights that divide the processors, and those that divide the disk.
    pub cpu: Division,
    pub disk: Division,
    /// Which guests were seen on the network.
    signs: signs::Signs,
    /// Bounds how many instances are changed at the same time.
    pub busy: Semaphore,
    /// Instances with a higher start order may not start yet.
    pub gate: watch::Sender<i32>,
    /// Tasks whose instance is settled, for the gate.
    settled: Mutex<HashSet<Uuid>>,
    settled_news: Notify,
    /// How to wake each instance's task.
    tasks: Mutex<HashMap<Uuid, Arc<Notify>>>,
}

pub struct Reconciler {
    context: Arc<Context>,
    /// Wakes the memory manager.
    memory_news: Arc<Notify>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Context {
    pub fn new(
        config: Config,
        hypervisor: Hypervisor,
        ledger: Arc<Ledger>,
        lease: Arc<Lease>,
        reports: Arc<Reports>,
        merger: Arc<Merger>,
        processors: Arc<Processors>,
    ) -> Arc<Self> {
        let busy = Semaphore::new(config.parallel.max(1));
        let signs = signs::Signs::new(Timing::of(config.timing.boot));
        Arc::new(Self {
            config,
            hypervisor,
            ledger,
            lease,
            reports,
            merger,
            processors,
            cores: Cores::default(),
            cpu: Division::default(),
            disk: Division::default(),
            signs,
            busy,
            gate: watch::Sender::new(i32::MIN),
            settled: Mutex::default(),
            settled_news: Notify::new(),
            tasks: Mutex::default(),
        })
    }

    /// Divides processors and disk among the guests that there are now, and tells for whom something changed.
    fn divide(&self) -> Vec<Uuid> {
        let hypervisor = &self.hypervisor;
        let guests: Vec<Guest> = self
            .ledger
            .running(|policy| (policy.cpu.vcpus, policy.cpu.dedicated))
            .into_iter()
            .map(|(id, (vcpus, dedicated))| Guest { id, vcpus, dedicated })
            .collect();
        let mut changed = self.cores.renew(&hypervisor.processors(), &guests);
        // Who is alone on its processors needs no weight among others, and takes nothing of what they divide.
        let mut claims = self.ledger.running(ResourcePolicy::cpu_claim);
        claims.retain(|(id, _)| !self.cores.place(*id).is_some_and(|place| place.exclusive));
        let capacity = match self.cores.shared() {
            0 => hypervisor.cpu_capacity().get(),
            processors => u64::from(processors) * 1000,
        };
        changed.extend(self.cpu.renew(Some(hypervisor.cpu_scale()), Some(capacity), &claims));
        let claims = self.ledger.running(ResourcePolicy::disk_claim);
        let capacity = hypervisor.disk_capacity().map(Iops::get);
        changed.extend(self.disk.renew(hypervisor.disk_scale(), capacity, &claims));
        changed
    }

    /// After a restart of the agent guests go on where they are.
    fn find_cores(&self) {
        for (id, (vcpus, dedicated)) in self.ledger.running(|policy| (policy.cpu.vcpus, policy.cpu.dedicated))
        {
            // One that was elsewhere, with the others or moved by hand, has none of its own to keep.
            if dedicated
                && let Some(processors) = self.hypervisor.allowed(id)
                && processors.count() == vcpus
            {
                self.cores.found(id, &processors);
            }
        }
    }

    fn settle(&self, id: Uuid) {
        let mut settled = self.settled.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if settled.insert(id) {
            self.settled_news.notify_waiters();
        }
    }

    /// A task whose instance is gone asks to end.  The ledger is looked at under the lock under which
    /// tasks are woken, so that an instance told in this moment is not left without a task.
    fn may_end(&self, id: Uuid) -> bool {
        let mut tasks = self.tasks();
        let gone = self.ledger.get(id).is_none();
        if gone {
            tasks.remove(&id);
        }
        gone
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Notify>>> {
        self.tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn all_settled(&self, ids: &[Uuid]) -> bool {
        let settled = self.settled.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        ids.iter().all(|id| settled.contains(id))
    }
}

impl Reconciler {
    pub fn new(context: Arc<Context>, memory_news: Arc<Notify>, shutdown: CancellationToken) -> Self {
        Self { context, memory_news, tracker: TaskTracker::new(), shutdown }
    }

    /// Runs until shutdown, and then until every instance is between two actions.
    pub async fn run(
        self,
        mut accepted: mpsc::Receiver<(Accepted, bool)>,
        mut events: mpsc::Receiver<Event>,
    ) {
        self.context.find_cores();
        self.context.divide();
        for id in self.context.ledger.ids() {
            self.wake(id);
        }
        self.tracker.spawn(self.shutdown.clone().run_until_cancelled_owned(open_gate(self.context.clone())));
        let mut leased = self.context.lease.valid();
        let mut gate = self.context.gate.subscribe();
        let mut reweighed = Reweighed::default();
        let mut look = tokio::time::interval(Timing::of(self.context.config.timing.check.max(1)));
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                Some((changes, complete)) = accepted.recv() => {
                    let host = self.context.ledger.host();
                    self.context.merger.adopt(&host);
                    self.context.processors.look();
                    self.context.hypervisor.adopt(&host).await;
                    // Before anybody is woken: a new guest is defined with its weight among the others.
                    reweighed.add(self.context.divide());
                    self.memory_news.notify_one();
                    for id in &changes.changed {
                        self.context.reports.repeat(*id);
                        self.wake(*id);
                    }
                    if complete {
                        self.tell_strangers(&changes).await;
                    }
                }
                Some(event) = events.recv() => match event {
                    Event::Instance(id) => {
                        if let Some(task) = self.context.tasks().get(&id) {
                            task.notify_one();
                        }
                    }
                    Event::Everything => self.wake_all(),
                },
                () = reweighed.ripe() => {
                    let tasks = self.context.tasks();
                    reweighed.ids.drain().filter_map(|id| tasks.get(&id)).for_each(|task| task.notify_one());
                }
                () = self.context.lease.changed(leased) => {
                    leased = self.context.lease.valid();
                    tracing::info!(valid = leased, "lease");
                    if leased {
                        self.wake_all();
                    }
                }
                Ok(()) = gate.changed() => self.wake_all(),
                // The operator may have changed the scheduler of the storage.
                _ = look.tick() => reweighed.add(self.context.divide()),
            }
        }
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn wake_all(&self) {
        self.context.tasks().values().for_each(|task| task.notify_one());
    }

    fn wake(&self, id: Uuid) {
        let mut tasks = self.context.tasks();
        let task = tasks.entry(id).or_insert_with(|| {
            let task = Arc::new(Notify::new());
            let work = pass::keep(self.context.clone(), id, task.clone(), self.shutdown.clone());
            self.tracker.spawn(work);
            task
        });
        task.notify_one();
    }

    /// Instances that the server does not list are left alone: absence never deletes.
    async fn tell_strangers(&self, changes: &Accepted) {
        for id in &changes.unlisted {
            tracing::warn!(instance = %id, "in the ledger, but the server does not list it; left alone");
        }
        match self.context.hypervisor.list().await {
            Ok(found) => {
                let known: HashSet<Uuid> = self.context.ledger.ids().into_iter().collect();
                for id in found.into_iter().filter(|id| !known.contains(id)) {
                    tracing::warn!(instance = %id, "an orphan: on this host, but unknown to the server; left alone");
                }
            }
            Err(fault) => tracing::warn!(%fault, "orphans cannot be looked for"),
        }
    }
}

/// Guests with a new weight that is not in force yet.  They wait a moment for more of them: on a host with
/// hundreds of guests a few new ones change every weight, and each would be set once for every one.
#[derive(Default)]
struct Reweighed {
    ids: HashSet<Uuid>,
    since: Option<Instant>,
}

impl Reweighed {
    /// Long enough for what one person or program asks for at once, and short beside the 2 s in which a
    /// change is to be in force.
    const PATIENCE: Duration = Duration::from_millis(250);

    fn add(&mut self, ids: Vec<Uuid>) {
        if self.ids.is_empty() {
            self.since = Some(Instant::now());
        }
        self.ids.extend(ids);
    }

    /// Returns when the first of them has waited long enough; never when there are none.
    async fn ripe(&self) {
        match self.since {
            Some(since) if !self.ids.is_empty() => {
                tokio::time::sleep_until((since + Self::PATIENCE).into()).await
            }
            _ => std::future::pending().await,
        }
    }
}

/// Lets instances start in ascending order, group after group.  After an ordinary restart of the
/// agent all guests run, and the gate opens as fast as they can be observed.
async fn open_gate(context: Arc<Context>) {
    /// A group that cannot start must not keep the others down.
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut valid = context.lease.valid();
    while !valid {
        context.lease.changed(valid).await;
        valid = context.lease.valid();
    }
    let mut groups: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
    for id in context.ledger.ids() {
        if let Some(entry) = context.ledger.get(id)
            && let Presence::Present { spec, .. } = &entry.desired.presence
        {
            groups.entry(spec.start_order).or_default().push(id);
        }
    }
    for (order, ids) in groups {
        context.settled.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
        context.gate.send_replace(order);
        let all = async {
            loop {
                let news = context.settled_news.notified();
                if context.all_settled(&ids) {
                    return;
                }
                news.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, all).await;
    }
    context.gate.send_replace(i32::MAX);
}
