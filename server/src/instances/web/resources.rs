//! A policy as people read it: guaranteed, at most, shares; and the share bar.

use crate::web::format;
use crate::web::page::Page;
use jst_policy::claim::Shares;
use jst_policy::instance::{NetworkLimits, ResourcePolicy};
use jst_protocol::report::Usage;

/// One resource in numbers and as a bar.
pub struct Resource {
    pub label: String,
    /// `0.5 – 2 vCPU`: the short number of a bar.
    pub short: String,
    pub guaranteed: String,
    pub most: String,
    pub shares: String,
    /// What is in force, where that could be read back; "" elsewhere.
    pub in_force: String,
    /// Percent of the bar.
    pub reserved: f64,
    pub used: f64,
    pub limit: f64,
    /// The bar in words.
    pub words: String,
}

const CPU: &str = "resource-cpu";

/// One resource of one policy, before it is put into words.
struct Figures {
    label: &'static str,
    reserved: u64,
    /// Absent: no limit of its own.
    limit: Option<u64>,
    shares: Shares,
    used: Option<u64>,
    /// What lies idle and others have the use of now.
    lent: u64,
    write: fn(u64) -> String,
}

pub fn vcpus(millicpu: u64) -> String {
    format!("{} vCPU", format::cores(millicpu))
}

fn figures(policy: &ResourcePolicy, usage: Option<&Usage>) -> [Figures; 5] {
    let network = |label, limits: &NetworkLimits| Figures {
        label,
        reserved: limits.reservation.get(),
        limit: limits.average.map(|rate| rate.get()),
        shares: limits.shares,
        used: None,
        lent: 0,
        write: format::kbit,
    };
    [
        Figures {
            label: CPU,
            reserved: policy.cpu.reservation.get(),
            limit: policy.cpu_claim().limit,
            shares: policy.cpu.shares,
            used: None,
            lent: 0,
            write: vcpus,
        },
        Figures {
            label: "resource-memory",
            reserved: policy.memory.reservation.get(),
            limit: policy.memory_claim().limit,
            shares: policy.memory.shares,
            used: usage.map(|usage| usage.memory_resident_mib.min(policy.memory.size.get())),
            lent: 0,
            write: format::mib,
        },
        Figures {
            label: "resource-disk",
            reserved: policy.disk.reservation.get(),
            limit: policy.disk_claim().limit,
            shares: policy.disk.shares,
            used: None,
            lent: 0,
            write: format::iops,
        },
        network("resource-network-in", &policy.network.inbound),
        network("resource-network-out", &policy.network.outbound),
    ]
}

/// The resources of a policy; `applied` is what was read back of it.
pub fn resources(
    page: &Page,
    policy: &ResourcePolicy,
    applied: Option<&ResourcePolicy>,
    usage: Option<&Usage>,
) -> Vec<Resource> {
    // Of the size that is in force: another may have been bought and wait for a restart.
    let size = applied.unwrap_or(policy).memory.size.get();
    let lent = usage.map_or(0, |usage| lent_memory(size, usage));
    let applied = applied.map(|applied| figures(applied, None));
    let mut bought = figures(policy, usage);
    bought[1].lent = lent;
    bought
        .iter()
        .enumerate()
        .map(|(index, bought)| {
            let in_force = applied.as_ref().map(|applied| &applied[index]);
            let mut resource = resource(page, bought, in_force);
            if let Some(usage) = usage.filter(|_| bought.label == CPU) {
                resource.words =
                    format!("{} {}", resource.words, waited_words(page, usage)).trim().to_owned();
            }
            resource
        })
        .collect()
}

/// What the balloon holds back, in MiB.  A host that does not know what the balloon leaves says 0.
fn lent_memory(size: u64, usage: &Usage) -> u64 {
    if usage.balloon_mib == 0 { 0 } else { size.saturating_sub(usage.balloon_mib) }
}

