//! Networks that guests may not reach from this host.
//!
//! A NAT host sends guests' packets on with its own address.  Whoever trusts that address, in the
//! operator's private networks or on the host's own links, would trust every guest.  So on such a host
//! guests reach public addresses, each other, and what the operator lists (`guests_may_reach`).  Guests with
//! routed addresses are told apart by their own, and are kept from metadata services of clouds only.

use super::command::ip_json;
use super::taps::ipv6_present;
use ipnet::{IpNet, Ipv6Net};
use std::net::Ipv6Addr;

/// Metadata services of the clouds that a host itself may run in.  They hand credentials of the machine to
/// whoever asks from it.
const METADATA: [&str; 5] =
    ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128"];

/// Not public, from IANA's special-purpose registries.
const PRIVATE: [&str; 13] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "64:ff9b:1::/48",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// IPv4 behind a translator that the operator's network may have (RFC 6052).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// What is closed to guests, and what of it is open all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    pub networks: Vec<IpNet>,
    pub open: Vec<IpNet>,
}

impl Closed {
    /// `connected` are the networks on the host's own links.
    pub fn new(nat: bool, connected: &[IpNet], open: &[IpNet]) -> Self {
        let mut networks: Vec<IpNet> = constant(&METADATA);
        if nat {
            networks.extend(constant(&PRIVATE));
            networks.extend(connected.iter().map(IpNet::trunc));
        }
        let translated: Vec<IpNet> = networks.iter().filter_map(translated).collect();
        networks.extend(translated);
        let open: Vec<IpNet> = open.iter().map(IpNet::trunc).collect();
        // nftables refuses sets whose members overlap.
        Self { networks: IpNet::aggregate(&networks), open: IpNet::aggregate(&open) }
    }

    /// As conditions of rules: one for each family.
    pub fn conditions(&self) -> Vec<String> {
        let of = |networks: &[IpNet], v4: bool| {
            let all = networks.iter().filter(|net| net.addr().is_ipv4() == v4);
            all.map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let families = [(true, "ip"), (false, "ip6")].map(|(v4, header)| {
            let (closed, open) = (of(&self.networks, v4), of(&self.open, v4));
            let but = if open.is_empty() { open } else { format!(" {header} daddr != {{ {open} }}") };
            (!closed.is_empty()).then(|| format!("{header} daddr {{ {closed} }}{but}"))
        });
        families.into_iter().flatten().collect()
    }
}

fn constant(networks: &[&str]) -> Vec<IpNet> {
    networks.iter().map(|text| text.parse().expect("a constant network")).collect()
}

/// The same IPv4 network as a translator's clients write it.
fn translated(network: &IpNet) -> Option<IpNet> {
    let IpNet::V4(network) = network else { return None };
    let [a, b, c, d] = network.network().octets();
    let [s0, s1, s2, s3, s4, s5] = TRANSLATED;
    let low = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
    let address = Ipv6Addr::new(s0, s1, s2, s3, s4, s5, low[0], low[1]);
    Ipv6Net::new(address, 96 + network.prefix_len()).ok().map(IpNet::V6)
}

/// The networks on the host's own links.  A route to a single address is a guest's, or a gateway's, which stands
/// in a network of its own.
pub async fn connected() -> anyhow::Result<Vec<IpNet>> {
    let mut routes = ip_json(&["-4", "route", "show", "table", "main", "proto", "kernel"]).await?;
    if ipv6_present() {
        routes.extend(ip_json(&["-6", "route", "show", "table", "main", "proto", "kernel"]).await?);
    }
    let networks = routes.iter().filter_map(|route| route["dst"].as_str()?.parse::<IpNet>().ok());
    let mut networks: Vec<IpNet> = networks.filter(|net| net.prefix_len() < net.max_prefix_len()).collect();
    networks.sort_unstable();
    networks.dedup();
    Ok(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn is_closed(closed: &Closed, address: &str) -> bool {
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&net_of(address)));
        within(&closed.networks) && !within(&closed.open)
    }

    fn net_of(address: &str) -> std::net::IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn private_networks_are_closed_behind_nat() {
        let closed = Closed::new(true, &[net("203.0.113.5/24")], &[net("10.1.0.0/16")]);
        for address in [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "203.0.113.9",
            "224.0.0.251",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "64:ff9b::cb00:7109",
        ] {
            assert!(is_closed(&closed, address), "{address}");
        }
        for address in ["10.1.2.3", "9.9.9.9", "2606:4700::1111", "172.32.0.1", "64:ff9b::808:808"] {
            assert!(!is_closed(&closed, address), "{address}");
        }
    }

    #[test]
    fn metadata_services_are_closed_to_routed_guests_as_well() {
        let closed = Closed::new(false, &[net("203.0.113.0/24")], &[]);
        for address in ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"] {
            assert!(is_closed(&closed, address), "{address}");
        }
        for address in ["10.0.0.1", "203.0.113.9", "fd00::1"] {
            assert!(!is_closed(&closed, address), "{address}");
        }
    }

    #[test]
    fn members_of_a_set_do_not_overlap() {
        let closed = Closed::new(true, &[net("10.2.0.0/16"), net("192.0.2.0/24")], &[net("10.1.0.0/16")]);
        let [v4, v6] = closed.conditions().try_into().unwrap();
        assert!(
            v4.starts_with("ip daddr { 10.0.0.0/8, ") && v4.ends_with(" ip daddr != { 10.1.0.0/16 }"),
            "{v4}"
        );
        assert!(v6.starts_with("ip6 daddr { ") && !v6.contains("!="), "{v6}");
    }
}
