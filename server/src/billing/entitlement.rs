//! May a customer use what they have?  From the account to the lock, and back.
//!
//! [`review`] looks at the account and decides ([`super::dunning`]); every decision has a version above the last one, and one
//! that was made upon an earlier version changes nothing.  [`settle`] makes the instances what the decision in force says,
//! one at a time, as often as it is called: it knows no order of events, so none can be wrong.  A payment that comes
//! while a suspension is still being carried out is looked at by both, and wins.

use super::accounts::{self, Account};
use super::db;
use super::dunning::{self, DAY, Dates, Stage, Step};
use super::standing::{self, Standing, at};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::Source;
use crate::ids::{InstanceId, TenantId};
use crate::instances::delete::mark_deleted;
use crate::instances::{Kind, Operation, work::Work};
use crate::mail::{self, Mail};
use crate::set_aside::{self, Item, Pass};
use crate::state::App;
use crate::web::language::Language;
use jst_policy::lifecycle::Power;
use serde_json::json;

/// Why an instance is kept stopped.
pub const LOCK: &str = "suspended";

const BATCH: i64 = 100;

/// Looks at every account that has anything.
pub async fn pass(app: &App) -> Result<()> {
    let pass = Pass::begin(app, set_aside::Kind::Account).await?;
    let mut after = None;
    loop {
        let tenants = db::entitlement::tenants(app.db.platform(), after, BATCH).await?;
        let Some(last) = tenants.last().copied() else { return Ok(()) };
        for tenant in tenants.into_iter().filter(|tenant| !pass.waits(tenant.uuid())) {
            let item = Item::new(set_aside::Kind::Account, tenant.uuid()).tenant(tenant);
            pass.each(item, review(app, tenant)).await?;
        }
        after = Some(last);
    }
}

/// Decides anew about one account, and carries it out.
pub async fn review(app: &App, tenant: TenantId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let account = db::accounts::lock(&mut tx, tenant).await?.ok_or(Error::NotFound)?;
    let standing = standing::of(&mut tx, tenant).await?;
    let now = db::now(&mut tx).await?.unix_timestamp();
    let (overdue, dates) = overdue(&mut tx, &standing, now).await?;
    db::entitlement::set_overdue(&mut tx, tenant, overdue.map(at)).await?;
    let due = dunning::stage(overdue, &dates, now);
    let (mut done, mut version) = (account.stage, account.entitlement_version);
    while let Some((step, stage)) = dunning::step(done, due) {
        version += 1;
        if !db::entitlement::decide(&mut tx, tenant, version, stage).await? {
            break;
        }
        // An account that ran dry was warned while it still had something, and is told now that it was stopped.
        if !(step == Step::Remind && dates.suspend == 0) {
            take(&mut tx, app, &standing, step).await?;
        }
        done = stage;
    }
    tell_low_balance(&mut tx, app, &standing).await?;
    tell_runway(&mut tx, app, &standing, overdue.is_some()).await?;
    tx.commit().await?;
    Box::pin(settle(app, tenant)).await
}

/// Since when something is overdue, and the dates that count for it.
///
/// Where nothing is left, what was not billed yet and the account's credit included, the account is locked at once; its data are
/// kept as for everybody.  It stays so until what runs again is covered for its first period: whatever little is paid would
/// otherwise start everything for a minute.  A postpaid account is overdue by its invoices besides.
async fn overdue(tx: &mut Tx, standing: &Standing, now: i64) -> Result<(Option<i64>, Dates)> {
    let dates = standing.settings.dates();
    if standing.settings.begins().is_none() {
        return Ok((None, dates));
    }
    let Account { tenant, prepaid, overdue_since, stage, .. } = standing.account;
    let waits = stage.is_locked() && overdue_since.is_some();
    let dry = standing.funds()?.minor < 0;
    if dry || (prepaid && waits && standing.missing(None)?.minor > 0) {
        let since = overdue_since.map_or(now, |since| since.unix_timestamp());
        return Ok((Some(since), Dates { remind: 0, suspend: 0, ..dates }));
    }
    if prepaid {
        return Ok((None, dates));
    }
    let debts = db::invoices::debts(tx, tenant).await?;
    let paid = standing.balance.minor + debts.iter().map(|(_, amount)| amount).sum::<i64>();
    Ok((dunning::overdue_since(&debts, paid, now), dates))
}

async fn take(tx: &mut Tx, app: &App, standing: &Standing, step: Step) -> Result<()> {
    let tenant = standing.account.tenant;
    let (action, kind) = match step {
        Step::Forget => return Ok(()),
        Step::Remind => ("billing.reminded", mail::Kind::PaymentReminder),
        Step::Suspend => {
            db::entitlement::suspend(tx, tenant).await?;
            ("billing.suspended", mail::Kind::AccountSuspended)
        }
        Step::Release => {
            db::entitlement::release(tx, tenant).await?;
            ("billing.released", mail::Kind::AccountReleased)
        }
        Step::Delete => ("billing.deleted", mail::Kind::AccountDeleted),
    };
    let available = standing.available()?;
    accounts::record(tx, &Source::system("dunning"), tenant, action, json!({ "available": available }))
        .await?;
    if step == Step::Release && !standing.runs_anything() {
        // Everything was deleted: nothing starts again.
        return Ok(());
    }
    let missing = standing.missing(None)?;
    let days = standing.settings.delete_days;
    let facts =
        [("available", available.to_string()), ("missing", missing.to_string()), ("days", days.to_string())];
    tell(tx, app, tenant, kind, &facts).await
}

