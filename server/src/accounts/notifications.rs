//! Which mails somebody wants, and which they got.

use super::db::notifications::{self as db, Sent};
use crate::auth::Actor;
use crate::error::Result;
use crate::events::{self, changes};
use crate::mail::Topic;
use crate::state::App;
use serde_json::{Map, Value};

/// Every topic, and whether it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted([bool; Topic::ALL.len()]);

impl Wanted {
    pub fn new(wants: impl Fn(Topic) -> bool) -> Self {
        Self(Topic::ALL.map(wants))
    }

    pub fn each(self) -> impl Iterator<Item = (Topic, bool)> {
        Topic::ALL.into_iter().zip(self.0)
    }

    /// `{"sign_ins": true, …}`
    pub fn document(self) -> Value {
        Value::Object(
            self.each()
                .map(|(topic, wanted)| (topic.name().to_owned(), wanted.into()))
                .collect::<Map<_, _>>(),
        )
    }
}

pub async fn wanted(app: &App, actor: &Actor) -> Result<Wanted> {
    let mut tx = app.db.begin_platform().await?;
    let muted = db::muted(&mut tx, actor.user_id).await?;
    Ok(Wanted::new(|topic| !muted.iter().any(|name| name == topic.name())))
}

pub async fn choose(app: &App, actor: &Actor, wanted: Wanted) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let before = db::muted(&mut tx, actor.user_id).await?;
    let before = Wanted::new(|topic| !before.iter().any(|name| name == topic.name()));
    let data = changes(&before.document(), &wanted.document());
    if data.is_empty() {
        return Ok(());
    }
    let muted: Vec<String> =
        wanted.each().filter(|(_, wanted)| !wanted).map(|(topic, _)| topic.name().to_owned()).collect();
    db::set_muted(&mut tx, actor.user_id, &muted).await?;
    events::record_about_user(&mut tx, actor, actor.user_id, "account.notifications_changed", data).await?;
    tx.commit().await?;
    Ok(())
}

/// The newest first.  Without their bodies: some hold links that are good once.
pub async fn recent(app: &App, actor: &Actor) -> Result<Vec<Sent>> {
    Ok(db::recent(app.db.platform(), &actor.email).await?)
}
