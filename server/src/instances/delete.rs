//! Deleting, undoing it, and what follows the grace period.
//!
//! ```text
//!   delete ──> retained: stopped, everything kept ──grace period──> tombstone ──absent──> purged
//!                 │                                                    ^
//!                 └── undo: stopped again          delete at once ─────┘
//! ```
//!
//! Until the host has acknowledged that nothing is left, booking and addresses stay: nobody else is
//! given an address that may still be in use.

use super::change;
use super::create::MAX_NAME;
use super::funding::Order;
use super::model::Instance;
use super::operations::{Kind, Operation};
use super::work::Work;
use super::{db, state};
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::ids::InstanceId;
use crate::settings;
use crate::state::App;
use jst_policy::lifecycle::{Power, Request};
use jst_protocol::report::Observed;
use serde_json::json;
use sqlx::PgExecutor;
use time::{Duration, OffsetDateTime};

/// Deletions that follow each other within this time share one grace period: who deletes and undoes in turn would
/// otherwise keep everything for ever.
const SHARED_GRACE: Duration = Duration::days(30);

/// Instances of one name that are told apart by numbers.
const MAX_NUMBERED: u32 = 9;

/// Hours in which the deletion of a trial can be undone.
const TRIAL_GRACE_HOURS: i64 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After the grace period.
    Later,
    /// At once, without a way back.
    Now,
}

/// Deletes an instance.  A protected one only after its protection was lifted.
pub async fn delete(app: &App, actor: &Actor, id: InstanceId, when: When) -> Result<Operation> {
    let mut work = Work::open(app, actor, id).await?;
    state::check_seller(&mut work, actor).await?;
    // Who deleted with a grace period may still choose not to wait for its end.
    let shortens = when == When::Now && is_retained(&work.instance);
    if !shortens {
        state::check(&work.instance, Request::Delete)?;
    }
    if work.instance.delete_protection {
        return Err(Error::conflict("delete-protected"));
    }
    let trial = crate::trials::db::is_trial(&mut work.tx, id).await?;
    let hours = match when {
        When::Now => 0,
        When::Later => grace_hours(&mut *work.tx, trial).await?,
    };
    let operation = mark_deleted(&mut work, hours).await?;
    work.tx.commit().await?;
    Ok(operation)
}

/// How long a deletion can be undone.
pub async fn grace_hours(executor: impl PgExecutor<'_>, trial: bool) -> Result<i64> {
    let hours = settings::get(executor).await?.delete_grace_hours.max(0);
    Ok(if trial { hours.min(TRIAL_GRACE_HOURS) } else { hours })
}

/// Whether the grace period runs and can be undone.
pub fn is_retained(instance: &Instance) -> bool {
    instance.deleted_at.is_some() && instance.tombstone_at.is_none()
}

/// Marks an instance as deleted, in the caller's transaction.
pub async fn mark_deleted(work: &mut Work, grace_hours: i64) -> Result<Operation> {
    let instance = &mut work.instance;
    let failed = instance.has_failed();
    let now = instance.now;
    instance.power = Power::Stopped;
    instance.deleted_at = instance.deleted_at.or(Some(now));
    let first = grace_begins(instance);
    instance.first_deleted_at = Some(first);
    // Of what failed nothing is left to come back.
    let purge_at = if failed { now } else { now.max(first + Duration::hours(grace_hours)) };
    let at_once = purge_at <= now;
    instance.purge_at = Some(purge_at);
    if at_once && instance.tombstone_at.is_none() {
        instance.tombstone_at = Some(now);
    }
    let gone = failed && is_absent(instance);
    let data = json!({
        "name": instance.name,
        "purge_at": instance.purge_at.map(|at| at.unix_timestamp()),
    });
    let mut operation = work.write(Kind::Delete, "instance.delete_requested", data).await?;
    if gone {
        // The host said so before: there is nobody to wait for.
        super::reports::purge(work, &operation).await?;
        operation = db::operations::any(&mut work.tx, operation.id).await?.unwrap_or(operation);
    }
    Ok(operation)
}

/// From when the grace period of a deletion now counts: from the first of those within a month.
pub fn grace_begins(instance: &Instance) -> OffsetDateTime {
    instance.first_deleted_at.filter(|first| instance.now - *first < SHARED_GRACE).unwrap_or(instance.now)
}

/// The host has acknowledged the tombstone as it stands.
pub fn is_absent(instance: &Instance) -> bool {
    instance.observed == Observed::Absent && instance.reported_generation >= instance.generation
}

/// Brings a deleted instance back, stopped.
pub async fn undelete(app: &App, actor: &Actor, id: InstanceId) -> Result<Operation> {
    let mut work = Work::begin_order(app, actor, id, Request::Undelete).await?;
    state::check_seller(&mut work, actor).await?;
    let trial = crate::trials::db::is_trial(&mut work.tx, id).await?;
    // What is sold elsewhere is paid there.
    if !trial && db::seller(&mut work.tx, id).await?.is_none() {
        let Instance { plan_id: plan, plan_version, tenant_id: tenant, .. } = work.instance;
        app.funding.check(&mut work.tx, &Order { tenant, instance: id, plan, plan_version }).await?;
    }
    work.instance.deleted_at = None;
    work.instance.purge_at = None;
    work.instance.power = Power::Stopped;
    take_name_back(&mut work).await?;
    let data = json!({ "name": work.instance.name });
    work.finish(Kind::Undelete, "instance.undeleted", data).await.map_err(change::at_name)
}

/// Gives an instance that comes back its name again.  A deletion frees the name at once: where another instance has it by
/// now, this one comes back as `web-1 (2)`, because nobody should lose an instance over a name.
pub async fn take_name_back(work: &mut Work) -> Result<()> {
    let instance = &mut work.instance;
    let numbered = (2..=MAX_NUMBERED).map(|number| format!(" ({number})"));
    // So many of one name are no accident any more; the end of the id is nobody else's.
    let endings = std::iter::once(String::new()).chain(numbered).chain([format!(" {}", instance.id.short())]);
    for ending in endings {
        let room = MAX_NAME - ending.chars().count();
        let beginning: String = instance.name.chars().take(room).collect();
        let name = if ending.is_empty() { beginning } else { format!("{}{ending}", beginning.trim_end()) };
        if !db::name_is_taken(&mut work.tx, instance.tenant_id, instance.id, &name).await? {
            instance.name = name;
            return Ok(());
        }
    }
    Err(Error::invalid("name", "name-taken"))
}

/// The grace period is over: the host is told to remove everything.
pub async fn begin_purge(app: &App, id: InstanceId) -> Result<()> {
    let Some(mut work) = Work::system(app, id, "purge").await? else { return Ok(()) };
    let instance = &mut work.instance;
    let due = is_retained(instance) && instance.purge_at.is_some_and(|at| at <= instance.now);
    if !due {
        // Undone, or another replica was faster.
        return Ok(());
    }
    instance.tombstone_at = Some(instance.now);
    let data = json!({ "name": instance.name });
    work.finish(Kind::Purge, "instance.purge_requested", data).await?;
    Ok(())
}
