//! One instance's task, and one pass of it.

use super::Context;
use super::memory::{self, Recall};
use crate::config::Timing;
use crate::hypervisor::{Done, Fault, Target};
use crate::ledger::Entry;
use jst_policy::converge::{Action, Hold, Observed, Plan, Refusal, Wish, converge};
use jst_protocol::desired::OneShotKind;
use jst_protocol::report::{ActionReport, Applied, FailureCode, InstanceReport, Outcome, Step, Usage};
use rand::Rng as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Rounds of plan and execution within one pass.  One is usual; a rebuild under a changing desired
/// state takes a few; a plan that never becomes empty is a defect and must not spin.
const ROUNDS: usize = 6;

/// How often a guest that boots for the first time is looked at.
const BOOTING: Duration = Duration::from_millis(500);

enum Next {
    /// Nothing to do until something changes or the clock says so.
    Sleep,
    /// The guest boots; it is looked at again soon.
    Soon,
    Retry,
    /// What is desired changed meanwhile.
    Again,
    /// The instance is in the ledger no more.
    Gone,
}

pub async fn keep(context: Arc<Context>, id: Uuid, wake: Arc<Notify>, shutdown: CancellationToken) {
    let timing = &context.config.timing;
    let mut recall = Recall::default();
    let mut due = Duration::ZERO;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = wake.notified() => {}
            () = tokio::time::sleep(due) => {}
        }
        due = match pass(&context, id, &mut recall, &wake, &shutdown).await {
            Next::Gone if context.may_end(id) => {
                context.signs.forget(id);
                return;
            }
            Next::Gone | Next::Again => Duration::ZERO,
            Next::Sleep => {
                recall.failures = 0;
                context.settle(id);
                measure_until_due(&context, id, &wake, &shutdown, Timing::of(timing.check)).await;
                Duration::ZERO
            }
            Next::Soon => {
                context.settle(id);
                BOOTING
            }
            Next::Retry => {
                recall.failures += 1;
                context.settle(id);
                back_off(recall.failures)
            }
        };
    }
}

/// Between two checks only the counters are read.
async fn measure_until_due(
    context: &Arc<Context>,
    id: Uuid,
    wake: &Notify,
    shutdown: &CancellationToken,
    check: Duration,
) {
    let until = Instant::now() + check.mul_f64(rand::rng().random_range(0.8..1.0));
    let period = Timing::of(context.config.timing.usage.max(1));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = wake.notified() => return,
            () = tokio::time::sleep(left.min(period)) => {
                let usage = measure(context, id).await;
                context.reports.measure(id, usage);
            }
        }
    }
}

/// 1 to 60 seconds, with jitter.
fn back_off(failures: u32) -> Duration {
    let ceiling = Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(60));
    ceiling.mul_f64(rand::rng().random_range(0.7..1.0))
}

