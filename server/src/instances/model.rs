//! An instance as the database has it.

use super::hostname::{self, Hostname};
use crate::ids::{HostId, ImageId, InstanceId, PlanId, TenantId};
use jst_policy::instance::ResourcePolicy;
use jst_policy::lifecycle::{InstanceState, Power};
use jst_protocol::desired::Firewall;
use jst_protocol::report::{Observed, Outcome};
use time::OffsetDateTime;

/// One row of `instances`, read.  Fields that cannot be read for what they should be are a defect of
/// the platform and end the request with an internal error; they are never guessed.
#[derive(Clone, Debug)]
pub struct Instance {
    pub id: InstanceId,
    pub tenant_id: TenantId,
    pub host_id: HostId,
    pub name: String,
    pub hostname: String,
    /// What the host name stands in: `example.com` of `web.example.com`.
    pub domain: Option<String>,
    pub plan_id: PlanId,
    pub plan_version: i32,
    pub image_id: ImageId,
    /// What was bought.
    pub policy: ResourcePolicy,
    /// Whether a crashed guest is started again.
    pub restart_on_crash: bool,
    pub build: i32,
    /// The generation that brought this build of the root disk.
    pub build_generation: i64,
    pub mac: String,
    pub ssh_keys: Vec<String>,
    pub user_data: Option<String>,
    pub firewall: Firewall,
    pub delete_protection: bool,
    /// What is desired.
    pub power: Power,
    pub generation: i64,
    pub epoch: i64,
    /// The host's revision at which this instance last changed.
    pub revision: i64,
    pub observed: Observed,
    /// The generation that the latest report was about.
    pub reported_generation: i64,
    /// The latest generation that was in force.
    pub applied_generation: i64,
    /// Nothing is in force any more that was only allowed before this generation.
    pub held_generation: i64,
    pub outcome: Option<Outcome>,
    /// What was read back from where it bites; absent while the guest is stopped.
    pub applied: Option<ResourcePolicy>,
    /// Fields that need a restart of the guest.
    pub restart_required: Vec<String>,
    /// Fields that differ from what is desired, or could not be read back.
    pub drift: Vec<String>,
    pub state: InstanceState,
    pub reported_at: Option<OffsetDateTime>,
    pub deleted_at: Option<OffsetDateTime>,
    /// The deletion from which the grace period counts: the first of those within a month.
    pub first_deleted_at: Option<OffsetDateTime>,
    /// Until then the deletion can be undone.
    pub purge_at: Option<OffsetDateTime>,
    pub tombstone_at: Option<OffsetDateTime>,
    pub purged_at: Option<OffsetDateTime>,
    /// Stopped by the platform: `trial_expired`, `suspended`.
    pub lock_reason: Option<String>,
    pub created_at: OffsetDateTime,
    /// The database's clock when the row was read.
    pub now: OffsetDateTime,
}

impl Instance {
    /// The creation failed for good: the host keeps nothing, and the row stays to say why.
    pub fn has_failed(&self) -> bool {
        self.tombstone_at.is_some() && self.deleted_at.is_none()
    }

    /// The host name with its domain where it has one.
    pub fn full_hostname(&self) -> String {
        hostname::full(&self.hostname, self.domain.as_deref())
    }

    pub fn set_hostname(&mut self, hostname: Hostname) {
        self.hostname = hostname.label;
        self.domain = hostname.domain;
    }
}

pub const fn power_name(power: Power) -> &'static str {
    match power {
        Power::Running => "running",
        Power::Stopped => "stopped",
    }
}

pub const fn observed_name(observed: Observed) -> &'static str {
    match observed {
        Observed::Absent => "absent",
        Observed::Stopped => "stopped",
        Observed::Running => "running",
        Observed::Crashed => "crashed",
        Observed::Unknown => "unknown",
    }
}
