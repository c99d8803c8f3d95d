//! What the balloon leaves guests.  It is for taking memory back for a while; what was sold is changed by
//! virtio-mem (`resize.rs`), and neither figure is taken for the other.

use super::conn::SLOW;
use super::domain_xml::DomainFacts;
use super::{Libvirt, QUICK};
use crate::facts;
use crate::hypervisor::{Fault, GuestMemory};
use jst_policy::memory::Statistics;
use jst_policy::units::MiB;
use uuid::Uuid;
use virt::domain::MemoryStat;
use virt::sys;

impl Libvirt {
    pub fn host_memory(&self) -> (MiB, MiB) {
        let figure = |name| MiB(facts::memory_mib_below(&self.config.proc_root, name));
        (figure("MemTotal"), figure("MemAvailable"))
    }

    /// One call for all of them: nothing else is as old as a list of many guests read one by one.
    pub async fn guest_memory(&self) -> Result<Vec<GuestMemory>, Fault> {
        let host = self.host_id;
        self.conn
            .run("memory of the guests", SLOW, move |connect| {
                let mut found = Vec::new();
                for domain in connect.list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)? {
                    // A domain may end between the list and the look.
                    let Ok(xml) = domain.xml_desc(0) else { continue };
                    let Ok(facts) = DomainFacts::read(&xml) else { continue };
                    if facts.host != Some(host) {
                        continue;
                    }
                    let id = domain.uuid()?;
                    // A guest that cannot be asked is one of which nothing is known.
                    let statistics = domain.memory_stats(0).unwrap_or_default();
                    found.push(reading(id, &facts, &statistics, facts::unix_now()));
                }
                Ok(found)
            })
            .await
    }

    pub async fn set_balloon(&self, guest: &GuestMemory, target: MiB) -> Result<(), Fault> {
        // QEMU counts the memory at boot only, and takes what is held back from there.
        let kib = target.saturating_sub(guest.plugged).get() * 1024;
        self.conn
            .domain(guest.id, "balloon", QUICK, move |domain| {
                domain.set_memory_flags(kib, sys::VIR_DOMAIN_MEM_LIVE)
            })
            .await
            .map(|_| ())
    }
}

fn reading(id: Uuid, facts: &DomainFacts, statistics: &[MemoryStat], now: i64) -> GuestMemory {
    let figure = |tag: u32| statistics.iter().find(|stat| stat.tag == tag).map(|stat| stat.val);
    let mib = |tag: u32| figure(tag).map(|kib| MiB(kib / 1024));
    let size = facts.boot_memory + facts.plugged;
    let balloon = mib(sys::VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON).unwrap_or(facts.boot_memory);
    // Older guests do not say what is usable, but what is free; that is less, and thus on the safe side.
    let usable = mib(sys::VIR_DOMAIN_MEMORY_STAT_USABLE).or_else(|| mib(sys::VIR_DOMAIN_MEMORY_STAT_UNUSED));
    // 0: the driver has not answered since the guest's process was started.
    let updated = figure(sys::VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE).filter(|at| *at > 0);
    GuestMemory {
        id,
        size,
        plugged: facts.plugged,
        left: (balloon + facts.plugged).min(size),
        mergeable: !facts.unmerged,
        resident: mib(sys::VIR_DOMAIN_MEMORY_STAT_RSS).unwrap_or(MiB::ZERO),
        statistics: usable.zip(updated).map(|(usable, at)| Statistics {
            usable,
            age_seconds: u64::try_from(now).unwrap_or(0).saturating_sub(at),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_balloon_counts_from_the_memory_at_boot() {
        let facts = DomainFacts { boot_memory: MiB(256), plugged: MiB(256), ..DomainFacts::default() };
        let stat = |tag, mib: u64| MemoryStat { tag, val: mib * 1024 };
        let mut said = vec![
            stat(sys::VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON, 200),
            stat(sys::VIR_DOMAIN_MEMORY_STAT_UNUSED, 300),
            stat(sys::VIR_DOMAIN_MEMORY_STAT_USABLE, 320),
            stat(sys::VIR_DOMAIN_MEMORY_STAT_RSS, 290),
            MemoryStat { tag: sys::VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE, val: 1000 },
        ];
        let read = reading(Uuid::nil(), &facts, &said, 1007);
        assert_eq!((read.size, read.left, read.resident), (MiB(512), MiB(456), MiB(290)));
        assert_eq!(read.statistics, Some(Statistics { usable: MiB(320), age_seconds: 7 }));
        // Until its driver answers, nothing is known of the guest.
        said[4].val = 0;
        assert_eq!(reading(Uuid::nil(), &facts, &said, 1007).statistics, None);
        assert_eq!(reading(Uuid::nil(), &facts, &[], 1007).left, MiB(512));
    }
}
