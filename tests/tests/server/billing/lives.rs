//! Random lives of instances: the ledger is what a model says, without gap and overlap, whatever comes late, twice or
//! never, and wherever the server is cut off.

use super::{Row, Till, row};
use crate::server::instances::desk::{Customer, obeyed, uuid_of};
use jst_protocol::desired::Presence;
use jst_protocol::report::{FailureCode, InstanceReport, Observed, Outcome};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Resize(&'static str),
    Shutdown,
    Start,
    Rebuild,
    Delete,
    Undelete,
    DeleteNow,
    /// The host does what it was told, and says so.
    Report,
    /// All but the memory, which the guest keeps until it is started anew.
    Keep,
    /// It says so, and the server is cut off after so many microseconds: between any two statements.
    Cut(u64),
    /// The host fails, for now or for good.
    Fail(bool),
    /// Something that was said before comes again.
    Again(prop::sample::Index),
    /// What was asked for some changes ago is done, while newer wishes are on their way.
    Late(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::sample::select(vec!["small", "large", "flat"]).prop_map(Step::Resize),
        1 => Just(Step::Shutdown),
        1 => Just(Step::Start),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Delete),
        2 => Just(Step::Undelete),
        8 => Just(Step::Report),
        3 => Just(Step::Keep),
        3 => (0u64..30_000).prop_map(Step::Cut),
        1 => any::<bool>().prop_map(Step::Fail),
        3 => any::<prop::sample::Index>().prop_map(Step::Again),
        3 => any::<prop::sample::Index>().prop_map(Step::Late),
        1 => Just(Step::DeleteNow),
    ]
}

/// What an instance is sold as by generation, and which of it is in force: written down apart from the platform.
#[derive(Default)]
struct Model {
    asked: Vec<(i64, String, bool)>,
    deleted: bool,
    tombstone: bool,
    purged: bool,
    applied: i64,
    /// Nothing older than this is in force any more.
    held: i64,
    rows: Vec<Row>,
}

/// An hour in millionths: `flat` costs 31 dollars a month.
fn rate(plan: &str) -> u32 {
    match plan {
        "small" => 20_000,
        "large" => 50_000,
        _ => 42_465,
    }
}

impl Model {
    fn ask(&mut self, generation: i64, plan: String, deleted: bool) {
        self.asked.push((generation, plan, deleted));
        self.deleted = deleted;
    }

    /// What the ledger should say from now on.
    fn look(&mut self, now: i64) {
        let reached: Vec<_> =
            self.asked.iter().filter(|(generation, ..)| *generation <= self.applied).collect();
        let oldest = reached.iter().rposition(|(generation, ..)| *generation <= self.held).unwrap_or(0);
        // The dearest of what may be in force, as deleted or not as the newest.
        let dearest = reached[oldest..].iter().max_by_key(|(_, plan, _)| rate(plan));
        let force = dearest.zip(reached.last()).map(|((_, plan, _), (.., deleted))| (plan, deleted));
        // What is removed before it was ever there is nothing.
        let never = self.tombstone && self.rows.is_empty();
        let wanted = force.filter(|_| self.applied > 0 && !self.purged && !never).map(|(plan, deleted)| {
            let kind = if *deleted || self.deleted { "retained" } else { "sold" };
            (kind.to_owned(), plan.clone())
        });
        let open = self.rows.last_mut().filter(|row| row.until.is_none());
        if open.as_ref().map(|row| (row.kind.clone(), row.plan.clone())) == wanted {
            return;
        }
        if let Some(open) = open {
            open.until = Some(now);
        }
        if let Some((kind, plan)) = wanted {
            self.rows.push(row(&kind, &plan, now, None));
        }
    }
}

struct Life<'a> {
    till: &'a Till,
    customer: &'a Customer,
    id: String,
    now: i64,
    told: Vec<jst_protocol::desired::DesiredInstance>,
    said: Vec<InstanceReport>,
    model: Model,
}

