//! Where somebody is signed in, and signing out.

use super::db::sessions::{self, SessionRow};
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::state::App;
use crate::web::paging::{Listed, Paging};
use serde_json::json;
use std::str::FromStr;

/// What a session is known by: the hash of its cookie, which opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKey(pub Vec<u8>);

const PREFIX: &str = "ses_";

impl FromStr for SessionKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hash = text.strip_prefix(PREFIX).and_then(|rest| hex::decode(rest).ok());
        hash.filter(|hash| hash.len() == 32).map(Self).ok_or(Error::NotFound)
    }
}

impl std::fmt::Display for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(&self.0))
    }
}

pub async fn list(app: &App, actor: &Actor, paging: &Paging<SessionKey>) -> Result<Listed<SessionRow>> {
    let after = paging.after.as_ref().map(|key| key.0.as_slice());
    let rows = sessions::list(app.db.platform(), actor.user_id, after, paging.fetch()).await?;
    Ok(Listed::new(rows, paging, |row| SessionKey(row.id_hash.clone()).to_string()))
}

/// Signs out one session of one's own.
pub async fn end(app: &App, actor: &Actor, key: &SessionKey) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    if !sessions::delete_one(&mut tx, actor.user_id, &key.0).await? {
        return Err(Error::NotFound);
    }
    note(&mut tx, actor, "session.ended", 1).await?;
    tx.commit().await?;
    Ok(())
}

/// Signs out everywhere, but for the session `keep`.
pub async fn end_all(app: &App, actor: &Actor, keep: Option<&[u8]>) -> Result<u64> {
    let mut tx = app.db.begin_platform().await?;
    let count = sessions::delete_all(&mut tx, actor.user_id, keep).await?;
    if count > 0 {
        note(&mut tx, actor, "session.all_ended", count).await?;
    }
    tx.commit().await?;
    Ok(count)
}

async fn note(tx: &mut crate::db::Tx, actor: &Actor, action: &'static str, count: u64) -> Result<()> {
    let subject = actor.user_id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action,
        subject_kind: "user",
        subject_id: &subject,
        data: json!({ "count": count }),
    };
    events::record(tx, &Source::from(actor), event).await?;
    Ok(())
}
