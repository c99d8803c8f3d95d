//! Signing in: the password, then the second factor where one is set up.
//!
//! The second step is bound to the first by a ticket: sealed by the server, for one person, for five
//! minutes, and void when the password changes.  Without a ticket there is no second step, so that no
//! field of its form can stand in for the password.  A passkey is both at once ([`super::passkeys`]).

use super::db::{sessions, users};
use super::sessions::browser;
use super::{
    EmailAddress, email, known_device, limit_key, link, second_factor, source, stranger_key, tenant_name,
};
use crate::auth::limits;
use crate::auth::{SessionUser, password};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::{self, Event};
use crate::ids::{BillingSystemId, TenantId, UserId};
use crate::mail::{self, Kind, Mail};
use crate::secrets::token_hash;
use crate::state::App;
use crate::web::client::Caller;
use crate::web::language::Language;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

/// What the sealed ticket is bound to.
const TICKET: &str = "sign-in/second-step";
const TICKET_SECONDS: i64 = 300;
/// User, expiry, and a fingerprint of the password hash; then, for who came by a billing system's link, tenant and system.
const TICKET_BYTES: usize = 16 + 8 + 16;
const BOUND_TICKET_BYTES: usize = TICKET_BYTES + 16 + 16;

pub enum Step {
    /// Both factors were right, or there is only one.
    Done(SignedIn),
    /// The password was right; a code must follow, with this ticket.
    CodeNeeded { ticket: String },
}

/// Who signed in, and for which tenant.
pub struct SignedIn {
    pub user: SessionUser,
    pub locale: String,
}

/// The first step.  Wrong address, wrong password, unconfirmed and disabled accounts are one answer.
pub async fn with_password(app: &App, caller: &Caller, typed_email: &str, typed: String) -> Result<Step> {
    let pool = app.db.platform();
    // What is no address belongs to no account, so that there is nothing to count for one.
    let address = email::parse("email", typed_email).ok();
    let user = match &address {
        Some(address) => users::by_email(pool, address).await?,
        None => None,
    };
    let device = known_device(app, caller, user.as_ref()).await?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let (key, right) = match (&address, device) {
        (Some(address), Some(device)) => {
            let key = limit_key(&format!("sign-in-device:{device}"), address);
            limits::count(pool, &key, limits::SIGN_IN_DEVICE).await?;
            (key, password::verify(typed, hash).await?)
        }
        (address, _) => {
            limits::count_network(pool, "sign-in-address", caller.ip, limits::SIGN_IN_ADDRESS).await?;
            let key = slow_strangers(pool, caller, address.as_ref()).await?;
            (key, password::verify_stranger(typed, hash).await?)
        }
    };
    let user = match user {
        Some(user) if right && user.verified && !user.disabled => user,
        _ => return Err(Error::invalid("password", "sign-in")),
    };
    limits::clear(pool, &key).await?;
    limits::clear(pool, &limit_key("sign-in", &EmailAddress::of(&user))).await?;
    if user.totp_secret.is_some() {
        return Ok(Step::CodeNeeded { ticket: ticket(app, &user).await? });
    }
    Ok(Step::Done(finish_alone(app, caller, &user, Factors::Password).await?))
}

/// Strangers at one account wait ever longer; gives the key under which this one is counted.
async fn slow_strangers(pool: &PgPool, caller: &Caller, address: Option<&EmailAddress>) -> Result<String> {
    let Some(address) = address else { return Ok(String::new()) };
    let key = stranger_key("sign-in", address, caller);
    limits::slow(pool, &key, limits::SIGN_IN).await?;
    limits::slow(pool, &limit_key("sign-in", address), limits::SIGN_IN_ALL).await?;
    Ok(key)
}

/// The second step: a code of the authenticator, or a recovery code.
pub async fn with_code(app: &App, caller: &Caller, ticket: &str, code: &str) -> Result<SignedIn> {
    let (user, bound) = open_ticket(app, ticket).await?.ok_or(Error::refused("sign-in-again"))?;
    second_factor::check_from(app, caller, &user, code).await?;
    let signed_in = finish_alone(app, caller, &user, Factors::PasswordAndCode).await?;
    Ok(match bound {
        Some((tenant, system)) => SignedIn { user: SessionUser::bound(user.id, tenant, system), ..signed_in },
        None => signed_in,
    })
}

async fn ticket(app: &App, user: &users::User) -> Result<String> {
    seal_ticket(app, user, &[]).await
}

/// For who came by a link: the code does not make the session wider.
pub(super) async fn bound_ticket(
    app: &App,
    user: &users::User,
    tenant: TenantId,
    system: BillingSystemId,
) -> Result<String> {
    let bound = [tenant.uuid().into_bytes(), system.uuid().into_bytes()].concat();
    seal_ticket(app, user, &bound).await
}

