//! The state that people see, and which requests it allows.
//!
//! The rules are `jst_policy::lifecycle`; here they are given the columns.  The state is derived
//! whenever one of its causes changes, and stored, so that lists can be filtered by it and pages be
//! woken by it.

use super::db;
use super::model::Instance;
use super::work::Work;
use crate::auth::Actor;
use crate::error::{Error, Result};
use jst_policy::lifecycle::{Build, Deletion, InstanceState, Observation, Request};
use jst_protocol::report::{Observed, Outcome};

pub fn derive(instance: &Instance) -> InstanceState {
    let build = if instance.has_failed() {
        Build::Failed
    } else if instance.applied_generation >= instance.build_generation {
        Build::Done
    } else {
        Build::Pending
    };
    let observed = match instance.observed {
        Observed::Absent => Observation::Absent,
        Observed::Stopped => Observation::Stopped,
        Observed::Running => Observation::Running,
        Observed::Crashed => Observation::Crashed,
        Observed::Unknown => Observation::Unknown,
    };
    let deletion = match (instance.deleted_at, instance.purged_at) {
        (_, Some(_)) => Deletion::Acknowledged,
        (Some(_), None) => Deletion::Requested,
        (None, None) => Deletion::NotRequested,
    };
    InstanceState::derive(instance.power, build, observed, deletion)
}

/// Whether the request makes sense now.  The refusal says what stands in the way.
pub fn check(instance: &Instance, request: Request) -> Result<()> {
    if request == Request::Undelete && instance.tombstone_at.is_some() {
        return Err(Error::conflict("undelete-too-late"));
    }
    // A rebuild that failed for good left nothing that runs: only another one helps.
    let rebuilds = request == Request::Rebuild && is_stuck(instance);
    if instance.state.check(request).is_err() && !rebuilds {
        return Err(Error::conflict(match instance.state {
            InstanceState::Provisioning => "instance-provisioning",
            InstanceState::Failed => "instance-failed",
            InstanceState::Deleting | InstanceState::Deleted => "instance-deleting",
            InstanceState::Crashed => "instance-crashed",
            InstanceState::Running => "instance-running",
            InstanceState::Stopped => "instance-stopped",
        }));
    }
    check_lock(instance, request)
}

/// Whether the platform keeps the instance stopped.  A plan that is bought is the way out, and what
/// leads away is always open.
fn check_lock(instance: &Instance, request: Request) -> Result<()> {
    let locked = matches!(request, Request::Start | Request::Reboot | Request::Rebuild);
    match instance.lock_reason.as_deref() {
        Some("trial_expired") if locked => Err(Error::refused("trial-expired")),
        Some(_) if locked => Err(Error::refused("instance-locked")),
        _ => Ok(()),
    }
}

/// Whoever sells an instance decides about its plan and its end.  Customers of another system are told where to ask;
/// administrators know what they do.
pub async fn check_seller(work: &mut Work, actor: &Actor) -> Result<()> {
    if actor.is_admin {
        return Ok(());
    }
    match db::seller(&mut work.tx, work.instance.id).await? {
        Some(seller) => Err(Error::refused("sold-elsewhere").with("seller", seller)),
        None => Ok(()),
    }
}

/// The host said that the present build will never be.
pub fn is_stuck(instance: &Instance) -> bool {
    instance.state == InstanceState::Provisioning
        && instance.reported_generation == instance.generation
        && matches!(instance.outcome, Some(Outcome::Failed { permanent: true, .. }))
}
