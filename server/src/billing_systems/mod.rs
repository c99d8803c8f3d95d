//! The operator's own billing systems, which sell the platform's instances: `/billing/v1`.
//!
//! ```text
//!   order ──PUT──> service + owner ──> instance          active <──unsuspend, renew── suspended
//!                  (id chosen here)    (made as all are)     └────────suspend────────────^
//!   any of them ──terminate──> terminated ──grace──> gone        undo, while it is kept: active again
//! ```
//!
//! A service is what such a system sells: one instance, under a reference of the system's.  Every message about what a
//! service may do carries a number that only grows, and the highest number wins in whatever order messages arrive
//! ([`order`]); the instance is made what is in force in the transaction that takes the message ([`decisions`]).
//! A reference may be used again once its service is terminated, so that whoever terminates names the service itself as
//! well: a message that is late never meets the next one.

pub mod api;
pub mod db;
pub mod decisions;
pub mod order;
pub mod provision;
pub mod sign_on;
pub mod stock;
pub mod systems;

use crate::auth::billing_system::BillingSystem;
use crate::auth::{Actor, Role, Scopes};
use crate::error::{Error, Result};
use crate::ids::{BillingSystemId, InstanceId, ServiceId, TenantId, UserId};
use crate::instances::operations::{Operation, list_in};
use crate::state::App;
use order::InForce;
use time::OffsetDateTime;

/// Why an instance is kept stopped, beside the reasons of our own billing and of trials.
pub const LOCK: &str = "service_suspended";

/// What a system sells, and what has become of it.
#[derive(Clone, Debug)]
pub struct Service {
    pub id: ServiceId,
    pub system: BillingSystemId,
    pub external_ref: String,
    pub tenant: TenantId,
    pub user: UserId,
    pub owner_email: String,
    pub instance: InstanceId,
    pub in_force: InForce,
    pub plan_version: i64,
    pub created_at: OffsetDateTime,
    /// Absent where its making was cut off; the next order goes on with it.
    pub made: Option<Made>,
}

/// The instance of a service.
#[derive(Clone, Debug)]
pub struct Made {
    pub plan: String,
    pub state: String,
    pub name: String,
    pub hostname: String,
    pub addresses: Vec<String>,
    /// Until then a termination can be undone.
    pub purge_at: Option<OffsetDateTime>,
    /// Nothing comes back of it.
    pub gone: bool,
}

/// The newest service of a reference.
pub async fn find(app: &App, caller: &BillingSystem, reference: &str) -> Result<Service> {
    db::newest(app.db.platform(), caller.id, reference).await?.ok_or(Error::NotFound)
}

/// The same, where it must be the very one that the caller means.
pub async fn find_meant(
    app: &App,
    caller: &BillingSystem,
    reference: &str,
    meant: Option<ServiceId>,
) -> Result<Service> {
    let service = find(app, caller, reference).await?;
    if meant.is_some_and(|meant| meant != service.id) {
        return Err(Error::conflict("service-mismatch"));
    }
    Ok(service)
}

/// The operation that is under way, or was the last.
pub async fn newest_operation(app: &App, service: &Service) -> Result<Option<Operation>> {
    let mut tx = app.db.tenant(service.tenant).await?;
    Ok(list_in(&mut tx, service.tenant, Some(service.instance), None, 1).await?.pop())
}

/// A billing system at work in the tenant of its customer, for the use cases that customers have too.
fn actor(caller: &BillingSystem, tenant: TenantId, user: UserId) -> Actor {
    Actor {
        user_id: user,
        // What the log calls who did it.
        email: caller.name.clone(),
        email_verified: true,
        locale: "en".to_owned(),
        is_admin: false,
        tenant_id: tenant,
        tenant_name: String::new(),
        role: Role::Owner,
        suspended: false,
        acting: false,
        bound_to: None,
        token: Some(caller.token),
        scopes: Scopes::of_person(Role::Operator, false),
        expires_at: None,
        ip: caller.ip,
        request_id: caller.request_id.clone(),
        // Keys of repeated requests are the system's and not the tenant's.
        idempotency_key: None,
    }
}
