//! Reads queueing disciplines and classes from the kernel, as numbers.
//!
//! `tc -j` of the iproute2 that distributions ship leaves the peak rate out of its JSON and prints
//! classes as text only, which rounds rates above 1 Gbit/s to three digits and leaves the quantum out.
//! What was sold has to be read back exactly, so this asks the kernel itself: one request over a
//! netlink socket, and no writes.  A class is asked for by its id, so that what a look costs does not
//! grow with the number of classes.

use anyhow::{bail, ensure};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `PSCHED_SHIFT`: the kernel's traffic control counts time in ticks of 64 ns.
const TICK_NANOSECONDS: u128 = 64;

const HEADER: usize = 16;
/// `struct tcmsg`.
const TCMSG: usize = 20;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_PRATE64: u16 = 5;
const TCA_HTB_PARMS: u16 = 1;
const TCA_HTB_RATE64: u16 = 6;
const TCA_HTB_CEIL64: u16 = 7;

/// `TC_H_ROOT`.
const ROOT: u32 = 0xffff_ffff;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    pub kind: String,
    pub root: bool,
    /// Upper and lower half, as `tc` writes `1:` for 0x10000.
    pub handle: u32,
    pub bucket: Option<TokenBucket>,
    /// Bytes, or packets, that a plain queue holds.
    pub limit: Option<u32>,
    /// Packets that it has dropped since it was made, those below it included.
    pub dropped: u32,
}

/// A class of a hierarchical token bucket, in bytes and bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HtbClass {
    pub parent: u32,
    pub rate: u64,
    pub ceil: u64,
    pub burst: u64,
    pub ceil_burst: u64,
    pub quantum: u32,
}

/// A token bucket filter in force, in bytes and bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    pub rate: u64,
    pub burst: u64,
    /// Rate and bucket of the peak.
    pub peak: Option<(u64, u64)>,
    pub queue: u64,
}

/// The queueing disciplines of a device of this thread's network namespace; none when there is no
/// such device.
pub fn qdiscs(device: &str) -> anyhow::Result<Vec<Qdisc>> {
    let Some(index) = device_index(device)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for message in ask(libc::RTM_GETQDISC, true, [index, 0, 0])? {
        // Kernels before 4.20 dump every device whatever was asked for.
        if u32_at(&message, 4) == index {
            found.push(parse_qdisc(&message)?);
        }
    }
    Ok(found)
}

/// The queue below a class; none when there is no such device, tree or class.
pub fn leaf(device: &str, class: u32) -> anyhow::Result<Option<Qdisc>> {
    let Some(index) = device_index(device)? else { return Ok(None) };
    let found = present(ask(libc::RTM_GETQDISC, false, [index, 0, class]))?;
    found.iter().flatten().next().map(|message| parse_qdisc(message)).transpose()
}

/// One class of a hierarchical token bucket; none when there is no such device, tree or class.
pub fn class(device: &str, class: u32) -> anyhow::Result<Option<HtbClass>> {
    let Some(index) = device_index(device)? else { return Ok(None) };
    let found = present(ask(libc::RTM_GETTCLASS, false, [index, class, 0]))?;
    Ok(found.iter().flatten().next().map(|message| parse_class(message)).transpose()?.flatten())
}

/// The ids of all classes of a device.
pub fn class_ids(device: &str) -> anyhow::Result<Vec<u32>> {
    let Some(index) = device_index(device)? else { return Ok(Vec::new()) };
    let found = ask(libc::RTM_GETTCLASS, true, [index, 0, 0])?;
    Ok(found.iter().filter(|message| u32_at(message, 4) == index).map(|message| u32_at(message, 8)).collect())
}

