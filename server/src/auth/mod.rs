//! Who asks, for which tenant, and what they may do.
//!
//! Pages are asked for with a session cookie, the API with a bearer token; both become an
//! [`Actor`].  The path decides which of the two counts: the API never accepts the cookie, so
//! that no other site can make a browser use it.

pub mod acting;
pub mod billing_system;
pub mod db;
pub mod device;
pub mod grant;
pub mod limits;
pub mod password;
pub mod preferences;
pub mod scope;
pub mod token;

pub use scope::{Scope, Scopes};

use crate::error::{Error, Result};
use crate::ids::{BillingSystemId, TenantId, TokenId, UserId};
use crate::state::App;
use crate::web::client::{client_ip, request_id};
use crate::web::session_store;
use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, HeaderMap};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use time::OffsetDateTime;
use tower_sessions::Session;

/// Roles within a tenant, in ascending order of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Works with instances and keys.
    Operator,
    /// Also manages members and tokens.
    Owner,
}

impl Role {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "viewer" => Some(Self::Viewer),
            "operator" => Some(Self::Operator),
            "owner" => Some(Self::Owner),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user_id: UserId,
    pub email: String,
    pub email_verified: bool,
    pub locale: String,
    /// Administrator of the platform, and allowed to act as one on this request.
    pub is_admin: bool,
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub role: Role,
    /// The operator has suspended the tenant: it sees what it has, and changes nothing.
    pub suspended: bool,
    /// An administrator of the platform who works in this tenant without belonging to it.
    pub acting: bool,
    /// Signed in by a link of this billing system, and so in the tenants that it made and nowhere else.
    pub bound_to: Option<BillingSystemId>,
    /// The API token that was used; absent for a session.
    pub token: Option<TokenId>,
    /// What this request may do at most: those of the token that the role still has, or all of the role.
    pub scopes: Scopes,
    /// When the token expires; absent for a session and for a token without an end.
    pub expires_at: Option<OffsetDateTime>,
    pub ip: Option<IpAddr>,
    pub request_id: Option<String>,
    /// Set by the layer that keeps repeated requests from happening twice.
    pub idempotency_key: Option<String>,
}

impl Actor {
    /// Fails when the tenant is suspended: it sees what it has, and changes nothing.
    pub fn may_see(&self) -> Result<()> {
        self.at_least(Role::Viewer)
    }

    /// Fails unless the role may work with instances and keys.
    pub fn may_operate(&self) -> Result<()> {
        self.at_least(Role::Operator)
    }

    /// Fails unless the role may manage the tenant itself.
    pub fn may_own(&self) -> Result<()> {
        self.at_least(Role::Owner)
    }

    /// Fails unless it is the person themselves who came in by a way of their own: what belongs to a person, and what
    /// lets somebody in later, is closed to an administrator who acts for a customer and to a session that a billing
    /// system's link began.
    pub fn in_person(&self) -> Result<()> {
        if self.acting {
            return Err(Error::refused("acting"));
        }
        if self.bound_to.is_some() { Err(Error::refused("signed-in-by-link")) } else { Ok(()) }
    }

    /// Whether they are told this address: those who work with others know their colleagues', viewers only their own.
    pub fn sees(&self, address: &str) -> bool {
        self.role >= Role::Operator || address == self.email
    }

    /// A colleague's address, for those who are told it.
    pub fn shown(&self, address: String) -> Option<String> {
        self.sees(&address).then_some(address)
    }

    /// Everything that the answer to a request may depend on, each by a name: whoever has all of them may what this
    /// actor may.
    pub fn rights(&self) -> Vec<String> {
        let roles = [Role::Viewer, Role::Operator, Role::Owner].into_iter().filter(|role| *role <= self.role);
        let roles = roles.map(|role| format!("role:{}", role.as_str()));
        let scopes = self.scopes.iter().map(|scope| format!("scope:{}", scope.name()));
        let standing = [
            (self.is_admin, "administrator"),
            (!self.suspended, "not-suspended"),
            (self.email_verified, "confirmed"),
            (self.token.is_none(), "in-person"),
        ];
        let standing = standing.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name.to_owned());
        roles.chain(scopes).chain(standing).collect()
    }

    fn at_least(&self, role: Role) -> Result<()> {
        if self.role < role {
            return Err(Error::Forbidden);
        }
        if self.suspended { Err(Error::refused("tenant-suspended")) } else { Ok(()) }
    }
}

/// What a session holds of a signed-in person.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SessionUser {
    pub user_id: UserId,
    pub tenant_id: TenantId,
    /// Present while an administrator acts for a customer.
    #[serde(default)]
    pub acting: Option<acting::Acting>,
    /// The billing system whose link began the session.
    #[serde(default)]
    pub bound_to: Option<BillingSystemId>,
    /// Seconds since 1970. A session gets new ids, but no longer life.
    #[serde(default = "now")]
    pub signed_in_at: i64,
}

fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

impl SessionUser {
    pub fn new(user_id: UserId, tenant_id: TenantId) -> Self {
        Self { user_id, tenant_id, acting: None, bound_to: None, signed_in_at: now() }
    }

