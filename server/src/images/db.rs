use super::Image;
use crate::ids::ImageId;
use sqlx::PgExecutor;

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