impl Life<'_> {
    async fn generation(&self) -> (i64, i64, String, bool, bool, bool, i64) {
        sqlx::query_as(
            "SELECT generation, applied_generation, slug, deleted_at IS NOT NULL, tombstone_at IS NOT NULL, \
             purged_at IS NOT NULL, held_generation FROM instances \
             JOIN plans ON plans.id = plan_id WHERE instances.id = $1",
        )
        .bind(uuid_of(&self.id))
        .fetch_one(self.till.desk.pool())
        .await
        .unwrap()
    }

    async fn ask(&mut self, action: &str, body: serde_json::Value) {
        // A refusal is an answer too: then nothing has changed.
        self.customer.act(&self.id, action, body).await;
        self.asked().await;
    }

    async fn asked(&mut self) {
        let (generation, _, plan, deleted, tombstone, purged, _) = self.generation().await;
        let newest = self.model.asked.last().map(|(generation, ..)| *generation);
        if newest != Some(generation) {
            self.model.ask(generation, plan, deleted);
        }
        self.model.tombstone = tombstone;
        self.model.purged = purged;
        if let Some(told) = self.till.desk.told(&self.id).await {
            self.told.push(told);
        }
    }

    async fn say(&mut self, report: InstanceReport) {
        self.till.desk.report(std::slice::from_ref(&report)).await;
        self.said.push(report);
        self.heard().await;
    }

    /// What counts of a report is the platform's to judge, and tested elsewhere; here, what follows from it.
    async fn heard(&mut self) {
        let (_, applied, .., held) = self.generation().await;
        (self.model.applied, self.model.held) = (applied, held);
        self.asked().await;
    }

    async fn live(&mut self, step: &Step) {
        let Some(told) = self.told.last().cloned() else { return };
        match step {
            Step::Resize(plan) => self.ask("resize", json!({ "plan": plan })).await,
            Step::Shutdown => self.ask("shutdown", json!({})).await,
            Step::Start => self.ask("start", json!({})).await,
            Step::Rebuild => self.ask("rebuild", json!({ "image": "test" })).await,
            Step::Undelete => self.ask("undelete", json!({})).await,
            Step::Delete | Step::DeleteNow => {
                let now = if matches!(step, Step::DeleteNow) { "?now=true" } else { "" };
                self.customer.api.delete(&format!("/api/v1/instances/{}{now}", self.id)).await;
                self.asked().await;
            }
            Step::Report => self.say(obeyed(&told)).await,
            Step::Keep => {
                let mut report = obeyed(&told);
                if report.observed == Observed::Running {
                    report.outcome = Outcome::RestartRequired { fields: vec!["memory.size".into()] };
                }
                self.say(report).await;
            }
            Step::Cut(micros) => {
                let report = [obeyed(&told)];
                let desk = &self.till.desk;
                let applied = jst_server::instances::reports::apply(desk.platform.app(), desk.host, &report);
                let _ = tokio::time::timeout(Duration::from_micros(*micros), applied).await;
                // What was cut off holds its locks until its connection is back.
                self.heard().await;
            }
            Step::Fail(permanent) if told.presence != Presence::Deleted => {
                let outcome = Outcome::Failed {
                    code: FailureCode::HostMemory,
                    detail: String::new(),
                    permanent: *permanent && self.model.applied > 0,
                };
                let report =
                    InstanceReport { outcome, observed: Observed::Stopped, applied: None, ..obeyed(&told) };
                self.say(report).await;
            }
            Step::Fail(_) => {}
            Step::Again(index) if !self.said.is_empty() => {
                let report = self.said[index.index(self.said.len())].clone();
                self.say(report).await;
            }
            Step::Again(_) => {}
            Step::Late(index) => {
                let told = self.told[index.index(self.told.len())].clone();
                self.say(obeyed(&told)).await;
            }
        }
        self.model.look(self.now);
    }
}

#[tokio::test]
async fn any_life_is_metered_without_gap_or_overlap() {
    let till = Till::open().await;
    let mut runner = TestRunner::new(Config::default());
    let lives = (prop::collection::vec((step(), 1i64..5000), 5..30), any::<u32>());
    for number in 0..40 {
        let (steps, _) = lives.new_tree(&mut runner).unwrap().current();
        let mut now = number * 200_000;
        till.at(now).await;
        // One customer each: the API has a limit for each token.
        let customer = till.desk.buyer(&format!("c{number}@example.com")).await;
        let id = customer.create(&format!("vm-{number}"), "small").await;
        let mut life = Life {
            till: &till,
            customer: &customer,
            id,
            now,
            told: Vec::new(),
            said: Vec::new(),
            model: Model::default(),
        };
        life.asked().await;
        for (step, seconds) in &steps {
            now += seconds;
            till.at(now).await;
            life.now = now;
            life.live(step).await;
            let mut ledger = till.ledger(uuid_of(&life.id)).await;
            for pair in ledger.windows(2) {
                assert_eq!(pair[0].until, Some(pair[1].since), "{ledger:?}");
            }
            // What changed twice in a second was something for no time at all.
            ledger.retain(|row| row.until != Some(row.since));
            assert_eq!(ledger, life.model.rows, "after {step:?} in {steps:?}");
        }
    }
    till.desk.platform.stop().await;
}
