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
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the handlers of the link share.
#[derive(Clone)]
struct Link {
    app: App,
    /// Requests that are held open end at once when the server stops.
    stop: CancellationToken,
}

/// Serves agents until told to stop, then lets requests under way finish.
pub async fn serve(app: App, listener: TcpListener, stop: CancellationToken) {
    let acceptor = match tls::acceptor(&app) {
        Ok(acceptor) => acceptor,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agents' listener has no certificate");
            return;
        }
    };
    let router = router(app, stop.clone());
    listener::run(listener, acceptor, router, stop).await;
}

/// All calls of agents.
pub fn router(app: App, stop: CancellationToken) -> axum::Router {
    routes::router(Link { app, stop })
}
