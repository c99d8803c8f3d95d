//! A stand-in for a guest: a namespace whose network card is joined to the host's tap the way the
//! hypervisor joins it, with the same offloads, by copying frames between two file descriptors.

use super::space::Space;
use jst_protocol::desired::Interface;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Bytes of `struct virtio_net_hdr` before each frame.
const FRAME_HEADER: usize = 10;

pub struct Guest {
    pub space: Space,
    host_end: Arc<File>,
    stop: Arc<AtomicBool>,
    pumps: Vec<JoinHandle<()>>,
}

impl Guest {
    /// Starts a guest behind `tap` of `host`, configured as its seed would configure it.
    pub fn start(host: &Space, tap: &str, interface: &Interface) -> Self {
        let space = Space::new();
        let host_end = Arc::new(host.enter(|| open_tap(tap)));
        let guest_end = Arc::new(space.enter(|| open_tap("eth0")));
        let ip = |arguments: &str| space.command("ip", &arguments.split(' ').collect::<Vec<_>>());
        ip(&format!("link set eth0 address {}", interface.mac));
        ip("link set eth0 up");
        for address in &interface.addresses {
            let (gateway, everywhere) = match address.addr() {
                std::net::IpAddr::V4(_) => ("169.254.0.1", "0.0.0.0/0"),
                std::net::IpAddr::V6(_) => ("fe80::1", "::/0"),
            };
            let nodad = if address.addr().is_ipv6() { " nodad" } else { "" };
            ip(&format!("address add {address} dev eth0{nodad}"));
            ip(&format!("route add {everywhere} via {gateway} dev eth0 onlink"));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let pumps = [(&host_end, &guest_end), (&guest_end, &host_end)]
            .map(|(from, to)| (from.clone(), to.clone(), stop.clone()))
            .map(|(from, to, stop)| std::thread::spawn(move || pump(&from, &to, &stop)))
            .into();
        for gateway in ["169.254.0.1", "fe80::1%eth0"] {
            space.await_answer(gateway);
        }
        Self { space, host_end, stop, pumps }
    }

    /// Sends a frame that the guest's kernel would never make.
    pub fn inject(&self, frame: &[u8]) {
        let message = [&[0; FRAME_HEADER], frame].concat();
        (&*self.host_end).write_all(&message).unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for pump in self.pumps.drain(..) {
            let _ = pump.join();
        }
    }
}

/// Opens a tap of this thread's namespace, making it where it is absent, and accepts large segments
/// and unfinished checksums as QEMU does for a guest that can.
fn open_tap(name: &str) -> File {
    const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
    const CHECKSUM_AND_SEGMENTS: libc::c_ulong = 0x1 | 0x2 | 0x4;
    let file =
        File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun").unwrap();
    // SAFETY: the request is a plain structure that outlives the calls; all-zero is a valid value.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as i16;
        let outcome = libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request);
        assert_eq!(outcome, 0, "{name}: {}", std::io::Error::last_os_error());
        assert_eq!(libc::ioctl(file.as_raw_fd(), TUNSETOFFLOAD, CHECKSUM_AND_SEGMENTS), 0);
    }
    file
}

fn pump(mut from: &File, mut to: &File, stop: &AtomicBool) {
    let mut buffer = vec![0; 128 * 1024];
    while !stop.load(Ordering::Relaxed) {
        match from.read(&mut buffer) {
            // A device that is down takes nothing; neither would a cable that is pulled.
            Ok(length) => drop(to.write(&buffer[..length])),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => wait(from),
            Err(_) => wait(from),
        }
    }
}

/// Until there is something to read, or a tenth of a second to look at the stop flag.
fn wait(file: &File) {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure on this stack.
    unsafe { libc::poll(&mut poll, 1, 100) };
}
