//! Passkeys (WebAuthn): signing in with a key in a phone, a computer or a stick, which asks for a finger or a PIN of its own.
//!
//! A passkey is both factors at once: something one has, and the proof to it of who one is.  Each ceremony is a question
//! and an answer.  The question travels sealed with the form, so that nothing is kept of what strangers ask for; it is
//! good for five minutes, for one person where there is one, and for one answer ([`db::passkeys::answered`]).

use super::db::{self, passkeys::Passkey, users};
use super::{Proof, link, name, sign_in};
use crate::auth::{Actor, limits};
use crate::error::{Error, Result, violated_constraint};
use crate::events;
use crate::ids::{PasskeyId, UserId};
use crate::mail::{self, Kind, Mail};
use crate::state::App;
use crate::web::client::Caller;
use crate::web::language::Language;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Credential, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder,
};

/// Of one person.
pub const MAX: i64 = 20;
const SECONDS: i64 = 300;
/// Answers are some hundred bytes, in base64.
const MAX_ANSWER: usize = 16 << 10;
const NAME: &str = "Jinshitong VPS";
const SIGN_IN: &str = "passkeys/sign-in";

/// A question, for the browser to ask an authenticator.
pub struct Question {
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON` of the specification.
    pub options: Value,
    /// Comes back with the answer.
    pub sealed: String,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Asked<S> {
    at: i64,
    name: String,
    state: S,
}

/// Passkeys belong to a name, and browsers make them only where the connection is safe.
fn relying_party(app: &App) -> Option<Webauthn> {
    let url = Url::parse(&app.config.public_url).ok()?;
    let domain = url.domain()?;
    if url.scheme() != "https" && domain != "localhost" {
        return None;
    }
    WebauthnBuilder::new(domain, &url).ok()?.rp_name(NAME).build().ok()
}

/// Whether this platform has an address that passkeys can belong to.
pub fn offered(app: &App) -> bool {
    relying_party(app).is_some()
}

pub async fn list(app: &App, actor: &Actor) -> Result<Vec<Passkey>> {
    Ok(db::passkeys::list(app.db.platform(), actor.user_id).await?)
}

/// The first step to a new passkey: who asks, and what it will be called.
pub async fn begin(app: &App, actor: &Actor, called: &str, proof: &Proof) -> Result<Question> {
    let party = relying_party(app).ok_or(Error::refused("passkeys-not-offered"))?;
    let called = name("name", called).map_err(|error| Error::Invalid(vec![error]))?;
    let user = super::confirm(app, actor, proof).await?;
    let pool = app.db.platform();
    let known = db::passkeys::credential_ids(pool, user.id).await?;
    let (options, state) = party
        .start_passkey_registration(user.id.uuid(), &user.email, &user.email, Some(known))
        .map_err(anyhow::Error::from)?;
    let asked = Asked { at: now(app).await?, name: called, state };
    let mut question = question(app, &registration(user.id), &options.public_key, &asked)?;
    // The authenticator is to remember whose key it is, so that nobody types an address to sign in.
    let selection = &mut question.options["authenticatorSelection"];
    selection["residentKey"] = "required".into();
    selection["requireResidentKey"] = true.into();
    Ok(question)
}

/// The second step: what the authenticator made.
pub async fn add(app: &App, actor: &Actor, sealed: &str, answer: &str) -> Result<()> {
    let party = relying_party(app).ok_or(Error::refused("passkeys-not-offered"))?;
    let again = || Error::refused("passkey-again");
    let asked: Asked<PasskeyRegistration> =
        open(app, &registration(actor.user_id), sealed).await?.ok_or_else(again)?;
    let answer: RegisterPublicKeyCredential = parse(answer).ok_or_else(again)?;
    let credential = party.finish_passkey_registration(&answer, &asked.state).map_err(|_| again())?;
    let user = users::by_id(app.db.platform(), actor.user_id).await?.ok_or(Error::Unauthenticated)?;

    let mut tx = app.db.begin_platform().await?;
    let kept = serde_json::to_value(&credential).map_err(anyhow::Error::from)?;
    let id: &[u8] = credential.cred_id().as_ref();
    match db::passkeys::insert(&mut tx, user.id, &asked.name, id, &kept, MAX).await {
        Ok(true) => {}
        Ok(false) => return Err(Error::conflict("passkeys-full").with("max", MAX)),
        Err(error) if violated_constraint(&error) == Some("passkeys_credential_key") => return Err(again()),
        Err(error) => return Err(error.into()),
    }
    let arguments =
        [("email", user.email.clone()), ("name", asked.name.clone()), ("link", link(app, "/security"))];
    let language = Language::from_code(&user.locale).unwrap_or_default();
    let mail = Mail { language, kind: Kind::PasskeyAdded, recipient: &user.email, arguments: &arguments };
    mail::enqueue(app, &mut tx, mail).await?;
    let data = json!({ "name": asked.name });
    events::record_about_user(&mut tx, actor, actor.user_id, "account.passkey_added", data).await?;
    tx.commit().await?;
    Ok(())
}

/// One of one's own passkeys, for the pages that ask before something happens to it.
pub async fn get(app: &App, actor: &Actor, id: PasskeyId) -> Result<Passkey> {
    list(app, actor).await?.into_iter().find(|passkey| passkey.id == id).ok_or(Error::NotFound)
}

/// A passkey from before a reset signs in again.  Whoever confirms it proves the same as for a new one.
pub async fn confirm(app: &App, actor: &Actor, id: PasskeyId, proof: &Proof) -> Result<()> {
    get(app, actor, id).await?;
    super::confirm(app, actor, proof).await?;
    let mut tx = app.db.begin_platform().await?;
    let name = db::passkeys::confirm(&mut tx, actor.user_id, id).await?.ok_or(Error::NotFound)?;
    let data = json!({ "name": name });
    events::record_about_user(&mut tx, actor, actor.user_id, "account.passkey_confirmed", data).await?;
    tx.commit().await?;
    Ok(())
}

/// Takes the password: whoever finds a browser open must not take the owner's key away.
pub async fn remove(app: &App, actor: &Actor, id: PasskeyId, current_password: &str) -> Result<()> {
    get(app, actor, id).await?;
    super::confirm_password(app, actor, current_password).await?;
    let mut tx = app.db.begin_platform().await?;
    let name = db::passkeys::remove(&mut tx, actor.user_id, id).await?.ok_or(Error::NotFound)?;
    let data = json!({ "name": name });
    events::record_about_user(&mut tx, actor, actor.user_id, "account.passkey_removed", data).await?;
    tx.commit().await?;
    Ok(())
}

/// Asks whoever is there for any passkey of ours.
pub async fn ask(app: &App) -> Result<Question> {
    let party = relying_party(app).ok_or(Error::refused("passkeys-not-offered"))?;
    let (options, state) = party.start_discoverable_authentication().map_err(anyhow::Error::from)?;
    question(app, SIGN_IN, &options.public_key, &Asked { at: now(app).await?, name: String::new(), state })
}

/// Whatever is wrong with an answer, it is one refusal: nobody learns whether an account or a passkey exists.
pub async fn sign_in(app: &App, caller: &Caller, sealed: &str, answer: &str) -> Result<sign_in::SignedIn> {
    let party = relying_party(app).ok_or(Error::refused("passkeys-not-offered"))?;
    let pool = app.db.platform();
    // A passkey cannot be guessed; this keeps noise off the database, and strangers' noise from known devices.
    match caller.device {
        Some(device) => limits::count(pool, &format!("passkey:{device}"), limits::SIGN_IN_ADDRESS).await?,
        None => limits::count_network(pool, "passkey", caller.ip, limits::SIGN_IN_ADDRESS).await?,
    }
    let refused = || Error::invalid("passkey", "passkey");
    let asked: Asked<DiscoverableAuthentication> = open(app, SIGN_IN, sealed).await?.ok_or_else(refused)?;
    let answer: PublicKeyCredential = parse(answer).ok_or_else(refused)?;
    let (user, credential_id) = party.identify_discoverable_authentication(&answer).map_err(|_| refused())?;

    let mut tx = app.db.begin_platform().await?;
    let found = db::passkeys::lock(&mut tx, user.into(), credential_id).await?;
    let (id, kept) = found.ok_or_else(refused)?;
    let mut credential: Credential = serde_json::from_value(kept).map_err(anyhow::Error::from)?;
    let result = party
        .finish_discoverable_authentication_v2(&answer, asked.state, &credential)
        .map_err(|_| refused())?;
    let user = users::by_id(&mut *tx, user.into()).await?.ok_or_else(refused)?;
    if user.disabled || !user.verified {
        return Err(refused());
    }
    credential.update_credential(&result);
    let kept = serde_json::to_value(&credential).map_err(anyhow::Error::from)?;
    let asked_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(asked.at) * 1000)
        .map_err(anyhow::Error::from)?;
    if !db::passkeys::answered(&mut tx, id, &kept, asked_at).await? {
        return Err(refused());
    }
    let signed_in = sign_in::finish(app, &mut tx, caller, &user, sign_in::Factors::Passkey).await?;
    tx.commit().await?;
    Ok(signed_in)
}

/// Microseconds, by the database's clock: replicas may have others.
async fn now(app: &App) -> Result<i64> {
    Ok(users::now_micros(app.db.platform()).await?)
}

fn question<S: Serialize>(
    app: &App,
    bound_to: &str,
    options: &impl Serialize,
    asked: &Asked<S>,
) -> Result<Question> {
    let content = serde_json::to_vec(asked).map_err(anyhow::Error::from)?;
    Ok(Question {
        options: serde_json::to_value(options).map_err(anyhow::Error::from)?,
        sealed: hex::encode(app.sealer.seal(bound_to, &content)),
    })
}

/// None for anything that is not a question of ours, for this purpose, of the last minutes.
async fn open<S: DeserializeOwned>(app: &App, bound_to: &str, sealed: &str) -> Result<Option<Asked<S>>> {
    let content = hex::decode(sealed).ok().and_then(|sealed| app.sealer.open_sealed(bound_to, &sealed).ok());
    let Some(content) = content else { return Ok(None) };
    let asked: Asked<S> = serde_json::from_slice(&content).map_err(anyhow::Error::from)?;
    let age = now(app).await? - asked.at;
    Ok((0..SECONDS * 1_000_000).contains(&age).then_some(asked))
}

fn parse<T: DeserializeOwned>(answer: &str) -> Option<T> {
    if answer.len() > MAX_ANSWER {
        return None;
    }
    serde_json::from_str(answer).ok()
}

fn registration(user: UserId) -> String {
    format!("passkeys/new/{user}")
}
