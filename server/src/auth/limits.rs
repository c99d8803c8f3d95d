//! Limits on attempts, counted in Postgres so that every replica sees them.

use crate::error::{Error, Result};
use sqlx::PgPool;

/// So many attempts in a window of so many seconds.
#[derive(Clone, Copy, Debug)]
pub struct AttemptLimit {
    pub attempts: i32,
    pub seconds: i64,
}

/// Failed and successful sign-ins to one account.
pub const SIGN_IN: AttemptLimit = AttemptLimit { attempts: 10, seconds: 900 };
/// Sign-ins from one address, to any account.
pub const SIGN_IN_ADDRESS: AttemptLimit = AttemptLimit { attempts: 60, seconds: 900 };
/// Accounts made from one address.
pub const SIGN_UP: AttemptLimit = AttemptLimit { attempts: 20, seconds: 3600 };
/// Mails that one account can make us send.
pub const MAIL: AttemptLimit = AttemptLimit { attempts: 5, seconds: 3600 };
/// Second-factor codes tried for one account.
pub const SECOND_FACTOR: AttemptLimit = AttemptLimit { attempts: 10, seconds: 900 };

/// Counts an attempt, and fails with the seconds to wait when there were too many.
///
/// One statement, so that a hundred attempts at once count as a hundred.
pub async fn count(pool: &PgPool, key: &str, limit: AttemptLimit) -> Result<()> {
    let row = sqlx::query!(
        "INSERT INTO attempt_limits AS existing (key, window_start, attempts) VALUES ($1, now(), 1) \
         ON CONFLICT (key) DO UPDATE SET \
         attempts = CASE WHEN existing.window_start < now() - make_interval(secs => $2) THEN 1 ELSE existing.attempts + 1 END, \
         window_start = CASE WHEN existing.window_start < now() - make_interval(secs => $2) THEN now() ELSE existing.window_start END \
         RETURNING attempts, \
         extract(epoch FROM window_start + make_interval(secs => $2) - now())::bigint AS \"wait!\"",
        key,
        limit.seconds as f64,
    )
    .fetch_one(pool)
    .await?;
    if row.attempts > limit.attempts {
        return Err(Error::TooMany { retry_after: row.wait.max(1).unsigned_abs() });
    }
    Ok(())
}

/// Forgets the attempts: the right person came in.
pub async fn clear(pool: &PgPool, key: &str) -> Result<()> {
    sqlx::query!("DELETE FROM attempt_limits WHERE key = $1", key).execute(pool).await?;
    Ok(())
}
