//! The hosts as placement sees them.

use super::{Host, HostState, db};
use crate::ids::TenantId;
use jst_policy::placement::{Candidate, Capability, Qualification};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use sqlx::PgPool;
use std::collections::BTreeSet;

/// Every host, as a candidate for a new guest of `tenant`.
///
/// Asks as the platform and never as a customer: what is free depends on every tenant's addresses,
/// of which a customer's connection sees its own only.
pub async fn candidates(platform: &PgPool, tenant: Option<TenantId>) -> sqlx::Result<Vec<Candidate>> {
    let hosts = db::list(platform).await?;
    let rooms = db::room(platform, tenant).await?;
    let room_of = |host: &Host| rooms.iter().find(|room| room.host == host.id);
    Ok(hosts
        .iter()
        .map(|host| Candidate {
            host: host.id.uuid(),
            name: host.name.clone(),
            load: host.admission(),
            accepts_new: host.state == HostState::Active,
            lease_valid: host.online,
            qualification: qualification(&host.qualification),
            capabilities: host.capabilities.iter().map(|name| capability(name)).collect::<BTreeSet<_>>(),
            // Agents do not report their caches; a host is never preferred for one.
            cached_images: BTreeSet::new(),
            same_tenant_instances: room_of(host).map_or(0, |room| room.tenant_instances),
            free_addresses_v4: room_of(host).map_or(0, |room| room.free_addresses_v4),
        })
        .collect())
}

fn qualification(column: &str) -> Qualification {
    match column {
        "kvm" => Qualification::Kvm,
        "emulated" => Qualification::Emulated,
        "simulated" => Qualification::Simulated,
        "failed" => Qualification::Failed,
        _ => Qualification::Pending,
    }
}

/// An unknown name is [`Capability::Unknown`], which satisfies nothing.
fn capability(name: &str) -> Capability {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    Capability::deserialize(name).unwrap_or(Capability::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_by_their_names() {
        for known in Capability::ALL {
            assert_eq!(capability(known.name()), known);
        }
        assert_eq!(capability("of_a_later_release"), Capability::Unknown);
    }
}
