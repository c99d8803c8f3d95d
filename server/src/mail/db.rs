use crate::db::Tx;
use crate::ids::MailId;
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct NewMail<'a> {
    pub id: MailId,
    pub kind: &'a str,
    pub recipient: &'a str,
    pub subject: &'a str,
    /// What is sent.
    pub body_sealed: Vec<u8>,
    /// The same without what opens something.
    pub shown_sealed: Vec<u8>,
}

pub async fn insert(tx: &mut Tx, new: &NewMail<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO mail_outbox (id, kind, recipient, subject, body_sealed, shown_sealed) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        new.id.uuid(),
        new.kind,
        new.recipient,
        new.subject,
        new.body_sealed,
        new.shown_sealed,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn is_muted(tx: &mut Tx, recipient: &str, topic: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!("SELECT is_muted($1, $2) AS \"muted!\"", recipient, topic).fetch_one(&mut **tx).await
}

pub struct DueMail {
    pub id: MailId,
    pub recipient: String,
    pub subject: String,
    pub body_sealed: Vec<u8>,
    pub attempts: i32,
}

/// Leases one mail that is due: until the lease ends nobody else takes it.  The attempt is counted
/// here, so that one that takes the process down with it counts as well.
pub async fn lease(pool: &PgPool, lease_seconds: f64) -> sqlx::Result<Option<DueMail>> {
    let row = sqlx::query!(
        "UPDATE mail_outbox SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $1) \
         WHERE id = (SELECT id FROM mail_outbox WHERE sent_at IS NULL AND abandoned_at IS NULL \
           AND body_sealed IS NOT NULL AND next_attempt_at <= now() \
           ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED) \
         RETURNING id, recipient, subject, body_sealed AS \"body_sealed!\", attempts",
        lease_seconds,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| DueMail {
        id: row.id.into(),
        recipient: row.recipient,
        subject: row.subject,
        body_sealed: row.body_sealed,
        attempts: row.attempts,
    }))
}

pub async fn sent(pool: &PgPool, id: MailId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE mail_outbox SET sent_at = now(), last_error = NULL WHERE id = $1", id.uuid())
        .execute(pool)
        .await?;
    Ok(())
}

/// Notes a failure.  Without a time to wait the mail is given up.
pub async fn failed(pool: &PgPool, id: MailId, error: &str, wait_seconds: Option<f64>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_outbox SET last_error = $2, \
         next_attempt_at = now() + make_interval(secs => coalesce($3::double precision, 0)), \
         abandoned_at = CASE WHEN $3::double precision IS NULL THEN now() END WHERE id = $1",
        id.uuid(),
        error,
        wait_seconds,
    )
    .execute(pool)
    .await?;
    Ok(())
}

// Bodies ------------------------------------------------------------------------------------------

/// Gives up what was not sent for so many days.
pub async fn give_up_old(pool: &PgPool, days: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_outbox SET abandoned_at = now() WHERE sent_at IS NULL AND abandoned_at IS NULL \
         AND created_at < now() - make_interval(days => $1)",
        days,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes the bodies of mails that were sent or given up more than so many days ago.
pub async fn forget_bodies(pool: &PgPool, days: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_outbox SET body = NULL, body_sealed = NULL, shown_sealed = NULL \
         WHERE coalesce(sent_at, abandoned_at) < now() - make_interval(days => $1) \
         AND (body IS NOT NULL OR body_sealed IS NOT NULL OR shown_sealed IS NOT NULL)",
        days,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Some bodies that the release before wrote in plain text.
pub async fn plain_bodies(pool: &PgPool) -> sqlx::Result<Vec<(MailId, String)>> {
    let rows = sqlx::query!(
        "SELECT id, body AS \"body!\" FROM mail_outbox WHERE body IS NOT NULL ORDER BY id LIMIT 1000"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.body)).collect())
}

/// Puts the sealed body in the place of the plain one.
pub async fn seal(pool: &PgPool, id: MailId, body_sealed: &[u8]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE mail_outbox SET body = NULL, body_sealed = $2 WHERE id = $1 AND body IS NOT NULL",
        id.uuid(),
        body_sealed,
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub struct SealedMail {
    pub id: MailId,
    pub kind: String,
    pub recipient: String,
    pub subject: String,
    pub body_sealed: Vec<u8>,
    pub created_at: OffsetDateTime,
}

/// The newest mails that still have their body, to one address or to all.
pub async fn newest(pool: &PgPool, recipient: Option<&str>, limit: i64) -> sqlx::Result<Vec<SealedMail>> {
    sqlx::query_as!(
        SealedMail,
        "SELECT id, kind, recipient, subject, body_sealed AS \"body_sealed!\", created_at FROM mail_outbox \
         WHERE body_sealed IS NOT NULL AND ($1::text IS NULL OR recipient = $1) ORDER BY id DESC LIMIT $2",
        recipient,
        limit,
    )
    .fetch_all(pool)
    .await
}
