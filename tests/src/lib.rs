//! What the integration tests stand on: a private Postgres that dies with the test process, a real
//! server on a fresh database, and clients that speak to it as people and programs do.

pub mod agent;
pub mod bench;
pub mod cgroup;
pub mod client;
pub mod console;
pub mod customer;
pub mod disk;
pub mod guest;
pub mod images;
pub mod in_force;
pub mod pace;
pub mod payments;
pub mod platform;
pub mod postgres;
pub mod stack;

pub use client::{Answer, Api, Client};
pub use platform::Platform;
pub use stack::{Guests, Host, Stack};

use std::future::Future;
use std::time::{Duration, Instant};

/// Waits until `condition` gives a value, looking every 50 ms, and fails the test after `limit`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
