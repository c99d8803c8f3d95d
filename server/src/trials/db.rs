use super::rules::Signals;
use crate::auth::Actor;
use crate::db::Tx;
use crate::ids::{AppealId, InstanceId, TenantId, TrialId, UserId};
use crate::settings::Settings;
use ipnet::IpNet;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

/// Whether this person had a trial, as far as the connection sees.
pub async fn used_by(tx: &mut Tx, user: UserId) -> sqlx::Result<bool> {
    sqlx::query_scalar!("SELECT EXISTS (SELECT FROM trials WHERE user_id = $1) AS \"used!\"", user.uuid())
        .fetch_one(&mut **tx)
        .await
}

/// The slug of a plan that somebody may try who had no trial yet, in any tenant.
pub async fn offer(pool: &PgPool, user: UserId, mailbox: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "SELECT slug FROM plans WHERE public AND trial AND retired_at IS NULL \
         AND NOT EXISTS (SELECT FROM trials WHERE user_id = $1 OR mailbox = $2) \
         ORDER BY sort_order, price_monthly_usd, slug LIMIT 1",
        user.uuid(),
        mailbox,
    )
    .fetch_optional(pool)
    .await
}

/// Everything that only the database can count; the rest is as it is by default.
pub async fn signals(
    tx: &mut Tx,
    user: UserId,
    address: Option<IpNet>,
    network: Option<IpNet>,
) -> sqlx::Result<Signals> {
    let row = sqlx::query!(
        "SELECT granted AS \"granted!\", from_devices AS \"from_devices!\", from_address AS \"from_address!\", \
         from_network AS \"from_network!\" FROM trial_signals($1, $2::inet::cidr, $3::inet::cidr)",
        user.uuid(),
        address as Option<IpNet>,
        network as Option<IpNet>,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Signals {
        granted: row.granted,
        from_devices: row.from_devices,
        from_address: row.from_address,
        from_network: row.from_network,
        ..Signals::default()
    })
}

/// Returns when the trial ends.
pub async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    mailbox: &str,
    instance: InstanceId,
    days: i32,
) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(
        "INSERT INTO trials (id, tenant_id, user_id, mailbox, instance_id, ip, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(days => $7)) RETURNING expires_at",
        TrialId::new().uuid(),
        actor.tenant_id.uuid(),
        actor.user_id.uuid(),
        mailbox,
        instance.uuid(),
        actor.ip.map(|ip| IpNet::from(ip.to_canonical())) as Option<IpNet>,
        days,
    )
    .fetch_one(&mut **tx)
    .await
}

pub async fn remove(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("DELETE FROM trials WHERE instance_id = $1 AND converted_at IS NULL", instance.uuid())
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() > 0)
}

pub async fn convert(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE trials SET converted_at = now() \
         WHERE instance_id = $1 AND converted_at IS NULL AND deleted_at IS NULL",
        instance.uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Whether the instance is a trial that was not bought.
pub async fn is_trial(tx: &mut Tx, instance: InstanceId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM trials WHERE instance_id = $1 AND converted_at IS NULL) AS \"trial!\"",
        instance.uuid(),
    )
    .fetch_one(&mut **tx)
    .await
}

/// A trial as its owner sees it.
#[derive(Clone, Debug)]
pub struct Trial {
    pub instance_id: InstanceId,
    pub expires_at: OffsetDateTime,
    pub stopped_at: Option<OffsetDateTime>,
    /// When the data of an ended trial go, by the setting of today.
    pub delete_at: OffsetDateTime,
    /// Whole days that are left, rounded up; 0 when it has ended.
    pub days_left: i64,
}

