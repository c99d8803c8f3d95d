//! Rates on the wire, measured at the receiver, with TCP through the path that guests' traffic takes:
//! large segments and all.

use super::*;
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// A full frame, and what TCP over IPv4 with timestamps carries in it.
const WIRE_PER_GOODPUT: f64 = 1514.0 / 1448.0;

/// Sends from one space to another as fast as it goes, until the receiver has had enough.
fn stream(from: &Space, to: &Space, address: &str, receive: impl FnOnce(&mut TcpStream)) {
    let listener = listen(to, address, 5201);
    let target = SocketAddr::new(address.parse().unwrap(), 5201);
    let mut sender = from.enter(|| TcpStream::connect(target)).unwrap();
    let mut receiver = listener.accept().unwrap().0;
    let sending = std::thread::spawn(move || {
        let block = vec![0x5a; 128 * 1024];
        while sender.write_all(&block).is_ok() {}
    });
    receive(&mut receiver);
    drop(receiver);
    sending.join().unwrap();
}

/// Bytes that arrive between now and `duration` later, and how long that really was.
fn count(receiver: &mut TcpStream, duration: Duration) -> (u64, Duration) {
    let mut buffer = vec![0; 256 * 1024];
    let start = Instant::now();
    let mut bytes = 0;
    while start.elapsed() < duration {
        bytes += receiver.read(&mut buffer).unwrap() as u64;
    }
    (bytes, start.elapsed())
}

fn megabits((bytes, time): (u64, Duration)) -> f64 {
    bytes as f64 * 8.0 / 1e6 / time.as_secs_f64() * WIRE_PER_GOODPUT
}

/// Mbit/s on the wire over a while, once queues have filled and windows have opened.  What the receiver
/// sees comes in lumps whenever a lost segment is repaired, so a longer look is a more exact one.
pub fn wire_rate(from: &Space, to: &Space, address: &str, stretch: u32) -> f64 {
    let mut rate = 0.0;
    stream(from, to, address, |receiver| {
        count(receiver, Duration::from_millis(800) * stretch);
        rate = megabits(count(receiver, Duration::from_millis(1500) * stretch));
    });
    rate
}

#[test]
fn averages_hold_in_both_directions_and_change_live() {
    // On a divided uplink, as a host in production has it.
    let lab = Lab::divided(false, Some(KbitPerSec::from_mbit(1000)));
    let guest = lab.guest(5, &policy(10_000, 100_000), &Firewall::default());
    let mut report = String::new();
    let mut wrong = false;
    // `tests/bench network` looks longer, at more rates, and beside a bare token bucket.
    for sold in [10, 100] {
        lab.attach(5, &policy(sold * 1000, sold * 1000), &Firewall::default());
        for (name, from, to, address) in [
            ("to the guest", &lab.world, &guest.space, "10.60.0.5"),
            ("from the guest", &guest.space, &lab.world, WORLD),
        ] {
            let mut error = f64::NEG_INFINITY;
            // Others who use the processor make a sender slow, and never fast: too slow is looked at again.
            for _ in 0..3 {
                let measured = wire_rate(from, to, address, 1);
                error = (measured / sold as f64 - 1.0) * 100.0;
                report += &format!("{name}: {sold} Mbit/s sold, {measured:.2} measured, {error:+.2} %\n");
                if error > -1.5 {
                    break;
                }
            }
            wrong |= error.abs() > 1.5;
        }
    }
    println!("{report}");
    assert!(!wrong, "{report}");
}

/// Datagrams that fill a frame, offered at one and a half times the peak.  TCP would hand its bytes
/// over in lumps whenever it repairs a loss, which hides what happens within a tenth of a second.
fn flood(from: &Space, to: &Space, address: &str, peak_mbit: u64, receive: impl FnOnce(&UdpSocket)) {
    const PAYLOAD: usize = 1472;
    let receiver = to.enter(|| UdpSocket::bind(("0.0.0.0", 5202))).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let sender = from.enter(|| UdpSocket::bind(("0.0.0.0", 0))).unwrap();
    sender.connect((address, 5202)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let due = start.elapsed().as_micros() as u64 * peak_mbit * 3 / 2 / 8 / FRAME;
                for _ in sent..due {
                    let _ = sender.send(&[0; PAYLOAD]);
                }
                sent = due;
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        // Also when it panics: the scope waits for the sender.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| receive(&receiver)));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

const FRAME: u64 = 1514;

/// Mbit/s of frames that arrive between now and `duration` later.
fn frame_rate(receiver: &UdpSocket, duration: Duration) -> f64 {
    let start = Instant::now();
    let mut frames = 0;
    while start.elapsed() < duration {
        match receiver.recv(&mut [0; 2048]) {
            Ok(_) => frames += 1,
            // A signal to the process; a socket with a time limit does not go on by itself.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("no frame arrives: {error}"),
        }
    }
    (frames * FRAME * 8) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// After a quiet time the burst passes at the peak and no faster; then the average holds.
#[test]
fn a_burst_passes_at_the_peak_and_then_the_average_holds() {
    let lab = Lab::new(false);
    // 1 MiB drains at 80 - 16 Mbit/s in 131 ms.
    let json = serde_json::json!({"average": 16_000, "peak": 80_000, "burst": 1024});
    let limits: NetworkPolicy =
        serde_json::from_value(serde_json::json!({"inbound": json, "outbound": json})).unwrap();
    let guest = lab.guest(5, &limits, &Firewall::default());
    for (name, from, to, address) in [
        ("to the guest", &lab.world, &guest.space, "10.60.0.5"),
        ("from the guest", &guest.space, &lab.world, WORLD),
    ] {
        flood(from, to, address, 80, |receiver| {
            let burst = frame_rate(receiver, Duration::from_millis(100));
            // The rest of the burst, and then what was queued behind it.
            frame_rate(receiver, Duration::from_millis(400));
            let then = frame_rate(receiver, Duration::from_millis(1000));
            println!("{name}: {burst:.2} Mbit/s in the first 100 ms, {then:.2} in the end");
            assert!((72.0..82.0).contains(&burst), "{name}: {burst} Mbit/s in the burst");
            assert!((15.5..16.2).contains(&then), "{name}: {then} Mbit/s in the end");
        });
        let back = lab.host.run(async |_| lab.network.read_back(Uuid::from_u128(5), &limits).await.unwrap());
        assert_eq!((back.policy, back.drift), (limits.clone(), vec![]));
    }
}
