//! The append-only log of what happened.
//!
//! A use case records its event in the transaction of its change, so that neither can be without
//! the other.  The audit page and live pages read the log, and a trigger of its table writes what webhooks are told
//! (metering does not need it: see billing); no lower floor of the server knows them.

pub mod notices;

use crate::auth::Actor;
use crate::db::Tx;
use crate::ids::{TenantId, UserId};
use serde_json::{Map, Value, json};
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
    /// [`request_key`] of the request, where it had one.
    pub request_key: Option<String>,
}

impl Source {
    /// The platform itself, for workers.  `label` names the worker.
    pub fn system(label: &str) -> Self {
        Self {
            kind: "system",
            id: None,
            label: label.to_owned(),
            ip: None,
            request_id: None,
            request_key: None,
        }
    }

    pub fn host(id: Uuid, name: &str) -> Self {
        Self {
            kind: "host",
            id: Some(id),
            label: name.to_owned(),
            ip: None,
            request_id: None,
            request_key: None,
        }
    }

    /// For an event that is no change, such as a refusal: the request that it belongs to may be repeated.
    pub fn changing_nothing(actor: &Actor) -> Self {
        Self { request_key: None, ..Self::from(actor) }
    }
}

/// What events keep of an `Idempotency-Key`, which is its tenant's own.
pub fn request_key(tenant: TenantId, key: &str) -> String {
    format!("{}/{key}", tenant.uuid())
}

impl From<&Actor> for Source {
    fn from(actor: &Actor) -> Self {
        Self {
            kind: if actor.token.is_some() { "token" } else { "user" },
            id: Some(actor.token.map_or(actor.user_id.uuid(), |token| token.uuid())),
            label: actor.email.clone(),
            ip: actor.ip,
            request_id: actor.request_id.clone(),
            request_key: actor.idempotency_key.as_deref().map(|key| request_key(actor.tenant_id, key)),
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

/// What differs between two documents, as `{"path.of.field": {"from": …, "to": …}}`.  An absent field
/// counts as null.  Empty when nothing differs, and then there is nothing to record.
pub fn changes(from: &Value, to: &Value) -> Map<String, Value> {
    fn walk(path: &str, from: &Value, to: &Value, found: &mut Map<String, Value>) {
        if from == to {
            return;
        }
        let empty = Map::new();
        let fields = |value: &'_ Value| matches!(value, Value::Object(_) | Value::Null);
        if (from.is_object() || to.is_object()) && fields(from) && fields(to) {
            let (from, to) = (from.as_object().unwrap_or(&empty), to.as_object().unwrap_or(&empty));
            let added = to.keys().filter(|key| !from.contains_key(*key));
            for key in from.keys().chain(added) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let absent = Value::Null;
                walk(&path, from.get(key).unwrap_or(&absent), to.get(key).unwrap_or(&absent), found);
            }
        } else {
            found.insert(path.to_owned(), json!({ "from": from, "to": to }));
        }
    }
    let mut found = Map::new();
    walk("", from, to, &mut found);
    found
}

/// What somebody did to the account of a person in their team, mostly their own.
pub async fn record_about_user(
    tx: &mut Tx,
    actor: &Actor,
    user: UserId,
    action: &'static str,
    data: impl Into<Value>,
) -> sqlx::Result<()> {
    let subject_id = user.to_string();
    let event = Event {
        tenant: Some(actor.tenant_id),
        action,
        subject_kind: "user",
        subject_id: &subject_id,
        data: data.into(),
    };
    record(tx, &Source::from(actor), event).await
}

pub async fn record(tx: &mut Tx, source: &Source, event: Event<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO events (tenant_id, actor_kind, actor_id, actor_label, ip, request_id, request_key, action, \
         subject_kind, subject_id, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        event.tenant.map(TenantId::uuid),
        source.kind,
        source.id,
        source.label,
        source.ip.map(ipnet::IpNet::from) as Option<ipnet::IpNet>,
        source.request_id,
        source.request_key,
        event.action,
        event.subject_kind,
        event.subject_id,
        event.data,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_the_fields_that_differ() {
        let from = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "gone": "x", "same": [1] });
        let to = json!({ "a": 1, "b": { "c": 4, "d": 3, "e": { "f": 5 } }, "same": [1] });
        let expected = json!({
            "b.c": { "from": 2, "to": 4 },
            "b.e.f": { "from": null, "to": 5 },
            "gone": { "from": "x", "to": null },
        });
        assert_eq!(Value::Object(changes(&from, &to)), expected);
        assert!(changes(&from, &from).is_empty());
    }
}
