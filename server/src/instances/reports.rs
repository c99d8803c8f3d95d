//! What agents report about instances.
//!
//! A report may come late, twice, or after a newer one.  [`judge::judge`] decides from the row, the
//! operations that are not decided and the report alone what follows; here it is carried out,
//! each instance in a transaction of its own under the lock on its row.  The guard stands once more in
//! the statement that writes: nothing older than what is there can replace it.

pub mod judge;

use super::model::Instance;
use super::operations::{Operation, tell_of_failure};
use super::work::Work;
use super::{db, in_force, samples, state};
use crate::error::{Error, Result};
use crate::events::Source;
use crate::ids::{HostId, InstanceId};
use crate::set_aside::{self, Item, Pass};
use crate::state::App;
use crate::trials;
use db::operations as operations_sql;
use db::reports as sql;
use jst_policy::lifecycle::Power;
use jst_protocol::report::{InstanceReport, Observed, RefusalReason, RefusedReport};
use judge::{Conclusion, Judgement, Verdict};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a report waits for somebody else's lock on its instance.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// How long all reports of a request together may take: the agent waits ten seconds for its receipt.
const BUDGET: Duration = Duration::from_secs(6);

/// Takes the reports of a host about its instances, and gives those that were not taken.  An instance that the host does
/// not own (any more) is none of its business.
///
/// Each stands alone: what the database refuses is set aside, and the others are taken.  An error is an outage of the
/// database, and then the agent repeats all of them.
pub async fn apply(app: &App, host: HostId, reports: &[InstanceReport]) -> Result<Vec<RefusedReport>> {
    let before = Pass::begin(app, set_aside::Kind::Report).await?;
    let begun = Instant::now();
    let (mut measured, mut refused) = (Vec::new(), Vec::new());
    for report in reports {
        if begun.elapsed() > BUDGET {
            refused.push(RefusedReport { instance: report.id, reason: RefusalReason::Later });
            continue;
        }
        let aside = before.failed_before(&report.id.to_string()).then_some(Aside::Replaced);
        match set_aside::caught(Box::pin(apply_one(app, host, report, aside))).await {
            Ok(counted) => measured.extend(counted),
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => {
                put_aside(app, host, report, &error).await?;
                refused.push(RefusedReport { instance: report.id, reason: RefusalReason::SetAside });
            }
        }
    }
    // Graphs must not keep a report from being taken.
    if let Err(error) = samples::take(app, &measured).await {
        tracing::warn!(%host, error = ?error, "samples of this report are missing in the graphs");
    }
    Ok(refused)
}

async fn put_aside(app: &App, host: HostId, report: &InstanceReport, error: &Error) -> Result<()> {
    let document = serde_json::to_string(report).map_err(anyhow::Error::from)?;
    let id = InstanceId::from_uuid(report.id);
    let item = Item::new(set_aside::Kind::Report, report.id).host(host).instance(id).document(document);
    set_aside::note(app, &item, error).await
}

/// What taking a report means for the one that stands aside of the same instance.
#[derive(Clone, Copy)]
enum Aside<'a> {
    /// A later one came.
    Replaced,
    /// It is that one, tried again, as it was kept: nothing is done where a later one has come meanwhile.
    Retried(&'a str),
}

/// Reports in one look at what stands aside.
const RETRIED: i64 = 100;

/// Tries again what was set aside: its agent may be one that does not repeat, or be gone.
pub async fn retry(app: App) -> Result<()> {
    let kind = set_aside::Kind::Report;
    let pass = Pass::begin(&app, kind).await?;
    for (subject, host, document) in set_aside::db::due(app.db.platform(), kind, RETRIED).await? {
        let (Some(host), Some(document)) = (host, document) else { continue };
        let item = Item::new(kind, &subject).host(host).document(document.clone());
        let again = async {
            let report: InstanceReport = serde_json::from_str(&document).map_err(anyhow::Error::from)?;
            apply_one(&app, host, &report, Some(Aside::Retried(&document))).await.map(|_| ())
        };
        let instance = subject.parse::<uuid::Uuid>().map(InstanceId::from_uuid);
        pass.each(instance.map_or(item.clone(), |id| item.instance(id)), again).await?;
    }
    Ok(())
}

/// Gives the instance when its counters were stored.
async fn apply_one(
    app: &App,
    host: HostId,
    report: &InstanceReport,
    aside: Option<Aside<'_>>,
) -> Result<Option<InstanceId>> {
    let mut tx = app.db.begin_impatient(LOCK_WAIT).await?;
    let id = InstanceId::from_uuid(report.id);
    let Some(instance) = db::lock_on_host(&mut tx, host, id).await? else { return Ok(None) };
    if instance.epoch != report.epoch {
        return Ok(None);
    }
    let (kind, subject) = (set_aside::Kind::Report, report.id.to_string());
    match aside {
        Some(Aside::Replaced) => set_aside::db::remove_in(&mut tx, kind, &subject).await?,
        Some(Aside::Retried(document))
            if !set_aside::db::stands(&mut tx, kind, &subject, document).await? =>
        {
            return Ok(None);
        }
        _ => {}
    }
    let operations = operations_sql::undecided_of(&mut tx, id).await?;
    let judgement = judge::judge(&instance, &operations, report);
    let usage = report.usage.as_ref().filter(|_| judgement.observation.is_some());
    let mut vanished = false;
    if let Some(usage) = usage {
        if usage.network_seen == Some(false) {
            let before = sql::usage(&mut tx, instance.tenant_id, id).await?;
            vanished = before.is_none_or(|before| before.usage.network_seen != Some(false));
        }
        sql::save_usage(&mut tx, id, instance.tenant_id, usage).await?;
    }
    // Customers read these events: the host's name is not their business.
    let source = Source::host(host.uuid(), "platform");
    let mut work = Work { tx, instance, source, requested_by: None };
    carry_out(app, &mut work, host, &operations, judgement).await?;
    if vanished {
        let data = json!({ "name": work.instance.name });
        work.record("instance.network_not_seen", data).await?;
    }
    work.tx.commit().await?;
    Ok(usage.map(|_| id))
}

