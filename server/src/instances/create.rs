//! Creating an instance.

use super::booking;
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
use crate::ids::{ImageId, InstanceId, PlanId, SshKeyId};
use crate::images::{self, Image};
use crate::name::Name;
use crate::plans::{self, Plan};
use crate::settings::{self, Settings};
use crate::state::App;
use crate::trials;
use jst_policy::admission::Booking;
use jst_policy::lifecycle::{InstanceState, Power};
use jst_protocol::desired::Firewall;
use jst_protocol::report::Observed;
use serde_json::json;
use time::OffsetDateTime;

pub const MAX_SSH_KEYS: usize = 20;
pub const MAX_NAME: usize = 63;

/// What somebody asks for, as it was entered.
#[derive(Clone, Debug, Default)]
pub struct NewInstance {
    /// Slug or id.
    pub plan: String,
    /// Slug or id.
    pub image: String,
    pub name: String,
    /// With its domain or without; made from the name when empty.
    pub hostname: String,
    /// Ids of the tenant's keys.
    pub ssh_keys: Vec<String>,
    /// As [`user_data::understand`] takes it; empty for none.
    pub user_data: String,
    /// As a free trial.  Absent: exactly when the plan offers one and the tenant cannot buy yet.
    pub trial: Option<bool>,
    /// Sold by another system than ours, which has chosen the id: it decides what its customer may have, so that neither
    /// quotas nor the right to buy count, and it may sell what we do not offer.
    pub sold: Option<InstanceId>,
}

/// The same, found to be right.
struct Wanted {
    plan: Plan,
    image: Image,
    name: Name,
    hostname: Hostname,
    ssh_keys: Vec<SshKeyId>,
    user_data: Option<String>,
    trial: Option<bool>,
    sold: Option<InstanceId>,
}

/// Whether it could be made now, without making it.
pub async fn rehearse(app: &App, actor: &Actor, new: NewInstance) -> Result<()> {
    let wanted = check(app, actor, new).await?;
    if wanted.plan.trial_only() {
        return Err(Error::refused("plan-trial-only"));
    }
    let settings = settings::get(app.db.platform()).await?;
    let requirements = placing::requirements(app, &settings, &wanted.plan.policy, &wanted.image);
    let placement = placing::judge(app, actor, &requirements).await?;
    match placing::eligible(&placement).next() {
        Some(_) => Ok(()),
        None => Err(placing::refusal(&placement)),
    }
}

/// Books and begins an instance.
pub async fn create(app: &App, actor: &Actor, new: NewInstance) -> Result<Operation> {
    actor.may_operate()?;
    if !actor.email_verified {
        return Err(Error::refused("email-unverified"));
    }
    let wanted = check(app, actor, new).await?;
    let settings = settings::get(app.db.platform()).await?;
    let requirements = placing::requirements(app, &settings, &wanted.plan.policy, &wanted.image);
    let placement = placing::judge(app, actor, &requirements).await?;
    let begun = begin(app, actor, &settings, &wanted, &placement).await;
    if let Err(error) = &begun
        && trials::is_refusal(error)
    {
        trials::note_refusal(app, actor, error).await?;
    }
    let (operation, placed) = match begun? {
        Some(operation) => (operation, placement),
        None => {
            // Others may have been faster: what is short is looked at again, for the words.
            let placement = placing::judge(app, actor, &requirements).await?;
            placing::note(app, actor, "instance.refused", &wanted.name, &placement).await?;
            return Err(placing::refusal(&placement));
        }
    };
    let subject = operation.instance_id.to_string();
    if let Err(error) = placing::note(app, actor, "instance.placed", &subject, &placed).await {
        // The instance is there; the administrator only misses why it is where it is.
        tracing::warn!(error = ?error, instance = subject, "the placement was not noted");
    }
    Ok(operation)
}

