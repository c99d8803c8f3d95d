//! Agents' connections: a handshake, and then whoever showed a certificate of ours is a host, and all others are strangers.
//!
//! Strangers have places of their own, few of each network, and not for long.  A host leaves the strangers' places with
//! its handshake, so that no number of strangers takes a host's place.

use super::identity::PeerCertificate;
use crate::web::listener::{self, Gate, Place};
use axum::Router;
use axum::extract::ConnectInfo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Two or three connections a host make this enough for a thousand hosts a replica.
const MOST_OF_HOSTS: usize = 4096;
/// Of one network, without a certificate: hosts whose handshake is under way, and those that enrol.
const MOST_OF_STRANGER: usize = 128;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// From the end of one answer to the head of the next request.  Agents report more often than that.
const REQUEST_HEAD: Duration = Duration::from_secs(60);
/// A stranger gets as long as one enrolment takes, however slowly it speaks.
const WITHOUT_CERTIFICATE: Duration = Duration::from_secs(30);

pub async fn run(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    router: Router,
    descriptors: usize,
    stop: CancellationToken,
) {
    let strangers = Gate::new(descriptors, Some(MOST_OF_STRANGER));
    let hosts = Arc::new(Semaphore::new(MOST_OF_HOSTS));
    listener::run(listener, strangers, stop.clone(), move |stream, peer, place| {
        let (acceptor, router, hosts, stop) = (acceptor.clone(), router.clone(), hosts.clone(), stop.clone());
        connection(stream, peer, place, acceptor, router, hosts, stop)
    })
    .await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    acceptor: TlsAcceptor,
    router: Router,
    hosts: Arc<Semaphore>,
    stop: CancellationToken,
) {
    let stream = tokio::select! {
        () = stop.cancelled() => return,
        handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%peer, %error, "an agent's handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(%peer, "a peer did not finish its handshake");
                return;
            }
        },
    };
    let certificate =
        stream.get_ref().1.peer_certificates().and_then(|chain| PeerCertificate::read(chain.first()?));
    let known = certificate.is_some();
    let note = move |extensions: &mut axum::http::Extensions| {
        extensions.insert(ConnectInfo(peer));
        if let Some(certificate) = &certificate {
            extensions.insert(certificate.clone());
        }
    };
    let serving = listener::serve(stream, peer, router, note, REQUEST_HEAD, stop);
    if !known {
        let _ = tokio::time::timeout(WITHOUT_CERTIFICATE, serving).await;
        return drop(place);
    }
    drop(place);
    let Ok(_place) = hosts.try_acquire() else {
        tracing::warn!(%peer, "too many connections of hosts: one was closed");
        return;
    };
    serving.await;
}
