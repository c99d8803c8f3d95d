use crate::db::Tx;
use crate::ids::{PasskeyId, UserId};
use serde_json::Value;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

/// A passkey as its owner sees it.
pub struct Passkey {
    pub id: PasskeyId,
    pub name: String,
    pub created_at: OffsetDateTime,
    pub last_used_at: Option<OffsetDateTime>,
    /// From before the password was reset: it signs nobody in until its owner has confirmed it.
    pub unconfirmed: bool,
}

/// The oldest first.
pub async fn list(pool: &PgPool, user: UserId) -> sqlx::Result<Vec<Passkey>> {
    let rows = sqlx::query!(
        "SELECT id, name, created_at, last_used_at, unconfirmed_at IS NOT NULL AS \"unconfirmed!\" \
         FROM passkeys WHERE user_id = $1 ORDER BY id",
        user.uuid(),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Passkey {
            id: row.id.into(),
            name: row.name,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            unconfirmed: row.unconfirmed,
        })
        .collect())
}

/// What the authenticators of somebody call their passkeys.
pub async fn credential_ids(executor: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Vec<Vec<u8>>> {
    sqlx::query_scalar!("SELECT credential_id FROM passkeys WHERE user_id = $1", user.uuid())
        .fetch_all(executor)
        .await
}

/// Fails with the constraint `passkeys_credential_key` where it is known.  False when there are `max` of them.
pub async fn insert(
    tx: &mut Tx,
    user: UserId,
    name: &str,
    credential_id: &[u8],
    credential: &Value,
    max: i64,
) -> sqlx::Result<bool> {
    // Two at once must not both be the last.
    sqlx::query!("SELECT FROM users WHERE id = $1 FOR UPDATE", user.uuid()).fetch_one(&mut **tx).await?;
    let done = sqlx::query!(
        "INSERT INTO passkeys (id, user_id, name, credential_id, credential) SELECT $1, $2, $3, $4, $5 \
         WHERE (SELECT count(*) FROM passkeys WHERE user_id = $2) < $6",
        PasskeyId::new().uuid(),
        user.uuid(),
        name,
        credential_id,
        credential,
        max,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The confirmed passkey that an authenticator calls so, until the end of the transaction.
pub async fn lock(
    tx: &mut Tx,
    user: UserId,
    credential_id: &[u8],
) -> sqlx::Result<Option<(PasskeyId, Value)>> {
    let row = sqlx::query!(
        "SELECT id, credential FROM passkeys WHERE user_id = $1 AND credential_id = $2 \
         AND unconfirmed_at IS NULL FOR UPDATE",
        user.uuid(),
        credential_id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.id.into(), row.credential)))
}

/// Notes that a question was answered.  False when one that was asked at the same time or later was answered before.
pub async fn answered(
    tx: &mut Tx,
    id: PasskeyId,
    credential: &Value,
    asked_at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE passkeys SET credential = $2, asked_at = $3, last_used_at = now() WHERE id = $1 AND asked_at < $3",
        id.uuid(),
        credential,
        asked_at,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives its name; none where somebody has no such passkey, or it is confirmed already.
pub async fn confirm(tx: &mut Tx, user: UserId, id: PasskeyId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "UPDATE passkeys SET unconfirmed_at = NULL \
         WHERE user_id = $1 AND id = $2 AND unconfirmed_at IS NOT NULL RETURNING name",
        user.uuid(),
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Gives its name; none where somebody has no such passkey.
pub async fn remove(tx: &mut Tx, user: UserId, id: PasskeyId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "DELETE FROM passkeys WHERE user_id = $1 AND id = $2 RETURNING name",
        user.uuid(),
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await
}
