use crate::db::Tx;
use crate::ids::UserId;
use sqlx::PgPool;
use time::OffsetDateTime;

/// The names of the topics that somebody muted.
pub async fn muted(tx: &mut Tx, user: UserId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!("SELECT topic FROM muted_topics WHERE user_id = $1", user.uuid())
        .fetch_all(&mut **tx)
        .await
}

/// Exactly these.
pub async fn set_muted(tx: &mut Tx, user: UserId, topics: &[String]) -> sqlx::Result<()> {
    // Two choices at once: the second waits, and is what stands.
    sqlx::query!("SELECT FROM users WHERE id = $1 FOR UPDATE", user.uuid()).fetch_one(&mut **tx).await?;
    sqlx::query!("DELETE FROM muted_topics WHERE user_id = $1", user.uuid()).execute(&mut **tx).await?;
    sqlx::query!(
        "INSERT INTO muted_topics (user_id, topic) SELECT $1, unnest($2::text[])",
        user.uuid(),
        topics,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A mail as its reader sees it.
pub struct Sent {
    pub subject: String,
    pub created_at: OffsetDateTime,
    pub sent_at: Option<OffsetDateTime>,
}

pub async fn recent(pool: &PgPool, email: &str) -> sqlx::Result<Vec<Sent>> {
    sqlx::query_as!(
        Sent,
        "SELECT subject, created_at, sent_at FROM mail_outbox WHERE recipient = $1 \
         ORDER BY created_at DESC LIMIT 20",
        email,
    )
    .fetch_all(pool)
    .await
}
