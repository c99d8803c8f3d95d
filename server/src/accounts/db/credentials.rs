use crate::db::Tx;
use crate::ids::{InvitationId, TenantId, TokenId, UserId};
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

pub struct RevokedToken {
    pub id: TokenId,
    pub tenant: TenantId,
    pub name: String,
}

/// Revokes every token that somebody made, in any team.
pub async fn revoke_tokens(tx: &mut Tx, user: UserId) -> sqlx::Result<Vec<RevokedToken>> {
    let rows = sqlx::query!(
        "UPDATE api_tokens SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL \
         RETURNING id, tenant_id, name",
        user.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RevokedToken { id: row.id.into(), tenant: row.tenant_id.into(), name: row.name })
        .collect())
}

/// How many tokens of somebody still work, in any team.
pub async fn count_tokens(executor: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "SELECT count(*) AS \"count!\" FROM api_tokens \
         WHERE user_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        user.uuid(),
    )
    .fetch_one(executor)
    .await
}

/// Every link that would open the account or change it: in mails, and from billing systems.
pub async fn delete_links(tx: &mut Tx, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM email_tokens WHERE user_id = $1 AND used_at IS NULL", user.uuid())
        .execute(&mut **tx)
        .await?;
    sqlx::query!("DELETE FROM sign_in_links WHERE user_id = $1 AND used_at IS NULL", user.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub struct WithdrawnInvitation {
    pub id: InvitationId,
    pub tenant: TenantId,
    pub email: String,
}

/// Withdraws what somebody invited to and nobody has accepted, in any team.
pub async fn withdraw_invitations(tx: &mut Tx, user: UserId) -> sqlx::Result<Vec<WithdrawnInvitation>> {
    let rows = sqlx::query!(
        "DELETE FROM invitations WHERE invited_by = $1 AND accepted_at IS NULL RETURNING id, tenant_id, email",
        user.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| WithdrawnInvitation { id: row.id.into(), tenant: row.tenant_id.into(), email: row.email })
        .collect())
}

/// From now on no passkey of somebody signs in before its owner has confirmed it.
pub async fn doubt_passkeys(tx: &mut Tx, user: UserId) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "UPDATE passkeys SET unconfirmed_at = coalesce(unconfirmed_at, now()) WHERE user_id = $1",
        user.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

pub async fn note_reset(tx: &mut Tx, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE users SET password_reset_at = now() WHERE id = $1", user.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// When the password was reset, if that was in the last two weeks.
pub async fn recent_reset(pool: &PgPool, user: UserId) -> sqlx::Result<Option<OffsetDateTime>> {
    let at = sqlx::query_scalar!(
        "SELECT password_reset_at FROM users \
         WHERE id = $1 AND password_reset_at > now() - interval '14 days'",
        user.uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(at.flatten())
}

/// The addresses that are told what happens in the teams that somebody owns, the newest first.
pub async fn webhook_urls(executor: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "SELECT url FROM webhook_endpoints JOIN memberships USING (tenant_id) \
         WHERE user_id = $1 AND role = 'owner' AND disabled_at IS NULL ORDER BY webhook_endpoints.id DESC LIMIT 20",
        user.uuid(),
    )
    .fetch_all(executor)
    .await
}
