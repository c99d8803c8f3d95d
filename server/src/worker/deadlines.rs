//! Operations that stand still past their deadline.
//!
//! The wish behind the operation stays: the host goes on trying, and a late success is still
//! noted.  What ends is the customer's waiting; the operator is told by an event.

use crate::error::Result;
use crate::instances::db::operations as sql;
use crate::instances::operations::{DEADLINE, Operation, tell_of_failure};
use crate::instances::work::Work;
use crate::set_aside::{self, Item, Pass};
use crate::state::App;
use serde_json::json;

const BATCH: i64 = 100;

pub async fn pass(app: App) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let overdue = sql::overdue(&mut tx, BATCH).await?;
    drop(tx);
    let pass = Pass::begin(&app, set_aside::Kind::Deadline).await?;
    for operation in overdue {
        let item = Item::new(set_aside::Kind::Deadline, operation.id.uuid()).instance(operation.instance_id);
        pass.each(item, give_up(&app, &operation)).await?;
    }
    Ok(())
}

async fn give_up(app: &App, operation: &Operation) -> Result<()> {
    // The instance first, as everywhere; then it is looked again whether the operation is still due.
    let Some(mut work) = Work::system(app, operation.instance_id, "deadlines").await? else { return Ok(()) };
    if !sql::alert(&mut work.tx, operation).await? {
        return Ok(());
    }
    tell_of_failure(app, &mut work.tx, operation, DEADLINE).await?;
    tracing::warn!(
        operation = %operation.id,
        instance = %operation.instance_id,
        kind = operation.kind.name(),
        step = operation.step,
        "an operation stands still past its deadline"
    );
    let data = json!({
        "name": work.instance.name,
        "operation": operation.id,
        "kind": operation.kind.name(),
        "step": operation.step,
        "percent": operation.percent,
        "last_failure": operation.failure_code,
    });
    work.record("operation.deadline_passed", data).await?;
    work.tx.commit().await?;
    Ok(())
}
