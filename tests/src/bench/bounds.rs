//! What each benchmark must reach, in one place.

/// A month of 10,000 instances with random changes, metered and invoiced, in seconds.
pub const BILLING_MONTH_SECONDS: f64 = 60.0;

/// Median of API call to SSH banner, ours over a bare script's.
pub const PROVISION_RATIO: f64 = 1.10;
/// Median of commit to receipt by the agent, in milliseconds.
pub const RECEIPT_P50_MS: f64 = 10.0;
/// Resident memory of server and agent, in MiB: idle, and with 50 simulated instances.
pub const SERVER_MIB: f64 = 200.0;
pub const AGENT_MIB: f64 = 100.0;

/// How far the ratios of three busy guests may be from those of their shares, in percent.
pub const CPU_SHARES_PERCENT: f64 = 2.0;
/// Distance of a busy guest from its limit, in percent of the limit.
pub const CPU_LIMIT_PERCENT: f64 = 1.0;
/// Distance of a busy guest from its reservation, in percent of the reservation.
pub const CPU_RESERVATION_PERCENT: f64 = 3.0;
/// How far the time that a guest is said to have waited, or to have been held back, may be from that in which
/// it had work and did not run, in percent of the time measured.
pub const CPU_WAITED_PERCENT: f64 = 2.0;
/// What a busy guest may miss of a core while all others idle, in percent of the core.
pub const CPU_IDLE_PERCENT: f64 = 3.0;

/// From the call to the quota in force, in milliseconds.
pub const CPU_CHANGE_MS: f64 = 300.0;
/// From the call to a balloon within 5 % of its target, in milliseconds.
pub const BALLOON_CHANGE_MS: f64 = 3000.0;
/// From the call to the size that the guest sees, in milliseconds.
pub const DISK_CHANGE_MS: f64 = 1000.0;
/// Until idle memory has moved to a busy guest, in seconds.
pub const MEMORY_MOVED_SECONDS: f64 = 30.0;

/// Distance of a busy guest from its limit, in percent of the limit.
pub const DISK_LIMIT_PERCENT: f64 = 3.0;
/// How far the ratio of two busy guests may be from that of their shares, in percent.
pub const DISK_SHARES_PERCENT: f64 = 10.0;
/// p99 of a quiet guest beside a noisy one, over its p99 alone.
pub const DISK_NEIGHBOUR_RATIO: f64 = 2.0;

/// Distance from the rate that was sold, in percent of the wire rate.
pub const NETWORK_ERROR_PERCENT: f64 = 1.0;
/// How far the fastest second may be above the peak, in percent.
pub const NETWORK_PEAK_PERCENT: f64 = 5.0;
/// How far the bytes of a burst may be from its size, in percent.
pub const NETWORK_BURST_PERCENT: f64 = 5.0;
/// How far reservations and shares may be from what `divide` says, in percent.
pub const NETWORK_DIVISION_PERCENT: f64 = 3.0;
/// One less Jain's index.
pub const NETWORK_UNFAIRNESS: f64 = 0.001;
/// Until what one leaves is used by another, in seconds.
pub const NETWORK_REUSE_SECONDS: f64 = 1.0;
/// From the call to what is read back, in milliseconds.
pub const NETWORK_CHANGE_MS: f64 = 300.0;

/// p99 of the dashboard with 100 instances at 200 requests a second, in milliseconds.
pub const PAGE_P99_MS: f64 = 20.0;
/// Time for a page at full load, over that of a bare handler with one query: half its throughput.
pub const PAGE_TIME_RATIO: f64 = 2.0;

/// Honest people whom the rules of trials refuse, in percent of those who ask.
pub const HONEST_REFUSED_PERCENT: f64 = 5.0;
/// Attempts of attackers that get a trial, in percent of all: most of them have bought what makes them look honest.
pub const ATTEMPTS_LET_THROUGH_PERCENT: f64 = 30.0;

/// Median time of a sign-in with a known device while one address sends anonymous calls as fast as it is answered, over
/// the same without.
pub const STRANGERS_SIGN_IN_RATIO: f64 = 2.0;
/// The same beside 2,000 half-open connections on each listener, which cost no processor.
pub const STRANGERS_HALF_OPEN_RATIO: f64 = 1.25;
/// By how much the server's memory is larger afterwards, and at its peak, in MiB: a hash takes 64.
pub const STRANGERS_GROWTH_MIB: f64 = 100.0;
pub const STRANGERS_PEAK_MIB: f64 = 600.0;
/// Rows that one address adds to all tables with all its calls: accounts and mails have limits by the hour.
pub const STRANGERS_ROWS: f64 = 1000.0;