/// Trials of a tenant that were neither bought nor deleted.
pub async fn of_tenant(tx: &mut Tx, tenant: TenantId) -> sqlx::Result<Vec<Trial>> {
    let keep_days = i32::try_from(Settings::default().trial_keep_days).unwrap_or(i32::MAX);
    let rows = sqlx::query!(
        "SELECT instance_id, expires_at, stopped_at, \
         coalesce(stopped_at, expires_at) + make_interval(days => \
             coalesce((SELECT (value #>> '{}')::integer FROM settings WHERE key = 'trial_keep_days'), $2)) AS \"delete_at!\", \
         greatest(0, ceil(extract(epoch FROM expires_at - now()) / 86400))::bigint AS \"days_left!\" \
         FROM trials WHERE tenant_id = $1 AND converted_at IS NULL AND deleted_at IS NULL ORDER BY started_at DESC",
        tenant.uuid(),
        keep_days,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Trial {
            instance_id: row.instance_id.into(),
            expires_at: row.expires_at,
            stopped_at: row.stopped_at,
            delete_at: row.delete_at,
            days_left: row.days_left,
        })
        .collect())
}

// The worker's ---------------------------------------------------------------------------------

/// A trial for which something is due.
#[derive(Clone, Debug)]
pub struct Due {
    pub id: TrialId,
    pub tenant_id: TenantId,
    pub instance_id: InstanceId,
    pub expires_at: OffsetDateTime,
    pub email: String,
    pub locale: String,
}

struct DueRow {
    id: Uuid,
    tenant_id: Uuid,
    instance_id: Uuid,
    expires_at: OffsetDateTime,
    email: String,
    locale: String,
}

impl From<DueRow> for Due {
    fn from(row: DueRow) -> Self {
        Self {
            id: row.id.into(),
            tenant_id: row.tenant_id.into(),
            instance_id: row.instance_id.into(),
            expires_at: row.expires_at,
            email: row.email,
            locale: row.locale,
        }
    }
}

/// Trials whose owners are to be reminded: three days before their end and one day before it.
/// A trial that is shorter than such a time is not reminded of it at its start.
pub async fn due_for_reminder(pool: &sqlx::PgPool, limit: i64) -> sqlx::Result<Vec<TrialId>> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM trials \
         WHERE converted_at IS NULL AND deleted_at IS NULL AND stopped_at IS NULL AND expires_at > now() \
         AND EXISTS (SELECT FROM (VALUES (interval '3 days'), (interval '1 day')) AS marks (before) \
             WHERE expires_at - before <= now() AND expires_at - before > started_at \
             AND (reminded_at IS NULL OR reminded_at < expires_at - before)) \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'trial_reminder' AND subject = trials.id::text AND next_at > now()) \
         ORDER BY expires_at LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(TrialId::from).collect())
}

/// The same of one trial, locked; nothing when another replica was faster.
pub async fn lock_for_reminder(tx: &mut Tx, id: TrialId) -> sqlx::Result<Option<Due>> {
    let row = sqlx::query_as!(
        DueRow,
        "SELECT trials.id, trials.tenant_id, instance_id, expires_at, email, locale FROM trials JOIN users ON users.id = user_id \
         WHERE trials.id = $1 \
         AND converted_at IS NULL AND deleted_at IS NULL AND stopped_at IS NULL AND expires_at > now() \
         AND EXISTS (SELECT FROM (VALUES (interval '3 days'), (interval '1 day')) AS marks (before) \
             WHERE expires_at - before <= now() AND expires_at - before > started_at \
             AND (reminded_at IS NULL OR reminded_at < expires_at - before)) \
         FOR UPDATE OF trials SKIP LOCKED",
        id.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Due::from))
}

pub async fn reminded(tx: &mut Tx, id: TrialId) -> sqlx::Result<()> {
    sqlx::query!("UPDATE trials SET reminded_at = now() WHERE id = $1", id.uuid()).execute(&mut **tx).await?;
    Ok(())
}

/// Trials whose time is over and that were not stopped yet.
pub async fn due_for_stop(pool: &sqlx::PgPool, limit: i64) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query_as!(
        DueRow,
        "SELECT trials.id, trials.tenant_id, instance_id, expires_at, email, locale FROM trials JOIN users ON users.id = user_id \
         WHERE converted_at IS NULL AND deleted_at IS NULL AND stopped_at IS NULL AND expires_at <= now() \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'trial_end' AND subject = trials.id::text AND next_at > now()) \
         ORDER BY expires_at LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Due::from).collect())
}

