use crate::db::Tx;
use crate::ids::MailId;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

pub struct MailRow {
    pub id: MailId,
    pub recipient: String,
    pub subject: String,
    /// The body without what opens something, sealed; absent once it was removed.
    pub shown_sealed: Option<Vec<u8>>,
    pub kind: String,
    pub created_at: OffsetDateTime,
    pub next_attempt_at: OffsetDateTime,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub sent_at: Option<OffsetDateTime>,
    pub abandoned_at: Option<OffsetDateTime>,
}

impl MailRow {
    pub fn state(&self) -> &'static str {
        match self {
            Self { sent_at: Some(_), .. } => "sent",
            Self { abandoned_at: Some(_), .. } => "abandoned",
            _ => "waiting",
        }
    }
}

/// Newest first.  `state` is `waiting`, `sent`, `abandoned` or empty for all; `search` is part of the
/// recipient's address.
pub async fn list(
    pool: &PgPool,
    search: &str,
    state: &str,
    after: Option<MailId>,
    limit: i64,
) -> sqlx::Result<Vec<MailRow>> {
    sqlx::query_as!(
        MailRow,
        "SELECT id, recipient, subject, shown_sealed, kind, created_at, next_attempt_at, attempts, last_error, sent_at, \
         abandoned_at FROM mail_outbox WHERE ($1 = '' OR strpos(recipient, $1) > 0) \
         AND ($2 = '' OR $2 = CASE WHEN sent_at IS NOT NULL THEN 'sent' WHEN abandoned_at IS NOT NULL THEN 'abandoned' \
             ELSE 'waiting' END) \
         AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        search.to_ascii_lowercase(),
        state,
        after.map(MailId::uuid),
        limit,
    )
    .fetch_all(pool)
    .await
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: MailId) -> sqlx::Result<Option<MailRow>> {
    sqlx::query_as!(
        MailRow,
        "SELECT id, recipient, subject, shown_sealed, kind, created_at, next_attempt_at, attempts, last_error, sent_at, \
         abandoned_at FROM mail_outbox WHERE id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await
}

/// Puts a mail back into the queue, sent or not; false when its body was removed meanwhile.
pub async fn retry(tx: &mut Tx, id: MailId) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "UPDATE mail_outbox SET next_attempt_at = now(), attempts = 0, sent_at = NULL, abandoned_at = NULL \
         WHERE id = $1 AND (body_sealed IS NOT NULL OR body IS NOT NULL)",
        id.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(result.rows_affected() > 0)
}
