//! What endpoints were told, and how it went.

use super::db::deliveries as sql;
use super::db::endpoints;
use super::{Keeper, Side};
use crate::error::{Error, Result};
use crate::ids::{DeliveryId, MessageId, WebhookId};
use crate::state::App;
use crate::web::paging::{Listed, Paging};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// One message to one endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: DeliveryId,
    pub webhook: WebhookId,
    pub message: MessageId,
    pub kind: String,
    /// A test: tried once.
    pub probe: bool,
    /// `pending`, `succeeded` or `failed`.
    pub state: String,
    /// Of the present series.
    pub attempts: i32,
    /// When it is tried next, or again.
    pub next_attempt_at: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    /// Of the last attempt.
    pub last_status: Option<i32>,
    pub last_problem: Option<String>,
}

/// One request, and what came of it.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub at: OffsetDateTime,
    pub url: String,
    pub headers: Value,
    pub duration_ms: i32,
    pub status: Option<i32>,
    /// [`super::deliver::Problem`]; absent: accepted.
    pub problem: Option<String>,
    pub response: String,
}

impl Attempt {
    /// The headers as they were sent, one a line.
    pub fn header_lines(&self) -> String {
        let headers = self.headers.as_object();
        let lines = headers
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or("")));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// All of a delivery.
#[derive(Clone, Debug)]
pub struct Detail {
    pub delivery: Delivery,
    pub body: String,
    /// The latest first.
    pub attempts: Vec<Attempt>,
}

/// Deliveries to an endpoint, the newest first.
pub async fn list(
    app: &App,
    keeper: &Keeper,
    webhook: WebhookId,
    paging: &Paging<DeliveryId>,
) -> Result<Listed<Delivery>> {
    let mut tx = keeper.side.begin(app).await?;
    endpoints::by_id(&mut tx, keeper.side, webhook).await?.ok_or(Error::NotFound)?;
    let rows = sql::list(&mut tx, webhook, paging.after, paging.fetch()).await?;
    Ok(Listed::new(rows, paging, |delivery| delivery.id.to_string()))
}

pub async fn get(app: &App, keeper: &Keeper, webhook: WebhookId, id: DeliveryId) -> Result<Detail> {
    let mut tx = keeper.side.begin(app).await?;
    detail(&mut tx, keeper.side, webhook, id).await
}

async fn detail(tx: &mut crate::db::Tx, side: Side, webhook: WebhookId, id: DeliveryId) -> Result<Detail> {
    let (delivery, body) = sql::by_id(tx, side, webhook, id).await?.ok_or(Error::NotFound)?;
    let attempts = sql::attempts(tx, id).await?;
    Ok(Detail { delivery, body, attempts })
}

/// Sends a message again, now and with all attempts before it; its id stays the same, so that a receiver that had it
/// already knows it again.
pub async fn resend(app: &App, keeper: &Keeper, webhook: WebhookId, id: DeliveryId) -> Result<Detail> {
    keeper.may_send()?;
    let mut tx = keeper.side.begin(app).await?;
    let endpoint = endpoints::by_id(&mut tx, keeper.side, webhook).await?.ok_or(Error::NotFound)?;
    let (delivery, _) = sql::by_id(&mut tx, keeper.side, webhook, id).await?.ok_or(Error::NotFound)?;
    if endpoint.disabled_at.is_some() && !delivery.probe {
        return Err(Error::conflict("webhook-disabled"));
    }
    sql::begin_again(&mut tx, id).await?;
    let data = json!({ "name": endpoint.name, "delivery": id });
    keeper.record(&mut tx, "webhook.resent", webhook, data).await?;
    let detail = detail(&mut tx, keeper.side, webhook, id).await?;
    tx.commit().await?;
    Ok(detail)
}
