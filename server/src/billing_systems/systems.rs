//! Billing systems and their tokens, as administrators make and end them.
//!
//! Only somebody who is signed in makes a token, on a page, and proves anew who they are: no token makes another.

use super::db::systems::{self as db, NewToken};
use crate::accounts::{Proof, confirm, name};
use crate::auth::billing_system::Scope;
use crate::auth::grant::{self, Credential};
use crate::auth::{Actor, token};
use crate::db::Tx;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::{BillingSystemId, TokenId};
use crate::secrets::token_hash;
use crate::state::App;
use serde_json::{Value, json};

/// A system with its first token, which is shown once.
pub async fn create(
    app: &App,
    actor: &Actor,
    text: &str,
    scopes: &[String],
    proof: &Proof,
) -> Result<(BillingSystemId, String)> {
    check_person(actor)?;
    let mut errors = Vec::new();
    let named = name("name", text).map_err(|error| errors.push(error));
    let scopes = check_scopes(scopes).map_err(|error| errors.push(error));
    let (Ok(named), Ok(scopes)) = (named, scopes) else { return Err(Error::Invalid(errors)) };
    confirm(app, actor, proof).await?;
    let id = BillingSystemId::new();
    let mut tx = app.db.begin_platform().await?;
    db::insert(&mut tx, id, &named).await.map_err(|error| match violated_constraint(&error) {
        Some("billing_systems_name_key") => Error::invalid("name", "billing-system-taken"),
        _ => error.into(),
    })?;
    record(&mut tx, actor, id, "billing_system.created", json!({ "name": named })).await?;
    let secret = insert_token(&mut tx, actor, id, &scopes).await?;
    tx.commit().await?;
    Ok((id, secret))
}

/// Another token of a system, so that the one before can be revoked once it is exchanged.
pub async fn add_token(
    app: &App,
    actor: &Actor,
    id: BillingSystemId,
    scopes: &[String],
    proof: &Proof,
) -> Result<String> {
    check_person(actor)?;
    let scopes = check_scopes(scopes).map_err(|error| Error::Invalid(vec![error]))?;
    confirm(app, actor, proof).await?;
    let mut tx = app.db.begin_platform().await?;
    if !db::lock(&mut tx, id).await? {
        return Err(Error::NotFound);
    }
    let secret = insert_token(&mut tx, actor, id, &scopes).await?;
    tx.commit().await?;
    Ok(secret)
}

async fn insert_token(
    tx: &mut Tx,
    actor: &Actor,
    system: BillingSystemId,
    scopes: &[String],
) -> Result<String> {
    let secret = token::generate_for_billing();
    let new = NewToken {
        id: TokenId::new(),
        system,
        prefix: &token::visible_prefix(&secret),
        token_hash: &token_hash(&secret),
        scopes,
        created_by: actor.user_id,
    };
    db::insert_token(tx, &new).await?;
    let data = json!({ "token": new.id, "scopes": scopes });
    record(tx, actor, system, "billing_system.token_created", data).await?;
    Ok(secret)
}

pub async fn revoke(app: &App, actor: &Actor, system: BillingSystemId, id: TokenId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    if !db::revoke(&mut tx, system, id).await? {
        return Err(Error::NotFound);
    }
    record(&mut tx, actor, system, "billing_system.token_revoked", json!({ "token": id })).await?;
    tx.commit().await?;
    Ok(())
}

fn check_person(actor: &Actor) -> Result<()> {
    grant::check(actor, Credential::BillingToken).map(|_| ())
}

fn check_scopes(scopes: &[String]) -> Result<Vec<String>, FieldError> {
    let known: Vec<String> = Scope::ALL
        .iter()
        .filter(|scope| scopes.iter().any(|text| text == scope.name()))
        .map(|scope| scope.name().to_owned())
        .collect();
    let unknown = scopes.iter().any(|text| !known.contains(text));
    if known.is_empty() || unknown { Err(FieldError::new("scopes", "choice")) } else { Ok(known) }
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    id: BillingSystemId,
    action: &'static str,
    data: Value,
) -> Result<()> {
    let subject = id.to_string();
    let event = Event { tenant: None, action, subject_kind: "billing_system", subject_id: &subject, data };
    events::record(tx, &Source::from(actor), event).await?;
    Ok(())
}
