//! What follows from a report: a decision without effects.

use crate::ids::OperationId;
use crate::instances::db::reports::Observation;
use crate::instances::in_force;
use crate::instances::model::Instance;
use crate::instances::operations::{GUEST_CRASHED, Kind, Operation};
use jst_policy::lifecycle::Power;
use jst_protocol::report::{ActionReport, InstanceReport, Observed, Outcome};
use serde::Serialize;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Absent when the report is older than what is known.
    pub observation: Option<Observation>,
    pub verdicts: Vec<(OperationId, Verdict)>,
    pub conclusion: Conclusion,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Progress {
        step: String,
        percent: i16,
        /// The host has failed and tries again.
        failure: Option<(String, String)>,
    },
    Succeeded {
        restart_required: Vec<String>,
    },
    Failed {
        code: String,
        detail: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Conclusion {
    #[default]
    Nothing,
    /// The guest powered itself off.
    StoppedItself,
    CreationFailed {
        code: String,
        detail: String,
    },
    /// The host keeps nothing of it any more.
    Gone,
}

/// Details of failures are for people; agents send whole error chains.
const MAX_DETAIL: usize = 500;

/// Decides what follows from a report of the instance's present epoch, by these rules:
///
/// 1. Outcomes of one-shot actions count whenever they come: their ids are used once.
/// 2. A report about an earlier generation than the last one is older; one about a generation that
///    was never asked for is not ours.
/// 3. Within a generation, what is final stays: 'on the way' after 'done' was overtaken.  Only a crash is
///    news even then.
/// 4. An operation ends with the first final outcome of its generation or a later one, which
///    includes what it asked for.
pub fn judge(instance: &Instance, operations: &[Operation], report: &InstanceReport) -> Judgement {
    let mut judgement = Judgement::default();
    for operation in operations.iter().filter(|operation| operation.kind.is_one_shot()) {
        let action = report.actions.iter().find(|action| action.id == operation.id.uuid());
        if let Some(verdict) = action.and_then(|action| action_verdict(action, report)) {
            judgement.verdicts.push((operation.id, verdict));
        }
    }
    let known = instance.reported_generation;
    if report.generation < known || report.generation > instance.generation {
        return judgement;
    }
    let decided = report.generation == known && instance.outcome.as_ref().is_some_and(is_final);
    let overtaken = decided && !is_final(&report.outcome) && is_progress(&report.outcome);
    if !overtaken || report.observed == Observed::Crashed {
        judgement.observation = Some(observation(instance, report, overtaken));
    }
    for operation in operations {
        let settled = judgement.verdicts.iter().any(|(id, _)| *id == operation.id);
        if !settled
            && operation.generation <= report.generation
            && let Some(verdict) = verdict(instance, operation, report)
        {
            judgement.verdicts.push((operation.id, verdict));
        }
    }
    judgement.conclusion = conclusion(instance, operations, report);
    judgement
}

fn is_final(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Applied | Outcome::RestartRequired { .. } | Outcome::Failed { permanent: true, .. }
    )
}

fn is_progress(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Progress { .. } | Outcome::Unknown)
}

pub fn is_in_force(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Applied | Outcome::RestartRequired { .. })
}

fn observation(instance: &Instance, report: &InstanceReport, overtaken: bool) -> Observation {
    let fields = match &report.outcome {
        Outcome::RestartRequired { fields } => fields.clone(),
        _ => Vec::new(),
    };
    // On the way nothing is read back; what was in force is still the best answer.
    let read_back = is_in_force(&report.outcome) || report.applied.is_some();
    let (policy, drift) = match report.applied.as_ref().filter(|_| report.observed == Observed::Running) {
        Some(applied) => (Some(applied.policy.clone()), applied.drift.clone()),
        None if read_back || report.observed != Observed::Running => (None, Vec::new()),
        None => (instance.applied.clone(), instance.drift.clone()),
    };
    Observation {
        epoch: report.epoch,
        generation: report.generation,
        observed: report.observed,
        outcome: match (&instance.outcome, overtaken) {
            (Some(outcome), true) => outcome.clone(),
            _ => report.outcome.clone(),
        },
        applied: is_in_force(&report.outcome),
        reached: in_force::is_reached(instance, report),
        settled: in_force::is_settled(instance, report),
        policy,
        restart_required: if read_back { fields } else { instance.restart_required.clone() },
        drift,
    }
}

