use super::{currency, known, month};
use crate::billing::accounts::Account;
use crate::billing::bill::{Billed, Line, Plan};
use crate::billing::calendar::{Month, to_sql};
use crate::billing::charges::Item;
use crate::billing::invoices::{CreditNote, Invoice};
use crate::billing::money::{Money, Taxed};
use crate::billing::settings::BillingSettings;
use crate::billing::standing::at;
use crate::db::Tx;
use crate::ids::{CreditNoteId, InvoiceId, TenantId};
use jiff::civil::Date;
use time::OffsetDateTime;
use uuid::Uuid;

const fn item_name(item: Item) -> &'static str {
    match item {
        Item::Time => "time",
        Item::Traffic => "traffic",
    }
}

fn item(word: &str) -> sqlx::Result<Item> {
    let found = [Item::Time, Item::Traffic].into_iter().find(|item| item_name(*item) == word);
    known("item", word, found)
}

/// What a tenant was billed for months from this one on, by invoices made before the one of the month `before`.
pub async fn billed(tx: &mut Tx, tenant: TenantId, from: Date, before: Option<Date>) -> sqlx::Result<Billed> {
    let rows = sqlx::query!(
        "SELECT instance_id, lines.month, item, interval, sum(amount)::bigint AS \"amount!\" FROM invoice_lines AS lines \
         JOIN invoices ON invoices.id = invoice_id WHERE lines.tenant_id = $1 AND lines.month >= $2 \
         AND ($3::date IS NULL OR invoices.month < $3) GROUP BY instance_id, lines.month, item, interval",
        tenant.uuid(),
        to_sql(from),
        before.map(to_sql),
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = (row.instance_id.into(), month(row.month), item(&row.item)?, row.interval);
            Ok((key, row.amount))
        })
        .collect()
}

/// The month of the latest run, and whether it has ended.
pub async fn last_run(tx: &mut Tx) -> sqlx::Result<Option<(Date, bool)>> {
    let row = sqlx::query!(
        "SELECT month, finished_at IS NOT NULL AS \"finished!\" FROM invoice_runs ORDER BY month DESC LIMIT 1"
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (month(row.month), row.finished)))
}

/// How far a month's run has come, locked; begins it where nobody did.  None: it has ended.
pub async fn lock_run(tx: &mut Tx, of: Date, time_zone: &str) -> sqlx::Result<Option<Option<TenantId>>> {
    sqlx::query!(
        "INSERT INTO invoice_runs (month, time_zone) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        to_sql(of),
        time_zone
    )
    .execute(&mut **tx)
    .await?;
    let row = sqlx::query!(
        "SELECT last_tenant, finished_at FROM invoice_runs WHERE month = $1 FOR UPDATE",
        to_sql(of)
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.finished_at.is_none().then(|| row.last_tenant.map(TenantId::from)))
}

/// The next tenants in order who had something by that second.
pub async fn next_tenants(
    tx: &mut Tx,
    after: Option<TenantId>,
    until: i64,
    limit: i64,
) -> sqlx::Result<Vec<TenantId>> {
    let ids = sqlx::query_scalar!(
        "SELECT tenant_id FROM billing_accounts AS accounts WHERE tenant_id > $1 \
         AND EXISTS (SELECT FROM ledger WHERE ledger.tenant_id = accounts.tenant_id AND since <= $2) \
         ORDER BY tenant_id LIMIT $3",
        after.map_or(Uuid::nil(), TenantId::uuid),
        at(until),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids.into_iter().map(TenantId::from).collect())
}

/// Notes who was the last; nobody: the run has ended.
pub async fn note_run(tx: &mut Tx, of: Date, last: Option<TenantId>) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE invoice_runs SET last_tenant = coalesce($2, last_tenant), \
         finished_at = CASE WHEN $2::uuid IS NULL THEN now() END WHERE month = $1",
        to_sql(of),
        last.map(TenantId::uuid),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The next number of a series; whoever takes one holds the series until the end of the transaction.
pub async fn take_number(tx: &mut Tx, series: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "UPDATE document_numbers SET last = last + 1 WHERE series = $1 RETURNING last",
        series
    )
    .fetch_one(&mut **tx)
    .await
}

pub struct NewInvoice<'a> {
    pub id: InvoiceId,
    pub number: i64,
    pub account: &'a Account,
    pub month: &'a Month,
    pub settings: &'a BillingSettings,
    pub rate: i32,
    pub taxed: Taxed,
}

