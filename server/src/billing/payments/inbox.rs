//! What providers tell: received, and applied once.
//!
//! [`receive`] stores a notification whose signature holds and then says so; nothing else is acknowledged.  [`pass`] applies what is
//! stored, one event a transaction: the event, the payment and its entry change together or not at all, and the event's row is
//! locked, so that any number of replicas may do it and each event counts once, whenever one of them is killed.  That the account is
//! looked at afterwards is a debt of its own (`payments.reviewed`), paid by whoever comes next.

use super::gateway::{Forged, Gateway, Told, payment_of};
use super::provider::Provider;
use super::state::{self, Dispute, Fact, Facts};
use super::{Payment, ask, attention, db};
use crate::auth::Actor;
use crate::billing::accounts::{self, EntryKind, NewEntry};
use crate::billing::entitlement;
use crate::billing::money::Money;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::PaymentId;
use crate::set_aside::{self, Item, Pass};
use crate::state::App;
use reqwest::header::HeaderMap;
use serde_json::json;
use time::OffsetDateTime;

/// The longest notification that is read at all.
pub const MAX_BODY: usize = 64 * 1024;

/// Events applied before accounts are looked at.
const BATCH: i64 = 100;

/// Takes a notification.  Ok: it is stored, now or before.
pub async fn receive(
    app: &App,
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<std::result::Result<(), Forged>> {
    let stored = db::provider(app.db.platform(), provider).await?;
    // Also while it is not offered: what was begun before may be paid still.
    let Some(gateway) = stored.open(app)? else { return Err(Error::NotFound) };
    let verified = gateway.verify(headers, body, OffsetDateTime::now_utc().unix_timestamp());
    if let Err(forged) = verified {
        metrics::counter!(
            crate::metrics::PAYMENTS_REFUSED, "provider" => provider.name(), "reason" => forged.name()
        )
        .increment(1);
        return Ok(Err(forged));
    }
    // What is signed and yet has no number counts by its content.
    let envelope = gateway.envelope(body).filter(|envelope| (1..=200).contains(&envelope.event_id.len()));
    let (event_id, kind) = match envelope {
        Some(envelope) => (envelope.event_id, envelope.kind.chars().take(100).collect()),
        None => (hex::encode(<sha2::Sha256 as sha2::Digest>::digest(body)), String::new()),
    };
    let told = gateway.read(body).ok();
    store(app, provider, &event_id, &kind, body, told.as_ref()).await?;
    Ok(Ok(()))
}

/// Keeps what a provider has said, once, and wakes the worker.
pub async fn store(
    app: &App,
    provider: Provider,
    event_id: &str,
    kind: &str,
    body: &[u8],
    told: Option<&Told>,
) -> Result<()> {
    if db::insert_event(app.db.platform(), provider, event_id, kind, body, told).await? {
        app.payments_told.notify_one();
    }
    Ok(())
}

/// An event on its way.
pub struct Waiting {
    pub id: i64,
    pub provider: Provider,
    pub event_id: String,
    pub told: Option<Told>,
}

/// What became of an event.
enum Outcome {
    Applied(PaymentId),
    /// Nothing new, or nothing that concerns us.
    Ignored(Option<PaymentId>, &'static str),
    Unknown,
    Disputed(Option<PaymentId>, &'static str),
    Unreadable,
}

/// Applies all that waits and looks at the accounts concerned.
pub async fn pass(app: &App) -> Result<()> {
    // A dispute names the provider's number of a payment, which may have come after it.
    db::wake_orphans(app.db.platform()).await?;
    loop {
        let waiting = db::waiting(app.db.platform(), BATCH).await?;
        for id in &waiting {
            if let Err(error) = set_aside::caught(apply_one(app, *id)).await {
                // The others go on; this one comes again, later each time.
                tracing::error!(event = id, error = ?error, "a payment event was not applied; it comes again");
                db::postpone(app.db.platform(), *id, &format!("{error:?}")).await?;
            }
        }
        review(app).await?;
        if waiting.is_empty() {
            break;
        }
    }
    expire(app).await
}

/// Looks at every account whose payments led to entries since the last look.
async fn review(app: &App) -> Result<()> {
    let unreviewed = db::unreviewed(app.db.platform()).await?;
    if unreviewed.is_empty() {
        return Ok(());
    }
    let pass = Pass::begin(app, set_aside::Kind::Account).await?;
    for (tenant, seen) in unreviewed.into_iter().filter(|(tenant, _)| !pass.waits(tenant.uuid())) {
        let look = async {
            entitlement::review(app, tenant).await?;
            Ok::<(), Error>(db::set_reviewed(app.db.platform(), &seen).await?)
        };
        // The others must not wait for one that cannot be looked at.
        pass.each(Item::new(set_aside::Kind::Account, tenant.uuid()).tenant(tenant), look).await?;
    }
    Ok(())
}

/// Payments that nobody can make any more.
async fn expire(app: &App) -> Result<()> {
    let pass = Pass::begin(app, set_aside::Kind::PaymentExpiry).await?;
    for id in db::overdue(app.db.platform(), BATCH).await? {
        let item = Item::new(set_aside::Kind::PaymentExpiry, id.uuid());
        pass.each(item, note(app, id, &Fact::Expired)).await?;
    }
    Ok(())
}

/// Notes what we know ourselves of a payment.
pub async fn note(app: &App, id: PaymentId, fact: &Fact) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let payment = db::lock(&mut tx, id).await?.ok_or(Error::NotFound)?;
    if let Ok(after) = state::apply(payment.amount, &payment.facts, fact) {
        db::save_facts(&mut tx, &payment, &after, 0).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn apply_one(app: &App, id: i64) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    // Somebody else has it, or had it.
    let Some(event) = db::lock_event(&mut tx, id).await? else { return Ok(()) };
    let outcome = settle(&mut tx, app, &event).await?;
    let (state, reason, payment) = match outcome {
        Outcome::Applied(payment) => ("applied", "", Some(payment)),
        Outcome::Ignored(payment, reason) => ("ignored", reason, payment),
        Outcome::Unknown => ("unknown", "payment", None),
        Outcome::Unreadable => ("unreadable", "", None),
        Outcome::Disputed(payment, reason) => {
            dispute(&mut tx, app, &event, payment, reason).await?;
            ("disputed", reason, payment)
        }
    };
    db::finish_event(&mut tx, id, state, reason, payment).await?;
    tx.commit().await?;
    Ok(())
}

async fn settle(tx: &mut Tx, app: &App, event: &Waiting) -> Result<Outcome> {
    let Some(told) = &event.told else { return Ok(Outcome::Unreadable) };
    if let Some(word) = &told.attention {
        attention::tell(tx, app, event.provider, word, &event.event_id, None).await?;
    }
    if told.facts.is_empty() {
        return Ok(Outcome::Ignored(None, "kind"));
    }
    let named = match (told.number.as_deref().and_then(payment_of), &told.transaction) {
        (Some(id), _) => Some(id),
        (None, Some(transaction)) => db::by_transaction(tx, event.provider, transaction).await?,
        (None, None) => None,
    };
    let Some(id) = named else { return Ok(Outcome::Unknown) };
    let Some(payment) = db::lock(tx, id).await? else { return Ok(Outcome::Unknown) };
    // Who can sign for one provider says nothing of another's payments.
    if payment.provider != event.provider {
        return Ok(Outcome::Disputed(None, "provider"));
    }
    if told.elsewhere {
        return Ok(Outcome::Disputed(Some(id), "account"));
    }
    let mut after = payment.facts.clone();
    for fact in &told.facts {
        match state::apply(payment.amount, &after, fact) {
            Ok(known) => after = known,
            Err(dispute) => return Ok(Outcome::Disputed(Some(id), Dispute::name(dispute))),
        }
    }
    if after == payment.facts {
        return Ok(Outcome::Ignored(Some(id), "known"));
    }
    enter(tx, event.provider, &payment, &after).await?;
    attention::of_changes(tx, app, &payment, &after).await?;
    Ok(Outcome::Applied(id))
}

/// Makes the entries that follow from what is known now, and keeps it.
async fn enter(tx: &mut Tx, provider: Provider, payment: &Payment, after: &Facts) -> Result<()> {
    let movements = state::movements(payment.amount, &payment.facts, after);
    let transaction = after.transaction.as_deref().unwrap_or_default();
    let note: String = format!("{} {transaction}", provider.name()).chars().take(200).collect();
    if !movements.is_empty() {
        crate::billing::db::accounts::lock(tx, payment.tenant).await?.ok_or(Error::NotFound)?;
    }
    for movement in &movements {
        let amount = Money::new(payment.amount.currency, movement.minor);
        let reference = format!("{}{}", payment.id, movement.part);
        let entry = NewEntry {
            tenant: payment.tenant,
            kind: movement.kind,
            amount,
            reference: &reference,
            note: &note,
            invoice: None,
            actor: provider.name(),
        };
        accounts::enter(tx, &entry).await?;
        let action = match movement.kind {
            EntryKind::Refund if movement.minor > 0 => "payment.refund_failed",
            EntryKind::Refund => "payment.refunded",
            EntryKind::Chargeback if movement.minor > 0 => "payment.chargeback_reversed",
            EntryKind::Chargeback => "payment.charged_back",
            _ => "payment.received",
        };
        let data = json!({ "payment": payment.id, "provider": provider, "amount": amount });
        accounts::record(tx, &Source::system(provider.name()), payment.tenant, action, data).await?;
    }
    Ok(db::save_facts(tx, payment, after, movements.len() as i32).await?)
}

/// For the operator only: what is not credited concerns the customer when somebody has looked at it.
async fn dispute(
    tx: &mut Tx,
    app: &App,
    event: &Waiting,
    payment: Option<PaymentId>,
    reason: &str,
) -> Result<()> {
    attention::tell(tx, app, event.provider, "contradiction", &event.event_id, None).await?;
    let data = json!({ "provider": event.provider, "payment": payment, "reason": reason });
    let record = Event {
        tenant: None,
        action: "payment.disputed",
        subject_kind: "payment_event",
        subject_id: &event.event_id,
        data,
    };
    Ok(events::record(tx, &Source::system(event.provider.name()), record).await?)
}

/// Reads a stored event again, with the settings that there are now, and applies it.  What was applied stays so.
pub async fn retry(app: &App, actor: &Actor, id: i64) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let event = db::event(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    if matches!(event.state.as_str(), "applied" | "received") {
        return Err(Error::conflict("payment-event-settled"));
    }
    let gateway = db::provider(&mut *tx, event.provider).await?.open(app)?;
    let answer = event.kind == ask::KIND;
    let read = |gateway: Box<dyn Gateway>| {
        if answer { gateway.read_answer(&event.body).ok() } else { gateway.read(&event.body).ok() }
    };
    let told = gateway.and_then(read).or(event.told);
    db::wait_again(&mut tx, id, told.as_ref()).await?;
    let record = Event {
        tenant: None,
        action: "payment.event_retried",
        subject_kind: "payment_event",
        subject_id: &event.event_id,
        data: json!({ "provider": event.provider }),
    };
    events::record(&mut tx, &actor.into(), record).await?;
    tx.commit().await?;
    app.payments_told.notify_one();
    Ok(())
}
