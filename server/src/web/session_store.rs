//! Sessions in Postgres.
//!
//! Three differences from the usual store: the table keeps a hash of the id, so that reading it lets
//! nobody in; saving only updates, so that a request that was under way while its session was
//! signed out cannot bring it back; and the user stands in a column, for 'sign out everywhere'.
//! Sessions are made at sign-in only: an anonymous visitor writes nothing.

use crate::auth::{SESSION_USER, SessionUser};
use crate::db::Db;
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result, SessionStore};

#[derive(Clone, Debug)]
pub struct PostgresSessions {
    db: Db,
}

impl PostgresSessions {
    pub const fn new(db: Db) -> Self {
        Self { db }
    }
}

/// What the table knows a session by.
pub fn id_hash(id: Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

/// Sessions end after so many days without a visit.
const INACTIVE_DAYS: i32 = 14;
/// And after so many days in any case: whoever copied a cookie does not keep it alive for ever by visiting.
pub const LONGEST_DAYS: i32 = 30;

/// Notes a visit, every few minutes, and moves the end of the session with it.
///
/// It touches neither the session's data nor its cookie: of two requests at once, one that only
/// notes the visit must not undo what the other one changed.
pub async fn touch(pool: &PgPool, id: Id) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sessions SET last_seen_at = now(), \
         expires_at = least(now() + make_interval(days => $2), created_at + make_interval(days => $3)) \
         WHERE id_hash = $1 AND last_seen_at < now() - interval '5 minutes'",
        id_hash(id),
        INACTIVE_DAYS,
        LONGEST_DAYS,
    )
    .execute(pool)
    .await?;
    Ok(())
}

fn user_of(record: &Record) -> Option<SessionUser> {
    let user = record.data.get(SESSION_USER)?;
    serde_json::from_value(user.clone()).ok()
}

fn encode(record: &Record) -> Result<serde_json::Value> {
    serde_json::to_value(&record.data).map_err(|error| Error::Encode(error.to_string()))
}

fn backend(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}

#[async_trait]
impl SessionStore for PostgresSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let user = user_of(record);
        loop {
            let created = sqlx::query!(
                "INSERT INTO sessions (id_hash, user_id, data, created_at, expires_at) \
                 SELECT $1, $2, $3, began, least(now() + make_interval(days => $5), began + make_interval(days => $6)) \
                 FROM coalesce(to_timestamp($4::double precision), now()) AS began ON CONFLICT DO NOTHING",
                id_hash(record.id),
                user.map(|user| user.user_id.uuid()),
                encode(record)?,
                // A session that gets another id goes on, and is no new one.
                user.map(|user| user.signed_in_at as f64),
                INACTIVE_DAYS,
                LONGEST_DAYS,
            )
            .execute(self.db.platform())
            .await
            .map_err(backend)?;
            if created.rows_affected() == 1 {
                return Ok(());
            }
            // 128 random bits that are taken already: a broken random source would loop here for
            // ever, which beats handing one session to two people.
            record.id = Id::default();
        }
    }

    async fn save(&self, record: &Record) -> Result<()> {
        sqlx::query!(
            "UPDATE sessions SET user_id = $2, data = $3, last_seen_at = now(), \
             expires_at = least(now() + make_interval(days => $4), created_at + make_interval(days => $5)) \
             WHERE id_hash = $1",
            id_hash(record.id),
            user_of(record).map(|user| user.user_id.uuid()),
            encode(record)?,
            INACTIVE_DAYS,
            LONGEST_DAYS,
        )
        .execute(self.db.platform())
        .await
        .map_err(backend)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let row = sqlx::query!(
            "SELECT data, expires_at FROM sessions WHERE id_hash = $1 AND expires_at > now() \
             AND created_at > now() - make_interval(days => $2)",
            id_hash(*id),
            LONGEST_DAYS,
        )
        .fetch_optional(self.db.platform())
        .await
        .map_err(backend)?;
        row.map(|row| {
            let data = serde_json::from_value(row.data).map_err(|error| Error::Decode(error.to_string()))?;
            Ok(Record { id: *id, data, expiry_date: row.expires_at })
        })
        .transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        sqlx::query!("DELETE FROM sessions WHERE id_hash = $1", id_hash(*id))
            .execute(self.db.platform())
            .await
            .map_err(backend)?;
        Ok(())
    }
}