async fn pass(
    context: &Arc<Context>,
    id: Uuid,
    recall: &mut Recall,
    wake: &Notify,
    shutdown: &CancellationToken,
) -> Next {
    for _ in 0..ROUNDS {
        let Some(entry) = context.ledger.get(id) else { return Next::Gone };
        recall.turn_to(entry.desired.generation);
        let target = target(context, &entry);
        let observed = match context.hypervisor.observe(&target).await {
            Ok(observed) => observed,
            Err(fault) => {
                report_unseen(context, &entry, &fault);
                return Next::Retry;
            }
        };
        let entry = match take_note(context, entry, &observed, recall).await {
            Ok(entry) => entry,
            Err(fault) => {
                report_unseen(context, &entry_or_gone(context, id), &fault);
                return Next::Retry;
            }
        };
        let target = self::target(context, &entry);
        let wish = memory::wish(&entry, recall, context.lease.valid(), *context.gate.borrow());
        let plan = converge(&wish, &observed);
        if let Some(outcome) = recall.failed.clone() {
            let applied = read_back(context, &target).await;
            publish(context, &entry, &observed, outcome, applied).await;
            return Next::Sleep;
        }
        if plan.actions.is_empty() {
            return match first_boot(context, &entry, &observed, recall).await {
                Ok(Boot::Done) => finish(context, &entry, &target, &wish, &observed, &plan).await,
                Ok(Boot::Going) => {
                    let outcome = Outcome::Progress { step: Step::Booting, percent: 0 };
                    publish(context, &entry, &observed, outcome, None).await;
                    Next::Soon
                }
                Err(fault) => fail(context, &entry, &target, &observed, recall, fault).await,
            };
        }
        tracing::info!(instance = %id, generation = entry.desired.generation, actions = ?plan.actions, "plan");
        for action in &plan.actions {
            if shutdown.is_cancelled() {
                return Next::Sleep;
            }
            let step = step(*action, memory::is_deleted(&wish));
            // Limits are set in milliseconds, and for every guest when a neighbour comes or goes: nobody
            // would see the step, and the server would write it down for each of them.
            if !matches!(action, Action::SetCpuLimits | Action::SetDiskLimits) {
                publish(context, &entry, &observed, Outcome::Progress { step, percent: 0 }, None).await;
            }
            if let Err(fault) = prepare(context, id, *action).await {
                return fail(context, &entry, &target, &observed, recall, fault).await;
            }
            let result = tokio::select! {
                result = execute(context, &target, *action, &entry, &observed) => result,
                // Waiting for a guest ends when something else is desired of it.
                () = superseded(context, id, &entry, wake), if waits_for_guest(*action) => return Next::Again,
            };
            match result {
                Ok(Done::Done) => {}
                Ok(Done::Untaken(field)) => recall.untaken.push(field),
                Err(fault) => return fail(context, &entry, &target, &observed, recall, fault).await,
            }
            if matches!(action, Action::Start) {
                recall.untaken.clear();
                recall.running_since = None;
                context.signs.started(id, context.hypervisor.packets(id).await.unwrap_or(0));
            }
            if changed(context, id, &entry) {
                break;
            }
        }
        // A power cycle is done when the guest is started again, not when it is stopped.
        let cycled = |action: &Action| matches!(action, Action::Reboot | Action::Start);
        if wish.cycle.is_some() && plan.actions.iter().any(cycled) && !changed(context, id, &entry) {
            conclude(context, &entry, Outcome::Applied).await;
        }
    }
    tracing::error!(instance = %id, "the plan does not settle");
    Next::Retry
}

fn entry_or_gone(context: &Context, id: Uuid) -> Entry {
    context.ledger.get(id).unwrap_or_else(|| Entry {
        desired: jst_protocol::desired::DesiredInstance {
            id,
            generation: 0,
            epoch: 0,
            presence: jst_protocol::desired::Presence::Deleted,
            actions: Vec::new(),
        },
        memo: crate::ledger::Memo::default(),
    })
}

fn target(context: &Context, entry: &Entry) -> Target {
    let spec = memory::spec(entry);
    Target {
        id: entry.desired.id,
        generation: entry.desired.generation,
        epoch: entry.desired.epoch,
        spec: spec.cloned().map(Arc::new),
        seed: spec.is_some_and(|spec| entry.memo.booted_build != Some(spec.build)),
        place: context.cores.place(entry.desired.id),
        cpu_weight: context.cpu.weight(entry.desired.id),
        disk_weight: context.disk.weight(entry.desired.id),
    }
}

fn changed(context: &Context, id: Uuid, entry: &Entry) -> bool {
    context.ledger.get(id).is_none_or(|now| now.desired != entry.desired)
}

async fn superseded(context: &Context, id: Uuid, entry: &Entry, wake: &Notify) {
    while !changed(context, id, entry) {
        wake.notified().await;
    }
}

const fn waits_for_guest(action: Action) -> bool {
    matches!(action, Action::Shutdown | Action::Reboot)
}

