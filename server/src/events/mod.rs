//! The append-only log of what happened.
//!
//! A use case records its event in the transaction of its change, so that neither can be without
//! the other.  The audit page, live pages and later webhooks and metering read the log; no lower
//! floor of the server knows them.

pub mod notices;

use crate::auth::Actor;
use crate::db::Tx;
use crate::ids::TenantId;
use serde_json::Value;
use std::net::IpAddr;
use uuid::Uuid;

/// Who did it.
#[derive(Clone, Debug)]
pub struct Source {
    pub kind: &'static str,
    pub id: Option<Uuid>,
    pub label: String,
    pub ip: Option<IpAddr>,
    pub request_id: Option<String>,
}

impl Source {
    /// The platform itself, for workers.  `label` names the worker.
    pub fn system(label: &str) -> Self {
        Self { kind: "system", id: None, label: label.to_owned(), ip: None, request_id: None }
    }

    pub fn host(id: Uuid, name: &str) -> Self {
        Self { kind: "host", id: Some(id), label: name.to_owned(), ip: None, request_id: None }
    }
}

impl From<&Actor> for Source {
    fn from(actor: &Actor) -> Self {
        Self {
            kind: if actor.token.is_some() { "token" } else { "user" },
            id: Some(actor.token.map_or(actor.user_id.uuid(), |token| token.uuid())),
            label: actor.email.clone(),
            ip: actor.ip,
            request_id: actor.request_id.clone(),
        }
    }
}

/// One thing that happened to one subject.
pub struct Event<'a> {
    pub tenant: Option<TenantId>,
    /// `subject.verb`, in the past: `instance.created`.
    pub action: &'static str,
    pub subject_kind: &'static str,
    pub subject_id: &'a str,
    /// Facts, or `{"field": {"from": …, "to": …}}`.  Never a secret.
    pub data: Value,
}

pub async fn record(tx: &mut Tx, source: &Source, event: Event<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO events (tenant_id, actor_kind, actor_id, actor_label, ip, request_id, action, subject_kind, \
         subject_id, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        event.tenant.map(TenantId::uuid),
        source.kind,
        source.id,
        source.label,
        source.ip.map(ipnet::IpNet::from) as Option<ipnet::IpNet>,
        source.request_id,
        event.action,
        event.subject_kind,
        event.subject_id,
        event.data,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
