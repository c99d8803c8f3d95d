//! SQL of payments.

use super::Payment;
use super::gateway::{Booked, Told, Values};
use super::inbox::Waiting;
use super::provider::Provider;
use super::settings::Stored;
use super::state::{Disputed, Facts, State};
use crate::billing::money::{Currency, Money};
use crate::db::Tx;
use crate::ids::{PaymentId, TenantId};
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

/// A word of the schema that the code must know.
fn known<T>(column: &str, word: &str, found: Option<T>) -> sqlx::Result<T> {
    found.ok_or_else(|| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{word:?} is unknown").into(),
    })
}

fn provider_named(word: &str) -> sqlx::Result<Provider> {
    known("provider", word, Provider::parse(word))
}

// Providers ------------------------------------------------------------------------------------

struct StoredRow {
    provider: String,
    enabled: bool,
    settings: Json<Values>,
    secrets: Json<Values>,
}

impl TryFrom<StoredRow> for Stored {
    type Error = sqlx::Error;

    fn try_from(row: StoredRow) -> sqlx::Result<Self> {
        let provider = provider_named(&row.provider)?;
        let mut settings = row.settings.0;
        settings.entry("base_url".to_owned()).or_insert_with(|| provider.base_url().to_owned());
        Ok(Self { provider, enabled: row.enabled, settings, secrets: row.secrets.0 })
    }
}

/// In the order in which they are offered.
pub async fn providers(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Stored>> {
    let rows = sqlx::query_as!(
        StoredRow,
        "SELECT provider, enabled, settings AS \"settings: Json<Values>\", secrets AS \"secrets: Json<Values>\" \
         FROM payment_providers"
    )
    .fetch_all(executor)
    .await?;
    let mut all = rows.into_iter().map(Stored::try_from).collect::<sqlx::Result<Vec<_>>>()?;
    all.sort_by_key(|stored| stored.provider);
    Ok(all)
}

pub async fn provider(executor: impl PgExecutor<'_>, provider: Provider) -> sqlx::Result<Stored> {
    sqlx::query_as!(
        StoredRow,
        "SELECT provider, enabled, settings AS \"settings: Json<Values>\", secrets AS \"secrets: Json<Values>\" \
         FROM payment_providers WHERE provider = $1",
        provider.name(),
    )
    .fetch_one(executor)
    .await?
    .try_into()
}

pub async fn lock_provider(tx: &mut Tx, which: Provider) -> sqlx::Result<Stored> {
    sqlx::query!(
        "SELECT provider FROM payment_providers WHERE provider = $1 FOR NO KEY UPDATE",
        which.name()
    )
    .fetch_one(&mut **tx)
    .await?;
    provider(&mut **tx, which).await
}

pub async fn save_provider(tx: &mut Tx, stored: &Stored) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payment_providers SET enabled = $2, settings = $3, secrets = $4 WHERE provider = $1",
        stored.provider.name(),
        stored.enabled,
        Json(&stored.settings) as _,
        Json(&stored.secrets) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

// Payments -------------------------------------------------------------------------------------

struct PaymentRow {
    id: Uuid,
    tenant_id: Uuid,
    tenant_name: String,
    currency: String,
    provider: String,
    amount: i64,
    facts: Json<Facts>,
    state: String,
    refunded: i64,
    target: Option<String>,
    created_by: String,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    paid_at: Option<OffsetDateTime>,
    dispute: String,
    disputed: i64,
    dispute_settled: bool,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = sqlx::Error;

    fn try_from(row: PaymentRow) -> sqlx::Result<Self> {
        let currency = known("currency", &row.currency, Currency::parse(&row.currency))?;
        Ok(Self {
            id: row.id.into(),
            tenant: row.tenant_id.into(),
            tenant_name: row.tenant_name,
            provider: provider_named(&row.provider)?,
            amount: Money::new(currency, row.amount),
            state: known("state", &row.state, State::parse(&row.state))?,
            refunded: Money::new(currency, row.refunded),
            dispute: known("dispute", &row.dispute, Disputed::parse(&row.dispute))?,
            disputed: Money::new(currency, row.disputed),
            dispute_settled: row.dispute_settled,
            facts: row.facts.0,
            target: row.target,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            paid_at: row.paid_at,
        })
    }
}

/// Gives when it ends.
pub async fn insert(
    tx: &mut Tx,
    id: PaymentId,
    tenant: TenantId,
    provider: Provider,
    amount: Money,
    created_by: &str,
    valid_hours: i32,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        "INSERT INTO payments (id, tenant_id, currency, provider, amount, created_by, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(hours => $7)) RETURNING expires_at",
        id.uuid(),
        tenant.uuid(),
        amount.currency.code(),
        provider.name(),
        amount.minor,
        created_by,
        valid_hours,
    )
    .fetch_one(&mut **tx)
    .await
}

