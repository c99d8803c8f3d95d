//! Filters and shaping, proven with packets.
//!
//! ```text
//! world [192.0.2.1] --veth-- [192.0.2.2] host [tap] --frames-- guest [10.60.0.x]
//! ```

use super::guest::Guest;
use super::space::Space;
use super::{interface, policy};
use crate::network::{Network, NetworkSettings};
use ipnet::IpNet;
use jst_policy::instance::NetworkPolicy;
use jst_policy::units::KbitPerSec;
use jst_protocol::desired::{Firewall, FirewallProtocol, FirewallRule};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use uuid::Uuid;

const WORLD: &str = "192.0.2.1";
const HOST: &str = "192.0.2.2";

struct Lab {
    world: Space,
    host: Space,
    network: Network,
}

impl Lab {
    /// `nat`: the world knows no way back to the guests.  Otherwise it believes them to be on its
    /// own link, so the host has to answer for them.
    fn new(nat: bool) -> Self {
        Self::divided(nat, None)
    }

    /// With an uplink that is divided by reservations and shares.
    fn divided(nat: bool, uplink_kbit: Option<KbitPerSec>) -> Self {
        // The world is on the host's own link.
        let world = ["192.0.2.0/24", "2001:db8:1::/64"].map(|network| network.parse().unwrap());
        Self::open(nat, uplink_kbit, world.to_vec())
    }

    fn open(nat: bool, uplink_kbit: Option<KbitPerSec>, guests_may_reach: Vec<IpNet>) -> Self {
        let [world, host] = [Space::new(), Space::new()];
        host.command("ip", &["link", "add", "up0", "type", "veth", "peer", "name", "wan0"]);
        host.command("ip", &["link", "set", "wan0", "netns", &world.thread_id.to_string()]);
        for (space, device, addresses) in [
            (&host, "up0", ["192.0.2.2/24", "2001:db8:1::2/64"]),
            (&world, "wan0", ["192.0.2.1/24", "2001:db8:1::1/64"]),
        ] {
            space.command("ip", &["address", "add", addresses[0], "dev", device]);
            space.command("ip", &["address", "add", addresses[1], "dev", device, "nodad"]);
            space.command("ip", &["link", "set", device, "up"]);
        }
        host.command("ip", &["route", "add", "default", "via", WORLD]);
        host.await_answer(WORLD);
        host.await_answer("2001:db8:1::1");
        if !nat {
            world.command("ip", &["route", "add", "10.60.0.0/24", "dev", "wan0"]);
            world.command("ip", &["route", "add", "2001:db8::/64", "dev", "wan0"]);
        }
        let settings = NetworkSettings { nat, uplink_kbit, guests_may_reach, ..super::settings() };
        let network = host.run(async |_| Network::open(settings).await.unwrap());
        assert_eq!(network.uplink().device.as_deref(), Some("up0"));
        Self { world, host, network }
    }

    fn attach(&self, last: u8, policy: &NetworkPolicy, firewall: &Firewall) {
        let id = Uuid::from_u128(last.into());
        self.host.run(async |_| {
            self.network.attach(id, &[interface(0, last)], policy, firewall).await.unwrap();
        });
    }

    fn guest(&self, last: u8, policy: &NetworkPolicy, firewall: &Firewall) -> Guest {
        self.attach(last, policy, firewall);
        let tap = self.network.tap_name(Uuid::from_u128(last.into()), 0);
        Guest::start(&self.host, &tap, &interface(0, last))
    }
}

/// A listener of the address's family.
fn listen(space: &Space, address: &str, port: u16) -> TcpListener {
    let wildcard = if address.contains(':') { "::" } else { "0.0.0.0" };
    patiently(|| space.enter(|| TcpListener::bind((wildcard, port))))
}

