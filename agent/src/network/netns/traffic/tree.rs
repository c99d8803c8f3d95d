//! The trees as such: who passes them, what is read back, and what comes back after somebody's hand.

use super::flows::{Load, Way, rates};
use super::*;
use crate::network::tree::{devices, major};
use crate::network::{Prefix, tree};

const LINK: KbitPerSec = KbitPerSec(50_000);

fn claimed() -> NetworkPolicy {
    let limits =
        serde_json::json!({"reservation": 5_000, "average": 20_000, "peak": 40_000, "shares": "high"});
    serde_json::from_value(serde_json::json!({"inbound": limits, "outbound": limits})).unwrap()
}

fn prefix() -> Prefix {
    Prefix::new("jst").unwrap()
}

/// Bytes that went through a tree.
fn passed(lab: &Lab, device: &str) -> u64 {
    let said = lab.host.command("tc", &["-s", "-j", "qdisc", "show", "dev", device, "root"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    said[0]["bytes"].as_u64().unwrap()
}

fn drift(lab: &Lab, last: u8, wanted: &NetworkPolicy) -> Vec<String> {
    lab.host.run(async |_| lab.network.read_back(Uuid::from_u128(last.into()), wanted).await.unwrap()).drift
}

#[test]
fn only_what_passes_the_uplink_passes_a_tree() {
    let lab = Lab::divided(true, Some(LINK));
    let one = lab.guest(5, &claimed(), &Firewall::default());
    let two = lab.guest(6, &NetworkPolicy::default(), &Firewall::default());
    let [up, down] = devices(&prefix());
    let begin = [&up, &down].map(|device| passed(&lab, device));
    let ping =
        |space: &Space, address| space.command("ping", &["-c", "5", "-i", "0.01", "-s", "1000", address]);
    // To a neighbour, to the host and from it, and from the host to the world.
    ping(&one.space, "10.60.0.6");
    ping(&two.space, "169.254.0.1");
    ping(&lab.host, "10.60.0.5");
    ping(&lab.host, WORLD);
    assert_eq!(begin, [&up, &down].map(|device| passed(&lab, device)));
    // Translated, and by IPv6.
    ping(&one.space, WORLD);
    assert_eq!([&up, &down].map(|device| passed(&lab, device)), begin.map(|bytes| bytes + 5 * 1042));
    let ipv6 = lab.world.try_command("ip", &["route", "add", "2001:db8::/64", "via", "2001:db8:1::2"]);
    assert!(ipv6.0, "{}", ipv6.1);
    ping(&two.space, "2001:db8:1::1");
    assert!(passed(&lab, &up) >= begin[0] + 5 * (1042 + 1062));
    assert!(passed(&lab, &down) >= begin[1] + 5 * (1042 + 1062));
}

#[test]
fn what_somebody_changed_is_seen_and_comes_back() {
    let lab = Lab::divided(false, Some(LINK));
    let wanted = claimed();
    let _guest = lab.guest(5, &wanted, &Firewall::default());
    assert_eq!(drift(&lab, 5, &wanted), Vec::<String>::new());
    let slots = lab.host.run(async |_| tree::slots(&prefix()).await.unwrap());
    let tap = lab.network.tap_name(Uuid::from_u128(5), 0);
    let class = slots[&tap].text(&prefix());
    let handle = format!("{:x}:", major(&prefix()));
    let [up, down] = devices(&prefix());
    let both = ["reservation", "shares"];
    let element = format!("{{ \"{tap}\" }}");
    let cases: Vec<(&str, Vec<&str>, &str, &[&str])> = vec![
        ("tc", vec!["class", "del", "dev", &up, "classid", &class], "outbound", &both),
        (
            "tc",
            vec![
                "class", "change", "dev", &down, "classid", &class, "htb", "rate", "1mbit", "burst", "16000",
            ],
            "inbound",
            &both,
        ),
        (
            "tc",
            vec!["qdisc", "replace", "dev", &down, "parent", &class, "pfifo", "limit", "5"],
            "inbound",
            &["shares"],
        ),
        ("tc", vec!["qdisc", "del", "dev", &up, "root"], "outbound", &both),
        ("tc", vec!["qdisc", "del", "dev", "up0", "clsact"], "outbound", &both),
        ("tc", vec!["filter", "del", "dev", &tap, "egress"], "inbound", &both),
        ("ip", vec!["link", "del", "dev", &down], "inbound", &both),
        ("ip", vec!["link", "del", "dev", &up], "outbound", &both),
        ("nft", vec!["delete", "element", "inet", "jst", "classes", &element], "inbound", &both),
        ("nft", vec!["flush", "chain", "inet", "jst", "classify"], "inbound", &both),
        (
            "tc",
            vec![
                "class", "change", "dev", &up, "parent", &handle, "classid", "WHOLE", "htb", "rate", "1mbit",
            ],
            "outbound",
            &both,
        ),
    ];
    for (program, arguments, way, fields) in cases {
        let whole = format!("{handle}1");
        let arguments: Vec<&str> = arguments
            .iter()
            .map(|argument| if *argument == "WHOLE" { whole.as_str() } else { argument })
            .collect();
        lab.host.command(program, &arguments);
        let found = drift(&lab, 5, &wanted);
        for field in fields {
            assert!(found.contains(&format!("network.{way}.{field}")), "{program} {arguments:?}: {found:?}");
        }
        lab.attach(5, &wanted, &Firewall::default());
        assert_eq!(drift(&lab, 5, &wanted), Vec::<String>::new(), "{program} {arguments:?}");
    }
    // The handles are as before, so what is sent still finds its class.
    assert!(lab.host.command("tc", &["qdisc", "show", "dev", &up]).contains(&format!("htb {handle}")));
}

#[test]
fn a_class_changes_live_and_keeps_what_it_has_queued() {
    let lab = Lab::divided(false, Some(LINK));
    let unlimited = NetworkPolicy::default();
    let guest = lab.guest(5, &unlimited, &Firewall::default());
    let [_, down] = devices(&prefix());
    // A leaf that is made anew has another handle, and nothing in it.
    let leaf = || {
        let said = lab.host.command("tc", &["-s", "-j", "qdisc", "show", "dev", &down]);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let leaf = said.as_array().unwrap().iter().find(|qdisc| qdisc["root"] != true).unwrap().clone();
        (leaf["handle"].clone(), leaf["backlog"].as_u64().unwrap())
    };
    let loads = [Load::connections(&lab, &guest, 5, Way::ToGuest, 4)];
    rates(&loads, Duration::from_millis(700));
    let before = leaf();
    let shares =
        |shares: u32| serde_json::from_value(serde_json::json!({"inbound": {"shares": shares}})).unwrap();
    for number in [60, 70, 80] {
        lab.attach(5, &shares(number), &Firewall::default());
        assert_eq!(drift(&lab, 5, &shares(number)), Vec::<String>::new());
    }
    let after = leaf();
    assert_eq!(before.0, after.0, "the queue was made anew");
    assert!(before.1 > 0 && after.1 > 0, "nothing was queued: {before:?}, {after:?}");
    let rate = rates(&loads, Duration::from_secs(1))[0];
    // That it goes on is what is asked here; within a second TCP's own lumps show.
    assert!((25.0..55.0).contains(&rate), "{rate:.2} Mbit/s after the changes");
    // More shares than a turn can hold are not told to be in force.
    lab.attach(5, &shares(900_000), &Firewall::default());
    assert_eq!(drift(&lab, 5, &shares(900_000)), ["network.inbound.shares"]);
}

#[test]
fn a_host_whose_uplink_is_withdrawn_or_changes_follows() {
    let lab = Lab::divided(false, Some(LINK));
    let wanted = claimed();
    let _guest = lab.guest(5, &wanted, &Firewall::default());
    let tree = |lab: &Lab| lab.host.command("tc", &["class", "show", "dev", &devices(&prefix())[0]]);
    assert!(tree(&lab).contains("rate 50Mbit"));
    let reopened = |uplink_kbit| {
        let settings = NetworkSettings { uplink_kbit, ..crate::network::netns::settings() };
        lab.host.run(async |_| {
            assert!(!lab.network.is_of(&settings).await.unwrap());
            Network::open(settings).await.unwrap()
        })
    };
    let attach = |network: &Network| {
        let id = Uuid::from_u128(5);
        lab.host.run(async |_| {
            network.attach(id, &[interface(0, 5)], &wanted, &Firewall::default()).await.unwrap();
            network.read_back(id, &wanted).await.unwrap().drift
        })
    };
    let network = reopened(Some(KbitPerSec(60_000)));
    assert_eq!(attach(&network), Vec::<String>::new());
    assert!(tree(&lab).contains("rate 60Mbit") && !tree(&lab).contains("50Mbit"));

    let network = reopened(None);
    let (present, absent) = network.capabilities();
    assert!(!present.contains(&"network_shares".to_owned()));
    assert!(
        absent.iter().any(|one| one.capability == "network_shares" && one.reason.contains("uplink_kbit"))
    );
    assert_eq!(attach(&network).len(), 4, "reservation and shares both ways");
    assert!(!lab.host.command("ip", &["-br", "link"]).contains("jst-up"));
    assert!(lab.host.command("tc", &["filter", "show", "dev", "up0", "egress"]).is_empty());
    lab.host.await_answer("10.60.0.5");
}

#[test]
fn a_thousand_neighbours_make_no_difference() {
    let lab = Lab::divided(false, Some(LINK));
    let wanted = claimed();
    let _guest = lab.guest(5, &wanted, &Firewall::default());
    let (mut classes, mut elements) = (String::new(), String::new());
    let handle = major(&prefix());
    let own = lab.host.run(async |_| tree::slots(&prefix()).await.unwrap()).into_values().next().unwrap();
    for number in 1..=1000 {
        let id = format!("{handle:x}:{:x}", number * 16);
        if id == own.text(&prefix()) {
            continue;
        }
        for device in devices(&prefix()) {
            classes += &format!(
                "class add dev {device} parent {handle:x}:1 classid {id} htb rate 8kbit ceil 50mbit quantum 72000\n\
                 qdisc add dev {device} parent {id} bfifo limit 100000\n"
            );
        }
        elements += &format!("add element inet jst classes {{ \"jst-tx{number}\" : {id} }}\n");
    }
    let script = |name: &str, text: &str| {
        let path = std::env::temp_dir().join(format!("jst-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    };
    let (classes, elements) = (script("classes", &classes), script("elements", &elements));
    lab.host.command("tc", &["-batch", classes.to_str().unwrap()]);
    lab.host.command("nft", &["-f", elements.to_str().unwrap()]);
    let timed = |work: &dyn Fn()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let attach = timed(&|| lab.attach(6, &wanted, &Firewall::default()));
    let again = timed(&|| lab.attach(6, &wanted, &Firewall::default()));
    let look = timed(&|| assert_eq!(drift(&lab, 6, &wanted), Vec::<String>::new()));
    let detach = timed(&|| lab.host.run(async |_| lab.network.detach(Uuid::from_u128(6)).await.unwrap()));
    println!("attach {attach:?}, again {again:?}, read back {look:?}, detach {detach:?}");
    assert!(attach + detach < Duration::from_secs(2), "attach {attach:?}, detach {detach:?}");
    for path in [classes, elements] {
        std::fs::remove_file(path).unwrap();
    }
}
