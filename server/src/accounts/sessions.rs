//! Where somebody is signed in, and signing out.

use super::credentials;
use super::db::sessions::{self, SessionRow};
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::events::{self, Source};
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
    events::record_about_user(&mut tx, actor, actor.user_id, "session.ended", json!({ "count": 1 })).await?;
    tx.commit().await?;
    Ok(())
}

/// Signs out everywhere, but for the session `keep`, and on demand revokes all API tokens of one's own, in every team.
pub async fn end_all(app: &App, actor: &Actor, keep: Option<&[u8]>, tokens: bool) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let source = Source::from(actor);
    let count = sessions::delete_all(&mut tx, actor.user_id, keep).await?;
    let revoked = if tokens { credentials::revoke_tokens(&mut tx, actor.user_id, &source).await? } else { 0 };
    if count + revoked > 0 {
        let data = json!({ "count": count, "tokens": revoked });
        events::record_about_user(&mut tx, actor, actor.user_id, "session.all_ended", data).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// `Firefox · Linux` from what browsers say of themselves; programs by their first word.
pub fn browser(user_agent: &str) -> String {
    // The order matters: most browsers also claim to be others.
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("MicroMessenger/", "WeChat"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |list: &[(&str, &'static str)]| {
        list.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} · {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => user_agent.split(['/', ' ']).next().unwrap_or("").chars().take(40).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn browsers_are_recognised() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome · Linux");
        assert_eq!(browser("curl/8.0"), "curl");
        assert_eq!(browser(""), "");
    }
}
