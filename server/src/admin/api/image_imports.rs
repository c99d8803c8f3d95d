use crate::auth::Admin;
use crate::error::Result;
use crate::ids::ImageImportId;
use crate::images::imports::{self, Import, NewImport};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use crate::web::language::Language;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, start)).routes(routes!(remove))
}

/// An image that the server fetches from elsewhere.
#[derive(Serialize, ToSchema)]
#[schema(as = ImageImport)]
struct ImportView {
    id: ImageImportId,
    url: String,
    sha256: Option<String>,
    /// The slug of the image that it becomes.
    slug: String,
    /// `waiting`, `running`, `succeeded` or `failed`.
    state: String,
    received_bytes: i64,
    /// Absent where the other side does not say.
    total_bytes: Option<i64>,
    /// Why it failed.
    failure: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<OffsetDateTime>,
}

impl ImportView {
    fn of(import: Import, language: Language) -> Self {
        Self {
            id: import.id,
            url: import.url,
            sha256: import.sha256,
            slug: import.image.slug,
            state: import.state,
            received_bytes: import.received_bytes,
            total_bytes: import.total_bytes,
            failure: import.failure.map(|failure| failure.text(language).to_owned()),
            created_at: import.created_at,
            finished_at: import.finished_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ImageImportList {
    items: Vec<ImportView>,
}

/// Imports of images
///
/// Those that are under way, and those that ended in the last seven days; newest first.
#[utoipa::path(get, path = "/api/v1/admin/image-imports", tag = "Administration: catalogue",
    responses((status = 200, body = ImageImportList)))]
async fn list(
    State(app): State<App>,
    Extension(language): Extension<Language>,
    _: Admin,
) -> Result<Json<ImageImportList>> {
    let imports = imports::db::recent(app.db.platform()).await?;
    let items = imports.into_iter().map(|import| ImportView::of(import, language)).collect();
    Ok(Json(ImageImportList { items }))
}

/// Fetch an image from elsewhere
///
/// The server fetches the file from a public address, which goes the way of an upload. Its state says how far it is.
#[utoipa::path(post, path = "/api/v1/admin/image-imports", tag = "Administration: catalogue", request_body = NewImport,
    responses((status = 202, body = ImportView),
        (status = 409, description = "Too many are under way.", body = Problem),
        (status = 422, description = "A field is wrong, or the address is not a public one.", body = Problem)))]
async fn start(
    State(app): State<App>,
    Extension(language): Extension<Language>,
    Admin(actor): Admin,
    Json(new): Json<NewImport>,
) -> Result<(StatusCode, Json<ImportView>)> {
    let import = imports::start(&app, &actor, &new).await?;
    Ok((StatusCode::ACCEPTED, Json(ImportView::of(import, language))))
}

/// Remove an import
///
/// One that is under way stops. An image that came of it stays.
#[utoipa::path(delete, path = "/api/v1/admin/image-imports/{id}", tag = "Administration: catalogue",
    params(("id" = ImageImportId, Path, description = "`imp_…`")),
    responses((status = 204, description = "It is gone."),
        (status = 404, description = "There is no such import.", body = Problem)))]
async fn remove(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<StatusCode> {
    imports::remove(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
