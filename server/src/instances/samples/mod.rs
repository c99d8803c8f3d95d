//! What instances used over time: guaranteed, at most, used, stolen, held back.
//!
//! ```text
//!   report ──> instance_usage: counters ── once a minute ──> rates::between ──> rows of 60 s ──┐
//!                                                                                              │ worker::samples
//!   page, API <── history::fold <── the coarsest rows that are fine enough ── rows of 600 s <──┤
//!                                   and the finer ones since then             rows of 7200 s <─┘
//! ```
//!
//! Rows lie in one partition a day and step, so that forgetting is dropping a table.  A row takes 220 bytes with its
//! index: ten thousand instances make 3 GB a day of minutes, which are kept for two days, and 15 GB of all that is
//! kept ([`crate::worker::samples`]).
//!
//! Graphs are nothing that anything else depends on: a sample that cannot be stored is logged and missing, and the
//! report that brought it counts all the same.

pub mod figure;
pub mod history;
pub mod rates;

use super::db;
use super::model::Instance;
use crate::auth::{Actor, Admin};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::InstanceId;
use crate::state::App;
use db::samples as sql;
use history::{History, Range};

/// Takes samples of those of these instances whose latest one is of an earlier minute.  Their counters are
/// stored already; all samples of a report are one statement, unless one of them spoils it for the others.
pub async fn take(app: &App, ids: &[InstanceId]) -> Result<()> {
    match take_together(app, ids).await {
        Err(error) if ids.len() > 1 && !error.is_outage() => {
            for id in ids {
                if let Err(error) = take_together(app, &[*id]).await {
                    tracing::warn!(instance = %id, error = ?error, "a sample is missing in the graphs");
                }
            }
            Ok(())
        }
        taken => taken,
    }
}

async fn take_together(app: &App, ids: &[InstanceId]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.begin_platform().await?;
    let due = sql::due(&mut tx, ids).await?;
    if due.is_empty() {
        return Ok(());
    }
    let samples: Vec<sql::Sample> = due.iter().filter_map(sample).collect();
    let measured: Vec<InstanceId> = due.iter().map(|due| due.instance_id).collect();
    sql::save(&mut tx, &measured, &samples).await?;
    tx.commit().await?;
    Ok(())
}

fn sample(due: &sql::Due) -> Option<sql::Sample> {
    let (before, since) = (due.sampled.as_ref()?, due.sampled_at?);
    let elapsed = due.at - since;
    let figures = rates::between(before, &due.usage, elapsed, &due.policy)?;
    Some(sql::Sample {
        instance_id: due.instance_id,
        tenant_id: due.tenant_id,
        at: due.at,
        seconds: i32::try_from(elapsed.whole_seconds()).unwrap_or(i32::MAX).max(1),
        figures,
    })
}

/// What an instance of the actor's tenant used, with the instance.
pub async fn history(app: &App, actor: &Actor, id: InstanceId, range: Range) -> Result<(Instance, History)> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let instance = db::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let history = read(&mut tx, &instance, range).await?;
    Ok((instance, history))
}

/// The same of anybody's instance, for an administrator.
pub async fn history_of_any(
    app: &App,
    _: &Admin,
    id: InstanceId,
    range: Range,
) -> Result<(Instance, History)> {
    let mut tx = app.db.begin_platform().await?;
    let instance = db::of_any(&mut tx, id).await?.ok_or(Error::NotFound)?;
    let history = read(&mut tx, &instance, range).await?;
    Ok((instance, history))
}

async fn read(tx: &mut Tx, instance: &Instance, range: Range) -> Result<History> {
    let clock = sql::clock(tx).await?;
    let now = clock.now.unix_timestamp();
    let parts = range.parts(now, clock.ten_minutes.unix_timestamp(), clock.two_hours.unix_timestamp());
    let rows = sql::rows(tx, instance.tenant_id, instance.id, &parts).await?;
    Ok(history::fold(range, now, &rows))
}
