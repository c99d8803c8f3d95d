//! Who may look, and the layer that counts requests.

use super::REQUESTS;
use crate::auth::Admin;
use crate::error::{Error, Result};
use crate::state::App;
use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::SocketAddr;
use std::time::Instant;

pub fn routes() -> Router<App> {
    Router::new().route("/metrics", get(show))
}

/// A monitoring system on this machine, or one with an administrator's token.
struct Observer;

impl FromRequestParts<App> for Observer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        if peer.is_some_and(|ip| ip.is_loopback()) && !is_forwarded(&parts.headers) {
            return Ok(Self);
        }
        Admin::from_request_parts(parts, app).await.map(|_| Self)
    }
}

/// A reverse proxy on this machine makes the whole world look like this machine.
fn is_forwarded(headers: &HeaderMap) -> bool {
    ["x-forwarded-for", "forwarded", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
}

async fn show(State(app): State<App>, _: Observer) -> Result<Response> {
    let text = super::render(&app).await?.ok_or(Error::NotFound)?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
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
