//! Taking a message about what a service may do, and making its instance so.

use super::order::{Entitlement, Message};
use super::{LOCK, Service, actor, db, find, find_meant};
use crate::auth::billing_system::BillingSystem;
use crate::billing::db::entitlement::{ran_before, remember_power};
use crate::billing::entitlement::{lock, release};
use crate::db::Tx;
use crate::error::{Error, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::{InstanceId, ServiceId};
use crate::instances::delete::{grace_hours, is_retained, mark_deleted, take_name_back};
use crate::instances::work::Work;
use crate::instances::{self, Operation, change, resize};
use crate::set_aside::{Item, Kind, Pass};
use crate::state::App;
use jst_policy::lifecycle::Power;
use serde_json::{Value, json};

/// The service as it is afterwards, and what its host has to do for it.
pub struct Outcome {
    pub service: Service,
    pub operation: Option<Operation>,
}

/// Takes a message.  One that is older than what is in force changes nothing, and is answered with what is in force.
pub async fn take(
    app: &App,
    caller: &BillingSystem,
    reference: &str,
    message: Message,
    version: i64,
    meant: Option<ServiceId>,
) -> Result<Outcome> {
    check_version(version)?;
    let service = find_meant(app, caller, reference, meant).await?;
    let operation = match Work::system(app, service.instance, &caller.name).await? {
        Some(work) => on_instance(caller, &service, work, message, version).await?,
        None => {
            without_instance(app, caller, &service, message, version).await?;
            None
        }
    };
    // A newer service may have taken the reference meanwhile; then that is what there is.
    Ok(Outcome { service: find(app, caller, reference).await?, operation })
}

/// One transaction: the decision, what it means for the instance, the events.
async fn on_instance(
    caller: &BillingSystem,
    service: &Service,
    mut work: Work,
    message: Message,
    version: i64,
) -> Result<Option<Operation>> {
    work.source = caller.source();
    let before = db::lock(&mut work.tx, service.id).await?;
    let after = before.after(version, message);
    if after == before {
        return Ok(None);
    }
    let gone = work.instance.tombstone_at.is_some();
    if gone && after.entitlement != Entitlement::Terminated {
        return Err(Error::conflict("service-gone"));
    }
    save(&mut work.tx, service, after).await?;
    record(&mut work.tx, &work.source, service, message.event(), json!({ "version": version })).await?;
    let operation = settle(&mut work, after.entitlement).await?;
    work.tx.commit().await?;
    Ok(operation)
}

/// Of what was never made, or is gone, nothing but the end can be decided.
async fn without_instance(
    app: &App,
    caller: &BillingSystem,
    service: &Service,
    message: Message,
    version: i64,
) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let before = db::lock(&mut tx, service.id).await?;
    let after = before.after(version, message);
    if after == before {
        return Ok(());
    }
    if after.entitlement != Entitlement::Terminated {
        let never = service.made.is_none() && before.entitlement != Entitlement::Terminated;
        return Err(Error::conflict(if never { "service-pending" } else { "service-gone" }));
    }
    save(&mut tx, service, after).await?;
    record(&mut tx, &caller.source(), service, message.event(), json!({ "version": version })).await?;
    tx.commit().await?;
    Ok(())
}

async fn save(tx: &mut Tx, service: &Service, after: super::order::InForce) -> Result<()> {
    db::save(tx, service.id, after).await.map_err(|error| match violated_constraint(&error) {
        // Its reference names another service by now.
        Some("billing_services_ref_key") => Error::conflict("service-mismatch"),
        _ => error.into(),
    })
}

pub fn check_version(version: i64) -> Result<()> {
    if version > 0 { Ok(()) } else { Err(Error::invalid("entitlement_version", "number")) }
}

pub async fn record(
    tx: &mut Tx,
    source: &Source,
    service: &Service,
    action: &'static str,
    mut data: Value,
) -> Result<()> {
    data["name"] = json!(service.external_ref);
    data["instance"] = json!(service.instance);
    let subject = service.id.to_string();
    let event =
        Event { tenant: Some(service.tenant), action, subject_kind: "service", subject_id: &subject, data };
    events::record(tx, source, event).await?;
    Ok(())
}

