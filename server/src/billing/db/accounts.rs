use super::{currency, known};
use crate::billing::accounts::{Account, AccountTerms, EntryKind, NewEntry};
use crate::billing::dunning::Stage;
use crate::billing::money::{Currency, Money};
use crate::db::Tx;
use crate::ids::{InvoiceId, TenantId, VoucherId};
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    tenant_id: Uuid,
    name: String,
    currency: String,
    prepaid: bool,
    tax_rate: Option<i32>,
    billed_to: String,
    stage: String,
    overdue_since: Option<OffsetDateTime>,
    suspended_here: bool,
    entitlement_version: i64,
    low_balance_told: bool,
    credit_limit: Option<i64>,
    runway_told: Option<i32>,
}

impl TryFrom<Row> for Account {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            tenant: row.tenant_id.into(),
            tenant_name: row.name,
            currency: currency(&row.currency)?,
            prepaid: row.prepaid,
            tax_rate: row.tax_rate,
            billed_to: row.billed_to,
            stage: known("stage", &row.stage, Stage::parse(&row.stage))?,
            overdue_since: row.overdue_since,
            suspended_here: row.suspended_here,
            entitlement_version: row.entitlement_version,
            low_balance_told: row.low_balance_told,
            credit_limit: row.credit_limit,
            runway_told: row.runway_told,
        })
    }
}

