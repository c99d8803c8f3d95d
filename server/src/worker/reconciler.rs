//! The loop of a reconciler: work that is found by looking, not by being told.
//!
//! A reconciler takes no input.  It looks at the database, does what is due, and looks again after
//! its period, or sooner when something changed.  Every replica runs every reconciler; what one does
//! is guarded by row locks, so that several may look at the same time and each thing is done once.  A pass
//! that fails is logged and comes again: nothing is retried inside.

use crate::error::Result;
use crate::events::notices::Notice;
use crate::set_aside::caught;
use crate::state::App;
use std::future::Future;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Changes come in bursts; the next look waits this long for the rest of one.
const SETTLE: Duration = Duration::from_millis(500);

pub async fn run<F, Pass>(name: &'static str, period: Duration, app: App, stop: CancellationToken, pass: F)
where
    F: Fn(App) -> Pass + Send,
    Pass: Future<Output = Result<()>> + Send,
{
    let mut notices = app.notices.subscribe();
    loop {
        if let Err(error) = caught(pass(app.clone())).await {
            tracing::warn!(worker = name, error = ?error, "a pass failed; the next one comes");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
            () = changed(&mut notices) => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(SETTLE) => {}
                }
                // What piled up meanwhile is part of the same look.
                while notices.try_recv().is_ok() {}
            }
        }
    }
}

/// Returns when something that customers see may have changed.
async fn changed(notices: &mut Receiver<Notice>) {
    loop {
        match notices.recv().await {
            Ok(Notice::Tenant(_) | Notice::Everything) | Err(RecvError::Lagged(_)) => return,
            Ok(Notice::Host(_) | Notice::Stopping) => {}
            // Nobody will call any more; the period still counts.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
