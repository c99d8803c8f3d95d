//! Sending what passes a device through another device's queue, by a filter of traffic control.
//!
//! A filter stands on one side of a device: before the host sees what arrives, or before the device's
//! own queue takes what leaves.  Behind the other device's queue the packet goes on where it was, and
//! the kernel does not ask the same filter again.

use super::command::tc_json;
use super::netlink;
use serde_json::Value;

/// The side of the device on which the filter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the device receives.
    Ingress,
    /// What is sent on it.
    Egress,
}

/// Which packets are redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Every,
    /// Those whose mark has this upper half; the lower half is the operator's own.
    Marked(u16),
}

/// A filter as it should be, or should not be.
#[derive(Clone, Copy, Debug)]
pub struct Redirect<'a> {
    pub device: &'a str,
    pub side: Side,
    /// Its place among the filters of the device, which says whose it is.
    pub preference: u16,
    pub which: Which,
    pub to: &'a str,
}

/// `SKF_AD_OFF + SKF_AD_MARK`: where classic BPF finds the mark of a packet.
const MARK: u32 = 0xffff_f014;

/// Loads the mark, keeps its upper half, and compares: -1 is a match, 0 is none.  As (code, jump if
/// true, jump if false, operand).
///
/// `fw` and the `mark` key of `u32` would say the same in a word, but not every kernel has them, and a
/// `u32` without that key matches every packet instead of refusing the filter.
const fn program(mark: u16) -> [(u16, u8, u8, u32); 5] {
    const LOAD_WORD: u16 = 0x20;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        (LOAD_WORD, 0, 0, MARK),
        (AND, 0, 0, 0xffff_0000),
        (JUMP_IF_EQUAL, 0, 1, (mark as u32) << 16),
        (RETURN, 0, 0, u32::MAX),
        (RETURN, 0, 0, 0),
    ]
}

impl Side {
    const fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl Redirect<'_> {
    /// The line of a batch that makes it.
    pub fn add(&self) -> String {
        let Self { device, side, preference, which, to } = self;
        let matching = match which {
            // u32 with an empty mask, because every kernel has it and not every one has matchall.
            Which::Every => "u32 match u32 0 0".to_owned(),
            Which::Marked(mark) => {
                let program = program(*mark);
                let lines = program.iter().map(|(code, jt, jf, k)| format!(",{code} {jt} {jf} {k}"));
                format!("bpf bytecode \"{}{}\"", program.len(), lines.collect::<String>())
            }
        };
        format!(
            "filter add dev {device} {} protocol all pref {preference} {matching} action mirred egress redirect dev {to}",
            side.word()
        )
    }

    /// The line of a batch that removes whatever has its place.
    pub fn delete(&self) -> String {
        format!("filter del dev {} {} pref {}", self.device, self.side.word(), self.preference)
    }

    /// What has its place in the kernel.
    pub async fn found(&self) -> anyhow::Result<Found> {
        if !hooked(self.device)? {
            return Ok(Found::Nothing);
        }
        let preference = self.preference.to_string();
        let filters =
            tc_json(&["filter", "show", "dev", self.device, self.side.word(), "pref", &preference]).await?;
        if filters.is_empty() {
            return Ok(Found::Nothing);
        }
        Ok(if filters.iter().any(|filter| self.is(filter)) { Found::Same } else { Found::Other })
    }

    fn is(&self, filter: &Value) -> bool {
        let options = &filter["options"];
        let matches = match self.which {
            Which::Every => options["match"]["mask"] == "0",
            Which::Marked(mark) => {
                let found = options["bytecode"]["insns"].as_array().into_iter().flatten();
                let found = found.map(|line| ["code", "jt", "jf", "k"].map(|key| line[key].as_u64()));
                let wanted = program(mark).into_iter();
                found.eq(wanted.map(|(code, jt, jf, k)| {
                    [u64::from(code), u64::from(jt), u64::from(jf), u64::from(k)].map(Some)
                }))
            }
        };
        // A device that was made anew under the same name shows as "*" here.
        let mut actions = options["actions"].as_array().into_iter().flatten();
        filter["protocol"] == "all"
            && matches
            && actions.any(|action| action["mirred_action"] == "redirect" && action["to_dev"] == self.to)
    }
}

/// What stands where a filter should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Nothing,
    Same,
    Other,
}

/// Whether filters can stand on both sides of the device.
pub fn hooked(device: &str) -> anyhow::Result<bool> {
    Ok(netlink::qdiscs(device)?.iter().any(|qdisc| qdisc.kind == "clsact"))
}

/// The lines that make filters possible on both sides of a device of ours.
pub fn hook(device: &str) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    if !hooked(device)? {
        if netlink::qdiscs(device)?.iter().any(|qdisc| qdisc.kind == "ingress") {
            // Of an earlier release, which knew one side only.  The two exclude each other.
            lines.push(format!("qdisc del dev {device} ingress"));
        }
        lines.push(format!("qdisc add dev {device} clsact"));
    }
    Ok(lines)
}

/// The lines that bring one filter to what is wanted: there, or not there.
pub async fn converge(redirect: &Redirect<'_>, wanted: bool) -> anyhow::Result<Vec<String>> {
    Ok(match (redirect.found().await?, wanted) {
        (Found::Same, true) | (Found::Nothing, false) => Vec::new(),
        (Found::Nothing, true) => vec![redirect.add()],
        (Found::Other, true) => vec![redirect.delete(), redirect.add()],
        (Found::Same | Found::Other, false) => vec![redirect.delete()],
    })
}
