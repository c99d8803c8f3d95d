//! Sends messages to webhooks.
//!
//! Any number of replicas may do so: each leases what it sends, and holds no lock while it talks to an endpoint.  A
//! message may arrive twice when a replica dies between sending and noting it; it never gets lost.  A slow endpoint keeps a
//! few places busy and no more, so that the others do not wait for it.

use crate::error::{Error, Result};
use crate::events::Source;
use crate::ids::WebhookId;
use crate::mail::{self, Mail};
use crate::outbound::without_query;
use crate::set_aside::{Item, Kind, Pass};
use crate::state::App;
use crate::web::language::Language;
use crate::webhooks::db::queue::{self as sql, Claimed};
use crate::webhooks::deliver::{self, Outcome, Problem};
use crate::webhooks::{Side, endpoints, schedule, sign};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Requests under way in this replica, and to one endpoint in all of them.
const PLACES: usize = 128;
const PLACES_EACH: i64 = 4;
/// Twice the time that a request may take.
const LEASE: Duration = Duration::from_secs(2 * deliver::WHOLE.as_secs());
/// How often it is looked whether something is due.
const IDLE: Duration = Duration::from_secs(1);
/// How often what is old is removed, and full queues are looked for.
const TIDY: Duration = Duration::from_secs(60);
const KEEP_DAYS: i32 = 30;
const PRUNE_BATCH: i64 = 1000;

pub async fn run(app: App, stop: CancellationToken) {
    let mut under_way = JoinSet::new();
    let mut tidied: Option<Instant> = None;
    loop {
        while under_way.try_join_next().is_some() {}
        let free = PLACES - under_way.len();
        match sql::claim(app.db.platform(), free as i64, PLACES_EACH, LEASE.as_secs_f64()).await {
            Ok(claimed) => {
                for claimed in claimed {
                    under_way.spawn(deliver_one(app.clone(), claimed));
                }
            }
            Err(error) => tracing::warn!(%error, "cannot read the queue of webhooks"),
        }
        if let Err(error) = tell(&app).await {
            tracing::warn!(?error, "owners of disabled webhooks were not told; the next pass does");
        }
        if tidied.is_none_or(|at| at.elapsed() >= TIDY) {
            tidied = Some(Instant::now());
            if let Err(error) = tidy(&app).await {
                tracing::warn!(?error, "webhooks were not tidied; the next pass does");
            }
        }
        // One that ended makes room for the next of its endpoint.  What is cut off here is sent again when its lease ends.
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = under_way.join_next() => {}
            () = tokio::time::sleep(IDLE) => {}
        }
    }
}

async fn deliver_one(app: App, claimed: Claimed) {
    let guard = claimed.side.guard(&app);
    let at = OffsetDateTime::now_utc();
    let begun = Instant::now();
    let (headers, outcome) = match headers(&app, &claimed, at) {
        Ok(headers) => {
            let shown = headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into()))
                .collect::<serde_json::Map<String, Value>>();
            (Value::Object(shown), deliver::send(&guard, &claimed.url, headers, claimed.body.clone()).await)
        }
        Err(error) => {
            tracing::error!(webhook = %claimed.webhook, error = format!("{error:#}"), "a message cannot be signed");
            (json!({}), Outcome::from(Problem::Unsigned))
        }
    };
    let duration_ms = i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX);
    let sent = sql::Sent { at, headers, duration_ms, outcome: &outcome };
    if let Err(error) = note(&app, &claimed, &sent).await {
        tracing::warn!(delivery = %claimed.id, ?error, "a message was sent and not noted; it will be sent again");
    }
}

fn headers(app: &App, claimed: &Claimed, at: OffsetDateTime) -> anyhow::Result<reqwest::header::HeaderMap> {
    let row = endpoints::sealed_row(claimed.webhook);
    let id = claimed.message.to_string();
    let timestamp = at.unix_timestamp();
    let mut signatures = Vec::new();
    for sealed in std::iter::once(&claimed.secret).chain(&claimed.old_secret) {
        let secret = String::from_utf8(app.sealer.open_sealed(&row, sealed)?)?;
        signatures.push(sign::signature(&secret, &id, timestamp, &claimed.body)?);
    }
    deliver::headers(&id, timestamp, &signatures.join(" "))
}

