use crate::db::Db;
use crate::events;
use crate::ids::TenantId;

/// What became of the attempt to use an idempotency key.
pub enum Booked {
    /// It is ours: do the work.
    Fresh,
    /// Another request used it.
    Other,
    /// The same request used it, by somebody with rights that this one lacks.
    OtherRights,
    /// The same request used it, and may still be worked on.
    Unfinished,
    /// The same request used it and was cut off after its change, which is about `subject`.
    Done {
        subject: String,
    },
    Answered {
        status: u16,
        sealed: String,
    },
}

/// One statement books the key, so that of several requests at once exactly one is fresh.
/// A key that is older than 24 hours counts as unused.
pub async fn book_key(
    db: &Db,
    tenant: TenantId,
    key: &str,
    request_hash: &[u8],
    rights: &[String],
) -> sqlx::Result<Booked> {
    let mut tx = db.tenant(tenant).await?;
    let fresh = sqlx::query_scalar!(
        "INSERT INTO idempotency_keys AS existing (tenant_id, key, request_hash, rights) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (tenant_id, key) DO UPDATE SET request_hash = excluded.request_hash, status = NULL, body = NULL, \
         rights = excluded.rights, created_at = now() WHERE existing.created_at < now() - interval '24 hours' RETURNING 1 AS \"one!\"",
        tenant.uuid(),
        key,
        request_hash,
        rights,
    )
    .fetch_optional(&mut *tx)
    .await?
    .is_some();
    let booked = if fresh {
        Booked::Fresh
    } else {
        let row = sqlx::query!(
            "SELECT request_hash, status, body, coalesce(rights <@ $3, false) AS \"may!\", \
             created_at > now() - interval '2 minutes' AS \"recent!\" \
             FROM idempotency_keys WHERE tenant_id = $1 AND key = $2",
            tenant.uuid(),
            key,
            rights,
        )
        .fetch_optional(&mut *tx)
        .await?;
        match row {
            // Freed between the two statements: the other request was refused at this very moment.
            None => Booked::Unfinished,
            Some(row) if row.request_hash != request_hash => Booked::Other,
            Some(row) if !row.may => Booked::OtherRights,
            Some(row) => match (row.status, row.body) {
                (Some(status), Some(sealed)) => Booked::Answered { status: status.unsigned_abs(), sealed },
                _ if row.recent => Booked::Unfinished,
                _ => {
                    // The attempt to book it has locked the row.
                    tx.rollback().await?;
                    return settle(db, tenant, key, rights).await;
                }
            },
        }
    };
    tx.commit().await?;
    Ok(booked)
}

/// Finds out what became of a request that was cut off, by the event that its change would have left.
/// Without one the key is booked anew, by one of those who ask.
async fn settle(db: &Db, tenant: TenantId, key: &str, rights: &[String]) -> sqlx::Result<Booked> {
    // Events of the platform itself, such as a new plan, are no tenant's to read.
    let mut tx = db.begin_platform().await?;
    let subject = sqlx::query_scalar!(
        "SELECT subject_id FROM events JOIN idempotency_keys AS keys ON events.at >= keys.created_at \
         WHERE keys.tenant_id = $1 AND keys.key = $2 AND events.request_key = $3 ORDER BY events.id DESC LIMIT 1",
        tenant.uuid(),
        key,
        events::request_key(tenant, key),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(subject) = subject {
        return Ok(Booked::Done { subject });
    }
    let booked = sqlx::query!(
        "UPDATE idempotency_keys SET created_at = now(), rights = $3 WHERE tenant_id = $1 AND key = $2 AND status IS NULL \
         AND created_at <= now() - interval '2 minutes'",
        tenant.uuid(),
        key,
        rights,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(if booked.rows_affected() == 1 { Booked::Fresh } else { Booked::Unfinished })
}

pub async fn keep_answer(
    db: &Db,
    tenant: TenantId,
    key: &str,
    status: u16,
    sealed: &str,
) -> sqlx::Result<()> {
    let mut tx = db.tenant(tenant).await?;
    sqlx::query!(
        "UPDATE idempotency_keys SET status = $3, body = $4 WHERE tenant_id = $1 AND key = $2",
        tenant.uuid(),
        key,
        status as i16,
        sealed,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

pub async fn free_key(db: &Db, tenant: TenantId, key: &str) -> sqlx::Result<()> {
    let mut tx = db.tenant(tenant).await?;
    sqlx::query!(
        "DELETE FROM idempotency_keys WHERE tenant_id = $1 AND key = $2 AND status IS NULL",
        tenant.uuid(),
        key,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
