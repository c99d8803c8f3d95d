//! The way of a trial: reminders, the stop at its end, the deletion some days later.
//!
//! Each step is written together with its mail and with the note that it was done, so that it happens
//! once, whichever replica comes first and whenever one dies.

use crate::error::Result;
use crate::events::Source;
use crate::ids::TrialId;
use crate::instances::delete::mark_deleted;
use crate::instances::operations::Kind as OperationKind;
use crate::instances::work::Work;
use crate::mail;
use crate::set_aside::{Item, Kind, Pass};
use crate::settings;
use crate::state::App;
use crate::trials::db::{self, Due};
use crate::trials::{EXPIRED, News, instance_link, record, tell};
use crate::web::language::Language;
use jst_policy::lifecycle::Power;
use serde_json::json;
use time::Duration;

const BATCH: i64 = 100;

pub async fn pass(app: App) -> Result<()> {
    let settings = settings::get(app.db.platform()).await?;
    let keep_days = i32::try_from(settings.trial_keep_days.max(0)).unwrap_or(i32::MAX);
    let reminders = Pass::begin(&app, Kind::TrialReminder).await?;
    for id in db::due_for_reminder(app.db.platform(), BATCH).await? {
        reminders.each(Item::new(Kind::TrialReminder, id.uuid()), remind(&app, id)).await?;
    }
    let ends = Pass::begin(&app, Kind::TrialEnd).await?;
    for due in db::due_for_stop(app.db.platform(), BATCH).await? {
        ends.each(item(Kind::TrialEnd, &due), stop(&app, &due, keep_days)).await?;
    }
    let deletions = Pass::begin(&app, Kind::TrialDeletion).await?;
    for due in db::due_for_deletion(app.db.platform(), keep_days, BATCH).await? {
        deletions.each(item(Kind::TrialDeletion, &due), delete(&app, &due)).await?;
    }
    Ok(())
}

fn item(kind: Kind, due: &Due) -> Item {
    Item::new(kind, due.id.uuid()).instance(due.instance_id).tenant(due.tenant_id)
}

fn language(due: &Due) -> Language {
    Language::from_code(&due.locale).unwrap_or_default()
}

async fn remind(app: &App, id: TrialId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let Some(due) = db::lock_for_reminder(&mut tx, id).await? else { return Ok(()) };
    db::reminded(&mut tx, due.id).await?;
    if let Some(name) = crate::instances::db::name(&mut tx, due.instance_id).await? {
        let source = Source::system("trials");
        let (tenant, instance) = (due.tenant_id, due.instance_id);
        record(&mut tx, &source, "trial.reminded", tenant, instance, &name, due.expires_at).await?;
        let link = instance_link(&app.config.public_url, due.instance_id);
        let news = News { name: &name, at: due.expires_at, link: &link };
        tell(app, &mut tx, language(&due), mail::Kind::TrialEnding, &due.email, news).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The trial has ended: the instance is stopped and kept for a while.
async fn stop(app: &App, due: &Due, keep_days: i32) -> Result<()> {
    let Some(mut work) = Work::system(app, due.instance_id, "trials").await? else {
        return forget(app, due).await;
    };
    if !db::stopped(&mut work.tx, due.id).await? {
        return Ok(());
    }
    let name = work.instance.name.clone();
    if work.instance.deleted_at.is_none() && !work.instance.has_failed() {
        work.instance.power = Power::Stopped;
        work.instance.lock_reason = Some(EXPIRED.to_owned());
        work.write(OperationKind::Shutdown, "trial.expired", json!({ "name": name })).await?;
        let link = instance_link(&app.config.public_url, due.instance_id);
        let at = work.instance.now + Duration::days(keep_days.into());
        let news = News { name: &name, at, link: &link };
        tell(app, &mut work.tx, language(due), mail::Kind::TrialStopped, &due.email, news).await?;
    }
    work.tx.commit().await?;
    Ok(())
}

/// Nobody has bought it: its data go, without a further grace period, for this was it.
async fn delete(app: &App, due: &Due) -> Result<()> {
    let Some(mut work) = Work::system(app, due.instance_id, "trials").await? else {
        return forget(app, due).await;
    };
    if !db::deleted(&mut work.tx, due.id).await? {
        return Ok(());
    }
    if work.instance.deleted_at.is_none() {
        let name = work.instance.name.clone();
        work.instance.delete_protection = false;
        mark_deleted(&mut work, 0).await?;
        work.record("trial.deleted", json!({ "name": name })).await?;
        let link = format!("{}/instances/new", app.config.public_url.trim_end_matches('/'));
        let news = News { name: &name, at: work.instance.now, link: &link };
        tell(app, &mut work.tx, language(due), mail::Kind::TrialDeleted, &due.email, news).await?;
    }
    work.tx.commit().await?;
    Ok(())
}

/// The instance is gone already: its owner deleted it.
async fn forget(app: &App, due: &Due) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    db::deleted(&mut tx, due.id).await?;
    tx.commit().await?;
    Ok(())
}
