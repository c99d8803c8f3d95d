use crate::state::App;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
pub fn spawn(_app: &App, _tasks: &TaskTracker, _stop: &CancellationToken) {}
