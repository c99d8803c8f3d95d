//! Letting a customer of a billing system in to the portal.

use super::decisions::record;
use super::{db, find};
use crate::accounts::sign_in_links::{self, NewLink};
use crate::accounts::{EmailAddress, db::users, recovery};
use crate::auth::billing_system::BillingSystem;
use crate::error::{Error, Result};
use crate::state::App;
use serde_json::json;
use time::OffsetDateTime;

/// A link that signs the owner in once, within a minute, at the page of the instance.
///
/// Only where the account came into being through this very system: its token, if it leaks, must open no account that
/// somebody made for themselves, and no administrator's at all. For the same reason it ends when the owner has chosen a
/// password: from then on the account is theirs, and they sign in with it.
pub async fn link(app: &App, caller: &BillingSystem, reference: &str) -> Result<(String, OffsetDateTime)> {
    let service = find(app, caller, reference).await?;
    let mut tx = app.db.begin_platform().await?;
    let standing = db::standing_of_owner(&mut tx, &service).await?.ok_or(Error::NotFound)?;
    if standing.is_admin {
        return Err(Error::refused("sso-admin"));
    }
    if standing.disabled {
        return Err(Error::conflict("owner-disabled"));
    }
    if !standing.made_here {
        return Err(Error::refused("sso-foreign-account"));
    }
    if standing.own_password {
        return Err(Error::refused("sso-own-password"));
    }
    let path = match &service.made {
        Some(made) if !made.gone => format!("/instances/{}", service.instance),
        _ => "/dashboard".to_owned(),
    };
    let new = NewLink {
        user: service.user,
        tenant: service.tenant,
        system: caller.id,
        path: &path,
        issued_for: &caller.name,
    };
    let issued = sign_in_links::issue(&mut tx, app, &new).await?;
    record(&mut tx, &caller.source(), &service, "service.sso_issued", json!({})).await?;
    tx.commit().await?;
    Ok(issued)
}

/// Sends the owner a mail with which they choose a password of their own.  Nobody else ever sees one.
pub async fn reset_password(app: &App, caller: &BillingSystem, reference: &str) -> Result<()> {
    let service = find(app, caller, reference).await?;
    let user = users::by_id(app.db.platform(), service.user).await?.ok_or(Error::NotFound)?;
    recovery::send(app, &EmailAddress::of(&user)).await?;
    let mut tx = app.db.begin_platform().await?;
    record(&mut tx, &caller.source(), &service, "service.password_mailed", json!({})).await?;
    tx.commit().await?;
    Ok(())
}
