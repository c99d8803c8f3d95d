//! What `/billing/v1` takes and gives.

use crate::billing_systems::Service;
use crate::billing_systems::db::usage::UsageRow;
use crate::billing_systems::decisions::Outcome;
use crate::billing_systems::provision::{Order, Owner};
use crate::ids::{InstanceId, ServiceId};
use crate::instances::api::schema::OperationBody;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// What is ordered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    owner: OwnerBody,
    /// Slug or id, also of a plan that the portal does not offer.
    #[schema(example = "s1")]
    plan: String,
    /// Slug or id.
    #[schema(example = "debian-13")]
    image: String,
    /// With its domain or without, at most 253 characters, each label at most 63; international names are kept as punycode.
    #[serde(default)]
    #[schema(example = "web.example.com")]
    hostname: String,
    /// Public keys in OpenSSH's form, at most 20.
    #[serde(default)]
    ssh_keys: Vec<String>,
    /// The number of this decision.
    #[schema(example = 1795459200000i64)]
    entitlement_version: i64,
}

/// Your customer.  An account is made without a password where the mail address has none; its owner comes in by `sso`, or
/// chooses a password by mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerBody {
    /// Your own name for this customer, which never changes; the mail address where it is absent.
    #[serde(default)]
    #[schema(example = "client-1042")]
    reference: String,
    email: String,
    #[serde(default)]
    name: String,
    /// `en` or `zh-CN`.
    #[serde(default)]
    locale: String,
}

impl From<OrderBody> for Order {
    fn from(body: OrderBody) -> Self {
        let OwnerBody { reference, email, name, locale } = body.owner;
        Self {
            owner: Owner { reference, email, name, locale },
            plan: body.plan,
            image: body.image,
            hostname: body.hostname,
            ssh_keys: body.ssh_keys,
            entitlement_version: body.entitlement_version,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionBody {
    /// The number of this decision.
    pub entitlement_version: i64,
    /// The service that is meant; where it is present and the reference names another by now, nothing is changed.
    pub service_id: Option<ServiceId>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TerminateBody {
    /// The number of this decision.
    pub entitlement_version: i64,
    /// The service that is meant: the reference alone might name another by now.
    pub service_id: ServiceId,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePlanBody {
    /// Slug or id.
    pub plan: String,
    pub entitlement_version: i64,
    pub service_id: Option<ServiceId>,
    /// The disk grows to the plan's size, for good. `false` keeps the disk as it is.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub grow_disk: bool,
}

/// What a billing system sells is the whole plan, its disk included.
const fn yes() -> bool {
    true
}

/// A service as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceBody {
    #[schema(example = "svc_0199b0c4a7d27c6e8f3a5b1c2d3e4f50")]
    id: ServiceId,
    external_ref: String,
    instance_id: InstanceId,
    /// What is in force: `active`, `suspended` or `terminated`.
    #[schema(example = "active")]
    entitlement: &'static str,
    entitlement_version: i64,
    /// `pending` until the instance is written down, then the instance's: `provisioning`, `running`, `stopped`, `crashed`,
    /// `failed`, `deleting` or `deleted`.
    #[schema(example = "running")]
    state: String,
    plan: Option<String>,
    /// With its domain, where the order had one.
    hostname: Option<String>,
    /// IPv4 first.
    addresses: Vec<String>,
    /// Until then a termination can be undone.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    terminate_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    /// What the host has to do now.
    operation: Option<OperationBody>,
}

impl From<Outcome> for ServiceBody {
    fn from(outcome: Outcome) -> Self {
        Self { operation: outcome.operation.map(OperationBody::from), ..outcome.service.into() }
    }
}

impl From<Service> for ServiceBody {
    fn from(service: Service) -> Self {
        let (state, plan, hostname, addresses, terminate_at) = match service.made {
            Some(made) => {
                let until = made.purge_at.filter(|_| !made.gone);
                (made.state, Some(made.plan), Some(made.hostname), made.addresses, until)
            }
            None => ("pending".to_owned(), None, None, Vec::new(), None),
        };
        Self {
            id: service.id,
            external_ref: service.external_ref,
            instance_id: service.instance,
            entitlement: service.in_force.entitlement.name(),
            entitlement_version: service.in_force.version,
            state,
            plan,
            hostname,
            addresses,
            terminate_at,
            created_at: service.created_at,
            operation: None,
        }
    }
}

/// What an order would come to.
#[derive(Serialize, ToSchema)]
pub struct RehearsalBody {
    /// Always true: what is not possible is a problem document.
    pub possible: bool,
}

#[derive(Serialize, ToSchema)]
pub struct SignOnBody {
    /// Signs the owner in once.
    pub url: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: OffsetDateTime,
}

/// What a service used.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceUsage)]
pub struct UsageBody {
    service_id: ServiceId,
    external_ref: String,
    instance_id: InstanceId,
    /// Towards the instance, by whole hours.
    traffic_in_bytes: i64,
    /// From the instance, by whole hours.
    traffic_out_bytes: i64,
    /// For which the instance was there, running or not, and not terminated.
    metered_seconds: i64,
    /// The same with its plans: `plan`, `since`, and `until` unless it lasts.
    #[schema(value_type = Vec<Object>)]
    intervals: serde_json::Value,
}

impl From<UsageRow> for UsageBody {
    fn from(row: UsageRow) -> Self {
        Self {
            service_id: row.id,
            external_ref: row.external_ref,
            instance_id: row.instance,
            traffic_in_bytes: row.in_bytes,
            traffic_out_bytes: row.out_bytes,
            metered_seconds: row.seconds,
            intervals: row.intervals,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct PingBody {
    /// As the administrator named it.
    pub system: String,
    pub scopes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub struct StockBody {
    /// How many more of the plan there is room for; more than 100 are not counted.
    pub available: u32,
}
