use crate::billing::dunning::Stage;
use crate::db::Tx;
use crate::ids::{InstanceId, TenantId};
use jst_policy::lifecycle::Power;
use sqlx::PgPool;
use time::OffsetDateTime;

/// Tenants whose account may need a look, after this one in order.
pub async fn tenants(pool: &PgPool, after: Option<TenantId>, limit: i64) -> sqlx::Result<Vec<TenantId>> {
    let ids = sqlx::query_scalar!(
        "SELECT tenant_id FROM billing_accounts AS accounts WHERE ($1::uuid IS NULL OR tenant_id > $1) \
         AND (stage <> 'clear' OR EXISTS (SELECT FROM ledger WHERE ledger.tenant_id = accounts.tenant_id)) \
         ORDER BY tenant_id LIMIT $2",
        after.map(TenantId::uuid),
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(TenantId::from).collect())
}

/// Writes a decision, unless a newer one is in force: then false, and nothing has changed.
pub async fn decide(tx: &mut Tx, tenant: TenantId, version: i64, stage: Stage) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE billing_accounts SET stage = $3, entitlement_version = $2 WHERE tenant_id = $1 AND entitlement_version < $2",
        tenant.uuid(),
        version,
        stage.name(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn stage(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT stage FROM billing_accounts WHERE tenant_id = $1", tenant.uuid())
        .fetch_optional(&mut **tx)
        .await
}

pub async fn set_overdue(tx: &mut Tx, tenant: TenantId, since: Option<OffsetDateTime>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE billing_accounts SET overdue_since = $2 WHERE tenant_id = $1 AND overdue_since IS DISTINCT FROM $2",
        tenant.uuid(),
        since,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn set_low_balance_told(tx: &mut Tx, tenant: TenantId, told: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE billing_accounts SET low_balance_told_at = CASE WHEN $2 THEN now() END WHERE tenant_id = $1",
        tenant.uuid(),
        told,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn set_runway_told(tx: &mut Tx, tenant: TenantId, days: Option<i32>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE billing_accounts SET runway_told = $2 WHERE tenant_id = $1", tenant.uuid(), days)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Suspends the tenant, and remembers whether that was our doing.  From now on nothing is charged.
pub async fn suspend(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO account_suspensions (tenant_id, since) VALUES ($1, date_trunc('second', now())) \
         ON CONFLICT (tenant_id, since) DO UPDATE SET until = NULL",
        tenant.uuid()
    )
    .execute(&mut **tx)
    .await?;
    let done = sqlx::query!(
        "UPDATE tenants SET suspended_at = now() WHERE id = $1 AND suspended_at IS NULL",
        tenant.uuid()
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE billing_accounts SET suspended_here = $2 WHERE tenant_id = $1",
        tenant.uuid(),
        done.rows_affected() == 1,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Lifts a suspension that was our doing; an administrator's stays.
pub async fn release(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE account_suspensions SET until = greatest(since, date_trunc('second', now())) \
         WHERE tenant_id = $1 AND until IS NULL",
        tenant.uuid()
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "UPDATE tenants SET suspended_at = NULL FROM billing_accounts WHERE id = $1 AND tenant_id = id AND suspended_here",
        tenant.uuid()
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!("UPDATE billing_accounts SET suspended_here = false WHERE tenant_id = $1", tenant.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Instances that are not yet what the decision in force says.
pub async fn unsettled(pool: &PgPool, tenant: TenantId) -> sqlx::Result<Vec<InstanceId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM instances JOIN billing_accounts USING (tenant_id) WHERE tenant_id = $1 AND purged_at IS NULL \
         AND CASE stage WHEN 'deleted' THEN deleted_at IS NULL \
             WHEN 'suspended' THEN deleted_at IS NULL AND lock_reason IS NULL \
             ELSE lock_reason IS NOT DISTINCT FROM 'suspended' END ORDER BY id",
        tenant.uuid()
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(InstanceId::from).collect())
}

pub async fn remember_power(
    tx: &mut Tx,
    tenant: TenantId,
    instance: InstanceId,
    power: Power,
) -> sqlx::Result<()> {
    let power = match power {
        Power::Running => "running",
        Power::Stopped => "stopped",
    };
    sqlx::query!(
        "INSERT INTO suspended_instances (instance_id, tenant_id, power) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        instance.uuid(),
        tenant.uuid(),
        power,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether it ran before it was locked; what was remembered is forgotten.
pub async fn ran_before(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<bool> {
    let power = sqlx::query_scalar!(
        "DELETE FROM suspended_instances WHERE instance_id = $1 RETURNING power",
        instance.uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(power.as_deref() == Some("running"))
}

/// Owners' addresses and languages.
pub async fn owners(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "SELECT email, locale FROM memberships JOIN users ON users.id = user_id \
         WHERE tenant_id = $1 AND role = 'owner' AND disabled_at IS NULL ORDER BY email",
        tenant.uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.email, row.locale)).collect())
}
