//! The resource policy as the API's description shows it.
//!
//! The policy crate knows nothing of HTTP, so that its types cannot describe themselves.  These
//! mirror them, and a test keeps the two alike.  They also read what callers send, because they
//! refuse unknown fields: a misspelt `reservation` must not become a plan that guarantees nothing.

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

/// The whole policy of one instance: a guaranteed minimum, a maximum and shares of every resource.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcePolicy {
    pub cpu: CpuPolicy,
    pub memory: MemoryPolicy,
    pub disk: DiskPolicy,
    pub network: NetworkPolicy,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuPolicy {
    /// What the guest sees.
    #[schema(example = 2, minimum = 1, maximum = 128)]
    pub vcpus: u32,
    /// Guaranteed, in thousandths of a core.
    #[serde(default)]
    #[schema(example = 500, default = 0)]
    pub reservation: u64,
    /// Maximum, in thousandths of a core.  Absent: `vcpus` whole cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    #[serde(default)]
    pub shares: Shares,
    /// Exclusive physical cores; the reservation is then `vcpus` whole cores.
    #[serde(default)]
    #[schema(default = false)]
    pub dedicated: bool,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryPolicy {
    /// What the guest sees, in MiB.
    #[schema(example = 2048, minimum = 64, maximum = 1048576)]
    pub size: u64,
    /// Never reclaimed below this, in MiB.
    #[serde(default)]
    #[schema(example = 1024, default = 0)]
    pub reservation: u64,
    /// A cap on the host's side below `size`, in MiB.  Absent: `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    #[serde(default)]
    pub shares: Shares,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskPolicy {
    /// Size of the root disk in MiB.  Disks grow and never shrink.
    #[schema(example = 20480, minimum = 64, maximum = 16777216)]
    pub size: u64,
    /// Guaranteed operations a second.
    #[serde(default)]
    #[schema(example = 100, default = 0)]
    pub reservation: u64,
    #[serde(default)]
    pub shares: Shares,
    #[serde(default)]
    pub read: DiskLimits,
    #[serde(default)]
    pub write: DiskLimits,
}

/// Limits of one direction of one disk.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskLimits {
    /// Bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<BurstLimit>,
    /// Operations a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<BurstLimit>,
}

/// A limit that may be exceeded up to `peak` for `peak_seconds` after a quiet time.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BurstLimit {
    #[schema(example = 1000, minimum = 1)]
    pub average: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// Has a meaning together with `peak` only.
    #[serde(default = "one")]
    #[schema(default = 1, minimum = 1, maximum = 3600)]
    pub peak_seconds: u32,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkPolicy {
    /// Towards the guest.
    #[serde(default)]
    pub inbound: NetworkLimits,
    /// From the guest.
    #[serde(default)]
    pub outbound: NetworkLimits,
    /// Traffic included in a calendar month, both directions together, in MiB.  Absent: unmetered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_quota: Option<u64>,
}

/// Limits of one direction of the public interface: the long-run average is never above `average`,
/// the rate is never above `peak`, and after idling `burst` may pass at `peak`.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkLimits {
    /// Guaranteed, in kbit/s (1,000 bit).
    #[serde(default)]
    #[schema(example = 10000, default = 0)]
    pub reservation: u64,
    /// In kbit/s.  Absent: the whole uplink.
    #[schema(example = 100000)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<u64>,
    /// In kbit/s.  Absent: `average`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<u64>,
    /// In KiB; has a meaning together with `peak` only.  Absent: 100 ms at `peak`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    #[serde(default)]
    pub shares: Shares,
}

/// The weight under contention: `low`, `normal` (the default) and `high` stand 1:2:4; or a number from 1 to
/// 1,000,000.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Shares {
    Level(ShareLevel),
    Custom(u32),
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShareLevel {
    Low,
    Normal,
    High,
}

impl Default for Shares {
    fn default() -> Self {
        Self::Level(ShareLevel::Normal)
    }
}

const fn one() -> u32 {
    1
}

/// Reads a policy and refuses what it does not know.
pub fn strict<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<jst_policy::instance::ResourcePolicy, D::Error> {
    let policy = ResourcePolicy::deserialize(deserializer)?;
    // Through JSON, so that the policy's own rules of reading (the range of shares) hold too.
    serde_json::to_value(policy).and_then(serde_json::from_value).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_description_and_the_policy_are_alike() {
        let limits = json!({
            "throughput": { "average": 1, "peak": 2, "peak_seconds": 3 },
            "operations": { "average": 4, "peak": 5, "peak_seconds": 6 },
        });
        let network = json!({ "reservation": 1, "average": 2, "peak": 3, "burst": 4, "shares": 5 });
        let full = json!({
            "cpu": { "vcpus": 1, "reservation": 2, "limit": 3, "shares": "low", "dedicated": true },
            "memory": { "size": 1, "reservation": 2, "limit": 3, "shares": 7 },
            "disk": { "size": 1, "reservation": 2, "shares": "high", "read": limits, "write": limits },
            "network": { "inbound": network, "outbound": network, "monthly_quota": 9 },
        });
        // The policy's types know every field: none is dropped on the way through them.
        let policy: jst_policy::instance::ResourcePolicy = serde_json::from_value(full.clone()).unwrap();
        let written = serde_json::to_value(&policy).unwrap();
        assert_eq!(written, full);
        // The mirror refuses fields that it does not know, and it knows all of them.
        let mirror: super::ResourcePolicy = serde_json::from_value(written).unwrap();
        assert_eq!(serde_json::to_value(&mirror).unwrap(), full);
    }

    #[test]
    fn what_is_left_out_has_the_policy_s_defaults() {
        let bare =
            json!({ "cpu": { "vcpus": 1 }, "memory": { "size": 64 }, "disk": { "size": 64 }, "network": {} });
        let plain: jst_policy::instance::ResourcePolicy = serde_json::from_value(bare.clone()).unwrap();
        assert_eq!(super::strict(bare).unwrap(), plain);
    }

    #[test]
    fn a_misspelt_field_and_an_impossible_weight_are_refused() {
        let policy = |cpu: serde_json::Value| {
            super::strict(
                json!({ "cpu": cpu, "memory": { "size": 64 }, "disk": { "size": 64 }, "network": {} }),
            )
        };
        assert!(policy(json!({ "vcpus": 1, "shares": 1_000_000 })).is_ok());
        for bad in [
            json!({ "vcpus": 1, "resevation": 5 }),
            json!({ "vcpus": 1, "shares": 0 }),
            json!({ "vcpus": -1 }),
        ] {
            assert!(policy(bad.clone()).is_err(), "{bad}");
        }
    }
}