/// Once, until it is above the mark again.
async fn tell_low_balance(tx: &mut Tx, app: &App, standing: &Standing) -> Result<()> {
    let Account { tenant, prepaid, currency, low_balance_told, .. } = standing.account;
    let available = standing.available()?;
    let bills = standing.settings.begins().is_some();
    let low = bills
        && prepaid
        && standing.forecast.minor > 0
        && available.minor < standing.settings.low_balance(currency);
    if low == low_balance_told {
        return Ok(());
    }
    db::entitlement::set_low_balance_told(tx, tenant, low).await?;
    if low {
        tell(tx, app, tenant, mail::Kind::LowBalance, &[("available", available.to_string())]).await
    } else {
        Ok(())
    }
}

/// Days before the end at which owners are told, each once.
const NOTICES: [i32; 2] = [1, 3];

/// Tells owners that what they run is covered for a few days only, at the present rate; and after a payment that lasts longer,
/// another time.
async fn tell_runway(tx: &mut Tx, app: &App, standing: &Standing, locked: bool) -> Result<()> {
    let Account { tenant, runway_told, .. } = standing.account;
    let runway = if locked { None } else { standing.runway()? };
    let notice = runway.and_then(|left| NOTICES.into_iter().find(|days| left <= i64::from(*days) * DAY));
    // What was told is remembered while it lasts; a locked account has heard enough.
    let told = if locked { runway_told } else { notice };
    if told != runway_told {
        db::entitlement::set_runway_told(tx, tenant, told).await?;
    }
    let Some(notice) = notice.filter(|days| runway_told.is_none_or(|told| *days < told)) else {
        return Ok(());
    };
    let available = standing.available()?;
    let data = json!({ "days": notice, "available": available });
    accounts::record(tx, &Source::system("billing"), tenant, "billing.runway_told", data).await?;
    let facts = [("available", available.to_string()), ("days", notice.to_string())];
    tell(tx, app, tenant, mail::Kind::RunningOut, &facts).await
}

/// A mail to every owner, with a link to the account.
pub async fn tell(
    tx: &mut Tx,
    app: &App,
    tenant: TenantId,
    kind: mail::Kind,
    facts: &[(&'static str, String)],
) -> Result<()> {
    let link = format!("{}/billing", app.config.public_url.trim_end_matches('/'));
    for (recipient, locale) in db::entitlement::owners(tx, tenant).await? {
        let language = Language::from_code(&locale).unwrap_or_default();
        let arguments = [facts, &[("link", link.clone())]].concat();
        mail::enqueue(app, tx, Mail { language, kind, recipient: &recipient, arguments: &arguments }).await?;
    }
    Ok(())
}

/// Makes a tenant's instances what the decision in force says.  One that cannot be is set aside: whoever does not pay
/// must not go on because of it, and whoever pays must not wait for it.
pub async fn settle(app: &App, tenant: TenantId) -> Result<()> {
    let unsettled = db::entitlement::unsettled(app.db.platform(), tenant).await?;
    if unsettled.is_empty() {
        return Ok(());
    }
    let pass = Pass::begin(app, set_aside::Kind::Suspension).await?;
    for instance in unsettled {
        let item = Item::new(set_aside::Kind::Suspension, instance.uuid()).instance(instance).tenant(tenant);
        pass.each(item, settle_one(app, tenant, instance)).await?;
    }
    Ok(())
}

async fn settle_one(app: &App, tenant: TenantId, id: InstanceId) -> Result<()> {
    let Some(mut work) = Work::system(app, id, "dunning").await? else { return Ok(()) };
    let stage = db::entitlement::stage(&mut work.tx, tenant).await?;
    let stage = stage.as_deref().and_then(Stage::parse).unwrap_or(Stage::Clear);
    let locked = work.instance.lock_reason.as_deref() == Some(LOCK);
    let there = work.instance.deleted_at.is_none() && !work.instance.has_failed();
    if stage == Stage::Deleted && there {
        work.instance.delete_protection = false;
        let hours = crate::instances::delete::grace_hours(&mut *work.tx, false).await?;
        mark_deleted(&mut work, hours).await?;
    } else if stage.is_locked() && there && work.instance.lock_reason.is_none() {
        lock(&mut work, LOCK, "instance.suspended").await?;
    } else if !stage.is_locked() && locked {
        release(&mut work, "instance.released").await?;
    } else {
        return Ok(());
    }
    work.tx.commit().await?;
    Ok(())
}

/// Stops an instance that nobody keeps stopped yet, and remembers whether it ran.
pub async fn lock(work: &mut Work, reason: &str, event: &'static str) -> Result<Operation> {
    let (tenant, id) = (work.instance.tenant_id, work.instance.id);
    db::entitlement::remember_power(&mut work.tx, tenant, id, work.instance.power).await?;
    work.instance.lock_reason = Some(reason.to_owned());
    work.instance.power = Power::Stopped;
    work.write(Kind::Shutdown, event, json!({ "name": work.instance.name })).await
}

/// Lets go of an instance, and starts it again if it ran.
pub async fn release(work: &mut Work, event: &'static str) -> Result<Option<Operation>> {
    let ran = db::entitlement::ran_before(&mut work.tx, work.instance.id).await?;
    let name = json!({ "name": work.instance.name });
    work.instance.lock_reason = None;
    if ran && work.instance.deleted_at.is_none() && !work.instance.has_failed() {
        work.instance.power = Power::Running;
        return Ok(Some(work.write(Kind::Start, event, name).await?));
    }
    work.save().await?;
    work.record(event, name).await?;
    Ok(None)
}
