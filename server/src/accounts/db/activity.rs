use crate::db::Tx;
use crate::ids::TenantId;
use ipnet::IpNet;
use serde_json::Value;
use std::net::IpAddr;
use time::OffsetDateTime;

pub struct EventRow {
    pub id: i64,
    pub at: OffsetDateTime,
    pub actor_kind: String,
    /// Absent for readers who are not told the address.
    pub actor: Option<String>,
    pub ip: Option<IpAddr>,
    pub action: String,
    pub subject_kind: String,
    pub subject_id: String,
    pub data: Value,
}

/// A tenant's events, the newest first.  The ends of operations and the entries of the account have lists of their own.
pub async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    after: Option<i64>,
    fetch: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let rows = sqlx::query!(
        "SELECT id, at, actor_kind, actor_label, ip AS \"ip: IpNet\", action, subject_kind, subject_id, data FROM events \
         WHERE tenant_id = $1 AND subject_kind NOT IN ('operation', 'entry') AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        tenant.uuid(),
        after,
        fetch,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| EventRow {
            id: row.id,
            at: row.at,
            actor_kind: row.actor_kind,
            actor: Some(row.actor_label),
            ip: row.ip.map(|ip| ip.addr()),
            action: row.action,
            subject_kind: row.subject_kind,
            subject_id: row.subject_id,
            data: row.data,
        })
        .collect())
}

/// The latest events about one thing, the newest first.
pub async fn of_subject(tx: &mut Tx, tenant: TenantId, kind: &str, id: &str) -> sqlx::Result<Vec<EventRow>> {
    let rows = sqlx::query!(
        "SELECT id, at, actor_kind, actor_label, ip AS \"ip: IpNet\", action, subject_kind, subject_id, data FROM events \
         WHERE tenant_id = $1 AND subject_kind = $2 AND subject_id = $3 ORDER BY id DESC LIMIT 50",
        tenant.uuid(),
        kind,
        id,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| EventRow {
            id: row.id,
            at: row.at,
            actor_kind: row.actor_kind,
            actor: Some(row.actor_label),
            ip: row.ip.map(|ip| ip.addr()),
            action: row.action,
            subject_kind: row.subject_kind,
            subject_id: row.subject_id,
            data: row.data,
        })
        .collect())
}
