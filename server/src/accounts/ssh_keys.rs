//! SSH keys of a tenant, for putting into new instances.

use super::db::ssh_keys::{self, SshKey};
use super::{MAX_NAME, name};
use crate::auth::Actor;
use crate::auth::grant::{self, Credential};
use crate::error::{Error, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::SshKeyId;
use crate::name::Name;
use crate::state::App;
use crate::web::paging::{Listed, Paging};
use serde_json::json;
use ssh_key::HashAlg;

pub use super::public_key::parse;

/// A create page that lists more helps nobody.
const MAX_KEYS: i64 = 100;

pub async fn list(app: &App, actor: &Actor, paging: &Paging<SshKeyId>) -> Result<Listed<SshKey>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = ssh_keys::list(&mut tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    Ok(Listed::new(rows, paging, |row| row.id.to_string()))
}

pub async fn get(app: &App, actor: &Actor, id: SshKeyId) -> Result<SshKey> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    ssh_keys::by_ids(&mut tx, actor.tenant_id, &[id]).await?.pop().ok_or(Error::NotFound)
}

pub async fn add(app: &App, actor: &Actor, key_name: &str, public_key: &str) -> Result<SshKey> {
    grant::check(actor, Credential::SshKey)?;
    let mut errors = Vec::new();
    let parsed = parse(public_key).map_err(|error| errors.push(error));
    // A key without a name is called what its comment says.
    let key_name = match (key_name.trim(), &parsed) {
        ("", Ok(parsed)) if !parsed.comment().is_empty() => {
            Ok(Name::made_from(parsed.comment(), MAX_NAME, "key").into_string())
        }
        _ => name("name", key_name).map_err(|error| errors.push(error)),
    };
    let (Ok(parsed), Ok(key_name)) = (parsed, key_name) else { return Err(Error::Invalid(errors)) };
    let fingerprint = parsed.fingerprint(HashAlg::Sha256).to_string();
    let line = parsed.to_openssh().map_err(anyhow::Error::from)?;

    let mut tx = app.db.tenant(actor.tenant_id).await?;
    if ssh_keys::count(&mut tx, actor.tenant_id).await? >= MAX_KEYS {
        return Err(Error::conflict("ssh-keys-full").with("max", MAX_KEYS));
    }
    let id = SshKeyId::new();
    let created_at = ssh_keys::insert(&mut tx, actor.tenant_id, id, &key_name, &line, &fingerprint)
        .await
        .map_err(|error| match violated_constraint(&error) {
            Some("ssh_keys_fingerprint_key") => Error::invalid("public_key", "ssh-key-duplicate"),
            Some("ssh_keys_name_key") => Error::invalid("name", "ssh-key-name-taken"),
            _ => error.into(),
        })?;
    let subject = id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "ssh_key.created",
        subject_kind: "ssh_key",
        subject_id: &subject,
        data: json!({ "name": key_name, "fingerprint": fingerprint }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(SshKey { id, name: key_name, public_key: line, fingerprint, created_at })
}

/// The id of a key that the tenant has, or has from now on under a name made of its fingerprint.
pub async fn ensure(app: &App, actor: &Actor, public_key: &str) -> Result<SshKeyId> {
    let parsed = parse(public_key).map_err(|error| Error::Invalid(vec![error]))?;
    let fingerprint = parsed.fingerprint(HashAlg::Sha256).to_string();
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    if let Some(id) = ssh_keys::by_fingerprint(&mut tx, actor.tenant_id, &fingerprint).await? {
        return Ok(id);
    }
    drop(tx);
    let short: String = fingerprint.trim_start_matches("SHA256:").chars().take(12).collect();
    Ok(add(app, actor, &format!("key {short}"), public_key).await?.id)
}

/// Instances that have the key keep it; new ones cannot get it any more.
pub async fn delete(app: &App, actor: &Actor, id: SshKeyId) -> Result<()> {
    actor.may_operate()?;
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let key_name = ssh_keys::delete(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let subject = id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "ssh_key.deleted",
        subject_kind: "ssh_key",
        subject_id: &subject,
        data: json!({ "name": key_name }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(())
}
