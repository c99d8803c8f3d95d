//! The frame of the API: its description, and the page on which people read it.

use crate::state::App;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

#[derive(OpenApi)]
#[openapi(info(title = "Jinshitong VPS API", version = "1"))]
struct Description;

pub fn base() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
}

pub fn with_description(routes: Router<App>, document: utoipa::openapi::OpenApi) -> Router<App> {
    routes.route("/api/v1/openapi.json", get(move || async move { Json(document) }))
}
