//! What somebody prefers wherever they sign in.

use super::{Actor, db};
use crate::error::Result;
use crate::events::{self, Event, Source};
use crate::state::App;
use crate::web::language::Language;
use serde_json::json;

/// The language of mails, and of pages in a browser that was not told another.
pub async fn set_locale(app: &App, actor: &Actor, language: Language) -> Result<()> {
    if actor.locale == language.code() {
        return Ok(());
    }
    let mut tx = app.db.begin_platform().await?;
    db::set_locale(&mut tx, actor.user_id, language.code()).await?;
    let subject = actor.user_id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "account.locale_changed",
        subject_kind: "user",
        subject_id: &subject,
        data: json!({ "locale": { "from": actor.locale, "to": language.code() } }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(())
}