/// One transaction: quota, row, booking, addresses, operation, event.  Nothing when no host has room.
async fn begin(
    app: &App,
    actor: &Actor,
    settings: &Settings,
    wanted: &Wanted,
    placement: &jst_policy::placement::Placement,
) -> Result<Option<Operation>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let tenant = catalogue::lock_tenant(&mut tx, actor.tenant_id).await?;
    if tenant.suspended {
        return Err(Error::refused("tenant-suspended"));
    }
    let trial_only = wanted.plan.trial_only();
    let buys = tenant.may_buy || wanted.sold.is_some();
    let trial = wanted.trial.unwrap_or(trial_only || (wanted.plan.trial && !buys));
    if trial_only && !trial {
        return Err(Error::refused("plan-trial-only"));
    }
    if !buys && !trial {
        return Err(quotas::may_not_buy(&mut tx, actor.tenant_id).await?);
    }
    if trial {
        trials::check(&mut tx, actor, settings).await?;
    }
    let Some(first) = placing::eligible(placement).next() else { return Ok(None) };
    let plan = &wanted.plan.policy;
    let policy = if trial { trials::policy(plan, settings) } else { plan.clone() };
    // What a billing system sells is bounded by the hoster's own stock, not by a quota of ours.
    if wanted.sold.is_none() {
        quotas::check(&mut tx, actor.tenant_id, &tenant, None, &Booking::of(&policy)).await?;
    }
    let id = wanted.sold.unwrap_or_default();
    if wanted.sold.is_none() && !trial {
        let (tenant, plan, plan_version) = (actor.tenant_id, wanted.plan.id, wanted.plan.version);
        app.funding.check(&mut tx, &Order { tenant, instance: id, plan, plan_version }).await?;
    }
    let ids: Vec<uuid::Uuid> = wanted.ssh_keys.iter().map(|id| id.uuid()).collect();
    let keys = catalogue::ssh_keys(&mut tx, actor.tenant_id, Some(&ids)).await?;
    if keys.len() != ids.len() {
        return Err(Error::invalid("ssh_keys", "ssh-key-unknown"));
    }
    let mut instance = Instance {
        id,
        tenant_id: actor.tenant_id,
        host_id: first,
        name: wanted.name.to_string(),
        hostname: wanted.hostname.label.clone(),
        domain: wanted.hostname.domain.clone(),
        plan_id: wanted.plan.id,
        plan_version: wanted.plan.version,
        image_id: wanted.image.id,
        policy,
        restart_on_crash: wanted.plan.restart_on_crash,
        build: 1,
        build_generation: 1,
        mac: booking::random_mac(),
        ssh_keys: keys.into_iter().map(|key| key.public_key).collect(),
        user_data: wanted.user_data.clone(),
        firewall: Firewall {
            blocked_outbound_tcp: if trial { trials::BLOCKED_PORTS.to_vec() } else { Vec::new() },
            ..Firewall::default()
        },
        delete_protection: false,
        power: Power::Running,
        generation: 1,
        epoch: 1,
        revision: 0,
        observed: Observed::Absent,
        reported_generation: 0,
        applied_generation: 0,
        held_generation: 0,
        outcome: None,
        applied: None,
        restart_required: Vec::new(),
        drift: Vec::new(),
        state: InstanceState::Provisioning,
        reported_at: None,
        deleted_at: None,
        first_deleted_at: None,
        purge_at: None,
        tombstone_at: None,
        purged_at: None,
        lock_reason: None,
        created_at: OffsetDateTime::UNIX_EPOCH,
        now: OffsetDateTime::UNIX_EPOCH,
    };
    booking::insert(&mut tx, &mut instance).await?;
    if !booking::place(&mut tx, &mut instance, placing::eligible(placement)).await? {
        return Ok(None);
    }
    if trial {
        trials::begin(app, &mut tx, actor, settings, &instance).await?;
    }
    let data = json!({
        "name": instance.name,
        "plan": wanted.plan.slug,
        "plan_version": wanted.plan.version,
        "image": wanted.image.slug,
        "trial": trial,
    });
    let mut work = Work::created(tx, instance, actor);
    let operation = work.write_first(Kind::Create, "instance.created", data).await?;
    work.tx.commit().await?;
    Ok(Some(operation))
}

/// Everything that can be said about the input alone, all at once.
async fn check(app: &App, actor: &Actor, new: NewInstance) -> Result<Wanted> {
    let mut errors = Vec::new();
    let sold = new.sold.is_some();
    let plan = any_plan(app, &new.plan).await?.filter(|plan| sold || plan.public || actor.is_admin);
    if plan.is_none() {
        errors.push(FieldError::new("plan", if new.plan.trim().is_empty() { "required" } else { "choice" }));
    }
    let image = any_image(app, &new.image).await?.filter(|image| sold || image.public || actor.is_admin);
    match (&image, &plan) {
        (None, _) => errors
            .push(FieldError::new("image", if new.image.trim().is_empty() { "required" } else { "choice" })),
        (Some(image), Some(plan)) => errors.extend(image_fits(image, &plan.policy)),
        (Some(_), None) => {}
    }
    if new.trial == Some(true) && plan.as_ref().is_some_and(|plan| !plan.trial) {
        errors.push(FieldError::new("plan", "plan-has-no-trial"));
    }
    let name = check_name(&new.name).map_err(|error| errors.push(error)).ok();
    let hostname = check_hostname(&new.hostname, name.as_deref().unwrap_or_default());
    let hostname = hostname.map_err(|error| errors.push(error)).ok();
    let ssh_keys = match check_keys(&new.ssh_keys) {
        Ok(keys) => keys,
        Err(error) => {
            errors.push(error);
            Vec::new()
        }
    };
    let os_family = image.as_ref().map_or("linux", |image| image.os_family.as_str());
    let user_data = match user_data::understand(&new.user_data, os_family) {
        Ok(user_data) => user_data,
        Err(error) => {
            errors.push(error);
            None
        }
    };
    match (plan, image, name, hostname) {
        (Some(plan), Some(image), Some(name), Some(hostname)) if errors.is_empty() => {
            Ok(Wanted { plan, image, name, hostname, ssh_keys, user_data, trial: new.trial, sold: new.sold })
        }
        _ => Err(Error::Invalid(errors)),
    }
}

