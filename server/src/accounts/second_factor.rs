//! The second factor: time-based codes (RFC 6238), and recovery codes for the day the phone is gone.
//!
//! A secret is shown before it is confirmed, and kept by nobody meanwhile: it travels sealed in the
//! form.  A code is good once, whatever its time step still allows; a recovery code too.

use super::db::users;
use super::{EmailAddress, Proof, confirm, confirm_password, known_device, limit_key, link, stranger_key};
use crate::auth::Actor;
use crate::auth::limits;
use crate::error::{Error, Result};
use crate::events;
use crate::mail::{self, Kind, Mail};
use crate::secrets::token_hash;
use crate::state::App;
use crate::typed;
use crate::web::client::Caller;
use crate::web::language::Language;
use fast_qr::qr::QRBuilder;
use serde_json::json;
use totp_rs::{Builder, Secret, Totp};

const ISSUER: &str = "Jinshitong VPS";
const RECOVERY_CODES: usize = 10;
/// No letters that look like digits.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567890";

/// What the set-up page shows.
pub struct Setup {
    /// The secret, sealed, to come back with the first code.
    pub sealed: String,
    /// For typing in by hand.
    pub secret: String,
    /// An SVG path over a square of `size` modules, quiet zone included.
    pub qr_path: String,
    pub qr_size: usize,
}

/// Makes a new secret, or shows the sealed one again after a mistyped code.
pub fn set_up(app: &App, actor: &Actor, sealed: Option<&str>) -> Result<Setup> {
    let secret = match sealed {
        Some(sealed) => open_setup(app, actor, sealed)?,
        None => Secret::generate().as_bytes().to_vec(),
    };
    let totp = totp(&secret, &actor.email)?;
    let url = totp.to_url().map_err(anyhow::Error::from)?;
    let (qr_path, qr_size) = qr(&url)?;
    Ok(Setup {
        sealed: hex::encode(app.sealer.seal(&setup_row(actor), &secret)),
        secret: Secret::from(secret).to_base32(),
        qr_path,
        qr_size,
    })
}

/// Confirms a new secret with its first code.  Returns the recovery codes, which are shown once.
pub async fn enable(
    app: &App,
    actor: &Actor,
    current_password: &str,
    sealed: &str,
    code: &str,
) -> Result<Vec<String>> {
    let secret = open_setup(app, actor, sealed)?;
    let user = confirm_password(app, actor, current_password).await?;
    if user.totp_secret.is_some() {
        return Err(Error::conflict("second-factor-already-on"));
    }
    let now = users::now(app.db.platform()).await?;
    let step = totp(&secret, &actor.email)?
        .check(&typed::code(code), now.unsigned_abs())
        .ok_or(Error::invalid("code", "second-factor-code"))?;
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| recovery_hash(code)).collect();

    let mut tx = app.db.begin_platform().await?;
    let kept = app.sealer.seal(&user_row(&user), &secret);
    if !users::enable_totp(&mut tx, user.id, &kept, step as i64).await? {
        return Err(Error::conflict("second-factor-already-on"));
    }
    users::replace_recovery_codes(&mut tx, user.id, &hashes).await?;
    tell(app, &mut tx, actor, &user, Some(Kind::SecondFactorOn), "account.second_factor_enabled").await?;
    tx.commit().await?;
    Ok(codes)
}

pub async fn disable(app: &App, actor: &Actor, proof: &Proof) -> Result<()> {
    let user = confirm(app, actor, proof).await?;
    let mut tx = app.db.begin_platform().await?;
    if !users::disable_totp(&mut tx, user.id).await? {
        return Err(Error::conflict("second-factor-off"));
    }
    tell(app, &mut tx, actor, &user, Some(Kind::SecondFactorOff), "account.second_factor_disabled").await?;
    tx.commit().await?;
    Ok(())
}

/// New recovery codes; the old ones stop working.
pub async fn renew_codes(app: &App, actor: &Actor, proof: &Proof) -> Result<Vec<String>> {
    let user = confirm(app, actor, proof).await?;
    if user.totp_secret.is_none() {
        return Err(Error::conflict("second-factor-off"));
    }
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes: Vec<Vec<u8>> = codes.iter().map(|code| recovery_hash(code)).collect();
    let mut tx = app.db.begin_platform().await?;
    users::replace_recovery_codes(&mut tx, user.id, &hashes).await?;
    tell(app, &mut tx, actor, &user, None, "account.recovery_codes_renewed").await?;
    tx.commit().await?;
    Ok(codes)
}

/// Accepts a code of somebody who is signed in, once, or fails.
pub async fn check(app: &App, user: &users::User, code: &str) -> Result<()> {
    let pool = app.db.platform();
    let key = format!("second-factor:{}", user.id);
    limits::count(pool, &key, limits::SECOND_FACTOR).await?;
    accept(app, user, code).await?;
    limits::clear(pool, &key).await
}

