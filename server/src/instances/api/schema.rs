//! The wire shapes.

use crate::error::Result;
use crate::ids::{ImageId, InstanceId, OperationId, PlanId};
use crate::instances::change::Rules;
use crate::instances::firewall::{self, RuleSaid};
use crate::instances::model::power_name;
use crate::instances::operations::Operation;
use crate::instances::reports::judge::wire_name;
use crate::instances::view::View;
use crate::plans::schema::ResourcePolicy as PolicySchema;
use jst_policy::instance::ResourcePolicy;
use jst_protocol::desired::FirewallRule;
use jst_protocol::report::{Outcome, Usage};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// An instance.
#[derive(Serialize, ToSchema)]
pub struct InstanceBody {
    #[schema(example = "vm_0199b0c4a7d27c6e8f3a5b1c2d3e4f50")]
    pub id: InstanceId,
    pub name: String,
    /// One label; what stands after its first dot is the domain.
    #[schema(example = "web-1")]
    pub hostname: String,
    #[schema(example = "example.com")]
    pub domain: Option<String>,
    /// `provisioning`, `running`, `stopped`, `crashed`, `failed` or `deleting`.
    #[schema(example = "running")]
    pub state: &'static str,
    /// What is desired: `running` or `stopped`.
    #[schema(example = "running")]
    pub power: &'static str,
    pub plan: PlanRef,
    /// The plan that is charged until the change to `plan` is in force; absent when `plan` is.  What is larger of both
    /// stays reserved meanwhile.
    pub charged_plan: Option<PlanRef>,
    pub image: ImageRef,
    /// Public addresses, IPv4 first.
    #[schema(example = json!(["203.0.113.7", "2001:db8::7"]))]
    pub addresses: Vec<String>,
    /// Whom to log in as.
    pub login_user: String,
    /// What was bought.
    #[schema(value_type = PolicySchema)]
    pub policy: ResourcePolicy,
    /// What is in force, read back on the host; absent while the guest is stopped.
    #[schema(value_type = Option<PolicySchema>)]
    pub applied_policy: Option<ResourcePolicy>,
    /// Fields of the policy that are in force after a restart only.
    #[schema(example = json!(["memory.size"]))]
    pub restart_required: Vec<String>,
    /// Fields that differ from what was bought, or could not be read back.
    pub drift: Vec<String>,
    /// Whether the running guest has sent anything from one of its addresses since it was started. `false`
    /// minutes after its start: it has not taken them, so look at its console. Absent while that is not known.
    pub network_seen: Option<bool>,
    pub firewall: FirewallBody,
    pub delete_protection: bool,
    /// Grows with every change of what is desired.
    pub generation: i64,
    /// The latest generation that was in force.
    pub applied_generation: i64,
    /// Why the host could not do what is desired, while that is so.
    pub failure: Option<FailureBody>,
    /// Why the platform keeps the instance stopped: `trial_expired`, `suspended`.
    pub lock_reason: Option<String>,
    /// Present while the instance is a free trial.
    pub trial: Option<TrialBody>,
    /// The newest operation that has not ended.
    pub operation: Option<OperationBody>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub deleted_at: Option<OffsetDateTime>,
    /// Until then a deletion can be undone.
    #[serde(with = "time::serde::rfc3339::option")]
    pub delete_at: Option<OffsetDateTime>,
}

#[derive(Serialize, ToSchema)]
pub struct PlanRef {
    pub id: PlanId,
    pub slug: String,
    /// The version of the plan that the instance has.
    pub version: i32,
}

#[derive(Serialize, ToSchema)]
pub struct ImageRef {
    pub id: ImageId,
    pub slug: String,
    pub name: String,
}

#[derive(Serialize, ToSchema)]
pub struct TrialBody {
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// Whole days left, rounded up.
    pub days_left: i64,
    /// When the data of an ended trial are deleted.
    #[serde(with = "time::serde::rfc3339")]
    pub delete_at: OffsetDateTime,
}

#[derive(Serialize, ToSchema)]
pub struct FailureBody {
    #[schema(example = "storage_full")]
    pub code: String,
    pub detail: String,
    /// The host does not try again by itself.
    pub permanent: bool,
}

