//! The longer look of `tests/bench network`, which runs this and reads the lines that begin with BENCH.
//! Every figure that a bare tool has is measured beside it in the same run.

use super::flows::{Load, WAYS, Way, rates};
use super::rates::wire_rate;
use super::shares::{FAST, SLOW, Tenants, jain};
use super::*;
use serde_json::{Value, json};

/// What the uplink carries where it must not be what limits.
const WIDE: KbitPerSec = KbitPerSec(10_000_000);
const WARM: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(10);

fn tell(metric: &str, value: f64, unit: &str, peer: Option<f64>) {
    println!("BENCH {}", json!({"metric": metric, "value": value, "unit": unit, "peer": peer}));
}

fn name(way: Way) -> &'static str {
    match way {
        Way::ToGuest => "to guests",
        Way::FromGuest => "from guests",
    }
}

/// One link with one token bucket, as the tool's manual would have it.
struct Bare {
    from: Space,
    to: Space,
}

impl Bare {
    fn new() -> Self {
        let [from, to] = [Space::new(), Space::new()];
        from.command("ip", &["link", "add", "left", "type", "veth", "peer", "name", "right"]);
        from.command("ip", &["link", "set", "right", "netns", &to.thread_id.to_string()]);
        for (space, device, address) in [(&from, "left", "192.0.2.2/24"), (&to, "right", "192.0.2.1/24")] {
            space.command("ip", &["address", "add", address, "dev", device]);
            space.command("ip", &["link", "set", device, "up"]);
        }
        from.await_answer(WORLD);
        Self { from, to }
    }

    fn limit(&self, mbit: u64) {
        // The kernel's timer has ticks of 4 ms: so much must a bucket hold.
        let burst = (mbit * 1_000_000 / 8 * 4 / 1000).max(4096).to_string();
        // The sender is on the same host and slows down by itself; a drop would only disturb it.
        let limit = (mbit * 1_000_000 / 8 * 4 / 10).max(512 * 1024).to_string();
        let rate = format!("{mbit}mbit");
        let tbf = ["tbf", "rate", &rate, "burst", &burst, "limit", &limit];
        let arguments = [&["qdisc", "replace", "dev", "left", "root", "handle", "1:"], &tbf[..]].concat();
        self.from.command("tc", &arguments);
    }
}

#[test]
#[ignore = "takes minutes; tests/bench network runs it"]
fn figures() {
    errors();
    bursts();
    divided_by_shares();
    reserved();
    fair();
    reused();
    changed();
}

fn errors() {
    let lab = Lab::divided(false, Some(WIDE));
    let guest = lab.guest(5, &policy(1_000, 1_000), &Firewall::default());
    let bare = Bare::new();
    for sold in [1, 10, 100, 1000] {
        lab.attach(5, &policy(sold * 1000, sold * 1000), &Firewall::default());
        bare.limit(sold);
        let error = |measured: f64| (measured / sold as f64 - 1.0).abs() * 100.0;
        let stretch = if sold == 1 { 10 } else { 4 };
        for way in WAYS {
            let ours = match way {
                Way::ToGuest => wire_rate(&lab.world, &guest.space, "10.60.0.5", stretch),
                Way::FromGuest => wire_rate(&guest.space, &lab.world, WORLD, stretch),
            };
            let peer = wire_rate(&bare.from, &bare.to, WORLD, stretch);
            println!("{sold} Mbit/s: {ours:.3}, bare {peer:.3}");
            let metric = format!("error at {sold} Mbit/s, {}", name(way));
            tell(&metric, error(ours), "%", Some(error(peer)));
        }
    }
}

/// An average of 16 Mbit/s, a peak of 80, and 20 MiB that may pass at it: that is 2.6 s.
fn bursts() {
    const AVERAGE: f64 = 16.0;
    const PEAK: f64 = 80.0;
    const BURST: f64 = 20.0 * 1024.0 * 1024.0 * 8.0 / 1e6;
    let limits = json!({"average": 16_000, "peak": 80_000, "burst": 20 * 1024});
    let limits: NetworkPolicy =
        serde_json::from_value(json!({"inbound": limits, "outbound": limits})).unwrap();
    let lab = Lab::divided(false, Some(WIDE));
    let guest = lab.guest(5, &limits, &Firewall::default());
    for way in WAYS {
        let load = [Load::flood(&lab, &guest, 5, way, 120)];
        let seconds: Vec<f64> = (0..6).map(|_| rates(&load, Duration::from_secs(1))[0]).collect();
        let fastest = seconds.iter().copied().fold(0.0, f64::max);
        tell(
            &format!("fastest second above the peak, {}", name(way)),
            (fastest / PEAK - 1.0) * 100.0,
            "%",
            None,
        );
        let burst: f64 = seconds.iter().map(|rate| rate - AVERAGE).sum();
        let error = (burst / BURST - 1.0).abs() * 100.0;
        tell(&format!("error of a burst of 20 MiB, {}", name(way)), error, "%", None);
        let then = rates(&load, WINDOW)[0];
        let error = (then / AVERAGE - 1.0).abs() * 100.0;
        tell(&format!("error of the long-run average, {}", name(way)), error, "%", None);
    }
}

