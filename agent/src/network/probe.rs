//! What the host's kernel can do, found out by doing it.
//!
//! A module that is listed may not load, and one that is not listed may be built in, so each
//! capability is tried on a device of its own that is removed again.

use super::command::{ip_batch, tc_batch};
use super::names::Prefix;
use super::redirect::{Redirect, Side, Which};
use super::taps;
use jst_policy::placement::Capability;
use jst_protocol::report::AbsentCapability;

#[derive(Clone, Debug, Default)]
pub struct Probed {
    pub present: Vec<String>,
    pub absent: Vec<AbsentCapability>,
    /// Queues that are fair among the connections of one guest.
    pub fair_queues: bool,
}

pub async fn probe(prefix: &Prefix) -> Probed {
    let mut probed = Probed::default();
    probed.record(Capability::NetworkShaping, shaping(prefix).await);
    probed.fair_queues = tried(prefix, &["qdisc add dev DEVICE root fq_codel".to_owned()]).await.is_ok();
    probed.record(
        Capability::Ipv6,
        if taps::ipv6_present() { Ok(()) } else { Err(anyhow::anyhow!("IPv6 is off or not in the kernel")) },
    );
    probed
}

impl Probed {
    pub fn record(&mut self, capability: Capability, outcome: anyhow::Result<()>) {
        let capability = capability.name().to_owned();
        match outcome {
            Ok(()) => self.present.push(capability),
            Err(error) => {
                self.absent.push(AbsentCapability { capability, reason: format!("{error:#}") });
            }
        }
    }
}

/// A redirect into a device with a token bucket, as every limited tap has it.
async fn shaping(prefix: &Prefix) -> anyhow::Result<()> {
    let device = device(prefix);
    let redirect =
        Redirect { device: &device, side: Side::Ingress, preference: 1, which: Which::Every, to: &device };
    tried(
        prefix,
        &[
            "qdisc add dev DEVICE root handle 1: tbf rate 8mbit burst 16384 limit 65536 peakrate 16mbit mtu 4096".to_owned(),
            "qdisc add dev DEVICE clsact".to_owned(),
            redirect.add(),
        ],
    )
    .await
}

fn device(prefix: &Prefix) -> String {
    // "-p" begins no tap and no queue, so `attached` never sees it.
    format!("{}-probe", prefix.as_str())
}

/// Runs commands on a device that is made for them and removed again.
async fn tried(prefix: &Prefix, commands: &[String]) -> anyhow::Result<()> {
    let device = device(prefix);
    let remove = [format!("link del dev {device}")];
    // Of a run that was cut off.
    let _ = ip_batch(&remove).await;
    ip_batch(&[format!("link add {device} type ifb")]).await?;
    let commands: Vec<String> = commands.iter().map(|line| line.replace("DEVICE", &device)).collect();
    let outcome = tc_batch(&commands).await;
    ip_batch(&remove).await?;
    outcome
}
