//! Rules of the firewall as people and programs write them.

use super::change::Rules;
use crate::error::FieldError;
use ipnet::IpNet;
use jst_protocol::desired::{FirewallProtocol, FirewallRule};
use std::net::IpAddr;

/// Rules of both directions together: each costs a little on every packet.
pub const MAX_RULES: usize = 50;
pub const MAX_PEERS: usize = 20;
const ALL_PORTS: &str = "1-65535";

/// One rule, as it was entered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleText {
    /// `tcp`, `udp`, `icmp`, `any`.
    pub protocol: String,
    /// `22`, `8000-8100`, or nothing for all ports.
    pub ports: String,
    /// Addresses and networks, separated by spaces or commas; nothing for any.
    pub peers: String,
}

impl RuleText {
    /// As a form shows it.  There a row of TCP or UDP that says nothing else is one that was not filled in, so that all
    /// ports of everybody, which programs may leave out, are said.
    pub fn of(rule: &FirewallRule) -> Self {
        let says_nothing = rule.ports.is_none()
            && rule.peers.is_empty()
            && matches!(rule.protocol, FirewallProtocol::Tcp | FirewallProtocol::Udp);
        let unsaid = if says_nothing { ALL_PORTS } else { "" };
        Self {
            protocol: protocol_name(rule.protocol).to_owned(),
            ports: ports_text(rule).unwrap_or_else(|| unsaid.to_owned()),
            peers: rule.peers.iter().map(peer_text).collect::<Vec<_>>().join(" "),
        }
    }
}

const fn protocol_name(protocol: FirewallProtocol) -> &'static str {
    match protocol {
        FirewallProtocol::Any => "any",
        FirewallProtocol::Tcp => "tcp",
        FirewallProtocol::Udp => "udp",
        FirewallProtocol::Icmp => "icmp",
    }
}

pub fn ports_text(rule: &FirewallRule) -> Option<String> {
    rule.ports.map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
}

/// A single host without its length, as people write it.
pub fn peer_text(peer: &IpNet) -> String {
    if peer.prefix_len() == peer.max_prefix_len() { peer.addr().to_string() } else { peer.to_string() }
}

/// Reads the rules of one direction.  Mistakes are added with their place: `inbound.0.ports`.
pub fn parse(direction: &str, rules: &[RuleText], errors: &mut Vec<FieldError>) -> Vec<FirewallRule> {
    // Far more than are allowed are not even read; the count is refused afterwards.
    rules
        .iter()
        .take(MAX_RULES + 1)
        .enumerate()
        .filter_map(|(index, rule)| parse_rule(&format!("{direction}.{index}"), rule, errors))
        .collect()
}

pub fn check_count(field: &str, rules: &Rules, errors: &mut Vec<FieldError>) {
    let count = |rules: &Option<Vec<FirewallRule>>| rules.as_ref().map_or(0, Vec::len);
    if count(&rules.inbound) + count(&rules.outbound) > MAX_RULES {
        errors.push(FieldError::new(field, "firewall-too-many").with("max", MAX_RULES));
    }
}

fn parse_rule(place: &str, rule: &RuleText, errors: &mut Vec<FieldError>) -> Option<FirewallRule> {
    let protocol = match rule.protocol.trim().to_ascii_lowercase().as_str() {
        "tcp" => FirewallProtocol::Tcp,
        "udp" => FirewallProtocol::Udp,
        "icmp" => FirewallProtocol::Icmp,
        "any" => FirewallProtocol::Any,
        _ => {
            errors.push(FieldError::new(format!("{place}.protocol"), "firewall-protocol"));
            return None;
        }
    };
    let before = errors.len();
    let has_ports = matches!(protocol, FirewallProtocol::Tcp | FirewallProtocol::Udp);
    let ports = match rule.ports.trim() {
        "" => None,
        _ if !has_ports => {
            errors.push(FieldError::new(format!("{place}.ports"), "firewall-ports-not-here"));
            None
        }
        text => {
            let ports = parse_ports(text);
            if ports.is_none() {
                errors.push(FieldError::new(format!("{place}.ports"), "firewall-ports"));
            }
            ports
        }
    };
    let peers = parse_peers(&format!("{place}.peers"), &rule.peers, errors);
    (errors.len() == before).then_some(FirewallRule { protocol, ports, peers })
}

