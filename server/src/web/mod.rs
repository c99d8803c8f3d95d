//! Everything that pages have in common: language, frame, flash messages, errors, assets, sessions.

pub mod api;
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
pub mod middleware;
pub mod page;
pub mod paging;
pub mod public;
pub mod rate_limit;
pub mod session_store;

pub use page::Page;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

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
