use crate::state::App;
use axum::Router;
use std::sync::Arc;
pub fn routes(_document: Arc<utoipa::openapi::OpenApi>) -> Router<App> {
    Router::new()
}
