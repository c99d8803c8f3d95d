//! Connections of the portal and of the agents' port: how many there may be, and how slow they may be.
//!
//! Whoever connects costs a file descriptor, a task and memory, before anything is known of them.  So every wait for a
//! peer has an end, one network gets a share of the places, and what is too much is closed at once instead of
//! waiting in a queue with everybody else.  Consoles and event streams stay open as long as their peers live: the waits
//! are for heads and bodies, and not for connections on which requests are under way.

use super::client::ClientNetwork;
use super::rate_limit::NetworkLimits;
use axum::body::Bytes;
use axum::extract::Request;
use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// File descriptors that are left to everything else: the database, files, requests to elsewhere, consoles.
const OTHER_DESCRIPTORS: usize = 512;
/// Places of one listener, where there are descriptors for them.
const MOST_CONNECTIONS: usize = 8192;
/// An IPv6 /48 has so many times the places of one client network.
const WIDE_FACTOR: usize = 4;
/// New connections of one client network, and of a burst.
const NEW_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
const NEW_AT_ONCE: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");
/// The kernel gives up a peer that takes nothing of what it is sent.
const TAKES_NOTHING: Duration = Duration::from_secs(60);

/// The wait for a body: so long altogether, and longer as it arrives.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
const BODY_BYTES_PER_SECOND: u64 = 8 * 1024;

/// Raises the limit of open files to what the system allows.  Returns it.
pub fn raise_file_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours and lives longer than the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return 1024;
    }
    let wanted = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: as above, and it is only read.
    if limit.rlim_cur < limit.rlim_max
        && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) } == 0
    {
        limit = wanted;
    }
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// How many connections there may be, of all and of one client network.
#[derive(Clone)]
pub struct Gate {
    places: Arc<Semaphore>,
    /// Connections by network; of an IPv6 address both its /64 and its /48.
    networks: Networks,
    /// Absent where all connections come from the operator's own reverse proxies.
    each: Option<usize>,
    new: Arc<NetworkLimits>,
}

impl Gate {
    /// `descriptors` are those of the process; a listener takes a third of them.
    pub fn new(descriptors: usize, each: Option<usize>) -> Self {
        let places = (descriptors.saturating_sub(OTHER_DESCRIPTORS) / 3).clamp(64, MOST_CONNECTIONS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            networks: Arc::default(),
            each,
            new: Arc::new(NetworkLimits::new(NEW_PER_SECOND, NEW_AT_ONCE)),
        }
    }

    /// A place for a connection; none when all are taken, or this network has its share.
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let client = ClientNetwork::of(address);
        if let Some(each) = self.each {
            self.new.check(client).ok()?;
            let mut networks = lock(&self.networks);
            let full = client
                .with_limits(each, WIDE_FACTOR)
                .into_iter()
                .any(|(network, most)| networks.get(&network).is_some_and(|count| *count >= most));
            if full {
                return None;
            }
            let permit = self.places.clone().try_acquire_owned().ok()?;
            for network in client.networks() {
                *networks.entry(network).or_default() += 1;
            }
            return Some(Place { networks: Some((self.networks.clone(), client)), _permit: permit });
        }
        let permit = self.places.clone().try_acquire_owned().ok()?;
        Some(Place { networks: None, _permit: permit })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How many connections each client network holds.
type Networks = Arc<Mutex<HashMap<ipnet::IpNet, usize>>>;

/// The place of one connection; given back when it is dropped.
pub struct Place {
    networks: Option<(Networks, ClientNetwork)>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((networks, client)) = &self.networks else { return };
        let mut networks = lock(networks);
        for network in client.networks() {
            if let Some(count) = networks.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    networks.remove(&network);
                }
            }
        }
    }
}

/// Accepts connections and serves each in a task of its own, until told to stop; then waits for those under way.
pub async fn run<F, Served>(listener: TcpListener, gate: Gate, stop: CancellationToken, serve: F)
where
    F: Fn(TcpStream, SocketAddr, Place) -> Served,
    Served: Future<Output = ()> + Send + 'static,
{
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = gate.enter(peer.ip()) else {
                    tracing::debug!(%peer, "too many connections: one was closed");
                    continue;
                };
                prepare(&stream);
                connections.spawn(serve(stream, peer, place));
            }
            Err(error) => {
                // Out of file descriptors, most likely: some will be free again in a moment.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn prepare(stream: &TcpStream) {
    // Small answers must not wait for more: the way from a change to a host is counted in milliseconds.
    let _ = stream.set_nodelay(true);
    let milliseconds = TAKES_NOTHING.as_millis() as libc::c_uint;
    // SAFETY: the descriptor is open as long as the stream is, and the option is one unsigned number.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            (&raw const milliseconds).cast(),
            size_of::<libc::c_uint>() as libc::socklen_t,
        );
    }
}

