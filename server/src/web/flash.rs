//! A message that survives one redirect, in a short-lived cookie.
//!
//! The cookie holds the key of a message and at most one argument, never text: whoever plants a
//! cookie can at most make us say one of our own sentences.

use super::language::Language;
use super::page::Flash;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};

pub const COOKIE: &str = "jst_flash";
const PREFIX: &str = "flash-";
/// Of refusals that a redirect carries back to the page with the button.
const REFUSAL_PREFIX: &str = "error-";

/// 303 to `path`, where the message `flash-<key>` is shown.
pub fn redirect(path: &str, key: &'static str) -> Response {
    with_message(path, "success", key, "")
}

pub fn redirect_with(path: &str, key: &'static str, argument: &str) -> Response {
    with_message(path, "success", key, argument)
}

pub fn redirect_error(path: &str, key: &'static str) -> Response {
    with_message(path, "error", key, "")
}

/// 303 to `path`, where the refusal `error-<code>` is shown with its first argument.
pub fn redirect_refused(path: &str, code: &str, argument: &str) -> Response {
    with_message(path, "refused", code, argument)
}

fn with_message(path: &str, kind: &str, key: &str, argument: &str) -> Response {
    let argument: String = argument.chars().take(100).collect();
    let value =
        serde_urlencoded::to_string([("k", kind), ("m", key), ("a", argument.as_str())]).unwrap_or_default();
    let mut response = Redirect::to(path).into_response();
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age=30; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The message of this request.  `{ $value }` in it is the argument.
pub fn read(headers: &HeaderMap, language: Language) -> Option<Flash> {
    let value = super::cookie(headers, COOKIE)?;
    let fields: Vec<(String, String)> = serde_urlencoded::from_str(&value).ok()?;
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let (kind, prefix) = match field("k")?.as_str() {
        "success" => ("success", PREFIX),
        "error" => ("error", PREFIX),
        "refused" => ("error", REFUSAL_PREFIX),
        _ => ("info", PREFIX),
    };
    let key = format!("{prefix}{}", field("m")?);
    let argument = field("a").unwrap_or_default();
    // Refusals name what is short.
    let arguments = [("value", argument.clone()), ("needed", argument)];
    language.has(&key).then(|| Flash { kind, text: language.text_with(&key, &arguments) })
}

/// Removes the cookie once its message has been on a page.
pub fn clear(response: &mut Response) {
    let cookie = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