pub async fn set_booked(pool: &PgPool, id: PaymentId, booked: &Booked) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payments SET target = $2, reference = $3 WHERE id = $1",
        id.uuid(),
        booked.target,
        booked.reference,
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn reference(tx: &mut Tx, id: PaymentId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT reference FROM payments WHERE id = $1", id.uuid()).fetch_one(&mut **tx).await
}

/// The payment that a provider knows by its own number of the movement of money.
pub async fn by_transaction(
    tx: &mut Tx,
    provider: Provider,
    transaction: &str,
) -> sqlx::Result<Option<PaymentId>> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM payments WHERE provider = $1 AND facts ->> 'transaction' = $2 ORDER BY id LIMIT 1",
        provider.name(),
        transaction,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(id.map(PaymentId::from))
}

/// Events of a payment that came before it.
pub async fn wake_orphans(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payment_events SET state = 'received', reason = '', due_at = now() \
         WHERE state = 'unknown' AND told ->> 'transaction' IS NOT NULL AND EXISTS (SELECT FROM payments \
             WHERE payments.provider = payment_events.provider \
             AND facts ->> 'transaction' = told ->> 'transaction')"
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Payments that the provider is to be asked about, and how often it was.  Only those are open that were not paid.
pub async fn due_to_ask(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<(PaymentId, i32)>> {
    let rows = sqlx::query!(
        "SELECT id, asked FROM payments WHERE ask_at <= now() AND state IN ('pending', 'expired') \
         ORDER BY ask_at LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.asked)).collect())
}

/// Whether nobody else asks now.  `wait` is in seconds; nothing: this is the last time.
pub async fn note_asked(pool: &PgPool, id: PaymentId, asked: i32, wait: Option<f64>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE payments SET asked = asked + 1, ask_at = now() + make_interval(secs => $3) \
         WHERE id = $1 AND asked = $2 AND ask_at <= now()",
        id.uuid(),
        asked,
        wait,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn settle_dispute(tx: &mut Tx, id: PaymentId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE payments SET dispute_settled_at = now() WHERE id = $1", id.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Administrators' addresses and languages.
pub async fn operators(tx: &mut Tx) -> sqlx::Result<Vec<(String, String)>> {
    let rows =
        sqlx::query!("SELECT email, locale FROM users WHERE is_admin AND disabled_at IS NULL ORDER BY email")
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|row| (row.email, row.locale)).collect())
}

/// The newest first; of one tenant, or for administrators of all.
pub async fn list(
    tx: &mut Tx,
    tenant: Option<TenantId>,
    after: Option<PaymentId>,
    fetch: i64,
) -> sqlx::Result<Vec<Payment>> {
    let rows = sqlx::query_as!(
        PaymentRow,
        "SELECT payments.id, tenant_id, tenants.name AS tenant_name, currency, provider, amount, \
         facts AS \"facts: Json<Facts>\", state, refunded, target, created_by, payments.created_at, expires_at, paid_at, \
         dispute, disputed, dispute_settled_at IS NOT NULL AS \"dispute_settled!\" \
         FROM payments JOIN tenants ON tenants.id = tenant_id \
         WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR payments.id < $2) \
         ORDER BY payments.id DESC LIMIT $3",
        tenant.map(TenantId::uuid),
        after.map(PaymentId::uuid),
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Payment::try_from).collect()
}

pub async fn by_id(tx: &mut Tx, tenant: Option<TenantId>, id: PaymentId) -> sqlx::Result<Option<Payment>> {
    sqlx::query_as!(
        PaymentRow,
        "SELECT payments.id, tenant_id, tenants.name AS tenant_name, currency, provider, amount, \
         facts AS \"facts: Json<Facts>\", state, refunded, target, created_by, payments.created_at, expires_at, paid_at, \
         dispute, disputed, dispute_settled_at IS NOT NULL AS \"dispute_settled!\" \
         FROM payments JOIN tenants ON tenants.id = tenant_id \
         WHERE payments.id = $2 AND ($1::uuid IS NULL OR tenant_id = $1)",
        tenant.map(TenantId::uuid),
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Payment::try_from)
    .transpose()
}

/// [`by_id`], locked until the end of the transaction.
pub async fn lock(tx: &mut Tx, id: PaymentId) -> sqlx::Result<Option<Payment>> {
    sqlx::query!("SELECT id FROM payments WHERE id = $1 FOR NO KEY UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    by_id(tx, None, id).await
}

pub async fn save_facts(tx: &mut Tx, payment: &Payment, facts: &Facts, entries: i32) -> sqlx::Result<()> {
    let state = facts.state(payment.amount);
    sqlx::query!(
        "UPDATE payments SET facts = $2, state = $3, refunded = $4, entries = entries + $5, dispute = $6, disputed = $7, \
         ask_at = CASE WHEN $3 IN ('pending', 'expired') THEN ask_at END, \
         paid_at = CASE WHEN $3 IN ('paid', 'refunded') THEN coalesce(paid_at, now()) END WHERE id = $1",
        payment.id.uuid(),
        Json(facts) as _,
        state.name(),
        facts.refunded(),
        entries,
        facts.dispute().name(),
        facts.disputed(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Pending payments whose time is over, with some patience for what is on its way.
pub async fn overdue(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<PaymentId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM payments WHERE state = 'pending' AND expires_at < now() - interval '10 minutes' \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'payment_expiry' AND subject = payments.id::text AND next_at > now()) \
         ORDER BY expires_at LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(PaymentId::from).collect())
}

/// A payment, and how many entries it had when that was read.
pub type Seen = (Uuid, i32);

/// Tenants whose accounts must be looked at, and because of what.
pub async fn unreviewed(pool: &PgPool) -> sqlx::Result<Vec<(TenantId, Vec<Seen>)>> {
    let rows = sqlx::query!(
        "SELECT tenant_id, array_agg(id) AS \"ids!\", array_agg(entries) AS \"entries!\" FROM payments \
         WHERE reviewed < entries GROUP BY tenant_id ORDER BY tenant_id"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.tenant_id.into(), row.ids.into_iter().zip(row.entries).collect()))
        .collect())
}

/// What came in meanwhile stays to be looked at.
pub async fn set_reviewed(pool: &PgPool, seen: &[Seen]) -> sqlx::Result<()> {
    let (ids, entries): (Vec<Uuid>, Vec<i32>) = seen.iter().copied().unzip();
    sqlx::query!(
        "UPDATE payments SET reviewed = greatest(reviewed, seen.entries) \
         FROM unnest($1::uuid[], $2::integer[]) AS seen (id, entries) WHERE payments.id = seen.id",
        &ids,
        &entries,
    )
    .execute(pool)
    .await?;
    Ok(())
}

// Events ---------------------------------------------------------------------------------------

/// Whether it is new.  When this returns, it is on disk.
pub async fn insert_event(
    pool: &PgPool,
    provider: Provider,
    event_id: &str,
    kind: &str,
    body: &[u8],
    told: Option<&Told>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO payment_events (provider, event_id, kind, body, told) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT ON CONSTRAINT payment_events_once DO NOTHING",
        provider.name(),
        event_id,
        kind,
        body,
        told.map(Json) as Option<Json<&Told>>,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// In the order in which they came.
pub async fn waiting(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "SELECT id FROM payment_events WHERE state = 'received' AND due_at <= now() ORDER BY due_at, id LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Nothing where somebody else is at it, or was.
pub async fn lock_event(tx: &mut Tx, id: i64) -> sqlx::Result<Option<Waiting>> {
    let row = sqlx::query!(
        "SELECT id, provider, event_id, told AS \"told: Json<Told>\" FROM payment_events \
         WHERE id = $1 AND state = 'received' FOR NO KEY UPDATE SKIP LOCKED",
        id,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| {
        Ok(Waiting {
            id: row.id,
            provider: provider_named(&row.provider)?,
            event_id: row.event_id,
            told: row.told.map(|told| told.0),
        })
    })
    .transpose()
}

pub async fn finish_event(
    tx: &mut Tx,
    id: i64,
    state: &str,
    reason: &str,
    payment: Option<PaymentId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payment_events SET state = $2, reason = $3, payment_id = $4, processed_at = now(), \
         attempts = attempts + 1, last_error = NULL WHERE id = $1",
        id,
        state,
        reason,
        payment.map(PaymentId::uuid),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Two seconds, four, … up to an hour.
pub async fn postpone(pool: &PgPool, id: i64, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payment_events SET attempts = attempts + 1, last_error = left($2, 1000), \
         due_at = now() + least(interval '1 hour', interval '1 second' * power(2, least(attempts + 1, 12))) WHERE id = $1",
        id,
        error,
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn wait_again(tx: &mut Tx, id: i64, told: Option<&Told>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE payment_events SET state = 'received', reason = '', told = $2, due_at = now() WHERE id = $1",
        id,
        told.map(Json) as Option<Json<&Told>>,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// An event as administrators see it.
#[derive(Clone, Debug)]
pub struct EventRow {
    pub id: i64,
    pub provider: Provider,
    pub event_id: String,
    pub kind: String,
    pub body: Vec<u8>,
    pub told: Option<Told>,
    pub state: String,
    pub reason: String,
    pub payment: Option<PaymentId>,
    pub attempts: i32,
    pub last_error: Option<String>,
    pub received_at: OffsetDateTime,
    pub processed_at: Option<OffsetDateTime>,
}

struct RawEvent {
    id: i64,
    provider: String,
    event_id: String,
    kind: String,
    body: Vec<u8>,
    told: Option<Json<Told>>,
    state: String,
    reason: String,
    payment_id: Option<Uuid>,
    attempts: i32,
    last_error: Option<String>,
    received_at: OffsetDateTime,
    processed_at: Option<OffsetDateTime>,
}

impl TryFrom<RawEvent> for EventRow {
    type Error = sqlx::Error;

    fn try_from(row: RawEvent) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            provider: provider_named(&row.provider)?,
            event_id: row.event_id,
            kind: row.kind,
            body: row.body,
            told: row.told.map(|told| told.0),
            state: row.state,
            reason: row.reason,
            payment: row.payment_id.map(PaymentId::from),
            attempts: row.attempts,
            last_error: row.last_error,
            received_at: row.received_at,
            processed_at: row.processed_at,
        })
    }
}

/// The newest first; of one state, or all.
pub async fn events(
    pool: &PgPool,
    state: Option<&str>,
    after: Option<i64>,
    fetch: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let rows = sqlx::query_as!(
        RawEvent,
        "SELECT id, provider, event_id, kind, body, told AS \"told: Json<Told>\", state, reason, payment_id, attempts, \
         last_error, received_at, processed_at FROM payment_events \
         WHERE ($1::text IS NULL OR state = $1) AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        state,
        after,
        fetch,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(EventRow::try_from).collect()
}

pub async fn event(executor: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<EventRow>> {
    sqlx::query_as!(
        RawEvent,
        "SELECT id, provider, event_id, kind, body, told AS \"told: Json<Told>\", state, reason, payment_id, attempts, \
         last_error, received_at, processed_at FROM payment_events WHERE id = $1",
        id,
    )
    .fetch_optional(executor)
    .await?
    .map(EventRow::try_from)
    .transpose()
}
