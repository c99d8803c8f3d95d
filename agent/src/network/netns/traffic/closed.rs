//! What guests of a NAT host reach, and what they do not: the world has public addresses, private ones, and those
//! of the link that it shares with the host.

use super::*;
use jst_protocol::desired::Interface;

const PUBLIC: &str = "198.51.100.1";
const PRIVATE: [&str; 4] = ["10.9.0.1", "172.20.0.1", "192.168.7.1", "100.64.0.1"];
const METADATA: [&str; 2] = ["169.254.169.254", "100.100.100.200"];
const NAMESERVER: &str = "10.0.0.53";
const PUBLIC_V6: &str = "2a00::1";
const PRIVATE_V6: [&str; 3] = ["fd00::1", "fd00:ec2::254", "64:ff9b::a09:1"];

fn lab(nat: bool, guests_may_reach: &[&str]) -> Lab {
    let lab = Lab::open(nat, None, guests_may_reach.iter().map(|network| network.parse().unwrap()).collect());
    lab.host.command("ip", &["-6", "route", "add", "default", "via", "2001:db8:1::1"]);
    for address in [PUBLIC, NAMESERVER].iter().chain(&PRIVATE).chain(&METADATA) {
        lab.world.command("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"]);
    }
    for address in [PUBLIC_V6].iter().chain(&PRIVATE_V6) {
        lab.world.command("ip", &["address", "add", &format!("{address}/128"), "dev", "lo", "nodad"]);
    }
    // The host would send these to its own link otherwise.
    lab.host.command("ip", &["route", "add", "169.254.169.254/32", "via", WORLD]);
    lab
}

/// A guest whose interface names a nameserver in a private network.
fn guest(lab: &Lab, last: u8) -> Guest {
    let interface = Interface { nameservers: vec![NAMESERVER.parse().unwrap()], ..interface(0, last) };
    let id = Uuid::from_u128(last.into());
    lab.host.run(async |_| {
        let (policy, firewall) = (NetworkPolicy::default(), Firewall::default());
        lab.network.attach(id, std::slice::from_ref(&interface), &policy, &firewall).await.unwrap();
    });
    Guest::start(&lab.host, &lab.network.tap_name(id, 0), &interface)
}

fn reaches(lab: &Lab, guest: &Guest, address: &str, port: u16) -> bool {
    connect(&guest.space, &lab.world, address, port).is_some()
}

#[test]
fn guests_behind_nat_do_not_reach_the_operators_networks() {
    let lab = lab(true, &[]);
    let (one, two) = (guest(&lab, 5), guest(&lab, 6));
    assert!(reaches(&lab, &one, PUBLIC, 80) && reaches(&lab, &one, PUBLIC_V6, 80));
    let closed = PRIVATE.iter().chain(&METADATA).chain(&PRIVATE_V6);
    for address in closed.chain(&[WORLD, "2001:db8:1::1"]) {
        assert!(!reaches(&lab, &one, address, 80), "{address}");
    }
    // Guests of the host keep reaching each other, at private addresses or not.
    assert!(connect(&one.space, &two.space, "10.60.0.6", 80).is_some());
    assert!(connect(&two.space, &one.space, "2001:db8::5", 80).is_some());
    // Nameservers answer questions, and nothing else of theirs is open.
    assert!(reaches(&lab, &one, NAMESERVER, 53) && reaches(&lab, &one, NAMESERVER, 853));
    assert!(!reaches(&lab, &one, NAMESERVER, 22));
}

#[test]
fn who_asks_a_guest_from_a_private_network_is_answered() {
    let lab = lab(true, &[]);
    let guest = guest(&lab, 5);
    lab.world.command("ip", &["route", "add", "10.60.0.0/24", "via", HOST, "src", PRIVATE[0]]);
    assert_eq!(connect(&lab.world, &guest.space, "10.60.0.5", 80), Some(PRIVATE[0].parse().unwrap()));
    // The way there opens no way back.
    assert!(!reaches(&lab, &guest, PRIVATE[0], 80));
}

#[test]
fn the_operator_says_what_guests_may_reach() {
    let lab = lab(true, &["10.9.0.0/16", "fd00::/16"]);
    let guest = guest(&lab, 5);
    assert!(reaches(&lab, &guest, "10.9.0.1", 80) && reaches(&lab, &guest, "fd00::1", 80));
    for address in ["172.20.0.1", WORLD, "169.254.169.254"] {
        assert!(!reaches(&lab, &guest, address, 80), "{address}");
    }
}

#[test]
fn what_the_operator_lists_changes_with_the_settings() {
    let lab = lab(true, &[]);
    let guest = guest(&lab, 5);
    assert!(!reaches(&lab, &guest, "10.9.0.1", 80));
    let guests_may_reach = vec!["10.9.0.0/16".parse().unwrap()];
    let settings = NetworkSettings { nat: true, guests_may_reach, ..super::super::settings() };
    lab.host.run(async |_| {
        assert!(!lab.network.is_of(&settings).await.unwrap());
        Network::open(settings.clone()).await.unwrap();
    });
    assert!(reaches(&lab, &guest, "10.9.0.1", 80), "for guests that run already");
}

#[test]
fn routed_guests_do_not_reach_metadata_services() {
    let lab = lab(false, &[]);
    let guest = guest(&lab, 5);
    lab.world.command("ip", &["route", "replace", "10.60.0.0/24", "via", HOST]);
    lab.world.command("ip", &["-6", "route", "replace", "2001:db8::/64", "via", "2001:db8:1::2"]);
    assert!(reaches(&lab, &guest, PRIVATE[0], 80) && reaches(&lab, &guest, "fd00::1", 80));
    for address in METADATA.iter().chain(&["fd00:ec2::254"]) {
        assert!(!reaches(&lab, &guest, address, 80), "{address}");
    }
}