/// What is not there is an answer, and no error.
fn present(answer: anyhow::Result<Vec<Vec<u8>>>) -> anyhow::Result<Option<Vec<Vec<u8>>>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        // ENOENT is what is absent below a tree; EINVAL is a device whose root is no tree at all.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::raw_os_error)
                .is_some_and(|code| [libc::ENOENT, libc::EINVAL].contains(&code)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether this thread's network namespace has the device.
pub fn exists(device: &str) -> anyhow::Result<bool> {
    Ok(device_index(device)?.is_some())
}

fn device_index(device: &str) -> anyhow::Result<Option<u32>> {
    let name = std::ffi::CString::new(device)?;
    // SAFETY: the pointer is to a string that ends in zero and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    Ok((index != 0).then_some(index))
}

/// Sends a request about device, handle and parent, and returns the bodies of the answers: everything
/// that fits, or the one thing that is named.
fn ask(what: u16, everything: bool, about: [u32; 3]) -> anyhow::Result<Vec<Vec<u8>>> {
    // SAFETY: no pointers; the descriptor is owned at once and checked.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE);
        if fd < 0 {
            return Err(io::Error::last_os_error().into());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let mut request = Vec::with_capacity(HEADER + TCMSG);
    request.extend_from_slice(&((HEADER + TCMSG) as u32).to_ne_bytes());
    request.extend_from_slice(&what.to_ne_bytes());
    // What is asked for singly goes to all who listen for changes, and to who asks only as an echo; the
    // acknowledgement after it ends the answer, also where the kernel has nothing to show.
    let flags =
        libc::NLM_F_REQUEST | if everything { libc::NLM_F_DUMP } else { libc::NLM_F_ECHO | libc::NLM_F_ACK };
    request.extend_from_slice(&(flags as u16).to_ne_bytes());
    request.extend_from_slice(&1u32.to_ne_bytes());
    request.extend_from_slice(&0u32.to_ne_bytes());
    request.extend_from_slice(&[0; 4]);
    for number in about {
        request.extend_from_slice(&number.to_ne_bytes());
    }
    request.extend_from_slice(&[0; TCMSG - 16]);
    // SAFETY: the buffer is valid for the length that is given.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error().into());
    }

    let mut bodies = Vec::new();
    // The kernel fills at most 32 KiB of a dump into one datagram.
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // SAFETY: the buffer is valid for the length that is given.
        let received = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        let mut rest = &buffer[..received];
        while rest.len() >= HEADER {
            let length = u32_at(rest, 0) as usize;
            ensure!((HEADER..=rest.len()).contains(&length), "netlink answered with a broken length");
            let body = &rest[HEADER..length];
            match i32::from(u16_at(rest, 4)) {
                libc::NLMSG_DONE => return Ok(bodies),
                libc::NLMSG_ERROR => {
                    let code = body.get(..4).map_or(0, |_| u32_at(body, 0) as i32);
                    if code == 0 {
                        return Ok(bodies);
                    }
                    return Err(io::Error::from_raw_os_error(-code).into());
                }
                _ if body.len() >= TCMSG => bodies.push(body.to_vec()),
                _ => bail!("netlink answered with a short message"),
            }
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
    }
}

fn parse_qdisc(message: &[u8]) -> anyhow::Result<Qdisc> {
    let attributes = &message[TCMSG..];
    let kind = attribute(attributes, TCA_KIND).unwrap_or_default();
    let kind = String::from_utf8_lossy(kind).trim_end_matches('\0').to_owned();
    let bucket = match attribute(attributes, TCA_OPTIONS) {
        Some(options) if kind == "tbf" => Some(parse_bucket(options)?),
        _ => None,
    };
    let limit = match attribute(attributes, TCA_OPTIONS) {
        Some(options) if kind.ends_with("fifo") && options.len() >= 4 => Some(u32_at(options, 0)),
        _ => None,
    };
    // `struct gnet_stats_queue`: length, backlog, drops, requeues and overlimits.
    let dropped = attribute(attributes, TCA_STATS2)
        .and_then(|stats| attribute(stats, TCA_STATS_QUEUE))
        .filter(|queue| queue.len() >= 12)
        .map_or(0, |queue| u32_at(queue, 8));
    let (root, handle) = (u32_at(message, 12) == ROOT, u32_at(message, 8));
    Ok(Qdisc { kind, root, handle, bucket, limit, dropped })
}

/// `struct tc_htb_opt` is two `tc_ratespec` of 12 bytes, with the rate in the last four, and then buffer,
/// cbuffer, quantum, level and priority; rates above 32 bits stand in attributes of their own.
fn parse_class(message: &[u8]) -> anyhow::Result<Option<HtbClass>> {
    let attributes = &message[TCMSG..];
    if attribute(attributes, TCA_KIND) != Some(b"htb\0") {
        return Ok(None);
    }
    let options = attribute(attributes, TCA_OPTIONS).unwrap_or_default();
    let Some(fixed) = attribute(options, TCA_HTB_PARMS).filter(|fixed| fixed.len() >= 44) else {
        bail!("a class of a hierarchical token bucket without parameters");
    };
    let rate = wide(options, TCA_HTB_RATE64).unwrap_or_else(|| u32_at(fixed, 8).into());
    let ceil = wide(options, TCA_HTB_CEIL64).unwrap_or_else(|| u32_at(fixed, 20).into());
    Ok(Some(HtbClass {
        parent: u32_at(message, 12),
        rate,
        ceil,
        burst: bytes(u32_at(fixed, 24), rate),
        ceil_burst: bytes(u32_at(fixed, 28), ceil),
        quantum: u32_at(fixed, 32),
    }))
}

fn wide(options: &[u8], kind: u16) -> Option<u64> {
    attribute(options, kind).filter(|value| value.len() >= 8).map(|value| u64_at(value, 0))
}

/// What passes at `rate` in so many ticks.
fn bytes(ticks: u32, rate: u64) -> u64 {
    (u128::from(ticks) * TICK_NANOSECONDS * u128::from(rate)).div_ceil(1_000_000_000) as u64
}

/// `struct tc_tbf_qopt` is two `tc_ratespec` of 12 bytes, with the rate in the last four, and then
/// limit, buffer and mtu; rates above 32 bits stand in attributes of their own.
fn parse_bucket(options: &[u8]) -> anyhow::Result<TokenBucket> {
    let Some(fixed) = attribute(options, TCA_TBF_PARMS).filter(|fixed| fixed.len() >= 36) else {
        bail!("a token bucket filter without parameters");
    };
    let rate = wide(options, TCA_TBF_RATE64).unwrap_or_else(|| u32_at(fixed, 8).into());
    let peak = wide(options, TCA_TBF_PRATE64).unwrap_or_else(|| u32_at(fixed, 20).into());
    Ok(TokenBucket {
        rate,
        burst: bytes(u32_at(fixed, 28), rate),
        peak: (peak > 0).then(|| (peak, bytes(u32_at(fixed, 32), peak))),
        queue: u32_at(fixed, 24).into(),
    })
}

/// The value of the first attribute of this kind in a list of attributes.
fn attribute(mut list: &[u8], wanted: u16) -> Option<&[u8]> {
    while list.len() >= 4 {
        let length = usize::from(u16_at(list, 0));
        if !(4..=list.len()).contains(&length) {
            return None;
        }
        // The two highest bits are flags.
        if u16_at(list, 2) & 0x3fff == wanted {
            return Some(&list[4..length]);
        }
        list = &list[length.next_multiple_of(4).min(list.len())..];
    }
    None
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(std::array::from_fn(|offset| bytes[at + offset]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(std::array::from_fn(|offset| bytes[at + offset]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(std::array::from_fn(|offset| bytes[at + offset]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_absent_has_no_queues() {
        assert_eq!(qdiscs("no-such-device").unwrap(), []);
        assert_eq!(class("no-such-device", 0x10010).unwrap(), None);
        // What has no classes has not this one either.
        assert_eq!((class("lo", 0x10010).unwrap(), leaf("lo", 0x10010).unwrap()), (None, None));
    }

    #[test]
    fn broken_attributes_end_the_search() {
        assert_eq!(attribute(&[8, 0, 1, 0, 7, 0, 0, 0], 1), Some(&[7, 0, 0, 0][..]));
        assert_eq!(attribute(&[8, 0, 1, 0, 7, 0, 0, 0], 2), None);
        assert_eq!(attribute(&[0, 0, 1, 0], 1), None);
        assert_eq!(attribute(&[200, 0, 1, 0], 1), None);
    }
}
