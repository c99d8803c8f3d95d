//! Where a monitoring system looks, and the layer that counts requests.

use super::REQUESTS;
use crate::state::App;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::time::Instant;

/// Served at an address of its own (`--metrics-listen`), and not by the portal: what reverse proxies and their headers make
/// of a caller's address decides nothing.
pub fn router(app: App) -> Router {
    Router::new().route("/metrics", get(show)).with_state(app)
}

async fn show(State(app): State<App>) -> Response {
    match super::render(&app).await {
        Ok(Some(text)) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(%error, "the figures could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Counts a request under its route's pattern, and writes its line into the log.
///
/// What matches no route shares one label: addresses that strangers make up must not become series.
pub async fn count(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let (elapsed, status) = (started.elapsed(), response.status().as_u16());
    // The names of assets are no news.
    if !route.starts_with("/static/") {
        let ms = elapsed.as_secs_f64() * 1000.0;
        tracing::info!(target: "jst_server::access", %method, route, status, ms, "answered");
    }
    let method = match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    metrics::histogram!(REQUESTS, "method" => method, "route" => route, "status" => status.to_string())
        .record(elapsed.as_secs_f64());
    response
}
