//! The agents' link: a port of its own with mutual TLS from the private authority.
//!
//! Agents dial out and ask; the server never calls a host.  Everything here is whole documents:
//! what is desired goes out ([`desired`]), what was observed comes in, and nothing that is repeated,
//! late or reordered does harm.  A host is who its certificate says ([`identity`]); no body is
//! believed about that, and revocation works on the next request.
//!
//! The port is open to the world where hosts are, so that it must stand being talked to by
//! strangers: connections are bounded, handshakes and request heads have a time limit, and without
//! a certificate only `enroll` answers.

mod desired;
mod identity;
mod listener;
mod reports;
mod routes;
mod tls;

use crate::state::App;
use crate::web::rate_limit::NetworkLimits;
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Of one network; what one may try altogether is counted in the database.
const ENROLMENTS_PER_SECOND: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
const ENROLMENTS_AT_ONCE: NonZeroU32 = NonZeroU32::new(100).expect("not zero");

/// What the handlers of the link share.
#[derive(Clone)]
struct Link {
    app: App,
    /// Asked before the database is.
    enrolments: Arc<NetworkLimits>,
    /// Requests that are held open end at once when the server stops.
    stop: CancellationToken,
}

/// Serves agents until told to stop, then lets requests under way finish.
pub async fn serve(app: App, listener: TcpListener, descriptors: usize, stop: CancellationToken) {
    let acceptor = match tls::acceptor(&app) {
        Ok(acceptor) => acceptor,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agents' listener has no certificate");
            return;
        }
    };
    let router = router(app, stop.clone());
    listener::run(listener, acceptor, router, descriptors, stop).await;
}

/// All calls of agents.
pub fn router(app: App, stop: CancellationToken) -> axum::Router {
    let enrolments = Arc::new(NetworkLimits::new(ENROLMENTS_PER_SECOND, ENROLMENTS_AT_ONCE));
    routes::router(Link { app, enrolments, stop })
}
