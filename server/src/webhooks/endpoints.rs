//! Endpoints: where messages go, which, and with which secret they are signed.

use super::db::endpoints as sql;
use super::{Keeper, Side, sign, types};
use crate::error::{Error, FieldError, Result};
use crate::ids::{DeliveryId, WebhookId};
use crate::name::Name;
use crate::outbound::{Forbidden, without_query};
use crate::state::App;
use crate::web::paging::{Listed, Paging};
use reqwest::Url;
use serde_json::json;
use time::OffsetDateTime;

/// Of one customer, or of the operator.
pub const MAX_ENDPOINTS: i64 = 10;
/// For so long the secret before signs as well.
pub const OVERLAP_HOURS: i32 = 24;
const MAX_NAME: usize = 100;
const MAX_URL: usize = 2000;

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: WebhookId,
    pub side: Side,
    pub name: String,
    pub url: String,
    /// Empty: all.
    pub types: Vec<String>,
    pub disabled_at: Option<OffsetDateTime>,
    /// `owner`, `gone`, `exhausted`, `overflow` or `token`.
    pub disabled_reason: Option<String>,
    /// Until when the secret before the last rotation signs as well.
    pub old_secret_until: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    /// Messages that wait for it.
    pub waiting: i64,
}

/// What its owner says of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Empty: the host's name.
    pub name: String,
    pub url: String,
    /// Empty: all.
    pub types: Vec<String>,
}

/// The row under which its secret is sealed.
pub fn sealed_row(id: WebhookId) -> String {
    format!("webhook_endpoints/{}", id.uuid())
}

pub async fn list(app: &App, keeper: &Keeper, paging: &Paging<WebhookId>) -> Result<Listed<Endpoint>> {
    let mut tx = keeper.side.begin(app).await?;
    let rows = sql::list(&mut tx, keeper.side, paging.after, paging.fetch()).await?;
    Ok(Listed::new(rows, paging, |endpoint| endpoint.id.to_string()))
}

pub async fn get(app: &App, keeper: &Keeper, id: WebhookId) -> Result<Endpoint> {
    let mut tx = keeper.side.begin(app).await?;
    sql::by_id(&mut tx, keeper.side, id).await?.ok_or(Error::NotFound)
}

