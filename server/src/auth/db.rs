use super::{Actor, Role, Scope, Scopes};
use crate::db::Tx;
use crate::ids::{BillingSystemId, TenantId, TokenId, UserId};
use sqlx::PgPool;
use sqlx::types::Json;
use std::net::IpAddr;
use time::OffsetDateTime;

pub struct ActorRow {
    pub user_id: UserId,
    pub email: String,
    pub email_verified: bool,
    pub locale: String,
    pub is_admin: bool,
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub role: Role,
    pub suspended: bool,
    pub acting: bool,
    pub bound_to: Option<BillingSystemId>,
}

impl ActorRow {
    /// Scopes are looked at anew with each request: a token is never wider than the role that its owner has now.
    pub fn into_actor(
        self,
        token: Option<TokenRow>,
        ip: Option<IpAddr>,
        request_id: Option<String>,
    ) -> Actor {
        let most = Scopes::of_person(self.role, self.is_admin);
        let (token, scopes, expires_at) = match token {
            Some(token) => (Some(token.id), Scopes::named(&token.scopes).common(&most), token.expires_at),
            None => (None, most, None),
        };
        Actor {
            user_id: self.user_id,
            email: self.email,
            email_verified: self.email_verified,
            locale: self.locale,
            is_admin: self.is_admin && scopes.has(Scope::Admin),
            tenant_id: self.tenant_id,
            tenant_name: self.tenant_name,
            role: self.role,
            suspended: self.suspended,
            acting: self.acting,
            bound_to: self.bound_to,
            token,
            scopes,
            expires_at,
            ip,
            request_id,
            idempotency_key: None,
        }
    }
}

/// A person who is not disabled, as a member of a tenant.
pub async fn actor(pool: &PgPool, user: UserId, tenant: TenantId) -> sqlx::Result<Option<ActorRow>> {
    let row = sqlx::query!(
        "SELECT users.email, users.email_verified_at IS NOT NULL AS \"verified!\", users.locale, users.is_admin, \
         tenants.name, memberships.role, suspended_at IS NOT NULL AS \"suspended!\" FROM users \
         JOIN memberships ON memberships.user_id = users.id \
         JOIN tenants ON tenants.id = memberships.tenant_id \
         WHERE users.id = $1 AND tenants.id = $2 AND users.disabled_at IS NULL",
        user.uuid(),
        tenant.uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.and_then(|row| {
        Some(ActorRow {
            user_id: user,
            email: row.email,
            email_verified: row.verified,
            locale: row.locale,
            is_admin: row.is_admin,
            tenant_id: tenant,
            tenant_name: row.name,
            role: Role::parse(&row.role)?,
            suspended: row.suspended,
            acting: false,
            bound_to: None,
        })
    }))
}

/// A person who came by a billing system's link, in a tenant that this system made for them. Such a session ends when
/// they choose a password of their own or become an administrator.
pub async fn bound(
    pool: &PgPool,
    user: UserId,
    tenant: TenantId,
    system: BillingSystemId,
) -> sqlx::Result<Option<ActorRow>> {
    let holds = sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM billing_owners JOIN users ON users.id = user_id \
         WHERE system_id = $1 AND tenant_id = $2 AND user_id = $3 AND NOT is_admin \
         AND (own_password_at IS NULL OR email_verified_at IS NULL)) AS \"holds!\"",
        system.uuid(),
        tenant.uuid(),
        user.uuid(),
    )
    .fetch_one(pool)
    .await?;
    if !holds {
        return Ok(None);
    }
    let row = actor(pool, user, tenant).await?;
    Ok(row.map(|row| ActorRow { bound_to: Some(system), is_admin: false, ..row }))
}

/// An administrator who is not disabled, in a tenant that they need not belong to.  They work with what the
/// tenant has; the tenant itself stays its owners'.
pub async fn acting(pool: &PgPool, user: UserId, tenant: TenantId) -> sqlx::Result<Option<ActorRow>> {
    let row = sqlx::query!(
        "SELECT users.email, users.email_verified_at IS NOT NULL AS \"verified!\", users.locale, tenants.name, \
         suspended_at IS NOT NULL AS \"suspended!\" FROM users, tenants \
         WHERE users.id = $1 AND users.is_admin AND users.disabled_at IS NULL AND tenants.id = $2",
        user.uuid(),
        tenant.uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| ActorRow {
        user_id: user,
        email: row.email,
        email_verified: row.verified,
        locale: row.locale,
        is_admin: true,
        tenant_id: tenant,
        tenant_name: row.name,
        role: Role::Operator,
        suspended: row.suspended,
        acting: true,
        bound_to: None,
    }))
}

pub struct TokenRow {
    pub id: TokenId,
    pub user_id: UserId,
    pub tenant_id: TenantId,
    pub scopes: Vec<String>,
    pub expires_at: Option<OffsetDateTime>,
}

/// A token that is neither revoked nor expired.  Its last use is noted to the minute, so that a busy
/// client does not write on every request.
pub async fn token(pool: &PgPool, hash: &[u8]) -> sqlx::Result<Option<TokenRow>> {
    let row = sqlx::query!(
        "SELECT id, user_id, tenant_id, scopes, expires_at, coalesce(last_used_at < now() - interval '1 minute', true) AS \"stale!\" \
         FROM api_tokens \
         WHERE token_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        hash,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.stale {
        sqlx::query!("UPDATE api_tokens SET last_used_at = now() WHERE id = $1", row.id)
            .execute(pool)
            .await?;
    }
    Ok(Some(TokenRow {
        id: row.id.into(),
        user_id: row.user_id.into(),
        tenant_id: row.tenant_id.into(),
        scopes: row.scopes,
        expires_at: row.expires_at,
    }))
}

