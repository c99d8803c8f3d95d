use crate::db::Tx;
use crate::ids::MailId;
use sqlx::PgPool;

pub async fn insert(
    tx: &mut Tx,
    id: MailId,
    kind: &str,
    recipient: &str,
    subject: &str,
    body: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO mail_outbox (id, kind, recipient, subject, body) VALUES ($1, $2, $3, $4, $5)",
        id.uuid(),
        kind,
        recipient,
        subject,
        body,
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
    pub body: String,
    pub attempts: i32,
}

/// Leases one mail that is due: until the lease ends nobody else takes it.  The attempt is counted
/// here, so that one that takes the process down with it counts as well.
pub async fn lease(pool: &PgPool, lease_seconds: f64) -> sqlx::Result<Option<DueMail>> {
    let row = sqlx::query!(
        "UPDATE mail_outbox SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $1) \
         WHERE id = (SELECT id FROM mail_outbox WHERE sent_at IS NULL AND abandoned_at IS NULL \
           AND next_attempt_at <= now() ORDER BY next_attempt_at LIMIT 1 FOR UPDATE SKIP LOCKED) \
         RETURNING id, recipient, subject, body, attempts",
        lease_seconds,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| DueMail {
        id: row.id.into(),
        recipient: row.recipient,
        subject: row.subject,
        body: row.body,
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
