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

fn with_message(path: &str, kind: &str, key: &'static str, argument: &str) -> Response {
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
    let key = format!("{PREFIX}{}", field("m")?);
    let kind = match field("k")?.as_str() {
        "success" => "success",
        "error" => "error",
        _ => "info",
    };
    language
        .has(&key)
        .then(|| Flash { kind, text: language.text_with(&key, &[("value", field("a").unwrap_or_default())]) })
}

/// Removes the cookie once its message has been on a page.
pub fn clear(response: &mut Response) {
    let cookie = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}
