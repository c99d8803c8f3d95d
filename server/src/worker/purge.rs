//! Deleted instances whose grace period is over, and consoles of yesterday.

use crate::error::Result;
use crate::instances::{db, delete};
use crate::set_aside::{Item, Kind, Pass};
use crate::state::App;

const BATCH: i64 = 100;

pub async fn pass(app: App) -> Result<()> {
    let pass = Pass::begin(&app, Kind::Purge).await?;
    for id in db::due_for_purge(app.db.platform(), BATCH).await? {
        let item = Item::new(Kind::Purge, id.uuid()).instance(id);
        pass.each(item, delete::begin_purge(&app, id)).await?;
    }
    crate::consoles::db::forget(app.db.platform()).await?;
    Ok(())
}
