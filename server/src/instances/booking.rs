//! Puts a new instance on a host: row, booking and addresses, in the caller's transaction.

use super::db;
use super::model::Instance;
use crate::db::Tx;
use crate::error::{Error, Result, violated_constraint};
use crate::ids::HostId;
use jst_policy::admission::Booking;

/// Hosts that are tried when others were faster, before the customer is told that there is no room.
const ATTEMPTS: usize = 3;
/// Draws of a MAC address.  With 2^24 addresses and a million instances, five draws that are all
/// taken come once in 1.6 million.
const MAC_DRAWS: usize = 5;

/// `52:54:00` and 24 random bits, as QEMU's own are.
pub fn random_mac() -> String {
    let [a, b, c] = rand::random::<[u8; 3]>();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

/// Writes a new instance's row.  Its host and revision are those of the booking that follows.
pub async fn insert(tx: &mut Tx, instance: &mut Instance) -> Result<()> {
    for _ in 0..MAC_DRAWS {
        match db::insert(tx, instance).await {
            Ok(true) => return Ok(()),
            Ok(false) => instance.mac = random_mac(),
            Err(error) if violated_constraint(&error) == Some("instances_name_key") => {
                return Err(Error::invalid("name", "name-taken"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Internal(anyhow::anyhow!("no free MAC address in {MAC_DRAWS} draws")))
}

/// Books the instance on the first of the hosts where it still fits, with its addresses; false when
/// it fits nowhere any more.
///
/// A pool that is used up is an error, and undoes the booking with everything else.
pub async fn place(
    tx: &mut Tx,
    instance: &mut Instance,
    hosts: impl Iterator<Item = HostId>,
) -> Result<bool> {
    let booking = Booking::of(&instance.policy);
    for host in hosts.take(ATTEMPTS) {
        if let Some(revision) = db::bookings::book(tx, instance.id, host, &booking).await? {
            instance.host_id = host;
            instance.revision = revision;
            book_addresses(tx, instance).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// One IPv4 address, and one of IPv6 where there is a pool of them.
async fn book_addresses(tx: &mut Tx, instance: &Instance) -> Result<()> {
    for (version, required) in [(4, true), (6, false)] {
        let pools = db::addresses::pools(tx, instance.host_id, version).await?;
        let mut booked = false;
        for pool in &pools {
            let address = db::addresses::book(tx, *pool, instance.id, instance.tenant_id).await?;
            if address.is_some() {
                booked = true;
                break;
            }
        }
        if !booked && (required || !pools.is_empty()) {
            return Err(Error::conflict("no-address-free"));
        }
    }
    Ok(())
}
