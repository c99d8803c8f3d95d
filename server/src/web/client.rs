//! Facts about the caller.

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use std::net::{IpAddr, SocketAddr};

/// The caller's address.  With `trusted_proxies` reverse proxies in front, it is the entry of
/// X-Forwarded-For that the outermost of them wrote; entries before it are the caller's own claim.
pub fn client_ip(parts: &Parts, trusted_proxies: usize) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    if trusted_proxies == 0 {
        return peer;
    }
    let forwarded: Vec<&str> = parts
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    match forwarded.len().checked_sub(trusted_proxies) {
        Some(index) => forwarded[index].parse().ok().or(peer),
        None => peer,
    }
}

pub fn request_id(parts: &Parts) -> Option<String> {
    parts.headers.get("x-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned)
}
