//! The outbox, for operators who run without a mail server or look for a mail that did not arrive.

use super::db::mail as db;
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::events::{self, Event};
use crate::ids::MailId;
use crate::state::App;
use serde_json::json;

/// Sends a mail again, whether it was given up, waits or was sent.
pub async fn retry(app: &App, actor: &Actor, id: MailId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let mail = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    db::retry(&mut tx, id).await?;
    let subject_id = id.to_string();
    let event = Event {
        tenant: None,
        action: "mail.retried",
        subject_kind: "mail",
        subject_id: &subject_id,
        data: json!({ "kind": mail.kind, "recipient": mail.recipient }),
    };
    events::record(&mut tx, &actor.into(), event).await?;
    tx.commit().await?;
    Ok(())
}
