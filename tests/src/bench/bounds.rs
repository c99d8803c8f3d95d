//! What each benchmark must reach, in one place.

/// Median of API call to SSH banner, ours over a bare script's.
pub const PROVISION_RATIO: f64 = 1.10;
/// Median of commit to receipt by the agent, in milliseconds.
pub const RECEIPT_P50_MS: f64 = 10.0;
/// Resident memory of server and agent, in MiB: idle, and with 50 simulated instances.
pub const SERVER_MIB: f64 = 200.0;
pub const AGENT_MIB: f64 = 100.0;
