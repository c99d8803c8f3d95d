use crate::db::Tx;
use crate::ids::{DeliveryId, MessageId, WebhookId};
use crate::webhooks::Side;
use crate::webhooks::deliver::Outcome;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

/// A delivery that this replica is to try now.
pub struct Claimed {
    pub id: DeliveryId,
    pub message: MessageId,
    pub webhook: WebhookId,
    pub side: Side,
    pub url: String,
    pub body: String,
    pub probe: bool,
    /// With this one.
    pub attempts: i32,
    /// Sealed.
    pub secret: Vec<u8>,
    /// While it signs as well.
    pub old_secret: Option<Vec<u8>>,
}

/// Leases deliveries that are due: no more than `each` of an endpoint are under way in all replicas together.  The
/// attempt is counted here, so that one that takes the process down with it counts as well.
pub async fn claim(pool: &PgPool, limit: i64, each: i64, lease_seconds: f64) -> sqlx::Result<Vec<Claimed>> {
    let rows = sqlx::query!(
        "WITH due AS (SELECT waiting.id FROM webhook_endpoints AS endpoints CROSS JOIN LATERAL ( \
             SELECT id, next_attempt_at FROM webhook_deliveries \
             WHERE endpoint_id = endpoints.id AND state = 'pending' AND next_attempt_at <= now() \
               AND (leased_until IS NULL OR leased_until <= now()) AND (probe OR endpoints.disabled_at IS NULL) \
               AND (endpoints.token_id IS NULL OR token_works(endpoints.token_id)) \
             ORDER BY next_attempt_at LIMIT greatest(0, $2::bigint - (SELECT count(*) FROM webhook_deliveries AS leased \
                 WHERE leased.endpoint_id = endpoints.id AND leased.leased_until > now()))) AS waiting \
             ORDER BY waiting.next_attempt_at LIMIT $1), \
         taken AS (SELECT id FROM webhook_deliveries WHERE id = ANY (ARRAY(SELECT id FROM due)) AND state = 'pending' \
             AND (leased_until IS NULL OR leased_until <= now()) FOR UPDATE SKIP LOCKED) \
         UPDATE webhook_deliveries AS deliveries \
         SET attempts = attempts + 1, leased_until = now() + make_interval(secs => $3) \
         FROM webhook_messages AS messages, webhook_endpoints AS endpoints \
         WHERE deliveries.id = ANY (ARRAY(SELECT id FROM taken)) AND messages.id = message_id AND endpoints.id = endpoint_id \
         RETURNING deliveries.id, message_id, endpoint_id, endpoints.tenant_id, url, body, probe, attempts, secret, \
             CASE WHEN old_secret_until > now() THEN old_secret END AS old_secret",
        limit,
        each,
        lease_seconds,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claimed {
            id: row.id.into(),
            message: row.message_id.into(),
            webhook: row.endpoint_id.into(),
            side: Side::of(row.tenant_id),
            url: row.url,
            body: row.body,
            probe: row.probe,
            attempts: row.attempts,
            secret: row.secret,
            old_secret: row.old_secret,
        })
        .collect())
}

/// What was sent, when, and how long it took.
pub struct Sent<'a> {
    pub at: OffsetDateTime,
    pub headers: Value,
    pub duration_ms: i32,
    pub outcome: &'a Outcome,
}

