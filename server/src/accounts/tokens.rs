//! API tokens.
//!
//! Only somebody who is signed in makes one, with at most the rights of their role ([`grant`]): a token cannot make
//! another, so that a narrow token that leaks never becomes a wide one.

use super::db::tokens::{self, ApiToken, NewToken};
use super::{Proof, confirm, name};
use crate::auth::grant::{self, Credential};
use crate::auth::{Actor, Role, Scope, Scopes, token};
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event, Source};
use crate::ids::TokenId;
use crate::secrets::token_hash;
use crate::state::App;
use crate::typed;
use crate::web::paging::{Listed, Paging};
use serde_json::json;

/// Of one team.
const MAX_TOKENS: i64 = 100;
/// Of one member who is no owner, so that they leave room for the others.
const MAX_OF_MEMBER: i64 = 20;
const MAX_DAYS: i32 = 3650;

/// Owners see all of the team's, everybody else their own.
pub async fn list(app: &App, actor: &Actor, paging: &Paging<TokenId>) -> Result<Listed<ApiToken>> {
    let only = (actor.role != Role::Owner).then_some(actor.user_id);
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = tokens::list(&mut tx, actor.tenant_id, only, paging.after, paging.fetch()).await?;
    let told = |row: ApiToken| ApiToken { owner: row.owner.and_then(|owner| actor.shown(owner)), ..row };
    Ok(Listed::new(rows, paging, |row| row.id.to_string()).map(told))
}

pub struct CreateToken<'a> {
    pub name: &'a str,
    pub scopes: &'a [String],
    /// Days until it expires; empty for never.
    pub valid_days: &'a str,
    pub proof: &'a Proof,
}

/// Returns the token itself, which is shown once.
pub async fn create(app: &App, actor: &Actor, form: CreateToken<'_>) -> Result<String> {
    grant::check(actor, Credential::ApiToken(&Scopes::default()))?;
    let mut errors = Vec::new();
    let token_name = name("name", form.name).map_err(|error| errors.push(error));
    let scopes = scopes(form.scopes).map_err(|error| errors.push(error));
    let valid_days = valid_days(form.valid_days).map_err(|error| errors.push(error));
    let (Ok(token_name), Ok(scopes), Ok(valid_days)) = (token_name, scopes, valid_days) else {
        return Err(Error::Invalid(errors));
    };
    grant::check(actor, Credential::ApiToken(&scopes))?;
    confirm(app, actor, form.proof).await?;
    let scopes = scopes.names();
    let (id, secret) = (TokenId::new(), token::generate());
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let count = tokens::count(&mut tx, actor.tenant_id, actor.user_id).await?;
    if count.of_team >= MAX_TOKENS {
        return Err(Error::conflict("tokens-full").with("max", MAX_TOKENS));
    }
    if actor.role != Role::Owner && count.of_member >= MAX_OF_MEMBER {
        return Err(Error::conflict("tokens-full-own").with("max", MAX_OF_MEMBER));
    }
    let new = NewToken {
        id,
        tenant: actor.tenant_id,
        user: actor.user_id,
        name: &token_name,
        prefix: &token::visible_prefix(&secret),
        token_hash: &token_hash(&secret),
        scopes: &scopes,
        valid_days,
    };
    tokens::insert(&mut tx, new).await?;
    let subject = id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "api_token.created",
        subject_kind: "api_token",
        subject_id: &subject,
        data: json!({ "name": token_name, "scopes": scopes, "valid_days": valid_days }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(secret)
}

/// Owners revoke any token of the tenant; everybody their own.
pub async fn revoke(app: &App, actor: &Actor, id: TokenId) -> Result<()> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let (token_name, user) = tokens::find(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    if user != actor.user_id && actor.role != Role::Owner {
        // To whom it is not shown, it does not exist.
        return Err(Error::NotFound);
    }
    tokens::revoke(&mut tx, actor.tenant_id, id).await?;
    let subject = id.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action: "api_token.revoked",
        subject_kind: "api_token",
        subject_id: &subject,
        data: json!({ "name": token_name }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(())
}

fn scopes(wanted: &[String]) -> Result<Scopes, FieldError> {
    if wanted.is_empty() {
        return Err(FieldError::new("scopes", "scopes-none"));
    }
    if wanted.iter().any(|name| Scope::parse(name).is_none()) {
        return Err(FieldError::new("scopes", "scopes"));
    }
    Ok(Scopes::named(wanted))
}

fn valid_days(text: &str) -> Result<Option<i32>, FieldError> {
    match typed::plain(text).as_str() {
        "" => Ok(None),
        text => match text.parse::<i32>() {
            Ok(days) if (1..=MAX_DAYS).contains(&days) => Ok(Some(days)),
            _ => Err(FieldError::new("valid_days", "range").with("min", 1).with("max", MAX_DAYS)),
        },
    }
}
