use super::{currency, known, month};
use crate::billing::dunning::Stage;
use crate::billing::money::Money;
use crate::ids::TenantId;
use jiff::civil::Date;
use sqlx::PgPool;
use time::OffsetDateTime;

/// What was invoiced for a month, less credit notes, without tax.
pub struct Revenue {
    pub month: Date,
    pub net: Money,
    pub invoices: i64,
}

/// The latest months first.
pub async fn revenue(pool: &PgPool) -> sqlx::Result<Vec<Revenue>> {
    let rows = sqlx::query!(
        "SELECT month, currency, count(*) AS \"invoices!\", (sum(net) - coalesce(sum((SELECT sum(notes.net) \
         FROM credit_notes AS notes WHERE notes.invoice_id = invoices.id)), 0))::bigint AS \"net!\" \
         FROM invoices GROUP BY month, currency ORDER BY month DESC, currency LIMIT 24"
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let net = Money::new(currency(&row.currency)?, row.net);
            Ok(Revenue { month: month(row.month), net, invoices: row.invoices })
        })
        .collect()
}

/// A customer who owes something, or whose account is not clear.
pub struct Debtor {
    pub tenant: TenantId,
    pub name: String,
    pub balance: Money,
    pub stage: Stage,
    pub overdue_since: Option<OffsetDateTime>,
}

/// Who owes most comes first.
pub async fn debtors(pool: &PgPool) -> sqlx::Result<Vec<Debtor>> {
    let rows = sqlx::query!(
        "SELECT accounts.tenant_id, name, accounts.currency, stage, overdue_since, balance AS \"balance!\" \
         FROM billing_accounts AS accounts JOIN tenants ON tenants.id = accounts.tenant_id \
         CROSS JOIN LATERAL (SELECT coalesce(sum(CASE credit WHEN 'customer' THEN amount ELSE -amount END), 0)::bigint \
             AS balance FROM account_entries WHERE account_entries.tenant_id = accounts.tenant_id) AS entries \
         WHERE balance < 0 OR stage <> 'clear' ORDER BY balance, name LIMIT 200"
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Debtor {
                tenant: row.tenant_id.into(),
                name: row.name,
                balance: Money::new(currency(&row.currency)?, row.balance),
                stage: known("stage", &row.stage, Stage::parse(&row.stage))?,
                overdue_since: row.overdue_since,
            })
        })
        .collect()
}

/// All that customers owe, by currency.
pub async fn receivables(pool: &PgPool) -> sqlx::Result<Vec<Money>> {
    let rows = sqlx::query!(
        "SELECT currency, (-sum(balance))::bigint AS \"owed!\" FROM (SELECT currency, sum(CASE credit WHEN 'customer' \
         THEN amount ELSE -amount END) AS balance FROM account_entries GROUP BY tenant_id, currency) AS balances \
         WHERE balance < 0 GROUP BY currency ORDER BY currency"
    )
    .fetch_all(pool)
    .await?;
    let mut found = Vec::new();
    for row in rows {
        found.push(Money::new(currency(&row.currency)?, row.owed));
    }
    Ok(found)
}
