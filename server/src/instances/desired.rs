//! What a host is told about its instances: from rows to `jst_protocol::desired`.

use super::db;
use super::model::Instance;
use super::operations::{Kind, Operation};
use crate::error::Result;
use crate::ids::HostId;
use crate::images;
use crate::images::Image;
use crate::state::App;
use db::addresses::AddressRow;
use ipnet::IpNet;
use jst_protocol::desired::{
    DesiredInstance, ImageFormat, ImageRef, InstanceSpec, Interface, OnCrash, OneShot, OneShotKind, Presence,
    Seed,
};
use std::collections::HashMap;
use uuid::Uuid;

/// Everything of a host that changed after its `revision`, oldest change first; with 0, everything.
///
/// The documents are built from the rows as they are now.  An instance that changes meanwhile is in
/// this answer or in the next one, perhaps in both, never in none: its revision is given under the
/// lock on the host's row and is visible only together with the change.
pub async fn changed_since(app: &App, host: HostId, revision: i64) -> Result<Vec<DesiredInstance>> {
    let mut tx = app.db.begin_platform().await?;
    let instances = db::changed_since(&mut tx, host.uuid(), revision).await?;
    if instances.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = instances.iter().map(|instance| instance.id.uuid()).collect();
    let addresses = db::addresses::of(&mut tx, &ids).await?;
    let actions = db::operations::one_shots_of(&mut tx, &ids).await?;
    let mut images: HashMap<Uuid, Image> = HashMap::new();
    for instance in &instances {
        let id = instance.image_id;
        if !images.contains_key(&id.uuid())
            && let Some(image) = images::db::by_id(&mut *tx, id).await?
        {
            images.insert(id.uuid(), image);
        }
    }
    instances
        .iter()
        .map(|instance| {
            let image = images
                .get(&instance.image_id.uuid())
                .ok_or_else(|| anyhow::anyhow!("the image of {} is gone", instance.id))?;
            Ok(document(instance, image, &addresses, &actions))
        })
        .collect()
}

fn document(
    instance: &Instance,
    image: &Image,
    addresses: &[AddressRow],
    operations: &[Operation],
) -> DesiredInstance {
    let presence = if instance.tombstone_at.is_some() {
        Presence::Deleted
    } else {
        let spec = spec(instance, image, addresses);
        match instance.deleted_at {
            Some(_) => Presence::Retained { spec },
            None => Presence::Present { power: instance.power, spec },
        }
    };
    // What is to go, or to stay as it is, takes no more orders.
    let actions = match presence {
        Presence::Present { .. } => operations
            .iter()
            .filter(|operation| operation.instance_id == instance.id)
            .filter_map(|operation| Some(OneShot { id: operation.id.uuid(), kind: action(operation.kind)? }))
            .collect(),
        Presence::Retained { .. } | Presence::Deleted => Vec::new(),
    };
    DesiredInstance {
        id: instance.id.uuid(),
        generation: instance.generation,
        epoch: instance.epoch,
        presence,
        actions,
    }
}

const fn action(kind: Kind) -> Option<OneShotKind> {
    match kind {
        Kind::Reboot => Some(OneShotKind::Reboot),
        Kind::PowerOff => Some(OneShotKind::PowerOff),
        _ => None,
    }
}

fn spec(instance: &Instance, image: &Image, addresses: &[AddressRow]) -> InstanceSpec {
    let mine: Vec<&AddressRow> = addresses.iter().filter(|row| row.instance_id == instance.id).collect();
    let mut nameservers = Vec::new();
    for nameserver in mine.iter().flat_map(|row| &row.nameservers) {
        if !nameservers.contains(nameserver) {
            nameservers.push(*nameserver);
        }
    }
    InstanceSpec {
        name: instance.name.clone(),
        hostname: instance.hostname.clone(),
        domain: instance.domain.clone(),
        policy: instance.policy.clone(),
        image: ImageRef {
            sha256: image.sha256.clone(),
            format: if image.format == "qcow2" { ImageFormat::Qcow2 } else { ImageFormat::Raw },
            file_bytes: image.file_bytes.unsigned_abs(),
            virtual_bytes: image.virtual_bytes.unsigned_abs(),
        },
        build: instance.build.unsigned_abs(),
        interfaces: vec![Interface {
            index: 0,
            mac: instance.mac.clone(),
            addresses: mine.iter().map(|row| IpNet::from(row.address)).collect(),
            nameservers,
        }],
        seed: Seed { ssh_keys: instance.ssh_keys.clone(), user_data: instance.user_data.clone() },
        firewall: instance.firewall.clone(),
        on_crash: if instance.restart_on_crash { OnCrash::Restart } else { OnCrash::Stop },
        start_order: 0,
    }
}
