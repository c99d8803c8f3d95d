use crate::ids::TenantId;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct EventRow {
    pub id: i64,
    pub at: OffsetDateTime,
    pub tenant_id: Option<uuid::Uuid>,
    pub tenant_name: Option<String>,
    pub actor_kind: String,
    pub actor_label: String,
    pub ip: Option<ipnet::IpNet>,
    pub request_id: Option<String>,
    pub action: String,
    pub subject_kind: String,
    pub subject_id: String,
    pub data: Value,
}

/// Which events; an empty text means any.
#[derive(Default)]
pub struct Filter<'a> {
    /// Part of who did it.
    pub actor: &'a str,
    /// Beginning of the action: `instance.` means all about instances.
    pub action: &'a str,
    /// A subject's identifier, or its kind.
    pub subject: &'a str,
    pub tenant: Option<TenantId>,
}

/// Newest first.
pub async fn list(
    pool: &PgPool,
    filter: &Filter<'_>,
    after: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    sqlx::query_as!(
        EventRow,
        "SELECT events.id, at, tenant_id, tenants.name AS \"tenant_name?\", actor_kind, actor_label, \
         ip AS \"ip: ipnet::IpNet\", request_id, action, subject_kind, subject_id, data FROM events \
         LEFT JOIN tenants ON tenants.id = tenant_id \
         WHERE ($1 = '' OR strpos(lower(actor_label), lower($1)) > 0) AND ($2 = '' OR starts_with(action, $2)) \
         AND ($3 = '' OR subject_id = $3 OR subject_kind = $3) AND ($4::uuid IS NULL OR tenant_id = $4) \
         AND ($5::bigint IS NULL OR events.id < $5) ORDER BY events.id DESC LIMIT $6",
        filter.actor,
        filter.action,
        filter.subject,
        filter.tenant.map(TenantId::uuid),
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}