/// What a report says about an operation that asked for its generation or an earlier one.
fn verdict(instance: &Instance, operation: &Operation, report: &InstanceReport) -> Option<Verdict> {
    // Nothing is done until the host says that nothing is left: that is a conclusion of its own.
    let removes = instance.tombstone_at.is_some() && matches!(operation.kind, Kind::Delete | Kind::Purge);
    let stopped = !matches!(report.observed, Observed::Running);
    match &report.outcome {
        Outcome::Applied | Outcome::RestartRequired { .. } if removes => None,
        Outcome::Applied | Outcome::RestartRequired { .. } => match operation.kind {
            // A reboot is done when the host says so by its id.
            Kind::Reboot => None,
            Kind::PowerOff => stopped.then(|| Verdict::Succeeded { restart_required: Vec::new() }),
            Kind::Create | Kind::Start | Kind::Rebuild if report.observed == Observed::Crashed => {
                Some(Verdict::Failed { code: GUEST_CRASHED.to_owned(), detail: String::new() })
            }
            _ => Some(Verdict::Succeeded {
                restart_required: match &report.outcome {
                    Outcome::RestartRequired { fields } if operation.kind == Kind::Resize => fields.clone(),
                    _ => Vec::new(),
                },
            }),
        },
        _ if !operation.is_open() => None,
        Outcome::Progress { step, percent } => Some(Verdict::Progress {
            step: wire_name(step),
            percent: i16::from((*percent).min(100)),
            failure: None,
        }),
        Outcome::Failed { code, detail, permanent } => {
            let failure = (wire_name(code), shortened(detail));
            Some(if *permanent {
                Verdict::Failed { code: failure.0, detail: failure.1 }
            } else {
                Verdict::Progress {
                    step: operation.step.clone(),
                    percent: operation.percent,
                    failure: Some(failure),
                }
            })
        }
        Outcome::Unknown => None,
    }
}

fn action_verdict(action: &ActionReport, report: &InstanceReport) -> Option<Verdict> {
    match &action.outcome {
        Outcome::Applied | Outcome::RestartRequired { .. } if report.observed == Observed::Crashed => {
            Some(Verdict::Failed { code: GUEST_CRASHED.to_owned(), detail: String::new() })
        }
        Outcome::Applied | Outcome::RestartRequired { .. } => {
            Some(Verdict::Succeeded { restart_required: Vec::new() })
        }
        Outcome::Failed { code, detail, permanent: true } => {
            Some(Verdict::Failed { code: wire_name(code), detail: shortened(detail) })
        }
        Outcome::Failed { .. } | Outcome::Progress { .. } | Outcome::Unknown => None,
    }
}

fn conclusion(instance: &Instance, operations: &[Operation], report: &InstanceReport) -> Conclusion {
    // Only a report about what is desired now says how that went.
    if report.generation != instance.generation {
        return Conclusion::Nothing;
    }
    let in_force = is_in_force(&report.outcome);
    if instance.tombstone_at.is_some() {
        return if in_force && report.observed == Observed::Absent {
            Conclusion::Gone
        } else {
            Conclusion::Nothing
        };
    }
    if instance.deleted_at.is_some() {
        return Conclusion::Nothing;
    }
    let unbuilt = instance.applied_generation < instance.build_generation;
    let creating = operations.iter().any(|operation| operation.kind == Kind::Create);
    if let Outcome::Failed { code, detail, permanent: true } = &report.outcome
        && unbuilt
        && creating
    {
        return Conclusion::CreationFailed { code: wire_name(code), detail: shortened(detail) };
    }
    let acting = operations.iter().any(|operation| operation.is_open() && operation.kind.is_one_shot());
    let stopped = in_force && report.observed == Observed::Stopped;
    if stopped && instance.power == Power::Running && !acting {
        return Conclusion::StoppedItself;
    }
    Conclusion::Nothing
}

/// The name of a unit variant on the wire.
pub fn wire_name(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "unknown".to_owned(),
    }
}

fn shortened(detail: &str) -> String {
    detail.chars().filter(|c| !c.is_control() || *c == '\n').take(MAX_DETAIL).collect()
}
