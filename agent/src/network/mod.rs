//! The network of the guests of this host: taps, filters and shaping.
//!
//! Everything is read from the kernel and nothing is remembered: devices carry the instance they
//! belong to as their alias, rules stand in tables of our own, and rates are in the queues.  So the
//! agent may stop and start at any time, and a second `attach` with the same arguments changes
//! nothing.
//!
//! ```text
//!            attach: tap made (down) -> class -> rules -> shaping -> tap up -> routes, neighbours
//!   absent <---------------------------------------------------------------------------------> attached
//!            detach: tap down -> shaping, rules, class removed -> tap removed
//! ```
//!
//! The tap is the last thing to go, because its alias is the record that something is left.

mod closed;
mod command;
mod firewall;
mod names;
mod netlink;
mod probe;
mod redirect;
mod shaping;
mod taps;
mod tree;

#[cfg(test)]
mod netns;

pub use names::Mac;
pub use taps::{GATEWAY_V4, GATEWAY_V6};

use anyhow::Context;
use closed::Closed;
use ipnet::IpNet;
use jst_policy::instance::NetworkPolicy;
use jst_policy::placement::Capability;
use jst_policy::units::KbitPerSec;
use jst_protocol::desired::{Firewall, Interface};
use jst_protocol::report::AbsentCapability;
use names::{Port, Prefix};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use taps::Device;
use tokio::sync::Mutex;
use tree::{Slot, Slots, Tree};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// 1 to 4 lower-case letters and digits: the first part of the names of devices and tables, so
    /// that several agents can share a machine.
    pub prefix: String,
    /// The device to the outside.  Absent: that of the default route, or none.
    pub uplink: Option<String>,
    /// What the uplink carries in each direction.  Absent: what the device says of itself.
    pub uplink_kbit: Option<KbitPerSec>,
    /// Where the kernel shows devices.
    pub sysfs_root: PathBuf,
    /// Translate guests' addresses on their way out, for a host to which no addresses are routed.
    pub nat: bool,
    /// Private networks, and networks on the host's links, that guests may reach all the same.
    pub guests_may_reach: Vec<IpNet>,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            prefix: "jst".to_owned(),
            uplink: None,
            uplink_kbit: None,
            sysfs_root: "/sys".into(),
            nat: false,
            guests_may_reach: Vec::new(),
        }
    }
}

/// The uplink that settings lead to on this machine now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    pub device: Option<String>,
    /// Absent where nobody says it.
    pub link: Option<KbitPerSec>,
}

impl NetworkSettings {
    pub async fn uplink(&self) -> anyhow::Result<Uplink> {
        let device = match &self.uplink {
            Some(uplink) => Some(uplink.clone()),
            None => default_uplink().await?,
        };
        let says = |device: &String| KbitPerSec(crate::facts::uplink_kbit(&self.sysfs_root, device));
        let link = self.uplink_kbit.or_else(|| device.as_ref().map(says));
        Ok(Uplink { device, link: link.filter(|link| *link > KbitPerSec::ZERO) })
    }

    async fn closed(&self) -> anyhow::Result<Closed> {
        let connected = if self.nat { closed::connected().await? } else { Vec::new() };
        Ok(Closed::new(self.nat, &connected, &self.guests_may_reach))
    }
}

/// What is in force for one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkReadBack {
    /// The monthly quota is the wanted one: it is metered by the server, not kept by the host.
    pub policy: NetworkPolicy,
    /// Fields that differ, such as `network.inbound.peak`; `firewall` when rules are missing.
    pub drift: Vec<String>,
}

/// Bytes of Ethernet frames since the taps were made, which is since the instance came to this host
/// or the host started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkCounters {
    /// Towards the guest.
    pub in_bytes: u64,
    /// From the guest, before its own limit drops what is too much.
    pub out_bytes: u64,
    /// Packets that the limits dropped.
    pub in_dropped: u64,
    pub out_dropped: u64,
}

#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    prefix: Prefix,
    uplink: Uplink,
    /// Absent where the uplink's rate is not known, or the kernel cannot divide it.
    tree: Option<Tree>,
    nat: bool,
    closed: Closed,
    probed: probe::Probed,
    /// One change at a time: a change reads what is there and then writes what is missing.
    changing: Mutex<()>,
}

