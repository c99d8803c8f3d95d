use super::{Parsed, Pool};
use crate::db::Tx;
use crate::ids::{HostId, PoolId};
use ipnet::IpNet;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    name: String,
    network: IpNet,
    excluded: Vec<IpNet>,
    nameservers: Vec<IpNet>,
    host_id: Option<Uuid>,
    host_name: Option<String>,
    enabled: bool,
    created_at: OffsetDateTime,
    used: i64,
}

impl From<Row> for Pool {
    fn from(row: Row) -> Self {
        let addresses = |nets: Vec<IpNet>| nets.into_iter().map(|net| net.addr()).collect();
        Self {
            id: row.id.into(),
            name: row.name,
            network: row.network,
            excluded: addresses(row.excluded),
            nameservers: addresses(row.nameservers),
            host_id: row.host_id.map(HostId::from_uuid),
            host_name: row.host_name,
            enabled: row.enabled,
            created_at: row.created_at,
            used: row.used,
        }
    }
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: PoolId) -> sqlx::Result<Option<Pool>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT address_pools.id, address_pools.name, network AS \"network: IpNet\", excluded AS \"excluded: Vec<IpNet>\", \
         nameservers AS \"nameservers: Vec<IpNet>\", host_id, hosts.name AS \"host_name?\", enabled, address_pools.created_at, \
         (SELECT count(*) FROM addresses WHERE pool_id = address_pools.id) AS \"used!\" \
         FROM address_pools LEFT JOIN hosts ON hosts.id = host_id WHERE address_pools.id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Pool::from))
}

/// Every pool, by network.
pub async fn list(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Pool>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT address_pools.id, address_pools.name, network AS \"network: IpNet\", excluded AS \"excluded: Vec<IpNet>\", \
         nameservers AS \"nameservers: Vec<IpNet>\", host_id, hosts.name AS \"host_name?\", enabled, address_pools.created_at, \
         (SELECT count(*) FROM addresses WHERE pool_id = address_pools.id) AS \"used!\" \
         FROM address_pools LEFT JOIN hosts ON hosts.id = host_id ORDER BY family(network), network",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Pool::from).collect())
}

fn nets(addresses: &[std::net::IpAddr]) -> Vec<IpNet> {
    addresses.iter().copied().map(IpNet::from).collect()
}

/// Fails with one of the constraints that the caller turns into an error at a field.
pub(super) async fn insert(
    tx: &mut Tx,
    id: PoolId,
    pool: &Parsed,
    host: Option<HostId>,
    enabled: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO address_pools (id, name, network, excluded, nameservers, host_id, enabled) \
         VALUES ($1, $2, $3::cidr, $4, $5, $6, $7)",
        id.uuid(),
        pool.name,
        pool.network as IpNet,
        &nets(&pool.excluded) as &[IpNet],
        &nets(&pool.nameservers) as &[IpNet],
        host.map(HostId::uuid),
        enabled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn update(
    tx: &mut Tx,
    id: PoolId,
    pool: &Parsed,
    host: Option<HostId>,
    enabled: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE address_pools SET name = $2, network = $3::cidr, excluded = $4, nameservers = $5, host_id = $6, enabled = $7 \
         WHERE id = $1",
        id.uuid(),
        pool.name,
        pool.network as IpNet,
        &nets(&pool.excluded) as &[IpNet],
        &nets(&pool.nameservers) as &[IpNet],
        host.map(HostId::uuid),
        enabled,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Locks the pool's row until the transaction ends.
pub async fn lock(tx: &mut Tx, id: PoolId) -> sqlx::Result<()> {
    sqlx::query!("SELECT id FROM address_pools WHERE id = $1 FOR UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(())
}

pub async fn delete(tx: &mut Tx, id: PoolId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM address_pools WHERE id = $1", id.uuid()).execute(&mut **tx).await?;
    Ok(())
}
