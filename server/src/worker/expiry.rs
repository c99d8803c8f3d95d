//! Removes what has expired: sessions, links, counters of attempts, answers kept for repeated requests, bodies of mails, and
//! accounts that were never confirmed.
//!
//! Nothing depends on it for being right: whoever reads these rows looks at their age too.

use crate::accounts::db::sessions::delete_expired;
use crate::accounts::unconfirmed;
use crate::auth::limits;
use crate::state::App;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(600);

pub async fn run(app: App, stop: CancellationToken) {
    loop {
        for removed in delete_expired(app.db.platform()).await {
            if let Err(error) = removed {
                tracing::warn!(%error, "cannot remove what has expired");
            }
        }
        if let Err(error) = crate::set_aside::db::prune(app.db.platform()).await {
            tracing::warn!(%error, "cannot forget what nobody tries any more");
        }
        if let Err(error) = crate::mail::tidy(app.db.platform(), &app.sealer).await {
            tracing::warn!(error = format!("{error:#}"), "cannot tidy up the mail outbox");
        }
        if let Err(error) = limits::prune(app.db.platform()).await {
            tracing::warn!(%error, "cannot remove counters of attempts");
        }
        if let Err(error) = unconfirmed::remove(&app).await {
            tracing::warn!(?error, "cannot remove accounts that were never confirmed");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
