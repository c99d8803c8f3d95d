//! What somebody prefers wherever they sign in.

use super::{Actor, db};
use crate::error::Result;
use crate::events;
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
    let data = json!({ "locale": { "from": actor.locale, "to": language.code() } });
    events::record_about_user(&mut tx, actor, actor.user_id, "account.locale_changed", data).await?;
    tx.commit().await?;
    Ok(())
}