    /// Who came by a link of a billing system.
    pub fn bound(user_id: UserId, tenant_id: TenantId, system: BillingSystemId) -> Self {
        Self { bound_to: Some(system), ..Self::new(user_id, tenant_id) }
    }
}

/// Goes on in another tenant. The caller has checked that the person may.
pub async fn move_to(session: &Session, tenant: TenantId) -> Result<()> {
    let user = session.get::<SessionUser>(SESSION_USER).await?.ok_or(Error::Unauthenticated)?;
    session.insert(SESSION_USER, SessionUser { tenant_id: tenant, acting: None, ..user }).await?;
    Ok(())
}

/// Key of [`SessionUser`] in the session; the session store copies its user into a column.
pub const SESSION_USER: &str = "user";

impl FromRequestParts<App> for Actor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        // The page's frame and the handler both ask; the database is asked once.
        if let Some(actor) = parts.extensions.get::<Arc<Actor>>() {
            return Ok(Actor::clone(actor));
        }
        let path = parts.uri.path();
        let actor = if path.starts_with("/api/") {
            from_token(parts, app).await?
        } else {
            from_session(parts, app).await?
        };
        parts.extensions.insert(Arc::new(actor.clone()));
        Ok(actor)
    }
}

async fn from_session(parts: &mut Parts, app: &App) -> Result<Actor> {
    let session = parts.extensions.get::<Session>().cloned().ok_or(Error::Unauthenticated)?;
    let Some(user) = session.get::<SessionUser>(SESSION_USER).await? else {
        return Err(Error::Unauthenticated);
    };
    let acted_for = match user.acting.and_then(acting::Acting::tenant_now) {
        Some(tenant) => db::acting(app.db.platform(), user.user_id, tenant).await?,
        None => None,
    };
    let row = match (acted_for, user.bound_to) {
        (Some(row), _) => Some(row),
        (None, Some(system)) => db::bound(app.db.platform(), user.user_id, user.tenant_id, system).await?,
        (None, None) => db::actor(app.db.platform(), user.user_id, user.tenant_id).await?,
    };
    let row = row.ok_or(Error::Unauthenticated)?;
    if let Some(id) = session.id() {
        let hash = session_store::id_hash(id);
        let surroundings =
            db::surroundings(app.db.platform(), Some((user.user_id, &hash)), user.bound_to).await?;
        if surroundings.stale {
            session_store::touch(app.db.platform(), id).await?;
        }
        parts.extensions.insert(Arc::new(surroundings));
    }
    Ok(row.into_actor(None, row_ip(parts, app), request_id(parts)))
}

async fn from_token(parts: &mut Parts, app: &App) -> Result<Actor> {
    let token = bearer(&parts.headers).ok_or(Error::Unauthenticated)?;
    if !token::checksum_holds(token) {
        return Err(Error::Unauthenticated);
    }
    let Some(found) = db::token(app.db.platform(), &crate::secrets::token_hash(token)).await? else {
        return Err(Error::Unauthenticated);
    };
    let Some(row) = db::actor(app.db.platform(), found.user_id, found.tenant_id).await? else {
        return Err(Error::Unauthenticated);
    };
    let actor = row.into_actor(Some(found), row_ip(parts, app), request_id(parts));
    let wanted = if parts.method.is_safe() { Scope::Read } else { Scope::Write };
    if actor.scopes.has(wanted) { Ok(actor) } else { Err(Error::Forbidden) }
}

/// The token of an `Authorization: Bearer …`; the name of the scheme may be written in any case (RFC 9110).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn row_ip(parts: &Parts, app: &App) -> Option<IpAddr> {
    client_ip(parts, app.config.trusted_proxies)
}

/// An administrator of the platform.  For everybody else the administration does not exist.
pub struct Admin(pub Actor);

impl FromRequestParts<App> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let actor = Actor::from_request_parts(parts, app).await?;
        if actor.is_admin { Ok(Self(actor)) } else { Err(Error::NotFound) }
    }
}

/// Somebody in their own account ([`Actor::in_person`]): an administrator who acts for a customer would see their own keys,
/// sessions and passwords here, and a billing system could make itself a key.
pub struct InPerson(pub Actor);

impl FromRequestParts<App> for InPerson {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let actor = Actor::from_request_parts(parts, app).await?;
        actor.in_person()?;
        Ok(Self(actor))
    }
}

/// Somebody who works with what a tenant has, by whichever session; no administrator who acts for a customer.
pub struct Portal(pub Actor);

impl FromRequestParts<App> for Portal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let actor = Actor::from_request_parts(parts, app).await?;
        if actor.acting { Err(Error::refused("acting")) } else { Ok(Self(actor)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_name_of_the_scheme_may_be_written_in_any_case() {
        let token = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        for value in ["Bearer jst_x", "bearer jst_x", "BEARER jst_x", "bEaReR  jst_x "] {
            assert_eq!(token(value).as_deref(), Some("jst_x"), "{value}");
        }
        for value in ["", "jst_x", "Basic jst_x", "Bearerjst_x", "Bearer"] {
            assert_eq!(token(value), None, "{value}");
        }
    }
}
