//! The rules of one port, as nftables writes them.  Everything in them is a parsed address, a
//! number or a word of this file, so nothing that a customer typed can change their meaning.

use crate::network::names::Port;
use ipnet::{IpNet, Ipv4Net};
use jst_protocol::desired::{Firewall, FirewallProtocol, FirewallRule};
use std::net::IpAddr;

/// ARP: the sender is the guest, or nobody yet (a probe before it uses an address).
///
/// What comes from one of its addresses is counted, here and in [`antispoof`]: it shows that the guest
/// has taken them.
pub fn antispoof_arp(port: &Port) -> Vec<String> {
    let mut rules =
        vec![format!("ether saddr != {} drop", port.mac), format!("arp saddr ether != {} drop", port.mac)];
    if !port.v4.is_empty() {
        let senders = join(&port.v4);
        rules.push(format!("arp operation {{ request, reply }} arp saddr ip {{ {senders} }} counter accept"));
    }
    rules.push("arp operation { request, reply } arp saddr ip 0.0.0.0 accept".to_owned());
    rules.push("drop".to_owned());
    rules
}

/// IP: the source is the guest.
///
/// Of the link-local addresses only the one that derives from the hardware address passes.  A guest
/// that prefers another one still reaches everything, because its solicitations carry the routed
/// address; and a guest that invents thousands cannot fill the host's neighbour table.
pub fn antispoof(port: &Port) -> Vec<String> {
    let mut rules = vec![
        format!("ether saddr != {} drop", port.mac),
        "icmpv6 type { nd-router-advert, nd-redirect } drop".to_owned(),
        "udp sport 67 udp dport 68 drop".to_owned(),
        "udp sport 547 udp dport 546 drop".to_owned(),
    ];
    if !port.v4.is_empty() {
        rules.push(format!("ip saddr {{ {} }} counter accept", join(&port.v4)));
    }
    if !port.v6.is_empty() {
        rules.push(format!("ip6 saddr {{ {} }} counter accept", join(&port.v6)));
    }
    rules.push(format!("ip6 saddr {} accept", port.mac.link_local()));
    // Duplicate address detection has no source yet.
    rules.push("ip6 saddr :: icmpv6 type nd-neighbor-solicit accept".to_owned());
    rules.push("drop".to_owned());
    rules
}

pub fn inbound(firewall: &Firewall) -> Vec<String> {
    let mut rules = vec!["ct state established,related accept".to_owned()];
    customer_rules(&mut rules, firewall.inbound.as_deref(), "saddr");
    rules
}

pub fn outbound(firewall: &Firewall) -> Vec<String> {
    let mut rules = Vec::new();
    if !firewall.blocked_outbound_tcp.is_empty() {
        let mut ports = firewall.blocked_outbound_tcp.clone();
        ports.sort_unstable();
        ports.dedup();
        // Before the established connections, so that closing a port also ends what uses it; in the
        // direction of the opening, so that a peer may still have that port on its own side.
        rules.push(format!("ct direction original tcp dport {{ {} }} drop", join(&ports)));
    }
    rules.push("ct state established,related accept".to_owned());
    customer_rules(&mut rules, firewall.outbound.as_deref(), "daddr");
    rules
}

/// Towards networks that are closed to guests: questions to the guest's own nameservers, which then pass the
/// customer's rules in the chain `outbound`.
pub fn elsewhere(port: &Port, outbound: &str) -> Vec<String> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = port.nameservers.iter().partition(|server| server.is_ipv4());
    let mut rules: Vec<String> = [(v4, "ip"), (v6, "ip6")]
        .into_iter()
        .filter(|(servers, _)| !servers.is_empty())
        .map(|(servers, header)| {
            let servers = join(&servers);
            format!(
                "{header} daddr {{ {servers} }} meta l4proto {{ tcp, udp }} th dport {{ 53, 853 }} jump {outbound}"
            )
        })
        .collect();
    rules.push("drop".to_owned());
    rules
}

/// `peer` names the field of the packet that holds the other side's address.
fn customer_rules(rules: &mut Vec<String>, wanted: Option<&[FirewallRule]>, peer: &str) {
    match wanted {
        None => rules.push("accept".to_owned()),
        Some(wanted) => {
            rules.extend(wanted.iter().flat_map(|rule| passing(rule, peer)));
            rules.push("drop".to_owned());
        }
    }
}

/// One rule becomes one line a family of its peers.
fn passing(rule: &FirewallRule, peer: &str) -> Vec<String> {
    let traffic = match (rule.protocol, rule.ports) {
        (FirewallProtocol::Any, None) => String::new(),
        (FirewallProtocol::Icmp, _) => "meta l4proto { icmp, icmpv6 } ".to_owned(),
        (FirewallProtocol::Tcp, None) => "meta l4proto tcp ".to_owned(),
        (FirewallProtocol::Udp, None) => "meta l4proto udp ".to_owned(),
        (FirewallProtocol::Tcp, Some(ports)) => format!("tcp dport {} ", range(ports)),
        (FirewallProtocol::Udp, Some(ports)) => format!("udp dport {} ", range(ports)),
        // Ports are an idea of these protocols only.
        (FirewallProtocol::Any, Some(ports)) => {
            format!("meta l4proto {{ tcp, udp, sctp, dccp }} th dport {} ", range(ports))
        }
    };
    peers(&rule.peers, peer).into_iter().map(|peers| format!("{peers}{traffic}accept")).collect()
}

