//! Hosts that are heard of no more, and those that come back: nobody reports that, so it is found by looking.

use super::db;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::HostId;
use crate::state::App;
use serde_json::{Value, json};

/// Each change is noted once, whichever replica looks first.
pub async fn pass(app: App) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    for (host, name, seen) in db::note_lost(&mut tx).await? {
        tracing::warn!(%host, name, "a host is heard of no more");
        let data = json!({ "name": name, "last_seen_at": seen.map(|at| at.unix_timestamp()) });
        record(&mut tx, "host.lost", host, data).await?;
    }
    for (host, name) in db::note_returned(&mut tx).await? {
        record(&mut tx, "host.returned", host, json!({ "name": name })).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn record(tx: &mut crate::db::Tx, action: &'static str, host: HostId, data: Value) -> Result<()> {
    let subject_id = host.to_string();
    let event = Event { tenant: None, action, subject_kind: "host", subject_id: &subject_id, data };
    tx.begin_part().await?;
    match events::record(tx, &Source::system("presence"), event).await.map_err(Error::from) {
        Ok(()) => Ok(tx.keep_part().await?),
        Err(error) if error.is_outage() => Err(error),
        // That the host is away counts all the same, and so do the others.
        Err(error) => {
            tracing::error!(%host, action, ?error, "an event of this host was not recorded");
            Ok(tx.undo_part().await?)
        }
    }
}
