use crate::accounts::EmailAddress;
use crate::auth::Role;
use crate::db::Tx;
use crate::ids::{InvitationId, TenantId, TokenId, UserId};
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct Invitation {
    pub id: InvitationId,
    /// Absent for readers who are not told it, as the next.
    pub email: Option<String>,
    pub role: Role,
    pub invited_by: Option<String>,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub expired: bool,
}

/// Those not accepted yet, the newest first.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<InvitationId>,
    fetch: i64,
) -> sqlx::Result<Vec<Invitation>> {
    let rows = sqlx::query!(
        "SELECT invitations.id, invitations.email, invitations.role, coalesce(users.email, '') AS \"invited_by!\", \
         invitations.created_at, invitations.expires_at, invitations.expires_at <= now() AS \"expired!\" \
         FROM invitations LEFT JOIN users ON users.id = invitations.invited_by \
         WHERE invitations.tenant_id = $1 AND accepted_at IS NULL \
         AND inviter_may(invitations.tenant_id, invited_by, token_id) AND ($2::uuid IS NULL OR invitations.id < $2) \
         ORDER BY invitations.id DESC LIMIT $3",
        tenant.uuid(),
        after.map(InvitationId::uuid),
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Invitation {
                id: row.id.into(),
                email: Some(row.email),
                role: Role::parse(&row.role)?,
                invited_by: Some(row.invited_by),
                created_at: row.created_at,
                expires_at: row.expires_at,
                expired: row.expired,
            })
        })
        .collect())
}

pub struct NewInvitation<'a> {
    pub id: InvitationId,
    pub tenant: TenantId,
    pub email: &'a EmailAddress,
    pub role: Role,
    pub token_hash: &'a [u8],
    pub invited_by: UserId,
    /// By which it is made; none in person.
    pub token: Option<TokenId>,
    pub valid_seconds: f64,
    /// And no longer than this.
    pub until: Option<OffsetDateTime>,
}

/// Fails with the constraint `invitations_open_key` when one is open already; one that works no more makes room.
pub async fn insert(tx: &mut Tx, new: NewInvitation<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM invitations WHERE tenant_id = $1 AND email = $2 AND accepted_at IS NULL \
         AND (expires_at <= now() OR NOT inviter_may(tenant_id, invited_by, token_id))",
        new.tenant.uuid(),
        &**new.email,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO invitations (id, tenant_id, email, role, token_hash, invited_by, token_id, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, least(now() + make_interval(secs => $8), $9))",
        new.id.uuid(),
        new.tenant.uuid(),
        &**new.email,
        new.role.as_str(),
        new.token_hash,
        new.invited_by.uuid(),
        new.token.map(TokenId::uuid),
        new.valid_seconds,
        new.until,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx, tenant: TenantId, id: InvitationId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "DELETE FROM invitations WHERE tenant_id = $1 AND id = $2 AND accepted_at IS NULL RETURNING email",
        tenant.uuid(),
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await
}

pub struct Open {
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub email: String,
    pub role: Role,
}

/// An open invitation by its secret link.  Whoever follows it is not a member yet, so this is asked
/// outside any tenant.
pub async fn by_token(pool: &PgPool, token_hash: &[u8]) -> sqlx::Result<Option<Open>> {
    let row = sqlx::query!(
        "SELECT tenants.id, tenants.name, invitations.email, invitations.role FROM invitations \
         JOIN tenants ON tenants.id = invitations.tenant_id \
         WHERE token_hash = $1 AND accepted_at IS NULL AND expires_at > now() \
         AND inviter_may(invitations.tenant_id, invited_by, token_id)",
        token_hash,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.and_then(|row| {
        Some(Open {
            tenant_id: row.id.into(),
            tenant_name: row.name,
            email: row.email,
            role: Role::parse(&row.role)?,
        })
    }))
}

/// Whether anybody has invited this address, in any tenant.
pub async fn is_invited(pool: &PgPool, email: &EmailAddress) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM invitations \
             WHERE email = $1 AND accepted_at IS NULL AND expires_at > now() \
             AND inviter_may(tenant_id, invited_by, token_id)) AS \"invited!\"",
        &**email,
    )
    .fetch_one(pool)
    .await
}

/// Of two requests with one link at once, one gets false.
pub async fn accept(tx: &mut Tx, tenant: TenantId, token_hash: &[u8], email: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE invitations SET accepted_at = now() WHERE tenant_id = $1 AND token_hash = $2 \
         AND email = $3 AND accepted_at IS NULL AND expires_at > now() \
         AND inviter_may(tenant_id, invited_by, token_id)",
        tenant.uuid(),
        token_hash,
        email,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