fn resource(page: &Page, bought: &Figures, in_force: Option<&Figures>) -> Resource {
    let Figures { label, reserved, limit, shares, used, lent, write } = bought;
    let most = |limit: Option<u64>| limit.map_or_else(|| page.t("resource-unlimited"), write);
    let guaranteed = |reserved: u64| {
        if reserved == 0 { page.t("resource-nothing") } else { write(reserved) }
    };
    let words = limits_words(page, *reserved, *limit, *write);
    let words = match used {
        Some(used) => format!("{words} {}", page.t1("resource-words-used", "used", write(*used))),
        None => words,
    };
    let words = match lent {
        0 => words,
        lent => format!("{words} {}", page.t1("resource-words-lent", "lent", write(*lent))),
    };
    // Without a limit the guarantee is drawn as a quarter: more is possible, and how much is not known.
    let whole = limit.unwrap_or(reserved.saturating_mul(4)).max(1);
    let percent = |amount: u64| (amount as f64 / whole as f64 * 100.0).clamp(0.0, 100.0);
    Resource {
        label: page.t(label),
        short: match (*reserved, *limit) {
            (0, Some(limit)) => write(limit),
            (reserved, Some(limit)) if reserved < limit => format!("{} – {}", write(reserved), write(limit)),
            (_, Some(limit)) => write(limit),
            (0, None) => most(None),
            (reserved, None) => format!("{} +", write(reserved)),
        },
        guaranteed: guaranteed(*reserved),
        most: most(*limit),
        shares: shares_word(page, *shares),
        in_force: in_force.map_or_else(String::new, |seen| match seen.reserved {
            0 => most(seen.limit),
            reserved => format!("{} – {}", write(reserved), most(seen.limit)),
        }),
        reserved: percent(*reserved),
        used: used.map_or(0.0, percent),
        limit: 100.0,
        words,
    }
}

/// What is guaranteed, and the most, as a sentence.
pub fn limits_words(page: &Page, reserved: u64, limit: Option<u64>, write: fn(u64) -> String) -> String {
    match (reserved, limit) {
        (0, None) => page.t("resource-words-shared"),
        (0, Some(limit)) => page.t1("resource-words-most", "limit", write(limit)),
        (reserved, None) => page.t1("resource-words-least", "reserved", write(reserved)),
        (reserved, Some(limit)) if reserved >= limit => {
            page.t1("resource-words-all", "reserved", write(reserved))
        }
        (reserved, Some(limit)) => {
            page.t2("resource-words-both", "reserved", write(reserved), "limit", write(limit))
        }
    }
}

/// How long the processor was not to be had, as parts of the time in which the guest had work; "" where that
/// is not known.  An agent that does not measure reports zeros, and no guest that ever ran has waited
/// for exactly nothing.
fn waited_words(page: &Page, usage: &Usage) -> String {
    let Usage { cpu_nanoseconds, cpu_steal_nanoseconds: steal, cpu_throttled_nanoseconds: throttled, .. } =
        *usage;
    let busy = cpu_nanoseconds.saturating_add(steal).saturating_add(throttled);
    [("resource-words-waited", steal), ("resource-words-held-back", throttled)]
        .into_iter()
        .filter(|(_, time)| *time > 0)
        .map(|(words, time)| page.t1(words, "part", format::percent(time, busy)))
        .collect::<Vec<_>>()
        .join(" ")
}

pub fn shares_word(page: &Page, shares: Shares) -> String {
    match shares {
        Shares::Low => page.t("shares-low"),
        Shares::Normal => page.t("shares-normal"),
        Shares::High => page.t("shares-high"),
        Shares::Custom(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lent_where_the_balloon_holds_some_back() {
        let usage = |balloon_mib| Usage { balloon_mib, ..Usage::default() };
        assert_eq!(lent_memory(512, &usage(512)), 0);
        assert_eq!(lent_memory(512, &usage(300)), 212);
        assert_eq!(lent_memory(512, &usage(0)), 0, "nothing is known");
        assert_eq!(lent_memory(512, &usage(768)), 0, "it shrank a moment ago");
    }
}
