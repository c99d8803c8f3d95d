//! Deleted instances whose grace period is over, and consoles of yesterday.

use crate::error::Result;
use crate::instances::{db, delete};
use crate::state::App;

const BATCH: i64 = 100;

pub async fn pass(app: App) -> Result<()> {
    for id in db::due_for_purge(app.db.platform(), BATCH).await? {
        delete::begin_purge(&app, id).await?;
    }
    crate::consoles::db::forget(app.db.platform()).await?;
    Ok(())
}
