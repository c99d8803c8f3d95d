//! What runs beside the requests, in every replica.

pub mod mail;

use crate::state::App;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub fn spawn(app: &App, tasks: &TaskTracker, stop: &CancellationToken) {
    tasks.spawn(mail::run(app.clone(), stop.clone()));
}