impl Network {
    /// Prepares the host: forwarding, tables and base chains, and the division of the uplink.  Takes over
    /// what an earlier agent with the same prefix left.
    pub async fn open(settings: NetworkSettings) -> anyhow::Result<Network> {
        let prefix = Prefix::new(&settings.prefix)?;
        let uplink = settings.uplink().await?;
        prepare_host(uplink.device.as_deref(), settings.nat)?;
        let mut probed = probe::probe(&prefix).await;
        let divided = divide(&prefix, &uplink, probed.fair_queues).await;
        let tree = match &divided {
            Ok(tree) => Some(tree.clone()),
            Err(_) => {
                tree::remove(&prefix, uplink.device.as_deref()).await.context("removing the old trees")?;
                None
            }
        };
        probed.record(Capability::NetworkShares, divided.map(drop));
        let closed = settings.closed().await.context("networks on the host's links")?;
        let (nat, changing) = (settings.nat, Mutex::new(()));
        let network = Network(Arc::new(Inner { prefix, uplink, tree, nat, closed, probed, changing }));
        firewall::commit(&network.0.base_script()).await.context("base rules")?;
        if let Some(tree) = &network.0.tree {
            tree.remove_strays().await.context("classes that nobody has")?;
        }
        Ok(network)
    }

    /// Whether opening with these settings would lead to the same.
    pub async fn is_of(&self, settings: &NetworkSettings) -> anyhow::Result<bool> {
        let same = settings.prefix == self.0.prefix.as_str() && settings.nat == self.0.nat;
        Ok(same && settings.uplink().await? == self.0.uplink && settings.closed().await? == self.0.closed)
    }

    /// The device to the outside, and what it carries.
    pub fn uplink(&self) -> &Uplink {
        &self.0.uplink
    }

    /// At most 15 bytes, and the same for ever.
    pub fn tap_name(&self, instance: Uuid, index: u32) -> String {
        self.0.prefix.tap(instance, index)
    }

    /// Makes the interfaces of an instance be as described, whatever they are now.  Serves the first
    /// time and every change while the guest runs.
    pub async fn attach(
        &self,
        instance: Uuid,
        interfaces: &[Interface],
        policy: &NetworkPolicy,
        firewall: &Firewall,
    ) -> anyhow::Result<()> {
        let inner = &*self.0;
        let ports = interfaces
            .iter()
            .map(|interface| Port::new(&inner.prefix, instance, interface))
            .collect::<anyhow::Result<Vec<Port>>>()?;
        let _one = inner.changing.lock().await;
        let existing = taps::devices(&inner.prefix).await?;
        for port in &ports {
            taps::prepare(port, &existing).await.context("preparing the tap")?;
        }
        let slots = inner.slots().await?;
        let class = inner.set_class(instance, &slots, policy).await.context("dividing the uplink")?;
        let script =
            inner.base_script() + &firewall::attach_script(&inner.prefix, &ports, firewall, class, &slots);
        firewall::commit(&script).await.context("installing the filter")?;
        for port in &ports {
            shaping::apply(&inner.prefix, port, policy, class.is_some()).await.context("shaping")?;
            taps::bring_up(port, inner.proxy_uplink()).await.context("bringing the tap up")?;
        }
        let kept: BTreeSet<&str> = ports.iter().map(|port| port.tap.as_str()).collect();
        let surplus = inner.taps_of(&existing, instance).filter(|tap| !kept.contains(tap.as_str())).collect();
        inner.remove(surplus, &existing, &slots).await.context("removing interfaces that are gone")
    }

    /// Removes everything of an instance.  Nothing to remove is fine.
    pub async fn detach(&self, instance: Uuid) -> anyhow::Result<()> {
        let inner = &*self.0;
        let _one = inner.changing.lock().await;
        let existing = taps::devices(&inner.prefix).await?;
        let mut doomed: BTreeSet<String> = inner.taps_of(&existing, instance).collect();
        // Rules whose tap somebody else removed can only be found by the name they would have.
        doomed.extend((0..FORGOTTEN_INTERFACES).map(|index| inner.prefix.tap(instance, index)));
        let slots = inner.slots().await?;
        let classes: BTreeSet<Slot> = doomed.iter().filter_map(|tap| slots.get(tap).copied()).collect();
        inner.remove(doomed, &existing, &slots).await?;
        for class in classes {
            if let Some(tree) = &inner.tree {
                tree.remove_class(class).await.context("removing the class")?;
            }
        }
        Ok(())
    }