/// Accepts a code of somebody who signs in, once, or fails.  Who knows the password and tries codes takes nothing from a
/// device that its owner has signed in with before.
pub async fn check_from(app: &App, caller: &Caller, user: &users::User, code: &str) -> Result<()> {
    let pool = app.db.platform();
    let key = match known_device(app, caller, Some(user)).await? {
        Some(device) => {
            let key = format!("second-factor:{}:{device}", user.id);
            limits::count(pool, &key, limits::SECOND_FACTOR).await?;
            key
        }
        None => {
            let address = EmailAddress::of(user);
            let key = stranger_key("second-factor", &address, caller);
            limits::slow(pool, &key, limits::SECOND_FACTOR_STRANGER).await?;
            limits::slow(pool, &limit_key("second-factor", &address), limits::SECOND_FACTOR_ALL).await?;
            key
        }
    };
    accept(app, user, code).await?;
    limits::clear(pool, &key).await
}

async fn accept(app: &App, user: &users::User, code: &str) -> Result<()> {
    let pool = app.db.platform();
    let Some(sealed) = &user.totp_secret else { return Err(Error::conflict("second-factor-off")) };
    let secret = app.sealer.open_sealed(&user_row(user), sealed)?;
    let now = users::now(pool).await?.unsigned_abs();
    let accepted = match totp(&secret, &user.email)?.check(&typed::code(code), now) {
        Some(step) => users::accept_step(pool, user.id, step as i64).await?,
        None => users::use_recovery_code(pool, user.id, &recovery_hash(code)).await?,
    };
    if !accepted {
        return Err(Error::invalid("code", "second-factor-code"));
    }
    Ok(())
}

async fn tell(
    app: &App,
    tx: &mut crate::db::Tx,
    actor: &Actor,
    user: &users::User,
    kind: Option<Kind>,
    action: &'static str,
) -> Result<()> {
    if let Some(kind) = kind {
        let arguments = [("email", user.email.clone()), ("link", link(app, "/forgot"))];
        let language = Language::from_code(&user.locale).unwrap_or_default();
        mail::enqueue(app, tx, Mail { language, kind, recipient: &user.email, arguments: &arguments })
            .await?;
    }
    Ok(events::record_about_user(tx, actor, user.id, action, json!({})).await?)
}

fn open_setup(app: &App, actor: &Actor, sealed: &str) -> Result<Vec<u8>> {
    hex::decode(sealed)
        .ok()
        .and_then(|sealed| app.sealer.open_sealed(&setup_row(actor), &sealed).ok())
        .ok_or(Error::refused("second-factor-set-up-again"))
}

/// A set-up that was shown to one person confirms nothing for another.
fn setup_row(actor: &Actor) -> String {
    format!("second-factor-set-up/{}", actor.user_id)
}

fn user_row(user: &users::User) -> String {
    format!("users/{}", user.id)
}

fn totp(secret: &[u8], email: &str) -> Result<Totp> {
    let totp = Builder::new()
        .with_secret(secret.to_vec())
        .with_account_name(email)
        .with_issuer(Some(ISSUER))
        .build()
        .map_err(anyhow::Error::from)?;
    Ok(totp)
}

/// 80 random bits in four groups.
fn recovery_code() -> String {
    let random: [u8; 16] = rand::random();
    let letters: Vec<char> = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Hyphens, spaces and capitals do not matter when a code is typed from paper.
fn recovery_hash(code: &str) -> Vec<u8> {
    token_hash(&typed::code(code).to_ascii_lowercase())
}

/// The dark modules of a QR code as one SVG path, with the quiet zone of four modules around.
pub fn qr(text: &str) -> Result<(String, usize)> {
    const QUIET: usize = 4;
    let code = QRBuilder::new(text).build().map_err(|error| anyhow::anyhow!("no QR code: {error:?}"))?;
    let mut path = String::new();
    for y in 0..code.size {
        for x in (0..code.size).filter(|x| code[y][*x].value()) {
            path.push_str(&format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET));
        }
    }
    Ok((path, code.size + 2 * QUIET))
}

/// Whether forms have to ask for a code.
pub async fn is_on(app: &App, actor: &Actor) -> Result<bool> {
    let user = users::by_id(app.db.platform(), actor.user_id).await?.ok_or(Error::Unauthenticated)?;
    Ok(user.totp_secret.is_some())
}

/// For the page: how many recovery codes are left, when a second factor is set up.
pub async fn state(app: &App, actor: &Actor) -> Result<Option<i64>> {
    let pool = app.db.platform();
    let user = users::by_id(pool, actor.user_id).await?.ok_or(Error::Unauthenticated)?;
    match user.totp_secret {
        None => Ok(None),
        Some(_) => Ok(Some(users::recovery_codes_left(pool, actor.user_id).await?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_may_be_typed_in_any_way() {
        let code = recovery_code();
        assert_eq!(code.len(), 19);
        for typed in [
            code.replace('-', " ").to_uppercase(),
            code.replace('-', "－"),
            code.replace('-', "—"),
            format!("\u{a0}{}\u{200b}", code.replace('-', "")),
        ] {
            assert_eq!(recovery_hash(&code), recovery_hash(&typed), "{typed}");
        }
        assert_ne!(recovery_hash(&code), recovery_hash(&recovery_code()));
    }

    #[test]
    fn the_qr_code_is_drawn() {
        let (path, size) = qr("otpauth://totp/x?secret=abc").unwrap();
        assert!(path.starts_with("M4 4h1"), "a finder pattern stands in the corner");
        assert!(size > 21 + 8 - 1);
    }
}
