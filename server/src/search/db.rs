//! Names that contain what was typed.

use crate::db::Tx;
use crate::ids::{HostId, InstanceId, TenantId};
use sqlx::PgPool;

/// A tenant's instance: what it is called, and its first address if it has one.
pub struct Found {
    pub id: InstanceId,
    pub name: String,
    pub address: Option<String>,
}

/// Instances of a tenant by name, host name or address, the newest first; purged ones not.
pub async fn instances(
    tx: &mut Tx,
    tenant: TenantId,
    question: &str,
    limit: i64,
) -> sqlx::Result<Vec<Found>> {
    let rows = sqlx::query!(
        "SELECT id, name, (SELECT host(address) FROM addresses WHERE instance_id = instances.id ORDER BY address LIMIT 1) \
             AS address FROM instances WHERE tenant_id = $1 AND purged_at IS NULL \
         AND (strpos(lower(name), lower($2)) > 0 OR strpos(hostname || coalesce('.' || domain, ''), lower($2)) > 0 \
             OR EXISTS (SELECT FROM addresses WHERE instance_id = instances.id AND strpos(host(address), $2) > 0)) \
         ORDER BY id DESC LIMIT $3",
        tenant.uuid(),
        question,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Found { id: row.id.into(), name: row.name, address: row.address })
        .collect())
}

/// Hosts by name.
pub async fn hosts(pool: &PgPool, question: &str, limit: i64) -> sqlx::Result<Vec<(HostId, String)>> {
    let rows = sqlx::query!(
        "SELECT id, name FROM hosts WHERE strpos(lower(name), lower($1)) > 0 ORDER BY name LIMIT $2",
        question,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.name)).collect())
}