/// Notes what the guest did by itself, durably, before anything is decided from it.
async fn take_note(
    context: &Arc<Context>,
    entry: Entry,
    observed: &Observed,
    recall: &mut Recall,
) -> Result<Entry, Fault> {
    let live = memory::is_live(observed);
    recall.running_since = if live { recall.running_since.or_else(|| Some(Instant::now())) } else { None };
    let long_enough =
        recall.running_since.is_some_and(|since| since.elapsed() >= Timing::of(context.config.timing.seed));
    let memo = memory::note(&entry, observed, long_enough);
    if memo == entry.memo {
        return Ok(entry);
    }
    if memo.crashes != entry.memo.crashes {
        tracing::warn!(instance = %entry.desired.id, crashes = memo.crashes.len(), "the guest crashed");
    }
    if memo.guest_stopped_at_generation.is_some() && entry.memo.guest_stopped_at_generation.is_none() {
        tracing::info!(instance = %entry.desired.id, "the guest powered itself off");
    }
    remember(context, entry.desired.id, {
        let memo = memo.clone();
        move |kept| *kept = memo
    })
    .await?;
    Ok(Entry { memo, ..entry })
}

/// What must be durable before an action begins.
async fn prepare(context: &Arc<Context>, id: Uuid, action: Action) -> Result<(), Fault> {
    match action {
        // A power-off from now on is ours, even when the agent dies before it happens.
        Action::Shutdown | Action::Destroy => remember(context, id, |memo| memo.stopping = true).await,
        // The counters end with their devices.
        Action::DetachNetwork => {
            measure(context, id).await;
            remember(context, id, |memo| {
                let (in_base, out_base) = memo.network.totals();
                memo.network = crate::ledger::NetworkBase { in_base, out_base, in_last: 0, out_last: 0 };
            })
            .await
        }
        _ => Ok(()),
    }
}

async fn execute(
    context: &Arc<Context>,
    target: &Target,
    action: Action,
    entry: &Entry,
    observed: &Observed,
) -> Result<Done, Fault> {
    // Waiting for a guest keeps nobody else from working.
    let _busy = if waits_for_guest(action) { None } else { context.busy.acquire().await.ok() };
    let report = base_report(context, entry, observed);
    let progress = |step: Step, percent: u8| {
        context
            .reports
            .publish(InstanceReport { outcome: Outcome::Progress { step, percent }, ..report.clone() });
    };
    let begun = Instant::now();
    // The lease is looked at again at the last moment: an image may have taken minutes.
    if action == Action::Start && !context.lease.valid() {
        return Err(Fault::passing(FailureCode::LeaseExpired, "the host's lease has expired"));
    }
    let result = context.hypervisor.execute(target, action, &progress).await;
    let elapsed = begun.elapsed().as_millis();
    match &result {
        Ok(done) => tracing::info!(instance = %target.id, ?action, ?done, elapsed, "done"),
        Err(fault) => {
            tracing::warn!(instance = %target.id, ?action, elapsed, code = ?fault.code, %fault, "failed")
        }
    }
    if result.is_ok() && action == Action::Start {
        remember(context, target.id, |memo| {
            memo.stopping = false;
            memo.restarting = false;
            memo.guest_stopped_at_generation = None;
            memo.crashed_at_generation = None;
        })
        .await?;
    }
    result
}

enum Boot {
    Going,
    Done,
}

/// Whether a guest that was started from a new disk has come up.  It is asked once a build: later the
/// disk is its owner's, who may boot from it what they like, and as slowly.
async fn first_boot(
    context: &Arc<Context>,
    entry: &Entry,
    observed: &Observed,
    recall: &Recall,
) -> Result<Boot, Fault> {
    let Some(build) = memory::spec(entry).map(|spec| spec.build) else { return Ok(Boot::Done) };
    let memo = &entry.memo;
    if !memory::is_live(observed) || [memo.alive_build, memo.booted_build].contains(&Some(build)) {
        return Ok(Boot::Done);
    }
    let id = entry.desired.id;
    if context.hypervisor.is_alive(id).await? {
        remember(context, id, move |memo| memo.alive_build = Some(build)).await?;
        return Ok(Boot::Done);
    }
    let patience = Timing::of(context.config.timing.boot);
    if recall.running_since.is_some_and(|since| since.elapsed() >= patience) {
        let detail = format!("nothing was heard of the guest in {} s", patience.as_secs());
        return Err(Fault::permanent(FailureCode::GuestDidNotBoot, detail));
    }
    Ok(Boot::Going)
}

