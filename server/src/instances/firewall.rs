//! Rules of the firewall as people and programs write them.

use super::change::Rules;
use crate::error::FieldError;
use crate::{name, typed};
use ipnet::IpNet;
use jst_protocol::desired::{FirewallProtocol, FirewallRule};

/// Rules of both directions together: each costs a little on every packet.
pub const MAX_RULES: usize = 50;
pub const MAX_PEERS: usize = 20;
const ALL_PORTS: &str = "1-65535";

/// One rule, as it was entered in a form.
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

/// One rule, as a program says it.
pub struct RuleSaid {
    pub protocol: String,
    /// Absent for all ports.
    pub ports: Option<String>,
    /// One address or network each; none for any.
    pub peers: Vec<String>,
}

/// Reads the rules of one direction from a form.  Mistakes are added with their place: `inbound.0.ports`.
pub fn parse(direction: &str, rules: &[RuleText], errors: &mut Vec<FieldError>) -> Vec<FirewallRule> {
    // Far more than are allowed are not even read; the count is refused afterwards.
    let rules = rules.iter().take(MAX_RULES + 1).enumerate();
    rules
        .filter_map(|(index, rule)| {
            let place = format!("{direction}.{index}");
            let ports = Some(rule.ports.as_str()).filter(|ports| !is_blank(ports));
            let peers = split_peers(&rule.peers);
            // Only an empty field means everybody, and not one with a lonely comma.
            if peers.is_empty() && !is_blank(&rule.peers) {
                errors.push(unreadable_peer(&format!("{place}.peers"), &rule.peers));
                return None;
            }
            parse_rule(
                &place,
                &rule.protocol,
                ports,
                |errors| {
                    parse_peers(
                        &format!("{place}.peers"),
                        peers.iter().map(|peer| (None, peer.as_str())),
                        errors,
                    )
                },
                errors,
            )
        })
        .collect()
}

/// The same from a program, whose mistakes stand at the entry: `inbound.0.peers.1`.
pub fn parse_said(direction: &str, rules: &[RuleSaid], errors: &mut Vec<FieldError>) -> Vec<FirewallRule> {
    let rules = rules.iter().take(MAX_RULES + 1).enumerate();
    rules
        .filter_map(|(index, rule)| {
            let place = format!("{direction}.{index}");
            parse_rule(
                &place,
                &rule.protocol,
                rule.ports.as_deref(),
                |errors| {
                    let peers =
                        rule.peers.iter().enumerate().map(|(index, peer)| (Some(index), peer.as_str()));
                    parse_peers(&format!("{place}.peers"), peers, errors)
                },
                errors,
            )
        })
        .collect()
}

pub fn check_count(field: &str, rules: &Rules, errors: &mut Vec<FieldError>) {
    let count = |rules: &Option<Vec<FirewallRule>>| rules.as_ref().map_or(0, Vec::len);
    if count(&rules.inbound) + count(&rules.outbound) > MAX_RULES {
        errors.push(FieldError::new(field, "firewall-too-many").with("max", MAX_RULES));
    }
}

