pub mod systems;
pub mod usage;

use super::order::{Entitlement, InForce};
use super::{Made, Service};
use crate::db::Tx;
use crate::ids::{BillingSystemId, InstanceId, ServiceId, TenantId, UserId};
use sqlx::{PgExecutor, PgPool};

fn in_force(entitlement: &str, version: i64) -> sqlx::Result<InForce> {
    let entitlement = Entitlement::parse(entitlement)
        .ok_or_else(|| sqlx::Error::Decode(format!("unknown entitlement {entitlement:?}").into()))?;
    Ok(InForce { version, entitlement })
}

/// The newest service of a reference, whatever has become of it.
pub async fn newest(
    executor: impl PgExecutor<'_>,
    system: BillingSystemId,
    reference: &str,
) -> sqlx::Result<Option<Service>> {
    Ok(list(executor, system, Some(reference), None, 1).await?.pop())
}

/// A system's services, the newest first.
pub async fn list(
    executor: impl PgExecutor<'_>,
    system: BillingSystemId,
    reference: Option<&str>,
    before: Option<ServiceId>,
    limit: i64,
) -> sqlx::Result<Vec<Service>> {
    let rows = sqlx::query!(
        "SELECT services.id, external_ref, services.tenant_id, user_id, email, instance_id, entitlement, \
         entitlement_version, services.plan_version, services.created_at, plans.slug AS \"slug?\", \
         instances.state AS \"state?\", instances.name AS \"name?\", \
         instances.hostname || coalesce('.' || instances.domain, '') AS \"hostname?\", purge_at, \
         tombstone_at IS NOT NULL OR purged_at IS NOT NULL AS \"gone!\", \
         ARRAY(SELECT host(address) FROM addresses WHERE addresses.instance_id = instances.id \
             ORDER BY family(address), address) AS \"addresses!: Vec<String>\" \
         FROM billing_services AS services JOIN users ON users.id = user_id \
         LEFT JOIN instances ON instances.id = instance_id LEFT JOIN plans ON plans.id = instances.plan_id \
         WHERE system_id = $1 AND ($2::text IS NULL OR external_ref = $2) AND ($3::uuid IS NULL OR services.id < $3) \
         ORDER BY services.id DESC LIMIT $4",
        system.uuid(),
        reference,
        before.map(ServiceId::uuid),
        limit,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|row| {
            let made = match (row.slug, row.state, row.name, row.hostname) {
                (Some(plan), Some(state), Some(name), Some(hostname)) => Some(Made {
                    plan,
                    state,
                    name,
                    hostname,
                    addresses: row.addresses,
                    purge_at: row.purge_at,
                    gone: row.gone,
                }),
                _ => None,
            };
            Ok(Service {
                id: row.id.into(),
                system,
                external_ref: row.external_ref,
                tenant: row.tenant_id.into(),
                user: row.user_id.into(),
                owner_email: row.email,
                instance: row.instance_id.into(),
                in_force: in_force(&row.entitlement, row.entitlement_version)?,
                plan_version: row.plan_version,
                created_at: row.created_at,
                made,
            })
        })
        .collect()
}

pub struct NewService<'a> {
    pub id: ServiceId,
    pub system: BillingSystemId,
    pub external_ref: &'a str,
    pub owner: Owner,
    pub instance: InstanceId,
    pub in_force: InForce,
}