/// Gives when it is due.
pub async fn insert(tx: &mut Tx, new: &NewInvoice<'_>) -> sqlx::Result<OffsetDateTime> {
    let NewInvoice { account, settings, taxed, .. } = new;
    let billed_to = match account.billed_to.as_str() {
        "" => &account.tenant_name,
        text => text,
    };
    // A prepaid account pays at once.
    let days = if account.prepaid { 0 } else { settings.due_days };
    sqlx::query_scalar!(
        "INSERT INTO invoices (id, number, tenant_id, currency, month, time_zone, due_at, net, tax, total, tax_rate, \
         tax_included, issuer, billed_to) \
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(days => $7::integer), $8, $9, $10, $11, $12, $13, $14) \
         RETURNING due_at",
        new.id.uuid(),
        new.number,
        account.tenant.uuid(),
        account.currency.code(),
        to_sql(new.month.first),
        settings.time_zone,
        days,
        taxed.net,
        taxed.tax,
        taxed.total(),
        new.rate,
        settings.tax_included,
        settings.issuer,
        billed_to,
    )
    .fetch_one(&mut **tx)
    .await
}

/// All lines in one statement.
pub async fn insert_lines(tx: &mut Tx, id: InvoiceId, tenant: TenantId, lines: &[Line]) -> sqlx::Result<()> {
    let column = |value: fn(&Line) -> i64| lines.iter().map(value).collect::<Vec<_>>();
    let instances: Vec<Uuid> = lines.iter().map(|line| line.instance.uuid()).collect();
    let names: Vec<String> = lines.iter().map(|line| line.name.clone()).collect();
    let months: Vec<time::Date> = lines.iter().map(|line| to_sql(line.month)).collect();
    let items: Vec<String> = lines.iter().map(|line| item_name(line.item).to_owned()).collect();
    let intervals: Vec<i32> = lines.iter().map(|line| line.interval).collect();
    let plans: Vec<Uuid> = lines.iter().map(|line| line.plan.id.uuid()).collect();
    let versions: Vec<i32> = lines.iter().map(|line| line.plan.version).collect();
    let since: Vec<OffsetDateTime> = lines.iter().map(|line| at(line.since)).collect();
    let until: Vec<OffsetDateTime> = lines.iter().map(|line| at(line.until)).collect();
    sqlx::query!(
        "INSERT INTO invoice_lines (invoice_id, n, tenant_id, resource, instance_id, name, month, item, interval, plan_id, \
         plan_version, since, until, quantity, amount) \
         SELECT $1, line.n, $2, 'instance', line.instance_id, line.name, line.month, line.item, line.interval, line.plan_id, \
         line.plan_version, line.since, line.until, line.quantity, line.amount FROM unnest($3::uuid[], $4::text[], $5::date[], \
         $6::text[], $7::integer[], $8::uuid[], $9::integer[], $10::timestamptz[], $11::timestamptz[], $12::bigint[], \
         $13::bigint[]) WITH ORDINALITY AS line (instance_id, name, month, item, interval, plan_id, plan_version, since, \
         until, quantity, amount, n)",
        id.uuid(),
        tenant.uuid(),
        &instances,
        &names,
        &months,
        &items,
        &intervals,
        &plans,
        &versions,
        &since,
        &until,
        &column(|line| line.quantity),
        &column(|line| line.amount.minor),
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

struct Row {
    id: Uuid,
    number: i64,
    tenant_id: Uuid,
    tenant_name: String,
    currency: String,
    month: time::Date,
    time_zone: String,
    issued_at: OffsetDateTime,
    due_at: OffsetDateTime,
    net: i64,
    tax: i64,
    total: i64,
    tax_rate: i32,
    tax_included: bool,
    issuer: String,
    billed_to: String,
}

impl TryFrom<Row> for Invoice {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let currency = currency(&row.currency)?;
        Ok(Self {
            id: row.id.into(),
            number: row.number,
            tenant: row.tenant_id.into(),
            tenant_name: row.tenant_name,
            month: month(row.month),
            time_zone: row.time_zone,
            issued_at: row.issued_at,
            due_at: row.due_at,
            net: Money::new(currency, row.net),
            tax: Money::new(currency, row.tax),
            total: Money::new(currency, row.total),
            tax_rate: row.tax_rate,
            tax_included: row.tax_included,
            issuer: row.issuer,
            billed_to: row.billed_to,
        })
    }
}

/// One invoice of a tenant, or for administrators of any.
pub async fn by_id(tx: &mut Tx, tenant: Option<TenantId>, id: InvoiceId) -> sqlx::Result<Option<Invoice>> {
    sqlx::query_as!(
        Row,
        "SELECT invoices.id, number, tenant_id, name AS tenant_name, currency, month, time_zone, issued_at, due_at, net, tax, total, \
         tax_rate, tax_included, issuer, billed_to FROM invoices JOIN tenants ON tenants.id = tenant_id \
         WHERE invoices.id = $1 AND ($2::uuid IS NULL OR tenant_id = $2)",
        id.uuid(),
        tenant.map(TenantId::uuid),
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Invoice::try_from)
    .transpose()
}

/// The newest first; of one tenant, or for administrators of all.
pub async fn list(
    tx: &mut Tx,
    tenant: Option<TenantId>,
    after: Option<InvoiceId>,
    fetch: i64,
) -> sqlx::Result<Vec<Invoice>> {
    sqlx::query_as!(
        Row,
        "SELECT invoices.id, number, tenant_id, name AS tenant_name, currency, month, time_zone, issued_at, due_at, net, tax, total, \
         tax_rate, tax_included, issuer, billed_to FROM invoices JOIN tenants ON tenants.id = tenant_id \
         WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR invoices.id < $2) \
         ORDER BY invoices.id DESC LIMIT $3",
        tenant.map(TenantId::uuid),
        after.map(InvoiceId::uuid),
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?
    .into_iter()
    .map(Invoice::try_from)
    .collect()
}

/// When each invoice is due, in seconds since 1970, and its amount.
pub async fn debts(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Vec<(i64, i64)>> {
    let rows = sqlx::query!(
        "SELECT due_at, total FROM invoices WHERE tenant_id = $1 AND total > 0 ORDER BY due_at",
        tenant.uuid()
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.due_at.unix_timestamp(), row.total)).collect())
}

/// The lines of one invoice, or of all of a tenant, in order.
pub async fn lines(
    tx: &mut Tx,
    tenant: TenantId,
    invoice: Option<InvoiceId>,
) -> sqlx::Result<Vec<(i64, Line)>> {
    let rows = sqlx::query!(
        "SELECT number, currency, instance_id, name, lines.month, item, interval, lines.plan_id, plan_version, name_en, \
         name_zh, since, until, quantity, amount FROM invoice_lines AS lines JOIN invoices ON invoices.id = invoice_id \
         JOIN plan_versions ON plan_versions.plan_id = lines.plan_id AND version = plan_version \
         WHERE lines.tenant_id = $1 AND ($2::uuid IS NULL OR invoice_id = $2) ORDER BY number DESC, n",
        tenant.uuid(),
        invoice.map(InvoiceId::uuid),
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let line = Line {
                instance: row.instance_id.into(),
                name: row.name,
                month: month(row.month),
                item: item(&row.item)?,
                interval: row.interval,
                plan: Plan {
                    id: row.plan_id.into(),
                    version: row.plan_version,
                    name_en: row.name_en,
                    name_zh: row.name_zh,
                },
                since: row.since.unix_timestamp(),
                until: row.until.unix_timestamp(),
                quantity: row.quantity,
                amount: Money::new(currency(&row.currency)?, row.amount),
            };
            Ok((row.number, line))
        })
        .collect()
}