/// A plan that this actor may choose, by slug or id.
pub async fn find_plan(app: &App, actor: &Actor, text: &str) -> Result<Option<Plan>> {
    Ok(any_plan(app, text).await?.filter(|plan| plan.public || actor.is_admin))
}

/// A plan that is not retired, whether or not customers see it.
pub async fn any_plan(app: &App, text: &str) -> Result<Option<Plan>> {
    let text = text.trim();
    let found = match text.parse::<PlanId>() {
        Ok(id) => plans::db::by_id(app.db.platform(), id).await?,
        Err(_) => plans::db::by_slug(app.db.platform(), text).await?,
    };
    Ok(found.filter(|plan| !plan.retired))
}

/// An image that this actor may choose, by slug or id.
pub async fn find_image(app: &App, actor: &Actor, text: &str) -> Result<Option<Image>> {
    Ok(any_image(app, text).await?.filter(|image| image.public || actor.is_admin))
}

/// An image that is not retired, whether or not customers see it.
pub async fn any_image(app: &App, text: &str) -> Result<Option<Image>> {
    let text = text.trim();
    let found = match text.parse::<ImageId>() {
        Ok(id) => images::db::by_id(app.db.platform(), id).await?,
        Err(_) => images::db::by_slug(app.db.platform(), text).await?,
    };
    Ok(found.filter(|image| !image.retired))
}

/// What of the image does not fit into the policy.
pub fn image_fits(image: &Image, policy: &jst_policy::instance::ResourcePolicy) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let memory = u64::try_from(image.min_memory_mib).unwrap_or(0);
    if policy.memory.size.get() < memory {
        errors.push(
            FieldError::new("image", "image-needs-memory").with("needed", crate::web::format::mib(memory)),
        );
    }
    let disk = u64::try_from(image.virtual_bytes).unwrap_or(u64::MAX).div_ceil(1024 * 1024);
    if policy.disk.size.get() < disk {
        errors
            .push(FieldError::new("image", "image-needs-disk").with("needed", crate::web::format::mib(disk)));
    }
    errors
}

/// The name of a server: most characters are as many as the database keeps.
pub fn check_name(text: &str) -> Result<Name, FieldError> {
    Name::parse("name", text, MAX_NAME)
}

/// A host name with its domain or without; made from the instance's name when none is given.
fn check_hostname(text: &str, name: &str) -> Result<Hostname, FieldError> {
    if text.trim().is_empty() { Ok(Hostname::of_name(name)) } else { Hostname::parse("hostname", text) }
}

fn check_keys(ids: &[String]) -> Result<Vec<SshKeyId>, FieldError> {
    let mut keys = Vec::new();
    for id in ids {
        let id = id.trim().parse::<SshKeyId>().map_err(|_| FieldError::new("ssh_keys", "ssh-key-unknown"))?;
        if !keys.contains(&id) {
            keys.push(id);
        }
    }
    if keys.len() > MAX_SSH_KEYS {
        return Err(FieldError::new("ssh_keys", "ssh-keys-too-many").with("max", MAX_SSH_KEYS));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_once() {
        let id = SshKeyId::new().to_string();
        assert_eq!(check_keys(&[id.clone(), id.clone()]).unwrap().len(), 1);
        for wrong in ["nonsense", "", " "] {
            assert!(check_keys(&[id.clone(), wrong.into()]).is_err(), "{wrong:?}");
        }
        let many: Vec<String> = (0..=MAX_SSH_KEYS).map(|_| SshKeyId::new().to_string()).collect();
        assert!(check_keys(&many).is_err());
    }
}
