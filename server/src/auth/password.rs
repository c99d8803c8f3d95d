//! Passwords: Argon2id, hashed off the async threads and a few at a time.

use crate::error::{Error, FieldError};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

pub const MIN_LENGTH: usize = 10;
/// Argon2 would hash a novel; nobody types one.
pub const MAX_LENGTH: usize = 256;

/// 64 MiB, three passes: OWASP's recommendation with room to spare.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// How many hashes are computed at the same time, by who asks.  Each takes 64 MiB and a processor, and people who are
/// known must not wait behind those who are not.
struct Places {
    hashing: Semaphore,
    /// Those under way and those that wait.
    all: Semaphore,
    patience: Duration,
}

/// So many may wait for each place.
const QUEUE: usize = 16;
/// And so long; whoever would wait longer tries again later.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY_AFTER: u64 = 10;

impl Places {
    fn new(count: usize) -> Self {
        Self { hashing: Semaphore::new(count), all: Semaphore::new(count * (QUEUE + 1)), patience: PATIENCE }
    }

    async fn take(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Error> {
        let busy = || Error::Busy { retry_after: RETRY_AFTER };
        let queued = self.all.try_acquire().map_err(|_| busy())?;
        let place = tokio::time::timeout(self.patience, self.hashing.acquire()).await.map_err(|_| busy())?;
        Ok((queued, place.map_err(anyhow::Error::from)?))
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// For people who are signed in, or sign in with a device that they have signed in with before.
static KNOWN: LazyLock<Places> = LazyLock::new(|| Places::new(processors().clamp(2, 4)));
/// For sign-ins from anywhere else.
static STRANGERS: LazyLock<Places> = LazyLock::new(|| Places::new((processors() / 2).clamp(1, 2)));
/// For new passwords: sign-ups and resets.
static NEW: LazyLock<Places> = LazyLock::new(|| Places::new((processors() / 2).clamp(1, 2)));

static ARGON2: LazyLock<Argon2<'static>> = LazyLock::new(|| {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).expect("constant parameters are valid");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
});

/// A hash of no password: verifying against it takes as long as against a real one, so that the
/// time of an answer does not tell whether an account exists.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now(&crate::secrets::random_token()));

pub fn check_new(field: &str, password: &str) -> Result<(), FieldError> {
    let length = password.chars().count();
    if length < MIN_LENGTH {
        return Err(FieldError::new(field, "password-too-short").with("min", MIN_LENGTH));
    }
    if password.len() > MAX_LENGTH {
        return Err(FieldError::new(field, "password-too-long").with("max", MAX_LENGTH));
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) {
        return Err(FieldError::new(field, "password-too-simple"));
    }
    Ok(())
}

fn hash_now(password: &str) -> String {
    ARGON2.hash_password(password.as_bytes()).expect("hashing fails only on invalid parameters").to_string()
}

/// Hashes a new password.  Whatever can be refused without is to be refused before.
pub async fn hash(password: String) -> Result<String, Error> {
    let _places = NEW.take().await?;
    Ok(tokio::task::spawn_blocking(move || hash_now(&password)).await.map_err(anyhow::Error::from)?)
}

/// Whether the password is the one that was hashed; with no hash, takes the same time and says no.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool, Error> {
    verify_at(&KNOWN, password, hash).await
}

/// The same for somebody of whom nothing is known.
pub async fn verify_stranger(password: String, hash: Option<String>) -> Result<bool, Error> {
    verify_at(&STRANGERS, password, hash).await
}

async fn verify_at(places: &Places, password: String, hash: Option<String>) -> Result<bool, Error> {
    if password.len() > MAX_LENGTH {
        return Ok(false);
    }
    let _places = places.take().await?;
    let right = tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        ARGON2.verify_password(password.as_bytes(), hash.as_str()).is_ok() && known
    });
    Ok(right.await.map_err(anyhow::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_place_without_end() {
        let places = Places { patience: Duration::from_millis(200), ..Places::new(1) };
        let held = places.take().await.unwrap();
        let outcome = async || {
            let begun = std::time::Instant::now();
            (matches!(places.take().await, Err(Error::Busy { .. })), begun.elapsed())
        };
        let all = futures::future::join_all((0..QUEUE + 5).map(|_| outcome())).await;
        assert!(all.iter().all(|(busy, _)| *busy));
        let waited = all.iter().filter(|(_, time)| *time >= places.patience).count();
        assert_eq!(waited, QUEUE, "those in the queue; the others hear at once");
        drop(held);
        drop(places.take().await.unwrap());
    }
}
