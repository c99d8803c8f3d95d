//! Dividing the uplink among the instances, in both directions: reservations first, the rest by shares,
//! what one leaves to the others, as `jst_policy::divide` says it.
//!
//! ```text
//! from guests:  tap -> forward -> postrouting [class, mark] -> uplink egress --redirect--> PREFIX-up [htb] --> uplink
//! to guests:    uplink -> forward -> postrouting [class, mark] -> tap egress --redirect--> PREFIX-down [htb] --> tap [tbf]
//! ```
//!
//! The trees stand on two devices of our own and not on the uplink, whose root is left as it is: on a
//! server it has one queue a processor, which one tree would tie together, it may be the operator's, and
//! another agent may share the machine.  What the host itself sends, this agent's link to the server too,
//! never meets a tree, so nothing that guests do or that we get wrong can starve it.
//!
//! One class an instance serves all its interfaces.  The kernel's own division is the wanted one: a
//! class may send at `rate`, its reservation, before anybody borrows; what is left of the root's rate is
//! borrowed by deficit round robin, a `quantum` a turn, and quanta stand as shares do.  What an idle class
//! leaves is borrowed in the next turn.  Nothing about one class depends on the others, so to attach an
//! instance is to add two classes, however many there are.
//!
//! nftables writes the class into the packet's priority, by one look into a map of taps, and the tree finds
//! the class by that number in a hash table: no filter is walked.  It happens in postrouting, because
//! forwarding sets the priority anew from the type of service.  Only what passes the uplink is marked for
//! the redirect, so what guests of one host send each other is not counted.

mod figures;

use super::command::{ip_batch, run, tc_batch};
use super::names::Prefix;
use super::netlink::{self, HtbClass};
use super::redirect::{self, Redirect, Side, Which};
use anyhow::Context;
pub use figures::{Found, describe};
use jst_policy::instance::NetworkPolicy;
use jst_policy::units::KbitPerSec;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// Packets that pass unclassified, because somebody deleted a class, before they are dropped.  The
/// device's own queue length, 32, would be the default.
const UNCLASSIFIED: u32 = 1000;
/// The class below the root that holds the whole uplink.
const WHOLE: u16 = 1;
/// The place of the redirect among the filters of a tap.
const TAP_PREFERENCE: u16 = 1;

/// The trees of this host.
#[derive(Clone, Debug)]
pub struct Tree {
    prefix: Prefix,
    uplink: String,
    pub link: KbitPerSec,
    /// The queue below each class: `fq_codel` where the kernel has it.
    fair_leaves: bool,
}

/// An instance's classes, by the lower half of their id.  It is a multiple of 16: the priority stays on
/// the packet, and a plain queue of the uplink would take the last four bits for a level of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u16);

/// Which taps are of which class, as the kernel's map has it.
pub type Slots = BTreeMap<String, Slot>;

impl Tree {
    pub fn new(prefix: &Prefix, uplink: &str, link: KbitPerSec, fair_leaves: bool) -> Self {
        Self { prefix: prefix.clone(), uplink: uplink.to_owned(), link, fair_leaves }
    }

    pub fn uplink(&self) -> &str {
        &self.uplink
    }

    /// Makes what does not depend on any instance.  What is in force is left alone.
    pub async fn ensure(&self) -> anyhow::Result<()> {
        let [up, down] = devices(&self.prefix);
        for (device, way) in [(&up, "up"), (&down, "down")] {
            self.ensure_root(device, way).await.with_context(|| format!("the tree on {device}"))?;
        }
        let mut lines = Vec::new();
        if !redirect::hooked(&self.uplink)? {
            // Refused where the operator has an ingress queue there: it is not ours to replace.
            lines.push(format!("qdisc add dev {} clsact", self.uplink));
        }
        lines.extend(redirect::converge(&uplink_redirect(&self.prefix, &self.uplink, &up), true).await?);
        tc_batch(&lines).await.context("the redirect of the uplink")
    }

