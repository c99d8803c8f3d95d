use crate::ids::{InstanceId, OperationId, TenantId};
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct OperationRow {
    pub id: OperationId,
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub instance_id: InstanceId,
    pub instance_name: String,
    pub host_name: String,
    pub kind: String,
    pub state: String,
    pub step: String,
    pub percent: i16,
    pub failure_code: Option<String>,
    pub failure_detail: Option<String>,
    pub requested_by: Option<String>,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
    pub deadline_at: OffsetDateTime,
    /// Still open although its deadline has passed.
    pub late: bool,
}

/// Newest first.  `state` is a state, `open` (pending or running), `late` or empty for all.
pub async fn list(
    pool: &PgPool,
    state: &str,
    instance: Option<InstanceId>,
    after: Option<OperationId>,
    limit: i64,
) -> sqlx::Result<Vec<OperationRow>> {
    sqlx::query_as!(
        OperationRow,
        "SELECT operations.id, operations.tenant_id, tenants.name AS tenant_name, \
         instance_id, instances.name AS instance_name, hosts.name AS host_name, kind, operations.state, \
         step, percent, failure_code, failure_detail, users.email AS \"requested_by?\", operations.created_at, started_at, \
         finished_at, deadline_at, \
         (operations.state IN ('pending', 'running') AND deadline_at < now()) AS \"late!\" FROM operations \
         JOIN tenants ON tenants.id = operations.tenant_id JOIN instances ON instances.id = instance_id \
         JOIN hosts ON hosts.id = instances.host_id LEFT JOIN users ON users.id = requested_by \
         WHERE ($1 = '' OR operations.state = $1 OR ($1 = 'open' AND operations.state IN ('pending', 'running')) \
             OR ($1 = 'late' AND operations.state IN ('pending', 'running') AND deadline_at < now())) \
         AND ($2::uuid IS NULL OR instance_id = $2) AND ($3::uuid IS NULL OR operations.id < $3) \
         ORDER BY operations.id DESC LIMIT $4",
        state,
        instance.map(InstanceId::uuid),
        after.map(OperationId::uuid),
        limit,
    )
    .fetch_all(pool)
    .await
}
