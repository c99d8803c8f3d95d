use crate::ids::{InstanceId, TenantId, TrialId};
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct TrialRow {
    pub id: TrialId,
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub email: String,
    pub instance_id: InstanceId,
    pub instance_name: String,
    pub ip: Option<ipnet::IpNet>,
    pub started_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub stopped_at: Option<OffsetDateTime>,
    pub converted_at: Option<OffsetDateTime>,
    pub deleted_at: Option<OffsetDateTime>,
}

impl TrialRow {
    pub fn state(&self) -> &'static str {
        match self {
            Self { converted_at: Some(_), .. } => "converted",
            Self { deleted_at: Some(_), .. } => "deleted",
            Self { stopped_at: Some(_), .. } => "stopped",
            _ => "running",
        }
    }
}

/// Newest first.
pub async fn list(pool: &PgPool, after: Option<TrialId>, limit: i64) -> sqlx::Result<Vec<TrialRow>> {
    sqlx::query_as!(
        TrialRow,
        "SELECT trials.id, trials.tenant_id, tenants.name AS tenant_name, email, \
         instance_id, instances.name AS instance_name, ip AS \"ip: ipnet::IpNet\", started_at, expires_at, \
         stopped_at, converted_at, trials.deleted_at FROM trials JOIN tenants ON tenants.id = trials.tenant_id \
         JOIN users ON users.id = trials.user_id JOIN instances ON instances.id = instance_id \
         WHERE ($1::uuid IS NULL OR trials.id < $1) ORDER BY trials.id DESC LIMIT $2",
        after.map(TrialId::uuid),
        limit,
    )
    .fetch_all(pool)
    .await
}
