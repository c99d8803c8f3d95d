//! Several guests at once, each with some connections or a flood of datagrams, counted at the receiver.

use super::*;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A full frame, and what TCP over IPv4 with timestamps carries in it.
const WIRE_PER_GOODPUT: f64 = 1514.0 / 1448.0;
const FRAME: u64 = 1514;
const PAYLOAD: usize = 1472;

/// How often a thread that waits for the network looks whether it is over.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToGuest,
    FromGuest,
}

pub const WAYS: [Way; 2] = [Way::ToGuest, Way::FromGuest];

/// Traffic of one guest in one direction, until it is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    /// Frames' bytes that arrived.
    arrived: Arc<AtomicU64>,
    per_byte: f64,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many TCP connections, each as fast as it goes.
    pub fn connections(lab: &Lab, guest: &Guest, last: u8, way: Way, count: u16) -> Self {
        let (from, to, address, first) = ends(lab, guest, last, way);
        let mut load = Self::new(WIRE_PER_GOODPUT);
        for port in first..first + count {
            let listener = listen(to, &address, port);
            let target = SocketAddr::new(address.parse().unwrap(), port);
            let mut sender = from.enter(|| TcpStream::connect(target)).unwrap();
            let mut receiver = listener.accept().unwrap().0;
            sender.set_write_timeout(Some(PATIENCE)).unwrap();
            receiver.set_read_timeout(Some(PATIENCE)).unwrap();
            let (stop, arrived) = (load.stop.clone(), load.arrived.clone());
            load.spawn(move |stop| {
                let block = vec![0x5a; 64 * 1024];
                while !stop.load(Ordering::Relaxed) {
                    if sender.write(&block).is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
                    {
                        return;
                    }
                }
            });
            load.threads.push(std::thread::spawn(move || {
                let mut buffer = vec![0; 256 * 1024];
                while !stop.load(Ordering::Relaxed) {
                    match receiver.read(&mut buffer) {
                        Ok(0) => return,
                        Ok(bytes) => drop(arrived.fetch_add(bytes as u64, Ordering::Relaxed)),
                        Err(_) => {}
                    }
                }
            }));
        }
        load
    }

    /// Datagrams that fill a frame, at a rate that nothing answers and nothing slows down.
    pub fn flood(lab: &Lab, guest: &Guest, last: u8, way: Way, mbit: u64) -> Self {
        let (from, to, address, port) = ends(lab, guest, last, way);
        let receiver = to.enter(|| UdpSocket::bind(("0.0.0.0", port))).unwrap();
        receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        let sender = from.enter(|| UdpSocket::bind(("0.0.0.0", 0))).unwrap();
        sender.connect((address.as_str(), port)).unwrap();
        let mut load = Self::new(1.0);
        load.spawn(move |stop| {
            let start = Instant::now();
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let due = start.elapsed().as_micros() as u64 * mbit / 8 / FRAME;
                for _ in sent..due {
                    let _ = sender.send(&[0; PAYLOAD]);
                }
                sent = due;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let arrived = load.arrived.clone();
        load.spawn(move |stop| {
            while !stop.load(Ordering::Relaxed) {
                if receiver.recv(&mut [0; 2048]).is_ok() {
                    arrived.fetch_add(FRAME, Ordering::Relaxed);
                }
            }
        });
        load
    }

    fn new(per_byte: f64) -> Self {
        Self { stop: Arc::default(), arrived: Arc::default(), per_byte, threads: Vec::new() }
    }

    fn spawn(&mut self, work: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = self.stop.clone();
        self.threads.push(std::thread::spawn(move || work(&stop)));
    }

    fn arrived(&self) -> f64 {
        self.arrived.load(Ordering::Relaxed) as f64 * self.per_byte
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn ends<'a>(lab: &'a Lab, guest: &'a Guest, last: u8, way: Way) -> (&'a Space, &'a Space, String, u16) {
    let port = 6000 + u16::from(last) * 16;
    match way {
        Way::ToGuest => (&lab.world, &guest.space, format!("10.60.0.{last}"), port),
        Way::FromGuest => (&guest.space, &lab.world, WORLD.to_owned(), port),
    }
}

/// Mbit/s of frames that arrive from each load from now on.
pub fn rates(loads: &[Load], window: Duration) -> Vec<f64> {
    let before: Vec<f64> = loads.iter().map(Load::arrived).collect();
    let start = Instant::now();
    std::thread::sleep(window);
    let seconds = start.elapsed().as_secs_f64();
    let after = loads.iter().map(Load::arrived);
    after.zip(before).map(|(after, before)| (after - before) * 8.0 / 1e6 / seconds).collect()
}
