use crate::announcements::{self, Announcement, Input, db};
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::ids::AnnouncementId;
use crate::state::App;
use crate::web::api::Problem;
use crate::web::json::Json;
use crate::web::paging::{Listed, PageParams, Paging};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(end))
}

/// All announcements, newest first
#[utoipa::path(get, path = "/api/v1/admin/announcements", tag = "Administration: platform", params(PageParams),
    responses((status = 200, body = Listed<Announcement>)))]
async fn list(
    State(app): State<App>,
    _: Admin,
    paging: Paging<AnnouncementId>,
) -> Result<Json<Listed<Announcement>>> {
    let found = db::list(app.db.platform(), paging.after, paging.fetch()).await?;
    Ok(Json(Listed::new(found, &paging, |announcement| announcement.id.to_string())))
}

/// Announce something to everybody
///
/// It is on the status page, and with `banner` above every page while it is on.
#[utoipa::path(post, path = "/api/v1/admin/announcements", tag = "Administration: platform",
    request_body = Input,
    responses((status = 201, body = Announcement), (status = 422, description = "A field is wrong.", body = Problem)))]
async fn create(
    State(app): State<App>,
    Admin(actor): Admin,
    Json(input): Json<Input>,
) -> Result<(StatusCode, Json<Announcement>)> {
    Ok((StatusCode::CREATED, Json(announcements::create(&app, &actor, &input).await?)))
}

/// One announcement
#[utoipa::path(get, path = "/api/v1/admin/announcements/{id}", tag = "Administration: platform",
    params(("id" = AnnouncementId, Path, description = "`ann_…`")),
    responses((status = 200, body = Announcement),
        (status = 404, description = "There is no such announcement.", body = Problem)))]
async fn show(State(app): State<App>, _: Admin, Path(id): Path<String>) -> Result<Json<Announcement>> {
    Ok(Json(db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?))
}

/// Replace an announcement
#[utoipa::path(put, path = "/api/v1/admin/announcements/{id}", tag = "Administration: platform",
    params(("id" = AnnouncementId, Path, description = "`ann_…`")), request_body = Input,
    responses((status = 200, body = Announcement),
        (status = 404, description = "There is no such announcement.", body = Problem),
        (status = 422, description = "A field is wrong.", body = Problem)))]
async fn update(
    State(app): State<App>,
    Admin(actor): Admin,
    Path(id): Path<String>,
    Json(input): Json<Input>,
) -> Result<Json<Announcement>> {
    Ok(Json(announcements::update(&app, &actor, id.parse()?, &input).await?))
}

/// End an announcement now
///
/// One that has not begun, or is over, stays as it is.
#[utoipa::path(post, path = "/api/v1/admin/announcements/{id}/end", tag = "Administration: platform",
    params(("id" = AnnouncementId, Path, description = "`ann_…`")),
    responses((status = 204, description = "It is over."),
        (status = 404, description = "There is no such announcement.", body = Problem)))]
async fn end(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<StatusCode> {
    announcements::end(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete an announcement
#[utoipa::path(delete, path = "/api/v1/admin/announcements/{id}", tag = "Administration: platform",
    params(("id" = AnnouncementId, Path, description = "`ann_…`")),
    responses((status = 204, description = "It is gone."),
        (status = 404, description = "There is no such announcement.", body = Problem)))]
async fn delete(State(app): State<App>, Admin(actor): Admin, Path(id): Path<String>) -> Result<StatusCode> {
    announcements::delete(&app, &actor, id.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}
