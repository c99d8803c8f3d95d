//! What a guest may send and receive, as nftables rules.
//!
//! ```text
//! from a tap -> arp input       : antispoof     sender addresses are the guest's own
//!            -> inet prerouting : antispoof     source addresses are the guest's own; no RA, no DHCP server
//!            -> inet input      : to_host       the host answers echo and neighbour discovery, nothing else
//!            -> inet forward    : elsewhere     private networks are closed, but for the guest's nameservers
//!                               : outbound      the customer's rules for what leaves
//! to a tap   -> inet forward    : inbound       the customer's rules for what arrives
//! ```
//!
//! The base chains look a tap up in a verdict map and drop what no entry claims, so a tap without
//! rules passes nothing: after `nft flush ruleset`, or between two steps of ours, guests are cut off
//! and never unfiltered once the base is back, and every transaction brings the base with it.
//! Replacing an instance's rules is one transaction of the kernel, so there is no moment without.
//!
//! The netdev family would look at frames earlier, but what shaping has redirected through another
//! device re-enters the stack behind that hook and would pass unseen.
//!
//! Outbound and inbound stand on two chains of the forward hook, because "accept" ends one chain
//! only: traffic between two guests of this host passes the sender's rules and the receiver's.
//! What the host itself sends to a guest is not filtered: it is the operator's.

mod rules;

use super::closed::Closed;
use super::command::run;
use super::names::{Port, Prefix};
use super::tree::{self, Slot, Slots};
use jst_protocol::desired::Firewall;
use serde_json::Value;
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

/// Verdict maps by tap: family and name.
///
/// In this order, so that a chain is there before another jumps to it.
const MAPS: [(&str, &str); 5] = [
    ("arp", "antispoof"),
    ("inet", "antispoof"),
    ("inet", "outbound"),
    ("inet", "inbound"),
    ("inet", "elsewhere"),
];

/// Runs one transaction: all of it or nothing.
pub async fn commit(script: &str) -> anyhow::Result<()> {
    run("nft", &["-f", "-"], script).await.map(drop)
}

/// Tables, base chains and maps.  Harmless where they exist.
///
/// `nat` translates what guests send to anywhere but other guests.  The source needs no check here:
/// nothing comes as far with a source that is not booked.
///
/// `closed` are the networks that guests do not reach.  What they answer is theirs to send: somebody there asked.
///
/// `divided` is the uplink that a tree divides.  What passes it gets the class of its tap, and the mark
/// by which it finds the tree; a tap without a class gets neither.  The operator's half of the mark stays.
pub fn base_script(prefix: &Prefix, nat: bool, closed: &Closed, divided: Option<&str>) -> String {
    let table = prefix.as_str();
    let taps = prefix.every_tap();
    let mut script = String::new();
    for family in ["inet", "arp"] {
        let _ = writeln!(script, "add table {family} {table}");
    }
    for (family, map) in MAPS {
        let _ = writeln!(script, "add map {family} {table} {map} {{ type ifname : verdict; }}");
    }
    let _ = writeln!(script, "add map inet {table} classes {{ type ifname : classid; }}");
    if divided.is_none() {
        let _ = writeln!(script, "flush map inet {table} classes");
    }
    let mark = tree::major(prefix);
    let classify = divided.map(|uplink| {
        let then = |side| {
            format!(
                "meta priority set {side} map @classes meta mark set meta mark and 0xffff or {mark:#x}0000"
            )
        };
        [
            format!("oifname \"{uplink}\" iifname TAPS {}", then("iifname")),
            format!("iifname \"{uplink}\" oifname TAPS {}", then("oifname")),
        ]
    });
    let classify: Vec<&str> = classify.iter().flatten().map(String::as_str).collect();
    // Names, hooks and rules of the base chains.  "raw" comes before connection tracking, so that
    // what is spoofed leaves no trace there.
    let chains: [(&str, &str, &str, &[&str]); 7] = [
        ("arp", "input", "filter hook input priority filter", &["iifname TAPS jump from_guest"]),
        ("inet", "prerouting", "filter hook prerouting priority raw", &["iifname TAPS jump from_guest"]),
        ("inet", "input", "filter hook input priority filter", &["iifname TAPS jump to_host"]),
        (
            "inet",
            "forward_outbound",
            "filter hook forward priority filter",
            &["iifname TAPS jump leaving_guest"],
        ),
        (
            "inet",
            "forward_inbound",
            "filter hook forward priority filter + 1",
            &["oifname TAPS jump entering_guest"],
        ),
        // A device's name is all that is asked for, so it does not matter whether addresses are translated
        // before or after it.
        ("inet", "classify", "filter hook postrouting priority mangle", &classify),
        (
            "inet",
            "postrouting",
            "nat hook postrouting priority srcnat",
            if nat { &["iifname TAPS oifname != TAPS masquerade"] } else { &[] },
        ),
    ];
    let leaving = closed.conditions().into_iter();
    let mut leaving: Vec<String> =
        leaving.map(|networks| format!("oifname != TAPS {networks} jump elsewhere")).collect();
    leaving.extend(["iifname vmap @outbound", "drop"].map(str::to_owned));
    let leaving: Vec<&str> = leaving.iter().map(String::as_str).collect();
    let jumped_to: [(&str, &str, &[&str]); 6] = [
        ("arp", "from_guest", &["iifname vmap @antispoof", "drop"]),
        ("inet", "from_guest", &["iifname vmap @antispoof", "drop"]),
        (
            "inet",
            "to_host",
            &[
                "ct state established,related accept",
                "icmp type echo-request accept",
                "icmpv6 type { echo-request, nd-neighbor-solicit, nd-neighbor-advert } accept",
                "drop",
            ],
        ),
        // What belongs to no connection has no direction.
        (
            "inet",
            "elsewhere",
            &["ct direction reply iifname vmap @outbound", "iifname vmap @elsewhere", "drop"],
        ),
        ("inet", "leaving_guest", &leaving),
        ("inet", "entering_guest", &["oifname vmap @inbound", "drop"]),
    ];
    for (family, chain, _) in &jumped_to {
        let _ = writeln!(script, "add chain {family} {table} {chain}\nflush chain {family} {table} {chain}");
    }
    for (family, chain, hook, _) in &chains {
        let _ = writeln!(
            script,
            "add chain {family} {table} {chain} {{ type {hook}; policy accept; }}\nflush chain {family} {table} {chain}"
        );
    }
    let all = chains.iter().map(|(family, chain, _, rules)| (family, chain, rules));
    for (family, chain, rules) in
        all.chain(jumped_to.iter().map(|(family, chain, rules)| (family, chain, rules)))
    {
        for rule in *rules {
            let rule = rule.replace("TAPS", &format!("\"{taps}\""));
            let _ = writeln!(script, "add rule {family} {table} {chain} {rule}");
        }
    }
    script
}