/// Keeps an attempt for the log; false when the delivery is gone.
pub async fn note_attempt(tx: &mut Tx, claimed: &Claimed, sent: &Sent<'_>) -> sqlx::Result<bool> {
    let outcome = sent.outcome;
    let there =
        sqlx::query_scalar!("SELECT id FROM webhook_deliveries WHERE id = $1 FOR UPDATE", claimed.id.uuid())
            .fetch_optional(&mut **tx)
            .await?;
    if there.is_none() {
        return Ok(false);
    }
    sqlx::query!(
        "INSERT INTO webhook_attempts (delivery_id, tenant_id, at, url, headers, duration_ms, status, problem, response) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        claimed.id.uuid(),
        claimed.side.uuid(),
        sent.at,
        claimed.url,
        sent.headers,
        sent.duration_ms,
        outcome.status.map(|status| i32::from(status.as_u16())),
        outcome.problem.map(|problem| problem.name()),
        outcome.response,
    )
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// Ends a delivery, unless its lease had run out and somebody else has begun another attempt.
pub async fn end(tx: &mut Tx, claimed: &Claimed, state: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE webhook_deliveries SET leased_until = NULL, state = $2, ended_at = now() WHERE id = $1 AND attempts = $3",
        claimed.id.uuid(),
        state,
        claimed.attempts,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The next attempt is due after so many seconds.
pub async fn postpone(tx: &mut Tx, claimed: &Claimed, seconds: f64) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE webhook_deliveries SET leased_until = NULL, next_attempt_at = now() + make_interval(secs => $2) \
         WHERE id = $1 AND attempts = $3",
        claimed.id.uuid(),
        seconds,
        claimed.attempts,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Disables an endpoint, of which its owners are told; the name of one that was enabled.
pub async fn disable(tx: &mut Tx, id: WebhookId, reason: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = $2, untold = true \
         WHERE id = $1 AND disabled_at IS NULL RETURNING name",
        id.uuid(),
        reason,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Enabled endpoints whose token has ended.
pub async fn orphaned(pool: &PgPool) -> sqlx::Result<Vec<(WebhookId, Side)>> {
    let rows = sqlx::query!(
        "SELECT id, tenant_id FROM webhook_endpoints \
         WHERE disabled_at IS NULL AND token_id IS NOT NULL AND NOT token_works(token_id)",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), Side::of(row.tenant_id))).collect())
}

/// Enabled endpoints for which no more messages are queued.
pub async fn overflowing(pool: &PgPool) -> sqlx::Result<Vec<(WebhookId, Side)>> {
    let rows = sqlx::query!(
        "SELECT id, tenant_id FROM webhook_endpoints WHERE disabled_at IS NULL AND webhook_queue_limit() <= \
         (SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = webhook_endpoints.id AND state = 'pending')",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), Side::of(row.tenant_id))).collect())
}

/// An endpoint that the platform has disabled.
pub struct Untold {
    pub id: WebhookId,
    pub side: Side,
    pub name: String,
    pub url: String,
    pub reason: String,
}

/// Endpoints whose owners do not know yet that they were disabled.
pub async fn untold(pool: &PgPool) -> sqlx::Result<Vec<WebhookId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM webhook_endpoints WHERE untold AND disabled_reason IS NOT NULL \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'webhook' AND subject = webhook_endpoints.id::text AND next_at > now()) \
         ORDER BY id LIMIT 100",
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(WebhookId::from).collect())
}

/// Takes one of them; whoever commits has told its owners.  Nothing: another replica was faster.
pub async fn take_untold(tx: &mut Tx, id: WebhookId) -> sqlx::Result<Option<Untold>> {
    let row = sqlx::query!(
        "UPDATE webhook_endpoints SET untold = false WHERE id = $1 AND untold AND disabled_reason IS NOT NULL \
         RETURNING id, tenant_id, name, url, disabled_reason AS \"reason!\"",
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Untold {
        id: row.id.into(),
        side: Side::of(row.tenant_id),
        name: row.name,
        url: row.url,
        reason: row.reason,
    }))
}

/// Addresses and languages of those who are told: a team's owners, or the administrators.
pub async fn owners(tx: &mut Tx, side: Side) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "SELECT email, locale FROM users WHERE disabled_at IS NULL AND CASE WHEN $1::uuid IS NULL THEN is_admin \
         ELSE EXISTS (SELECT FROM memberships WHERE user_id = users.id AND tenant_id = $1 AND role = 'owner') END \
         ORDER BY email",
        side.uuid() as Option<uuid::Uuid>,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.email, row.locale)).collect())
}

/// Removes some messages of which nobody needs to know any more, with their deliveries; how many.
pub async fn prune(pool: &PgPool, keep_days: i32, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM webhook_messages WHERE id IN (SELECT id FROM webhook_messages \
         WHERE created_at < now() - make_interval(days => $1) ORDER BY created_at LIMIT $2)",
        keep_days,
        limit,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
