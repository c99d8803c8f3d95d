//! All routes, and the layers around them.

use crate::state::App;
use crate::web::session_store::{LONGEST_DAYS, PostgresSessions};
use crate::web::{assets, errors, idempotency, middleware, rate_limit};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, Request};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::csrf::CsrfLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};
use utoipa_axum::router::OpenApiRouter;

/// Forms and API bodies; uploads of images have a limit of their own.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

pub fn router(app: App) -> Router {
    let request_id = HeaderName::from_static("x-request-id");
    let secure = app.config.secure_cookies();
    let sessions = SessionManagerLayer::new(PostgresSessions::new(app.db.clone()))
        // The prefix makes browsers insist on Secure, Path=/ and no Domain.
        .with_name(if secure { "__Host-jst" } else { "jst" })
        .with_secure(secure)
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        // The cookie's own end.  Sessions end sooner without visits; their table decides.
        .with_expiry(Expiry::OnInactivity(Duration::days(LONGEST_DAYS.into())));

    let (api, document) = api_routes().split_for_parts();
    let limits = rate_limit::ApiLimits::new(app.config.api_requests_per_second);
    let page_limits = rate_limit::PageLimits::new(app.config.page_requests_per_second);
    let api = crate::web::api::with_description(api, document)
        .merge(crate::billing_systems::api::routes())
        .layer(from_fn_with_state(app.clone(), idempotency::layer))
        .layer(from_fn_with_state((app.clone(), limits), rate_limit::limit));

    pages()
        .merge(api)
        .route("/static/{hash}/{*path}", get(assets::serve))
        .fallback(|| async { crate::error::Error::NotFound })
        .layer(
            // From the outside in.
            ServiceBuilder::new()
                .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
                .layer(PropagateRequestIdLayer::new(request_id))
                .layer(TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
                    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("");
                    // The query is left out: one-use links carry their token there.
                    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
                }))
                // Events must not wait in a compressor's buffer.
                .layer(CompressionLayer::new().compress_when(
                    DefaultPredicate::new().and(NotForContentType::new("text/event-stream")),
                ))
                .layer(from_fn(crate::metrics::web::count))
                .layer(from_fn_with_state(app.clone(), middleware::frame))
                .layer(from_fn_with_state((app.clone(), page_limits), rate_limit::limit_pages))
                .layer(sessions)
                .layer(from_fn_with_state(app.clone(), errors::render))
                .layer(CatchPanicLayer::new())
                .layer(CsrfLayer::new())
                .layer(DefaultBodyLimit::max(MAX_BODY_BYTES)),
        )
        .with_state(app)
}

/// Pages for people.  Each capability brings its own.
fn pages() -> Router<App> {
    Router::new()
        .merge(crate::web::public::routes())
        .merge(crate::landing::web::routes())
        .merge(crate::help::web::routes())
        .merge(crate::announcements::web::routes())
        .merge(crate::web::health::routes())
        .merge(crate::web::live::routes())
        .merge(crate::accounts::web::routes())
        .merge(crate::instances::web::routes())
        .merge(crate::trials::web::routes())
        .merge(crate::consoles::web::routes())
        .merge(crate::billing::web::routes())
        .merge(crate::billing::payments::web::routes())
        .merge(crate::webhooks::web::routes())
        .merge(crate::admin::routes())
        .merge(crate::search::web::routes())
}

/// The API, described as it is built.
pub fn api_routes() -> OpenApiRouter<App> {
    crate::web::api::base()
        .merge(crate::accounts::api::routes())
        .merge(crate::instances::api::routes())
        .merge(crate::consoles::api::routes())
        .merge(crate::billing::api::routes())
        .merge(crate::billing::payments::api::routes())
        .merge(crate::webhooks::api::routes())
        .merge(crate::plans::api::routes())
        .merge(crate::images::api::routes())
        .merge(crate::admin::api::routes())
}
