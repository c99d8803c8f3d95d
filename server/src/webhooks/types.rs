//! Everything that endpoints are told: a closed list, and what each message holds.
//!
//! The messages themselves are written by the database (`webhook_types` of migration 12); these shapes are what we
//! promise of them, and tests hold the two to each other.  A field may be added to a type; none is taken away or changes
//! its meaning.

use super::Side;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a test says that it is.
pub const TEST: &str = "webhook.test";

/// Told to a customer of what is theirs, and to the operator of what is anybody's.
const OF_TENANTS: [&str; 29] = [
    "instance.created",
    "instance.create_failed",
    "instance.updated",
    "instance.crashed",
    "instance.stopped",
    "instance.suspended",
    "instance.released",
    "instance.deleted",
    "instance.restored",
    "instance.purged",
    "operation.succeeded",
    "operation.failed",
    "operation.cancelled",
    "trial.started",
    "trial.ending",
    "trial.expired",
    "trial.converted",
    "trial.deleted",
    "invoice.issued",
    "invoice.credited",
    "payment.received",
    "payment.refunded",
    "payment.refund_failed",
    "payment.charged_back",
    "payment.chargeback_reversed",
    "credit.added",
    "billing.reminded",
    "billing.suspended",
    "billing.released",
];

/// Told to the operator only.
const OF_HOSTS: [&str; 7] = [
    "host.enrolled",
    "host.lost",
    "host.returned",
    "host.reported",
    "host.updated",
    "host.repaired",
    "host.certificates_revoked",
];

/// What an endpoint of this side can be told, in the order in which it is listed.
pub fn offered(side: Side) -> Vec<&'static str> {
    let mut all = OF_TENANTS.to_vec();
    if side == Side::Platform {
        all.extend(OF_HOSTS);
    }
    all
}

/// The key of what a type means, in words.
pub fn key(name: &str) -> String {
    format!("webhook-type-{}", name.replace(['.', '_'], "-"))
}

/// The body of every message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookMessage {
    #[serde(flatten)]
    pub event: WebhookEvent,
    /// When it happened.
    #[schema(format = DateTime)]
    pub timestamp: String,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum WebhookEvent {
    #[serde(rename = "webhook.test")]
    Test(TestData),
    #[serde(rename = "instance.created")]
    InstanceCreated(InstanceCreatedData),
    #[serde(rename = "instance.create_failed")]
    InstanceCreateFailed(InstanceCreateFailedData),
    #[serde(rename = "instance.updated")]
    InstanceUpdated(InstanceUpdatedData),
    #[serde(rename = "instance.crashed")]
    InstanceCrashed(InstanceData),
    #[serde(rename = "instance.stopped")]
    InstanceStopped(InstanceData),
    #[serde(rename = "instance.suspended")]
    InstanceSuspended(InstanceData),
    #[serde(rename = "instance.released")]
    InstanceReleased(InstanceData),
    #[serde(rename = "instance.deleted")]
    InstanceDeleted(InstanceDeletedData),
    #[serde(rename = "instance.restored")]
    InstanceRestored(InstanceData),
    #[serde(rename = "instance.purged")]
    InstancePurged(InstanceData),
    #[serde(rename = "operation.succeeded")]
    OperationSucceeded(OperationSucceededData),
    #[serde(rename = "operation.failed")]
    OperationFailed(OperationFailedData),
    #[serde(rename = "operation.cancelled")]
    OperationCancelled(OperationData),
    #[serde(rename = "trial.started")]
    TrialStarted(TrialTermData),
    #[serde(rename = "trial.ending")]
    TrialEnding(TrialTermData),
    #[serde(rename = "trial.expired")]
    TrialExpired(InstanceData),
    #[serde(rename = "trial.converted")]
    TrialConverted(InstanceData),
    #[serde(rename = "trial.deleted")]
    TrialDeleted(InstanceData),
    #[serde(rename = "invoice.issued")]
    InvoiceIssued(InvoiceData),
    #[serde(rename = "invoice.credited")]
    InvoiceCredited(CreditNoteData),
    #[serde(rename = "payment.received")]
    PaymentReceived(EntryData),
    #[serde(rename = "payment.refunded")]
    PaymentRefunded(EntryData),
    #[serde(rename = "payment.refund_failed")]
    PaymentRefundFailed(EntryData),
    #[serde(rename = "payment.charged_back")]
    PaymentChargedBack(EntryData),
    #[serde(rename = "payment.chargeback_reversed")]
    PaymentChargebackReversed(EntryData),
    #[serde(rename = "credit.added")]
    CreditAdded(EntryData),
    #[serde(rename = "billing.reminded")]
    BillingReminded(StandingData),
    #[serde(rename = "billing.suspended")]
    BillingSuspended(StandingData),
    #[serde(rename = "billing.released")]
    BillingReleased(StandingData),
    #[serde(rename = "host.enrolled")]
    HostEnrolled(HostEnrolledData),
    #[serde(rename = "host.lost")]
    HostLost(HostLostData),
    #[serde(rename = "host.returned")]
    HostReturned(HostReturnedData),
    #[serde(rename = "host.reported")]
    HostReported(HostReportedData),
    #[serde(rename = "host.updated")]
    HostUpdated(HostUpdatedData),
    #[serde(rename = "host.repaired")]
    HostRepaired(HostRepairedData),
    #[serde(rename = "host.certificates_revoked")]
    HostCertificatesRevoked(HostCertificatesData),
}

