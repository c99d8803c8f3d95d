//! What a host should look like: `GET /agent/v1/desired?after=REVISION`.
//!
//! The answer holds everything that changed after the revision, or everything when `after` is 0; it
//! comes at once when there is something newer, and else after [`crate::HOLD_SECONDS`] with no
//! instances.  An instance that is absent from a document is unchanged, never deleted: deletion is
//! [`Presence::Deleted`], repeated until the agent has acknowledged it.

use ipnet::IpNet;
use jst_policy::instance::ResourcePolicy;
use jst_policy::lifecycle::Power;
use jst_policy::power::Saving;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    pub host_id: Uuid,
    /// The revision that this document brings the agent to.
    pub revision: i64,
    /// True on the answer to `after=0`: every instance of the host is listed.
    pub complete: bool,
    pub instances: Vec<DesiredInstance>,
    pub host: HostSettings,
    /// People who wait for a guest's console now.  No state: it is in no ledger, a request is told again until
    /// the agent has dialled or the person's patience is over, and one that was missed is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consoles: Vec<ConsoleRequest>,
}

/// Somebody waits at `GET /agent/v1/consoles/{id}`, a WebSocket that the agent dials.  Its first message is the
/// text [`crate::CONSOLE_READY`] once the guest's end is open; everything after it is binary, as the guest and
/// the person wrote it.  Either side says why it ends in the reason of its close.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleRequest {
    pub id: Uuid,
    pub instance: Uuid,
    pub kind: ConsoleKind,
    /// `https://HOST:PORT` of the replica where the person waits; absent: where this document came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleKind {
    /// The first serial port, as bytes.
    Serial,
    /// The screen, as RFB.
    Vnc,
    #[serde(other)]
    Unknown,
}

/// Settings of the whole host, always present.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSettings {
    /// What is kept from guests, in MiB of memory.
    #[serde(default)]
    pub system_memory_mib: u64,
    /// Translate the guests' private addresses on the way out: for a lab host without routed addresses.
    #[serde(default)]
    pub nat: bool,
    /// What the operator says that the uplink carries in each direction, in kbit/s; absent: what the agent
    /// finds out.  Reservations are booked against the same figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink_kbit: Option<u64>,
    /// The kernel may merge equal pages of guests, whoever they belong to.
    #[serde(default)]
    pub page_merging: bool,
    /// Whether governors follow the load, and processors are parked.
    #[serde(default)]
    pub power_saving: Saving,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DesiredInstance {
    pub id: Uuid,
    /// Grows with every change of what is desired; reports name the generation they are about.
    pub generation: i64,
    /// Grows whenever the instance changes host.  An agent never acts on an older epoch than it
    /// has seen, which is how an instance is fenced from the host it left.
    pub epoch: i64,
    pub presence: Presence,
    /// Work to do once, oldest first.  The agent's ledger remembers the outcome of each id.
    #[serde(default)]
    pub actions: Vec<OneShot>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "presence", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "almost every instance is present")]
pub enum Presence {
    Present {
        power: Power,
        spec: InstanceSpec,
    },
    /// Stopped and kept: the grace period runs, and everything may still come back.
    Retained {
        spec: InstanceSpec,
    },
    /// Remove the domain, its volumes, taps, filters and qdiscs, then say so.
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// For people who read host logs; never used as an identity.
    pub name: String,
    /// One label.
    pub hostname: String,
    /// What stands after the host name's first dot; absent where there is none, and with servers that know none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    pub policy: ResourcePolicy,
    pub image: ImageRef,
    /// Counts rebuilds: the root volume belongs to one build, and a new number means a new volume
    /// made from `image`.
    pub build: u32,
    pub interfaces: Vec<Interface>,
    pub seed: Seed,
    pub firewall: Firewall,
    #[serde(default)]
    pub on_crash: OnCrash,
    /// Guests start in ascending order after a host reboot.
    #[serde(default)]
    pub start_order: i32,
}

/// An image, fetched once a host from `GET /agent/v1/images/{sha256}` and verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageRef {
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub format: ImageFormat,
    pub file_bytes: u64,
    pub virtual_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    Qcow2,
    Raw,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Index within the instance; 0 is the public interface.
    pub index: u32,
    /// `52:54:00:…`, lower case, booked by the server.
    pub mac: String,
    /// Booked addresses, as single hosts (/32 and /128).
    pub addresses: Vec<IpNet>,
    pub nameservers: Vec<IpAddr>,
}

/// What the guest learns at its first boot.  It holds secrets: the agent keeps it at mode 0600 and
/// removes it after the first boot.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    pub ssh_keys: Vec<String>,
    /// The customer's own cloud-config or script, as it was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seed {{ {} keys, user data withheld }}", self.ssh_keys.len())
    }
}

/// Stateful firewall of the public interface.  Answers to established connections always pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// Towards the guest; first match wins.  `None`: everything is let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Vec<FirewallRule>>,
    /// From the guest; first match wins.  `None`: everything is let out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Vec<FirewallRule>>,
    /// Ports that the platform itself closes, such as 25 for trials.
    #[serde(default)]
    pub blocked_outbound_tcp: Vec<u16>,
}

/// Lets matching traffic pass; what no rule matches is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    pub protocol: FirewallProtocol,
    /// First and last port, inclusive; absent for ICMP and for all ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<(u16, u16)>,
    /// Peers; empty means any.  They are always said: a rule whose peers are missing or cannot be read is refused with its
    /// document, and never taken for one that lets everybody in.
    pub peers: Vec<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallProtocol {
    Any,
    Tcp,
    Udp,
    Icmp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCrash {
    #[default]
    Restart,
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneShot {
    /// The id of the operation that asked for it.
    pub id: Uuid,
    pub kind: OneShotKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OneShotKind {
    /// Asks the guest to restart, and resets it when it has not done so in time.
    Reboot,
    /// Restarts the virtual machine process, which applies what needs a restart.
    PowerCycle,
    /// Ends the guest without asking it.  The power that is desired is then stopped, too.
    PowerOff,
    #[serde(other)]
    Unknown,
}