    /// What the kernel enforces for an attached instance, compared with `wanted`.
    pub async fn read_back(&self, instance: Uuid, wanted: &NetworkPolicy) -> anyhow::Result<NetworkReadBack> {
        let inner = &*self.0;
        let existing = taps::devices(&inner.prefix).await?;
        let filtered = firewall::filtered(&inner.prefix).await?;
        let taps: BTreeSet<String> = inner.taps_of(&existing, instance).collect();
        let [into, out] = inner.share_in_force(instance, &taps, wanted).await?;
        let mut policy = None;
        let mut drift = BTreeSet::new();
        // Interface 0 is the public one and names the policy; drift of any other counts as well.
        for tap in taps {
            let device = existing.iter().find(|device| device.name == tap);
            let index = device.and_then(|device| device.owner).map_or(0, |(_, index)| index);
            if device.is_none_or(|device| !device.up) {
                drift.insert("network".to_owned());
            }
            if !filtered.contains(&tap) {
                drift.insert("firewall".to_owned());
            }
            let [to_guest, from_guest] = shaping::in_force(&tap, &inner.prefix.ifb(instance, index)).await?;
            let (inbound, inbound_drift) = shaping::describe(to_guest, &into, &wanted.inbound);
            let (outbound, outbound_drift) = shaping::describe(from_guest, &out, &wanted.outbound);
            drift.extend(inbound_drift.into_iter().map(|field| format!("network.inbound.{field}")));
            drift.extend(outbound_drift.into_iter().map(|field| format!("network.outbound.{field}")));
            if index == 0 || policy.is_none() {
                policy = Some(NetworkPolicy { inbound, outbound, monthly_quota: wanted.monthly_quota });
            }
        }
        let policy = policy.with_context(|| format!("instance {instance} is not attached"))?;
        Ok(NetworkReadBack { policy, drift: drift.into_iter().collect() })
    }

    /// All interfaces together; zero when nothing is attached.
    pub async fn counters(&self, instance: Uuid) -> anyhow::Result<NetworkCounters> {
        let mut counters = NetworkCounters::default();
        for device in taps::devices(&self.0.prefix).await? {
            let Some((owner, index)) = device.owner else { continue };
            if owner == instance && device.name == self.0.prefix.tap(instance, index) {
                // What the host sends into the tap is what the guest receives.
                counters.in_bytes += device.sent_bytes;
                counters.out_bytes += device.received_bytes;
                let [into, out] = shaping::dropped(&device.name, &self.0.prefix.ifb(instance, index))?;
                counters.in_dropped += into;
                counters.out_dropped += out;
            }
        }
        Ok(counters)
    }

    /// Packets from the public addresses of an attached instance since its rules were written; absent where
    /// they are not counted.
    pub async fn packets(&self, instance: Uuid) -> anyhow::Result<Option<u64>> {
        firewall::packets(&self.0.prefix, &self.0.prefix.tap(instance, 0)).await
    }

    /// The instances that have any device on this host.
    pub async fn attached(&self) -> anyhow::Result<Vec<Uuid>> {
        let devices = taps::devices(&self.0.prefix).await?;
        let owners: BTreeSet<Uuid> = devices.iter().filter_map(|device| Some(device.owner?.0)).collect();
        Ok(owners.into_iter().collect())
    }

    /// What this host's network can do, and what it cannot and why; tried when it was opened.
    pub fn capabilities(&self) -> (Vec<String>, Vec<AbsentCapability>) {
        (self.0.probed.present.clone(), self.0.probed.absent.clone())
    }
}

/// Interfaces whose rules `detach` looks for without any trace of them.
const FORGOTTEN_INTERFACES: u32 = 2;

impl Inner {
    /// Addresses that are translated on the way out are nobody's to answer for.
    fn proxy_uplink(&self) -> Option<&str> {
        self.uplink.device.as_deref().filter(|_| !self.nat)
    }

    fn base_script(&self) -> String {
        firewall::base_script(&self.prefix, self.nat, &self.closed, self.tree.as_ref().map(Tree::uplink))
    }

    /// Which taps are of which class; none where nothing is divided.
    async fn slots(&self) -> anyhow::Result<Slots> {
        if self.tree.is_none() {
            return Ok(Slots::new());
        }
        match tree::slots(&self.prefix).await {
            Ok(slots) => Ok(slots),
            // Somebody may have flushed the rules, and the map with them.
            Err(_) => {
                firewall::commit(&self.base_script()).await.context("base rules")?;
                tree::slots(&self.prefix).await
            }
        }
    }

    /// Makes the trees and the classes of an instance be as its policy says.
    async fn set_class(
        &self,
        instance: Uuid,
        slots: &Slots,
        policy: &NetworkPolicy,
    ) -> anyhow::Result<Option<Slot>> {
        let Some(tree) = &self.tree else { return Ok(None) };
        tree.ensure().await?;
        // Its first interface has the class, and keeps it as long as it is attached.
        let slot = slots.get(&self.prefix.tap(instance, 0)).copied();
        let slot = slot.or_else(|| Slot::choose(instance, slots)).context("all classes are taken")?;
        tree.set_class(slot, policy).await?;
        Ok(Some(slot))
    }

