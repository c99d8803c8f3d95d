use crate::db::Tx;
use crate::ids::{TenantId, UserId};
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

#[derive(Clone, Debug)]
pub struct Customer {
    pub id: TenantId,
    pub name: String,
    /// The mail address of its first owner.
    pub owner: Option<String>,
    pub instances: i64,
    pub members: i64,
    pub may_buy: bool,
    pub quota_grows: bool,
    pub suspended_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub quota_instances: i32,
    pub quota_vcpus: i32,
    pub quota_memory_mib: i64,
    pub quota_disk_mib: i64,
}

/// Newest first.  `search` is part of the tenant's name or of a member's address, or an identifier.
pub async fn list(
    pool: &PgPool,
    search: &str,
    suspended: Option<bool>,
    after: Option<TenantId>,
    limit: i64,
) -> sqlx::Result<Vec<Customer>> {
    sqlx::query_as!(
        Customer,
        "SELECT tenants.id, name, may_buy, quota_grows, suspended_at, tenants.created_at, quota_instances, quota_vcpus, \
         quota_memory_mib, quota_disk_mib, \
         (SELECT email FROM memberships JOIN users ON users.id = user_id WHERE tenant_id = tenants.id AND role = 'owner' \
             ORDER BY memberships.created_at LIMIT 1) AS owner, \
         (SELECT count(*) FROM instances WHERE tenant_id = tenants.id AND purged_at IS NULL) AS \"instances!\", \
         (SELECT count(*) FROM memberships WHERE tenant_id = tenants.id) AS \"members!\" FROM tenants \
         WHERE ($1 = '' OR strpos(lower(name), lower($1)) > 0 OR tenants.id::text = $1 \
             OR EXISTS (SELECT FROM memberships JOIN users ON users.id = user_id \
                 WHERE tenant_id = tenants.id AND strpos(lower(email), lower($1)) > 0)) \
         AND ($2::boolean IS NULL OR (suspended_at IS NOT NULL) = $2) \
         AND ($3::uuid IS NULL OR tenants.id < $3) ORDER BY tenants.id DESC LIMIT $4",
        search,
        suspended,
        after.map(TenantId::uuid),
        limit,
    )
    .fetch_all(pool)
    .await
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: TenantId) -> sqlx::Result<Option<Customer>> {
    sqlx::query_as!(
        Customer,
        "SELECT tenants.id, name, may_buy, quota_grows, suspended_at, tenants.created_at, quota_instances, quota_vcpus, \
         quota_memory_mib, quota_disk_mib, \
         (SELECT email FROM memberships JOIN users ON users.id = user_id WHERE tenant_id = tenants.id AND role = 'owner' \
             ORDER BY memberships.created_at LIMIT 1) AS owner, \
         (SELECT count(*) FROM instances WHERE tenant_id = tenants.id AND purged_at IS NULL) AS \"instances!\", \
         (SELECT count(*) FROM memberships WHERE tenant_id = tenants.id) AS \"members!\" FROM tenants WHERE tenants.id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await
}

#[derive(Clone, Debug)]
pub struct Member {
    pub id: UserId,
    pub email: String,
    pub verified: bool,
    pub role: String,
    pub second_factor: bool,
    pub is_admin: bool,
    pub disabled_at: Option<OffsetDateTime>,
    pub last_seen_at: Option<OffsetDateTime>,
}

pub async fn members(executor: impl PgExecutor<'_>, tenant: TenantId) -> sqlx::Result<Vec<Member>> {
    sqlx::query_as!(
        Member,
        "SELECT users.id, email, email_verified_at IS NOT NULL AS \"verified!\", role, \
         totp_secret IS NOT NULL AS \"second_factor!\", is_admin, disabled_at, \
         (SELECT max(last_seen_at) FROM sessions WHERE sessions.user_id = users.id) AS last_seen_at \
         FROM memberships JOIN users ON users.id = user_id WHERE tenant_id = $1 ORDER BY memberships.created_at, email",
        tenant.uuid(),
    )
    .fetch_all(executor)
    .await
}

/// Locks the tenant's row until the transaction ends.
pub async fn lock(tx: &mut Tx, id: TenantId) -> sqlx::Result<()> {
    sqlx::query!("SELECT id FROM tenants WHERE id = $1 FOR UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(())
}

pub async fn set_quotas(
    tx: &mut Tx,
    id: TenantId,
    quotas: &crate::admin::customers::Quotas,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE tenants SET quota_instances = $2, quota_vcpus = $3, quota_memory_mib = $4, quota_disk_mib = $5, may_buy = $6, quota_grows = $7 \
         WHERE id = $1",
        id.uuid(),
        quotas.quota_instances,
        quotas.quota_vcpus,
        quotas.quota_memory_mib,
        quotas.quota_disk_mib,
        quotas.may_buy,
        quotas.quota_grows,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// False when nothing changed.
pub async fn set_suspended(tx: &mut Tx, id: TenantId, suspended: bool) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "UPDATE tenants SET suspended_at = CASE WHEN $2 THEN now() END WHERE id = $1 AND (suspended_at IS NOT NULL) <> $2",
        id.uuid(),
        suspended,
    )
    .execute(&mut **tx)
    .await?;
    Ok(result.rows_affected() > 0)
}

/// The mail address of a person, if there is such a one.
pub async fn email(executor: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT email FROM users WHERE id = $1", user.uuid()).fetch_optional(executor).await
}

/// False when nothing changed.
pub async fn set_disabled(tx: &mut Tx, user: UserId, disabled: bool) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "UPDATE users SET disabled_at = CASE WHEN $2 THEN now() END WHERE id = $1 AND (disabled_at IS NOT NULL) <> $2",
        user.uuid(),
        disabled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(result.rows_affected() > 0)
}
