//! Invoices when a month has ended, and a look at every account.
//!
//! Every replica does it; rows are locked in the order in which everybody takes them, so that each thing is done once.
//! Payments are looked at when they come; this finds what only time brings.

use crate::billing::{entitlement, invoices};
use crate::set_aside::caught;
use crate::state::App;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// An account that runs dry is locked within this, and a moment for each account that is looked at before it.
const EVERY: Duration = Duration::from_secs(60);

pub async fn run(app: App, stop: CancellationToken) {
    loop {
        // One must not keep the other from being done.
        if let Err(error) = caught(invoices::run(&app)).await {
            tracing::error!(error = ?error, "invoices were not made; the next pass goes on");
        }
        if let Err(error) = caught(entitlement::pass(&app)).await {
            tracing::error!(error = ?error, "accounts were not looked at; the next pass comes");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
