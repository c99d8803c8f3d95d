//! Reads queueing disciplines from the kernel, as numbers.
//!
//! `tc -j` of the iproute2 that distributions ship leaves the peak rate out of its JSON, and its
//! text rounds rates above 1 Gbit/s to three digits.  What was sold has to be read back exactly, so
//! this asks the kernel itself: one dump request over a netlink socket, and no writes.

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
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_PRATE64: u16 = 5;

/// `TC_H_ROOT`.
const ROOT: u32 = 0xffff_ffff;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qdisc {
    pub kind: String,
    pub root: bool,
    pub bucket: Option<TokenBucket>,
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
    for message in dump_qdiscs(index)? {
        // Kernels before 4.20 dump every device whatever was asked for.
        if u32_at(&message, 4) == index {
            found.push(parse_qdisc(&message)?);
        }
    }
    Ok(found)
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

/// Sends RTM_GETQDISC and returns the bodies of the answers.
fn dump_qdiscs(index: u32) -> anyhow::Result<Vec<Vec<u8>>> {
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
    request.extend_from_slice(&libc::RTM_GETQDISC.to_ne_bytes());
    request.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    request.extend_from_slice(&1u32.to_ne_bytes());
    request.extend_from_slice(&0u32.to_ne_bytes());
    request.extend_from_slice(&[0; 4]);
    request.extend_from_slice(&index.to_ne_bytes());
    request.extend_from_slice(&[0; TCMSG - 8]);
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
    Ok(Qdisc { kind, root: u32_at(message, 12) == ROOT, bucket })
}

/// `struct tc_tbf_qopt` is two `tc_ratespec` of 12 bytes, with the rate in the last four, and then
/// limit, buffer and mtu; rates above 32 bits stand in attributes of their own.
fn parse_bucket(options: &[u8]) -> anyhow::Result<TokenBucket> {
    let Some(fixed) = attribute(options, TCA_TBF_PARMS).filter(|fixed| fixed.len() >= 36) else {
        bail!("a token bucket filter without parameters");
    };
    let wide = |kind| attribute(options, kind).filter(|value| value.len() >= 8).map(|value| u64_at(value, 0));
    let rate = wide(TCA_TBF_RATE64).unwrap_or_else(|| u32_at(fixed, 8).into());
    let peak = wide(TCA_TBF_PRATE64).unwrap_or_else(|| u32_at(fixed, 20).into());
    let bytes = |ticks: u32, rate: u64| {
        (u128::from(ticks) * TICK_NANOSECONDS * u128::from(rate)).div_ceil(1_000_000_000) as u64
    };
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
    }

    #[test]
    fn broken_attributes_end_the_search() {
        assert_eq!(attribute(&[8, 0, 1, 0, 7, 0, 0, 0], 1), Some(&[7, 0, 0, 0][..]));
        assert_eq!(attribute(&[8, 0, 1, 0, 7, 0, 0, 0], 2), None);
        assert_eq!(attribute(&[0, 0, 1, 0], 1), None);
        assert_eq!(attribute(&[200, 0, 1, 0], 1), None);
    }
}
