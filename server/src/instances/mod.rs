//! Instances: what customers ask for, what hosts are told, and what they report.
//!
//! ```text
//!   page, API ──> use case ──> row: desired, generation + 1 ──> desired::changed_since ──> agent
//!                    │          operation: pending                                          │
//!                    └─ event                                                               v
//!   page, API <── view <────── row: observed, operation closed <── reports::apply <─── report
//! ```
//!
//! A use case never waits for a host.  It writes what should be, in one transaction with the booking,
//! the operation and the event, and answers; the host makes it so and says so in a report.  The
//! row of an instance is locked first, then its host's row: whoever changes an instance keeps to
//! this order, so that two requests for one instance follow each other and none waits in a circle.

pub mod api;
pub mod booking;
pub mod change;
pub mod create;
pub mod db;
pub mod delete;
pub mod desired;
pub mod firewall;
pub mod funding;
pub mod hostname;
pub mod in_force;
pub mod model;
pub mod operations;
pub mod oversee;
pub mod placing;
pub mod power;
pub mod quotas;
pub mod rebuild;
pub mod reports;
pub mod resize;
pub mod samples;
pub mod state;
pub mod user_data;
pub mod view;
pub mod web;
pub mod work;

pub use model::Instance;
pub use operations::{Kind, Operation, OperationState};
