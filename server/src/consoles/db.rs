//! SQL of consoles.

use super::{Console, End, Right, kind_of, kind_word};
use crate::db::Tx;
use crate::ids::{ConsoleId, HostId, TokenId, UserId};
use crate::instances::Instance;
use jst_protocol::desired::{ConsoleKind, ConsoleRequest};
use sqlx::PgPool;
use time::OffsetDateTime;

pub struct Open {
    pub of_instance: i64,
    pub of_tenant: i64,
    pub of_host: i64,
}

/// How many are open; until the transaction ends nobody opens another one there.
pub async fn count_open(tx: &mut Tx, instance: &Instance) -> sqlx::Result<Open> {
    sqlx::query_as!(
        Open,
        "SELECT of_instance AS \"of_instance!\", of_tenant AS \"of_tenant!\", of_host AS \"of_host!\" \
         FROM open_consoles($1, $2, $3)",
        instance.id.uuid(),
        instance.tenant_id.uuid(),
        instance.host_id.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

pub struct NewConsole<'a> {
    pub id: ConsoleId,
    pub instance: &'a Instance,
    pub user: UserId,
    pub right: &'a Right,
    pub token: Option<TokenId>,
    pub as_admin: bool,
    pub kind: ConsoleKind,
    pub ticket_hash: &'a [u8],
    pub seconds: i32,
}

/// Gives the moment at which the ticket expires.
pub async fn insert(tx: &mut Tx, new: NewConsole<'_>) -> sqlx::Result<OffsetDateTime> {
    let (session, token) = match new.right {
        Right::Session(hash) => (Some(hash.as_slice()), None),
        Right::Token => (None, new.token),
    };
    sqlx::query_scalar!(
        "INSERT INTO console_sessions (id, tenant_id, instance_id, host_id, build, user_id, session_hash, token_id, \
         as_admin, kind, ticket_hash, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now() + make_interval(secs => $12::integer)) \
         RETURNING expires_at",
        new.id.uuid(),
        new.instance.tenant_id.uuid(),
        new.instance.id.uuid(),
        new.instance.host_id.uuid(),
        new.instance.build,
        new.user.uuid(),
        session,
        token.map(TokenId::uuid),
        new.as_admin,
        kind_word(new.kind),
        new.ticket_hash,
        new.seconds,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Takes the ticket: the condition is in the statement, so that of two only one has it.  A ticket ends with the session or
/// the token by which it was asked for.
pub async fn claim(
    tx: &mut Tx,
    ticket_hash: &[u8],
    by: Option<UserId>,
    meets_at: Option<&str>,
) -> sqlx::Result<Option<Console>> {
    let row = sqlx::query!(
        "UPDATE console_sessions SET claimed_at = now(), seen_at = now(), meets_at = $3 \
         WHERE ticket_hash = $1 AND claimed_at IS NULL AND ended_at IS NULL AND expires_at > now() \
         AND (session_hash IS NULL OR user_id = $2 \
             AND EXISTS (SELECT FROM sessions WHERE id_hash = session_hash AND sessions.expires_at > now())) \
         AND (token_id IS NULL OR token_works(token_id)) RETURNING id, tenant_id, host_id, kind",
        ticket_hash,
        by.map(UserId::uuid),
        meets_at,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Console {
        id: row.id.into(),
        tenant_id: row.tenant_id.into(),
        host_id: row.host_id.into(),
        kind: kind_of(&row.kind).unwrap_or(ConsoleKind::Unknown),
    }))
}

/// A new revision, by which the agent's held request is answered.
pub async fn wake_host(tx: &mut Tx, host: HostId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE hosts SET revision = revision + 1 WHERE id = $1", host.uuid())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub async fn waiting(pool: &PgPool, host: HostId, seconds: i32) -> sqlx::Result<Vec<ConsoleRequest>> {
    let rows = sqlx::query!(
        "SELECT id, instance_id, kind, meets_at FROM console_sessions WHERE host_id = $1 AND ended_at IS NULL \
         AND connected_at IS NULL AND claimed_at > now() - make_interval(secs => $2::integer) ORDER BY id",
        host.uuid(),
        seconds,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ConsoleRequest {
            id: row.id,
            instance: row.instance_id,
            kind: kind_of(&row.kind).unwrap_or(ConsoleKind::Unknown),
            server: row.meets_at,
        })
        .collect())
}

/// What a console stands on.
pub struct Standing {
    ended: bool,
    state: String,
    same_place: bool,
    same_build: bool,
    suspended: bool,
    holds: bool,
}

impl Standing {
    pub fn end(&self) -> Option<End> {
        if self.ended {
            Some(End::Failed)
        } else if self.suspended {
            Some(End::Suspended)
        } else if !self.holds {
            Some(End::RightsLost)
        } else if !self.same_build {
            Some(End::Rebuilt)
        } else if self.state != "running" || !self.same_place {
            Some(End::Stopped)
        } else {
            None
        }
    }
}

/// Notes that the console is open, and reads what it stands on: the instance, and the right of who opened it.
/// An administrator may look at a suspended customer's guest.
pub async fn look(pool: &PgPool, id: ConsoleId) -> sqlx::Result<Option<Standing>> {
    sqlx::query_as!(
        Standing,
        "UPDATE console_sessions AS console SET seen_at = now() FROM instances, tenants, users \
         WHERE console.id = $1 AND instances.id = console.instance_id AND tenants.id = console.tenant_id \
         AND users.id = console.user_id \
         RETURNING console.ended_at IS NOT NULL AS \"ended!\", instances.state, \
         instances.host_id = console.host_id AND instances.tenant_id = console.tenant_id AS \"same_place!\", \
         instances.build = console.build AS \"same_build!\", \
         tenants.suspended_at IS NOT NULL AND NOT console.as_admin AS \"suspended!\", \
         users.disabled_at IS NULL \
         AND CASE WHEN console.as_admin THEN users.is_admin ELSE EXISTS (SELECT FROM memberships \
             WHERE memberships.user_id = users.id AND memberships.tenant_id = tenants.id AND role IN ('operator', 'owner')) END \
         AND (session_hash IS NULL OR EXISTS (SELECT FROM sessions WHERE id_hash = session_hash AND expires_at > now())) \
         AND (token_id IS NULL OR token_works(token_id)) AS \"holds!\"",
        id.uuid(),
    )
    .fetch_optional(pool)
    .await
}

pub async fn connected(pool: &PgPool, id: ConsoleId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE console_sessions SET connected_at = now() WHERE id = $1", id.uuid())
        .execute(pool)
        .await?;
    Ok(())
}

pub async fn ended(pool: &PgPool, id: ConsoleId, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE console_sessions SET ended_at = now(), end_reason = $2 WHERE id = $1 AND ended_at IS NULL",
        id.uuid(),
        reason,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Rows of yesterday; what happened stands in the log.
pub async fn forget(pool: &PgPool) -> sqlx::Result<u64> {
    let done = sqlx::query!("DELETE FROM console_sessions WHERE created_at < now() - interval '1 day'")
        .execute(pool)
        .await?;
    Ok(done.rows_affected())
}
