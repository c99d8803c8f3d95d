//! What a request about instances asks of its tenant.

use crate::db::Tx;
use crate::ids::{InstanceId, PlanId, SshKeyId, TenantId};
use uuid::Uuid;

pub struct TenantRow {
    pub may_buy: bool,
    pub suspended: bool,
    /// Owes something whose date has passed.
    pub overdue: bool,
    /// A payment of theirs is disputed, or was lost to a dispute.
    pub disputed: bool,
    pub quota_instances: i64,
    pub quota_vcpus: i64,
    pub quota_memory_mib: i64,
    pub quota_disk_mib: i64,
}

/// The tenant with its account, locked: orders that could exceed a quota or spend the same money follow each other.  The quota is
/// the tenant's own, or what it reached by paying.
pub async fn lock_tenant(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<TenantRow> {
    // Decisions about accounts lock in this order too.
    sqlx::query!("SELECT lock_account($1)::text AS locked", tenant.uuid()).fetch_one(&mut **tx).await?;
    sqlx::query!("SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE", tenant.uuid())
        .fetch_one(&mut **tx)
        .await?;
    // A statement of its own: what was written while it waited for the lock is seen.
    sqlx::query_as!(
        TenantRow,
        "SELECT may_buy, suspended_at IS NOT NULL AS \"suspended!\", \
         EXISTS (SELECT FROM billing_accounts WHERE tenant_id = tenants.id AND overdue_since IS NOT NULL) AS \"overdue!\", \
         EXISTS (SELECT FROM payments WHERE tenant_id = tenants.id AND dispute IN ('open', 'lost') \
             AND dispute_settled_at IS NULL) AS \"disputed!\", \
         greatest(quota_instances, CASE WHEN quota_grows THEN earned.instances END) AS \"quota_instances!\", \
         greatest(quota_vcpus, CASE WHEN quota_grows THEN earned.vcpus END) AS \"quota_vcpus!\", \
         greatest(quota_memory_mib, CASE WHEN quota_grows THEN earned.memory_mib END) AS \"quota_memory_mib!\", \
         greatest(quota_disk_mib, CASE WHEN quota_grows THEN earned.disk_mib END) AS \"quota_disk_mib!\" \
         FROM tenants CROSS JOIN LATERAL earned_quotas(id) AS earned WHERE id = $1",
        tenant.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// Which billing system sells to this customer, if any does.
pub async fn seller(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT name FROM billing_owners JOIN billing_systems ON billing_systems.id = system_id WHERE tenant_id = $1",
        tenant.uuid()
    )
    .fetch_optional(&mut **tx)
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

/// A plan that an instance is charged for although it was moved to another one.
#[derive(Clone, Debug)]
pub struct ChargedPlan {
    pub instance_id: InstanceId,
    pub id: PlanId,
    pub slug: String,
    pub version: i32,
    pub name_en: String,
    pub name_zh: String,
}

/// Of these instances of a tenant, those whose open interval in the ledger is of another plan than their own.
pub async fn charged_plans(tx: &mut Tx, tenant: TenantId, ids: &[Uuid]) -> sqlx::Result<Vec<ChargedPlan>> {
    sqlx::query_as!(
        ChargedPlan,
        "SELECT instances.id AS instance_id, plans.id, plans.slug, \
         ledger.plan_version AS version, plans.name_en, plans.name_zh FROM ledger \
         JOIN instances ON instances.id = ledger.instance_id JOIN plans ON plans.id = ledger.plan_id \
         WHERE ledger.tenant_id = $1 AND ledger.instance_id = ANY($2) AND ledger.until IS NULL AND ledger.kind <> 'retained' \
         AND (ledger.plan_id, ledger.plan_version) IS DISTINCT FROM (instances.plan_id, instances.plan_version)",
        tenant.uuid(),
        ids,
    )
    .fetch_all(&mut **tx)
    .await
}
