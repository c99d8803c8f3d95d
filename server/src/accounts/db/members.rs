use crate::accounts::EmailAddress;
use crate::auth::Role;
use crate::db::Tx;
use crate::ids::{TenantId, UserId};
use time::OffsetDateTime;

pub struct Member {
    pub user_id: UserId,
    /// Absent for readers who are not told it.
    pub email: Option<String>,
    pub role: Role,
    pub since: OffsetDateTime,
}

/// The newest member first.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<UserId>,
    fetch: i64,
) -> sqlx::Result<Vec<Member>> {
    let rows = sqlx::query!(
        "SELECT users.id, users.email, memberships.role, memberships.created_at FROM memberships \
         JOIN users ON users.id = memberships.user_id WHERE memberships.tenant_id = $1 \
         AND ($2::uuid IS NULL OR (memberships.created_at, users.id) < \
           (SELECT created_at, user_id FROM memberships WHERE tenant_id = $1 AND user_id = $2)) \
         ORDER BY memberships.created_at DESC, users.id DESC LIMIT $3",
        tenant.uuid(),
        after.map(UserId::uuid),
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Member {
                user_id: row.id.into(),
                email: Some(row.email),
                role: Role::parse(&row.role)?,
                since: row.created_at,
            })
        })
        .collect())
}

/// One member, locked together with all owners: whoever else changes an owner waits, so that two
/// owners cannot remove each other at the same moment.
pub async fn lock(tx: &mut Tx, tenant: TenantId, user: UserId) -> sqlx::Result<Option<(Role, i64)>> {
    let rows = sqlx::query!(
        "SELECT user_id, role FROM memberships WHERE tenant_id = $1 AND (role = 'owner' OR user_id = $2) \
         ORDER BY user_id FOR UPDATE",
        tenant.uuid(),
        user.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let owners = rows.iter().filter(|row| row.role == "owner").count() as i64;
    let role = rows.iter().find(|row| row.user_id == user.uuid()).and_then(|row| Role::parse(&row.role));
    Ok(role.map(|role| (role, owners)))
}

pub async fn email(tx: &mut Tx, tenant: TenantId, user: UserId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT users.email FROM memberships JOIN users ON users.id = memberships.user_id \
         WHERE memberships.tenant_id = $1 AND memberships.user_id = $2",
        tenant.uuid(),
        user.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await
}

pub async fn is_member_by_email(tx: &mut Tx, tenant: TenantId, email: &EmailAddress) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM memberships JOIN users ON users.id = memberships.user_id \
         WHERE memberships.tenant_id = $1 AND users.email = $2) AS \"is!\"",
        tenant.uuid(),
        &**email,
    )
    .fetch_one(&mut **tx)
    .await
}

/// False when the person is a member already.
pub async fn insert(tx: &mut Tx, tenant: TenantId, user: UserId, role: Role) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO memberships (tenant_id, user_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        tenant.uuid(),
        user.uuid(),
        role.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn set_role(tx: &mut Tx, tenant: TenantId, user: UserId, role: Role) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE memberships SET role = $3 WHERE tenant_id = $1 AND user_id = $2",
        tenant.uuid(),
        user.uuid(),
        role.as_str(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx, tenant: TenantId, user: UserId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2", tenant.uuid(), user.uuid())
        .execute(&mut **tx)
        .await?;
    // What they made here stops with them: a token must not work again when they are invited again.
    sqlx::query!(
        "UPDATE api_tokens SET revoked_at = now() WHERE tenant_id = $1 AND user_id = $2 AND revoked_at IS NULL",
        tenant.uuid(),
        user.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn rename_tenant(tx: &mut Tx, tenant: TenantId, name: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE tenants SET name = $2 WHERE id = $1", tenant.uuid(), name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
