use crate::ids::{HostId, InstanceId, TenantId};
use jst_policy::instance::ResourcePolicy;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use std::net::IpAddr;
use time::OffsetDateTime;

/// An instance as lists show it.
pub struct InstanceRow {
    pub id: InstanceId,
    pub name: String,
    pub state: String,
    pub power: String,
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub host_id: HostId,
    pub host_name: String,
    pub plan_slug: String,
    pub image_slug: String,
    pub policy: Json<ResourcePolicy>,
    pub addresses: Vec<ipnet::IpNet>,
    pub restart_required: Vec<String>,
    pub drift: Vec<String>,
    pub lock_reason: Option<String>,
    /// What of its memory is merged with equal pages; absent while nothing was measured.
    pub memory_merged_mib: Option<i64>,
    pub deleted_at: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
}

impl InstanceRow {
    pub fn ips(&self) -> Vec<IpAddr> {
        self.addresses.iter().map(ipnet::IpNet::addr).collect()
    }

    pub fn merged_mib(&self) -> u64 {
        self.memory_merged_mib.map_or(0, i64::unsigned_abs)
    }
}

/// Which instances; an empty text or an absent value means any.
#[derive(Default)]
pub struct Filter<'a> {
    /// Part of a name, host name, tenant's name or address, or an identifier.
    pub search: &'a str,
    pub state: &'a str,
    pub host: Option<HostId>,
    pub tenant: Option<TenantId>,
    /// Only those with drift or a restart outstanding.
    pub attention: bool,
}

/// Newest first; what is gone for good is left out.
pub async fn list(
    pool: &PgPool,
    filter: &Filter<'_>,
    after: Option<InstanceId>,
    limit: i64,
) -> sqlx::Result<Vec<InstanceRow>> {
    let id = filter.search.parse::<InstanceId>().ok().map(InstanceId::uuid);
    sqlx::query_as!(
        InstanceRow,
        "SELECT instances.id, instances.name, instances.state, power, tenant_id, \
         tenants.name AS tenant_name, host_id, hosts.name AS host_name, plans.slug AS plan_slug, \
         images.slug AS image_slug, instances.policy AS \"policy: Json<ResourcePolicy>\", \
         ARRAY(SELECT address FROM addresses WHERE instance_id = instances.id ORDER BY address) \
             AS \"addresses!: Vec<ipnet::IpNet>\", \
         restart_required, drift, lock_reason, deleted_at, instances.created_at, \
         (SELECT (usage ->> 'memory_merged_mib')::bigint FROM instance_usage WHERE instance_id = instances.id) \
             AS memory_merged_mib FROM instances \
         JOIN tenants ON tenants.id = tenant_id JOIN hosts ON hosts.id = host_id JOIN plans ON plans.id = plan_id \
         JOIN images ON images.id = image_id \
         WHERE purged_at IS NULL \
         AND ($1 = '' OR strpos(lower(instances.name), lower($1)) > 0 OR strpos(hostname || coalesce('.' || domain, ''), lower($1)) > 0 \
             OR strpos(lower(tenants.name), lower($1)) > 0 OR instances.id = $2 \
             OR EXISTS (SELECT FROM addresses WHERE instance_id = instances.id AND host(address) = $1)) \
         AND ($3 = '' OR instances.state = $3) AND ($4::uuid IS NULL OR host_id = $4) \
         AND ($5::uuid IS NULL OR tenant_id = $5) AND (NOT $6 OR drift <> '{}' OR restart_required <> '{}') \
         AND ($7::uuid IS NULL OR instances.id < $7) ORDER BY instances.id DESC LIMIT $8",
        filter.search,
        id,
        filter.state,
        filter.host.map(HostId::uuid),
        filter.tenant.map(TenantId::uuid),
        filter.attention,
        after.map(InstanceId::uuid),
        limit,
    )
    .fetch_all(pool)
    .await
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: InstanceId) -> sqlx::Result<Option<InstanceRow>> {
    sqlx::query_as!(
        InstanceRow,
        "SELECT instances.id, instances.name, instances.state, power, tenant_id, \
         tenants.name AS tenant_name, host_id, hosts.name AS host_name, plans.slug AS plan_slug, \
         images.slug AS image_slug, instances.policy AS \"policy: Json<ResourcePolicy>\", \
         ARRAY(SELECT address FROM addresses WHERE instance_id = instances.id ORDER BY address) \
             AS \"addresses!: Vec<ipnet::IpNet>\", \
         restart_required, drift, lock_reason, deleted_at, instances.created_at, \
         (SELECT (usage ->> 'memory_merged_mib')::bigint FROM instance_usage WHERE instance_id = instances.id) \
             AS memory_merged_mib FROM instances \
         JOIN tenants ON tenants.id = tenant_id JOIN hosts ON hosts.id = host_id JOIN plans ON plans.id = plan_id \
         JOIN images ON images.id = image_id WHERE instances.id = $1 AND purged_at IS NULL",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await
}
