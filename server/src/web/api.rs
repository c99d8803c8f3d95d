//! The frame of the API: its description, and the page on which people read it.

use crate::state::App;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};
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

/// What every refusal looks like (RFC 9457), as the description shows it; `errors::problem` writes it.
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What happened and what to do, in the language of Accept-Language.
    pub detail: String,
    /// For programs; it stays the same in every language and release.
    #[schema(example = "instance-running")]
    pub code: String,
    pub request_id: String,
    /// What is wrong with the input, field by field; with status 422.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<ProblemField>>,
}

#[derive(Serialize, ToSchema)]
pub struct ProblemField {
    #[schema(example = "hostname")]
    pub field: String,
    #[schema(example = "hostname")]
    pub code: String,
    pub detail: String,
}
