//! API tokens.
//!
//! Only somebody who is signed in makes one: a token cannot make another, so that a narrow token
//! that leaks never becomes a wide one.

use super::db::tokens::{self, ApiToken, NewToken};
use super::name;
use crate::auth::{Actor, Role, token};
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event, Source};
use crate::ids::TokenId;
use crate::secrets::token_hash;
use crate::state::App;
use crate::typed;
use crate::web::paging::{Listed, Paging};
use serde_json::json;

pub const SCOPES: [&str; 3] = ["read", "write", "admin"];
const MAX_TOKENS: i64 = 100;
const MAX_DAYS: i32 = 3650;

pub async fn list(app: &App, actor: &Actor, paging: &Paging<TokenId>) -> Result<Listed<ApiToken>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = tokens::list(&mut tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    Ok(Listed::new(rows, paging, |row| row.id.to_string()))
}

pub struct CreateToken<'a> {
    pub name: &'a str,
    pub scopes: &'a [String],
    /// Days until it expires; empty for never.
    pub valid_days: &'a str,
}

/// Returns the token itself, which is shown once.
pub async fn create(app: &App, actor: &Actor, form: CreateToken<'_>) -> Result<String> {
    if actor.token.is_some() {
        return Err(Error::refused("token-makes-token"));
    }
    actor.may_own()?;
    let mut errors = Vec::new();
    let token_name = name("name", form.name).map_err(|error| errors.push(error));
    let scopes = scopes(actor, form.scopes).map_err(|error| errors.push(error));
    let valid_days = valid_days(form.valid_days).map_err(|error| errors.push(error));
    let (Ok(token_name), Ok(scopes), Ok(valid_days)) = (token_name, scopes, valid_days) else {
        return Err(Error::Invalid(errors));
    };
    let (id, secret) = (TokenId::new(), token::generate());
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    if tokens::count(&mut tx, actor.tenant_id).await? >= MAX_TOKENS {
        return Err(Error::conflict("tokens-full").with("max", MAX_TOKENS));
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
        return Err(Error::Forbidden);
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

fn scopes(actor: &Actor, wanted: &[String]) -> Result<Vec<String>, FieldError> {
    let known = |scope: &String| SCOPES.contains(&scope.as_str()) && (scope != "admin" || actor.is_admin);
    if wanted.is_empty() {
        return Err(FieldError::new("scopes", "scopes-none"));
    }
    if !wanted.iter().all(known) {
        return Err(FieldError::new("scopes", "scopes"));
    }
    Ok(SCOPES
        .iter()
        .filter(|scope| wanted.iter().any(|text| text == *scope))
        .map(|scope| scope.to_string())
        .collect())
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