/// A port may be held for a moment: by the connection before, or by a program that another test is just starting and
/// that has not closed what it inherited.
fn patiently<T>(mut bind: impl FnMut() -> std::io::Result<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match bind() {
            Ok(socket) => return socket,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether `from` reaches a TCP port of `to` at `address`, and whom `to` then sees.
fn connect(from: &Space, to: &Space, address: &str, port: u16) -> Option<IpAddr> {
    let listener = listen(to, address, port);
    let target = SocketAddr::new(address.parse().unwrap(), port);
    let connection = from.enter(|| TcpStream::connect_timeout(&target, Duration::from_millis(400)));
    connection.ok().map(|_| listener.accept().unwrap().1.ip())
}

/// Whether a datagram with this source arrives in the world.
fn arrives(lab: &Lab, guest: &Guest, source: &str) -> bool {
    let wildcard = if source.contains(':') { "::" } else { "0.0.0.0" };
    let target = if source.contains(':') { "2001:db8:1::1" } else { WORLD };
    let receiver = patiently(|| lab.world.enter(|| UdpSocket::bind((wildcard, 5000))));
    receiver.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    let sender = guest.space.enter(|| UdpSocket::bind((source, 0))).unwrap();
    sender.send_to(b"who am I", (target, 5000)).unwrap();
    match receiver.recv_from(&mut [0; 64]) {
        Ok((_, from)) => from.ip() == source.parse::<IpAddr>().unwrap(),
        Err(_) => false,
    }
}

#[test]
fn only_booked_sources_leave_the_guest() {
    let lab = Lab::new(false);
    let guest = lab.guest(5, &NetworkPolicy::default(), &Firewall::default());
    assert!(arrives(&lab, &guest, "10.60.0.5"));
    assert!(arrives(&lab, &guest, "2001:db8::5"));

    guest.space.command("ip", &["address", "add", "10.60.0.6/32", "dev", "eth0"]);
    guest.space.command("ip", &["address", "add", "2001:db8::6/128", "dev", "eth0", "nodad"]);
    assert!(!arrives(&lab, &guest, "10.60.0.6"));
    assert!(!arrives(&lab, &guest, "2001:db8::6"));
    // The world's own view has not changed either.
    assert!(!lab.world.command("ip", &["neighbour", "show"]).contains("10.60.0.6"));

    guest.space.command("ip", &["link", "set", "eth0", "address", "52:54:00:00:00:06"]);
    guest
        .space
        .command("ip", &["route", "replace", "default", "via", "169.254.0.1", "dev", "eth0", "onlink"]);
    assert!(!arrives(&lab, &guest, "10.60.0.5"), "another hardware address");
}

#[test]
fn only_what_a_guest_sends_from_its_own_addresses_counts_as_a_sign_of_it() {
    let lab = Lab::new(false);
    let id = Uuid::from_u128(5);
    let count = || lab.host.run(async |_| lab.network.packets(id).await.unwrap()).unwrap();
    lab.attach(5, &NetworkPolicy::default(), &Firewall::default());
    assert_eq!(count(), 0);
    let guest = lab.guest(5, &NetworkPolicy::default(), &Firewall::default());
    assert!(arrives(&lab, &guest, "10.60.0.5"));
    assert!(count() > 0);

    // As a guest that has not read its seed: other addresses, and the link-local one that it makes itself.
    guest.space.command("ip", &["address", "flush", "dev", "eth0", "scope", "global"]);
    guest.space.command("ip", &["address", "add", "10.60.0.6/32", "dev", "eth0"]);
    let route = ["route", "replace", "default", "via", "169.254.0.1", "dev", "eth0", "onlink"];
    guest.space.command("ip", &route);
    std::thread::sleep(Duration::from_millis(300));
    let before = count();
    assert!(!arrives(&lab, &guest, "10.60.0.6"));
    guest.space.await_answer("fe80::1%eth0");
    assert_eq!(count(), before);
}

#[test]
fn the_filter_holds_behind_a_redirect_as_well() {
    let lab = Lab::new(false);
    let guest = lab.guest(5, &policy(50_000, 50_000), &Firewall::default());
    assert!(arrives(&lab, &guest, "10.60.0.5"));
    guest.space.command("ip", &["address", "add", "10.60.0.6/32", "dev", "eth0"]);
    assert!(!arrives(&lab, &guest, "10.60.0.6"));
}

#[test]
fn invented_neighbours_leave_no_trace_on_the_host() {
    let lab = Lab::new(false);
    let guest = lab.guest(5, &NetworkPolicy::default(), &Firewall::default());
    let tap = lab.network.tap_name(Uuid::from_u128(5), 0);
    let mac = [0x52, 0x54, 0, 0, 0, 5];
    let before = lab.host.command("ip", &["neighbour", "show", "nud", "all", "dev", &tap]);
    for sender in [[10, 60, 0, 5], [10, 60, 0, 77]] {
        // An ARP request for the gateway; a host learns its sender.
        let frame = [
            &[0xff; 6][..],
            &mac,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            &mac,
            &sender,
            &[0; 6],
            &[169, 254, 0, 1],
        ]
        .concat();
        guest.inject(&frame);
    }
    std::thread::sleep(Duration::from_millis(200));
    let after = lab.host.command("ip", &["neighbour", "show", "nud", "all", "dev", &tap]);
    assert!(!after.contains("10.60.0.77"), "{before}{after}");
    assert!(after.contains("10.60.0.5 lladdr 52:54:00:00:00:05 PERMANENT"), "{after}");
}

#[test]
fn a_guest_cannot_play_the_dhcp_server() {
    let lab = Lab::new(false);
    let guest = lab.guest(5, &NetworkPolicy::default(), &Firewall::default());
    let client = lab.world.enter(|| UdpSocket::bind(("0.0.0.0", 68))).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    for (port, passes) in [(67, false), (66, true)] {
        let server = guest.space.enter(|| UdpSocket::bind(("10.60.0.5", port))).unwrap();
        server.send_to(b"offer", (WORLD, 68)).unwrap();
        assert_eq!(client.recv(&mut [0; 16]).is_ok(), passes, "from port {port}");
    }
}

#[test]
fn counters_tell_the_directions_apart() {
    let lab = Lab::new(false);
    let guest = lab.guest(5, &NetworkPolicy::default(), &Firewall::default());
    let counters = || lab.host.run(async |_| lab.network.counters(Uuid::from_u128(5)).await.unwrap());
    let before = counters();
    let sender = guest.space.enter(|| UdpSocket::bind(("10.60.0.5", 0))).unwrap();
    for _ in 0..100 {
        sender.send_to(&[0; 1000], (WORLD, 9)).unwrap();
    }
    // The frames have to be carried over to the tap, and the world answers with a few errors.
    std::thread::sleep(Duration::from_millis(200));
    let after = counters();
    assert!((104_200..106_000).contains(&(after.out_bytes - before.out_bytes)), "{before:?} {after:?}");
    assert!(after.in_bytes - before.in_bytes < 10_000, "{before:?} {after:?}");
}

#[test]
fn what_a_limit_drops_is_counted_in_its_direction() {
    let lab = Lab::new(false);
    let guest = lab.guest(5, &policy(100_000, 1000), &Firewall::default());
    let counters = || lab.host.run(async |_| lab.network.counters(Uuid::from_u128(5)).await.unwrap());
    assert_eq!((counters().in_dropped, counters().out_dropped), (0, 0));
    let sender = guest.space.enter(|| UdpSocket::bind(("10.60.0.5", 0))).unwrap();
    // Two megabytes at once, of which a limit of 1 Mbit/s lets a fraction wait.
    for _ in 0..2000 {
        let _ = sender.send_to(&[0; 1000], (WORLD, 9));
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while counters().out_dropped < 500 {
        assert!(Instant::now() < deadline, "{:?}", counters());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(counters().in_dropped, 0);
}

#[test]
fn the_host_is_closed_to_guests_and_open_to_itself() {
    let lab = Lab::new(false);
    let guest = lab.guest(5, &NetworkPolicy::default(), &Firewall::default());
    for address in [HOST, "169.254.0.1", "2001:db8:1::2"] {
        assert_eq!(connect(&guest.space, &lab.host, address, 22), None, "{address}");
    }
    assert!(connect(&lab.host, &guest.space, "10.60.0.5", 22).is_some());
    assert!(connect(&lab.host, &guest.space, "2001:db8::5", 22).is_some());
    for address in ["169.254.0.1", "fe80::1%eth0", HOST] {
        guest.space.command("ping", &["-c", "1", "-W", "1", address]);
    }
}

#[test]
fn the_customers_rules_hold_and_change_live() {
    let lab = Lab::new(false);
    let mut firewall = Firewall::default();
    let unlimited = NetworkPolicy::default();
    let guest = lab.guest(5, &unlimited, &firewall);
    let tcp = |port, peers: &[&str]| FirewallRule {
        protocol: FirewallProtocol::Tcp,
        ports: Some((port, port)),
        peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
    };
    let into = |address, port| connect(&lab.world, &guest.space, address, port).is_some();
    let out = |address, port| connect(&guest.space, &lab.world, address, port).is_some();
    assert!(into("10.60.0.5", 80) && into("2001:db8::5", 80) && out(WORLD, 25) && out("2001:db8:1::1", 25));

    firewall.inbound = Some(vec![tcp(80, &[]), tcp(81, &["192.0.2.1/32"]), tcp(82, &["198.51.100.0/24"])]);
    firewall.blocked_outbound_tcp = vec![25];
    lab.attach(5, &unlimited, &firewall);
    assert!(into("10.60.0.5", 80) && into("2001:db8::5", 80) && into("10.60.0.5", 81));
    assert!(!into("2001:db8::5", 81) && !into("10.60.0.5", 82) && !into("10.60.0.5", 83));
    // What the guest opens is answered, except where the platform closed it.
    assert!(out(WORLD, 443) && !out(WORLD, 25) && !out("2001:db8:1::1", 25));
    // The host is not the customer's to keep out.
    assert!(connect(&lab.host, &guest.space, "10.60.0.5", 83).is_some());

    firewall.outbound = Some(vec![tcp(443, &[])]);
    lab.attach(5, &unlimited, &firewall);
    assert!(out(WORLD, 443) && !out(WORLD, 80) && into("10.60.0.5", 80));
}

#[test]
fn neighbours_meet_as_strangers() {
    let lab = Lab::new(false);
    let unlimited = NetworkPolicy::default();
    let open = Firewall::default();
    let one = lab.guest(5, &unlimited, &open);
    let closed = Firewall { inbound: Some(vec![]), ..Firewall::default() };
    let two = lab.guest(6, &unlimited, &closed);
    assert_eq!(connect(&two.space, &one.space, "10.60.0.5", 80), Some("10.60.0.6".parse().unwrap()));
    assert_eq!(connect(&one.space, &two.space, "10.60.0.6", 80), None, "the receiver's rules");
    lab.attach(6, &unlimited, &open);
    lab.attach(5, &unlimited, &Firewall { blocked_outbound_tcp: vec![80], ..Firewall::default() });
    assert_eq!(connect(&one.space, &two.space, "10.60.0.6", 80), None, "the sender's rules");
    assert!(connect(&one.space, &two.space, "10.60.0.6", 81).is_some());
}

#[test]
fn a_lab_host_translates_only_what_leaves() {
    let lab = Lab::new(true);
    let one = lab.guest(5, &NetworkPolicy::default(), &Firewall::default());
    let two = lab.guest(6, &NetworkPolicy::default(), &Firewall::default());
    assert_eq!(connect(&one.space, &lab.world, WORLD, 80), Some(HOST.parse().unwrap()));
    assert_eq!(connect(&one.space, &two.space, "10.60.0.6", 80), Some("10.60.0.5".parse().unwrap()));
    assert!(lab.host.command("ip", &["neighbour", "show", "proxy"]).is_empty());
}

#[test]
fn flushed_rules_cut_guests_off_until_they_are_back() {
    let lab = Lab::new(false);
    let unlimited = NetworkPolicy::default();
    let open = Firewall::default();
    let one = lab.guest(5, &unlimited, &open);
    let _two = lab.guest(6, &unlimited, &open);
    lab.host.command("nft", &["flush", "ruleset"]);
    // Another instance's attach brings the base back, and with it the closed door.
    lab.attach(6, &unlimited, &open);
    assert!(!arrives(&lab, &one, "10.60.0.5"));
    let back = lab.host.run(async |_| lab.network.read_back(Uuid::from_u128(5), &unlimited).await.unwrap());
    assert_eq!(back.drift, ["firewall"]);
    lab.attach(5, &unlimited, &open);
    assert!(arrives(&lab, &one, "10.60.0.5"));
}

mod bench;
mod closed;
mod flows;
mod rates;
mod shares;
mod tree;