/// Nothing is left to do: read back, and say how it stands.
async fn finish(
    context: &Arc<Context>,
    entry: &Entry,
    target: &Target,
    wish: &Wish,
    observed: &Observed,
    plan: &Plan,
) -> Next {
    if let Some(action) = memory::pending(entry) {
        let outcome = match action.kind {
            OneShotKind::Unknown => Outcome::Failed {
                code: FailureCode::CapabilityAbsent,
                detail: "this agent does not know the action".into(),
                permanent: true,
            },
            _ => Outcome::Applied,
        };
        // An action that is held back has not happened.
        if plan.held.is_none() {
            conclude(context, entry, outcome).await;
            return Next::Again;
        }
    }
    let applied = read_back(context, target).await.filter(|_| memory::is_live(observed));
    let (outcome, next) = match (plan.refused, plan.held) {
        (Some(Refusal::DiskNeverShrinks), _) => {
            let detail = format!("the disk would have to shrink to {}", wish.disk);
            (Outcome::Failed { code: FailureCode::DiskNeverShrinks, detail, permanent: true }, Next::Sleep)
        }
        (None, Some(Hold::LeaseExpired)) => {
            let detail = "the host may not start guests until it reaches the server again".into();
            (Outcome::Failed { code: FailureCode::LeaseExpired, detail, permanent: false }, Next::Sleep)
        }
        (None, Some(Hold::StartOrder)) => (Outcome::Progress { step: Step::Queued, percent: 0 }, Next::Sleep),
        (None, Some(Hold::StoppedByGuest | Hold::Crashed) | None) if plan.restart_required.is_empty() => {
            (Outcome::Applied, Next::Sleep)
        }
        (None, _) => {
            let fields = plan.restart_required.iter().map(|field| field.path().to_owned()).collect();
            (Outcome::RestartRequired { fields }, Next::Sleep)
        }
    };
    publish(context, entry, observed, outcome, applied).await;
    next
}

/// What is in force in a running guest; absent also where that cannot be told.
async fn read_back(context: &Arc<Context>, target: &Target) -> Option<Applied> {
    context.hypervisor.applied(target).await.unwrap_or_else(|fault| {
        tracing::warn!(instance = %target.id, %fault, "nothing could be read back");
        None
    })
}

async fn conclude(context: &Arc<Context>, entry: &Entry, outcome: Outcome) {
    if let Some(action) = memory::pending(entry) {
        let id = action.id;
        let kept =
            remember(context, entry.desired.id, move |memo| drop(memo.actions.insert(id, outcome))).await;
        if let Err(fault) = kept {
            tracing::error!(%fault, "the outcome of an action was not kept; it will be repeated");
        }
    }
}

/// A change that failed half-way may have left the guest larger than it was, so what is in force is read back here, too.
async fn fail(
    context: &Arc<Context>,
    entry: &Entry,
    target: &Target,
    observed: &Observed,
    recall: &mut Recall,
    fault: Fault,
) -> Next {
    let generation = entry.desired.generation;
    tracing::warn!(instance = %entry.desired.id, generation, permanent = fault.permanent, %fault, "failed");
    let outcome =
        Outcome::Failed { code: fault.code, detail: fault.detail.clone(), permanent: fault.permanent };
    if fault.permanent {
        recall.failed = Some(outcome.clone());
        // An operation must end, one way or the other.
        conclude(context, entry, outcome.clone()).await;
    }
    let applied = read_back(context, target).await;
    publish(context, entry, observed, outcome, applied).await;
    if fault.permanent { Next::Again } else { Next::Retry }
}