    async fn ensure_root(&self, device: &str, way: &str) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        if !netlink::exists(device)? {
            lines.push(format!("link add {device} type ifb"));
            lines.push(format!("link set dev {device} alias {}:uplink:{way}", self.prefix.as_str()));
            lines.push(format!("link set dev {device} addrgenmode none"));
            // How much it takes over in one go; the default of 32 costs throughput.
            lines.push(format!("link set dev {device} txqueuelen {UNCLASSIFIED}"));
        }
        lines.push(format!("link set dev {device} up"));
        ip_batch(&lines).await?;
        let major = major(&self.prefix);
        let root = netlink::qdiscs(device)?.into_iter().find(|qdisc| qdisc.root);
        let mut lines = Vec::new();
        if root.is_none_or(|root| root.kind != "htb" || root.handle != u32::from(major) << 16) {
            // What has no class is passed on at once, before everybody: nothing is lost by a mistake.
            lines.push(format!(
                "qdisc replace dev {device} root handle {major:x}: htb default 0 direct_qlen {UNCLASSIFIED}"
            ));
        }
        let wanted = figures::whole(self.link);
        let now = netlink::class(device, self.id(WHOLE))?;
        // The new root of a device has no classes, whatever the old one had.
        if !lines.is_empty() || now.is_none_or(|now| !figures::same(&wanted, &now, true)) {
            lines.push(self.class_line(device, &format!("{major:x}:"), WHOLE, &wanted));
        }
        tc_batch(&lines).await
    }

    /// Makes or changes the classes of an instance; what they have queued stays.
    pub async fn set_class(&self, slot: Slot, policy: &NetworkPolicy) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for (device, wanted) in self.wanted(policy) {
            let now = netlink::class(&device, self.id(slot.0))?;
            if now.is_none_or(|now| !figures::same(&wanted, &now, false)) {
                let parent = format!("{:x}:{WHOLE:x}", major(&self.prefix));
                lines.push(self.class_line(&device, &parent, slot.0, &wanted));
            }
            if now.is_none() || !self.leaf_in_force(&device, slot, &wanted)? {
                let queue = figures::queue(&wanted);
                let leaf = match self.fair_leaves {
                    true => format!("fq_codel memory_limit {queue}"),
                    false => format!("bfifo limit {queue}"),
                };
                lines.push(format!("qdisc replace dev {device} parent {} {leaf}", self.text(slot)));
            }
        }
        tc_batch(&lines).await
    }

    /// Takes the classes away, with what they have queued.
    pub async fn remove_class(&self, slot: Slot) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for device in devices(&self.prefix) {
            if netlink::class(&device, self.id(slot.0))?.is_some() {
                lines.push(format!("class del dev {device} classid {}", self.text(slot)));
            }
        }
        tc_batch(&lines).await
    }

    /// Removes classes that no tap is of: left by an agent that was killed between two steps, or by
    /// somebody who flushed the rules.
    pub async fn remove_strays(&self) -> anyhow::Result<()> {
        let known: HashSet<u32> =
            slots(&self.prefix).await?.values().map(|slot| self.id(slot.0)).chain([self.id(WHOLE)]).collect();
        let mut lines = Vec::new();
        for device in devices(&self.prefix) {
            for id in netlink::class_ids(&device)?.into_iter().filter(|id| !known.contains(id)) {
                lines.push(format!("class del dev {device} classid {:x}:{:x}", id >> 16, id & 0xffff));
            }
        }
        tc_batch(&lines).await
    }

    /// What is in force for one class: towards the guest, and from it.  `passes` tells whether the
    /// packets of every tap really go that way.
    pub async fn in_force(
        &self,
        slot: Option<Slot>,
        passes: bool,
        policy: &NetworkPolicy,
    ) -> anyhow::Result<[Found; 2]> {
        let mut found = [Found::Unclassified; 2];
        let (Some(slot), true) = (slot, passes) else { return Ok(found) };
        let [up, _] = devices(&self.prefix);
        let redirected =
            uplink_redirect(&self.prefix, &self.uplink, &up).found().await? == redirect::Found::Same;
        for ((device, wanted), found) in self.wanted(policy).into_iter().zip(&mut found) {
            let whole = netlink::class(&device, self.id(WHOLE))?;
            let expected = figures::whole(self.link);
            let kept = whole.is_some_and(|whole| figures::same(&expected, &whole, true));
            let way = kept && (redirected || device != up);
            if let (true, Some(now)) = (way, netlink::class(&device, self.id(slot.0))?) {
                *found = Found::Class { now, wanted, leaf: self.leaf_in_force(&device, slot, &wanted)? };
            }
        }
        Ok(found)
    }

    /// Devices and figures: towards the guests, and from them.
    fn wanted(&self, policy: &NetworkPolicy) -> [(String, HtbClass); 2] {
        let [up, down] = devices(&self.prefix);
        let class = |limits| figures::class(limits, self.link, self.id(WHOLE));
        [(down, class(&policy.inbound)), (up, class(&policy.outbound))]
    }

    fn leaf_in_force(&self, device: &str, slot: Slot, wanted: &HtbClass) -> anyhow::Result<bool> {
        let Some(leaf) = netlink::leaf(device, self.id(slot.0))? else { return Ok(false) };
        Ok(match self.fair_leaves {
            true => leaf.kind == "fq_codel",
            false => leaf.kind == "bfifo" && leaf.limit == u32::try_from(figures::queue(wanted)).ok(),
        })
    }

    fn id(&self, minor: u16) -> u32 {
        u32::from(major(&self.prefix)) << 16 | u32::from(minor)
    }

    fn text(&self, slot: Slot) -> String {
        slot.text(&self.prefix)
    }

    fn class_line(&self, device: &str, parent: &str, minor: u16, class: &HtbClass) -> String {
        let HtbClass { parent: _, rate, ceil, burst, ceil_burst, quantum } = class;
        format!(
            "class replace dev {device} parent {parent} classid {:x}:{minor:x} htb rate {}bit ceil {}bit \
             burst {burst} cburst {ceil_burst} quantum {quantum}",
            major(&self.prefix),
            rate * 8,
            ceil * 8
        )
    }
}