/// Makes an endpoint.  Its secret is told now and never again.
pub async fn create(app: &App, keeper: &Keeper, wanted: &Wanted) -> Result<(Endpoint, String)> {
    keeper.may_grant()?;
    let wanted = checked(app, keeper.side, wanted)?;
    let (id, secret) = (WebhookId::new(), sign::generate());
    let mut tx = keeper.side.begin(app).await?;
    if sql::count_locked(&mut tx, keeper.side).await? >= MAX_ENDPOINTS {
        return Err(Error::conflict("webhooks-full").with("max", MAX_ENDPOINTS));
    }
    let sealed = app.sealer.seal(&sealed_row(id), secret.as_bytes());
    sql::insert(&mut tx, id, keeper.side, &wanted, &sealed, keeper.actor.token).await?;
    let data = json!({ "name": wanted.name, "url": without_query(&wanted.url), "types": wanted.types });
    keeper.record(&mut tx, "webhook.created", id, data).await?;
    let endpoint = sql::by_id(&mut tx, keeper.side, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok((endpoint, secret))
}

/// Replaces what the owner says of an endpoint.  One that is enabled again gets what waits for it.
pub async fn update(
    app: &App,
    keeper: &Keeper,
    id: WebhookId,
    wanted: &Wanted,
    enabled: bool,
) -> Result<Endpoint> {
    // Another address learns what the first one did: as if it were made anew.
    keeper.may_grant()?;
    let wanted = checked(app, keeper.side, wanted)?;
    let mut tx = keeper.side.begin(app).await?;
    let before = sql::by_id(&mut tx, keeper.side, id).await?.ok_or(Error::NotFound)?;
    let document = |name: &str, url: &str, types: &[String], enabled: bool| json!({ "name": name, "url": url, "types": types, "enabled": enabled });
    let mut changes = crate::events::changes(
        &document(&before.name, &before.url, &before.types, before.disabled_at.is_none()),
        &document(&wanted.name, &wanted.url, &wanted.types, enabled),
    );
    if let Some(url) = changes.get_mut("url") {
        *url = json!({ "from": without_query(&before.url), "to": without_query(&wanted.url) });
    }
    if !changes.is_empty() {
        sql::update(&mut tx, keeper.side, id, &wanted, enabled, keeper.actor.token).await?;
        keeper.record(&mut tx, "webhook.updated", id, changes.into()).await?;
    }
    let endpoint = sql::by_id(&mut tx, keeper.side, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(endpoint)
}

/// Gives an endpoint a new secret, which is told now and never again.
pub async fn rotate(app: &App, keeper: &Keeper, id: WebhookId) -> Result<(Endpoint, String)> {
    keeper.may_grant()?;
    let secret = sign::generate();
    let sealed = app.sealer.seal(&sealed_row(id), secret.as_bytes());
    let mut tx = keeper.side.begin(app).await?;
    if !sql::rotate(&mut tx, keeper.side, id, &sealed, OVERLAP_HOURS, keeper.actor.token).await? {
        return Err(Error::NotFound);
    }
    let endpoint = sql::by_id(&mut tx, keeper.side, id).await?.ok_or(Error::NotFound)?;
    let data = json!({ "name": endpoint.name });
    keeper.record(&mut tx, "webhook.secret_rotated", id, data).await?;
    tx.commit().await?;
    Ok((endpoint, secret))
}

/// Deletes an endpoint with what waits for it and what it was told.
pub async fn delete(app: &App, keeper: &Keeper, id: WebhookId) -> Result<()> {
    keeper.may_manage()?;
    let mut tx = keeper.side.begin(app).await?;
    let endpoint = sql::by_id(&mut tx, keeper.side, id).await?.ok_or(Error::NotFound)?;
    sql::delete(&mut tx, keeper.side, id).await?;
    let data = json!({ "name": endpoint.name, "url": without_query(&endpoint.url) });
    keeper.record(&mut tx, "webhook.deleted", id, data).await?;
    tx.commit().await?;
    Ok(())
}

/// Tests that may wait at once.
const MAX_TESTS: i64 = 5;

/// Sends a message that says only that it is a test; it is tried once, also where the endpoint is disabled.
pub async fn test(app: &App, keeper: &Keeper, id: WebhookId) -> Result<DeliveryId> {
    keeper.may_send()?;
    let mut tx = keeper.side.begin(app).await?;
    let endpoint = sql::by_id(&mut tx, keeper.side, id).await?.ok_or(Error::NotFound)?;
    if sql::tests_waiting(&mut tx, id).await? >= MAX_TESTS {
        return Err(Error::conflict("webhook-tests"));
    }
    let mut data = json!({ "webhook_id": id });
    if let Some(tenant) = keeper.side.tenant() {
        data["tenant_id"] = json!(tenant);
    }
    let delivery = sql::insert_test(&mut tx, keeper.side, id, types::TEST, &data).await?;
    keeper.record(&mut tx, "webhook.tested", id, json!({ "name": endpoint.name })).await?;
    tx.commit().await?;
    Ok(delivery)
}

/// Everything that can be said about the input, all at once.
fn checked(app: &App, side: Side, wanted: &Wanted) -> Result<Wanted> {
    let mut problems = Vec::new();
    let url = wanted.url.trim();
    let parsed: Option<Url> = Some(url).filter(|url| url.len() <= MAX_URL).and_then(|url| url.parse().ok());
    match &parsed {
        _ if url.is_empty() => problems.push(FieldError::new("url", "required")),
        None => problems.push(FieldError::new("url", "url")),
        Some(parsed) => {
            if let Err(forbidden) = side.guard(app).check_confidential(parsed) {
                let code = match forbidden {
                    Forbidden::Address => "webhook-address",
                    other => other.code(),
                };
                problems.push(FieldError::new("url", code));
            }
        }
    }
    let name = match wanted.name.trim() {
        // The host itself is what is wrong where there is none.
        "" => {
            Name::made_from(parsed.as_ref().and_then(Url::host_str).unwrap_or_default(), MAX_NAME, "webhook")
        }
        text => Name::parse("name", text, MAX_NAME).unwrap_or_else(|problem| {
            problems.push(problem);
            Name::made_from("", MAX_NAME, "webhook")
        }),
    };
    let offered = types::offered(side);
    if !wanted.types.iter().all(|name| offered.contains(&name.as_str())) {
        problems.push(FieldError::new("types", "webhook-types"));
    }
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    // In our order, and each once.
    let types = offered.into_iter().filter(|name| wanted.types.iter().any(|wanted| wanted == name));
    let types = types.map(str::to_owned).collect();
    Ok(Wanted { name: name.into_string(), url: url.to_owned(), types })
}