/// Serves HTTP/1.1 on one connection.  `head` is the wait from the connection's beginning, or the end of one answer, to
/// the end of the next request's head.
pub async fn serve<IO>(
    io: IO,
    peer: SocketAddr,
    router: axum::Router,
    note: impl Fn(&mut axum::http::Extensions) + Clone + Send + Sync + 'static,
    head: Duration,
    stop: CancellationToken,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = tower::service_fn(move |request: axum::http::Request<hyper::body::Incoming>| {
        let mut request: Request = request.map(|body| axum::body::Body::new(Paced::new(body)));
        note(request.extensions_mut());
        tower::ServiceExt::oneshot(router.clone(), request)
    });
    // Not the builder that finds the version out: it waits for the first bytes without end.
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head);
    let connection =
        builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(service)).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

/// A request's body that has to arrive.  Only the time counts in which we wait for the peer.
struct Paced<B> {
    body: B,
    patience: Duration,
    bytes: u64,
    waited: Duration,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

#[derive(Debug, thiserror::Error)]
#[error("the body of the request arrived too slowly")]
pub struct TooSlow;

impl<B> Paced<B> {
    fn new(body: B) -> Self {
        Self { body, patience: BODY_PATIENCE, bytes: 0, waited: Duration::ZERO, waiting: None }
    }

    fn allowed(&self) -> Duration {
        self.patience + Duration::from_secs(self.bytes / BODY_BYTES_PER_SECOND)
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<axum::BoxError>,
{
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                if let Some((since, _)) = self.waiting.take() {
                    self.waited += since.elapsed();
                }
                let Some(frame) = frame else { return Poll::Ready(None) };
                let frame = match frame {
                    Ok(frame) => frame,
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                };
                self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Pending => {
                let left = self.allowed().saturating_sub(self.waited);
                let (_, sleep) =
                    self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
                ready!(sleep.as_mut().poll(context));
                Poll::Ready(Some(Err(TooSlow.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_gets_a_share_of_the_places() {
        let gate = Gate::new(10_000, Some(3));
        let mut held: Vec<_> = (1..=3u8).map(|_| gate.enter(ip("192.0.2.1")).unwrap()).collect();
        assert!(gate.enter(ip("192.0.2.1")).is_none() && gate.enter(ip("::ffff:192.0.2.1")).is_none());
        assert!(gate.enter(ip("192.0.2.2")).is_some());
        held.pop();
        assert!(gate.enter(ip("192.0.2.1")).is_some(), "what was left is free again");
        // All addresses of a /64 are one client, and a /48 is four.
        let v6: Vec<_> = (0..20).filter_map(|n| gate.enter(ip(&format!("2001:db8:1:1::{n:x}")))).collect();
        assert_eq!(v6.len(), 3);
        let wide: Vec<_> = (2..40).filter_map(|n| gate.enter(ip(&format!("2001:db8:1:{n:x}::1")))).collect();
        assert_eq!(wide.len(), 9);
        assert!(gate.enter(ip("2001:db8:2::1")).is_some());
        drop((held, v6, wide));
        assert!(lock(&gate.networks).is_empty(), "nothing is remembered of who left");
    }

    #[test]
    fn no_place_is_given_that_is_not_there() {
        let gate = Gate::new(0, None);
        let held: Vec<_> = (0..100).filter_map(|_| gate.enter(ip("192.0.2.1"))).collect();
        assert_eq!(held.len(), 64);
    }

    #[tokio::test]
    async fn a_body_arrives_or_ends() {
        let drops = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(90)).await;
            Some((Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        // Boxed, because the stream of a socket can be moved as well.
        let patience = Duration::from_millis(300);
        let body = Paced { patience, ..Paced::new(StreamBody::new(Box::pin(drops))) };
        let begun = Instant::now();
        let error = body.collect().await.unwrap_err();
        assert!(error.is::<TooSlow>(), "{error}");
        let waited = begun.elapsed();
        assert!(waited >= patience && waited < patience + Duration::from_secs(5), "{waited:?}");
    }
}
