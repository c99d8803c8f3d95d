use super::{Announcement, Input, Kind};
use crate::db::Tx;
use crate::ids::AnnouncementId;
use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    kind: String,
    title_en: String,
    title_zh: String,
    text_en: String,
    text_zh: String,
    starts_at: OffsetDateTime,
    ends_at: Option<OffsetDateTime>,
    banner: bool,
}

impl From<Row> for Announcement {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            input: Input {
                // A kind of a later release is at least something to know.
                kind: Kind::parse(&row.kind).unwrap_or(Kind::Notice),
                title_en: row.title_en,
                title_zh: row.title_zh,
                text_en: row.text_en,
                text_zh: row.text_zh,
                starts_at: row.starts_at,
                ends_at: row.ends_at,
                banner: row.banner,
            },
        }
    }
}

/// `SELECT every column FROM announcements` and the rest of the statement; checked like any other query.
macro_rules! select_announcements {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT id, kind, title_en, title_zh, text_en, text_zh, starts_at, ends_at, banner FROM announcements " + $rest
            $(, $argument)*
        )
    };
}

/// What is on, what is planned, and what is over since `days`; newest first.
pub async fn recent(executor: impl PgExecutor<'_>, days: i32, limit: i64) -> sqlx::Result<Vec<Announcement>> {
    let rows = select_announcements!(
        "WHERE ends_at IS NULL OR ends_at > now() - make_interval(days => $1) ORDER BY starts_at DESC, id DESC LIMIT $2",
        days,
        limit,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Announcement::from).collect())
}

/// All of them, newest first.
pub async fn list(
    executor: impl PgExecutor<'_>,
    before: Option<AnnouncementId>,
    limit: i64,
) -> sqlx::Result<Vec<Announcement>> {
    let rows = select_announcements!(
        "WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before.map(AnnouncementId::uuid),
        limit,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Announcement::from).collect())
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: AnnouncementId) -> sqlx::Result<Option<Announcement>> {
    let row = select_announcements!("WHERE id = $1", id.uuid(),).fetch_optional(executor).await?;
    Ok(row.map(Announcement::from))
}

/// [`by_id`], locked until the end of the transaction.
pub async fn lock(tx: &mut Tx, id: AnnouncementId) -> sqlx::Result<Option<Announcement>> {
    sqlx::query!("SELECT FROM announcements WHERE id = $1 FOR UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    by_id(&mut **tx, id).await
}

pub async fn insert(tx: &mut Tx, announcement: &Announcement) -> sqlx::Result<()> {
    let input = &announcement.input;
    sqlx::query!(
        "INSERT INTO announcements (id, kind, title_en, title_zh, text_en, text_zh, starts_at, ends_at, banner) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        announcement.id.uuid(),
        input.kind.name(),
        input.title_en,
        input.title_zh,
        input.text_en,
        input.text_zh,
        input.starts_at,
        input.ends_at,
        input.banner,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn update(tx: &mut Tx, announcement: &Announcement) -> sqlx::Result<()> {
    let input = &announcement.input;
    sqlx::query!(
        "UPDATE announcements SET kind = $2, title_en = $3, title_zh = $4, text_en = $5, text_zh = $6, \
         starts_at = $7, ends_at = $8, banner = $9, updated_at = now() WHERE id = $1",
        announcement.id.uuid(),
        input.kind.name(),
        input.title_en,
        input.title_zh,
        input.text_en,
        input.text_zh,
        input.starts_at,
        input.ends_at,
        input.banner,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends what is on; false when it was not.
pub async fn end(tx: &mut Tx, id: AnnouncementId) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE announcements SET ends_at = now(), updated_at = now() \
         WHERE id = $1 AND starts_at < now() AND (ends_at IS NULL OR ends_at > now())",
        id.uuid(),
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn delete(tx: &mut Tx, id: AnnouncementId) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM announcements WHERE id = $1", id.uuid()).execute(&mut **tx).await?;
    Ok(())
}

/// What the status page says of the platform itself.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Hosts that are meant to work, and those of them that answer.
    pub hosts: i64,
    pub hosts_online: i64,
    /// Changes that stand still longer than they may.
    pub operations_late: i64,
}

pub async fn health(executor: impl PgExecutor<'_>) -> sqlx::Result<Health> {
    sqlx::query_as!(
        Health,
        "SELECT (SELECT count(*) FROM hosts WHERE state <> 'disabled') AS \"hosts!\", \
         (SELECT count(*) FROM hosts WHERE state <> 'disabled' AND lease_until > now()) AS \"hosts_online!\", \
         (SELECT count(*) FROM operations WHERE state IN ('pending', 'running') AND deadline_at < now()) \
             AS \"operations_late!\"",
    )
    .fetch_one(executor)
    .await
}
