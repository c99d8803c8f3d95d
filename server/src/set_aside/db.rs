use super::{Aside, Filter, Item, Kind};
use crate::db::Tx;
use crate::ids::{HostId, InstanceId, TenantId};
use sqlx::PgPool;

/// As many as an administrator would read, and as a pass keeps in memory.
const MOST: i64 = 10_000;

/// Notes a failure.  The pause doubles from half a minute to an hour.
pub async fn note(tx: &mut Tx, item: &Item, reason: &str, detail: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO set_aside AS aside (kind, subject, host_id, instance_id, tenant_id, reason, detail, document, next_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + interval '30 seconds') \
         ON CONFLICT (kind, subject) DO UPDATE SET failures = aside.failures + 1, host_id = EXCLUDED.host_id, \
             instance_id = EXCLUDED.instance_id, tenant_id = EXCLUDED.tenant_id, reason = EXCLUDED.reason, \
             detail = EXCLUDED.detail, document = EXCLUDED.document, last_at = now(), \
             next_at = now() + least(interval '1 hour', interval '30 seconds' * power(2, least(aside.failures, 10)))",
        item.kind.name(),
        item.subject,
        item.host.map(HostId::uuid),
        item.instance.map(InstanceId::uuid),
        item.tenant.map(TenantId::uuid),
        reason,
        detail,
        item.document,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether administrators are to be told now: it has failed again, they were not told of it, and of the same kind on the
/// same host of nothing else within a day.
pub async fn claim_telling(tx: &mut Tx, item: &Item) -> sqlx::Result<bool> {
    let first = sqlx::query_scalar!(
        "UPDATE set_aside SET told_at = now() WHERE kind = $1 AND subject = $2 AND failures > 1 AND told_at IS NULL \
         RETURNING NOT EXISTS (SELECT FROM set_aside AS other WHERE other.kind = set_aside.kind \
             AND other.host_id IS NOT DISTINCT FROM set_aside.host_id AND other.subject <> set_aside.subject \
             AND other.told_at > now() - interval '1 day') AS \"first!\"",
        item.kind.name(),
        item.subject,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(first.unwrap_or(false))
}

/// Addresses and languages of those who run the platform.
pub async fn administrators(tx: &mut Tx) -> sqlx::Result<Vec<(String, String)>> {
    let rows =
        sqlx::query!("SELECT email, locale FROM users WHERE is_admin AND disabled_at IS NULL ORDER BY email")
            .fetch_all(&mut **tx)
            .await?;
    Ok(rows.into_iter().map(|row| (row.email, row.locale)).collect())
}

pub async fn remove(pool: &PgPool, kind: Kind, subjects: &[String]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM set_aside WHERE kind = $1 AND subject = ANY($2)", kind.name(), subjects)
        .execute(pool)
        .await?;
    Ok(())
}

pub async fn remove_in(tx: &mut Tx, kind: Kind, subject: &str) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM set_aside WHERE kind = $1 AND subject = $2", kind.name(), subject)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether something of the same tenant stands aside whose subject comes before this one.
pub async fn waits_for_earlier(
    tx: &mut Tx,
    kind: Kind,
    tenant: TenantId,
    subject: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM set_aside WHERE kind = $1 AND tenant_id = $2 AND subject < $3) AS \"waits!\"",
        kind.name(),
        tenant.uuid(),
        subject,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Takes one for another attempt, until the transaction ends; false: somebody else had it, and it succeeded.
pub async fn lock(tx: &mut Tx, kind: Kind, subject: &str) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        "SELECT failures FROM set_aside WHERE kind = $1 AND subject = $2 FOR UPDATE",
        kind.name(),
        subject
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.is_some())
}

/// Whether this still is what was set aside last.
pub async fn stands(tx: &mut Tx, kind: Kind, subject: &str, document: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM set_aside WHERE kind = $1 AND subject = $2 AND document = $3) AS \"stands!\"",
        kind.name(),
        subject,
        document,
    )
    .fetch_one(&mut **tx)
    .await
}

/// What of a kind stands aside, and whether it waits for its next attempt.
pub async fn subjects(pool: &PgPool, kind: Kind) -> sqlx::Result<Vec<(String, bool)>> {
    let rows = sqlx::query!(
        "SELECT subject, next_at > now() AS \"waits!\" FROM set_aside WHERE kind = $1 ORDER BY last_at DESC LIMIT $2",
        kind.name(),
        MOST,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, row.waits)).collect())
}

/// What of a kind is due to be tried again, the longest waiting first: subject, host, and what could not be taken.
pub async fn due(
    pool: &PgPool,
    kind: Kind,
    limit: i64,
) -> sqlx::Result<Vec<(String, Option<HostId>, Option<String>)>> {
    let rows = sqlx::query!(
        "SELECT subject, host_id, document FROM set_aside WHERE kind = $1 AND next_at <= now() \
         ORDER BY next_at LIMIT $2",
        kind.name(),
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.subject, row.host_id.map(HostId::from), row.document)).collect())
}

/// The latest first.
pub async fn list(pool: &PgPool, filter: Filter, limit: i64) -> sqlx::Result<Vec<Aside>> {
    let (host, instance) = filter.columns();
    let rows = sqlx::query!(
        "SELECT aside.*, hosts.name AS \"host_name?\", instances.name AS \"instance_name?\" FROM set_aside AS aside \
         LEFT JOIN hosts ON hosts.id = aside.host_id LEFT JOIN instances ON instances.id = aside.instance_id \
         WHERE ($1::uuid IS NULL OR aside.host_id = $1) AND ($2::uuid IS NULL OR aside.instance_id = $2) \
         ORDER BY last_at DESC, subject LIMIT $3",
        host,
        instance,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Aside {
            kind: row.kind,
            subject: row.subject,
            host: row.host_id.map(|id| (id.into(), row.host_name)),
            instance: row.instance_id.map(|id| (id.into(), row.instance_name)),
            tenant: row.tenant_id.map(TenantId::from),
            reason: row.reason,
            detail: row.detail,
            document: row.document,
            failures: row.failures,
            first_at: row.first_at,
            last_at: row.last_at,
            next_at: row.next_at,
        })
        .collect())
}

/// Forgets what nobody has tried for a week, such as reports of a host that is gone, and the oldest beyond ten thousand.
pub async fn prune(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM set_aside WHERE kind <> 'invoice' AND (last_at < now() - interval '7 days' \
         OR last_at < (SELECT last_at FROM set_aside ORDER BY last_at DESC OFFSET $1 LIMIT 1))",
        MOST,
    )
    .execute(pool)
    .await?;
    Ok(())
}
