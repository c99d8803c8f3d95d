//! Shares of the disk: weights of the guests' control groups, where a scheduler honours them.
//!
//! A weight acts on I/O that reaches the device out of the guest's own control group.  QEMU's does where it
//! is written past the page cache (`cache='none'`): what goes through the cache is written later by the kernel,
//! which on cgroup v1 does not know any more whose it was.
//!
//! Weights are no part of the definition: libvirt's schema ends at 1000 and begins at 100, and a group
//! without bfq's file would keep the guest from starting.  They are set before it runs.

use super::limits::CgroupVersion;
use super::{Libvirt, ffi};
use crate::block_device::BlockDevice;
use crate::hypervisor::Fault;
use jst_policy::units::Iops;
use jst_policy::weights::Scale;
use std::path::Path;
use uuid::Uuid;

impl Libvirt {
    /// The weights that the storage honours now, or why it honours none and what to do.
    pub fn disk_weights(&self) -> Result<Scale, String> {
        if !self.direct_io {
            return Err(
                "the file system of the volumes cannot be used past the page cache, so the kernel cannot \
                        tell whose I/O it is; use ext4 or XFS"
                    .into(),
            );
        }
        let devices = BlockDevice::below(&self.config.sysfs_root, self.storage.root());
        weights_of(&devices, &self.config.cgroup_root, self.cgroup)
    }

    /// What the storage can do, as its operator says.
    pub fn disk_capacity(&self) -> Option<Iops> {
        self.config.storage.iops
    }

    pub(super) fn disk_reservations(&self) -> Result<(), String> {
        self.disk_weights()?;
        self.disk_capacity().map(drop).ok_or_else(|| {
            "nobody has said how many operations a second the storage carries; write iops = NUMBER in the section \
             [storage] of agent.toml"
                .into()
        })
    }

    /// Gives the storage the scheduler that the operator asked for, where it has another.
    pub(super) fn follow_scheduler(&self) {
        let Some(wanted) = &self.config.storage.io_scheduler else { return };
        for device in BlockDevice::below(&self.config.sysfs_root, self.storage.root()) {
            let found = device.scheduler();
            if found == *wanted {
                continue;
            }
            match device.set_scheduler(wanted) {
                Ok(()) => tracing::info!(device = device.name(), found, wanted, "the I/O scheduler was set"),
                Err(error) => {
                    tracing::error!(device = device.name(), found, wanted, %error, "the I/O scheduler was not set");
                }
            }
        }
    }

    pub(super) async fn set_disk_weight(&self, id: Uuid, weight: Option<u64>) -> Result<(), Fault> {
        let Some(weight) = weight.and_then(|weight| u32::try_from(weight).ok()) else { return Ok(()) };
        self.quick(id, "set disk shares", move |domain| ffi::set_block_io_weight(domain, weight)).await
    }
}

/// All devices must agree: a guest has one weight.
fn weights_of(devices: &[BlockDevice], cgroup_root: &Path, version: CgroupVersion) -> Result<Scale, String> {
    has_controller(cgroup_root, version)?;
    let mut scale = None;
    for device in devices {
        let own = if device.scheduler() == "bfq" {
            Scale::BFQ
        } else if version == CgroupVersion::V2 && has_cost_model(cgroup_root, device) {
            Scale::IO_COST
        } else {
            return Err(format!(
                "the I/O scheduler of {} is {}, and bfq honours weights: write bfq to /sys/block/{}/queue/scheduler, or \
                 io_scheduler = \"bfq\" in the section [storage] of agent.toml",
                device.name(),
                device.scheduler(),
                device.name()
            ));
        };
        if scale.is_some_and(|scale| scale != own) {
            return Err("the disks of the storage have different I/O schedulers; give all of them bfq".into());
        }
        scale = Some(own);
    }
    scale.ok_or_else(|| {
        "the file system of the volumes does not tell on which disks it is; use ext4 or XFS on local disks".into()
    })
}

