//! Changes of a running guest.  Each is read back: what the guest did not take waits for its restart.

use super::domain_xml::{self, DomainFacts};
use super::limits::{self, CpuLimits, PERIOD_MICROSECONDS};
use super::{Libvirt, ffi, spec};
use crate::hypervisor::{Done, Fault, Target};
use jst_policy::converge::Field;
use jst_policy::units::MiB;
use std::time::{Duration, Instant};
use uuid::Uuid;
use virt::domain::{SchedBandwidth, SchedulerInfo};
use virt::sys;

/// How long a guest may take to plug or unplug memory.
const MEMORY_PATIENCE: Duration = Duration::from_secs(20);

impl Libvirt {
    pub(super) async fn set_vcpus(&self, id: Uuid, vcpus: u32) -> Result<Done, Fault> {
        // Going down needs the guest's consent, for which libvirt waits a few seconds.
        let result = self
            .quick(id, "set vCPUs", move |domain| {
                let result = domain.set_vcpus_flags(vcpus, sys::VIR_DOMAIN_VCPU_LIVE);
                let now = domain.vcpus_flags(sys::VIR_DOMAIN_VCPU_LIVE)?;
                Ok((now, result.err().map(|error| error.to_string())))
            })
            .await?;
        match result {
            (now, _) if now == vcpus => Ok(Done::Done),
            (now, error) => {
                tracing::info!(instance = %id, now, wanted = vcpus, ?error, "the guest kept its vCPUs");
                Ok(Done::Untaken(Field::Vcpus))
            }
        }
    }

    pub(super) async fn set_memory(&self, id: Uuid, size: MiB) -> Result<Done, Fault> {
        self.quick(id, "set memory", move |domain| {
            let xml = domain.xml_desc(0)?;
            let facts = DomainFacts::read(&xml).unwrap_or_default();
            let requested = size.saturating_sub(facts.boot_memory);
            match domain_xml::with_requested(&xml, requested) {
                Ok(device) => domain.update_device_flags(&device, sys::VIR_DOMAIN_AFFECT_LIVE),
                Err(error) => {
                    tracing::warn!(%error, "memory");
                    Ok(())
                }
            }
        })
        .await?;
        let deadline = Instant::now() + MEMORY_PATIENCE;
        loop {
            let facts = self
                .quick(id, "read memory", |domain| {
                    Ok(DomainFacts::read(&domain.xml_desc(0)?).unwrap_or_default())
                })
                .await?;
            if facts.boot_memory + facts.plugged == size {
                return Ok(Done::Done);
            }
            if Instant::now() >= deadline {
                return Ok(Done::Untaken(Field::Memory));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(super) async fn resize_disk(&self, id: Uuid, size: MiB) -> Result<Done, Fault> {
        self.quick(id, "resize disk", move |domain| {
            domain.block_resize("vda", size.bytes(), sys::VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        })
        .await?;
        Ok(Done::Done)
    }

    pub(super) async fn set_cpu_limits(&self, target: &Target) -> Result<(), Fault> {
        let wanted = CpuLimits::of(&spec(target)?.policy, target.cpu_weight);
        self.quick(target.id, "set CPU limits", move |domain| {
            let scheduler = SchedulerInfo {
                cpu_shares: wanted.weight,
                global_bw: SchedBandwidth {
                    period: Some(PERIOD_MICROSECONDS),
                    // A negative quota is none.
                    quota: Some(wanted.quota.and_then(|quota| i64::try_from(quota).ok()).unwrap_or(-1)),
                },
                ..SchedulerInfo::default()
            };
            domain.set_scheduler_parameters_flags(&scheduler, sys::VIR_DOMAIN_AFFECT_LIVE)
        })
        .await?;
        self.set_place(target).await;
        Ok(())
    }

    pub(super) async fn set_disk_limits(&self, target: &Target) -> Result<(), Fault> {
        let wanted = limits::disk(&spec(target)?.policy.disk);
        self.quick(target.id, "set disk limits", move |domain| {
            ffi::set_block_io_tune(domain, "vda", &wanted)
        })
        .await?;
        self.set_disk_weight(target.id, target.disk_weight).await
    }
}
