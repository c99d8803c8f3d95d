//! Moving an instance to another plan, and changing its policy within one.
//!
//! The database decides whether the host has room, in the statement that books the difference.
//! What the change means for the running guest is told before and shown after: most fields are in
//! force at once, some wait for a restart.  Until a smaller plan was read back, the larger one stays
//! booked and charged ([`super::in_force`]).  A disk grows when that is asked for, and never shrinks:
//! a plan with a smaller disk is refused.

use super::create::{any_plan, find_plan};
use super::db::{bookings, catalogue};
use super::funding::Order;
use super::model::Instance;
use super::operations::{Kind, Operation};
use super::placing;
use super::quotas;
use super::work::Work;
use crate::auth::{Actor, Admin};
use crate::db::Tx;
use crate::error::{Error, FieldError, Result};
use crate::ids::{HostId, InstanceId};
use crate::plans::Plan;
use crate::state::App;
use crate::trials;
use jst_policy::admission::{Booking, resize_fits};
use jst_policy::change::{Effect, FieldChange, GuestLimits, classify};
use jst_policy::instance::ResourcePolicy;
use jst_policy::lifecycle::Request;
use jst_policy::placement::Candidate;
use jst_policy::units::MiB;
use serde_json::json;

/// What a move to a plan would mean, for the customer to read before confirming.
#[derive(Clone, Debug)]
pub struct Preview {
    pub policy: ResourcePolicy,
    pub changes: Vec<FieldChange>,
    /// What the plan's disk has beyond the instance's own.
    pub disk_growth: MiB,
    /// The plan's disk is smaller than the instance's, which rules the plan out.
    pub disk_too_small: bool,
}

impl Preview {
    pub fn of(instance: &Instance, plan: &Plan, grow_disk: bool) -> Self {
        let (own, planned) = (instance.policy.disk.size, plan.policy.disk.size);
        let mut policy = plan.policy.clone();
        if !grow_disk || planned < own {
            policy.disk.size = own;
        }
        let changes = classify(&instance.policy, &policy, &limits(instance));
        Self { policy, changes, disk_growth: planned.saturating_sub(own), disk_too_small: planned < own }
    }

    /// Fields that a running guest takes at its next start only.
    pub fn after_restart(&self) -> Vec<&str> {
        self.with_effect(Effect::RestartRequired)
    }

    pub fn live(&self) -> Vec<&str> {
        self.with_effect(Effect::Live)
    }

    fn with_effect(&self, effect: Effect) -> Vec<&str> {
        self.changes
            .iter()
            .filter(|change| change.effect == effect)
            .map(|change| change.field.as_str())
            .collect()
    }
}

/// How far the running guest can grow and shrink, as far as the server knows: what it was
/// started with is what is in force, unless it has grown since.
fn limits(instance: &Instance) -> GuestLimits {
    GuestLimits::for_policy(instance.applied.as_ref().unwrap_or(&instance.policy))
}

/// Moves an instance to another plan; its disk grows to the plan's only with `grow_disk`, for good.  A
/// trial that is moved to a plan that is sold is bought with its disk and its addresses.
pub async fn resize(
    app: &App,
    actor: &Actor,
    id: InstanceId,
    plan: &str,
    grow_disk: bool,
) -> Result<Operation> {
    actor.may_operate()?;
    let target = Target::new(app, known(find_plan(app, actor, plan).await?, plan)?, grow_disk).await?;
    let tx = app.db.tenant(actor.tenant_id).await?;
    let (work, operation) = resize_to(app, tx, actor, id, &target, false).await?;
    work.tx.commit().await?;
    Ok(operation)
}

/// Where an instance goes: the plan, whether its disk grows with it, and what its host can do.  Read before the
/// transaction begins, which must not wait for a second connection.
pub struct Target {
    plan: Plan,
    grow_disk: bool,
    hosts: Vec<Candidate>,
}

impl Target {
    async fn new(app: &App, plan: Plan, grow_disk: bool) -> Result<Self> {
        Ok(Self { plan, grow_disk, hosts: crate::hosts::candidates(app.db.platform(), None).await? })
    }

    /// A plan that a billing system may sell, whether or not we offer it.
    pub async fn sold(app: &App, plan: &str, grow_disk: bool) -> Result<Self> {
        Self::new(app, known(any_plan(app, plan).await?, plan)?, grow_disk).await
    }
}

/// The same at the word of the system that sells the instance, in the caller's transaction: neither quotas nor the right to
/// buy count.
pub async fn resize_sold(
    app: &App,
    tx: Tx,
    actor: &Actor,
    id: InstanceId,
    target: &Target,
) -> Result<(Work, Operation)> {
    resize_to(app, tx, actor, id, target, true).await
}

fn known(plan: Option<Plan>, text: &str) -> Result<Plan> {
    plan.ok_or_else(|| Error::invalid("plan", if text.trim().is_empty() { "required" } else { "choice" }))
}

