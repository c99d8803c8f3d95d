//! The outbox, for operators who look for a mail that did not arrive. Links that open something are the recipient's
//! alone: bodies are shown without them.

use super::db::mail::{self as db, MailRow};
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::events::{self, Event};
use crate::ids::MailId;
use crate::state::App;
use serde_json::json;

/// The body as administrators may see it; absent once it was removed.
pub fn shown(app: &App, mail: &MailRow) -> Result<Option<String>> {
    let open = |sealed: &Vec<u8>| crate::mail::open_shown(&app.sealer, mail.id, sealed);
    Ok(mail.shown_sealed.as_ref().map(open).transpose()?)
}

/// Sends a mail again, whether it was given up, waits or was sent; as long as its body is kept.
pub async fn retry(app: &App, actor: &Actor, id: MailId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let mail = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    if !db::retry(&mut tx, id).await? {
        return Err(Error::conflict("mail-body-removed").with("days", crate::mail::KEEP_BODY_DAYS));
    }
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
