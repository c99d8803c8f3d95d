//! Signing up, and proving that the address is one's own.

use super::db::users::NewPassword;
use super::db::{invitations, users};
use super::{email, limit_key, link, mail_allowed_to, recovery, source, stranger_key, tenant_name};
use crate::auth::limits;
use crate::auth::password;
use crate::error::{Error, Result};
use crate::events::{self, Event};
use crate::ids::{TenantId, UserId};
use crate::mail::{self, Kind, Mail};
use crate::secrets::{random_token, token_hash};
use crate::settings;
use crate::state::App;
use crate::web::client::Caller;
use crate::web::language::Language;
use serde_json::json;

const LINK_SECONDS: f64 = 24.0 * 3600.0;

pub struct SignUp {
    pub email: String,
    pub password: String,
    pub language: Language,
}

/// Makes an account that works once its address is confirmed.
///
/// The answer is the same whether the address had an account or not; its owner learns of it by mail.
/// A sign-up with an address that nobody confirmed yet takes the place of the one before: only
/// the password that belongs to the newest mail counts.
///
/// Where the operator has closed it, only those may sign up who have an open invitation. Everybody else is answered as they
/// are, after the same work: who is invited is nobody else's business.
pub async fn sign_up(app: &App, caller: &Caller, form: SignUp) -> Result<()> {
    let mut errors = Vec::new();
    let address = email::parse("email", &form.email).map_err(|error| errors.push(error));
    if let Err(error) = password::check_new("password", &form.password) {
        errors.push(error);
    }
    let (Ok(address), true) = (address, errors.is_empty()) else { return Err(Error::Invalid(errors)) };
    limits::count_network(app.db.platform(), "sign-up", caller.ip, limits::SIGN_UP).await?;
    let hash = password::hash(form.password).await?;
    if !is_open(app).await? && !invitations::is_invited(app.db.platform(), &address).await? {
        return Ok(());
    }

    let mut tx = app.db.begin_platform().await?;
    let id = UserId::new();
    if users::insert(&mut tx, id, &address, NewPassword::Own(&hash), form.language.code()).await? {
        let tenant = TenantId::new();
        users::insert_tenant(&mut tx, tenant, &tenant_name(&address), id).await?;
        let from = source(id, &address, caller);
        let subject = id.to_string();
        let event = Event {
            tenant: Some(tenant),
            action: "account.created",
            subject_kind: "user",
            subject_id: &subject,
            data: json!({ "email": &*address }),
        };
        events::record(&mut tx, &from, event).await?;
        send_verification(app, &mut tx, id, &address, form.language).await?;
        tx.commit().await?;
        return Ok(());
    }
    // Limits are counted on a connection of their own.
    drop(tx);
    if mail_allowed_to(app, caller, &address).await? {
        mail_known(app, &address, &hash, form.language).await?;
    }
    Ok(())
}

/// Tells somebody who has an account already, or confirms an address that was never confirmed, with the new password.
async fn mail_known(app: &App, address: &email::EmailAddress, hash: &str, language: Language) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    if let Some(user) = users::by_email(&mut *tx, address).await? {
        if user.verified {
            let arguments = [
                ("email", user.email.clone()),
                ("link", link(app, "/sign-in")),
                ("reset_link", link(app, "/forgot")),
            ];
            let language = Language::from_code(&user.locale).unwrap_or_default();
            let mail =
                Mail { language, kind: Kind::AccountExists, recipient: &user.email, arguments: &arguments };
            mail::enqueue(app, &mut tx, mail).await?;
        } else if !user.own_password {
            // Made for somebody: only a link in their mailbox chooses its first password.
            recovery::send_link(app, &mut tx, &user).await?;
        } else {
            users::set_password(&mut tx, user.id, hash).await?;
            send_verification(app, &mut tx, user.id, &user.email, language).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Whether everybody may sign up, and not only who was invited.
pub async fn is_open(app: &App) -> Result<bool> {
    Ok(settings::get(app.db.platform()).await?.sign_up_open)
}

/// Sends the confirmation again, where there is something to confirm.
pub async fn resend(app: &App, caller: &Caller, address: &str) -> Result<()> {
    let address = email::parse("email", address).map_err(|error| Error::Invalid(vec![error]))?;
    limits::count_network(app.db.platform(), "resend", caller.ip, limits::SIGN_UP).await?;
    if !mail_allowed_to(app, caller, &address).await? {
        return Ok(());
    }
    let mut tx = app.db.begin_platform().await?;
    if let Some(user) = users::by_email(&mut *tx, &address).await?
        && !user.verified
    {
        let language = Language::from_code(&user.locale).unwrap_or_default();
        send_verification(app, &mut tx, user.id, &user.email, language).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn send_verification(
    app: &App,
    tx: &mut crate::db::Tx,
    user: UserId,
    address: &str,
    language: Language,
) -> Result<()> {
    let token = random_token();
    users::insert_link(tx, user, "verify", address, &token_hash(&token), LINK_SECONDS).await?;
    let arguments = [("email", address.to_owned())];
    let mail = Mail { language, kind: Kind::Verify, recipient: address, arguments: &arguments };
    let opens = ("link", link(app, &format!("/verify?token={token}")));
    mail::enqueue_with_secret(app, tx, mail, opens).await
}

/// Confirms an address by the link in its mail.
pub async fn verify(app: &App, caller: &Caller, token: &str) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let Some((user, address)) = users::use_link(&mut tx, "verify", &token_hash(token)).await? else {
        return Err(Error::refused("link-spent"));
    };
    users::set_verified(&mut tx, user).await?;
    let tenant = users::first_tenant(&mut *tx, user).await?;
    let subject = user.to_string();
    let event = Event {
        tenant,
        action: "account.verified",
        subject_kind: "user",
        subject_id: &subject,
        data: json!({ "email": address }),
    };
    events::record(&mut tx, &source(user, &address, caller), event).await?;
    tx.commit().await?;
    // Whoever could not sign in before confirming may have tried often.
    if let Ok(address) = email::parse("email", &address) {
        limits::clear(app.db.platform(), &limit_key("sign-in", &address)).await?;
        limits::clear(app.db.platform(), &stranger_key("sign-in", &address, caller)).await?;
    }
    Ok(())
}
