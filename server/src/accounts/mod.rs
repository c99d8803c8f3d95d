//! People, their teams, and what they sign in with.
//!
//! Two scopes meet here.  A person has an address, a password, a second factor and sessions; a
//! tenant has members, invitations, keys and tokens.  Nothing that an anonymous visitor can do tells
//! whether an address has an account: sign-up, reset and a refused sign-in answer alike, and take
//! alike long.

pub mod activity;
pub mod admin;
pub mod api;
pub mod credentials;
pub mod db;
pub mod email;
pub mod email_change;
pub mod invitations;
pub mod members;
pub mod notifications;
pub mod passkeys;
pub mod public_key;
pub mod recovery;
pub mod second_factor;
pub mod sessions;
pub mod sign_in;
pub mod sign_in_links;
pub mod sign_up;
pub mod ssh_keys;
pub mod tokens;
pub mod unconfirmed;
pub mod web;

pub use admin::{create_admin, mails};
pub use email::EmailAddress;

use crate::auth::limits::{self, AttemptLimit};
use crate::auth::{Actor, password};
use crate::error::{Error, FieldError, Result};
use crate::events::Source;
use crate::ids::UserId;
use crate::name::Name;
use crate::state::App;
use crate::web::client::{Caller, ClientNetwork};
use serde::Deserialize;
use uuid::Uuid;

/// The name of somebody's first tenant: what stands before the @.
pub fn tenant_name(email: &str) -> String {
    let local = email.split('@').next().unwrap_or(email);
    Name::made_from(local, MAX_NAME, "team").into_string()
}

/// Names of tenants, keys and tokens.
pub const MAX_NAME: usize = 100;

/// A name of theirs as it is kept, or what is wrong with it at `field`.
pub fn name(field: &str, text: &str) -> Result<String, FieldError> {
    Name::parse(field, text, MAX_NAME).map(Name::into_string)
}

/// The origin of an event that a person without a session caused.
fn source(user: UserId, email: &str, caller: &Caller) -> Source {
    Source {
        kind: "user",
        id: Some(user.uuid()),
        label: email.to_owned(),
        ip: caller.ip,
        request_id: caller.request_id.clone(),
        request_key: None,
    }
}

/// A link to one of our pages, for mails.
fn link(app: &App, path: &str) -> String {
    format!("{}{path}", app.config.public_url.trim_end_matches('/'))
}

/// What is counted for one address; the address itself does not stand in the counters.
fn limit_key(what: &str, address: &EmailAddress) -> String {
    format!("{what}:{}", hex::encode(&crate::secrets::token_hash(address)[..16]))
}

/// The same for strangers of one network.
fn stranger_key(what: &str, address: &EmailAddress, caller: &Caller) -> String {
    let network = caller.ip.map_or_else(String::new, |ip| ClientNetwork::of(ip).net().to_string());
    format!("{}:{network}", limit_key(what, address))
}

/// The device that asks, where this person has signed in with it before.
async fn known_device(app: &App, caller: &Caller, user: Option<&db::users::User>) -> Result<Option<Uuid>> {
    let Some(device) = caller.device else { return Ok(None) };
    // Asked for nobody as well, so that the time of an answer does not tell whether there is an account.
    let user = user.map_or(Uuid::nil(), |user| user.id.uuid());
    Ok(db::sessions::is_device_of(app.db.platform(), user, device).await?.then_some(device))
}

/// Whether a mail may go to this address at the word of somebody whom we know, such as its owner; when not, the caller
/// acts as if it had been sent.
async fn mail_allowed(app: &App, address: &EmailAddress) -> Result<bool> {
    within(limits::count(app.db.platform(), &limit_key("mail", address), limits::MAIL).await)
}

/// The same at the word of a stranger: those of one network cannot use up what the owner has in another, all together
/// cannot fill a mailbox, and none take anything from a device of the owner's.
async fn mail_allowed_to(app: &App, caller: &Caller, address: &EmailAddress) -> Result<bool> {
    let pool = app.db.platform();
    let user = db::users::by_email(pool, address).await?;
    if let Some(device) = known_device(app, caller, user.as_ref()).await? {
        let key = limit_key(&format!("mail-device:{device}"), address);
        return within(limits::count(pool, &key, limits::MAIL).await);
    }
    if !within(
        limits::count(pool, &stranger_key("mail-stranger", address, caller), limits::MAIL_STRANGER).await,
    )? {
        return Ok(false);
    }
    within(limits::count(pool, &limit_key("mail-strangers", address), limits::MAIL_STRANGERS).await)
}

fn within(counted: Result<()>) -> Result<bool> {
    match counted {
        Ok(()) => Ok(true),
        Err(Error::TooMany { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What somebody who is signed in proves anew who they are with.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Proof {
    #[serde(default)]
    pub current_password: String,
    /// Of the second factor, where there is one.
    #[serde(default)]
    pub code: String,
}

/// Before something that lets in somebody new or lasts longer than the session: the password, and the second factor where
/// there is one.  Neither a stolen session nor a stolen password is enough.
///
/// Asked last, because a code is good once and must not be used up by a form that is refused for something else.
pub async fn confirm(app: &App, actor: &Actor, proof: &Proof) -> Result<db::users::User> {
    let user = confirm_password(app, actor, &proof.current_password).await?;
    if user.totp_secret.is_some() {
        second_factor::check(app, &user, &proof.code).await?;
    }
    Ok(user)
}

/// Checks the password of somebody who is signed in, before something grave.
async fn confirm_password(app: &App, actor: &Actor, typed: &str) -> Result<db::users::User> {
    // Tokens may not do what a stolen token must not be able to do.
    if actor.token.is_some() {
        return Err(Error::Forbidden);
    }
    actor.in_person()?;
    let key = format!("password:{}", actor.user_id);
    limits::count(app.db.platform(), &key, AttemptLimit { attempts: 10, seconds: 900 }).await?;
    let user = db::users::by_id(app.db.platform(), actor.user_id).await?.ok_or(Error::Unauthenticated)?;
    if !password::verify(typed.to_owned(), Some(user.password_hash.clone())).await? {
        return Err(Error::invalid("current_password", "password-wrong"));
    }
    limits::clear(app.db.platform(), &key).await?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_visible_and_on_one_line() {
        assert_eq!(name("name", "  林文 Studio ").unwrap(), "林文 Studio");
        for wrong in ["", "  ", "a\nb", "a\u{202e}b", "a\0b", &"x".repeat(101)] {
            assert!(name("name", wrong).is_err(), "{wrong:?}");
        }
    }
}
