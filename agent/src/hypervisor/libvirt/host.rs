//! What this host is, can do, and is busy with.

use super::Libvirt;
use super::conn::QUICK;
use crate::facts;
use jst_protocol::report::{AbsentCapability, HostFacts, HostLoad, Hypervisor};
use std::time::Duration;

impl Libvirt {
    pub async fn facts(&self) -> anyhow::Result<HostFacts> {
        let (libvirt, qemu) = self
            .conn
            .run("versions", QUICK, |connect| Ok((connect.lib_version()?, connect.hyp_version()?)))
            .await?;
        let (mut capabilities, mut absent) = self.network().capabilities();
        let mut tell = |capability: &str, present: Result<(), String>| match present {
            Ok(()) => capabilities.push(capability.to_owned()),
            Err(reason) => absent.push(AbsentCapability { capability: capability.to_owned(), reason }),
        };
        tell("virtio_mem", at_least(qemu, 7_000_000, "QEMU 7.0"));
        tell("disk_throttle", Ok(()));
        tell("disk_shares", self.disk_shares());
        let controllers = self.config.cgroup_root.join("cgroup.controllers");
        let cpu = self.config.cgroup_root.join("cpu").exists()
            || std::fs::read_to_string(controllers)
                .is_ok_and(|list| list.split_whitespace().any(|c| c == "cpu"));
        let cpu = if cpu { Ok(()) } else { Err("the kernel's cpu control group is not mounted".to_owned()) };
        tell("cpu_shares", cpu.clone());
        tell("cpu_limit", cpu);
        let uplink = self.network().uplink().unwrap_or_default().to_owned();
        Ok(HostFacts {
            agent_version: env!("CARGO_PKG_VERSION").into(),
            hypervisor: Hypervisor::Libvirt,
            hypervisor_version: format!("libvirt {}, QEMU {}", version(libvirt), version(qemu)),
            kernel: facts::kernel(),
            cpu_model: facts::cpu_model(),
            cpus: facts::cpus(),
            memory_mib: facts::memory_mib("MemTotal"),
            storage_mib: facts::storage_mib(self.storage.root()).0,
            uplink_kbit: facts::uplink_kbit(&self.config.sysfs_root, &uplink),
            uplink,
            qualification: self.qualification(),
            capabilities,
            absent,
        })
    }

    /// Weights of disks need an I/O scheduler that honours them, on the device that holds the volumes.
    fn disk_shares(&self) -> Result<(), String> {
        let device = facts::block_device(&self.config.sysfs_root, self.storage.root())
            .ok_or("the block device of the storage is not known")?;
        let scheduler = std::fs::read_to_string(device.join("queue/scheduler")).unwrap_or_default();
        if scheduler.contains("[bfq]") {
            return Ok(());
        }
        let active = scheduler.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or("none");
        Err(format!("the I/O scheduler of the storage is {active}; bfq honours weights"))
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
