//! Average, peak and burst of each direction, as token bucket filters.
//!
//! ```text
//! to the guest:    host -> tap [tbf] -> guest
//! from the guest:  guest -> tap ingress --redirect--> ifb [tbf] --> back into the host as from the tap
//! ```
//!
//! What comes by the uplink makes a detour before the tap's queue takes it, where the host has a tree
//! (see `tree`).
//!
//! A token bucket has two rates.  Its own lets the long-run average never exceed `average` and lets
//! `burst` bytes through after a quiet time; the peak bucket, a millisecond deep, keeps that burst
//! from passing faster than `peak`.  A direction without an average has no queue discipline of ours.
//!
//! Sizes are bytes of Ethernet frames, and a segment larger than a bucket is split by the kernel, so
//! large receive and send offloads neither pass unlimited nor get stuck.

use super::command::{ip_batch, tc_batch};
use super::names::{Port, Prefix};
use super::netlink::{self, TokenBucket};
use super::redirect::{self, Redirect, Side, Which};
use super::tree::{self, Found};
use jst_policy::instance::{NetworkLimits, NetworkPolicy};
use jst_policy::units::{KbitPerSec, KiB};

/// Two full frames of 1,514 bytes, rounded up: a bucket of one frame alone would lose its spare
/// tokens with every packet.
const SMALLEST_BUCKET: u64 = 4096;
/// What a bucket must hold so that a timer that fires late costs no throughput: the lateness on a
/// busy virtualised host is some hundreds of microseconds.
const TIMER_SLACK_MILLISECONDS: u64 = 4;
/// The peak bucket's depth.  Over a tenth of a second it adds 1 % to the peak.
const PEAK_SLACK_MILLISECONDS: u64 = 1;
/// The documented default of `burst`: 100 ms at the peak rate.
const DEFAULT_BURST_MILLISECONDS: u64 = 100;
/// The queue holds this much at the average rate, which is what a TCP connection across a continent
/// needs to keep a link busy, within bounds.
const QUEUE_MILLISECONDS: u64 = 100;
const SMALLEST_QUEUE: u64 = 48 * 1024;
const LARGEST_QUEUE: u64 = 16 * 1024 * 1024;
/// The kernel reports a bucket as a 32-bit count of 64 ns ticks, that is up to 274 s at its rate.
const LONGEST_BURST_SECONDS: u64 = 274;

/// The token bucket that enforces `limits`; none without limits.
pub fn bucket(limits: &NetworkLimits) -> Option<TokenBucket> {
    // A peak alone is a limit all the same.
    let average = limits.average.or(limits.peak)?.bytes_per_sec().max(1);
    let peak = limits.peak.map_or(average, KbitPerSec::bytes_per_sec);
    let queue = (average * QUEUE_MILLISECONDS / 1000).clamp(SMALLEST_QUEUE, LARGEST_QUEUE);
    if peak <= average {
        // Without room above the average there is nothing to burst at, and a deep bucket would let
        // its content through at line rate.
        let burst = (average * TIMER_SLACK_MILLISECONDS / 1000).max(SMALLEST_BUCKET);
        return Some(TokenBucket { rate: average, burst, peak: None, queue });
    }
    let peak_bucket = (peak * PEAK_SLACK_MILLISECONDS / 1000).max(SMALLEST_BUCKET);
    let burst = limits.burst.map_or(peak * DEFAULT_BURST_MILLISECONDS / 1000, |burst| burst.get() * 1024);
    // Not below what the average needs to be reached at all.
    let least = (average * TIMER_SLACK_MILLISECONDS / 1000).max(peak_bucket);
    let most = (average * LONGEST_BURST_SECONDS).min(u32::MAX.into()).max(least);
    Some(TokenBucket {
        rate: average,
        burst: burst.clamp(least, most),
        peak: Some((peak, peak_bucket)),
        queue,
    })
}

/// Converges both directions of one port.  What is in force already is left alone: to set the same
/// numbers again would fill the bucket again, and a guest would gain a burst from every look.
///
/// `divided`: what comes by the uplink goes through the host's tree.
pub async fn apply(
    prefix: &Prefix,
    port: &Port,
    policy: &NetworkPolicy,
    divided: bool,
) -> anyhow::Result<()> {
    let tap = &port.tap;
    let ifb = &port.ifb;
    set_root(tap, bucket(&policy.inbound)).await?;
    let outbound = bucket(&policy.outbound);
    if let Some(wanted) = outbound {
        if !netlink::exists(ifb)? {
            // No IPv6 on it: it is a queue, not a place.
            ip_batch(&[
                format!("link add {ifb} type ifb"),
                format!("link set dev {ifb} alias {}", port.alias),
                format!("link set dev {ifb} addrgenmode none"),
            ])
            .await?;
        }
        set_root(ifb, Some(wanted)).await?;
        ip_batch(&[format!("link set dev {ifb} up")]).await?;
    }
    if outbound.is_none() && !divided {
        return remove(tap, ifb).await;
    }
    let mut lines = redirect::hook(tap)?;
    let [_, down] = tree::devices(prefix);
    lines.extend(redirect::converge(&from_guest(tap, ifb), outbound.is_some()).await?);
    lines.extend(redirect::converge(&tree::tap_redirect(prefix, tap, &down), divided).await?);
    tc_batch(&lines).await?;
    if outbound.is_none() { remove_ifb(ifb).await } else { Ok(()) }
}

