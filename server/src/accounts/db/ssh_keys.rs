use crate::db::Tx;
use crate::ids::{SshKeyId, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

pub struct SshKey {
    pub id: SshKeyId,
    pub name: String,
    /// In OpenSSH's form: algorithm, base64, comment.
    pub public_key: String,
    /// `SHA256:…`
    pub fingerprint: String,
    pub created_at: OffsetDateTime,
}

/// The newest first.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<SshKeyId>,
    fetch: i64,
) -> sqlx::Result<Vec<SshKey>> {
    let rows = sqlx::query!(
        "SELECT id, name, public_key, fingerprint, created_at FROM ssh_keys \
         WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        tenant.uuid(),
        after.map(SshKeyId::uuid),
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SshKey {
            id: row.id.into(),
            name: row.name,
            public_key: row.public_key,
            fingerprint: row.fingerprint,
            created_at: row.created_at,
        })
        .collect())
}

/// The keys among `ids` that are this tenant's, in no order.
pub async fn by_ids(tx: &mut Tx, tenant: TenantId, ids: &[SshKeyId]) -> sqlx::Result<Vec<SshKey>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        "SELECT id, name, public_key, fingerprint, created_at FROM ssh_keys WHERE tenant_id = $1 AND id = ANY($2)",
        tenant.uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SshKey {
            id: row.id.into(),
            name: row.name,
            public_key: row.public_key,
            fingerprint: row.fingerprint,
            created_at: row.created_at,
        })
        .collect())
}

pub async fn count(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<i64> {
    sqlx::query_scalar!("SELECT count(*) AS \"count!\" FROM ssh_keys WHERE tenant_id = $1", tenant.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// Fails with `ssh_keys_fingerprint_key` or `ssh_keys_name_key`.
pub async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    id: SshKeyId,
    name: &str,
    public_key: &str,
    fingerprint: &str,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        "INSERT INTO ssh_keys (id, tenant_id, name, public_key, fingerprint) VALUES ($1, $2, $3, $4, $5) \
         RETURNING created_at",
        id.uuid(),
        tenant.uuid(),
        name,
        public_key,
        fingerprint,
    )
    .fetch_one(&mut **tx)
    .await
}

pub async fn delete(tx: &mut Tx, tenant: TenantId, id: SshKeyId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "DELETE FROM ssh_keys WHERE tenant_id = $1 AND id = $2 RETURNING name",
        tenant.uuid(),
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await
}

pub async fn by_fingerprint(
    tx: &mut Tx,
    tenant: TenantId,
    fingerprint: &str,
) -> sqlx::Result<Option<SshKeyId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM ssh_keys WHERE tenant_id = $1 AND fingerprint = $2",
        tenant.uuid(),
        fingerprint,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(SshKeyId::from))
}