/// The rules of the ports of one instance, to be run after [`base_script`] in one transaction.
///
/// `class` is the instance's, and `known` what the map of classes says now.
pub fn attach_script(
    prefix: &Prefix,
    ports: &[Port],
    firewall: &Firewall,
    class: Option<Slot>,
    known: &Slots,
) -> String {
    let table = prefix.as_str();
    let mut script = String::new();
    if let Some(class) = class {
        for port in ports.iter().filter(|port| known.get(&port.tap) != Some(&class)) {
            let Port { tap, .. } = port;
            forget_class(&mut script, prefix, tap, known);
            let class = class.text(prefix);
            let _ = writeln!(script, "add element inet {table} classes {{ \"{tap}\" : {class} }}");
        }
    }
    for port in ports {
        for (family, map) in MAPS {
            let chain = chain_name(map, &port.tap);
            let rules = match (family, map) {
                ("arp", _) => rules::antispoof_arp(port),
                (_, "antispoof") => rules::antispoof(port),
                (_, "outbound") => rules::outbound(firewall),
                (_, "elsewhere") => rules::elsewhere(port, &chain_name("outbound", &port.tap)),
                _ => rules::inbound(firewall),
            };
            let _ =
                writeln!(script, "add chain {family} {table} {chain}\nflush chain {family} {table} {chain}");
            for rule in rules {
                let _ = writeln!(script, "add rule {family} {table} {chain} {rule}");
            }
            let _ =
                writeln!(script, "add element {family} {table} {map} {{ \"{}\" : jump {chain} }}", port.tap);
        }
    }
    script
}

/// Nothing where the map does not know the tap: nftables refuses to delete what does not exist.
fn forget_class(script: &mut String, prefix: &Prefix, tap: &str, known: &Slots) {
    if known.contains_key(tap) {
        let _ = writeln!(script, "delete element inet {} classes {{ \"{tap}\" }}", prefix.as_str());
    }
}

