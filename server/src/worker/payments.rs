//! Applies what payment providers have told, as soon as it is stored.

use crate::billing::payments::inbox;
use crate::state::App;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What another replica has stored, or what this one left when it was killed, is found by looking.
const EVERY: Duration = Duration::from_secs(2);

pub async fn run(app: App, stop: CancellationToken) {
    loop {
        if let Err(error) = inbox::pass(&app).await {
            tracing::error!(error = ?error, "payment events were not applied; the next pass goes on");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.payments_told.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
