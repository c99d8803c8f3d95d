//! Small changes: name, firewall, protection.

use super::create::check_name;
use super::hostname::Hostname;
use super::operations::{Kind, Operation};
use super::work::Work;
use crate::auth::Actor;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::ids::InstanceId;
use crate::state::App;
use jst_policy::lifecycle::{InstanceState, Request};
use jst_protocol::desired::{Firewall, FirewallRule};
use serde_json::json;

/// Renames an instance.  Its host name follows when one is given, and reaches the guest with the
/// next rebuild.
pub async fn rename(
    app: &App,
    actor: &Actor,
    id: InstanceId,
    name: &str,
    hostname: &str,
) -> Result<Operation> {
    actor.may_operate()?;
    let mut errors: Vec<FieldError> = Vec::new();
    let name = check_name(name).map_err(|error| errors.push(error)).ok();
    let hostname = match hostname.trim() {
        "" => None,
        text => Hostname::parse("hostname", text).map_err(|error| errors.push(error)).ok(),
    };
    let Some(name) = name.filter(|_| errors.is_empty()) else { return Err(Error::Invalid(errors)) };
    let mut work = Work::begin(app, actor, id, Request::Rename).await?;
    let instance = &mut work.instance;
    let from = std::mem::replace(&mut instance.name, name.into_string());
    let old_hostname = instance.full_hostname();
    if let Some(hostname) = hostname {
        instance.set_hostname(hostname);
    }
    let data = json!({
        "name": { "from": from, "to": instance.name },
        "hostname": { "from": old_hostname, "to": instance.full_hostname() },
    });
    work.finish(Kind::Rename, "instance.renamed", data).await.map_err(at_name)
}

/// Says at its field that another instance has the name.
pub fn at_name(error: Error) -> Error {
    match error {
        Error::Internal(error)
            if error.downcast_ref::<sqlx::Error>().and_then(violated_constraint)
                == Some("instances_name_key") =>
        {
            Error::invalid("name", "name-taken")
        }
        error => error,
    }
}

/// The customer's rules; absent lets everything pass in that direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub inbound: Option<Vec<FirewallRule>>,
    pub outbound: Option<Vec<FirewallRule>>,
}

/// Replaces the rules of the firewall.  Ports that the platform closes stay closed.
pub async fn set_firewall(app: &App, actor: &Actor, id: InstanceId, rules: Rules) -> Result<Operation> {
    let mut work = Work::begin(app, actor, id, Request::Rename).await?;
    // A failed instance has a name to change, but nothing to filter.
    if work.instance.state == InstanceState::Failed {
        return Err(Error::conflict("instance-failed"));
    }
    let firewall = Firewall {
        inbound: rules.inbound,
        outbound: rules.outbound,
        blocked_outbound_tcp: work.instance.firewall.blocked_outbound_tcp.clone(),
    };
    let from = std::mem::replace(&mut work.instance.firewall, firewall);
    let data = json!({
        "name": work.instance.name,
        "firewall": { "from": from, "to": work.instance.firewall },
    });
    work.finish(Kind::Firewall, "instance.firewall_changed", data).await
}

/// Protects an instance from being deleted, or lifts the protection.  The host has no part in it.
pub async fn set_protection(app: &App, actor: &Actor, id: InstanceId, on: bool) -> Result<()> {
    let mut work = Work::open(app, actor, id).await?;
    if work.instance.deleted_at.is_some() {
        return Err(Error::conflict("instance-deleting"));
    }
    let from = work.instance.delete_protection;
    if from == on {
        return Ok(());
    }
    work.instance.delete_protection = on;
    super::db::save_protection(&mut work.tx, work.instance.id, on).await?;
    let data = json!({
        "name": work.instance.name,
        "delete_protection": { "from": from, "to": on },
    });
    work.record("instance.protection_changed", data).await?;
    work.tx.commit().await?;
    Ok(())
}
