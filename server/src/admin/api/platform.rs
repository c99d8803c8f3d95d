use crate::admin::db::overview::{self, Overview};
use crate::auth::Admin;
use crate::error::Result;
use crate::settings::{self, Settings};
use crate::state::App;
use crate::web::json::Json;
use axum::extract::State;
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(overview_of_all)).routes(routes!(get_settings, patch_settings))
}

/// The platform in figures
#[utoipa::path(get, path = "/api/v1/admin/overview", tag = "Administration: platform",
    responses((status = 200, description = "Counts of everything that runs, waits and fails.", body = Overview)))]
async fn overview_of_all(State(app): State<App>, _: Admin) -> Result<Json<Overview>> {
    Ok(Json(overview::overview(app.db.platform()).await?))
}

/// The settings in force
#[utoipa::path(get, path = "/api/v1/admin/settings", tag = "Administration: platform",
    responses((status = 200, description = "Every setting, with its default where nobody changed it.", body = Settings)))]
async fn get_settings(State(app): State<App>, _: Admin) -> Result<Json<Settings>> {
    Ok(Json(settings::get(app.db.platform()).await?))
}

/// Change settings
///
/// Names only what is to change.
#[utoipa::path(patch, path = "/api/v1/admin/settings", tag = "Administration: platform",
    request_body(content = Object, description = "Some of the fields of `Settings`.", example = json!({ "trial_days": 14 })),
    responses((status = 200, description = "All settings after the change.", body = Settings),
        (status = 422, description = "An unknown setting, or a value out of its range.", body = crate::web::api::Problem)))]
async fn patch_settings(
    State(app): State<App>,
    Admin(actor): Admin,
    Json(changes): Json<Map<String, Value>>,
) -> Result<Json<Settings>> {
    Ok(Json(settings::patch(&app, &actor, &changes).await?))
}
