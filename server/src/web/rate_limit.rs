//! How fast the server may be asked.
//!
//! Counted in this replica's memory: it protects the server, and no promise hangs on the exact number.  Of the API each
//! token has its own allowance, and each network a larger one, because anybody can invent any number of tokens.  Of
//! everything else each device that somebody has signed in with has one, and each network has one for all its
//! strangers.  Nothing is asked of the database before.
//!
//! A refusal to a stranger comes late: whoever sends as fast as they are answered slows down by it, and it costs
//! no more than a timer.

use super::client::{ClientNetwork, client_ip};
use super::errors;
use super::language::Language;
use crate::auth::{bearer, device};
use crate::error::Error;
use crate::state::App;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// A burst of three seconds' worth: a page that loads several lists at once is no attack.
const BURST_SECONDS: u32 = 3;
/// One network may hold several clients of the API.
const ADDRESS_FACTOR: u32 = 5;
/// A page comes with its assets the first time, and an office comes at nine o'clock.
const PAGE_BURST_SECONDS: u32 = 10;
/// An IPv6 /48 may do so many times what one /64 may.
const WIDE_FACTOR: u32 = 4;
/// So often, forgotten clients are removed from memory; that many are remembered at most, and some that are recent.
const SWEEP_EVERY: u32 = 10_000;
/// How late a refusal comes, and how many may be on their way; the others come at once.
const REFUSAL_DELAY: Duration = Duration::from_millis(500);
static LATE_REFUSALS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2048));

/// A limiter for each key that was seen lately.
struct Keyed<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self { limiter: RateLimiter::keyed(quota), clock: DefaultClock::default(), asked: AtomicU32::new(0) }
    }

    /// How long to wait, if there were too many.
    fn check(&self, key: &K) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

fn times(number: NonZeroU32, factor: u32) -> NonZeroU32 {
    number.saturating_mul(NonZeroU32::MIN.saturating_add(factor.saturating_sub(1)))
}

/// An allowance of each client network, and a larger one of each IPv6 /48.
pub struct NetworkLimits {
    each: Keyed<IpNet>,
    wide: Keyed<IpNet>,
}

