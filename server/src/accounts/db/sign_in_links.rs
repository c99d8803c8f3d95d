use crate::db::Tx;
use crate::ids::{BillingSystemId, TenantId, UserId};
use time::OffsetDateTime;

pub async fn insert(
    tx: &mut Tx,
    token_hash: &[u8],
    link: &super::super::sign_in_links::NewLink<'_>,
    valid_seconds: f64,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        "INSERT INTO sign_in_links (token_hash, user_id, tenant_id, path, issued_for, system_id, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) RETURNING expires_at",
        token_hash,
        link.user.uuid(),
        link.tenant.uuid(),
        link.path,
        link.issued_for,
        link.system.uuid(),
        valid_seconds,
    )
    .fetch_one(&mut **tx)
    .await
}

pub struct Used {
    pub user: UserId,
    pub tenant: TenantId,
    pub system: BillingSystemId,
    pub path: String,
    pub issued_for: String,
}

/// Uses a link up.  Of two requests with it at once, one gets None.  What has changed since it was made counts: whoever
/// was disabled, has become an administrator, has left the team or has chosen a password of their own gets None too.
pub async fn consume(tx: &mut Tx, token_hash: &[u8]) -> sqlx::Result<Option<Used>> {
    let row = sqlx::query!(
        "UPDATE sign_in_links AS links SET used_at = now() FROM users, memberships \
         WHERE token_hash = $1 AND used_at IS NULL AND expires_at > now() AND users.id = links.user_id \
         AND users.disabled_at IS NULL AND NOT users.is_admin \
         AND (users.own_password_at IS NULL OR users.email_verified_at IS NULL) AND system_id IS NOT NULL \
         AND memberships.user_id = links.user_id \
         AND memberships.tenant_id = links.tenant_id \
         RETURNING links.user_id, links.tenant_id, system_id AS \"system_id!\", path, issued_for",
        token_hash,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Used {
        user: row.user_id.into(),
        tenant: row.tenant_id.into(),
        system: row.system_id.into(),
        path: row.path,
        issued_for: row.issued_for,
    }))
}