    /// What an instance has of the uplink: towards it, and from it.
    async fn share_in_force(
        &self,
        instance: Uuid,
        taps: &BTreeSet<String>,
        wanted: &NetworkPolicy,
    ) -> anyhow::Result<[tree::Found; 2]> {
        let Some(tree) = &self.tree else { return Ok([tree::Found::NoTree; 2]) };
        let slots = tree::slots(&self.prefix).await?;
        let slot = slots.get(&self.prefix.tap(instance, 0)).copied();
        let [_, down] = tree::devices(&self.prefix);
        let mut passes = tree::classifies(&self.prefix).await?;
        for tap in taps {
            let redirected = tree::tap_redirect(&self.prefix, tap, &down).found().await?;
            passes &= slots.get(tap).copied() == slot && redirected == redirect::Found::Same;
        }
        tree.in_force(slot, passes, wanted).await
    }

    /// The taps of an instance, and those that belong to a left-over of its shaping.
    fn taps_of<'a>(&'a self, existing: &'a [Device], instance: Uuid) -> impl Iterator<Item = String> + 'a {
        let owned = existing.iter().filter_map(|device| device.owner);
        owned.filter(move |(owner, _)| *owner == instance).map(|(owner, index)| self.prefix.tap(owner, index))
    }

    async fn remove(
        &self,
        doomed: BTreeSet<String>,
        existing: &[Device],
        slots: &Slots,
    ) -> anyhow::Result<()> {
        if doomed.is_empty() {
            return Ok(());
        }
        let present: Vec<&String> =
            doomed.iter().filter(|tap| existing.iter().any(|device| device.name == **tap)).collect();
        // Down first: without its queue the guest would have no limit for a moment.
        for tap in &present {
            taps::take_down(tap, self.proxy_uplink()).await?;
        }
        for tap in &doomed {
            shaping::remove(tap, &ifb_of(tap, &self.prefix)).await?;
        }
        let script = self.base_script() + &firewall::detach_script(&self.prefix, &doomed, slots);
        firewall::commit(&script).await.context("removing the filter")?;
        for tap in present {
            taps::delete(tap).await?;
        }
        Ok(())
    }
}

/// Both names hold the same hash and differ in one letter.
fn ifb_of(tap: &str, prefix: &Prefix) -> String {
    let hash = &tap[prefix.as_str().len() + "-t".len()..];
    format!("{}-i{hash}", prefix.as_str())
}

/// The trees of this host, made anew or taken over; or why it has none.
async fn divide(prefix: &Prefix, uplink: &Uplink, fair_queues: bool) -> anyhow::Result<Tree> {
    let device = uplink.device.as_deref().context("the host has no uplink")?;
    let link = uplink.link.with_context(|| {
        format!("how fast {device} is, is not known: uplink_kbit in the agent's configuration says it")
    })?;
    let tree = Tree::new(prefix, device, link, fair_queues);
    tree.ensure().await?;
    Ok(tree)
}

async fn default_uplink() -> anyhow::Result<Option<String>> {
    let mut routes = command::ip_json(&["-4", "route", "show", "default"]).await?;
    if taps::ipv6_present() {
        routes.extend(command::ip_json(&["-6", "route", "show", "default"]).await?);
    }
    Ok(routes.iter().find_map(|route| route["dev"].as_str()).map(str::to_owned))
}

fn prepare_host(uplink: Option<&str>, nat: bool) -> anyhow::Result<()> {
    if taps::ipv6_present() {
        if let Some(uplink) = uplink {
            // A forwarding host stops listening to router advertisements and would lose its own
            // default route; 2 keeps listening.
            let path = format!("/proc/sys/net/ipv6/conf/{uplink}/accept_ra");
            if std::fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1") {
                taps::set_sysctl(&format!("ipv6/conf/{uplink}/accept_ra"), "2")?;
            }
            if !nat {
                taps::set_sysctl(&format!("ipv6/conf/{uplink}/proxy_ndp"), "1")?;
                taps::set_sysctl(&format!("ipv6/neigh/{uplink}/proxy_delay"), "0")?;
            }
        }
        taps::set_sysctl("ipv6/conf/all/forwarding", "1")?;
    }
    if let Some(uplink) = uplink.filter(|_| !nat) {
        // The uplink answers for guests' addresses, at once instead of within 0.8 s.
        taps::set_sysctl(&format!("ipv4/neigh/{uplink}/proxy_delay"), "0")?;
    }
    taps::set_sysctl("ipv4/ip_forward", "1")
}