impl From<View> for InstanceBody {
    fn from(view: View) -> Self {
        let View { instance, plan, charged_plan, image, addresses, trial, operation, network_seen } = view;
        let failure = match &instance.outcome {
            Some(Outcome::Failed { code, detail, permanent }) => {
                Some(FailureBody { code: wire_name(code), detail: detail.clone(), permanent: *permanent })
            }
            _ => None,
        };
        Self {
            id: instance.id,
            name: instance.name,
            hostname: instance.hostname,
            domain: instance.domain,
            state: instance.state.name(),
            power: power_name(instance.power),
            plan: PlanRef { id: plan.id, slug: plan.slug, version: instance.plan_version },
            charged_plan: charged_plan.map(|plan| PlanRef {
                id: plan.id,
                slug: plan.slug,
                version: plan.version,
            }),
            image: ImageRef { id: image.id, slug: image.slug, name: image.name },
            addresses: addresses.iter().map(ToString::to_string).collect(),
            login_user: image.login_user,
            policy: instance.policy,
            applied_policy: instance.applied,
            restart_required: instance.restart_required,
            drift: instance.drift,
            network_seen,
            firewall: FirewallBody {
                inbound: Some(instance.firewall.inbound.map(rules_body)),
                outbound: Some(instance.firewall.outbound.map(rules_body)),
                blocked_outbound_tcp: instance.firewall.blocked_outbound_tcp,
            },
            delete_protection: instance.delete_protection,
            generation: instance.generation,
            applied_generation: instance.applied_generation,
            failure,
            lock_reason: instance.lock_reason,
            trial: trial.map(|trial| TrialBody {
                expires_at: trial.expires_at,
                days_left: trial.days_left,
                delete_at: trial.delete_at,
            }),
            operation: operation.map(OperationBody::from),
            created_at: instance.created_at,
            deleted_at: instance.deleted_at,
            delete_at: instance.purge_at,
        }
    }
}

/// A job on an instance.
#[derive(Serialize, ToSchema)]
pub struct OperationBody {
    #[schema(example = "op_0199b0c4a7d27c6e8f3a5b1c2d3e4f50")]
    pub id: OperationId,
    pub instance_id: InstanceId,
    /// `create`, `start`, `shutdown`, `power_off`, `reboot`, `rebuild`, `resize`, `rename`, `firewall`, `delete`,
    /// `undelete` or `purge`.
    #[schema(example = "create")]
    pub kind: &'static str,
    /// `pending`, `running`, `succeeded`, `failed` or `cancelled`.
    #[schema(example = "running")]
    pub state: &'static str,
    /// `queued`, `fetching_image`, `creating_volume`, `configuring`, `starting`, `booting`, `stopping`,
    /// `resizing`, `deleting`.
    #[schema(example = "creating_volume")]
    pub step: String,
    /// Within the step.
    pub percent: i16,
    /// On success with something left: the fields that need a restart.
    pub restart_required: Vec<String>,
    /// Why it failed; while it runs, why the host tries again.
    pub failure_code: Option<String>,
    pub failure_detail: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub finished_at: Option<OffsetDateTime>,
}

impl From<Operation> for OperationBody {
    fn from(operation: Operation) -> Self {
        Self {
            id: operation.id,
            instance_id: operation.instance_id,
            kind: operation.kind.name(),
            state: operation.state.name(),
            step: operation.step,
            percent: operation.percent,
            restart_required: operation.restart_required,
            failure_code: operation.failure_code,
            failure_detail: operation.failure_detail,
            created_at: operation.created_at,
            started_at: operation.started_at,
            finished_at: operation.finished_at,
        }
    }
}

/// A new instance.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBody {
    /// Slug or id.
    #[serde(default)]
    #[schema(example = "small")]
    pub plan: String,
    /// Slug or id.
    #[serde(default)]
    #[schema(example = "debian-12")]
    pub image: String,
    /// 1 to 63 visible characters; no other instance of yours that is not deleted may have it.
    #[serde(default)]
    #[schema(example = "web-1")]
    pub name: String,
    /// With its domain or without, at most 253 characters; made from the name when absent.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Ids of SSH keys.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// What the guest does at its first start, as cloud-init takes it: `#cloud-config`, a script that begins
    /// with `#!`, or a MIME message with several of them. As text or as base64, gzip inside base64
    /// included; at most 16 KiB once it is decoded.
    #[serde(default)]
    pub user_data: Option<String>,
    /// As a free trial.  Absent: yes exactly when the plan offers one and the account cannot order yet.
    #[serde(default)]
    pub trial: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameBody {
    #[serde(default)]
    pub name: String,
    /// With its domain or without. Reaches the guest with the next rebuild.
    #[serde(default)]
    pub hostname: Option<String>,
}

