//! Changing the address of an account: asked for with the password and the second factor, confirmed from the new mailbox,
//! told to the old one.

use super::db::users;
use super::{Proof, email, link, mail_allowed, source};
use crate::auth::Actor;
use crate::error::{Error, Result, violated_constraint};
use crate::events::{self, Event};
use crate::mail::{self, Kind, Mail};
use crate::secrets::{random_token, token_hash};
use crate::state::App;
use crate::web::client::Caller;
use crate::web::language::Language;
use serde_json::json;

const LINK_SECONDS: f64 = 24.0 * 3600.0;

/// Sends a link to the new address.  Where that has an account, its owner is told instead, and the
/// answer here is the same.
pub async fn request(app: &App, actor: &Actor, new: &str, proof: &Proof) -> Result<()> {
    let new = email::parse("email", new).map_err(|error| Error::Invalid(vec![error]))?;
    if *new == *actor.email {
        return Err(Error::invalid("email", "email-same"));
    }
    let user = super::confirm(app, actor, proof).await?;
    if !mail_allowed(app, &new).await? {
        return Ok(());
    }
    let language = Language::from_code(&user.locale).unwrap_or_default();
    let mut tx = app.db.begin_platform().await?;
    if users::by_email(&mut *tx, &new).await?.is_some() {
        let arguments = [
            ("email", new.to_string()),
            ("link", link(app, "/sign-in")),
            ("reset_link", link(app, "/forgot")),
        ];
        let mail = Mail { language, kind: Kind::AccountExists, recipient: &new, arguments: &arguments };
        mail::enqueue(app, &mut tx, mail).await?;
    } else {
        let token = random_token();
        users::insert_link(&mut tx, user.id, "change_email", &new, &token_hash(&token), LINK_SECONDS).await?;
        let arguments = [("email", new.to_string())];
        let mail = Mail { language, kind: Kind::ChangeEmail, recipient: &new, arguments: &arguments };
        let opens = ("link", link(app, &format!("/change-email?token={token}")));
        mail::enqueue_with_secret(app, &mut tx, mail, opens).await?;
    }
    let data = json!({ "email": { "from": user.email, "to": &*new } });
    events::record_about_user(&mut tx, actor, user.id, "account.email_change_requested", data).await?;
    tx.commit().await?;
    Ok(())
}

/// Follows the link from the new mailbox.
pub async fn confirm(app: &App, caller: &Caller, token: &str) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let Some((id, new)) = users::use_link(&mut tx, "change_email", &token_hash(token)).await? else {
        return Err(Error::refused("link-spent"));
    };
    let user = users::by_id(&mut *tx, id)
        .await?
        .filter(|user| !user.disabled)
        .ok_or(Error::refused("link-spent"))?;
    users::set_email(&mut tx, id, &new).await.map_err(|error| match violated_constraint(&error) {
        Some("users_email_key") => Error::conflict("email-taken"),
        _ => error.into(),
    })?;
    // Links that went to the old address must not open the account any more.
    users::delete_links(&mut tx, id, "reset").await?;
    users::delete_links(&mut tx, id, "verify").await?;
    let arguments = [("email", user.email.clone()), ("new_email", new.clone())];
    let language = Language::from_code(&user.locale).unwrap_or_default();
    let mail = Mail { language, kind: Kind::EmailChanged, recipient: &user.email, arguments: &arguments };
    mail::enqueue(app, &mut tx, mail).await?;
    let tenant = users::first_tenant(&mut *tx, id).await?;
    let subject = id.to_string();
    let event = Event {
        tenant,
        action: "account.email_changed",
        subject_kind: "user",
        subject_id: &subject,
        data: json!({ "email": { "from": user.email, "to": new } }),
    };
    events::record(&mut tx, &source(id, &new, caller), event).await?;
    tx.commit().await?;
    Ok(())
}