async fn resize_to(
    app: &App,
    mut tx: Tx,
    actor: &Actor,
    id: InstanceId,
    target: &Target,
    sold: bool,
) -> Result<(Work, Operation)> {
    actor.may_operate()?;
    let Target { plan, grow_disk, hosts } = target;
    // The tenant's row before the instance's, as everywhere.
    let tenant = catalogue::lock_tenant(&mut tx, actor.tenant_id).await?;
    let instance = super::db::lock(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let mut work = Work::created(tx, instance, actor);
    super::state::check(&work.instance, Request::Resize)?;
    if tenant.suspended {
        return Err(Error::refused("tenant-suspended"));
    }
    if !sold {
        super::state::check_seller(&mut work, actor).await?;
        if !tenant.may_buy {
            return Err(quotas::may_not_buy(&mut work.tx, actor.tenant_id).await?);
        }
    }
    if plan.trial_only() {
        return Err(Error::refused("plan-trial-only"));
    }
    let trial = trials::db::is_trial(&mut work.tx, id).await?;
    let same = plan.id == work.instance.plan_id && plan.version == work.instance.plan_version;
    let preview = Preview::of(&work.instance, plan, *grow_disk);
    check_disk(&work.instance, plan, &preview)?;
    // A trial may be bought as it is, and a disk that was left as it was may grow later.
    let grows = *grow_disk && preview.disk_growth > MiB::ZERO;
    if same && !trial && !grows {
        return Err(Error::invalid("plan", "plan-is-current"));
    }
    let old = work.instance.policy.clone();
    if !sold {
        let booked = bookings::of(&mut work.tx, id).await?.unwrap_or_default();
        let new = booked.larger(&Booking::of(&preview.policy));
        quotas::check(&mut work.tx, actor.tenant_id, &tenant, Some(&booked), &new).await?;
        let (tenant, plan, plan_version) = (actor.tenant_id, plan.id, plan.version);
        app.funding.check(&mut work.tx, &Order { tenant, instance: id, plan, plan_version }).await?;
    }
    let from = crate::plans::db::by_id(&mut *work.tx, work.instance.plan_id).await?.map(|plan| plan.slug);
    let instance = &mut work.instance;
    instance.plan_id = plan.id;
    instance.plan_version = plan.version;
    instance.restart_on_crash = plan.restart_on_crash;
    instance.policy = preview.policy.clone();
    trials::convert(&mut work).await?;
    let data = json!({
        "name": work.instance.name,
        "plan": { "from": from, "to": plan.slug },
        "plan_version": plan.version,
        "policy": { "from": old, "to": work.instance.policy },
        "grow_disk": grows,
    });
    book_and_write(app, work, hosts, "instance.resize_requested", data).await
}

/// What is on a disk is lost when it shrinks, so that no plan with a smaller one can be had.
fn check_disk(instance: &Instance, plan: &Plan, preview: &Preview) -> Result<()> {
    if !preview.disk_too_small {
        return Ok(());
    }
    let size = |size: MiB| crate::web::format::mib(size.get());
    Err(Error::Invalid(vec![
        FieldError::new("plan", "plan-disk-too-small")
            .with("disk", size(instance.policy.disk.size))
            .with("planned", size(plan.policy.disk.size)),
    ]))
}

/// Gives an instance a policy of its own, within its plan: an administrator's doing, for which no
/// quota counts.  The host must have room, and a disk does not shrink.
pub async fn set_policy(
    app: &App,
    admin: &Admin,
    id: InstanceId,
    policy: ResourcePolicy,
) -> Result<Operation> {
    let violations: Vec<FieldError> = policy
        .violations()
        .into_iter()
        .map(|violation| {
            FieldError::new(violation.field.clone(), "policy").with("problem", violation.problem)
        })
        .collect();
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    let hosts = crate::hosts::candidates(app.db.platform(), None).await?;
    let mut work = Work::system(app, id, "").await?.ok_or(Error::NotFound)?;
    work.source = (&admin.0).into();
    work.requested_by = Some(admin.0.user_id);
    super::state::check(&work.instance, Request::Resize)?;
    let refused = classify(&work.instance.policy, &policy, &limits(&work.instance))
        .into_iter()
        .any(|change| matches!(change.effect, Effect::Refused(_)));
    if refused {
        return Err(Error::invalid("disk.size", "disk-never-shrinks"));
    }
    let old = std::mem::replace(&mut work.instance.policy, policy);
    let data = json!({
        "name": work.instance.name,
        "policy": { "from": old, "to": work.instance.policy },
    });
    let (work, operation) = book_and_write(app, work, &hosts, "instance.policy_changed", data).await?;
    work.tx.commit().await?;
    Ok(operation)
}

/// Books what is new beside what is there: what becomes smaller is given back once that is in force.
async fn book_and_write(
    app: &App,
    mut work: Work,
    hosts: &[Candidate],
    action: &'static str,
    data: serde_json::Value,
) -> Result<(Work, Operation)> {
    if capability_missing(hosts, &work.instance) {
        return Err(Error::conflict("no-capable-host-here"));
    }
    let booked = bookings::of(&mut work.tx, work.instance.id).await?.unwrap_or_default();
    let new = booked.larger(&Booking::of(&work.instance.policy));
    if !bookings::rebook(&mut work.tx, work.instance.id, &new, bookings::Room::Needed).await? {
        let host = work.instance.host_id;
        drop(work);
        return Err(shortage(app, host, &booked, &new).await?);
    }
    let operation = work.write(Kind::Resize, action, data).await?;
    Ok((work, operation))
}

/// Nothing that is paid for may be dropped silently: the host must be able to do all of it.
fn capability_missing(hosts: &[Candidate], instance: &Instance) -> bool {
    let needs = jst_policy::placement::Capability::needed_by(&instance.policy);
    let host = hosts.iter().find(|candidate| candidate.host == instance.host_id.uuid());
    host.is_none_or(|host| !needs.is_subset(&host.capabilities))
}

/// What is short on the instance's host, in words.
async fn shortage(app: &App, host: HostId, old: &Booking, new: &Booking) -> Result<Error> {
    let candidates = crate::hosts::candidates(app.db.platform(), None).await?;
    let load =
        candidates.iter().find(|candidate| candidate.host == host.uuid()).map(|candidate| &candidate.load);
    let shortages =
        load.map(|load| resize_fits(load, old, new).err().unwrap_or_default()).unwrap_or_default();
    Ok(match shortages.first() {
        Some(shortage) => placing::short_here(shortage),
        // What was short a moment ago is free again.
        None => Error::conflict("no-host"),
    })
}
