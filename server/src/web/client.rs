//! Facts about the caller.

use crate::auth::device;
use crate::state::App;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use uuid::Uuid;

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

/// The unit in which everything that counts by address counts: an IPv4 address, or the /64 of an IPv6 address, all of
/// which one customer line or one server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpNet);

impl ClientNetwork {
    /// `::ffff:192.0.2.1` is 192.0.2.1.
    pub fn of(address: IpAddr) -> Self {
        Self(around(address, 32, 64))
    }

    /// The network itself, and for IPv6 the /48 around it, which one line may have as well.
    pub fn networks(self) -> impl Iterator<Item = IpNet> {
        let wide = match self.0 {
            IpNet::V4(_) => None,
            IpNet::V6(network) => Some(around(network.addr().into(), 32, 48)),
        };
        std::iter::once(self.0).chain(wide)
    }

    /// The same, each with what it is allowed: the wider one first, because who has many of the narrow ones is to be
    /// stopped before each of them is remembered.
    pub fn with_limits(self, each: usize, wide_factor: usize) -> Vec<(IpNet, usize)> {
        let factors = [1, wide_factor];
        let mut all: Vec<_> = self
            .networks()
            .zip(factors)
            .map(|(network, factor)| (network, each.saturating_mul(factor)))
            .collect();
        all.reverse();
        all
    }

    pub fn net(self) -> IpNet {
        self.0
    }
}

/// The network of this address, with so many bits for each family.
pub fn around(address: IpAddr, v4: u8, v6: u8) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::new_assert(address, v4).trunc()),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new_assert(address, v6).trunc()),
    }
}

pub fn request_id(parts: &Parts) -> Option<String> {
    parts.headers.get("x-request-id").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Who calls, where nobody is signed in yet.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    pub ip: Option<IpAddr>,
    /// A browser in which somebody has signed in before, by the cookie that it got then.
    pub device: Option<Uuid>,
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
            device: device::of(app, &parts.headers),
            user_agent: user_agent.chars().take(MAX_USER_AGENT).collect(),
            request_id: request_id(parts),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(address: &str) -> Vec<String> {
        ClientNetwork::of(address.parse().unwrap()).networks().map(|network| network.to_string()).collect()
    }

    #[test]
    fn one_client_is_an_ipv4_address_or_an_ipv6_64() {
        assert_eq!(networks("192.0.2.7"), ["192.0.2.7/32"]);
        assert_eq!(networks("::ffff:192.0.2.7"), ["192.0.2.7/32"]);
        assert_eq!(networks("2001:db8:1:2:3:4:5:6"), ["2001:db8:1:2::/64", "2001:db8:1::/48"]);
    }

    #[test]
    fn the_wider_network_is_asked_first_and_allowed_more() {
        let limits = ClientNetwork::of("2001:db8:1:2::3".parse().unwrap()).with_limits(10, 4);
        let text: Vec<_> = limits.iter().map(|(network, most)| format!("{network} {most}")).collect();
        assert_eq!(text, ["2001:db8:1::/48 40", "2001:db8:1:2::/64 10"]);
    }
}
