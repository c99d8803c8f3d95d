use super::{Failure, Import};
use crate::db::Tx;
use crate::events::Source;
use crate::ids::ImageImportId;
use crate::images::register::ImageInput;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

struct Row {
    id: Uuid,
    url: String,
    sha256: Option<String>,
    image: Json<ImageInput>,
    state: String,
    received_bytes: i64,
    total_bytes: Option<i64>,
    failure: Option<Json<Failure>>,
    attempts: i32,
    created_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_label: String,
}

impl From<Row> for Import {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            url: row.url,
            sha256: row.sha256,
            image: row.image.0,
            state: row.state,
            received_bytes: row.received_bytes,
            total_bytes: row.total_bytes,
            failure: row.failure.map(|failure| failure.0),
            attempts: row.attempts,
            created_at: row.created_at,
            finished_at: row.finished_at,
            source: Source {
                kind: if row.actor_kind == "token" { "token" } else { "user" },
                id: row.actor_id,
                ..Source::system(&row.actor_label)
            },
        }
    }
}

/// `SELECT every column FROM image_imports` and the rest of the statement; checked like any other query.
macro_rules! select_imports {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT id, url, sha256, image AS \"image: Json<ImageInput>\", state, received_bytes, total_bytes, \
             failure AS \"failure: Json<Failure>\", attempts, created_at, finished_at, actor_kind, actor_id, actor_label \
             FROM image_imports " + $rest
            $(, $argument)*
        )
    };
}

/// One at a time counts what is open.
pub async fn lock(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query!("LOCK TABLE image_imports IN SHARE ROW EXCLUSIVE MODE").execute(&mut **tx).await?;
    Ok(())
}

pub async fn open(tx: &mut Tx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "SELECT count(*) AS \"count!\" FROM image_imports WHERE state IN ('waiting', 'running')"
    )
    .fetch_one(&mut **tx)
    .await
}

pub async fn insert(
    tx: &mut Tx,
    id: ImageImportId,
    url: &str,
    sha256: Option<&str>,
    image: &ImageInput,
    source: &Source,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO image_imports (id, url, sha256, image, actor_kind, actor_id, actor_label) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id.uuid(),
        url,
        sha256,
        Json(image) as _,
        source.kind,
        source.id,
        source.label,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub async fn by_id(executor: impl PgExecutor<'_>, id: ImageImportId) -> sqlx::Result<Option<Import>> {
    let row = select_imports!("WHERE id = $1", id.uuid(),).fetch_optional(executor).await?;
    Ok(row.map(Import::from))
}

/// What is open, and what ended in the last week; newest first.
pub async fn recent(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Import>> {
    let rows = select_imports!(
        "WHERE finished_at IS NULL OR finished_at > now() - interval '7 days' \
         ORDER BY id DESC LIMIT 50",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Import::from).collect())
}

/// The oldest import that nobody works on, leased; it begins anew.
pub async fn lease(pool: &PgPool, seconds: f64) -> sqlx::Result<Option<Import>> {
    let row = sqlx::query_as!(
        Row,
        "UPDATE image_imports SET state = 'running', attempts = attempts + 1, received_bytes = 0, \
         lease_until = now() + make_interval(secs => $1) WHERE id = (SELECT id FROM image_imports \
             WHERE state = 'waiting' OR (state = 'running' AND lease_until < now()) \
             ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) \
         RETURNING id, url, sha256, image AS \"image: Json<ImageInput>\", state, received_bytes, total_bytes, \
         failure AS \"failure: Json<Failure>\", attempts, created_at, finished_at, actor_kind, actor_id, actor_label",
        seconds,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Import::from))
}

/// Notes how much has arrived and keeps the lease; false where it is not ours any more.
pub async fn progress(
    pool: &PgPool,
    import: &Import,
    received: u64,
    total: Option<u64>,
    seconds: f64,
) -> sqlx::Result<bool> {
    let column = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let done = sqlx::query!(
        "UPDATE image_imports SET received_bytes = $3, total_bytes = $4, lease_until = now() + make_interval(secs => $5) \
         WHERE id = $1 AND state = 'running' AND attempts = $2",
        import.id.uuid(),
        import.attempts,
        column(received),
        total.map(column),
        seconds,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub async fn succeed(pool: &PgPool, id: ImageImportId) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE image_imports SET state = 'succeeded', finished_at = now(), lease_until = NULL WHERE id = $1",
        id.uuid()
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn fail(pool: &PgPool, id: ImageImportId, failure: &Failure) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE image_imports SET state = 'failed', failure = $2, finished_at = now(), lease_until = NULL WHERE id = $1",
        id.uuid(),
        Json(failure) as _,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// False where there is none.
pub async fn delete(tx: &mut Tx, id: ImageImportId) -> sqlx::Result<bool> {
    let done = sqlx::query!("DELETE FROM image_imports WHERE id = $1", id.uuid()).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}
