use crate::admin::upload;
use crate::auth::{Actor, Admin};
use crate::error::{Error, FieldError, Result};
use crate::ids::ImageId;
use crate::images::api::{ImageList, ImageView};
use crate::images::db;
use crate::images::register::{self, ImageInput};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::{Json, read_value};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    // An upload has a limit of its own, counted as the bytes arrive.
    let uploads = OpenApiRouter::new().routes(routes!(create)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .routes(routes!(list))
        .merge(uploads)
        .routes(routes!(show, update, retire))
        .routes(routes!(restore))
}

/// All images
#[utoipa::path(get, path = "/api/v1/admin/images", tag = "Administration: catalogue",
    responses((status = 200, description = "Every image, retired ones last.", body = ImageList)))]
async fn list(State(app): State<App>, _: Admin) -> Result<Json<ImageList>> {
    let images = db::list_all(app.db.platform()).await?;
    Ok(Json(ImageList { items: images.into_iter().map(ImageView::from).collect() }))
}

/// An image whose file lies on the server already.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code)]
struct ImageImport {
    /// Relative to the directory `import` of the server's data directory.
    #[schema(example = "debian-13.qcow2")]
    path: String,
    #[serde(flatten)]
    image: ImageInput,
}

/// An image and its file: the fields of `ImageInput` as form fields, and last the file.
#[derive(ToSchema)]
#[allow(dead_code)]
struct ImageUpload {
    #[schema(inline)]
    image: ImageInput,
    #[schema(format = Binary, value_type = String)]
    file: Vec<u8>,
}

/// Register an image
///
/// Either uploads the file (`multipart/form-data`, the field `file` last) or names one in the server's import
/// directory (`application/json`). A file compressed with gzip, xz, bzip2 or zstd is unpacked, within the largest size
/// of an image. The image is inspected first: one with a backing file, an external data file, another format than
/// stated, clusters beyond its end, or without a partition table or boot sector is refused.
#[utoipa::path(post, path = "/api/v1/admin/images", tag = "Administration: catalogue",
    request_body(content((ImageImport = "application/json"), (ImageUpload = "multipart/form-data"))),
    responses((status = 201, body = ImageView),
        (status = 422, description = "A field is wrong, or the file must not be used.", body = Problem)))]
async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    request: Request,
) -> Result<(StatusCode, Json<ImageView>)> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let image = if kind.starts_with("multipart/form-data") {
        let form = Multipart::from_request(request, &app)
            .await
            .map_err(|_| Error::Invalid(vec![FieldError::new("file", "multipart")]))?;
        upload::receive(&app, &actor, form).await.map_err(|refused| refused.error)?
    } else {
        import(&app, &actor, request).await?
    };
    Ok((StatusCode::CREATED, Json(image.into())))
}

async fn import(app: &App, actor: &Actor, request: Request) -> Result<crate::images::Image> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, crate::router::MAX_BODY_BYTES).await.map_err(|_| {
        Error::Refused { status: StatusCode::PAYLOAD_TOO_LARGE, code: "too-large", arguments: Vec::new() }
    })?;
    let request = Request::from_parts(parts, axum::body::Body::from(bytes));
    let Json(mut body) =
        Json::<serde_json::Map<String, serde_json::Value>>::from_request(request, app).await?;
    let path = match body.remove("path") {
        Some(serde_json::Value::String(path)) => path,
        Some(_) => return Err(Error::invalid("path", "import-path")),
        None => return Err(Error::invalid("path", "required")),
    };
    let input: ImageInput = read_value(body.into())?;
    register::check(app, &input).await?;
    let upload = register::import(app, &path).await?;
    register::register(app, &actor.into(), &input, upload).await
}

/// One image
#[utoipa::path(get, path = "/api/v1/admin/images/{id}", tag = "Administration: catalogue",
    params(("id" = ImageId, Path, description = "`img_…`")),
    responses((status = 200, body = ImageView), (status = 404, description = "There is no such image.", body = Problem)))]
async fn show(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<ImageView>> {
    let image = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    Ok(Json(image.into()))
}

/// Change what is said about an image
///
/// Its content and format never change.
#[utoipa::path(put, path = "/api/v1/admin/images/{id}", tag = "Administration: catalogue",
    params(("id" = ImageId, Path, description = "`img_…`")), request_body = ImageInput,
    responses((status = 200, body = ImageView), (status = 404, description = "There is no such image.", body = Problem),
        (status = 422, description = "A field is wrong.", body = Problem)))]
async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(input): Json<ImageInput>,
) -> Result<Json<ImageView>> {
    Ok(Json(register::update(&app, &actor, id.parse()?, &input).await?.into()))
}

/// Retire an image
///
/// It is offered to nobody any more; its file stays for the instances made from it.
#[utoipa::path(delete, path = "/api/v1/admin/images/{id}", tag = "Administration: catalogue", params(("id" = ImageId, Path, description = "`img_…`")),
    responses((status = 200, body = ImageView), (status = 404, description = "There is no such image.", body = Problem)))]
async fn retire(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<ImageView>> {
    Ok(Json(register::set_retired(&app, &actor, id.parse()?, true).await?.into()))
}

/// Offer a retired image again
#[utoipa::path(post, path = "/api/v1/admin/images/{id}/restore", tag = "Administration: catalogue", params(("id" = ImageId, Path, description = "`img_…`")),
    responses((status = 200, body = ImageView), (status = 404, description = "There is no such image.", body = Problem)))]
async fn restore(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
) -> Result<Json<ImageView>> {
    Ok(Json(register::set_retired(&app, &actor, id.parse()?, false).await?.into()))
}
