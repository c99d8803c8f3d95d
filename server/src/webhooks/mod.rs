//! Webhooks: what happened, told to addresses that customers and the operator name (Standard Webhooks).
//!
//! ```text
//!   event ──trigger, same transaction──> message ──one for each endpoint──> delivery
//!   delivery: pending ──2xx──> succeeded
//!                │ └──anything else──> waits, up to ten attempts ──> failed, and the endpoint is disabled
//!                └──410──> failed, and the endpoint is disabled
//! ```
//!
//! The trigger (migration 12) knows which event is told as which type, and which of its facts; `types` documents that.
//! Nothing here is called by a use case, and none can forget it.  A delivery may arrive twice, when a server dies between
//! the answer and the note of it, and in any order; the id is the same each time.

pub mod api;
pub mod db;
pub mod deliver;
pub mod deliveries;
pub mod endpoints;
pub mod schedule;
pub mod sign;
pub mod types;
pub mod web;

use crate::auth::Actor;
use crate::auth::grant::{self, Credential};
use crate::db::Tx;
use crate::error::Result;
use crate::events::{self, Event, Source};
use crate::ids::{TenantId, WebhookId};
use crate::outbound::Guard;
use crate::state::App;
use serde_json::Value;
use uuid::Uuid;

/// Whose endpoints: a customer's own, or the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Tenant(TenantId),
    Platform,
}

impl Side {
    pub fn of(tenant: Option<Uuid>) -> Self {
        tenant.map_or(Self::Platform, |tenant| Self::Tenant(tenant.into()))
    }

    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::Platform => None,
        }
    }

    /// As the column has it.
    pub fn uuid(self) -> Option<Uuid> {
        self.tenant().map(TenantId::uuid)
    }

    /// Where its pages are.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Tenant(_) => "/webhooks",
            Self::Platform => "/admin/webhooks",
        }
    }

    /// Which addresses its endpoints may have.
    pub fn guard(self, app: &App) -> Guard {
        match self {
            Self::Tenant(_) => Guard::customers_webhooks(&app.config),
            Self::Platform => Guard::operators_webhooks(&app.config),
        }
    }

    async fn begin(self, app: &App) -> sqlx::Result<Tx> {
        match self {
            Self::Tenant(tenant) => app.db.tenant(tenant).await,
            Self::Platform => app.db.begin_platform().await,
        }
    }
}

/// Who works with the endpoints of which side.  Only an administrator becomes one of the platform's; see `web`.
#[derive(Clone, Debug)]
pub struct Keeper {
    pub actor: Actor,
    pub side: Side,
}

impl Keeper {
    /// An endpoint learns everything that happens to a team: only its owners say where that goes.
    pub fn may_manage(&self) -> Result<()> {
        match self.side {
            Side::Tenant(_) => self.actor.may_own(),
            Side::Platform => Ok(()),
        }
    }

    /// May make an endpoint or give it a new secret.
    pub fn may_grant(&self) -> Result<()> {
        let made = match self.side {
            Side::Tenant(_) => Credential::Webhook,
            Side::Platform => Credential::OperatorWebhook,
        };
        grant::check(&self.actor, made).map(|_| ())
    }

    /// May send again what an endpoint was to be told anyway.
    pub fn may_send(&self) -> Result<()> {
        match self.side {
            Side::Tenant(_) => self.actor.may_operate(),
            Side::Platform => Ok(()),
        }
    }

    async fn record(&self, tx: &mut Tx, action: &'static str, id: WebhookId, data: Value) -> Result<()> {
        record(tx, &Source::from(&self.actor), self.side, action, id, data).await
    }
}

pub async fn record(
    tx: &mut Tx,
    source: &Source,
    side: Side,
    action: &'static str,
    id: WebhookId,
    data: Value,
) -> Result<()> {
    let subject_id = id.to_string();
    let event =
        Event { tenant: side.tenant(), action, subject_kind: "webhook", subject_id: &subject_id, data };
    Ok(events::record(tx, source, event).await?)
}
