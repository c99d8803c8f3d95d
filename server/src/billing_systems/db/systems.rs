use crate::db::Tx;
use crate::ids::{BillingSystemId, TokenId, UserId};
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct SystemRow {
    pub id: BillingSystemId,
    pub name: String,
    pub services: i64,
    pub suspended: i64,
    pub last_used_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

/// Every system, the newest first; an operator has few.
pub async fn list(pool: &PgPool, id: Option<BillingSystemId>) -> sqlx::Result<Vec<SystemRow>> {
    let rows = sqlx::query!(
        "SELECT id, name, created_at, \
         (SELECT count(*) FROM billing_services WHERE system_id = systems.id AND entitlement <> 'terminated') \
             AS \"services!\", \
         (SELECT count(*) FROM billing_services WHERE system_id = systems.id AND entitlement = 'suspended') \
             AS \"suspended!\", \
         (SELECT max(last_used_at) FROM billing_system_tokens WHERE system_id = systems.id) AS last_used_at \
         FROM billing_systems AS systems WHERE $1::uuid IS NULL OR id = $1 ORDER BY id DESC",
        id.map(BillingSystemId::uuid),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SystemRow {
            id: row.id.into(),
            name: row.name,
            services: row.services,
            suspended: row.suspended,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
        })
        .collect())
}

pub async fn insert(tx: &mut Tx, id: BillingSystemId, name: &str) -> sqlx::Result<()> {
    sqlx::query!("INSERT INTO billing_systems (id, name) VALUES ($1, $2)", id.uuid(), name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Locks the system until the transaction ends; false where there is none.
pub async fn lock(tx: &mut Tx, id: BillingSystemId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!("SELECT id FROM billing_systems WHERE id = $1 FOR UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

pub struct NewToken<'a> {
    pub id: TokenId,
    pub system: BillingSystemId,
    pub prefix: &'a str,
    pub token_hash: &'a [u8],
    pub scopes: &'a [String],
    pub created_by: UserId,
}

pub async fn insert_token(tx: &mut Tx, new: &NewToken<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO billing_system_tokens (id, system_id, prefix, token_hash, scopes, created_by) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        new.id.uuid(),
        new.system.uuid(),
        new.prefix,
        new.token_hash,
        new.scopes,
        new.created_by.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False where there is no such token of this system, or it is revoked already.
pub async fn revoke(tx: &mut Tx, system: BillingSystemId, id: TokenId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE billing_system_tokens SET revoked_at = now() WHERE id = $1 AND system_id = $2 AND revoked_at IS NULL",
        id.uuid(),
        system.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub struct TokenRow {
    pub id: TokenId,
    pub prefix: String,
    pub scopes: Vec<String>,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    pub revoked_at: Option<OffsetDateTime>,
}

/// A system's tokens: the working ones first, each the newest first.
pub async fn tokens(pool: &PgPool, system: BillingSystemId) -> sqlx::Result<Vec<TokenRow>> {
    let rows = sqlx::query!(
        "SELECT tokens.id, prefix, scopes, email, tokens.created_at, last_used_at, revoked_at \
         FROM billing_system_tokens AS tokens JOIN users ON users.id = created_by WHERE system_id = $1 \
         ORDER BY revoked_at IS NOT NULL, tokens.id DESC LIMIT 50",
        system.uuid(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| TokenRow {
            id: row.id.into(),
            prefix: row.prefix,
            scopes: row.scopes,
            created_by: row.email,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
        .collect())
}