pub async fn get(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Option<Account>> {
    sqlx::query_as!(
        Row,
        "SELECT tenant_id, name, currency, prepaid, tax_rate, billed_to, stage, overdue_since, suspended_here, \
         entitlement_version, low_balance_told_at IS NOT NULL AS \"low_balance_told!\", credit_limit, runway_told \
         FROM billing_accounts JOIN tenants ON id = tenant_id WHERE tenant_id = $1",
        tenant.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Account::try_from)
    .transpose()
}

/// [`get`], locked until the end of the transaction: decisions about one account follow each other.
pub async fn lock(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Option<Account>> {
    sqlx::query!(
        "SELECT tenant_id FROM billing_accounts WHERE tenant_id = $1 FOR NO KEY UPDATE",
        tenant.uuid()
    )
    .fetch_optional(&mut **tx)
    .await?;
    get(tx, tenant).await
}

pub async fn set_terms(tx: &mut Tx, tenant: TenantId, terms: &AccountTerms) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE billing_accounts SET currency = $2, prepaid = $3, tax_rate = $4, billed_to = $5, credit_limit = $6 \
         WHERE tenant_id = $1",
        tenant.uuid(),
        terms.currency.code(),
        terms.prepaid,
        terms.tax_rate,
        terms.billed_to.trim(),
        terms.credit_limit,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Fails with the constraint `account_entries_once` where it was entered before.
pub async fn insert_entry(tx: &mut Tx, entry: &NewEntry<'_>, debit: &str, credit: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO account_entries (tenant_id, currency, debit, credit, amount, kind, reference, note, invoice_id, actor) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        entry.tenant.uuid(),
        entry.amount.currency.code(),
        debit,
        credit,
        entry.amount.minor.saturating_abs(),
        entry.kind.name(),
        entry.reference,
        entry.note,
        entry.invoice.map(InvoiceId::uuid),
        entry.actor,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether the account was never open for orders, and is now.  Customers of a billing system buy there.
pub async fn open_for_orders(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<bool> {
    let first = sqlx::query!(
        "UPDATE billing_accounts SET opened_at = now() WHERE tenant_id = $1 AND opened_at IS NULL",
        tenant.uuid()
    )
    .execute(&mut **tx)
    .await?;
    if first.rows_affected() == 0 {
        return Ok(false);
    }
    let opened = sqlx::query!(
        "UPDATE tenants SET may_buy = true \
         WHERE id = $1 AND NOT may_buy AND NOT EXISTS (SELECT FROM billing_owners WHERE tenant_id = $1)",
        tenant.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(opened.rows_affected() == 1)
}

/// Whether it was open.
pub async fn close_for_orders(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<bool> {
    let closed = sqlx::query!("UPDATE tenants SET may_buy = false WHERE id = $1 AND may_buy", tenant.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(closed.rows_affected() == 1)
}

/// What keeps an account from ordering, besides money.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    pub may_buy: bool,
    pub suspended: bool,
    /// A payment is disputed, or was lost to a dispute, and no administrator has settled that.
    pub disputed: bool,
    /// A billing system sells to this customer.
    pub sold_elsewhere: bool,
}

pub async fn gate(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Gate> {
    sqlx::query_as!(
        Gate,
        "SELECT may_buy, suspended_at IS NOT NULL AS \"suspended!\", \
         EXISTS (SELECT FROM payments WHERE tenant_id = tenants.id AND dispute IN ('open', 'lost') \
             AND dispute_settled_at IS NULL) AS \"disputed!\", \
         EXISTS (SELECT FROM billing_owners WHERE tenant_id = tenants.id) AS \"sold_elsewhere!\" \
         FROM tenants WHERE id = $1",
        tenant.uuid()
    )
    .fetch_one(&mut **tx)
    .await
}

/// The sum of all entries: what the customer has with us; below zero, what they owe.
pub async fn balance(tx: &mut Tx, tenant: TenantId, currency: Currency) -> sqlx::Result<Money> {
    let minor = sqlx::query_scalar!(
        "SELECT coalesce(sum(CASE credit WHEN 'customer' THEN amount ELSE -amount END), 0)::bigint AS \"minor!\" \
         FROM account_entries WHERE tenant_id = $1 AND currency = $2",
        tenant.uuid(),
        currency.code(),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Money::new(currency, minor))
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub id: i64,
    pub at: OffsetDateTime,
    pub kind: EntryKind,
    /// Above zero: the customer's gain.
    pub amount: Money,
    pub reference: String,
    pub note: String,
    pub invoice: Option<InvoiceId>,
    pub actor: String,
}

/// The newest first.
pub async fn entries(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<i64>,
    fetch: i64,
) -> sqlx::Result<Vec<Entry>> {
    let rows = sqlx::query!(
        "SELECT id, at, kind, currency, CASE credit WHEN 'customer' THEN amount ELSE -amount END AS \"amount!\", \
         reference, note, invoice_id, actor FROM account_entries \
         WHERE tenant_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        tenant.uuid(),
        after,
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Entry {
                id: row.id,
                at: row.at,
                kind: known("kind", &row.kind, EntryKind::parse(&row.kind))?,
                amount: Money::new(currency(&row.currency)?, row.amount),
                reference: row.reference,
                note: row.note,
                invoice: row.invoice_id.map(InvoiceId::from),
                actor: row.actor,
            })
        })
        .collect()
}

pub async fn insert_voucher(
    tx: &mut Tx,
    id: VoucherId,
    code_hash: &[u8],
    amount: Money,
    valid_days: Option<i32>,
    opens_orders: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO vouchers (id, code_hash, currency, amount, expires_at, opens_orders) \
         VALUES ($1, $2, $3, $4, now() + make_interval(days => $5::integer), $6)",
        id.uuid(),
        code_hash,
        amount.currency.code(),
        amount.minor,
        valid_days,
        opens_orders,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A voucher that was taken: (which, how much, whether it opens the account for orders).
pub type Taken = (VoucherId, Money, bool);

/// Takes a voucher that is good; nothing where it is unknown, used, expired or of another currency.
pub async fn take_voucher(
    tx: &mut Tx,
    code_hash: &[u8],
    tenant: TenantId,
    wanted: Currency,
) -> sqlx::Result<Option<Taken>> {
    let row = sqlx::query!(
        "UPDATE vouchers SET redeemed_at = now(), redeemed_by = $2 WHERE code_hash = $1 AND redeemed_at IS NULL \
         AND currency = $3 AND (expires_at IS NULL OR expires_at > now()) RETURNING id, amount, opens_orders",
        code_hash,
        tenant.uuid(),
        wanted.code(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.id.into(), Money::new(wanted, row.amount), row.opens_orders)))
}