pub struct BillingTokenRow {
    pub id: TokenId,
    pub system: BillingSystemId,
    pub name: String,
    pub scopes: Vec<String>,
}

/// A billing system's token that is not revoked; its last use is noted to the minute.
pub async fn billing_token(pool: &PgPool, hash: &[u8]) -> sqlx::Result<Option<BillingTokenRow>> {
    let row = sqlx::query!(
        "SELECT tokens.id, system_id, name, scopes, coalesce(last_used_at < now() - interval '1 minute', true) AS \"stale!\" \
         FROM billing_system_tokens AS tokens JOIN billing_systems ON billing_systems.id = system_id \
         WHERE token_hash = $1 AND revoked_at IS NULL",
        hash,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.stale {
        sqlx::query!("UPDATE billing_system_tokens SET last_used_at = now() WHERE id = $1", row.id)
            .execute(pool)
            .await?;
    }
    Ok(Some(BillingTokenRow {
        id: row.id.into(),
        system: row.system_id.into(),
        name: row.name,
        scopes: row.scopes,
    }))
}

pub async fn set_locale(tx: &mut Tx, user: UserId, locale: &str) -> sqlx::Result<()> {
    sqlx::query!("UPDATE users SET locale = $2 WHERE id = $1", user.uuid(), locale)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A tenant that somebody belongs to.
#[derive(Clone, Debug)]
pub struct Membership {
    pub tenant_id: TenantId,
    pub tenant_name: String,
    pub role: Role,
}

/// All tenants of one person; the person, not a tenant, is the scope. Of a session that is bound to a billing system,
/// those that this system made.
pub async fn memberships(
    pool: &PgPool,
    user: UserId,
    bound_to: Option<BillingSystemId>,
) -> sqlx::Result<Vec<Membership>> {
    let rows = sqlx::query!(
        "SELECT tenants.id, tenants.name, memberships.role FROM memberships \
         JOIN tenants ON tenants.id = memberships.tenant_id WHERE memberships.user_id = $1 \
         AND ($2::uuid IS NULL OR EXISTS (SELECT FROM billing_owners \
             WHERE system_id = $2 AND tenant_id = tenants.id AND user_id = $1)) \
         ORDER BY memberships.created_at, tenants.id",
        user.uuid(),
        bound_to.map(BillingSystemId::uuid),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(Membership {
                tenant_id: row.id.into(),
                tenant_name: row.name,
                role: Role::parse(&row.role)?,
            })
        })
        .collect())
}

/// What every page shows around its content, whoever reads it.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// All tenants that who is signed in may go to.
    pub tenants: Vec<Membership>,
    /// The titles, English and Chinese, of what is announced to everybody now.
    pub announcement: Option<(String, String)>,
    /// The session was last noted some minutes ago.
    pub stale: bool,
}

/// One statement, because every page asks.  Of several announcements the worst is shown, and of those the newest.
pub async fn surroundings(
    pool: &PgPool,
    reader: Option<(UserId, &[u8])>,
    bound_to: Option<BillingSystemId>,
) -> sqlx::Result<Surroundings> {
    #[derive(Debug, serde::Deserialize)]
    struct Tenant {
        id: uuid::Uuid,
        name: String,
        role: String,
    }
    let row = sqlx::query!(
        "SELECT coalesce((SELECT last_seen_at < now() - interval '5 minutes' FROM sessions WHERE id_hash = $2), false) \
             AS \"stale!\", \
         (SELECT jsonb_agg(jsonb_build_object('id', tenants.id, 'name', tenants.name, 'role', memberships.role) \
                 ORDER BY memberships.created_at, tenants.id) FROM memberships \
             JOIN tenants ON tenants.id = memberships.tenant_id WHERE memberships.user_id = $1 \
             AND ($3::uuid IS NULL OR EXISTS (SELECT FROM billing_owners \
                 WHERE system_id = $3 AND tenant_id = tenants.id AND user_id = $1))) \
             AS \"tenants: Json<Vec<Tenant>>\", \
         (SELECT ARRAY[title_en, title_zh] FROM announcements \
             WHERE banner AND starts_at <= now() AND (ends_at IS NULL OR ends_at > now()) \
             ORDER BY array_position(ARRAY['incident', 'maintenance'], kind), starts_at DESC LIMIT 1) AS announcement",
        reader.map(|(user, _)| user.uuid()),
        reader.map(|(_, session)| session),
        bound_to.map(BillingSystemId::uuid),
    )
    .fetch_one(pool)
    .await?;
    let tenants = row.tenants.map(|tenants| tenants.0).unwrap_or_default().into_iter().filter_map(|tenant| {
        let role = Role::parse(&tenant.role)?;
        Some(Membership { tenant_id: tenant.id.into(), tenant_name: tenant.name, role })
    });
    let mut titles = row.announcement.unwrap_or_default().into_iter();
    Ok(Surroundings {
        tenants: tenants.collect(),
        announcement: titles.next().zip(titles.next()),
        stale: row.stale,
    })
}