/// Makes the instance what is in force, as often as it is called.
async fn settle(work: &mut Work, entitlement: Entitlement) -> Result<Option<Operation>> {
    let there = work.instance.deleted_at.is_none();
    let ours = work.instance.lock_reason.as_deref() == Some(LOCK);
    let free = work.instance.lock_reason.is_none();
    Ok(match entitlement {
        Entitlement::Terminated if there => {
            let (tenant, id) = (work.instance.tenant_id, work.instance.id);
            remember_power(&mut work.tx, tenant, id, work.instance.power).await?;
            work.instance.delete_protection = false;
            let hours = grace_hours(&mut *work.tx, false).await?;
            Some(mark_deleted(work, hours).await?)
        }
        Entitlement::Active | Entitlement::Suspended if is_retained(&work.instance) => {
            Some(bring_back(work, entitlement).await?)
        }
        Entitlement::Suspended if there && free && !work.instance.has_failed() => {
            Some(lock(work, LOCK, "instance.suspended").await?)
        }
        Entitlement::Active if there && ours => release(work, "instance.released").await?,
        _ => None,
    })
}

/// Undoes a deletion; what ran before runs again, unless somebody keeps it stopped.
async fn bring_back(work: &mut Work, entitlement: Entitlement) -> Result<Operation> {
    let instance = &mut work.instance;
    instance.deleted_at = None;
    instance.purge_at = None;
    instance.power = Power::Stopped;
    if entitlement == Entitlement::Suspended {
        // What was remembered stays remembered until it is released.
        instance.lock_reason.get_or_insert_with(|| LOCK.to_owned());
    } else {
        if instance.lock_reason.as_deref() == Some(LOCK) {
            instance.lock_reason = None;
        }
        let ran = instance.lock_reason.is_none() && ran_before(&mut work.tx, work.instance.id).await?;
        if ran {
            work.instance.power = Power::Running;
        }
    }
    take_name_back(work).await?;
    let data = json!({ "name": work.instance.name });
    work.write(instances::Kind::Undelete, "instance.undeleted", data).await.map_err(change::at_name)
}

/// Locks and releases what could not be when its message came, because somebody else's lock was in the way.
pub async fn pass(app: App) -> Result<()> {
    let pass = Pass::begin(&app, Kind::Service).await?;
    for (service, instance) in db::unsettled(app.db.platform(), 100).await? {
        let item = Item::new(Kind::Service, service.uuid()).instance(instance);
        pass.each(item, settle_again(&app, service, instance)).await?;
    }
    Ok(())
}

async fn settle_again(app: &App, service: ServiceId, instance: InstanceId) -> Result<()> {
    let Some(mut work) = Work::system(app, instance, "billing systems").await? else { return Ok(()) };
    let in_force = db::lock(&mut work.tx, service).await?;
    settle(&mut work, in_force.entitlement).await?;
    work.tx.commit().await?;
    Ok(())
}

/// Moves a service to another plan.  Decisions about the plan have numbers of the same kind: a later one wins.
pub async fn change_plan(
    app: &App,
    caller: &BillingSystem,
    reference: &str,
    plan: &str,
    grow_disk: bool,
    version: i64,
    meant: Option<ServiceId>,
) -> Result<Outcome> {
    check_version(version)?;
    let service = find_meant(app, caller, reference, meant).await?;
    if service.in_force.entitlement == Entitlement::Terminated {
        return Err(Error::conflict("service-gone"));
    }
    if service.made.is_none() {
        return Err(Error::conflict("service-pending"));
    }
    let target = resize::Target::sold(app, plan, grow_disk).await?;
    let actor = actor(caller, service.tenant, service.user);
    let mut operation = None;
    if let Some(tx) = plan_turn(app, &service, version).await? {
        let changed = resize::resize_sold(app, tx, &actor, service.instance, &target).await;
        let tx = match changed {
            Ok((work, begun)) => {
                operation = Some(begun);
                Some(work.tx)
            }
            // Nothing has to be done; the decision counts all the same.
            Err(Error::Invalid(fields)) if fields.iter().any(|field| field.code == "plan-is-current") => {
                plan_turn(app, &service, version).await?
            }
            Err(error) => return Err(error),
        };
        if let Some(mut tx) = tx {
            db::plan_decided(&mut tx, service.id, version).await?;
            let data = json!({ "version": version, "plan": plan });
            record(&mut tx, &caller.source(), &service, "service.plan_changed", data).await?;
            tx.commit().await?;
        }
    }
    Ok(Outcome { service: find(app, caller, reference).await?, operation })
}

/// The turn of this decision about a service's plan, which lasts as long as the transaction: two of them follow each
/// other.  None: a newer one is in force.
async fn plan_turn(app: &App, service: &Service, version: i64) -> Result<Option<Tx>> {
    let mut tx = app.db.begin_platform().await?;
    let decided = db::plan_turn(&mut tx, service.id).await?;
    Ok((version > decided).then_some(tx))
}
