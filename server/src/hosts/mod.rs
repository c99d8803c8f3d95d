//! The machines that guests run on: how they join, what they are, and what the operator wants of them.
//!
//! ```text
//!  join token -> enrolled -> active <-> draining      active: takes new guests
//!                              ^  ^        |          draining: keeps what it has, takes nothing
//!                              |  +--------+
//!                              v                      disabled: its agent is refused; guests run on,
//!                           disabled                  unmanaged, until it is let in again
//! ```
//!
//! Three things are told apart, because operators confuse them at their peril: what the operator
//! wants (`state`), whether the machine proved that it can run guests (`qualification`), and
//! whether its agent is there now (`last_seen_at`, `lease_until`).  Only a host for which all three
//! are good is a candidate for a new guest.

mod candidates;
pub mod db;
pub mod edit;
pub mod enrol;
pub mod presence;
pub mod report;

pub use candidates::candidates;

use crate::ids::HostId;
use jst_policy::admission::{Booking, HostCapacity, HostLoad as Admission, Overcommit};
use jst_policy::power::Saving;
use jst_policy::units::{Iops, KbitPerSec, MiB, MilliCpu};
use jst_protocol::report::{HostFacts, HostLoad};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// What the operator wants of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    Active,
    Draining,
    Disabled,
}

impl HostState {
    pub const ALL: [Self; 3] = [Self::Active, Self::Draining, Self::Disabled];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[derive(Clone, Debug)]
pub struct Host {
    pub id: HostId,
    pub name: String,
    pub state: HostState,
    /// Grows with every change of what is desired on the host.
    pub revision: i64,
    pub acknowledged_revision: i64,
    pub lease_until: Option<OffsetDateTime>,
    pub last_seen_at: Option<OffsetDateTime>,
    /// Its agent holds a lease now, by the database's clock.
    pub online: bool,
    /// Absent until the agent's first report.
    pub facts: Option<HostFacts>,
    pub load: Option<HostLoad>,
    /// `pending`, `kvm`, `emulated`, `simulated` or `failed`.
    pub qualification: String,
    /// Names of `jst_policy::placement::Capability`.
    pub capabilities: Vec<String>,
    pub nat: bool,
    /// Equal pages of guests may be merged, whoever the guests belong to.
    pub page_merging: bool,
    pub power_saving: Saving,
    /// What the operator says that the uplink carries, in kbit/s; it replaces the measured figure.
    pub uplink_kbit: Option<i64>,
    pub system_memory_mib: i64,
    /// What the host offers to guests.
    pub capacity: HostCapacity,
    pub overcommit: Overcommit,
    pub booked: Booking,
    pub created_at: OffsetDateTime,
}

impl Host {
    /// The host as admission sees it.
    pub fn admission(&self) -> Admission {
        Admission { capacity: self.capacity, overcommit: self.overcommit, booked: self.booked }
    }
}

/// Columns are never negative (the schema checks them or the writer clamps them).
fn amount(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

fn capacity(cpu: i64, memory: i64, storage: i64, network: i64, iops: i64) -> HostCapacity {
    HostCapacity {
        cpu: MilliCpu(amount(cpu)),
        memory: MiB(amount(memory)),
        disk: MiB(amount(storage)),
        uplink: KbitPerSec(amount(network)),
        iops: Iops(amount(iops)),
    }
}
