//! Addresses: which pools a host's guests may have them of, and booking them.

use crate::db::Tx;
use crate::ids::{HostId, InstanceId, TenantId};
use ipnet::IpNet;
use std::net::IpAddr;
use uuid::Uuid;

/// Pools that a host's guests may have addresses of, its own before those of all hosts.
pub async fn pools(tx: &mut Tx, host: HostId, version: i32) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM address_pools WHERE enabled AND family(network) = $2 AND (host_id = $1 OR host_id IS NULL) \
         ORDER BY host_id NULLS LAST, id",
        host.uuid(),
        version,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Books the lowest free address of a pool; nothing when it is used up.
pub async fn book(
    tx: &mut Tx,
    pool: Uuid,
    instance: InstanceId,
    tenant: TenantId,
) -> sqlx::Result<Option<IpNet>> {
    sqlx::query_scalar!(
        "SELECT book_address($1, $2, $3) AS \"address: IpNet\"",
        pool,
        instance.uuid(),
        tenant.uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

#[derive(Clone, Debug)]
pub struct AddressRow {
    pub instance_id: InstanceId,
    pub address: IpAddr,
    pub nameservers: Vec<IpAddr>,
}

/// Addresses of some instances, IPv4 first, with the name servers of their pools.
pub async fn of(tx: &mut Tx, instances: &[Uuid]) -> sqlx::Result<Vec<AddressRow>> {
    let rows = sqlx::query!(
        "SELECT instance_id, address AS \"address: IpNet\", nameservers AS \"nameservers: Vec<IpNet>\" \
         FROM addresses JOIN address_pools ON address_pools.id = pool_id \
         WHERE instance_id = ANY($1) ORDER BY instance_id, family(address), address",
        instances,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| AddressRow {
            instance_id: row.instance_id.into(),
            address: row.address.addr(),
            nameservers: row.nameservers.iter().map(IpNet::addr).collect(),
        })
        .collect())
}