/// The hypervisor could not even be asked: the last known state stays, with the reason.
fn report_unseen(context: &Context, entry: &Entry, fault: &Fault) {
    tracing::warn!(instance = %entry.desired.id, %fault, "not observed");
    let report = context.reports.last(entry.desired.id);
    if let Some(mut report) = report {
        report.outcome = Outcome::Failed { code: fault.code, detail: fault.detail.clone(), permanent: false };
        report.generation = entry.desired.generation;
        context.reports.publish(report);
    }
}

async fn publish(
    context: &Arc<Context>,
    entry: &Entry,
    observed: &Observed,
    outcome: Outcome,
    applied: Option<Applied>,
) {
    let mut report = base_report(context, entry, observed);
    if memory::is_live(observed) && !matches!(outcome, Outcome::Progress { .. }) {
        report.usage = measure(context, entry.desired.id).await.or(report.usage);
    }
    context.reports.publish(InstanceReport { outcome, applied, ..report });
}

fn base_report(context: &Context, entry: &Entry, observed: &Observed) -> InstanceReport {
    // The ledger is asked again: an outcome may have been kept since the pass began.
    let outcomes = context.ledger.get(entry.desired.id).map_or_else(Default::default, |e| e.memo.actions);
    InstanceReport {
        id: entry.desired.id,
        epoch: entry.desired.epoch,
        generation: entry.desired.generation,
        observed: memory::reported(entry, observed),
        outcome: Outcome::Progress { step: Step::Queued, percent: 0 },
        actions: outcomes.into_iter().map(|(id, outcome)| ActionReport { id, outcome }).collect(),
        applied: None,
        usage: context.reports.usage(entry.desired.id),
    }
}

/// Reads the counters and folds those of the network into totals that never go back.
async fn measure(context: &Arc<Context>, id: Uuid) -> Option<Usage> {
    let (mut usage, network) = match context.hypervisor.usage(id).await {
        Ok(reading) => reading?,
        Err(fault) => {
            tracing::debug!(instance = %id, %fault, "no counters");
            return None;
        }
    };
    let ledger = context.ledger.clone();
    let counted =
        tokio::task::spawn_blocking(move || ledger.count(id, network.in_bytes, network.out_bytes)).await;
    let totals = match counted.map_err(anyhow::Error::from).and_then(|counted| counted) {
        Ok(totals) => totals,
        Err(error) => {
            tracing::warn!(instance = %id, error = format!("{error:#}"), "counters were not kept");
            return None;
        }
    };
    (usage.network_in_bytes, usage.network_out_bytes) = totals;
    usage.network_seen = match context.signs.is_seen(id) {
        true => Some(true),
        false => context.hypervisor.packets(id).await.and_then(|packets| context.signs.judge(id, packets)),
    };
    Some(usage)
}

async fn remember(
    context: &Arc<Context>,
    id: Uuid,
    change: impl FnOnce(&mut crate::ledger::Memo) + Send + 'static,
) -> Result<(), Fault> {
    let ledger = context.ledger.clone();
    let kept = tokio::task::spawn_blocking(move || ledger.remember(id, change)).await;
    match kept {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Fault::passing(FailureCode::StorageFull, format!("{error:#}"))),
        Err(error) => Err(Fault::passing(FailureCode::Unknown, error.to_string())),
    }
}

const fn step(action: Action, deleting: bool) -> Step {
    if deleting {
        return Step::Deleting;
    }
    match action {
        Action::CreateVolume { .. } => Step::CreatingVolume,
        Action::GrowVolume { .. }
        | Action::ResizeDisk(_)
        | Action::SetVcpus(_)
        | Action::SetMemory(_)
        | Action::SetCpuLimits
        | Action::SetDiskLimits => Step::Resizing,
        Action::Start | Action::Resume | Action::Reboot => Step::Starting,
        Action::Shutdown | Action::Destroy => Step::Stopping,
        Action::DeleteVolume { .. }
        | Action::WriteSeed
        | Action::RemoveSeed
        | Action::AttachNetwork
        | Action::DetachNetwork
        | Action::Define
        | Action::Undefine
        | Action::DeleteLeftovers => Step::Configuring,
    }
}