/// A field before and after a change; null where there was none.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookChange)]
pub struct Change {
    pub from: Value,
    pub to: Value,
}

/// An amount in cents or fen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookAmount)]
pub struct Amount {
    /// `USD` or `CNY`.
    pub currency: String,
    pub minor: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestData {
    /// Absent for endpoints of the operator.
    pub tenant_id: Option<String>,
    pub webhook_id: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceData {
    pub tenant_id: String,
    pub instance_id: String,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceCreatedData {
    pub tenant_id: String,
    pub instance_id: String,
    pub name: String,
    /// The plan's slug.
    pub plan: String,
    pub plan_version: i32,
    /// The image's slug.
    pub image: String,
    pub trial: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceCreateFailedData {
    pub tenant_id: String,
    pub instance_id: String,
    pub name: String,
    pub code: String,
    pub detail: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceUpdatedData {
    pub tenant_id: String,
    pub instance_id: String,
    pub name: String,
    /// What is asked for now, by field: `name`, `hostname`, `plan`, `policy`, `image`, `firewall` or
    /// `delete_protection`.  The end of the operation tells when it is in force.
    pub changes: BTreeMap<String, Change>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceDeletedData {
    pub tenant_id: String,
    pub instance_id: String,
    pub name: String,
    /// Until then it can be undone.
    #[schema(format = DateTime)]
    pub purge_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationData {
    pub tenant_id: String,
    pub operation_id: String,
    pub instance_id: String,
    pub instance_name: String,
    /// As in the API: `create`, `start`, `resize` …
    pub kind: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationSucceededData {
    pub tenant_id: String,
    pub operation_id: String,
    pub instance_id: String,
    pub instance_name: String,
    /// As in the API: `create`, `start`, `resize` …
    pub kind: String,
    /// Fields that come into force with the next restart.
    pub restart_required: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationFailedData {
    pub tenant_id: String,
    pub operation_id: String,
    pub instance_id: String,
    pub instance_name: String,
    /// As in the API: `create`, `start`, `resize` …
    pub kind: String,
    /// Of `deadline` the operation may still succeed, which is told then.
    pub code: Option<String>,
    pub detail: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrialTermData {
    pub tenant_id: String,
    pub instance_id: String,
    pub name: String,
    #[schema(format = DateTime)]
    pub expires_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookInvoiceData)]
pub struct InvoiceData {
    pub tenant_id: String,
    pub invoice_id: String,
    #[schema(example = "INV-000042")]
    pub number: String,
    pub total: Amount,
    #[schema(format = DateTime)]
    pub due_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookCreditNoteData)]
pub struct CreditNoteData {
    pub tenant_id: String,
    pub credit_note_id: String,
    #[schema(example = "CN-000007")]
    pub number: String,
    pub invoice_id: String,
    /// The invoice's number.
    #[schema(example = "INV-000042")]
    pub invoice: String,
    pub total: Amount,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEntryData)]
pub struct EntryData {
    pub tenant_id: String,
    /// As in the list of the account's entries.
    pub entry_id: String,
    pub amount: Amount,
    pub reference: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StandingData {
    pub tenant_id: String,
    /// What is left, or below zero what is owed, with what was not invoiced yet.
    pub available: Amount,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostEnrolledData {
    pub host_id: String,
    pub hostname: String,
    pub agent_version: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostLostData {
    pub host_id: String,
    pub name: String,
    #[schema(format = DateTime)]
    pub last_seen_at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostReturnedData {
    pub host_id: String,
    pub name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostReportedData {
    pub host_id: String,
    pub qualification: Change,
    pub agent_version: String,
    pub cpus: u32,
    pub memory_mib: u64,
    pub storage_mib: u64,
    pub capabilities: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostUpdatedData {
    pub host_id: String,
    /// By field, as in the API.
    pub changes: BTreeMap<String, Change>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRepairedData {
    pub host_id: String,
    /// What somebody had changed on the host, and is as it was again; separated by commas.
    pub fields: String,
    #[schema(format = DateTime)]
    pub at: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostCertificatesData {
    pub host_id: String,
    /// How many.
    pub revoked: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TenantId;
    use crate::web::language::Language;

    #[test]
    fn every_type_has_words_and_only_the_operator_is_told_of_hosts() {
        let all = offered(Side::Platform);
        for language in Language::ALL {
            for name in all.iter().chain(&[TEST]) {
                assert!(language.has(&key(name)), "{} {}", language.code(), key(name));
            }
        }
        let customers = offered(Side::Tenant(TenantId::new()));
        assert!(customers.iter().all(|name| all.contains(name) && !name.starts_with("host.")));
        assert_eq!(all.len(), customers.len() + OF_HOSTS.len());
    }
}
