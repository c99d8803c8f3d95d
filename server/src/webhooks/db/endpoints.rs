use crate::db::Tx;
use crate::ids::{DeliveryId, MessageId, TokenId, WebhookId};
use crate::webhooks::Side;
use crate::webhooks::endpoints::{Endpoint, Wanted};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    tenant_id: Option<Uuid>,
    name: String,
    url: String,
    types: Vec<String>,
    disabled_at: Option<OffsetDateTime>,
    disabled_reason: Option<String>,
    old_secret_until: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
    waiting: i64,
}

impl From<Row> for Endpoint {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            side: Side::of(row.tenant_id),
            name: row.name,
            url: row.url,
            types: row.types,
            disabled_at: row.disabled_at,
            disabled_reason: row.disabled_reason,
            old_secret_until: row.old_secret_until,
            created_at: row.created_at,
            waiting: row.waiting,
        }
    }
}

macro_rules! select_endpoints {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT id, tenant_id, name, url, types, disabled_at, disabled_reason, created_at, \
             CASE WHEN old_secret_until > now() THEN old_secret_until END AS old_secret_until, \
             (SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = webhook_endpoints.id AND state = 'pending') \
                 AS \"waiting!\" \
             FROM webhook_endpoints " + $rest
            $(, $argument)*
        )
    };
}

/// The newest first.
pub async fn list(
    tx: &mut Tx,
    side: Side,
    after: Option<WebhookId>,
    fetch: i64,
) -> sqlx::Result<Vec<Endpoint>> {
    let rows = select_endpoints!(
        "WHERE tenant_id IS NOT DISTINCT FROM $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        side.uuid() as Option<Uuid>,
        after.map(WebhookId::uuid),
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Endpoint::from).collect())
}

pub async fn by_id(tx: &mut Tx, side: Side, id: WebhookId) -> sqlx::Result<Option<Endpoint>> {
    let row = select_endpoints!(
        "WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2",
        id.uuid(),
        side.uuid() as Option<Uuid>,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Endpoint::from))
}

/// How many a side has; whoever makes one waits for the others who do.
pub async fn count_locked(tx: &mut Tx, side: Side) -> sqlx::Result<i64> {
    let lock = format!("webhooks of {}", side.uuid().unwrap_or_default());
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", lock).execute(&mut **tx).await?;
    sqlx::query_scalar!(
        "SELECT count(*) AS \"count!\" FROM webhook_endpoints WHERE tenant_id IS NOT DISTINCT FROM $1",
        side.uuid() as Option<Uuid>,
    )
    .fetch_one(&mut **tx)
    .await
}

pub async fn insert(
    tx: &mut Tx,
    id: WebhookId,
    side: Side,
    wanted: &Wanted,
    sealed: &[u8],
    by: Option<TokenId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO webhook_endpoints (id, tenant_id, name, url, types, secret, token_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id.uuid(),
        side.uuid(),
        wanted.name,
        wanted.url,
        &wanted.types,
        sealed,
        by.map(TokenId::uuid),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Who disables an endpoint keeps the platform's reason, where there was one.  From then on it works as long as the token
/// `by` which it was changed, or without an end where a person did.
pub async fn update(
    tx: &mut Tx,
    side: Side,
    id: WebhookId,
    wanted: &Wanted,
    enabled: bool,
    by: Option<TokenId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE webhook_endpoints SET name = $3, url = $4, types = $5, \
         disabled_at = CASE WHEN $6 THEN NULL ELSE coalesce(disabled_at, now()) END, \
         disabled_reason = CASE WHEN $6 THEN NULL ELSE coalesce(disabled_reason, 'owner') END, untold = untold AND NOT $6, \
         token_id = $7 \
         WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2",
        id.uuid(),
        side.uuid() as Option<Uuid>,
        wanted.name,
        wanted.url,
        &wanted.types,
        enabled,
        by.map(TokenId::uuid),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The secret before stays good for some hours.
pub async fn rotate(
    tx: &mut Tx,
    side: Side,
    id: WebhookId,
    sealed: &[u8],
    overlap_hours: i32,
    by: Option<TokenId>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE webhook_endpoints SET old_secret = secret, old_secret_until = now() + make_interval(hours => $4), \
         secret = $3, token_id = $5 WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2",
        id.uuid(),
        side.uuid() as Option<Uuid>,
        sealed,
        overlap_hours,
        by.map(TokenId::uuid),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn delete(tx: &mut Tx, side: Side, id: WebhookId) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM webhook_endpoints WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2",
        id.uuid(),
        side.uuid() as Option<Uuid>,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn tests_waiting(tx: &mut Tx, id: WebhookId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "SELECT count(*) AS \"count!\" FROM webhook_deliveries WHERE endpoint_id = $1 AND state = 'pending' AND probe",
        id.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// A message to one endpoint, which the log knows nothing of.
pub async fn insert_test(
    tx: &mut Tx,
    side: Side,
    endpoint: WebhookId,
    kind: &str,
    data: &Value,
) -> sqlx::Result<DeliveryId> {
    let (message, delivery) = (MessageId::new(), DeliveryId::new());
    sqlx::query!(
        "INSERT INTO webhook_messages (id, tenant_id, type, body) VALUES ($1, $2, $3, \
         jsonb_build_object('type', $3::text, 'timestamp', rfc3339(now()), 'data', $4::jsonb)::text)",
        message.uuid(),
        side.uuid(),
        kind,
        data,
    )
    .execute(&mut **tx)
    .await?;
    sqlx::query!(
        "INSERT INTO webhook_deliveries (id, message_id, endpoint_id, tenant_id, probe) VALUES ($1, $2, $3, $4, true)",
        delivery.uuid(),
        message.uuid(),
        endpoint.uuid(),
        side.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(delivery)
}
