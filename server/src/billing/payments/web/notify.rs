//! Where providers tell us: the raw body in, and what each of them takes for 'understood' out.

use crate::billing::payments::inbox::{MAX_BODY, receive};
use crate::billing::payments::provider::Provider;
use crate::error::{Error, Result};
use crate::state::App;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

pub fn routes() -> Router<App> {
    Router::new().route("/payments/{provider}/notify", post(notify)).layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn notify(
    State(app): State<App>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: std::result::Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let provider = Provider::parse(&provider).ok_or(Error::NotFound)?;
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return Ok(answer(provider, rejection.status())),
    };
    Ok(match receive(&app, provider, &headers, &body).await? {
        Ok(()) => answer(provider, StatusCode::OK),
        // Which part of it is wrong is nobody's business who forges one.
        Err(_) => answer(provider, StatusCode::BAD_REQUEST),
    })
}

/// In the words that the provider waits for.
fn answer(provider: Provider, status: StatusCode) -> Response {
    let well = status == StatusCode::OK;
    let (kind, text) = match provider {
        Provider::Stripe => {
            ("application/json", if well { "{\"received\":true}" } else { "{\"received\":false}" })
        }
        // Not plain text: a refusal in plain text is taken for one that has no page yet, and gets one.
        Provider::Alipay => ("text/html; charset=utf-8", if well { "success" } else { "fail" }),
        Provider::Wechat if well => ("application/json", "{\"code\":\"SUCCESS\",\"message\":\"\"}"),
        Provider::Wechat => ("application/json", "{\"code\":\"FAIL\",\"message\":\"refused\"}"),
    };
    (status, [(CONTENT_TYPE, kind)], text).into_response()
}
