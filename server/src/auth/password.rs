//! Passwords: Argon2id, hashed off the async threads and a few at a time.

use crate::error::{Error, FieldError};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::LazyLock;
use tokio::sync::Semaphore;

pub const MIN_LENGTH: usize = 10;
/// Argon2 would hash a novel; nobody types one.
pub const MAX_LENGTH: usize = 256;

/// 64 MiB, three passes: OWASP's recommendation with room to spare.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// Each hash takes 64 MiB: a flood of sign-ins must not take the server's memory.
static HASHING: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(4));

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

pub async fn hash(password: String) -> Result<String, Error> {
    let _permit = HASHING.acquire().await.map_err(anyhow::Error::from)?;
    Ok(tokio::task::spawn_blocking(move || hash_now(&password)).await.map_err(anyhow::Error::from)?)
}

/// Whether the password is the one that was hashed; with no hash, takes the same time and says no.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool, Error> {
    if password.len() > MAX_LENGTH {
        return Ok(false);
    }
    let _permit = HASHING.acquire().await.map_err(anyhow::Error::from)?;
    let right = tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        ARGON2.verify_password(password.as_bytes(), hash.as_str()).is_ok() && known
    });
    Ok(right.await.map_err(anyhow::Error::from)?)
}
