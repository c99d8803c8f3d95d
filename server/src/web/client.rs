//! Facts about the caller.

use crate::state::App;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use std::convert::Infallible;
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

/// Who calls, where nobody is signed in yet.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    pub ip: Option<IpAddr>,
    /// What the browser calls itself, cut to a length that fits a list.
    pub user_agent: String,
    pub request_id: Option<String>,
}

const MAX_USER_AGENT: usize = 300;

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
        Ok(Self {
            ip: client_ip(parts, app.config.trusted_proxies),
            user_agent: user_agent.chars().take(MAX_USER_AGENT).collect(),
            request_id: request_id(parts),
        })
    }
}
