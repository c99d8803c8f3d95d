//! What a request about instances asks of its tenant.

use crate::db::Tx;
use crate::ids::{SshKeyId, TenantId};
use uuid::Uuid;

pub struct TenantRow {
    pub may_buy: bool,
    pub suspended: bool,
    /// Owes something whose date has passed.
    pub overdue: bool,
    pub quota_instances: i64,
    pub quota_vcpus: i64,
    pub quota_memory_mib: i64,
    pub quota_disk_mib: i64,
}

/// The tenant, locked: requests that could exceed a quota together follow each other.
pub async fn lock_tenant(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<TenantRow> {
    sqlx::query_as!(
        TenantRow,
        "SELECT may_buy, suspended_at IS NOT NULL AS \"suspended!\", \
         EXISTS (SELECT FROM billing_accounts WHERE tenant_id = tenants.id AND overdue_since IS NOT NULL) AS \"overdue!\", quota_instances::bigint AS \"quota_instances!\", \
         quota_vcpus::bigint AS \"quota_vcpus!\", quota_memory_mib, quota_disk_mib \
         FROM tenants WHERE id = $1 FOR NO KEY UPDATE",
        tenant.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

pub struct KeyRow {
    pub id: SshKeyId,
    pub name: String,
    pub public_key: String,
    pub fingerprint: String,
}

/// A tenant's SSH keys by name; all, or those with these ids.
pub async fn ssh_keys(tx: &mut Tx, tenant: TenantId, ids: Option<&[Uuid]>) -> sqlx::Result<Vec<KeyRow>> {
    let rows = sqlx::query!(
        "SELECT id, name, public_key, fingerprint FROM ssh_keys \
         WHERE tenant_id = $1 AND ($2::uuid[] IS NULL OR id = ANY($2)) ORDER BY name",
        tenant.uuid(),
        ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| KeyRow {
            id: row.id.into(),
            name: row.name,
            public_key: row.public_key,
            fingerprint: row.fingerprint,
        })
        .collect())
}

pub async fn may_buy(pool: &sqlx::PgPool, tenant: TenantId) -> sqlx::Result<bool> {
    sqlx::query_scalar!("SELECT may_buy FROM tenants WHERE id = $1", tenant.uuid()).fetch_one(pool).await
}
