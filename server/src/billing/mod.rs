//! Metering and money.
//!
//! ```text
//!   instances ──triggers──> ledger ──charges──> lines of invoices ──> entries ──sum──> balance ──dunning──> lock
//!   (reports, deletions)   (intervals)  (pure)                     (payments too)              (pure)
//! ```
//!
//! The ledger is written by the database itself, in the transaction of what it tells of (migration 10); everything
//! to the right of it is made of what stands to its left, and can be made again.  Instances know nothing of all this.

pub mod accounts;
pub mod api;
pub mod bill;
pub mod calendar;
pub mod charges;
pub mod csv;
pub mod db;
pub mod dunning;
pub mod entitlement;
pub mod forecast;
pub mod invoices;
pub mod money;
pub mod orders;
pub mod payments;
pub mod settings;
pub mod standing;
pub mod vouchers;
pub mod web;