/// Fails with `billing_services_ref_key` where the reference names a service that is not terminated.
pub async fn insert(tx: &mut Tx, new: &NewService<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO billing_services (id, system_id, external_ref, tenant_id, user_id, instance_id, entitlement, \
         entitlement_version, plan_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        new.id.uuid(),
        new.system.uuid(),
        new.external_ref,
        new.owner.tenant.uuid(),
        new.owner.user.uuid(),
        new.instance.uuid(),
        new.in_force.entitlement.name(),
        new.in_force.version,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Removes a service whose instance could not be made; one that has an instance stays.
pub async fn forget(pool: &PgPool, id: ServiceId) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM billing_services AS services WHERE id = $1 \
         AND NOT EXISTS (SELECT FROM instances WHERE instances.id = services.instance_id)",
        id.uuid()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What is in force, locked: whoever decides next sees this decision.
pub async fn lock(tx: &mut Tx, id: ServiceId) -> sqlx::Result<InForce> {
    let row = sqlx::query!(
        "SELECT entitlement, entitlement_version FROM billing_services WHERE id = $1 FOR UPDATE",
        id.uuid()
    )
    .fetch_one(&mut **tx)
    .await?;
    in_force(&row.entitlement, row.entitlement_version)
}

pub async fn save(tx: &mut Tx, id: ServiceId, decided: InForce) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE billing_services SET entitlement = $2, entitlement_version = $3 WHERE id = $1",
        id.uuid(),
        decided.entitlement.name(),
        decided.version,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Services whose instance is not locked as it should be, with it.
pub async fn unsettled(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<(ServiceId, InstanceId)>> {
    let rows = sqlx::query!(
        "SELECT services.id, instance_id FROM billing_services AS services JOIN instances ON instances.id = instance_id \
         WHERE deleted_at IS NULL AND CASE entitlement \
             WHEN 'suspended' THEN lock_reason IS NULL AND state NOT IN ('failed', 'deleting', 'deleted') \
             WHEN 'active' THEN lock_reason IS NOT DISTINCT FROM 'service_suspended' ELSE false END \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'service' AND subject = services.id::text AND next_at > now()) \
         ORDER BY services.id LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.instance_id.into())).collect())
}

/// Waits for its turn to change a service's plan, until the transaction ends; the number of the last change.
pub async fn plan_turn(tx: &mut Tx, id: ServiceId) -> sqlx::Result<i64> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('plan of service ' || $1::text, 0))",
        id.to_string()
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query_scalar!("SELECT plan_version FROM billing_services WHERE id = $1", id.uuid())
        .fetch_one(&mut **tx)
        .await
}

pub async fn plan_decided(tx: &mut Tx, id: ServiceId, version: i64) -> sqlx::Result<()> {
    sqlx::query!("UPDATE billing_services SET plan_version = $2 WHERE id = $1", id.uuid(), version)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A system's customer, here.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub tenant: TenantId,
    pub user: UserId,
    pub made_here: bool,
}

pub async fn owner(tx: &mut Tx, system: BillingSystemId, reference: &str) -> sqlx::Result<Option<Owner>> {
    let row = sqlx::query!(
        "SELECT tenant_id, user_id, made_here FROM billing_owners WHERE system_id = $1 AND reference = $2",
        system.uuid(),
        reference,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Owner {
        tenant: row.tenant_id.into(),
        user: row.user_id.into(),
        made_here: row.made_here,
    }))
}

pub async fn insert_owner(
    tx: &mut Tx,
    system: BillingSystemId,
    reference: &str,
    owner: &Owner,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO billing_owners (system_id, reference, tenant_id, user_id, made_here) VALUES ($1, $2, $3, $4, $5)",
        system.uuid(),
        reference,
        owner.tenant.uuid(),
        owner.user.uuid(),
        owner.made_here,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether somebody is a customer of any billing system already.
pub async fn is_owner(tx: &mut Tx, user: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM billing_owners WHERE user_id = $1) AS \"exists!\"",
        user.uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

pub struct Standing {
    pub is_admin: bool,
    pub disabled: bool,
    pub made_here: bool,
    pub own_password: bool,
}

pub async fn standing_of_owner(tx: &mut Tx, service: &Service) -> sqlx::Result<Option<Standing>> {
    sqlx::query_as!(
        Standing,
        "SELECT is_admin, disabled_at IS NOT NULL AS \"disabled!\", made_here, \
         own_password_at IS NOT NULL AND email_verified_at IS NOT NULL AS \"own_password!\" FROM billing_owners AS owners \
         JOIN users ON users.id = user_id WHERE system_id = $1 AND tenant_id = $2 AND user_id = $3",
        service.system.uuid(),
        service.tenant.uuid(),
        service.user.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await
}
