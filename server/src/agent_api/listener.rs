//! Accepts agents' connections.
//!
//! A loop of its own, because axum's listener would do the handshake in the accept loop: one peer
//! that says nothing would keep every other out.

use super::identity::PeerCertificate;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Two or three connections a host make this enough for a thousand hosts a replica.
const MAX_CONNECTIONS: usize = 4096;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of one answer to the head of the next request.  Agents report more often than that.
const REQUEST_HEAD: Duration = Duration::from_secs(60);
/// A stranger gets as long as one enrolment takes, however slowly it speaks.
const WITHOUT_CERTIFICATE: Duration = Duration::from_secs(30);

pub async fn run(listener: TcpListener, acceptor: TlsAcceptor, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let Ok(slot) = slot else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, peer, acceptor, router, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some will be free again in a moment.
                tracing::warn!(%error, "an agent's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    stop: CancellationToken,
) {
    // Small answers must not wait for more: the way from a change to a host is counted in milliseconds.
    let _ = stream.set_nodelay(true);
    let stream = tokio::select! {
        () = stop.cancelled() => return,
        handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::info!(%peer, %error, "an agent's handshake failed");
                return;
            }
            Err(_) => {
                tracing::info!(%peer, "a peer did not finish its handshake");
                return;
            }
        },
    };
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(|chain| PeerCertificate::read(chain.first()?));
    let known = certificate.is_some();
    let service = TowerToHyperService::new(router.map_request(
        move |mut request: axum::http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(certificate) = &certificate {
                request.extensions_mut().insert(certificate.clone());
            }
            request
        },
    ));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_HEAD);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let patience = tokio::time::sleep(WITHOUT_CERTIFICATE);
    tokio::pin!(patience);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = &mut patience, if !known => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "an agent's connection broke");
    }
}
