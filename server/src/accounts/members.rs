//! The members of a tenant, and moving between tenants.

use super::db::members::{self, Member};
use super::name;
use crate::auth::db::Membership;
use crate::auth::grant::{self, Credential};
use crate::auth::{Actor, Role};
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::{TenantId, UserId};
use crate::state::App;
use crate::web::paging::{Listed, Paging};
use serde_json::json;

pub async fn list(app: &App, actor: &Actor, paging: &Paging<UserId>) -> Result<Listed<Member>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = members::list(&mut tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    let told = |row: Member| Member { email: row.email.and_then(|email| actor.shown(email)), ..row };
    Ok(Listed::new(rows, paging, |row| row.user_id.to_string()).map(told))
}

/// The tenants that somebody may switch to.
pub async fn tenants(app: &App, actor: &Actor) -> Result<Vec<Membership>> {
    Ok(crate::auth::db::memberships(app.db.platform(), actor.user_id, actor.bound_to).await?)
}

/// Fails with not found unless the actor is a member there, and by a session that reaches there.
pub async fn may_switch(app: &App, actor: &Actor, tenant: TenantId) -> Result<()> {
    let found = tenants(app, actor).await?;
    if found.iter().any(|other| other.tenant_id == tenant) { Ok(()) } else { Err(Error::NotFound) }
}

pub async fn rename(app: &App, actor: &Actor, new: &str) -> Result<()> {
    actor.may_own()?;
    let new = name("name", new).map_err(|error| Error::Invalid(vec![error]))?;
    if new == actor.tenant_name {
        return Ok(());
    }
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    members::rename_tenant(&mut tx, actor.tenant_id, &new).await?;
    let subject = actor.tenant_id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "tenant.renamed",
        subject_kind: "tenant",
        subject_id: &subject,
        data: json!({ "name": { "from": actor.tenant_name, "to": new } }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(())
}

pub async fn change_role(app: &App, actor: &Actor, user: UserId, role: Role) -> Result<()> {
    grant::check(actor, Credential::Membership(role))?;
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let (present, owners) = members::lock(&mut tx, actor.tenant_id, user).await?.ok_or(Error::NotFound)?;
    not_above(actor, present)?;
    if present == role {
        return Ok(());
    }
    if present == Role::Owner && owners == 1 {
        return Err(Error::conflict("last-owner"));
    }
    let email = members::email(&mut tx, actor.tenant_id, user).await?.ok_or(Error::NotFound)?;
    members::set_role(&mut tx, actor.tenant_id, user, role).await?;
    let data = json!({ "email": email, "role": { "from": present.as_str(), "to": role.as_str() } });
    events::record_about_user(&mut tx, actor, user, "team.member_role_changed", data).await?;
    tx.commit().await?;
    Ok(())
}

/// Removes a member.  Owners remove anybody; everybody may leave.
pub async fn remove(app: &App, actor: &Actor, user: UserId) -> Result<()> {
    let leaves = user == actor.user_id;
    // By a token nobody leaves either: it would end what it stands on, and there is no way back.
    if !leaves || actor.token.is_some() {
        grant::manage_members(actor)?;
    }
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let (present, owners) = members::lock(&mut tx, actor.tenant_id, user).await?.ok_or(Error::NotFound)?;
    if !leaves || actor.token.is_some() {
        not_above(actor, present)?;
    }
    if present == Role::Owner && owners == 1 {
        return Err(Error::conflict("last-owner"));
    }
    let email = members::email(&mut tx, actor.tenant_id, user).await?.ok_or(Error::NotFound)?;
    members::delete(&mut tx, actor.tenant_id, user).await?;
    let action = if leaves { "team.member_left" } else { "team.member_removed" };
    let data = json!({ "email": email, "role": present.as_str() });
    events::record_about_user(&mut tx, actor, user, action, data).await?;
    tx.commit().await?;
    Ok(())
}

/// Fails where the member has a role that the actor may not give, and therefore not take.
fn not_above(actor: &Actor, present: Role) -> Result<()> {
    if present > grant::highest_role(actor) { Err(Error::refused("role-above-own")) } else { Ok(()) }
}
