use crate::db::Tx;
use crate::ids::{TenantId, TokenId, UserId};
use time::OffsetDateTime;

pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub prefix: String,
    pub scopes: Vec<String>,
    pub owner_id: UserId,
    /// Absent for readers who are not told it.
    pub owner: Option<String>,
    pub created_at: OffsetDateTime,
    pub expires_at: Option<OffsetDateTime>,
    pub expired: bool,
    pub last_used_at: Option<OffsetDateTime>,
}

/// Those not revoked, the newest first; of one member where `only` says so.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    only: Option<UserId>,
    after: Option<TokenId>,
    fetch: i64,
) -> sqlx::Result<Vec<ApiToken>> {
    let rows = sqlx::query!(
        "SELECT api_tokens.id, name, prefix, scopes, user_id, coalesce(users.email, '') AS \"owner!\", \
         api_tokens.created_at, expires_at, coalesce(expires_at <= now(), false) AS \"expired!\", last_used_at \
         FROM api_tokens LEFT JOIN users ON users.id = api_tokens.user_id \
         WHERE tenant_id = $1 AND revoked_at IS NULL AND ($2::uuid IS NULL OR api_tokens.id < $2) \
         AND ($4::uuid IS NULL OR user_id = $4) ORDER BY api_tokens.id DESC LIMIT $3",
        tenant.uuid(),
        after.map(TokenId::uuid),
        fetch,
        only.map(UserId::uuid),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ApiToken {
            id: row.id.into(),
            name: row.name,
            prefix: row.prefix,
            scopes: row.scopes,
            owner_id: row.user_id.into(),
            owner: Some(row.owner),
            created_at: row.created_at,
            expires_at: row.expires_at,
            expired: row.expired,
            last_used_at: row.last_used_at,
        })
        .collect())
}

pub struct Count {
    pub of_team: i64,
    pub of_member: i64,
}

/// How many tokens there are that are not revoked.  Until the transaction ends nobody else of the team counts, so that of
/// two at once only one is the last.
pub async fn count(tx: &mut Tx, tenant: TenantId, member: UserId) -> sqlx::Result<Count> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('tokens of ' || $1::uuid::text, 0))",
        tenant.uuid(),
    )
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query_as!(
        Count,
        "SELECT count(*) AS \"of_team!\", count(*) FILTER (WHERE user_id = $2) AS \"of_member!\" FROM api_tokens \
         WHERE tenant_id = $1 AND revoked_at IS NULL",
        tenant.uuid(),
        member.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

pub struct NewToken<'a> {
    pub id: TokenId,
    pub tenant: TenantId,
    pub user: UserId,
    pub name: &'a str,
    pub prefix: &'a str,
    pub token_hash: &'a [u8],
    pub scopes: &'a [String],
    pub valid_days: Option<i32>,
}

pub async fn insert(tx: &mut Tx, new: NewToken<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO api_tokens (id, tenant_id, user_id, name, prefix, token_hash, scopes, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(days => $8))",
        new.id.uuid(),
        new.tenant.uuid(),
        new.user.uuid(),
        new.name,
        new.prefix,
        new.token_hash,
        new.scopes,
        new.valid_days,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The name and the owner of a token that still works.
pub async fn find(tx: &mut Tx, tenant: TenantId, id: TokenId) -> sqlx::Result<Option<(String, UserId)>> {
    let row = sqlx::query!(
        "SELECT name, user_id FROM api_tokens WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL FOR UPDATE",
        tenant.uuid(),
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.name, row.user_id.into())))
}

pub async fn revoke(tx: &mut Tx, tenant: TenantId, id: TokenId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE api_tokens SET revoked_at = now() WHERE tenant_id = $1 AND id = $2",
        tenant.uuid(),
        id.uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
