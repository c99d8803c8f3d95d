//! Accounts whose address nobody confirmed: strangers make them, with other people's addresses too, and they go.

use super::db::unconfirmed as sql;
use crate::error::Result;
use crate::events::{self, Event, Source};
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
        let removed = sql::remove(&mut tx, KEEP_DAYS, BATCH).await?;
        for user in &removed {
            let subject = user.to_string();
            let event = Event {
                tenant: None,
                action: "account.expired",
                subject_kind: "user",
                subject_id: &subject,
                data: json!({ "days": KEEP_DAYS }),
            };
            events::record(&mut tx, &Source::system("accounts"), event).await?;
        }
        tx.commit().await?;
        if (removed.len() as i64) < BATCH {
            return Ok(());
        }
    }
}
