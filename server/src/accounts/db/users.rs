use crate::accounts::EmailAddress;
use crate::db::Tx;
use crate::ids::{TenantId, UserId};
use sqlx::{PgExecutor, PgPool};

/// A password, hashed, and whether its owner has chosen it.
#[derive(Clone, Copy, Debug)]
pub enum NewPassword<'a> {
    Own(&'a str),
    /// Nobody knows it: the account was made for somebody.
    Unusable(&'a str),
}

impl<'a> NewPassword<'a> {
    const fn hash(self) -> &'a str {
        match self {
            Self::Own(hash) | Self::Unusable(hash) => hash,
        }
    }
}

pub struct User {
    pub id: UserId,
    pub email: String,
    pub verified: bool,
    pub password_hash: String,
    /// Its owner has chosen a password; until then only a billing system's links lead in.
    pub own_password: bool,
    pub locale: String,
    pub totp_secret: Option<Vec<u8>>,
    pub disabled: bool,
}

pub async fn by_email(executor: impl PgExecutor<'_>, email: &EmailAddress) -> sqlx::Result<Option<User>> {
    let row = sqlx::query!(
        "SELECT id, email, email_verified_at IS NOT NULL AS \"verified!\", password_hash, own_password_at IS NOT NULL AS \"own_password!\", \
         locale, totp_secret, disabled_at IS NOT NULL AS \"disabled!\" FROM users WHERE email = $1",
        &**email,
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| User {
        id: row.id.into(),
        email: row.email,
        verified: row.verified,
        password_hash: row.password_hash,
        own_password: row.own_password,
        locale: row.locale,
        totp_secret: row.totp_secret,
        disabled: row.disabled,
    }))
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: UserId) -> sqlx::Result<Option<User>> {
    let row = sqlx::query!(
        "SELECT id, email, email_verified_at IS NOT NULL AS \"verified!\", password_hash, own_password_at IS NOT NULL AS \"own_password!\", \
         locale, totp_secret, disabled_at IS NOT NULL AS \"disabled!\" FROM users WHERE id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| User {
        id: row.id.into(),
        email: row.email,
        verified: row.verified,
        password_hash: row.password_hash,
        own_password: row.own_password,
        locale: row.locale,
        totp_secret: row.totp_secret,
        disabled: row.disabled,
    }))
}

/// False when the address has an account already, also where that happened a moment ago.
pub async fn insert(
    tx: &mut Tx,
    id: UserId,
    email: &EmailAddress,
    password: NewPassword<'_>,
    locale: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO users (id, email, password_hash, locale, own_password_at) \
         VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END) ON CONFLICT DO NOTHING",
        id.uuid(),
        &**email,
        password.hash(),
        locale,
        matches!(password, NewPassword::Own(_)),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A tenant with its first owner.
