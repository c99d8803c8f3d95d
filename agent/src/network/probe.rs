//! What the host's kernel can do, found out by doing it.
//!
//! A module that is listed may not load, and one that is not listed may be built in, so each
//! capability is tried on a device of its own that is removed again.

use super::command::{ip_batch, tc_batch};
use super::names::Prefix;
use super::taps;
use jst_protocol::report::AbsentCapability;

#[derive(Clone, Debug, Default)]
pub struct Probed {
    pub present: Vec<String>,
    pub absent: Vec<AbsentCapability>,
}

/// Names as the server knows them.
const SHAPING: &str = "network_shaping";
const IPV6: &str = "ipv6";

pub async fn probe(prefix: &Prefix) -> Probed {
    let mut probed = Probed::default();
    probed.record(SHAPING, shaping(prefix).await);
    probed.record(
        IPV6,
        if taps::ipv6_present() { Ok(()) } else { Err(anyhow::anyhow!("IPv6 is off or not in the kernel")) },
    );
    probed
}

impl Probed {
    fn record(&mut self, capability: &str, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.present.push(capability.to_owned()),
            Err(error) => self
                .absent
                .push(AbsentCapability { capability: capability.to_owned(), reason: format!("{error:#}") }),
        }
    }
}

/// A redirect into a device with a token bucket, as every limited tap has it.
async fn shaping(prefix: &Prefix) -> anyhow::Result<()> {
    // "-p" begins no tap and no queue, so `attached` never sees it.
    let device = format!("{}-probe", prefix.as_str());
    let remove = [format!("link del dev {device}")];
    // Of a run that was cut off.
    let _ = ip_batch(&remove).await;
    ip_batch(&[format!("link add {device} type ifb")]).await?;
    let tried = tc_batch(&[
        format!("qdisc add dev {device} root handle 1: tbf rate 8mbit burst 16384 limit 65536 peakrate 16mbit mtu 4096"),
        format!("qdisc add dev {device} handle ffff: ingress"),
        format!(
            "filter add dev {device} parent ffff: protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev {device}"
        ),
    ])
    .await;
    ip_batch(&remove).await?;
    tried
}
