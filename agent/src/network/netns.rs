//! Tests against the real kernel, in network namespaces that they make and that end with them.
//!
//! They need root, and fail without it: a skipped test would look like a passed one.

mod guest;
mod space;
mod traffic;

use super::*;
use jst_protocol::desired::Interface;
use space::Space;

fn settings() -> NetworkSettings {
    NetworkSettings { sysfs_root: "/nowhere".into(), ..NetworkSettings::default() }
}

fn interface(index: u32, last: u8) -> Interface {
    Interface {
        index,
        mac: format!("52:54:00:00:00:{last:02x}"),
        addresses: vec![
            format!("10.60.0.{last}/32").parse().unwrap(),
            format!("2001:db8::{last:x}/128").parse().unwrap(),
        ],
        nameservers: vec![],
    }
}

fn policy(inbound_kbit: u64, outbound_kbit: u64) -> NetworkPolicy {
    let json =
        serde_json::json!({"inbound": {"average": inbound_kbit}, "outbound": {"average": outbound_kbit}});
    serde_json::from_value(json).unwrap()
}

/// Everything of the namespace that an instance could leave behind.
fn leftovers(host: &Space) -> String {
    [
        ("ip", &["-br", "link"][..]),
        ("ip", &["route", "show", "table", "all"]),
        ("ip", &["-6", "route", "show", "table", "all"]),
        ("ip", &["neighbour", "show", "nud", "all"]),
        ("ip", &["neighbour", "show", "proxy"]),
        ("tc", &["qdisc", "show"]),
        ("tc", &["filter", "show", "dev", "up0", "egress"]),
        ("tc", &["class", "show", "dev", "jst-up"]),
        ("tc", &["class", "show", "dev", "jst-down"]),
        ("nft", &["list", "ruleset"]),
    ]
    .map(|(program, arguments)| host.command(program, arguments))
    .join("\n")
}

fn odd_policy(number: u64) -> NetworkPolicy {
    let limits = |reservation: u64, average: u64, peak: u64| {
        serde_json::json!({ "reservation": number * reservation, "average": number * average,
            "peak": number * peak, "shares": "high" })
    };
    let json = serde_json::json!({ "inbound": limits(1237, 1531, 3701), "outbound": limits(7, 11, 13) });
    serde_json::from_value(json).unwrap()
}

#[test]
fn what_is_attached_is_detached_without_a_trace() {
    let host = Space::new();
    host.command("ip", &["link", "add", "up0", "type", "veth", "peer", "name", "up1"]);
    host.command("ip", &["link", "set", "up0", "up"]);
    host.run(async |host| {
        let settings = NetworkSettings {
            uplink: Some("up0".into()),
            uplink_kbit: Some(KbitPerSec::from_mbit(100)),
            ..settings()
        };
        let network = Network::open(settings.clone()).await.unwrap();
        let clean = leftovers(host);
        let [one, two] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let interfaces = [interface(0, 5), interface(1, 6)];
        let limited = policy(10_000, 20_000);
        let open = Firewall::default();

        network.attach(one, &interfaces, &limited, &open).await.unwrap();
        network.attach(two, &[interface(0, 7)], &NetworkPolicy::default(), &open).await.unwrap();
        let once = leftovers(host);
        network.attach(one, &interfaces, &limited, &open).await.unwrap();
        // A restarted agent takes over what it finds.
        let network = Network::open(settings).await.unwrap();
        network.attach(two, &[interface(0, 7)], &NetworkPolicy::default(), &open).await.unwrap();
        assert_eq!(leftovers(host), once, "a second attach changes nothing");
        assert_eq!(network.attached().await.unwrap(), [one, two]);
        let back = network.read_back(one, &limited).await.unwrap();
        assert_eq!((back.policy, back.drift), (limited.clone(), vec![]));
        // Figures that are no round numbers of anything are in force as well as others.
        for number in 1..=20 {
            let odd = odd_policy(number);
            network.attach(two, &[interface(0, 7)], &odd, &open).await.unwrap();
            let back = network.read_back(two, &odd).await.unwrap();
            assert_eq!((back.policy, back.drift), (odd, vec![]));
        }

        // Fewer interfaces, other addresses, no limits: what is no longer wanted goes.
        network.attach(two, &[interface(0, 8)], &limited, &open).await.unwrap();
        network.attach(two, &[interface(0, 7)], &NetworkPolicy::default(), &open).await.unwrap();
        network.attach(one, &interfaces[..1], &limited, &open).await.unwrap();
        assert!(!leftovers(host).contains("10.60.0.8") && !leftovers(host).contains("10.60.0.6"));

        network.detach(one).await.unwrap();
        network.detach(one).await.unwrap();
        assert_eq!(network.attached().await.unwrap(), [two]);
        assert_eq!(network.counters(one).await.unwrap(), NetworkCounters::default());
        assert!(network.read_back(one, &limited).await.is_err());
        network.detach(two).await.unwrap();
        assert_eq!(leftovers(host), clean);
    });
}
