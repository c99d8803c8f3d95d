use super::Image;
use super::register::ImageInput;
use crate::db::Tx;
use crate::ids::ImageId;
use sqlx::PgExecutor;
use uuid::Uuid;

/// Retired or not.
pub async fn by_id(executor: impl PgExecutor<'_>, id: ImageId) -> sqlx::Result<Option<Image>> {
    sqlx::query_as!(
        Image,
        "SELECT id, slug, name, os_family, sha256, format, file_bytes, virtual_bytes, min_memory_mib, login_user, public, \
         sort_order, retired_at IS NOT NULL AS \"retired!\" FROM images WHERE id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await
}

/// Those of these that there are, retired or not.
pub async fn by_ids(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Image>> {
    sqlx::query_as!(
        Image,
        "SELECT id, slug, name, os_family, sha256, format, file_bytes, virtual_bytes, min_memory_mib, login_user, public, \
         sort_order, retired_at IS NOT NULL AS \"retired!\" FROM images WHERE id = ANY($1)",
        ids,
    )
    .fetch_all(executor)
    .await
}

/// Retired or not.
pub async fn by_slug(executor: impl PgExecutor<'_>, slug: &str) -> sqlx::Result<Option<Image>> {
    sqlx::query_as!(
        Image,
        "SELECT id, slug, name, os_family, sha256, format, file_bytes, virtual_bytes, min_memory_mib, login_user, public, \
         sort_order, retired_at IS NOT NULL AS \"retired!\" FROM images WHERE slug = $1",
        slug,
    )
    .fetch_optional(executor)
    .await
}

/// What everybody is offered, in the order of the catalogue.
pub async fn list_public(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Image>> {
    sqlx::query_as!(
        Image,
        "SELECT id, slug, name, os_family, sha256, format, file_bytes, virtual_bytes, min_memory_mib, login_user, public, \
         sort_order, retired_at IS NOT NULL AS \"retired!\" FROM images WHERE public AND retired_at IS NULL \
         ORDER BY sort_order, slug",
    )
    .fetch_all(executor)
    .await
}

/// Every image, retired ones last.
pub async fn list_all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Image>> {
    sqlx::query_as!(
        Image,
        "SELECT id, slug, name, os_family, sha256, format, file_bytes, virtual_bytes, min_memory_mib, login_user, public, \
         sort_order, retired_at IS NOT NULL AS \"retired!\" FROM images \
         ORDER BY retired_at IS NOT NULL, sort_order, slug",
    )
    .fetch_all(executor)
    .await
}

/// Size of the file with this checksum, if an image has it.
pub async fn file_bytes(executor: impl PgExecutor<'_>, sha256: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("SELECT file_bytes FROM images WHERE sha256 = $1 LIMIT 1", sha256)
        .fetch_optional(executor)
        .await
}

/// Fails with the constraint `images_slug_key` where the slug is taken.
pub async fn insert(
    tx: &mut Tx,
    id: ImageId,
    image: &ImageInput,
    sha256: &str,
    file_bytes: i64,
    virtual_bytes: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO images (id, slug, name, os_family, sha256, format, file_bytes, virtual_bytes, min_memory_mib, \
         login_user, public, sort_order) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        id.uuid(),
        image.slug,
        image.name,
        image.os_family,
        sha256,
        image.format,
        file_bytes,
        virtual_bytes,
        image.min_memory_mib,
        image.login_user,
        image.public,
        image.sort_order,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Everything but the content, which never changes.
pub async fn update(tx: &mut Tx, id: ImageId, image: &ImageInput) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE images SET slug = $2, name = $3, os_family = $4, min_memory_mib = $5, login_user = $6, public = $7, \
         sort_order = $8 WHERE id = $1",
        id.uuid(),
        image.slug,
        image.name,
        image.os_family,
        image.min_memory_mib,
        image.login_user,
        image.public,
        image.sort_order,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Locks the image's row until the transaction ends.
pub async fn lock(tx: &mut Tx, id: ImageId) -> sqlx::Result<()> {
    sqlx::query!("SELECT id FROM images WHERE id = $1 FOR UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(())
}

/// False when nothing changed.
pub async fn set_retired(tx: &mut Tx, id: ImageId, retired: bool) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "UPDATE images SET retired_at = CASE WHEN $2 THEN now() END \
         WHERE id = $1 AND (retired_at IS NOT NULL) <> $2",
        id.uuid(),
        retired,
    )
    .execute(&mut **tx)
    .await?;
    Ok(result.rows_affected() > 0)
}

/// How many instances were made from each image.
pub async fn instance_counts(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<(ImageId, i64)>> {
    let rows = sqlx::query!(
        "SELECT image_id, count(*) AS \"count!\" FROM instances WHERE purged_at IS NULL GROUP BY image_id"
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| (row.image_id.into(), row.count)).collect())
}
