//! What a running guest has used.

use super::Libvirt;
use super::conn::QUICK;
use super::domain_xml::DomainXml;
use super::network::network_fault;
use crate::hypervisor::{Fault, NetworkReading};
use jst_protocol::report::Usage;
use uuid::Uuid;
use virt::sys;

impl Libvirt {
    pub async fn usage(&self, id: Uuid) -> Result<Option<(Usage, NetworkReading)>, Fault> {
        // Tags of virDomainMemoryStat.
        const UNUSED: u32 = sys::VIR_DOMAIN_MEMORY_STAT_UNUSED;
        const RESIDENT: u32 = sys::VIR_DOMAIN_MEMORY_STAT_RSS;
        let places = self.places();
        let last = self
            .reports
            .usage(id)
            .map_or((0, 0), |last| (last.cpu_steal_nanoseconds, last.cpu_throttled_nanoseconds));
        let usage = self
            .conn
            .domain(id, "usage", QUICK, move |domain| {
                if !domain.is_active()? {
                    return Ok(None);
                }
                let info = domain.info()?;
                let mut usage = Usage {
                    cpu_nanoseconds: info.cpu_time,
                    // Unlike the balloon's own figure this counts what was plugged in.
                    balloon_mib: info.memory / 1024,
                    ..Usage::default()
                };
                // What cannot be read now is what it was: less would look like a new beginning.
                (usage.cpu_steal_nanoseconds, usage.cpu_throttled_nanoseconds) =
                    match places.waited(id, &DomainXml::name_of(id)) {
                        Some(waited) => (waited.steal, waited.throttled),
                        None => last,
                    };
                usage.memory_merged_mib =
                    places.merged(id, &DomainXml::name_of(id)).unwrap_or_default().get();
                for stat in domain.memory_stats(0)? {
                    let mib = stat.val / 1024;
                    match stat.tag {
                        UNUSED => usage.memory_unused_mib = mib,
                        RESIDENT => usage.memory_resident_mib = mib,
                        _ => {}
                    }
                }
                // -1 stands for a figure that the driver does not have.
                let count = |figure: i64| u64::try_from(figure).unwrap_or(0);
                let disk = domain.block_stats("vda")?;
                usage.disk_read_bytes = count(disk.rd_bytes);
                usage.disk_write_bytes = count(disk.wr_bytes);
                usage.disk_read_operations = count(disk.rd_req);
                usage.disk_write_operations = count(disk.wr_req);
                Ok(Some(usage))
            })
            .await?
            .flatten();
        let Some(mut usage) = usage else { return Ok(None) };
        let counters = self.network().counters(id).await.map_err(|error| network_fault(&error))?;
        (usage.network_in_dropped, usage.network_out_dropped) = (counters.in_dropped, counters.out_dropped);
        Ok(Some((usage, NetworkReading { in_bytes: counters.in_bytes, out_bytes: counters.out_bytes })))
    }
}