pub async fn insert_tenant(tx: &mut Tx, id: TenantId, name: &str, owner: UserId) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO tenants (id, name) VALUES ($1, $2)", id.uuid(), name)
        .execute(&mut **tx)
        .await?;
    sqlx::query!(
        "INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, 'owner')",
        id.uuid(),
        owner.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The tenant that somebody joined first.
pub async fn first_tenant(executor: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Option<TenantId>> {
    let id = sqlx::query_scalar!(
        "SELECT tenant_id FROM memberships WHERE user_id = $1 ORDER BY created_at, tenant_id LIMIT 1",
        user.uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(id.map(TenantId::from))
}

pub async fn set_password(tx: &mut Tx, user: UserId, password_hash: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET password_hash = $2, own_password_at = now() WHERE id = $1",
        user.uuid(),
        password_hash,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes an account nobody's: no password opens it.
pub async fn void_password(tx: &mut Tx, user: UserId, unusable_hash: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET password_hash = $2, own_password_at = NULL WHERE id = $1",
        user.uuid(),
        unusable_hash,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn set_verified(tx: &mut Tx, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE users SET email_verified_at = coalesce(email_verified_at, now()) WHERE id = $1",
        user.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Fails with the constraint `users_email_key` when another account took the address meanwhile.
pub async fn set_email(tx: &mut Tx, user: UserId, email: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE users SET email = $2, email_verified_at = now() WHERE id = $1", user.uuid(), email)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn make_admin(tx: &mut Tx, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE users SET is_admin = true, disabled_at = NULL WHERE id = $1", user.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

// One-use links -----------------------------------------------------------------------------------

/// Replaces earlier links of the same purpose: only the newest mail's link works.
pub async fn insert_link(
    tx: &mut Tx,
    user: UserId,
    purpose: &str,
    email: &str,
    token_hash: &[u8],
    valid_seconds: f64,
) -> sqlx::Result<()> {
    delete_links(tx, user, purpose).await?;
    sqlx::query!(
        "INSERT INTO email_tokens (token_hash, user_id, purpose, email, expires_at) \
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))",
        token_hash,
        user.uuid(),
        purpose,
        email,
        valid_seconds,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn delete_links(tx: &mut Tx, user: UserId, purpose: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM email_tokens WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL",
        user.uuid(),
        purpose,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether a link can still be used.  Cheap: to be asked before anything that costs.
pub async fn link_is_open(pool: &PgPool, purpose: &str, token_hash: &[u8]) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM email_tokens WHERE token_hash = $1 AND purpose = $2 AND used_at IS NULL \
             AND expires_at > now()) AS \"open!\"",
        token_hash,
        purpose,
    )
    .fetch_one(pool)
    .await
}

/// Uses a link up.  Of two requests with it at once, one gets None.
pub async fn use_link(
    tx: &mut Tx,
    purpose: &str,
    token_hash: &[u8],
) -> sqlx::Result<Option<(UserId, String)>> {
    let row = sqlx::query!(
        "UPDATE email_tokens SET used_at = now() \
         WHERE token_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now() RETURNING user_id, email",
        token_hash,
        purpose,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.user_id.into(), row.email)))
}

// Second factor -----------------------------------------------------------------------------------

/// False when a second factor is set up already.
pub async fn enable_totp(tx: &mut Tx, user: UserId, sealed: &[u8], step: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE users SET totp_secret = $2, totp_last_step = $3 WHERE id = $1 AND totp_secret IS NULL",
        user.uuid(),
        sealed,
        step,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn disable_totp(tx: &mut Tx, user: UserId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE users SET totp_secret = NULL, totp_last_step = NULL WHERE id = $1 AND totp_secret IS NOT NULL",
        user.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", user.uuid()).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Notes the time step of a code, unless it or a later one was accepted before: a code is good once.
pub async fn accept_step(pool: &PgPool, user: UserId, step: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE users SET totp_last_step = $2 WHERE id = $1 AND totp_secret IS NOT NULL \
         AND (totp_last_step IS NULL OR totp_last_step < $2)",
        user.uuid(),
        step,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn replace_recovery_codes(tx: &mut Tx, user: UserId, hashes: &[Vec<u8>]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM recovery_codes WHERE user_id = $1", user.uuid()).execute(&mut **tx).await?;
    sqlx::query!(
        "INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, hash FROM unnest($2::bytea[]) AS hash",
        user.uuid(),
        hashes,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn use_recovery_code(pool: &PgPool, user: UserId, hash: &[u8]) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE recovery_codes SET used_at = now() WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL",
        user.uuid(),
        hash,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn recovery_codes_left(pool: &PgPool, user: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "SELECT count(*) AS \"count!\" FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL",
        user.uuid(),
    )
    .fetch_one(pool)
    .await
}

/// Seconds since 1970 by the database's clock, which all replicas share.
pub async fn now(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!("SELECT extract(epoch FROM now())::bigint AS \"now!\"").fetch_one(pool).await
}

/// The same in microseconds.
pub async fn now_micros(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!("SELECT (extract(epoch FROM now()) * 1000000)::bigint AS \"now!\"")
        .fetch_one(pool)
        .await
}
