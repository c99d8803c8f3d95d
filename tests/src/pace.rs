//! How fast this machine is, so that limits of tests follow what it can do.

use sha2::{Digest, Sha256};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// What hashing [`MIB`] takes on the machine on which the limits were chosen.
const USUAL: Duration = Duration::from_millis(110);
const MIB: usize = 32;
/// A machine that is slower still is asked too much, whatever the limits.
const SLOWEST: f64 = 8.0;

/// How many times longer this machine takes than the usual one: at least 1, measured once a process.
pub fn slowness() -> f64 {
    static MEASURED: OnceLock<f64> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        let block = vec![0_u8; 1 << 20];
        let start = Instant::now();
        let mut hash = Sha256::new();
        (0..MIB).for_each(|_| hash.update(&block));
        std::hint::black_box(hash.finalize());
        (start.elapsed().as_secs_f64() / USUAL.as_secs_f64()).clamp(1.0, SLOWEST)
    })
}

/// A limit for something that the processor does, on this machine.
pub fn within(usual: Duration) -> Duration {
    usual.mul_f64(slowness())
}
