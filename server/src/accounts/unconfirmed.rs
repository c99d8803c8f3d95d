//! Accounts whose address nobody confirmed: strangers make them, with other people's addresses too, and they go.

use super::db::unconfirmed as sql;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::UserId;
use crate::set_aside::{self, Item, Kind};
use crate::state::App;
use serde_json::json;

/// A link to confirm is good for a day, and may be asked for again.
const KEEP_DAYS: i32 = 7;
/// Accounts in one transaction.
const BATCH: i64 = 100;

/// Removes them with their teams.  Whoever has something, such as a service that a billing system made for them, stays.
pub async fn remove(app: &App) -> Result<()> {
    loop {
        let mut tx = app.db.begin_platform().await?;
        let due = sql::due(&mut tx, KEEP_DAYS, BATCH).await?;
        if remove_together(&mut tx, &due).await?.is_err() {
            // One of them spoils it for the others.
            for user in &due {
                if let Err(error) = remove_together(&mut tx, &[*user]).await? {
                    let item = Item::new(Kind::Unconfirmed, user.uuid());
                    set_aside::note_in(&mut tx, app, &item, &error).await?;
                }
            }
        }
        tx.commit().await?;
        if (due.len() as i64) < BATCH {
            return Ok(());
        }
    }
}

/// All of these or none; the inner error is about them, and the outer one an outage.
async fn remove_together(tx: &mut Tx, users: &[UserId]) -> Result<Result<()>> {
    tx.begin_part().await?;
    let removed = write(tx, users).await;
    if removed.as_ref().is_err_and(Error::is_outage) {
        return removed.map(Ok);
    }
    if removed.is_ok() {
        tx.keep_part().await?
    } else {
        tx.undo_part().await?
    }
    Ok(removed)
}

async fn write(tx: &mut Tx, users: &[UserId]) -> Result<()> {
    sql::remove(tx, users).await?;
    for user in users {
        let subject = user.to_string();
        let event = Event {
            tenant: None,
            action: "account.expired",
            subject_kind: "user",
            subject_id: &subject,
            data: json!({ "days": KEEP_DAYS }),
        };
        events::record(tx, &Source::system("accounts"), event).await?;
    }
    Ok(())
}
