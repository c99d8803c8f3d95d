//! A billing system of the operator's, as it asks: by a token of its own kind, which counts on `/billing/v1` only.

use super::{bearer, db, row_ip, token};
use crate::error::{Error, Result};
use crate::events::{Source, request_key};
use crate::ids::{BillingSystemId, TenantId, TokenId};
use crate::state::App;
use crate::web::client::request_id;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::net::IpAddr;
use std::sync::Arc;

/// Where such tokens count.
pub const PATH: &str = "/billing/v1/";

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// See services, usage, plans and stock.
    Read,
    /// Make services, change, suspend and release them.
    Provision,
    Terminate,
    /// Let owners in to the portal.
    Sso,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Provision, Self::Terminate, Self::Sso];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Provision => "provision",
            Self::Terminate => "terminate",
            Self::Sso => "sso",
        }
    }
}

#[derive(Clone, Debug)]
pub struct BillingSystem {
    pub id: BillingSystemId,
    pub name: String,
    pub token: TokenId,
    pub scopes: Vec<String>,
    pub ip: Option<IpAddr>,
    pub request_id: Option<String>,
    /// Set by the layer that keeps repeated requests from happening twice.
    pub idempotency_key: Option<String>,
}

impl BillingSystem {
    /// Fails unless the token has this scope.
    pub fn may(&self, scope: Scope) -> Result<()> {
        if self.scopes.iter().any(|have| have == scope.name()) { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// What the answer to a request may depend on.
    pub fn rights(&self) -> Vec<String> {
        self.scopes.iter().map(|scope| format!("scope:{scope}")).collect()
    }

    /// Whose keys of repeated requests these are: the system's, as others are a tenant's.
    pub fn key_scope(&self) -> TenantId {
        self.id.uuid().into()
    }

    pub fn source(&self) -> Source {
        Source {
            kind: "token",
            id: Some(self.token.uuid()),
            label: self.name.clone(),
            ip: self.ip,
            request_id: self.request_id.clone(),
            request_key: self.idempotency_key.as_deref().map(|key| request_key(self.key_scope(), key)),
        }
    }
}

impl FromRequestParts<App> for BillingSystem {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        if let Some(system) = parts.extensions.get::<Arc<BillingSystem>>() {
            return Ok(Self::clone(system));
        }
        let token = bearer(&parts.headers).ok_or(Error::Unauthenticated)?;
        if !token::billing_checksum_holds(token) {
            return Err(Error::Unauthenticated);
        }
        let found = db::billing_token(app.db.platform(), &crate::secrets::token_hash(token)).await?;
        let found = found.ok_or(Error::Unauthenticated)?;
        let system = Self {
            id: found.system,
            name: found.name,
            token: found.id,
            scopes: found.scopes,
            ip: row_ip(parts, app),
            request_id: request_id(parts),
            idempotency_key: None,
        };
        parts.extensions.insert(Arc::new(system.clone()));
        Ok(system)
    }
}
