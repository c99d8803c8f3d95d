//! Limits on attempts, counted in Postgres so that every replica sees them.
//!
//! Addresses are counted by [`ClientNetwork`].  What belongs to an account is counted apart for strangers and for devices
//! that have signed in to it before: strangers get slower and slower, and take nothing from a known device.

use crate::error::{Error, Result};
use crate::web::client::ClientNetwork;
use sqlx::PgPool;
use std::net::IpAddr;

/// So many attempts in a window of so many seconds.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimit {
    pub attempts: i32,
    pub seconds: i64,
}

/// Attempts that come ever more slowly: so many are free, and after each further one the wait doubles, from four
/// seconds to `longest`.  After an hour without an attempt all is forgotten.
#[derive(Clone, Copy, Debug)]
pub struct Slowdown {
    pub free: i32,
    /// Seconds.
    pub longest: i32,
}

/// Sign-ins to one account from one known device.
pub const SIGN_IN_DEVICE: AttemptLimit = AttemptLimit { attempts: 10, seconds: 900 };
/// Sign-ins to one account by strangers: of one network, and of all together.
pub const SIGN_IN: Slowdown = Slowdown { free: 10, longest: 900 };
pub const SIGN_IN_ALL: Slowdown = Slowdown { free: 40, longest: 60 };
/// Sign-ins from one network, to any account.
pub const SIGN_IN_ADDRESS: AttemptLimit = AttemptLimit { attempts: 60, seconds: 900 };
/// Accounts made from one network, and mails asked for from there.
pub const SIGN_UP: AttemptLimit = AttemptLimit { attempts: 20, seconds: 3600 };
/// Mails to one account: for one known device of its owner's or somebody whom we know, for strangers of one network, and
/// for all strangers together.
pub const MAIL: AttemptLimit = AttemptLimit { attempts: 5, seconds: 3600 };
pub const MAIL_STRANGER: AttemptLimit = AttemptLimit { attempts: 3, seconds: 3600 };
pub const MAIL_STRANGERS: AttemptLimit = AttemptLimit { attempts: 9, seconds: 3600 };
/// Second-factor codes tried by somebody who is signed in, or with a known device.
pub const SECOND_FACTOR: AttemptLimit = AttemptLimit { attempts: 10, seconds: 900 };
/// Second-factor codes tried by strangers, who know the password: of one network, and of all together.
pub const SECOND_FACTOR_STRANGER: Slowdown = Slowdown { free: 10, longest: 900 };
pub const SECOND_FACTOR_ALL: Slowdown = Slowdown { free: 20, longest: 900 };

/// An IPv6 /48 may do so many times what one /64 may.
const WIDE_FACTOR: usize = 4;
/// Seconds without an attempt after which a slowdown is forgotten.
const QUIET: i32 = 3600;

/// Counts an attempt, and fails with the seconds to wait when there were too many.
///
/// One statement, so that a hundred attempts at once count as a hundred.
pub async fn count(pool: &PgPool, key: &str, limit: AttemptLimit) -> Result<()> {
    let row = sqlx::query!(
        "INSERT INTO attempt_limits AS existing (key, window_start, attempts, expires_at) \
         VALUES ($1, now(), 1, now() + make_interval(secs => $2)) \
         ON CONFLICT (key) DO UPDATE SET \
         attempts = CASE WHEN existing.window_start < now() - make_interval(secs => $2) THEN 1 \
             ELSE least(existing.attempts, 1000000) + 1 END, \
         window_start = CASE WHEN existing.window_start < now() - make_interval(secs => $2) THEN now() ELSE existing.window_start END, \
         expires_at = CASE WHEN existing.window_start < now() - make_interval(secs => $2) THEN now() ELSE existing.window_start END \
             + make_interval(secs => $2) \
         RETURNING attempts, \
         extract(epoch FROM window_start + make_interval(secs => $2) - now())::bigint AS \"wait!\"",
        key,
        limit.seconds as f64,
    )
    .fetch_one(pool)
    .await?;
    if row.attempts > limit.attempts {
        return Err(too_many(row.wait));
    }
    Ok(())
}

/// Counts an attempt of a network; one whose address is not known shares its allowance with all such.
pub async fn count_network(
    pool: &PgPool,
    what: &str,
    address: Option<IpAddr>,
    limit: AttemptLimit,
) -> Result<()> {
    let Some(address) = address else { return count(pool, &format!("{what}:unknown"), limit).await };
    let attempts = usize::try_from(limit.attempts).unwrap_or_default();
    for (network, most) in ClientNetwork::of(address).with_limits(attempts, WIDE_FACTOR) {
        let limit = AttemptLimit { attempts: i32::try_from(most).unwrap_or(i32::MAX), ..limit };
        count(pool, &format!("{what}:{network}"), limit).await?;
    }
    Ok(())
}

/// Counts an attempt that may come now, and fails with the seconds to wait where it comes too early.  What came too early
/// does not count, so that the wait has an end for who keeps trying.
pub async fn slow(pool: &PgPool, key: &str, limit: Slowdown) -> Result<()> {
    let taken = sqlx::query_scalar!(
        "INSERT INTO attempt_limits AS existing (key, window_start, attempts, not_before, expires_at) \
         VALUES ($1, now(), 1, now(), now() + make_interval(secs => $4)) \
         ON CONFLICT (key) DO UPDATE SET \
         attempts = CASE WHEN existing.expires_at < now() THEN 1 ELSE existing.attempts + 1 END, \
         window_start = now(), \
         not_before = now() + CASE WHEN existing.expires_at < now() OR existing.attempts + 1 < $2 THEN interval '0' \
             ELSE make_interval(secs => least($3, 2 ^ least(existing.attempts + 3 - $2, 20))) END, \
         expires_at = now() + make_interval(secs => $4) \
         WHERE existing.not_before <= now() OR existing.expires_at < now() RETURNING attempts",
        key,
        limit.free,
        f64::from(limit.longest),
        f64::from(QUIET),
    )
    .fetch_optional(pool)
    .await?;
    if taken.is_some() {
        return Ok(());
    }
    let wait = sqlx::query_scalar!(
        "SELECT ceil(extract(epoch FROM not_before - now()))::bigint AS \"wait!\" FROM attempt_limits WHERE key = $1",
        key,
    )
    .fetch_optional(pool)
    .await?;
    Err(too_many(wait.unwrap_or(1)))
}

fn too_many(wait: i64) -> Error {
    Error::TooMany { retry_after: wait.max(1).unsigned_abs() }
}

/// Forgets the attempts: the right person came in.
pub async fn clear(pool: &PgPool, key: &str) -> Result<()> {
    sqlx::query!("DELETE FROM attempt_limits WHERE key = $1", key).execute(pool).await?;
    Ok(())
}

/// Rows that counters may have, whatever is tried: some hundred bytes each.
const MOST_ROWS: i64 = 1_000_000;

/// Removes counters whose time is over; and the oldest, where there are still too many.
pub async fn prune(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM attempt_limits WHERE expires_at < now()").execute(pool).await?;
    sqlx::query!(
        "DELETE FROM attempt_limits WHERE key IN (SELECT key FROM attempt_limits ORDER BY expires_at \
             LIMIT greatest((SELECT count(*) FROM attempt_limits) - $1, 0))",
        MOST_ROWS,
    )
    .execute(pool)
    .await?;
    Ok(())
}