/// Writes down what came of an attempt, together with what follows from it.
async fn note(app: &App, claimed: &Claimed, sent: &sql::Sent<'_>) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    if !sql::note_attempt(&mut tx, claimed, sent).await? {
        return Ok(());
    }
    let wait = schedule::wait(claimed.attempts, rand::random());
    match (sent.outcome.problem, wait) {
        (None, _) => sql::end(&mut tx, claimed, "succeeded").await?,
        (Some(_), _) if claimed.probe => sql::end(&mut tx, claimed, "failed").await?,
        (Some(Problem::Gone), _) => {
            sql::end(&mut tx, claimed, "failed").await?;
            disable(&mut tx, claimed.webhook, claimed.side, "gone").await?;
        }
        (Some(_), Some(wait)) => sql::postpone(&mut tx, claimed, wait.as_secs_f64()).await?,
        (Some(_), None) => {
            sql::end(&mut tx, claimed, "failed").await?;
            disable(&mut tx, claimed.webhook, claimed.side, "exhausted").await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

async fn disable(tx: &mut crate::db::Tx, id: WebhookId, side: Side, reason: &'static str) -> Result<()> {
    if let Some(name) = sql::disable(tx, id, reason).await? {
        let data = json!({ "name": name, "reason": reason });
        crate::webhooks::record(tx, &Source::system("webhooks"), side, "webhook.disabled", id, data).await?;
    }
    Ok(())
}

/// Tells the owners of what was disabled.
async fn tell(app: &App) -> Result<()> {
    let untold = sql::untold(app.db.platform()).await?;
    if untold.is_empty() {
        return Ok(());
    }
    let pass = Pass::begin(app, Kind::Webhook).await?;
    for id in untold {
        pass.each(Item::new(Kind::Webhook, id.uuid()), tell_one(app, id)).await?;
    }
    Ok(())
}

async fn tell_one(app: &App, id: WebhookId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let Some(untold) = sql::take_untold(&mut tx, id).await? else { return Ok(()) };
    let link = format!("{}{}/{}", app.config.public_url.trim_end_matches('/'), untold.side.path(), untold.id);
    for (recipient, locale) in sql::owners(&mut tx, untold.side).await? {
        let language = Language::from_code(&locale).unwrap_or_default();
        let arguments = [
            ("name", untold.name.clone()),
            ("url", without_query(&untold.url)),
            ("reason", language.text(&format!("webhook-reason-{}", untold.reason))),
            ("link", link.clone()),
        ];
        let kind = mail::Kind::WebhookDisabled;
        let mail = Mail { language, kind, recipient: &recipient, arguments: &arguments };
        mail::enqueue(app, &mut tx, mail).await?;
    }
    tx.commit().await?;
    Ok(())
}

pub async fn tidy(app: &App) -> Result<()> {
    let pool = app.db.platform();
    let pass = Pass::begin(app, Kind::Webhook).await?;
    let overflowing = sql::overflowing(pool).await?.into_iter().map(|(id, side)| (id, side, "overflow"));
    let orphaned = sql::orphaned(pool).await?.into_iter().map(|(id, side)| (id, side, "token"));
    for (id, side, reason) in overflowing.chain(orphaned) {
        let end = async {
            let mut tx = app.db.begin_platform().await?;
            disable(&mut tx, id, side, reason).await?;
            Ok::<(), Error>(tx.commit().await?)
        };
        pass.each(Item::new(Kind::Webhook, id.uuid()), end).await?;
    }
    while sql::prune(pool, KEEP_DAYS, PRUNE_BATCH).await? == PRUNE_BATCH as u64 {}
    Ok(())
}
