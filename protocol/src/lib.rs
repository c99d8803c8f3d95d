//! What the server and its agents say to each other: HTTPS with JSON bodies, version 1.
//!
//! The server tells whole documents ([`desired::Desired`]), never commands; the agent reports what
//! it observed ([`report::Report`]).  A repeated, late or reordered message can therefore do no harm.
//!
//! Rules of change within version 1: fields are only added, with a default; unknown fields are
//! ignored; enumerations that an older peer may have to read end in an `Unknown` variant.  The golden
//! files in `protocol/golden/` hold one document of each kind as the first release wrote it, and a
//! test reads them with today's types.

pub mod desired;
pub mod enroll;
pub mod report;

/// First part of every path that agents call.
pub const PREFIX: &str = "/agent/v1";

/// Seconds that an agent's lease lasts.  An agent that cannot renew it starts no guests.
pub const LEASE_SECONDS: u64 = 30;

/// Seconds for which the server holds a request for desired state open when nothing changes.
pub const HOLD_SECONDS: u64 = 20;

/// Largest report the server reads, in bytes.
pub const MAX_REPORT_BYTES: usize = 8 * 1024 * 1024;

/// What an agent says first on the WebSocket of a console: the guest's end is open.
pub const CONSOLE_READY: &str = "ready";

/// Largest message on the WebSocket of a console, in bytes, in either direction.
pub const MAX_CONSOLE_MESSAGE_BYTES: usize = 64 * 1024;
