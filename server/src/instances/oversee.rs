//! What an operator of the platform does about operations that went wrong: try again, or take back.

use super::db::operations as sql;
use super::operations::{Kind, Operation, OperationState};
use super::work::Work;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::OperationId;
use crate::state::App;
use jst_policy::lifecycle::{InstanceState, Power};
use jst_protocol::report::Observed;
use serde_json::json;

/// Tells the host again what is wanted, as a new generation with an operation of its own.
///
/// The wish itself stands in the instance and was never lost; so only the newest wish of its kind can be
/// tried again, and a creation that failed for good is made anew from the instance's own page, where it is placed.
pub async fn retry(app: &App, admin: &Admin, id: OperationId) -> Result<Operation> {
    let (mut work, operation) = open(app, admin, id).await?;
    if operation.state != OperationState::Failed {
        return Err(Error::conflict("operation-not-failed"));
    }
    let newer = sql::newer_kinds(&mut work.tx, operation.instance_id, id).await?;
    if newer.iter().any(|kind| *kind == operation.kind || kind.supersedes().contains(&operation.kind)) {
        return Err(Error::conflict("operation-replaced"));
    }
    if work.instance.state == InstanceState::Failed {
        return Err(Error::conflict("operation-retry-create"));
    }
    let data = json!({ "name": work.instance.name, "operation": operation.kind.name() });
    work.finish(operation.kind, "instance.operation_retried", data).await
}

/// Takes back a wish about power that was not carried out: the instance stays as it is observed.
///
/// Other changes cannot be taken back half-way; they are changed again instead.
pub async fn cancel(app: &App, admin: &Admin, id: OperationId) -> Result<()> {
    let (mut work, operation) = open(app, admin, id).await?;
    if !operation.is_open() {
        return Err(Error::conflict("operation-not-open"));
    }
    let kind = operation.kind;
    if !matches!(kind, Kind::Start | Kind::Shutdown | Kind::PowerOff | Kind::Reboot) {
        return Err(Error::conflict("operation-not-cancellable"));
    }
    let stays = match work.instance.observed {
        Observed::Running => Power::Running,
        _ => Power::Stopped,
    };
    if work.instance.power != stays {
        work.instance.power = stays;
        work.instance.generation += 1;
    }
    sql::cancel(&mut work.tx, operation.instance_id, &[kind.name().to_owned()]).await?;
    work.save().await?;
    let data = json!({ "name": work.instance.name, "operation": kind.name() });
    work.record("instance.operation_cancelled", data).await?;
    work.tx.commit().await?;
    Ok(())
}

/// The operation, with its instance locked: nothing decides it meanwhile.
async fn open(app: &App, admin: &Admin, id: OperationId) -> Result<(Work, Operation)> {
    let mut tx = app.db.begin_platform().await?;
    let instance = sql::any(&mut tx, id).await?.ok_or(Error::NotFound)?.instance_id;
    drop(tx);
    let mut work = Work::system(app, instance, "").await?.ok_or(Error::NotFound)?;
    work.source = (&admin.0).into();
    work.requested_by = Some(admin.0.user_id);
    let operation = sql::any(&mut work.tx, id).await?.ok_or(Error::NotFound)?;
    Ok((work, operation))
}
