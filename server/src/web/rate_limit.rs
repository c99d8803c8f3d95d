//! How fast the API may be asked.
//!
//! Counted in this replica's memory: it protects the server, and no promise hangs on the exact
//! number.  Each token has its own allowance, and each address a larger one, because anybody can
//! invent any number of tokens.

use super::client::client_ip;
use crate::auth::bearer;
use crate::error::Error;
use crate::state::App;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A burst of three seconds' worth: a page that loads several lists at once is no attack.
const BURST_SECONDS: u32 = 3;
/// One address may hold several clients.
const ADDRESS_FACTOR: u32 = 5;
/// So often, forgotten clients are removed from memory.
const SWEEP_EVERY: u32 = 10_000;

pub struct ApiLimits {
    tokens: DefaultKeyedRateLimiter<Vec<u8>>,
    addresses: DefaultKeyedRateLimiter<Option<IpAddr>>,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl ApiLimits {
    pub fn new(per_second: NonZeroU32) -> Arc<Self> {
        let quota = |factor: u32| {
            let rate = per_second.saturating_mul(NonZeroU32::MIN.saturating_add(factor - 1));
            Quota::per_second(rate)
                .allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1)))
        };
        Arc::new(Self {
            tokens: RateLimiter::keyed(quota(1)),
            addresses: RateLimiter::keyed(quota(ADDRESS_FACTOR)),
            clock: DefaultClock::default(),
            asked: AtomicU32::new(0),
        })
    }

    /// How long to wait, if there were too many requests.
    fn check(&self, token: Option<Vec<u8>>, address: Option<IpAddr>) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.tokens.retain_recent();
            self.addresses.retain_recent();
        }
        let now = self.clock.now();
        self.addresses.check_key(&address).map_err(|until| until.wait_time_from(now))?;
        if let Some(token) = token {
            self.tokens.check_key(&token).map_err(|until| until.wait_time_from(now))?;
        }
        Ok(())
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
        Err(wait) => Error::TooMany { retry_after: wait.as_secs() + 1 }.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_own_allowance() {
        let limits = ApiLimits::new(NonZeroU32::new(20).unwrap());
        let here = Some(IpAddr::from([192, 0, 2, 1]));
        for _ in 0..60 {
            limits.check(Some(vec![1]), here).unwrap();
        }
        assert!(limits.check(Some(vec![1]), here).is_err());
        assert!(limits.check(Some(vec![2]), here).is_ok());
    }

    #[test]
    fn inventing_tokens_does_not_help() {
        let limits = ApiLimits::new(NonZeroU32::new(20).unwrap());
        let here = Some(IpAddr::from([192, 0, 2, 1]));
        let refused =
            (0..400u32).filter(|n| limits.check(Some(n.to_be_bytes().to_vec()), here).is_err()).count();
        assert!((50..=100).contains(&refused), "{refused}");
    }
}