/// What to change; absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchBody {
    #[serde(default)]
    pub delete_protection: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeBody {
    /// Slug or id.
    #[serde(default)]
    #[schema(example = "large")]
    pub plan: String,
    /// The disk grows to the plan's size, which is final: afterwards only plans with a disk of at least this size can be
    /// chosen.  Without it the instance keeps its disk; the same plan with `true` grows it later.
    #[serde(default)]
    pub grow_disk: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildBody {
    /// Slug or id.
    #[serde(default)]
    #[schema(example = "debian-12")]
    pub image: String,
    #[serde(default)]
    pub hostname: Option<String>,
    /// Ids of SSH keys; absent keeps the keys of the last build.
    #[serde(default)]
    pub ssh_keys: Option<Vec<String>>,
    /// As at creation. Absent keeps the user data of the last build; an empty text removes it.
    #[serde(default)]
    pub user_data: Option<String>,
}

/// The firewall of the public interface.  Answers to established connections always pass.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallBody {
    /// What is let in; what no rule matches is dropped.  Null or absent: everything is let in.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<RuleBody>>)]
    pub inbound: Option<Option<Vec<RuleBody>>>,
    /// What is let out; what no rule matches is dropped.  Null or absent: everything is let out.  One of the two must be
    /// present: a body that says nothing does not open the firewall.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Vec<RuleBody>>)]
    pub outbound: Option<Option<Vec<RuleBody>>>,
    /// Outgoing TCP ports that the platform closes.  Ignored in requests.
    #[serde(default)]
    pub blocked_outbound_tcp: Vec<u16>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleBody {
    /// `tcp`, `udp`, `icmp` or `any`.
    #[serde(default)]
    #[schema(example = "tcp")]
    pub protocol: String,
    /// A port or a range; absent for all ports.
    #[serde(default)]
    #[schema(example = "8000-8100")]
    pub ports: Option<String>,
    /// Addresses and networks on the other side; empty for any.
    #[serde(default)]
    #[schema(example = json!(["203.0.113.0/24"]))]
    pub peers: Vec<String>,
}

fn rules_body(rules: Vec<FirewallRule>) -> Vec<RuleBody> {
    rules
        .iter()
        .map(|rule| RuleBody {
            protocol: wire_name(&rule.protocol),
            ports: firewall::ports_text(rule),
            peers: rule.peers.iter().map(firewall::peer_text).collect(),
        })
        .collect()
}

/// A null that was sent, apart from a field that was not.
fn said<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    sent: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(sent).map(Some)
}

impl FirewallBody {
    /// The rules, or every mistake in them with its place: `inbound.0.ports`.
    pub fn into_rules(self) -> Result<Rules> {
        if self.inbound.is_none() && self.outbound.is_none() {
            return Err(crate::error::Error::invalid("inbound", "firewall-nothing"));
        }
        let mut errors = Vec::new();
        let mut read = |direction: &str, rules: Option<Vec<RuleBody>>| {
            rules.map(|rules| {
                let said: Vec<RuleSaid> = rules
                    .into_iter()
                    .map(|rule| RuleSaid { protocol: rule.protocol, ports: rule.ports, peers: rule.peers })
                    .collect();
                firewall::parse_said(direction, &said, &mut errors)
            })
        };
        let inbound = read("inbound", self.inbound.flatten());
        let outbound = read("outbound", self.outbound.flatten());
        let rules = Rules { inbound, outbound };
        firewall::check_count("firewall", &rules, &mut errors);
        if errors.is_empty() { Ok(rules) } else { Err(crate::error::Error::Invalid(errors)) }
    }
}

/// Counters since the guest's start, except where said otherwise.
#[derive(Serialize, ToSchema)]
pub struct UsageBody {
    /// When the host reported them.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub cpu_nanoseconds: u64,
    /// How long its vCPUs had work and waited for a processor of the host, which others used.
    pub cpu_steal_nanoseconds: u64,
    /// How long its own limit held it back.
    pub cpu_throttled_nanoseconds: u64,
    /// Resident memory of the guest's process, now.
    pub memory_resident_mib: u64,
    /// What the guest says it does not use, now.
    pub memory_unused_mib: u64,
    pub balloon_mib: u64,
    pub disk_read_bytes: u64,
    pub disk_write_bytes: u64,
    pub disk_read_operations: u64,
    pub disk_write_operations: u64,
    /// Towards the guest, since the instance was created.
    pub network_in_bytes: u64,
    /// From the guest, since the instance was created.
    pub network_out_bytes: u64,
    /// Packets that its limit dropped on the way to the guest, since the limit was set.
    pub network_in_dropped: u64,
    /// The same on the way from the guest.
    pub network_out_dropped: u64,
}

impl UsageBody {
    pub fn new(at: OffsetDateTime, usage: Usage) -> Self {
        Self {
            at,
            cpu_nanoseconds: usage.cpu_nanoseconds,
            cpu_steal_nanoseconds: usage.cpu_steal_nanoseconds,
            cpu_throttled_nanoseconds: usage.cpu_throttled_nanoseconds,
            memory_resident_mib: usage.memory_resident_mib,
            memory_unused_mib: usage.memory_unused_mib,
            balloon_mib: usage.balloon_mib,
            disk_read_bytes: usage.disk_read_bytes,
            disk_write_bytes: usage.disk_write_bytes,
            disk_read_operations: usage.disk_read_operations,
            disk_write_operations: usage.disk_write_operations,
            network_in_bytes: usage.network_in_bytes,
            network_out_bytes: usage.network_out_bytes,
            network_in_dropped: usage.network_in_dropped,
            network_out_dropped: usage.network_out_dropped,
        }
    }
}
