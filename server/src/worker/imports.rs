//! Fetches images from elsewhere, one at a time in each replica.

use crate::images::imports;
use crate::state::App;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether one waits.
const IDLE: Duration = Duration::from_secs(2);

pub async fn run(app: App, stop: CancellationToken) {
    loop {
        let worked = tokio::select! {
            () = stop.cancelled() => return,
            worked = imports::work(&app) => worked,
        };
        match worked {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(?error, "cannot work on imports of images"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}
