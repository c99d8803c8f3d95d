//! A new system disk for an instance that keeps its name, its addresses and its plan; and a second
//! attempt for one whose creation failed.

use super::booking;
use super::create::{find_image, image_fits};
use super::db::catalogue;
use super::funding::Order;
use super::hostname::Hostname;
use super::model::Instance;
use super::operations::{Kind, Operation};
use super::placing;
use super::quotas;
use super::user_data;
use super::work::Work;
use crate::auth::Actor;
use crate::error::{Error, FieldError, Result};
use crate::ids::{InstanceId, SshKeyId};
use crate::state::App;
use crate::{images, settings};
use jst_policy::admission::Booking;
use jst_policy::lifecycle::{InstanceState, Power, Request};
use jst_protocol::report::Observed;
use serde_json::json;

/// What the new system is; empty fields keep what the instance has.
#[derive(Clone, Debug, Default)]
pub struct Rebuild {
    /// Slug or id.
    pub image: String,
    pub hostname: String,
    /// Ids of the tenant's keys; absent keeps the keys of the last build.
    pub ssh_keys: Option<Vec<String>>,
    pub user_data: Option<String>,
}

/// Destroys what is on the root disk and starts the instance from an image.
pub async fn rebuild(app: &App, actor: &Actor, id: InstanceId, new: Rebuild) -> Result<Operation> {
    actor.may_operate()?;
    let mut errors = Vec::new();
    let image = find_image(app, actor, &new.image).await?;
    if image.is_none() {
        errors
            .push(FieldError::new("image", if new.image.trim().is_empty() { "required" } else { "choice" }));
    }
    let os_family = image.as_ref().map_or("linux", |image| image.os_family.as_str());
    let user_data = match new.user_data.map(|sent| user_data::understand(&sent, os_family)) {
        Some(Err(error)) => {
            errors.push(error);
            None
        }
        Some(Ok(user_data)) => Some(user_data),
        None => None,
    };
    let mut work = Work::begin(app, actor, id, Request::Rebuild).await?;
    let hostname = match new.hostname.trim() {
        "" => None,
        text => Hostname::parse("hostname", text).map_err(|error| errors.push(error)).ok(),
    };
    if let Some(image) = &image {
        errors.extend(image_fits(image, &work.instance.policy));
    }
    let keys = match new.ssh_keys {
        Some(ids) => Some(keys(&mut work, &ids, &mut errors).await?),
        None => None,
    };
    let Some(image) = image.filter(|_| errors.is_empty()) else { return Err(Error::Invalid(errors)) };

    let instance = &mut work.instance;
    let before = images::db::by_id(&mut *work.tx, instance.image_id).await?.map(|image| image.slug);
    instance.image_id = image.id;
    if let Some(hostname) = hostname {
        instance.set_hostname(hostname);
    }
    if let Some(keys) = keys {
        instance.ssh_keys = keys;
    }
    if let Some(user_data) = user_data {
        instance.user_data = user_data;
    }
    instance.build += 1;
    instance.build_generation = instance.generation + 1;
    // A new system that stays off would be of no use to anybody.
    instance.power = Power::Running;
    let data = json!({
        "name": instance.name,
        "image": { "from": before, "to": image.slug },
        "build": instance.build,
    });
    work.finish(Kind::Rebuild, "instance.rebuild_requested", data).await
}

async fn keys(work: &mut Work, ids: &[String], errors: &mut Vec<FieldError>) -> Result<Vec<String>> {
    let unknown = || FieldError::new("ssh_keys", "ssh-key-unknown");
    let mut wanted: Vec<uuid::Uuid> = Vec::new();
    for id in ids {
        match id.trim().parse::<SshKeyId>() {
            Ok(id) if !wanted.contains(&id.uuid()) => wanted.push(id.uuid()),
            Ok(_) => {}
            Err(_) => {
                errors.push(unknown());
                return Ok(Vec::new());
            }
        }
    }
    if wanted.len() > super::create::MAX_SSH_KEYS {
        errors
            .push(FieldError::new("ssh_keys", "ssh-keys-too-many").with("max", super::create::MAX_SSH_KEYS));
        return Ok(Vec::new());
    }
    let keys = catalogue::ssh_keys(&mut work.tx, work.instance.tenant_id, Some(&wanted)).await?;
    if keys.len() != wanted.len() {
        errors.push(unknown());
    }
    Ok(keys.into_iter().map(|key| key.public_key).collect())
}

/// Tries again what failed for good: places the instance anew, perhaps elsewhere, with new addresses.
///
/// Only after the host has acknowledged that nothing is left there, for it would otherwise be
/// forgotten.  The new epoch tells hosts that this is not the instance which they buried.
pub async fn retry(app: &App, actor: &Actor, id: InstanceId) -> Result<Operation> {
    actor.may_operate()?;
    let settings = settings::get(app.db.platform()).await?;
    let peek = super::view::get(app, actor, id).await?;
    let image = images::db::by_id(app.db.platform(), peek.image_id).await?.ok_or(Error::NotFound)?;
    let requirements = placing::requirements(app, &settings, &peek.policy, &image);
    let placement = placing::judge(app, actor, &requirements).await?;

    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let tenant = catalogue::lock_tenant(&mut tx, actor.tenant_id).await?;
    let instance = super::db::lock(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let mut work = Work::created(tx, instance, actor);
    let instance = &mut work.instance;
    if instance.state != InstanceState::Failed {
        return Err(Error::conflict("retry-not-failed"));
    }
    if instance.observed != Observed::Absent || instance.reported_generation < instance.generation {
        return Err(Error::conflict("retry-too-early"));
    }
    if tenant.suspended {
        return Err(Error::refused("tenant-suspended"));
    }
    if !tenant.may_buy {
        return Err(quotas::may_not_buy(&mut work.tx, actor.tenant_id).await?);
    }
    quotas::check(&mut work.tx, actor.tenant_id, &tenant, None, &Booking::of(&instance.policy)).await?;
    if !crate::trials::db::is_trial(&mut work.tx, id).await? {
        let (tenant, plan, plan_version) =
            (actor.tenant_id, work.instance.plan_id, work.instance.plan_version);
        app.funding.check(&mut work.tx, &Order { tenant, instance: id, plan, plan_version }).await?;
    }
    let instance = &mut work.instance;
    renew(instance);
    if !booking::place(&mut work.tx, instance, placing::eligible(&placement)).await? {
        drop(work);
        placing::note(app, actor, "instance.refused", &id.to_string(), &placement).await?;
        return Err(placing::refusal(&placement));
    }
    let data = json!({ "name": work.instance.name });
    work.finish(Kind::Create, "instance.retried", data).await
}

/// As if it were new, but with a generation and an epoch that are newer than what was.
fn renew(instance: &mut Instance) {
    instance.tombstone_at = None;
    instance.epoch += 1;
    instance.build += 1;
    instance.build_generation = instance.generation + 1;
    instance.power = Power::Running;
}
