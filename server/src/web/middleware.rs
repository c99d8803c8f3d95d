//! Layers around every request.

use super::flash;
use super::language::Language;
use crate::state::App;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY, VARY};
use axum::middleware::Next;
use axum::response::Response;

/// No inline script or style, nothing from elsewhere, no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// Behind TLS browsers never ask us without it again, for a year. Only this name: what else the operator has below its
/// domain is theirs to decide.
const HSTS: &str = "max-age=31536000";

/// On the answer of a page whose script makes style sheets of its own: they pass with this nonce.  Scripts
/// stay as strict as everywhere.
#[derive(Clone)]
pub struct StyleNonce(String);

impl StyleNonce {
    pub fn new() -> Self {
        Self(crate::secrets::random_token())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StyleNonce {
    fn default() -> Self {
        Self::new()
    }
}

/// Decides the language, and puts the headers on the answer that every answer has.
pub async fn frame(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let language = Language::of_request(request.headers());
    request.extensions_mut().insert(language);
    let had_flash = super::cookie(request.headers(), flash::COOKIE).is_some();
    let mut response = next.run(request).await;

    let html =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if html && had_flash {
        flash::clear(&mut response);
    }
    let nonce = response.extensions().get::<StyleNonce>().cloned();
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set("content-security-policy", CONTENT_SECURITY_POLICY);
    set("x-content-type-options", "nosniff");
    set("referrer-policy", "same-origin");
    set("cross-origin-opener-policy", "same-origin");
    set("x-frame-options", "DENY");
    if app.config.secure_cookies() {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(StyleNonce(nonce)) = nonce
        && let Ok(policy) =
            HeaderValue::from_str(&format!("{CONTENT_SECURITY_POLICY}; style-src 'self' 'nonce-{nonce}'"))
    {
        headers.insert("content-security-policy", policy);
    }
    headers.append(VARY, HeaderValue::from_static("accept-language, cookie"));
    response
}
