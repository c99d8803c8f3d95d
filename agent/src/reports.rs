//! What the server still has to be told: the latest report of each instance, and whether it was sent.

use crate::facts;
use jst_protocol::report::{HostFacts, InstanceReport, Receipt, RefusalReason, Repair, Usage};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
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
    facts_refusals: u32,
    facts_again_at: Option<Instant>,
    repairs: Vec<Repair>,
}

struct Slot {
    report: InstanceReport,
    sent: bool,
    /// How often in a row the server could not take it, and when it is worth another try.
    refusals: u32,
    again_at: Option<Instant>,
}

impl Slot {
    const fn new(report: InstanceReport) -> Self {
        Self { report, sent: false, refusals: 0, again_at: None }
    }

    fn is_due(&self, now: Instant) -> bool {
        !self.sent && self.again_at.is_none_or(|at| at <= now)
    }

    fn refuse(&mut self, now: Instant) {
        self.sent = false;
        self.again_at = Some(now + pause(self.refusals));
        self.refusals = self.refusals.saturating_add(1);
    }
}

/// Two seconds, doubled with each refusal, at most five minutes: the operator has to do something first.
fn pause(refusals: u32) -> Duration {
    Duration::from_secs(2 << refusals.min(8)).min(Duration::from_secs(300))
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
            // What is new may be taken where the last one was not: it does not wait.
            Some(slot) => *slot = Slot::new(report),
            None => drop(state.instances.insert(report.id, Slot::new(report))),
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
            slot.again_at = None;
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
            (state.facts_refusals, state.facts_again_at) = (0, None);
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
        let now = Instant::now();
        let due = !state.facts_sent && state.facts_again_at.is_none_or(|at| at <= now);
        let facts = if due { state.facts.clone() } else { None };
        state.facts_sent |= facts.is_some();
        let mut instances = Vec::new();
        let mut more = false;
        for slot in state.instances.values_mut().filter(|slot| slot.is_due(now)) {
            if instances.len() == BATCH {
                more = true;
                break;
            }
            slot.sent = true;
            instances.push(slot.report.clone());
        }
        Batch { facts, instances, repairs: state.repairs.clone(), more }
    }

    /// The batch was stored, but for what the receipt names.  True: some of it may come again at once.
    pub fn stored(&self, batch: &Batch, receipt: &Receipt) -> bool {
        let mut state = self.lock();
        if !batch.repairs.is_empty() {
            state.repairs.retain(|repair| !batch.repairs.contains(repair));
        }
        let now = Instant::now();
        if receipt.facts_refused {
            state.facts_sent = false;
            state.facts_again_at = Some(now + pause(state.facts_refusals));
            state.facts_refusals = state.facts_refusals.saturating_add(1);
        } else if batch.facts.is_some() {
            (state.facts_refusals, state.facts_again_at) = (0, None);
        }
        let mut at_once = false;
        for refused in &receipt.refused {
            // What was published since then is another report, and goes at once.
            let Some(slot) = state.instances.get_mut(&refused.instance).filter(|slot| slot.sent) else {
                continue;
            };
            if refused.reason == RefusalReason::Later {
                slot.sent = false;
                at_once = true;
            } else {
                slot.refuse(now);
            }
        }
        let refused: HashSet<Uuid> = receipt.refused.iter().map(|refused| refused.instance).collect();
        for report in batch.instances.iter().filter(|report| !refused.contains(&report.id)) {
            if let Some(slot) = state.instances.get_mut(&report.id) {
                (slot.refusals, slot.again_at) = (0, None);
            }
        }
        at_once
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

#[cfg(test)]
mod tests {
    use super::*;
    use jst_protocol::report::{Observed, Outcome, RefusedReport};

    fn report(id: Uuid) -> InstanceReport {
        let (observed, outcome) = (Observed::Absent, Outcome::Applied);
        let (actions, applied, usage) = (Vec::new(), None, None);
        InstanceReport { id, epoch: 1, generation: 1, observed, outcome, actions, applied, usage }
    }

    fn receipt(refused: &[(Uuid, RefusalReason)]) -> Receipt {
        let refused =
            refused.iter().map(|(instance, reason)| RefusedReport { instance: *instance, reason: *reason });
        Receipt { lease_seconds: 30, refused: refused.collect(), facts_refused: false }
    }

    #[test]
    fn what_the_server_could_not_take_stays_untold_and_waits() {
        let (reports, bad, good) = (Reports::default(), Uuid::now_v7(), Uuid::now_v7());
        reports.publish(report(bad));
        reports.publish(report(good));
        let batch = reports.take();
        assert_eq!(batch.instances.len(), 2);
        assert!(!reports.stored(&batch, &receipt(&[(bad, RefusalReason::SetAside)])));
        // Nothing that the server has not taken may be buried.
        assert!(!reports.is_told(bad) && reports.is_told(good));
        assert!(reports.take().instances.is_empty(), "it waits");
        // The server's question, or something new, does not wait.
        reports.repeat(bad);
        assert_eq!(reports.take().instances.len(), 1);
        reports.publish(InstanceReport { generation: 2, ..report(bad) });
        assert_eq!(reports.take().instances.len(), 1);
    }

    #[test]
    fn what_the_server_did_not_come_to_goes_at_once() {
        let (reports, id) = (Reports::default(), Uuid::now_v7());
        reports.publish(report(id));
        let batch = reports.take();
        assert!(reports.stored(&batch, &receipt(&[(id, RefusalReason::Later)])));
        assert_eq!(reports.take().instances.len(), 1);
    }

    #[test]
    fn an_older_server_takes_everything() {
        let (reports, id) = (Reports::default(), Uuid::now_v7());
        reports.publish(report(id));
        let batch = reports.take();
        let receipt = serde_json::from_str(r#"{"lease_seconds":30}"#).unwrap();
        reports.stored(&batch, &receipt);
        assert!(reports.is_told(id));
    }

    #[test]
    fn pauses_grow_and_end() {
        assert_eq!([0, 1, 7, 8, 99].map(|n| pause(n).as_secs()), [2, 4, 256, 300, 300]);
    }
}
