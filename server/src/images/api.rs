//! The public catalogue of images.

use super::{Image, db};
use crate::error::Result;
use crate::ids::ImageId;
use crate::state::App;
use crate::web::json::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A disk image that instances start from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Image)]
pub struct ImageView {
    id: ImageId,
    #[schema(example = "debian-13")]
    slug: String,
    #[schema(example = "Debian 13")]
    name: String,
    /// `linux`, `bsd`, `windows` or `other`.
    os_family: String,
    /// SHA-256 of the disk image as it is kept, unpacked; lower-case hexadecimal.
    sha256: String,
    /// `qcow2` or `raw`.
    format: String,
    file_bytes: i64,
    /// The least size of a root disk, in bytes.
    virtual_bytes: i64,
    min_memory_mib: i64,
    /// Whom to log in as.
    #[schema(example = "root")]
    login_user: String,
    public: bool,
    sort_order: i32,
    /// Offered to nobody any more.
    retired: bool,
}

impl From<Image> for ImageView {
    fn from(image: Image) -> Self {
        Self {
            id: image.id,
            slug: image.slug,
            name: image.name,
            os_family: image.os_family,
            sha256: image.sha256,
            format: image.format,
            file_bytes: image.file_bytes,
            virtual_bytes: image.virtual_bytes,
            min_memory_mib: image.min_memory_mib,
            login_user: image.login_user,
            public: image.public,
            sort_order: image.sort_order,
            retired: image.retired,
        }
    }
}

/// The catalogue, in its own order.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageList {
    pub items: Vec<ImageView>,
}

/// The images on offer
///
/// What new instances can start from. Needs no token.
#[utoipa::path(get, path = "/api/v1/images", tag = "Catalogue", security(()),
    responses((status = 200, description = "All images on offer.", body = ImageList)))]
async fn list(State(app): State<App>) -> Result<Json<ImageList>> {
    let images = db::list_public(app.db.platform()).await?;
    Ok(Json(ImageList { items: images.into_iter().map(ImageView::from).collect() }))
}
