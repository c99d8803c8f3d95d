//! Everything that pages have in common: language, frame, flash messages, errors, assets, sessions.

pub mod api;
pub mod api_docs;
pub mod assets;
pub mod client;
mod db;
pub mod errors;
pub mod flash;
pub mod format;
pub mod health;
pub mod idempotency;
pub mod json;
pub mod language;
pub mod listener;
pub mod live;
pub mod middleware;
pub mod page;
pub mod paging;
pub mod public;
pub mod query;
pub mod rate_limit;
pub mod session_store;

pub use page::Page;

use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// A path of ours to go to after signing in, or None: never an address of somebody else's, however
/// it is written.
pub fn local_path(text: &str) -> Option<&str> {
    let plain = text.len() <= 1000
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain.then_some(text)
}

/// Remembers a choice of the reader's for a year.
pub fn set_cookie(app: &crate::state::App, response: &mut Response, name: &str, value: &str) {
    let secure = if app.config.secure_cookies() { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::local_path;

    #[test]
    fn only_our_own_paths_are_gone_to() {
        assert_eq!(local_path("/instances?state=running"), Some("/instances?state=running"));
        for elsewhere in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil",
            "/a\r\nSet-Cookie: x",
            "/\t/evil",
        ] {
            assert_eq!(local_path(elsewhere), None, "{elsewhere:?}");
        }
    }
}
