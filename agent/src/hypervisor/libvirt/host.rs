//! What this host is, can do, and is busy with.

use super::Libvirt;
use super::conn::QUICK;
use crate::cpus::CpuList;
use crate::facts;
use jst_policy::placement::Capability;
use jst_policy::units::{Iops, MilliCpu};
use jst_policy::weights::Scale;
use jst_protocol::report::{AbsentCapability, HostFacts, HostLoad, Hypervisor};
use std::time::Duration;

impl Libvirt {
    pub async fn facts(&self) -> anyhow::Result<HostFacts> {
        let (libvirt, qemu) = self
            .conn
            .run("versions", QUICK, |connect| Ok((connect.lib_version()?, connect.hyp_version()?)))
            .await?;
        self.follow().await;
        self.follow_scheduler();
        let (mut capabilities, mut absent) = self.network().capabilities();
        let mut tell = |capability: Capability, present: Result<(), String>| match present {
            Ok(()) => capabilities.push(capability.name().to_owned()),
            Err(reason) => {
                absent.push(AbsentCapability { capability: capability.name().to_owned(), reason });
            }
        };
        let cpu = self.cpu_controller();
        tell(Capability::CpuShares, cpu.clone());
        tell(Capability::CpuLimit, cpu);
        tell(Capability::CpuPinning, self.core_keeping());
        tell(Capability::MemoryBalloon, Ok(()));
        tell(Capability::VirtioMem, at_least(qemu, 7_000_000, "QEMU 7.0"));
        tell(Capability::DiskThrottle, Ok(()));
        tell(Capability::DiskShares, self.disk_weights().map(drop));
        tell(Capability::DiskReservation, self.disk_reservations());
        tell(Capability::LiveMigration, Err("this release does not migrate guests".into()));
        let uplink = self.network().uplink().device.clone().unwrap_or_default();
        // What this host finds out by itself; the server knows what its operator says.
        let measured = self
            .config
            .network
            .uplink_kbit
            .map_or_else(|| facts::uplink_kbit(&self.config.sysfs_root, &uplink), |kbit| kbit.get());
        Ok(HostFacts {
            agent_version: env!("CARGO_PKG_VERSION").into(),
            hypervisor: Hypervisor::Libvirt,
            hypervisor_version: format!("libvirt {}, QEMU {}", version(libvirt), version(qemu)),
            kernel: facts::kernel(),
            cpu_model: facts::cpu_model(),
            cpus: self.cpus(),
            memory_mib: self.memory_capacity(),
            storage_mib: facts::storage_mib(self.storage.root()).0,
            disk_iops: self.disk_capacity().map_or(0, Iops::get),
            uplink_kbit: measured,
            uplink,
            qualification: self.qualification(),
            capabilities,
            absent,
        })
    }

    /// Those that guests may use.
    fn cpus(&self) -> u32 {
        match self.processors.len() {
            0 => self.config.guest_cpus.as_ref().map_or_else(facts::cpus, CpuList::count),
            count => u32::try_from(count).unwrap_or(u32::MAX),
        }
    }

    /// The memory that guests may have, in MiB.
    fn memory_capacity(&self) -> u64 {
        let total = facts::memory_mib("MemTotal");
        self.config.guest_memory_mib.map_or(total, |most| most.min(total))
    }

    pub fn cpu_capacity(&self) -> MilliCpu {
        MilliCpu(u64::from(self.cpus()) * 1000)
    }

    pub fn cpu_scale(&self) -> Scale {
        self.cgroup.cpu_scale()
    }

    fn cpu_controller(&self) -> Result<(), String> {
        let root = &self.config.cgroup_root;
        let unified = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        if root.join("cpu").exists() || unified.split_whitespace().any(|controller| controller == "cpu") {
            return Ok(());
        }
        Err("the kernel's cpu control group is not mounted".into())
    }

    pub async fn load(&self) -> anyhow::Result<HostLoad> {
        let running = self
            .conn
            .run("count", QUICK, |connect| connect.list_domains().map(|domains| domains.len()))
            .await?;
        let (total, free) = facts::storage_mib(self.storage.root());
        let before = facts::busy_ticks();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after = facts::busy_ticks();
        Ok(HostLoad {
            cpu_used_millicpu: facts::millicpu(before, after),
            memory_used_mib: facts::memory_mib("MemTotal").saturating_sub(facts::memory_mib("MemAvailable")),
            storage_used_mib: total.saturating_sub(free),
            running: u32::try_from(running).unwrap_or(u32::MAX),
            ..HostLoad::default()
        })
    }
}

/// libvirt packs versions as major × 1,000,000 + minor × 1,000 + release.
fn version(packed: u32) -> String {
    format!("{}.{}.{}", packed / 1_000_000, packed / 1000 % 1000, packed % 1000)
}

fn at_least(found: u32, needed: u32, name: &str) -> Result<(), String> {
    if found >= needed { Ok(()) } else { Err(format!("it needs {name}; found {}", version(found))) }
}