pub async fn insert_credit_note(
    tx: &mut Tx,
    id: CreditNoteId,
    number: i64,
    invoice: &Invoice,
    amount: Taxed,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO credit_notes (id, number, invoice_id, tenant_id, net, tax, total, reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        id.uuid(),
        number,
        invoice.id.uuid(),
        invoice.tenant.uuid(),
        amount.net,
        amount.tax,
        amount.total(),
        reason,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn credit_notes(
    tx: &mut Tx,
    tenant: TenantId,
    invoice: InvoiceId,
) -> sqlx::Result<Vec<CreditNote>> {
    let rows = sqlx::query!(
        "SELECT notes.id, notes.number, notes.issued_at, notes.net, notes.tax, notes.total, reason, currency \
         FROM credit_notes AS notes JOIN invoices ON invoices.id = invoice_id \
         WHERE notes.tenant_id = $1 AND invoice_id = $2 ORDER BY notes.number",
        tenant.uuid(),
        invoice.uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let currency = currency(&row.currency)?;
            Ok(CreditNote {
                id: row.id.into(),
                number: row.number,
                issued_at: row.issued_at,
                net: Money::new(currency, row.net),
                tax: Money::new(currency, row.tax),
                total: Money::new(currency, row.total),
                reason: row.reason,
            })
        })
        .collect()
}
