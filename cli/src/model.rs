//! What this program reads of the API's answers.
//!
//! Only what identifies a thing must be there: a field that a newer or older server leaves out is empty here,
//! and one that it adds is passed over.  `--json` prints answers as they came and needs none of this.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize)]
pub struct Instance {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub domain: Option<String>,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub plan: Named,
    pub charged_plan: Option<Named>,
    #[serde(default)]
    pub image: Named,
    #[serde(default)]
    pub addresses: Vec<String>,
    #[serde(default)]
    pub login_user: String,
    #[serde(default)]
    pub policy: Policy,
    #[serde(default)]
    pub restart_required: Vec<String>,
    #[serde(default)]
    pub drift: Vec<String>,
    pub network_seen: Option<bool>,
    #[serde(default)]
    pub firewall: Firewall,
    #[serde(default)]
    pub delete_protection: bool,
    pub failure: Option<Cause>,
    pub lock_reason: Option<String>,
    pub trial: Option<Trial>,
    pub operation: Option<Operation>,
    #[serde(default)]
    pub created_at: String,
    pub delete_at: Option<String>,
}

/// A plan or an image where something refers to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    pub id: String,
    pub slug: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cause {
    pub code: String,
    pub detail: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Trial {
    pub expires_at: String,
}

/// What was bought; CPU in thousandths of a core, the rest in MiB.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Policy {
    pub cpu: Cpu,
    pub memory: Size,
    pub disk: Size,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cpu {
    pub vcpus: u32,
    pub reservation: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Size {
    pub size: u64,
    pub reservation: u64,
}

/// Also what is sent; the ports that the platform closes are no part of that.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct Firewall {
    /// Absent: everything passes.
    pub inbound: Option<Vec<Rule>>,
    pub outbound: Option<Vec<Rule>>,
    #[serde(skip_serializing)]
    pub blocked_outbound_tcp: Vec<u16>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub struct Rule {
    pub protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    pub peers: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    pub id: String,
    #[serde(default)]
    pub instance_id: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub step: String,
    #[serde(default)]
    pub percent: i64,
    #[serde(default)]
    pub restart_required: Vec<String>,
    pub failure_code: Option<String>,
    pub failure_detail: Option<String>,
    #[serde(default)]
    pub created_at: String,
}

impl Operation {
    /// A state that this release does not know counts as an end: nobody waits for ever for what they cannot see.
    pub fn has_ended(&self) -> bool {
        !matches!(self.state.as_str(), "pending" | "running")
    }
}

#[derive(Debug, Deserialize)]
pub struct Plan {
    pub slug: String,
    #[serde(default)]
    pub name_en: String,
    #[serde(default)]
    pub name_zh: String,
    #[serde(default)]
    pub policy: Policy,
    /// Cents and fen.
    #[serde(default)]
    pub price_monthly_usd: i64,
    #[serde(default)]
    pub price_monthly_cny: i64,
    #[serde(default)]
    pub trial: bool,
}

#[derive(Debug, Deserialize)]
pub struct Image {
    pub slug: String,
    #[serde(default)]
    pub name: String,
    /// Bytes.
    #[serde(default)]
    pub virtual_bytes: u64,
    #[serde(default)]
    pub min_memory_mib: u64,
    #[serde(default)]
    pub login_user: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub fingerprint: String,
    #[serde(default)]
    pub created_at: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Account {
    pub email: String,
    pub tenant: Tenant,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tenant {
    pub name: String,
    pub role: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metrics {
    pub series: Vec<Series>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Series {
    pub name: String,
    pub unit: String,
    pub guaranteed: Option<u64>,
    pub maximum: Option<u64>,
    pub average: Vec<Option<f64>>,
    pub highest: Vec<Option<f64>>,
}