async fn seal_ticket(app: &App, user: &users::User, bound: &[u8]) -> Result<String> {
    let expires = users::now(app.db.platform()).await? + TICKET_SECONDS;
    let content = [
        &user.id.uuid().as_bytes()[..],
        &expires.to_be_bytes(),
        &token_hash(&user.password_hash)[..16],
        bound,
    ]
    .concat();
    Ok(hex::encode(app.sealer.seal(TICKET, &content)))
}

/// Where a session is held to: a tenant of a billing system's.
type Bound = (TenantId, BillingSystemId);

/// None for anything that is not a ticket of ours, of this moment, for the present password.
async fn open_ticket(app: &App, ticket: &str) -> Result<Option<(users::User, Option<Bound>)>> {
    let Ok(sealed) = hex::decode(ticket) else { return Ok(None) };
    let Ok(content) = app.sealer.open_sealed(TICKET, &sealed) else { return Ok(None) };
    if ![TICKET_BYTES, BOUND_TICKET_BYTES].contains(&content.len()) {
        return Ok(None);
    }
    let (content, bound) = content.split_at(TICKET_BYTES);
    let id_at = |at: usize| bound.get(at..at + 16).and_then(|bytes| Uuid::from_slice(bytes).ok());
    let bound = id_at(0).zip(id_at(16)).map(|(tenant, system)| (tenant.into(), system.into()));
    let (id, rest) = content.split_at(16);
    let (expires, fingerprint) = rest.split_at(8);
    let id: UserId = Uuid::from_slice(id).map_err(anyhow::Error::from)?.into();
    let expires = i64::from_be_bytes(expires.try_into().map_err(anyhow::Error::from)?);
    let pool = app.db.platform();
    let Some(user) = users::by_id(pool, id).await? else { return Ok(None) };
    let valid = users::now(pool).await? < expires
        && token_hash(&user.password_hash)[..16] == *fingerprint
        && !user.disabled
        && user.totp_secret.is_some();
    Ok(valid.then_some((user, bound)))
}

/// What somebody proved who they are with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    Password,
    PasswordAndCode,
    Passkey,
}

/// Everything was right.
pub async fn finish(
    app: &App,
    tx: &mut Tx,
    caller: &Caller,
    user: &users::User,
    factors: Factors,
) -> Result<SignedIn> {
    if let Some(ip) = caller.ip
        && sessions::is_unfamiliar(tx, user.id, ip).await?
    {
        let arguments = [
            ("email", user.email.clone()),
            ("ip", ip.to_string()),
            ("browser", browser(&caller.user_agent)),
            ("link", link(app, "/security")),
        ];
        let language = Language::from_code(&user.locale).unwrap_or_default();
        let mail = Mail { language, kind: Kind::NewSignIn, recipient: &user.email, arguments: &arguments };
        mail::enqueue(app, tx, mail).await?;
    }
    let tenant = match users::first_tenant(&mut **tx, user.id).await? {
        Some(tenant) => tenant,
        // Removed from the last team: everybody has a place of their own.
        None => {
            let tenant = TenantId::new();
            users::insert_tenant(tx, tenant, &tenant_name(&user.email), user.id).await?;
            tenant
        }
    };
    let subject = user.id.to_string();
    let event = Event {
        tenant: Some(tenant),
        action: "session.created",
        subject_kind: "user",
        subject_id: &subject,
        data: json!({
            "second_factor": factors != Factors::Password,
            "passkey": factors == Factors::Passkey,
        }),
    };
    events::record(tx, &source(user.id, &user.email, caller), event).await?;
    Ok(SignedIn { user: SessionUser::new(user.id, tenant), locale: user.locale.clone() })
}

async fn finish_alone(app: &App, caller: &Caller, user: &users::User, factors: Factors) -> Result<SignedIn> {
    let mut tx = app.db.begin_platform().await?;
    let signed_in = finish(app, &mut tx, caller, user, factors).await?;
    tx.commit().await?;
    Ok(signed_in)
}

/// Notes from where a new session came, for the list that its owner sees and for the rules of trials.
pub async fn describe_session(
    app: &App,
    caller: &Caller,
    id_hash: &[u8],
    user: UserId,
    device: Uuid,
) -> Result<()> {
    let pool = app.db.platform();
    sessions::describe(pool, id_hash, caller.ip, &caller.user_agent).await?;
    note_device(app, user, device).await
}

/// Notes a browser as one of this person's.
pub async fn note_device(app: &App, user: UserId, device: Uuid) -> Result<()> {
    Ok(sessions::note_device(app.db.platform(), user, device).await?)
}
