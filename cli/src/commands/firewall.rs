//! The firewall: rules as people write them, and the API's form of them.

use crate::arguments::FirewallChange;
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::model::{Firewall, Instance, Rule};
use crate::output::{Facts, print, print_json};
use crate::resolve;
use crate::words::texts;
use serde::Deserialize;
use serde_json::value::RawValue;

pub async fn firewall(context: &Context, change: FirewallChange) -> Result<()> {
    // Mistakes in rules are found before anything is asked.
    let inbound = direction(&change.inbound, change.in_open, change.in_closed)?;
    let outbound = direction(&change.outbound, change.out_open, change.out_closed)?;
    let api = context.api()?;
    let instance = resolve::instance(&api, &change.change.instance.name).await?;
    if inbound.is_none() && outbound.is_none() {
        if context.json {
            // The part of the answer that was asked for, as it came.
            let answer = api.get(&["instances", &instance.id], &[]).await?;
            print_json(answer.read::<Part>()?.firewall.get());
        } else {
            print(&shown(context, &instance));
        }
        return Ok(());
    }
    // The API replaces both directions at once; one that was not named stays as it is.
    let firewall = Firewall {
        inbound: inbound.unwrap_or_else(|| instance.firewall.inbound.clone()),
        outbound: outbound.unwrap_or_else(|| instance.firewall.outbound.clone()),
        blocked_outbound_tcp: Vec::new(),
    };
    let body = serde_json::json!(firewall);
    let answer = api.put(&["instances", &instance.id, "firewall"], body).await?;
    context.follow(&api, &instance.name, answer, &change.change.waiting).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Part {
    firewall: Box<RawValue>,
}

/// What one direction becomes; nothing when it stays.  The inner `None` lets everything pass.
fn direction(rules: &[String], open: bool, closed: bool) -> Result<Option<Option<Vec<Rule>>>> {
    match (open, closed, rules) {
        (true, ..) => Ok(Some(None)),
        (_, true, _) => Ok(Some(Some(Vec::new()))),
        (_, _, []) => Ok(None),
        _ => Ok(Some(Some(rules.iter().map(|rule| parse(rule)).collect::<Result<_>>()?))),
    }
}

/// `tcp:8000-8100@203.0.113.0/24,2001:db8::/32`.  What the parts may be, the server knows.
fn parse(text: &str) -> Result<Rule> {
    // The peers first: their addresses have colons of their own.
    let (rest, peers) = match text.split_once('@') {
        Some((rest, peers)) => (rest, peers.split([',', '，']).map(|peer| peer.trim().to_owned()).collect()),
        None => (text, Vec::new()),
    };
    let (protocol, ports) = match rest.split_once(':') {
        Some((protocol, ports)) => (protocol, Some(ports.to_owned())),
        None => (rest, None),
    };
    let good = !protocol.is_empty()
        && protocol.bytes().all(|c| c.is_ascii_alphabetic())
        && ports.as_ref().is_none_or(|ports| !ports.is_empty())
        && peers.iter().all(|peer: &String| !peer.is_empty());
    if !good {
        return Err(Failure::usage(texts::BAD_RULE).with("rule", text));
    }
    Ok(Rule { protocol: protocol.to_lowercase(), ports, peers })
}

/// The same form as is typed.
fn rule_text(rule: &Rule) -> String {
    let ports = rule.ports.as_ref().map(|ports| format!(":{ports}")).unwrap_or_default();
    let peers = if rule.peers.is_empty() { String::new() } else { format!("@{}", rule.peers.join(",")) };
    format!("{}{ports}{peers}", rule.protocol)
}

fn shown(context: &Context, instance: &Instance) -> String {
    let words = |rules: &Option<Vec<Rule>>| match rules.as_deref() {
        None => vec![context.text(texts::ALL_OPEN).to_owned()],
        Some([]) => vec![context.text(texts::ALL_CLOSED).to_owned()],
        Some(rules) => rules.iter().map(rule_text).collect(),
    };
    let firewall = &instance.firewall;
    let mut facts = Facts::new();
    for (name, rules) in [(texts::INBOUND, &firewall.inbound), (texts::OUTBOUND, &firewall.outbound)] {
        for rule in words(rules) {
            facts.add(context.text(name), rule);
        }
    }
    let blocked: Vec<String> = firewall.blocked_outbound_tcp.iter().map(u16::to_string).collect();
    facts.add(context.text(texts::BLOCKED), blocked.join(" "));
    facts.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_are_read_and_shown_in_the_same_form() {
        for text in ["tcp:22", "any", "icmp@2001:db8::1", "udp:8000-8100@203.0.113.0/24,2001:db8::/32"] {
            assert_eq!(rule_text(&parse(text).unwrap()), text);
        }
        for bad in ["", ":22", "tcp:", "tcp:22@", "tcp:22@a,,b", "tcp:22@a，", "22"] {
            assert!(matches!(parse(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_direction_stays_opens_or_closes() {
        assert_eq!(direction(&[], false, false).unwrap(), None);
        assert_eq!(direction(&[], true, false).unwrap(), Some(None));
        assert_eq!(direction(&[], false, true).unwrap(), Some(Some(Vec::new())));
        let firewall = Firewall {
            inbound: direction(&["tcp:22".into()], false, false).unwrap().unwrap(),
            outbound: None,
            blocked_outbound_tcp: vec![25],
        };
        let body =
            json!({ "inbound": [{ "protocol": "tcp", "ports": "22", "peers": [] }], "outbound": null });
        assert_eq!(json!(firewall), body);
    }
}