/// Removes the ways through other devices.  The tap's own queue goes with the tap.
pub async fn remove(tap: &str, ifb: &str) -> anyhow::Result<()> {
    // Either kind, for an earlier release made the one-sided one.
    if let Some(hook) =
        netlink::qdiscs(tap)?.iter().find(|qdisc| ["clsact", "ingress"].contains(&&*qdisc.kind))
    {
        tc_batch(&[format!("qdisc del dev {tap} {}", hook.kind)]).await?;
    }
    remove_ifb(ifb).await
}

async fn remove_ifb(ifb: &str) -> anyhow::Result<()> {
    if netlink::exists(ifb)? {
        ip_batch(&[format!("link del dev {ifb}")]).await?;
    }
    Ok(())
}

/// Sends all that arrives on the tap through the other device.
fn from_guest<'a>(tap: &'a str, ifb: &'a str) -> Redirect<'a> {
    Redirect { device: tap, side: Side::Ingress, preference: 1, which: Which::Every, to: ifb }
}

async fn set_root(device: &str, wanted: Option<TokenBucket>) -> anyhow::Result<()> {
    let now = root(device)?;
    match (wanted, now) {
        (None, None) => Ok(()),
        (None, Some(_)) => tc_batch(&[format!("qdisc del dev {device} root")]).await,
        (Some(wanted), Some(now)) if same(&wanted, &now) => Ok(()),
        // The same handle and kind: the kernel changes the numbers and keeps what is queued.
        (Some(wanted), _) => tc_batch(&[tc_line(device, &wanted)]).await,
    }
}

fn tc_line(device: &str, bucket: &TokenBucket) -> String {
    let TokenBucket { rate, burst, peak, queue } = bucket;
    let mut line = format!(
        "qdisc replace dev {device} root handle 1: tbf rate {}bit burst {burst} limit {queue}",
        rate * 8
    );
    if let Some((peak, peak_bucket)) = peak {
        line += &format!(" peakrate {}bit mtu {peak_bucket}", peak * 8);
    }
    line
}

fn root(device: &str) -> anyhow::Result<Option<TokenBucket>> {
    Ok(netlink::qdiscs(device)?.into_iter().find(|qdisc| qdisc.root).and_then(|qdisc| qdisc.bucket))
}

/// Equal but for rounding, see [`same_size`].
fn same(wanted: &TokenBucket, now: &TokenBucket) -> bool {
    let peak = match (wanted.peak, now.peak) {
        (None, None) => true,
        (Some(wanted), Some(now)) => wanted.0 == now.0 && same_size(wanted.1, now.1, wanted.0),
        _ => false,
    };
    wanted.rate == now.rate
        && wanted.queue == now.queue
        && peak
        && same_size(wanted.burst, now.burst, wanted.rate)
}

/// Equal but for rounding: `tc` takes a size as the time that it lasts at the rate, in whole microseconds, and the
/// kernel in ticks of 64 ns.
pub fn same_size(wanted: u64, now: u64, rate: u64) -> bool {
    const NANOSECONDS: u64 = 1000 + 2 * 64;
    wanted.abs_diff(now) <= 2 + rate * NANOSECONDS / 1_000_000_000
}

/// The buckets in force: towards the guest, and from it.
pub async fn in_force(tap: &str, ifb: &str) -> anyhow::Result<[Option<TokenBucket>; 2]> {
    let redirected = from_guest(tap, ifb).found().await? == redirect::Found::Same;
    Ok([root(tap)?, if redirected { root(ifb)? } else { None }])
}

/// Packets that the limits dropped: towards the guest, and from it.
pub fn dropped(tap: &str, ifb: &str) -> anyhow::Result<[u64; 2]> {
    let dropped = |device| -> anyhow::Result<u64> {
        let root = netlink::qdiscs(device)?.into_iter().find(|qdisc| qdisc.root && qdisc.bucket.is_some());
        Ok(root.map_or(0, |qdisc| qdisc.dropped.into()))
    };
    Ok([dropped(tap)?, dropped(ifb)?])
}

/// What one direction really has, in the words of the policy, and which fields differ from `wanted`.
///
/// A field that is in force reads back as it was written: a peak equal to the average, or a burst
/// left to its default, has no other trace in the kernel.
pub fn describe(
    now: Option<TokenBucket>,
    uplink: &Found,
    wanted: &NetworkLimits,
) -> (NetworkLimits, Vec<&'static str>) {
    let should = bucket(wanted);
    let rate = |bytes: u64| KbitPerSec(bytes / 125);
    let peak =
        |bucket: Option<TokenBucket>| bucket.map(|bucket| bucket.peak.map_or(bucket.rate, |(rate, _)| rate));
    let burst = |bucket: Option<TokenBucket>| {
        bucket.filter(|bucket| bucket.peak.is_some()).map(|bucket| bucket.burst)
    };

    let average_holds = should.map(|bucket| bucket.rate) == now.map(|bucket| bucket.rate);
    let peak_holds = peak(should) == peak(now);
    let burst_holds = match (burst(should), burst(now)) {
        (None, None) => true,
        (Some(should), Some(is)) => same_size(should, is, now.map_or(0, |bucket| bucket.rate)),
        _ => false,
    };
    let ((reservation, reservation_differs), (shares, shares_differ)) = tree::describe(uplink, wanted);
    let found = NetworkLimits {
        reservation,
        average: if average_holds { wanted.average } else { now.map(|bucket| rate(bucket.rate)) },
        peak: if peak_holds { wanted.peak } else { peak(now).map(rate) },
        burst: if burst_holds { wanted.burst } else { burst(now).map(|bytes| KiB(bytes / 1024)) },
        shares,
    };
    let fields = [
        ("reservation", reservation_differs),
        ("average", !average_holds),
        ("peak", !peak_holds),
        ("burst", !burst_holds),
        ("shares", shares_differ),
    ];
    (found, fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests;