/// Stopped trials that were kept long enough.
pub async fn due_for_deletion(pool: &sqlx::PgPool, keep_days: i32, limit: i64) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query_as!(
        DueRow,
        "SELECT trials.id, trials.tenant_id, instance_id, expires_at, email, locale FROM trials JOIN users ON users.id = user_id \
         WHERE converted_at IS NULL AND deleted_at IS NULL AND stopped_at + make_interval(days => $1) <= now() \
         AND NOT EXISTS (SELECT FROM set_aside WHERE kind = 'trial_deletion' AND subject = trials.id::text AND next_at > now()) \
         ORDER BY expires_at LIMIT $2",
        keep_days,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Due::from).collect())
}

/// Notes that a trial was stopped; false when another replica was faster, or it was bought.
pub async fn stopped(tx: &mut Tx, id: TrialId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE trials SET stopped_at = now() WHERE id = $1 AND stopped_at IS NULL AND converted_at IS NULL",
        id.uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that a trial was deleted; false when another replica was faster, or it was bought.
pub async fn deleted(tx: &mut Tx, id: TrialId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE trials SET deleted_at = now() WHERE id = $1 AND deleted_at IS NULL AND converted_at IS NULL",
        id.uuid()
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

// Appeals --------------------------------------------------------------------------------------

/// A request to look at a refusal, with who asked.
pub struct Appeal {
    pub id: AppealId,
    pub user_id: UserId,
    pub email: String,
    pub locale: String,
    pub reason: String,
    pub message: String,
    pub created_at: OffsetDateTime,
    /// `granted` or `declined`.
    pub decision: Option<String>,
}

struct AppealRow {
    id: Uuid,
    user_id: Uuid,
    email: String,
    locale: String,
    reason: String,
    message: String,
    created_at: OffsetDateTime,
    decision: Option<String>,
}

impl From<AppealRow> for Appeal {
    fn from(row: AppealRow) -> Self {
        Self {
            id: row.id.into(),
            user_id: row.user_id.into(),
            email: row.email,
            locale: row.locale,
            reason: row.reason,
            message: row.message,
            created_at: row.created_at,
            decision: row.decision,
        }
    }
}

/// Fails with the constraint `trial_appeals_one_open` while another one is open.  False when there were `max` of them.
pub async fn appeal(tx: &mut Tx, user: UserId, reason: &str, message: &str, max: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "INSERT INTO trial_appeals (id, user_id, reason, message) SELECT $1, $2, $3, $4 \
         WHERE (SELECT count(*) FROM trial_appeals WHERE user_id = $2) < $5",
        AppealId::new().uuid(),
        user.uuid(),
        reason,
        message,
        max,
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The newest of somebody.
pub async fn last_appeal(pool: &PgPool, user: UserId) -> sqlx::Result<Option<Appeal>> {
    let row = sqlx::query_as!(
        AppealRow,
        "SELECT trial_appeals.id, user_id, email, locale, reason, message, trial_appeals.created_at, decision \
         FROM trial_appeals JOIN users ON users.id = user_id WHERE user_id = $1 ORDER BY trial_appeals.id DESC LIMIT 1",
        user.uuid(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Appeal::from))
}

/// What waits, the oldest first.
pub async fn open_appeals(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<Appeal>> {
    let rows = sqlx::query_as!(
        AppealRow,
        "SELECT trial_appeals.id, user_id, email, locale, reason, message, trial_appeals.created_at, decision \
         FROM trial_appeals JOIN users ON users.id = user_id WHERE decision IS NULL ORDER BY trial_appeals.id LIMIT $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Appeal::from).collect())
}

/// Decides one that waits; none where nothing waits under this id.
pub async fn decide_appeal(
    tx: &mut Tx,
    id: AppealId,
    decision: &str,
    by: UserId,
) -> sqlx::Result<Option<Appeal>> {
    let row = sqlx::query_as!(
        AppealRow,
        "UPDATE trial_appeals SET decision = $2, decided_at = now(), decided_by = $3 FROM users \
         WHERE trial_appeals.id = $1 AND decision IS NULL AND users.id = user_id \
         RETURNING trial_appeals.id, user_id, email, locale, reason, message, trial_appeals.created_at, decision",
        id.uuid(),
        decision,
        by.uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Appeal::from))
}