/// Removes the rules of these taps.  What is absent is added first, because nftables refuses to
/// delete what does not exist, and an unconditional transaction has no race.
pub fn detach_script(prefix: &Prefix, taps: &BTreeSet<String>, known: &Slots) -> String {
    let table = prefix.as_str();
    let mut script = String::new();
    for tap in taps {
        forget_class(&mut script, prefix, tap, known);
        // The other way round: a chain that another jumps to cannot go.
        for (family, map) in MAPS.into_iter().rev() {
            let chain = chain_name(map, tap);
            let _ = writeln!(
                script,
                "add chain {family} {table} {chain}\n\
                 add element {family} {table} {map} {{ \"{tap}\" : jump {chain} }}\n\
                 delete element {family} {table} {map} {{ \"{tap}\" }}\n\
                 flush chain {family} {table} {chain}\n\
                 delete chain {family} {table} {chain}"
            );
        }
    }
    script
}

fn chain_name(map: &str, tap: &str) -> String {
    format!("{map}_{tap}")
}

/// The taps that every map has an entry for: those that are fully filtered.
pub async fn filtered(prefix: &Prefix) -> anyhow::Result<HashSet<String>> {
    let mut complete: Option<HashSet<String>> = None;
    for (family, map) in MAPS {
        let text = run("nft", &["-j", "list", "map", family, prefix.as_str(), map], "").await?;
        let taps = parse_map(&serde_json::from_str(&text)?);
        complete = Some(match complete {
            None => taps,
            Some(before) => before.intersection(&taps).cloned().collect(),
        });
    }
    Ok(complete.unwrap_or_default())
}

/// Packets that came through this tap from the guest's own addresses since its rules were written; absent
/// where an older agent wrote them, which did not count.
pub async fn packets(prefix: &Prefix, tap: &str) -> anyhow::Result<Option<u64>> {
    let mut packets = None;
    for family in ["arp", "inet"] {
        let chain = chain_name("antispoof", tap);
        let text = run("nft", &["-j", "list", "chain", family, prefix.as_str(), &chain], "").await?;
        if let Some(counted) = parse_packets(&serde_json::from_str(&text)?) {
            packets = Some(packets.unwrap_or(0) + counted);
        }
    }
    Ok(packets)
}

fn parse_packets(answer: &Value) -> Option<u64> {
    let objects = answer["nftables"].as_array().into_iter().flatten();
    let parts = objects.filter_map(|object| object["rule"]["expr"].as_array()).flatten();
    parts.filter_map(|part| part["counter"]["packets"].as_u64()).reduce(|one, other| one + other)
}

fn parse_map(answer: &Value) -> HashSet<String> {
    let objects = answer["nftables"].as_array().into_iter().flatten();
    let elements = objects.filter_map(|object| object["map"]["elem"].as_array()).flatten();
    elements.filter_map(|element| element[0].as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_base_chain_drops_what_no_instance_claims() {
        let script = base_script(&Prefix::new("jst").unwrap(), true, &Closed::default(), None);
        for chain in ["from_guest", "to_host", "elsewhere", "leaving_guest", "entering_guest"] {
            let rules: Vec<_> = script
                .lines()
                .filter(|line| line.starts_with(&format!("add rule inet jst {chain} ")))
                .collect();
            assert!(rules.last().unwrap().ends_with(" drop"), "{rules:?}");
        }
        assert!(
            script.contains(
                "add rule inet jst postrouting iifname \"jst-t*\" oifname != \"jst-t*\" masquerade\n"
            )
        );
        assert!(
            !base_script(&Prefix::new("jst").unwrap(), false, &Closed::default(), None)
                .contains("masquerade")
        );
    }

    #[test]
    fn counters_are_read_from_json() {
        let rule = |expr: Value| serde_json::json!({ "rule": { "chain": "antispoof_jstta", "expr": expr } });
        let counter = |packets| serde_json::json!([{ "counter": { "packets": packets, "bytes": 1 } }, { "accept": null }]);
        let answer = |rules: &[Value]| serde_json::json!({ "nftables": ([&[serde_json::json!({ "metainfo": {} })], rules].concat()) });
        let plain = rule(serde_json::json!([{ "drop": null }]));
        assert_eq!(parse_packets(&answer(&[rule(counter(3)), plain.clone(), rule(counter(4))])), Some(7));
        assert_eq!(parse_packets(&answer(&[plain])), None);
    }

    #[test]
    fn maps_are_read_from_json() {
        let answer = serde_json::json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"map": {"name": "inbound", "elem": [["jstta", {"jump": {"target": "inbound_jstta"}}]]}}
        ]});
        assert_eq!(parse_map(&answer), HashSet::from(["jstta".to_owned()]));
        assert!(parse_map(&serde_json::json!({"nftables": [{"map": {"name": "inbound"}}]})).is_empty());
    }
}