fn parse_ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

fn parse_peers(field: &str, text: &str, errors: &mut Vec<FieldError>) -> Vec<IpNet> {
    let words: Vec<&str> = text.split([' ', ',', '\n', '\r', '\t']).filter(|word| !word.is_empty()).collect();
    if words.len() > MAX_PEERS {
        errors.push(FieldError::new(field, "firewall-peers-too-many").with("max", MAX_PEERS));
        return Vec::new();
    }
    let mut peers = Vec::new();
    for word in words {
        let peer = word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
        match peer {
            Some(peer) => peers.push(peer.trunc()),
            None => {
                let shown: String = word.chars().take(50).collect();
                errors.push(FieldError::new(field, "firewall-peer").with("value", shown));
                return Vec::new();
            }
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: &str, ports: &str, peers: &str) -> RuleText {
        RuleText { protocol: protocol.into(), ports: ports.into(), peers: peers.into() }
    }

    #[test]
    fn rules_come_back_as_they_were_written() {
        let texts = [
            rule("tcp", "22", "203.0.113.7 2001:db8::/32"),
            rule("udp", "8000-8100", ""),
            rule("icmp", "", ""),
            rule("any", "", "10.0.0.0/8"),
        ];
        let mut errors = Vec::new();
        let rules = parse("inbound", &texts, &mut errors);
        assert_eq!(errors, []);
        assert_eq!(rules.iter().map(RuleText::of).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn a_rule_that_leaves_everything_out_does_not_look_empty() {
        for protocol in ["tcp", "udp"] {
            let everything = parse("inbound", &[rule(protocol, "", "")], &mut Vec::new());
            let shown = RuleText::of(&everything[0]);
            assert_eq!(shown, rule(protocol, "1-65535", ""));
            assert_eq!(parse("inbound", &[shown], &mut Vec::new())[0].ports, Some((1, u16::MAX)));
        }
    }

    #[test]
    fn every_mistake_is_told_at_its_place() {
        for (text, field, code) in [
            (rule("sctp", "", ""), "inbound.0.protocol", "firewall-protocol"),
            (rule("", "", ""), "inbound.0.protocol", "firewall-protocol"),
            (rule("tcp", "0", ""), "inbound.0.ports", "firewall-ports"),
            (rule("tcp", "65536", ""), "inbound.0.ports", "firewall-ports"),
            (rule("tcp", "90-80", ""), "inbound.0.ports", "firewall-ports"),
            (rule("tcp", "80-", ""), "inbound.0.ports", "firewall-ports"),
            (rule("icmp", "80", ""), "inbound.0.ports", "firewall-ports-not-here"),
            (rule("tcp", "", "10.0.0.0/33"), "inbound.0.peers", "firewall-peer"),
            (rule("tcp", "", "example.com"), "inbound.0.peers", "firewall-peer"),
            (rule("tcp", "", &"1.1.1.1 ".repeat(21)), "inbound.0.peers", "firewall-peers-too-many"),
        ] {
            let mut errors = Vec::new();
            assert_eq!(parse("inbound", std::slice::from_ref(&text), &mut errors), [], "{text:?}");
            assert_eq!((errors[0].field.as_str(), errors[0].code), (field, code), "{text:?}");
        }
    }

    #[test]
    fn a_network_is_cut_to_its_length() {
        let rules = parse("inbound", &[rule("tcp", "", "10.1.2.3/8")], &mut Vec::new());
        assert_eq!(rules[0].peers, ["10.0.0.0/8".parse::<IpNet>().unwrap()]);
    }
}
