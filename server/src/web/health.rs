//! Whether the server is alive and whether it can work.

use crate::state::App;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

pub fn routes() -> Router<App> {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// 200 when the database answers; load balancers send no requests elsewhere.
async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    let answer = sqlx::query_scalar!("SELECT 1 AS \"one!\"").fetch_one(app.db.platform());
    match tokio::time::timeout(std::time::Duration::from_secs(2), answer).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