async fn carry_out(
    app: &App,
    work: &mut Work,
    host: HostId,
    operations: &[Operation],
    judgement: Judgement,
) -> Result<()> {
    let Judgement { observation, verdicts, conclusion } = judgement;
    let mut crashed = false;
    if let Some(seen) = observation {
        let instance = &mut work.instance;
        crashed = seen.observed == Observed::Crashed
            && instance.observed != Observed::Crashed
            && instance.power == Power::Running;
        instance.observed = seen.observed;
        instance.reported_generation = seen.generation;
        if seen.applied {
            instance.applied_generation = seen.generation;
        }
        instance.state = state::derive(instance);
        if sql::observe(&mut work.tx, host, instance.id, instance.state, &seen).await? {
            in_force::rebook(work, &seen).await?;
        }
    }
    if crashed {
        let data = json!({ "name": work.instance.name });
        work.record("instance.crashed", data).await?;
    }
    let mut actions_ended = false;
    for (id, verdict) in verdicts {
        if let Some(operation) = operations.iter().find(|operation| operation.id == id) {
            actions_ended |= operation.kind.is_one_shot() && !matches!(verdict, Verdict::Progress { .. });
            decide(app, work, operation, verdict).await?;
        }
    }
    match conclusion {
        Conclusion::Nothing if actions_ended => sql::wake(&mut work.tx, work.instance.id).await?,
        Conclusion::Nothing => {}
        Conclusion::StoppedItself => stopped_itself(work).await?,
        Conclusion::CreationFailed { code, detail } => creation_failed(work, &code, &detail).await?,
        Conclusion::Gone => gone(work, operations).await?,
    }
    Ok(())
}

async fn decide(app: &App, work: &mut Work, operation: &Operation, verdict: Verdict) -> Result<()> {
    match verdict {
        Verdict::Progress { step, percent, failure } => {
            let failure = failure.as_ref().map(|(code, detail)| (code.as_str(), detail.as_str()));
            operations_sql::progress(&mut work.tx, operation, &step, percent, failure).await?;
        }
        Verdict::Succeeded { restart_required } => {
            operations_sql::succeed(&mut work.tx, operation, &restart_required).await?;
        }
        Verdict::Failed { code, detail } => {
            operations_sql::fail(&mut work.tx, operation, &code, &detail).await?;
            tell_of_failure(app, &mut work.tx, operation, &code).await?;
            let data = json!({
                "name": work.instance.name,
                "operation": operation.id,
                "kind": operation.kind.name(),
                "code": code,
                "detail": detail,
            });
            work.record("instance.operation_failed", data).await?;
        }
    }
    Ok(())
}

/// The guest powered itself off: that is what its owner wants now, and it stays off.
async fn stopped_itself(work: &mut Work) -> Result<()> {
    work.instance.power = Power::Stopped;
    work.instance.generation += 1;
    work.save().await?;
    let data = json!({ "name": work.instance.name });
    work.record("instance.stopped_itself", data).await
}

/// The host cannot make it, and says that it never will: everything is given back, and the host
/// removes what it has begun.  The row stays, to say why.
async fn creation_failed(work: &mut Work, code: &str, detail: &str) -> Result<()> {
    db::bookings::release(&mut work.tx, work.instance.id).await?;
    trials::give_back(work).await?;
    work.instance.tombstone_at = Some(work.instance.now);
    work.instance.power = Power::Stopped;
    work.instance.generation += 1;
    work.save().await?;
    let data = json!({ "name": work.instance.name, "code": code, "detail": detail });
    work.record("instance.create_failed", data).await
}

/// The host acknowledged the tombstone.
async fn gone(work: &mut Work, operations: &[Operation]) -> Result<()> {
    if work.instance.deleted_at.is_none() {
        // A failed creation was cleared away; what failed stays to be seen.
        return Ok(());
    }
    for operation in operations.iter().filter(|operation| operation.is_open()) {
        operations_sql::succeed(&mut work.tx, operation, &[]).await?;
    }
    sql::forget_usage(&mut work.tx, work.instance.id).await?;
    finish_purge(work).await
}

/// Ends a deletion that nobody has to acknowledge any more.
pub async fn purge(work: &mut Work, operation: &Operation) -> Result<()> {
    operations_sql::succeed(&mut work.tx, operation, &[]).await?;
    finish_purge(work).await
}

async fn finish_purge(work: &mut Work) -> Result<()> {
    db::bookings::release(&mut work.tx, work.instance.id).await?;
    sql::purge(&mut work.tx, work.instance.id).await?;
    work.record("instance.purged", json!({ "name": work.instance.name })).await
}

/// Whether the report that this row holds is about what is desired now.
pub fn is_current(instance: &Instance) -> bool {
    instance.reported_generation == instance.generation
}