impl NetworkLimits {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self {
            each: Keyed::new(per_second, burst),
            wide: Keyed::new(times(per_second, WIDE_FACTOR), times(burst, WIDE_FACTOR)),
        }
    }

    /// How long to wait, if there were too many.  The wider network is asked first, so that who has many of the narrow
    /// ones does not fill our memory with them.
    pub fn check(&self, client: ClientNetwork) -> Result<(), Duration> {
        if let Some(wide) = client.networks().nth(1) {
            self.wide.check(&wide)?;
        }
        self.each.check(&client.net())
    }

    /// The same for an address, or for all whose address is not known.
    pub fn check_address(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        self.check(ClientNetwork::of(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

/// Waits a moment before a refusal, where not too many do so already.
pub async fn be_late() {
    if let Ok(_place) = LATE_REFUSALS.try_acquire() {
        tokio::time::sleep(REFUSAL_DELAY).await;
    }
}

pub fn refusal(wait: Duration) -> Error {
    Error::TooMany { retry_after: wait.as_secs() + 1 }
}

pub struct ApiLimits {
    tokens: Keyed<Vec<u8>>,
    networks: NetworkLimits,
}

impl ApiLimits {
    pub fn new(per_second: NonZeroU32) -> Arc<Self> {
        let network = times(per_second, ADDRESS_FACTOR);
        Arc::new(Self {
            tokens: Keyed::new(per_second, times(per_second, BURST_SECONDS)),
            networks: NetworkLimits::new(network, times(network, BURST_SECONDS)),
        })
    }

    /// How long to wait, if there were too many requests.
    fn check(&self, token: Option<Vec<u8>>, address: Option<IpAddr>) -> Result<(), Duration> {
        self.networks.check_address(address)?;
        token.map_or(Ok(()), |token| self.tokens.check(&token))
    }
}

/// The layer around the API.
pub async fn limit(
    State((app, limits)): State<(App, Arc<ApiLimits>)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    // A hash, so that the limiter's memory holds no credentials.
    let token = bearer(&parts.headers).map(crate::secrets::token_hash);
    match limits.check(token, client_ip(&parts, app.config.trusted_proxies)) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(wait) => {
            be_late().await;
            refusal(wait).into_response()
        }
    }
}

/// Of everything but the API.
pub struct PageLimits {
    devices: Keyed<Uuid>,
    networks: NetworkLimits,
}

impl PageLimits {
    pub fn new(per_second: NonZeroU32) -> Arc<Self> {
        let burst = times(per_second, PAGE_BURST_SECONDS);
        Arc::new(Self {
            devices: Keyed::new(per_second, burst),
            networks: NetworkLimits::new(per_second, burst),
        })
    }

    fn check(&self, device: Option<Uuid>, address: Option<IpAddr>) -> Result<(), Duration> {
        match device {
            Some(device) => self.devices.check(&device),
            None => self.networks.check_address(address),
        }
    }
}

/// The layer around pages, forms, assets and notifications.  It stands outside of sessions and of the frame of error
/// pages, which ask the database: its refusal is a page of its own.
pub async fn limit_pages(
    State((app, limits)): State<(App, Arc<PageLimits>)>,
    request: Request,
    next: Next,
) -> Response {
    // What matches no call of the API is no page either, but costs one.
    let api = request.extensions().get::<MatchedPath>().is_some_and(|path| {
        path.as_str().starts_with("/api/") || path.as_str().starts_with(crate::auth::billing_system::PATH)
    });
    if api {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let address = client_ip(&parts, app.config.trusted_proxies);
    match limits.check(device::of(&app, &parts.headers), address) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(wait) => {
            be_late().await;
            let language = parts.extensions.get::<Language>().copied().unwrap_or_default();
            plain_page(&refusal(wait), language)
        }
    }
}

/// An error as a page without anything around it; its words are ours and hold nothing of the request.
fn plain_page(error: &Error, language: Language) -> Response {
    let (title, detail) = errors::words(error, language);
    let page = format!(
        "<!doctype html><html lang=\"{}\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{detail}</p></html>",
        language.code(),
    );
    let mut response = (error.status(), Html(page)).into_response();
    if let Error::TooMany { retry_after } = error {
        response.headers_mut().insert(RETRY_AFTER, (*retry_after).into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn each_token_has_its_own_allowance() {
        let limits = ApiLimits::new(number(20));
        let here = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..60 {
            limits.check(Some(vec![1]), here).unwrap();
        }
        assert!(limits.check(Some(vec![1]), here).is_err());
        assert!(limits.check(Some(vec![2]), here).is_ok());
    }

    #[test]
    fn inventing_tokens_does_not_help() {
        let limits = ApiLimits::new(number(20));
        let here = Some(IpAddr::from([192, 0, 2, 1]));
        let refused =
            (0..400u32).filter(|n| limits.check(Some(n.to_be_bytes().to_vec()), here).is_err()).count();
        assert!((50..=100).contains(&refused), "{refused}");
    }

    #[test]
    fn strangers_of_a_network_share_and_a_known_device_has_its_own() {
        let limits = PageLimits::new(number(1));
        let address = |last: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]));
        let passed = (0..50).filter(|n| limits.check(None, address(*n)).is_ok()).count();
        assert!((10..=11).contains(&passed), "{passed}");
        assert!(limits.check(Some(Uuid::from_u128(1)), address(1)).is_ok(), "a known device");
    }

    #[test]
    fn a_network_of_many_networks_has_an_end() {
        let limits = NetworkLimits::new(number(1), number(5));
        let subnet = |n: u16| ClientNetwork::of(IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]));
        let passed = (0..1000).filter(|n| limits.check(subnet(*n)).is_ok()).count();
        assert!((20..=24).contains(&passed), "{passed}");
        assert!(limits.each.limiter.len() <= 24, "and so has what is remembered");
    }
}
