//! A new password: after forgetting the old one, or by changing it.

use super::credentials::{self, Ended};
use super::db::{self, users};
use super::{EmailAddress, confirm_password, email, limit_key, link, mail_allowed, mail_allowed_to, source};
use crate::auth::limits;
use crate::auth::{Actor, password};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::{TenantId, UserId};
use crate::mail::{self, Kind, Mail};
use crate::outbound::without_query;
use crate::secrets::{random_token, token_hash};
use crate::state::App;
use crate::web::client::Caller;
use crate::web::language::Language;

const LINK_SECONDS: f64 = 3600.0;

/// Sends a link for choosing a new password, where there is an account.  The answer does not tell.
pub async fn request(app: &App, caller: &Caller, address: &str) -> Result<()> {
    let address = email::parse("email", address).map_err(|error| Error::Invalid(vec![error]))?;
    limits::count_network(app.db.platform(), "forgot", caller.ip, limits::SIGN_UP).await?;
    if !mail_allowed_to(app, caller, &address).await? {
        return Ok(());
    }
    send_to(app, &address).await
}

/// The same at the word of somebody whom we know, such as a billing system: mails to one address are still limited.
pub async fn send(app: &App, address: &EmailAddress) -> Result<()> {
    if !mail_allowed(app, address).await? {
        return Ok(());
    }
    send_to(app, address).await
}

async fn send_to(app: &App, address: &EmailAddress) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    if let Some(user) = users::by_email(&mut *tx, address).await?
        && !user.disabled
    {
        send_link(app, &mut tx, &user).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Writes the mail with the link.
pub(super) async fn send_link(app: &App, tx: &mut Tx, user: &users::User) -> Result<()> {
    let token = random_token();
    users::insert_link(tx, user.id, "reset", &user.email, &token_hash(&token), LINK_SECONDS).await?;
    let arguments = [("email", user.email.clone())];
    let language = Language::from_code(&user.locale).unwrap_or_default();
    let mail = Mail { language, kind: Kind::Reset, recipient: &user.email, arguments: &arguments };
    let opens = ("link", link(app, &format!("/reset?token={token}")));
    mail::enqueue_with_secret(app, tx, mail, opens).await
}

/// Sets a new password by the link.  Whoever had the account before has nothing of it any more: sessions, tokens, links and
/// invitations end, and passkeys wait until they are confirmed.  The link proves the address too.  A second factor stays:
/// the link alone does not sign anybody in.
///
/// Returns whose it was.
pub async fn reset(app: &App, caller: &Caller, token: &str, new: String) -> Result<UserId> {
    password::check_new("password", &new).map_err(|error| Error::Invalid(vec![error]))?;
    // A hash costs a processor for a while: only who holds a link has us compute one.
    if !users::link_is_open(app.db.platform(), "reset", &token_hash(token)).await? {
        return Err(Error::refused("link-spent"));
    }
    let hash = password::hash(new).await?;
    let mut tx = app.db.begin_platform().await?;
    let Some((id, address)) = users::use_link(&mut tx, "reset", &token_hash(token)).await? else {
        return Err(Error::refused("link-spent"));
    };
    let user = users::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    // The mail went to an address that is not the account's any more.
    if user.email != address || user.disabled {
        return Err(Error::refused("link-spent"));
    }
    users::set_verified(&mut tx, id).await?;
    let tenant = users::first_tenant(&mut *tx, id).await?;
    let from = source(id, &address, caller);
    users::set_password(&mut tx, id, &hash).await?;
    db::credentials::note_reset(&mut tx, id).await?;
    let ended = credentials::end_all(&mut tx, id, &from).await?;
    let webhooks = db::credentials::webhook_urls(&mut *tx, id).await?;
    tell(app, &mut tx, &user, Kind::PasswordReset, ended, &webhooks).await?;
    record(&mut tx, tenant, &from, &user, "account.password_reset", ended).await?;
    tx.commit().await?;
    limits::clear(app.db.platform(), &limit_key("sign-in", &EmailAddress::of(&user))).await?;
    Ok(id)
}

/// Changes the password of somebody who knows the present one, and ends their other sessions, and their tokens.
pub async fn change(
    app: &App,
    actor: &Actor,
    current: &str,
    new: String,
    keep_session: &[u8],
) -> Result<Ended> {
    password::check_new("password", &new).map_err(|error| Error::Invalid(vec![error]))?;
    let user = confirm_password(app, actor, current).await?;
    let hash = password::hash(new).await?;
    let mut tx = app.db.begin_platform().await?;
    let from = Source::from(actor);
    users::set_password(&mut tx, user.id, &hash).await?;
    let ended = credentials::end_others(&mut tx, user.id, Some(keep_session), &from).await?;
    tell(app, &mut tx, &user, Kind::PasswordChanged, ended, &[]).await?;
    record(&mut tx, Some(actor.tenant_id), &from, &user, "account.password_changed", ended).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Tells the owner what a new password has ended, and what they should look through.
async fn tell(
    app: &App,
    tx: &mut Tx,
    user: &users::User,
    kind: Kind,
    ended: Ended,
    webhooks: &[String],
) -> Result<()> {
    let language = Language::from_code(&user.locale).unwrap_or_default();
    let webhooks = match webhooks {
        [] => language.text("mail-webhooks-none"),
        urls => urls.iter().map(|url| format!("- {}", without_query(url))).collect::<Vec<_>>().join("\n"),
    };
    let mut arguments = vec![
        ("email", user.email.clone()),
        ("link", link(app, "/forgot")),
        ("security_link", link(app, "/security")),
        ("webhooks", webhooks),
    ];
    arguments.extend(ended.arguments());
    mail::enqueue(app, tx, Mail { language, kind, recipient: &user.email, arguments: &arguments }).await
}

async fn record(
    tx: &mut Tx,
    tenant: Option<TenantId>,
    source: &Source,
    user: &users::User,
    action: &'static str,
    ended: Ended,
) -> Result<()> {
    let subject = user.id.to_string();
    let event = Event { tenant, action, subject_kind: "user", subject_id: &subject, data: ended.facts() };
    Ok(events::record(tx, source, event).await?)
}