/// Conditions on the other side's address: one that is always true for no peers.
fn peers(peers: &[IpNet], field: &str) -> Vec<String> {
    if peers.is_empty() {
        return vec![String::new()];
    }
    // nftables refuses sets whose members overlap.
    let plain = peers.iter().map(|peer| unmapped(*peer).trunc()).collect();
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) =
        IpNet::aggregate(&plain).into_iter().partition(|net| net.addr().is_ipv4());
    [(v4, "ip", "ipv4"), (v6, "ip6", "ipv6")]
        .into_iter()
        .filter(|(nets, ..)| !nets.is_empty())
        .map(|(nets, header, family)| match nets.as_slice() {
            [net] if net.prefix_len() == 0 => format!("meta nfproto {family} "),
            nets => format!("{header} {field} {{ {} }} ", join(nets)),
        })
        .collect()
}

/// `::ffff:192.0.2.1` stands in no packet: what is meant is the address of IPv4.
fn unmapped(peer: IpNet) -> IpNet {
    let IpNet::V6(within) = peer else { return peer };
    let v4 = within.addr().to_ipv4_mapped().zip(within.prefix_len().checked_sub(96));
    v4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(peer, IpNet::V4)
}

fn range((first, last): (u16, u16)) -> String {
    // A range that is written backwards matches nothing in nftables but an error; say what is meant.
    let (first, last) = (first.min(last), first.max(last));
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: FirewallProtocol, ports: Option<(u16, u16)>, peers: &[&str]) -> FirewallRule {
        FirewallRule { protocol, ports, peers: peers.iter().map(|peer| peer.parse().unwrap()).collect() }
    }

    fn port() -> Port {
        Port {
            tap: "jstta".into(),
            ifb: "jstia".into(),
            alias: String::new(),
            mac: "52:54:00:aa:bb:cc".parse().unwrap(),
            v4: vec!["10.60.0.5".parse().unwrap()],
            v6: vec!["2001:db8::5".parse().unwrap()],
            nameservers: vec!["10.0.0.53".parse().unwrap()],
        }
    }

    #[test]
    fn sources_are_the_guests_own() {
        assert_eq!(
            antispoof(&port()),
            [
                "ether saddr != 52:54:00:aa:bb:cc drop",
                "icmpv6 type { nd-router-advert, nd-redirect } drop",
                "udp sport 67 udp dport 68 drop",
                "udp sport 547 udp dport 546 drop",
                "ip saddr { 10.60.0.5 } counter accept",
                "ip6 saddr { 2001:db8::5 } counter accept",
                "ip6 saddr fe80::5054:ff:feaa:bbcc accept",
                "ip6 saddr :: icmpv6 type nd-neighbor-solicit accept",
                "drop",
            ]
        );
        assert_eq!(
            antispoof_arp(&port())[2..4],
            [
                "arp operation { request, reply } arp saddr ip { 10.60.0.5 } counter accept",
                "arp operation { request, reply } arp saddr ip 0.0.0.0 accept",
            ]
        );
    }

    #[test]
    fn no_list_lets_everything_pass_and_an_empty_list_nothing() {
        let mut firewall = Firewall::default();
        assert_eq!(inbound(&firewall), ["ct state established,related accept", "accept"]);
        assert_eq!(outbound(&firewall), ["ct state established,related accept", "accept"]);
        firewall.inbound = Some(vec![]);
        assert_eq!(inbound(&firewall), ["ct state established,related accept", "drop"]);
    }

    #[test]
    fn the_platforms_closed_ports_come_first() {
        let firewall = Firewall { inbound: None, outbound: None, blocked_outbound_tcp: vec![465, 25, 25] };
        assert_eq!(outbound(&firewall)[0], "ct direction original tcp dport { 25, 465 } drop");
    }

    #[test]
    fn rules_say_what_the_customer_means() {
        use FirewallProtocol::*;
        let line = |rule: FirewallRule| passing(&rule, "saddr");
        assert_eq!(line(rule(Tcp, Some((22, 22)), &[])), ["tcp dport 22 accept"]);
        assert_eq!(line(rule(Udp, Some((9, 5)), &[])), ["udp dport 5-9 accept"]);
        assert_eq!(line(rule(Any, None, &["0.0.0.0/0"])), ["meta nfproto ipv4 accept"]);
        assert_eq!(line(rule(Icmp, None, &[])), ["meta l4proto { icmp, icmpv6 } accept"]);
        // No packet has such a source; what is meant has one.
        assert_eq!(line(rule(Any, None, &["::ffff:192.0.2.1/128"])), ["ip saddr { 192.0.2.1/32 } accept"]);
        assert_eq!(line(rule(Any, None, &["::ffff:192.0.2.9/120"])), ["ip saddr { 192.0.2.0/24 } accept"]);
        assert_eq!(line(rule(Any, None, &["::ffff:0:0/96"])), ["meta nfproto ipv4 accept"]);
        assert_eq!(line(rule(Any, None, &["::/0"])), ["meta nfproto ipv6 accept"]);
        assert_eq!(
            line(rule(Tcp, Some((80, 90)), &["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"])),
            [
                "ip saddr { 10.0.0.0/8 } tcp dport 80-90 accept",
                "ip6 saddr { 2001:db8::/32 } tcp dport 80-90 accept"
            ]
        );
    }
}
