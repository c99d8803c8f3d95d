use crate::db::Tx;
use crate::ids::UserId;
use crate::web::session_store::LONGEST_DAYS;
use ipnet::IpNet;
use sqlx::PgPool;
use std::net::IpAddr;
use time::OffsetDateTime;
use uuid::Uuid;

pub struct SessionRow {
    pub id_hash: Vec<u8>,
    pub ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    pub created_at: OffsetDateTime,
    pub last_seen_at: OffsetDateTime,
    /// Signed out by then, however often it is visited.
    pub ends_at: OffsetDateTime,
}

/// Notes from where somebody signed in, for the list of sessions.
pub async fn describe(
    pool: &PgPool,
    id_hash: &[u8],
    ip: Option<IpAddr>,
    user_agent: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE sessions SET ip = $2, user_agent = $3 WHERE id_hash = $1",
        id_hash,
        ip.map(IpNet::from) as Option<IpNet>,
        user_agent,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes with which browser somebody signed in.
pub async fn note_device(pool: &PgPool, user: UserId, device: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO user_devices (user_id, device) VALUES ($1, $2) \
         ON CONFLICT (user_id, device) DO UPDATE SET seen_at = now()",
        user.uuid(),
        device,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Whether somebody has signed in with this browser lately, and since their password was reset: before, it may have been
/// somebody else.
pub async fn is_device_of(pool: &PgPool, user: Uuid, device: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM user_devices JOIN users ON users.id = user_id WHERE user_id = $1 AND device = $2 \
             AND (password_reset_at IS NULL OR seen_at > password_reset_at)) AS \"known!\"",
        user,
        device,
    )
    .fetch_one(pool)
    .await
}

/// Whether somebody who has signed in before never did so from this network in the last 90 days (IPv4 /24, IPv6 /48).
/// Asked before the event of this sign-in is written.
pub async fn is_unfamiliar(tx: &mut Tx, user: UserId, ip: IpAddr) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT count(*) > 0 AND NOT coalesce(bool_or(at > now() - interval '90 days' AND ip <<= \
             set_masklen($2::inet, CASE family($2::inet) WHEN 4 THEN 24 ELSE 48 END)::cidr), false) AS \"unfamiliar!\" \
         FROM (SELECT at, ip FROM events WHERE subject_kind = 'user' AND subject_id = $1 \
             AND action = 'session.created' ORDER BY id DESC LIMIT 1000) AS before",
        user.to_string(),
        IpNet::from(ip) as IpNet,
    )
    .fetch_one(&mut **tx)
    .await
}

/// The newest first.
pub async fn list(
    pool: &PgPool,
    user: UserId,
    after: Option<&[u8]>,
    fetch: i64,
) -> sqlx::Result<Vec<SessionRow>> {
    let rows = sqlx::query!(
        "SELECT id_hash, ip AS \"ip: IpNet\", user_agent, created_at, last_seen_at, \
         created_at + make_interval(days => $4) AS \"ends_at!\" FROM sessions \
         WHERE user_id = $1 AND expires_at > now() AND created_at > now() - make_interval(days => $4) AND ($2::bytea IS NULL OR \
           (created_at, id_hash) < (SELECT created_at, id_hash FROM sessions WHERE id_hash = $2 AND user_id = $1)) \
         ORDER BY created_at DESC, id_hash DESC LIMIT $3",
        user.uuid(),
        after,
        fetch,
        LONGEST_DAYS,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| SessionRow {
            id_hash: row.id_hash,
            ip: row.ip.map(|ip| ip.addr()),
            user_agent: row.user_agent,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            ends_at: row.ends_at,
        })
        .collect())
}

pub async fn delete_one(tx: &mut Tx, user: UserId, id_hash: &[u8]) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM sessions WHERE user_id = $1 AND id_hash = $2", user.uuid(), id_hash)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Signs somebody out everywhere, but for the session `keep`.
pub async fn delete_all(tx: &mut Tx, user: UserId, keep: Option<&[u8]>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "DELETE FROM sessions WHERE user_id = $1 AND ($2::bytea IS NULL OR id_hash <> $2)",
        user.uuid(),
        keep,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected())
}

/// Removes what has expired: sessions, links, and answers kept for repeated requests.
pub async fn delete_expired(pool: &PgPool) -> [sqlx::Result<()>; 5] {
    // One table that cannot be tidied must not keep the others from it.
    [
        sqlx::query!("DELETE FROM sessions WHERE expires_at < now()").execute(pool).await.map(drop),
        sqlx::query!("DELETE FROM email_tokens WHERE expires_at < now() - interval '1 day'")
            .execute(pool)
            .await
            .map(drop),
        sqlx::query!("DELETE FROM sign_in_links WHERE expires_at < now() - interval '1 day'")
            .execute(pool)
            .await
            .map(drop),
        // As long as the cookie lives: whoever stays signed in for months is no stranger when they sign in again.
        sqlx::query!("DELETE FROM user_devices WHERE seen_at < now() - interval '366 days'")
            .execute(pool)
            .await
            .map(drop),
        sqlx::query!("DELETE FROM idempotency_keys WHERE created_at < now() - interval '25 hours'")
            .execute(pool)
            .await
            .map(drop),
    ]
}
