//! What the server still has to be told: the latest report of each instance, and whether it was sent.

use crate::facts;
use jst_protocol::report::{HostFacts, InstanceReport, Repair, Usage};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;
use uuid::Uuid;

/// Instances in one report: far below what the server reads at most.
const BATCH: usize = 1000;
/// Repairs that wait for the server.  Beyond that the log of the agent has to do: somebody is fighting with it.
const REPAIRS: usize = 100;

#[derive(Default)]
pub struct Reports {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    instances: HashMap<Uuid, Slot>,
    facts: Option<HostFacts>,
    facts_sent: bool,
    repairs: Vec<Repair>,
}

struct Slot {
    report: InstanceReport,
    sent: bool,
}

pub struct Batch {
    pub facts: Option<HostFacts>,
    pub instances: Vec<InstanceReport>,
    pub repairs: Vec<Repair>,
    /// More is waiting than fits into one report.
    pub more: bool,
}

impl Reports {
    /// Sets the report of an instance.  Something other than its counters changed: it goes at once.
    pub fn publish(&self, report: InstanceReport) {
        let mut state = self.lock();
        match state.instances.get_mut(&report.id) {
            Some(slot) if slot.report == report => return,
            Some(slot) => *slot = Slot { report, sent: false },
            None => drop(state.instances.insert(report.id, Slot { report, sent: false })),
        }
        self.news.notify_one();
    }

    /// Somebody changed by hand what these fields stand for, and it is set again.  Who found it has logged it.
    pub fn repaired(&self, instance: Option<Uuid>, fields: Vec<String>) {
        let mut state = self.lock();
        if state.repairs.len() < REPAIRS {
            state.repairs.push(Repair { id: Uuid::now_v7(), instance, fields, at_unix: facts::unix_now() });
            self.news.notify_one();
        }
    }

    /// New counters travel with the next heartbeat.
    pub fn measure(&self, id: Uuid, usage: Option<Usage>) {
        if let Some(slot) = self.lock().instances.get_mut(&id)
            && slot.report.usage != usage
        {
            slot.report.usage = usage;
            slot.sent = false;
        }
    }

    pub fn usage(&self, id: Uuid) -> Option<Usage> {
        self.lock().instances.get(&id)?.report.usage
    }

    pub fn last(&self, id: Uuid) -> Option<InstanceReport> {
        Some(self.lock().instances.get(&id)?.report.clone())
    }

    /// The server asks again about this instance, so it does not have the answer.
    pub fn repeat(&self, id: Uuid) {
        if let Some(slot) = self.lock().instances.get_mut(&id) {
            slot.sent = false;
            self.news.notify_one();
        }
    }

    /// False when there is something about the instance that the server has not stored.
    pub fn is_told(&self, id: Uuid) -> bool {
        self.lock().instances.get(&id).is_none_or(|slot| slot.sent)
    }

    pub fn forget(&self, id: Uuid) {
        self.lock().instances.remove(&id);
    }

    pub fn set_facts(&self, facts: HostFacts) {
        let mut state = self.lock();
        if state.facts.as_ref() != Some(&facts) {
            state.facts = Some(facts);
            state.facts_sent = false;
            self.news.notify_one();
        }
    }

    /// Everything is told again: after a break the server may have lost what it had not stored.
    pub fn resend(&self) {
        let mut state = self.lock();
        state.facts_sent = false;
        for slot in state.instances.values_mut() {
            slot.sent = false;
        }
    }

    pub fn take(&self) -> Batch {
        let mut state = self.lock();
        let facts = if state.facts_sent { None } else { state.facts.clone() };
        state.facts_sent = state.facts.is_some();
        let mut instances = Vec::new();
        let mut more = false;
        for slot in state.instances.values_mut().filter(|slot| !slot.sent) {
            if instances.len() == BATCH {
                more = true;
                break;
            }
            slot.sent = true;
            instances.push(slot.report.clone());
        }
        Batch { facts, instances, repairs: state.repairs.clone(), more }
    }

    /// The batch was stored.
    pub fn stored(&self, batch: &Batch) {
        if !batch.repairs.is_empty() {
            self.lock().repairs.retain(|repair| !batch.repairs.contains(repair));
        }
    }

    /// The batch did not arrive.
    pub fn put_back(&self, batch: &Batch) {
        let mut state = self.lock();
        if batch.facts.is_some() {
            state.facts_sent = false;
        }
        for report in &batch.instances {
            if let Some(slot) = state.instances.get_mut(&report.id) {
                slot.sent = false;
            }
        }
    }

    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