fn divided_by_shares() {
    let tenants = Tenants::new(FAST, &["low", "normal", "high"].map(|level| json!({"shares": level})));
    for way in WAYS {
        let loads: Vec<Load> = (0..3).map(|index| tenants.load(index, way, 2)).collect();
        rates(&loads, WARM);
        let measured = rates(&loads, WINDOW);
        let errors = measured.iter().zip(tenants.expected());
        let worst = errors.map(|(is, should)| (is / should - 1.0).abs() * 100.0).fold(0.0, f64::max);
        tell(&format!("worst error of shares 1:2:4, {}", name(way)), worst, "%", None);
    }
}

fn reserved() {
    let mut limits: Vec<Value> = vec![json!({"reservation": 40_000, "average": 40_000})];
    limits.resize(8, json!({}));
    let tenants = Tenants::new(SLOW, &limits);
    for way in WAYS {
        let mut loads = vec![tenants.load(0, way, 1)];
        loads.extend((1..8).map(|index| tenants.flood(index, way, 25)));
        rates(&loads, WARM);
        let error = (rates(&loads, WINDOW)[0] / 40.0 - 1.0).abs() * 100.0;
        tell(&format!("error of a reservation beside 7 floods, {}", name(way)), error, "%", None);
    }
}

fn fair() {
    let tenants = Tenants::new(FAST, &vec![json!({}); 8]);
    for way in WAYS {
        let loads: Vec<Load> = (0..8).map(|index| tenants.load(index, way, index as u16 + 1)).collect();
        rates(&loads, WARM);
        let unfair = 1.0 - jain(&rates(&loads, WINDOW));
        tell(&format!("1 - Jain's index, 8 with 1 to 8 flows, {}", name(way)), unfair, "", None);
    }
}

fn reused() {
    let tenants = Tenants::new(SLOW, &vec![json!({"reservation": 40_000}); 2]);
    for way in WAYS {
        let mut loads = vec![tenants.load(0, way, 2), tenants.load(1, way, 2)];
        rates(&loads, WARM);
        drop(loads.pop());
        let start = Instant::now();
        while rates(&loads, Duration::from_millis(100))[0] < 95.0 && start.elapsed() < Duration::from_secs(5)
        {
        }
        tell(
            &format!("until an idle share is in use, {}", name(way)),
            start.elapsed().as_secs_f64(),
            "s",
            None,
        );
    }
}

/// From the call to the read back figure, beside the two commands that a script would run.
fn changed() {
    let lab = Lab::divided(false, Some(WIDE));
    let _guest = lab.guest(5, &policy(10_000, 10_000), &Firewall::default());
    let tap = lab.network.tap_name(Uuid::from_u128(5), 0);
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for number in 0..100 {
        let wanted = policy(10_000 + number, 20_000 + number);
        let start = Instant::now();
        lab.attach(5, &wanted, &Firewall::default());
        let id = Uuid::from_u128(5);
        let back = lab.host.run(async |_| lab.network.read_back(id, &wanted).await.unwrap());
        ours.push(start.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(back.drift, Vec::<String>::new());
        let start = Instant::now();
        for device in [&tap, &tap.replace("-t", "-i")] {
            let rate = format!("{}kbit", 10_001 + number);
            let tbf = ["root", "handle", "1:", "tbf", "rate", &rate, "burst", "5000", "limit", "125000"];
            lab.host.command("tc", &[&["qdisc", "change", "dev", device], &tbf[..]].concat());
        }
        bare.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
        let quantile = |samples: &mut Vec<f64>| {
            samples.sort_by(f64::total_cmp);
            samples[(part * (samples.len() - 1) as f64).round() as usize]
        };
        tell(&format!("change to read back, {name}"), quantile(&mut ours), "ms", Some(quantile(&mut bare)));
    }
}