/// Where bfq could be had as well, libvirt would set its weights and not those of the cost model.
fn has_cost_model(cgroup_root: &Path, device: &BlockDevice) -> bool {
    let number = device.number();
    let models = std::fs::read_to_string(cgroup_root.join("io.cost.qos")).unwrap_or_default();
    let enabled = models.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(&number) && words.any(|word| word == "enable=1")
    });
    enabled && !device.schedulers().contains("bfq")
}

fn has_controller(cgroup_root: &Path, version: CgroupVersion) -> Result<(), String> {
    let present = match version {
        // Weights themselves are in groups below the root only.
        CgroupVersion::V1 => cgroup_root.join("blkio/blkio.bfq.io_serviced").exists(),
        CgroupVersion::V2 => std::fs::read_to_string(cgroup_root.join("cgroup.controllers"))
            .is_ok_and(|controllers| controllers.split_whitespace().any(|controller| controller == "io")),
    };
    if present {
        return Ok(());
    }
    Err("the kernel's control groups of disks are not there, or without bfq; mount blkio, and load the module bfq".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    struct Made(PathBuf);

    impl Made {
        /// Volumes on one disk with these schedulers.
        fn new(schedulers: &str) -> Self {
            let made = Self(std::env::temp_dir().join(format!("jst-shares-{}", Uuid::new_v4())));
            made.write("devices/sda/queue/scheduler", schedulers);
            made.write("devices/sda/dev", "8:0\n");
            made.write("dev/block/.keep", "");
            made.write("cgroup/cgroup.controllers", "cpu io\n");
            made.write("cgroup/blkio/blkio.bfq.io_serviced", "");
            let device = rustix::fs::stat(&made.0).unwrap().st_dev;
            let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
            symlink(made.0.join("devices/sda"), made.0.join("dev/block").join(number)).unwrap();
            made
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn weights(&self, version: CgroupVersion) -> Result<Scale, String> {
            weights_of(&BlockDevice::below(&self.0, &self.0), &self.0.join("cgroup"), version)
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn bfq_honours_weights_and_others_are_named_with_what_to_do() {
        for version in [CgroupVersion::V1, CgroupVersion::V2] {
            let made = Made::new("none mq-deadline [bfq]\n");
            assert_eq!(made.weights(version), Ok(Scale::BFQ));
            made.write("devices/sda/queue/scheduler", "none [mq-deadline] bfq\n");
            let reason = made.weights(version).unwrap_err();
            assert!(
                reason.contains("sda is mq-deadline") && reason.contains("/sys/block/sda/queue"),
                "{reason}"
            );
        }
    }

    #[test]
    fn the_cost_model_honours_weights_where_libvirt_sets_its_own() {
        let made = Made::new("[none] mq-deadline\n");
        assert!(made.weights(CgroupVersion::V2).is_err());
        made.write("cgroup/io.cost.qos", "7:0 enable=1 ctrl=auto\n8:0 enable=1 ctrl=auto\n");
        assert_eq!(made.weights(CgroupVersion::V2), Ok(Scale::IO_COST));
        assert!(made.weights(CgroupVersion::V1).is_err());
        made.write("devices/sda/queue/scheduler", "[none] bfq\n");
        assert!(made.weights(CgroupVersion::V2).is_err());
        made.write("devices/sda/queue/scheduler", "[none] mq-deadline\n");
        made.write("cgroup/io.cost.qos", "8:0 enable=0\n");
        assert!(made.weights(CgroupVersion::V2).is_err());
    }

    #[test]
    fn without_the_controller_there_are_no_shares() {
        let made = Made::new("[bfq]\n");
        made.write("cgroup/cgroup.controllers", "cpu memory\n");
        std::fs::remove_file(made.0.join("cgroup/blkio/blkio.bfq.io_serviced")).unwrap();
        for version in [CgroupVersion::V1, CgroupVersion::V2] {
            assert!(made.weights(version).unwrap_err().contains("control groups"));
        }
    }
}