impl Slot {
    const COUNT: u16 = 4095;

    /// As `tc` and `nft` write it.
    pub fn text(self, prefix: &Prefix) -> String {
        format!("{:x}:{:x}", major(prefix), self.0)
    }

    /// A free one for an instance; none when the host has 4,095 instances.  The same instance prefers
    /// the same one, so that rules that were lost and made anew mostly meet the class they had.
    pub fn choose(instance: Uuid, taken: &Slots) -> Option<Self> {
        let taken: HashSet<Self> = taken.values().copied().collect();
        let digest = Sha256::digest(instance.as_bytes());
        let first = u16::from_be_bytes([digest[0], digest[1]]) % Self::COUNT;
        (0..Self::COUNT)
            .map(|step| Self(((first + step) % Self::COUNT + 1) * 16))
            .find(|slot| !taken.contains(slot))
    }
}

/// The devices of the trees: of what leaves by the uplink, and of what arrives by it.  They begin neither
/// as taps nor as their queues do, so `attached` never sees them.
pub fn devices(prefix: &Prefix) -> [String; 2] {
    ["up", "down"].map(|way| format!("{}-{way}", prefix.as_str()))
}

/// The handle of both trees, the upper half of the mark, and the place of our filter on the uplink.
///
/// It differs from agent to agent of one machine, and lies where neither people (1:, 10:) nor the kernel
/// (8000: and above) number things.
pub fn major(prefix: &Prefix) -> u16 {
    let digest = Sha256::digest(prefix.as_str().as_bytes());
    0x4000 | u16::from_be_bytes([digest[0], digest[1]]) & 0x3fff
}

fn uplink_redirect<'a>(prefix: &Prefix, uplink: &'a str, up: &'a str) -> Redirect<'a> {
    let number = major(prefix);
    Redirect { device: uplink, side: Side::Egress, preference: number, which: Which::Marked(number), to: up }
}

/// Sends what came by the uplink, and is on its way to a guest, through the tree.
pub fn tap_redirect<'a>(prefix: &Prefix, tap: &'a str, down: &'a str) -> Redirect<'a> {
    Redirect {
        device: tap,
        side: Side::Egress,
        preference: TAP_PREFERENCE,
        which: Which::Marked(major(prefix)),
        to: down,
    }
}

/// Removes the trees, for a host whose uplink has no known rate any more.
pub async fn remove(prefix: &Prefix, uplink: Option<&str>) -> anyhow::Result<()> {
    let [up, down] = devices(prefix);
    if let Some(uplink) = uplink {
        // The hook stays: it costs nothing, and others may have filters on it by now.
        tc_batch(&redirect::converge(&uplink_redirect(prefix, uplink, &up), false).await?).await?;
    }
    let mut lines = Vec::new();
    for device in [up, down] {
        if netlink::exists(&device)? {
            lines.push(format!("link del dev {device}"));
        }
    }
    ip_batch(&lines).await
}

/// The map of taps, as it is in force.
pub async fn slots(prefix: &Prefix) -> anyhow::Result<Slots> {
    let text = run("nft", &["-j", "list", "map", "inet", prefix.as_str(), "classes"], "").await?;
    Ok(parse_slots(prefix, &serde_json::from_str(&text)?))
}

/// Whether packets are told their class at all.
pub async fn classifies(prefix: &Prefix) -> anyhow::Result<bool> {
    let text = run("nft", &["-j", "list", "chain", "inet", prefix.as_str(), "classify"], "").await?;
    let answer: Value = serde_json::from_str(&text)?;
    let objects = answer["nftables"].as_array().into_iter().flatten();
    // One rule each way.
    Ok(objects.filter(|object| object["rule"].is_object()).count() == 2)
}

fn parse_slots(prefix: &Prefix, answer: &Value) -> Slots {
    let objects = answer["nftables"].as_array().into_iter().flatten();
    let elements = objects.filter_map(|object| object["map"]["elem"].as_array()).flatten();
    let slot = |text: &str| {
        let (upper, lower) = text.split_once(':')?;
        let ours = u16::from_str_radix(upper, 16).ok()? == major(prefix);
        u16::from_str_radix(lower, 16).ok().filter(|_| ours).map(Slot)
    };
    // An entry of another tree classifies nothing, and is written anew.
    elements
        .filter_map(|element| Some((element[0].as_str()?.to_owned(), slot(element[1].as_str()?)?)))
        .collect()
}

#[cfg(test)]
mod tests;
