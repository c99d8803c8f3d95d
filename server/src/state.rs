//! What every handler and worker shares.

use crate::ca::Ca;
use crate::config::Config;
use crate::consoles::web::meeting::Meeting;
use crate::db::Db;
use crate::events::notices::Notices;
use crate::instances::funding::Funding;
use crate::secrets::Sealer;
use std::sync::Arc;

/// Cheap to clone; holds no state of its own that another replica would miss.  Consoles are sockets of this process,
/// and end with it.
#[derive(Clone)]
pub struct App {
    pub db: Db,
    pub config: Arc<Config>,
    pub sealer: Arc<Sealer>,
    pub ca: Arc<Ca>,
    pub notices: Notices,
    pub consoles: Meeting,
    /// Whether accounts can pay for what is ordered.
    pub funding: Arc<dyn Funding>,
    /// Wakes the worker that applies what payment providers have told.
    pub payments_told: Arc<tokio::sync::Notify>,
}
