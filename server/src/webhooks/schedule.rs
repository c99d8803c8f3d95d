//! When an endpoint that did not accept a message is asked again: the waits that Standard Webhooks recommends.

use std::time::Duration;

/// Seconds after the first attempt, the second, and so on: ten attempts over a little more than three days.
const WAITS: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Attempts of one series.
pub const ATTEMPTS: i32 = WAITS.len() as i32 + 1;

/// A wait is longer by up to this part of it, so that what failed together does not come again together.
const JITTER: f64 = 0.1;

/// How long to wait after so many failed attempts; absent when it was the last.  `chance` is from 0 to 1.
pub fn wait(attempts: i32, chance: f64) -> Option<Duration> {
    let index = usize::try_from(attempts - 1).unwrap_or(0);
    let wait = Duration::from_secs(*WAITS.get(index)?);
    Some(wait.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_and_end(chances in proptest::collection::vec(0.0f64..=1.0, 9), beyond in 10i32..) {
            let waits: Vec<Duration> =
                (1..ATTEMPTS).zip(&chances).map(|(attempts, chance)| wait(attempts, *chance).unwrap()).collect();
            // Whatever the chance, each is longer than the one before, and at least what it says.
            prop_assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
            for (wait, least) in waits.iter().zip(WAITS) {
                prop_assert!(wait.as_secs_f64() >= least as f64 && wait.as_secs_f64() <= least as f64 * 1.1001);
            }
            let all: f64 = waits.iter().map(Duration::as_secs_f64).sum();
            prop_assert!((75.0 * 3600.0..84.0 * 3600.0).contains(&all), "{all} seconds");
            prop_assert_eq!(wait(beyond, chances[0]), None);
        }

        #[test]
        fn no_number_is_too_strange(attempts in any::<i32>(), chance in any::<f64>()) {
            let least = if attempts < ATTEMPTS { Some(Duration::from_secs(5)) } else { None };
            prop_assert!(wait(attempts, chance) >= least);
        }
    }
}
