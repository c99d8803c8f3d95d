use crate::db::Tx;
use crate::ids::{DeliveryId, WebhookId};
use crate::webhooks::Side;
use crate::webhooks::deliveries::{Attempt, Delivery};
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    endpoint_id: Uuid,
    message_id: Uuid,
    r#type: String,
    body: String,
    probe: bool,
    state: String,
    attempts: i32,
    next_attempt_at: OffsetDateTime,
    created_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    last_status: Option<i32>,
    last_problem: Option<String>,
}

impl From<Row> for Delivery {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            webhook: row.endpoint_id.into(),
            message: row.message_id.into(),
            kind: row.r#type,
            probe: row.probe,
            state: row.state,
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            created_at: row.created_at,
            ended_at: row.ended_at,
            last_status: row.last_status,
            last_problem: row.last_problem,
        }
    }
}

macro_rules! select_deliveries {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT deliveries.id, endpoint_id, message_id, type, body, probe, state, attempts, next_attempt_at, \
             deliveries.created_at, ended_at, last.status AS \"last_status?\", last.problem AS \"last_problem?\" \
             FROM webhook_deliveries AS deliveries JOIN webhook_messages AS messages ON messages.id = message_id \
             LEFT JOIN LATERAL (SELECT status, problem FROM webhook_attempts WHERE delivery_id = deliveries.id \
                 ORDER BY webhook_attempts.id DESC LIMIT 1) AS last ON true " + $rest
            $(, $argument)*
        )
    };
}

/// Deliveries to an endpoint that the caller has found to be of its side, the newest first.
pub async fn list(
    tx: &mut Tx,
    webhook: WebhookId,
    after: Option<DeliveryId>,
    fetch: i64,
) -> sqlx::Result<Vec<Delivery>> {
    let rows = select_deliveries!(
        "WHERE endpoint_id = $1 AND ($2::uuid IS NULL OR deliveries.id < $2) ORDER BY deliveries.id DESC LIMIT $3",
        webhook.uuid(),
        after.map(DeliveryId::uuid),
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Delivery::from).collect())
}

/// With the body of its message.
pub async fn by_id(
    tx: &mut Tx,
    side: Side,
    webhook: WebhookId,
    id: DeliveryId,
) -> sqlx::Result<Option<(Delivery, String)>> {
    let row = select_deliveries!(
        "WHERE deliveries.id = $1 AND endpoint_id = $2 AND deliveries.tenant_id IS NOT DISTINCT FROM $3",
        id.uuid(),
        webhook.uuid(),
        side.uuid() as Option<Uuid>,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|mut row| {
        let body = std::mem::take(&mut row.body);
        (row.into(), body)
    }))
}

/// The latest first.
pub async fn attempts(tx: &mut Tx, id: DeliveryId) -> sqlx::Result<Vec<Attempt>> {
    sqlx::query_as!(
        Attempt,
        "SELECT at, url, headers, duration_ms, status, problem, response FROM webhook_attempts \
         WHERE delivery_id = $1 ORDER BY id DESC LIMIT 50",
        id.uuid(),
    )
    .fetch_all(&mut **tx)
    .await
}

/// The first attempt of a new series is due now.
pub async fn begin_again(tx: &mut Tx, id: DeliveryId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE webhook_deliveries SET state = 'pending', attempts = 0, next_attempt_at = now(), ended_at = NULL, \
         leased_until = NULL WHERE id = $1",
        id.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