fn parse_rule(
    place: &str,
    protocol: &str,
    ports: Option<&str>,
    peers: impl FnOnce(&mut Vec<FieldError>) -> Vec<IpNet>,
    errors: &mut Vec<FieldError>,
) -> Option<FirewallRule> {
    let protocol = match typed::plain(protocol).to_ascii_lowercase().as_str() {
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
    let ports = ports.and_then(|text| {
        let ports = typed::ports(text).filter(|_| has_ports);
        if ports.is_none() {
            let code = if has_ports || is_blank(text) { "firewall-ports" } else { "firewall-ports-not-here" };
            errors.push(FieldError::new(format!("{place}.ports"), code));
        }
        ports
    });
    let peers = peers(errors);
    (errors.len() == before).then_some(FirewallRule { protocol, ports, peers })
}

fn is_blank(text: &str) -> bool {
    text.chars().all(name::is_blank)
}

/// The words of a field that holds several.
fn split_peers(text: &str) -> Vec<String> {
    // Spaces around the slash of a network do not part it.
    let text = typed::plain(text).replace(" /", "/").replace("/ ", "/");
    text.split([' ', ',', ';']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Reads peers, each with its place in the list where it has one.  Each must say something: no peers at all mean everybody.
fn parse_peers<'a>(
    field: &str,
    words: impl ExactSizeIterator<Item = (Option<usize>, &'a str)>,
    errors: &mut Vec<FieldError>,
) -> Vec<IpNet> {
    if words.len() > MAX_PEERS {
        errors.push(FieldError::new(field, "firewall-peers-too-many").with("max", MAX_PEERS));
        return Vec::new();
    }
    let mut peers = Vec::new();
    for (index, word) in words {
        match typed::network(word) {
            Some(peer) => peers.push(peer.trunc()),
            None => {
                let field = index.map_or_else(|| field.to_owned(), |index| format!("{field}.{index}"));
                errors.push(unreadable_peer(&field, word));
                return Vec::new();
            }
        }
    }
    peers
}

fn unreadable_peer(field: &str, word: &str) -> FieldError {
    if is_blank(word) {
        return FieldError::new(field, "entry-blank");
    }
    let shown: String = word.chars().take(50).collect();
    FieldError::new(field, "firewall-peer").with("value", shown)
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
            (rule("tcp", "", "010.1.2.0/24"), "inbound.0.peers", "firewall-peer"),
            // Nothing that is written down means everybody.
            (rule("tcp", "", ","), "inbound.0.peers", "firewall-peer"),
            (rule("tcp", "", " ， "), "inbound.0.peers", "firewall-peer"),
            (rule("tcp", "-", ""), "inbound.0.ports", "firewall-ports"),
        ] {
            let mut errors = Vec::new();
            assert_eq!(parse("inbound", std::slice::from_ref(&text), &mut errors), [], "{text:?}");
            assert_eq!((errors[0].field.as_str(), errors[0].code), (field, code), "{text:?}");
        }
    }

    #[test]
    fn an_entry_that_says_nothing_is_not_everybody() {
        let said = |ports: Option<&str>, peers: &[&str]| RuleSaid {
            protocol: "tcp".into(),
            ports: ports.map(str::to_owned),
            peers: peers.iter().map(|peer| (*peer).to_owned()).collect(),
        };
        for (rule, field, code) in [
            (said(None, &[""]), "inbound.0.peers.0", "entry-blank"),
            (said(None, &[" "]), "inbound.0.peers.0", "entry-blank"),
            (said(None, &["192.0.2.1", "\u{200b}"]), "inbound.0.peers.1", "entry-blank"),
            (said(None, &[","]), "inbound.0.peers.0", "firewall-peer"),
            (said(None, &["192.0.2.1 192.0.2.2"]), "inbound.0.peers.0", "firewall-peer"),
            (said(Some(""), &[]), "inbound.0.ports", "firewall-ports"),
            (said(Some(" "), &[]), "inbound.0.ports", "firewall-ports"),
        ] {
            let mut errors = Vec::new();
            assert_eq!(parse_said("inbound", &[rule], &mut errors), []);
            assert_eq!((errors[0].field.as_str(), errors[0].code), (field, code));
        }
        let rules = parse_said("inbound", &[said(None, &[])], &mut Vec::new());
        assert_eq!((rules[0].ports, rules[0].peers.len()), (None, 0), "an empty list is said");
    }

    #[test]
    fn peers_and_ports_are_read_as_they_are_typed() {
        for (text, ports, peers) in [
            (rule("TCP", "80 - 90", ""), Some((80, 90)), &[][..]),
            (
                rule("ｔｃｐ", "８０", "１９２。０。２。１，192.0.2.2"),
                Some((80, 80)),
                &["192.0.2.1/32", "192.0.2.2/32"],
            ),
            (
                rule("udp", "53\u{a0}", "192.0.2.0 / 24; 2001:db8::1"),
                Some((53, 53)),
                &["192.0.2.0/24", "2001:db8::1/128"],
            ),
            // Such an address never stands in a packet: what is meant is that of IPv4.
            (
                rule("tcp", "", "::ffff:192.0.2.1 ::ffff:198.51.100.0/120"),
                None,
                &["192.0.2.1/32", "198.51.100.0/24"],
            ),
        ] {
            let mut errors = Vec::new();
            let rules = parse("inbound", std::slice::from_ref(&text), &mut errors);
            assert_eq!(errors, [], "{text:?}");
            let peers: Vec<IpNet> = peers.iter().map(|peer| peer.parse().unwrap()).collect();
            assert_eq!((rules[0].ports, &rules[0].peers), (ports, &peers), "{text:?}");
        }
    }

    #[test]
    fn a_network_is_cut_to_its_length() {
        let rules = parse("inbound", &[rule("tcp", "", "10.1.2.3/8")], &mut Vec::new());
        assert_eq!(rules[0].peers, ["10.0.0.0/8".parse::<IpNet>().unwrap()]);
    }
}
