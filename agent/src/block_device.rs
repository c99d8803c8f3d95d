//! The disks below a path, and the schedulers that decide whose turn it is on them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A whole disk, as its directory in sysfs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockDevice(PathBuf);

impl BlockDevice {
    /// The disks that hold a path: that of its file system, or those below it where that is a mapping (LVM,
    /// encryption, RAID), whose I/O is scheduled where it ends.  Empty where the file system does not tell, as
    /// btrfs and network file systems do not.
    pub fn below(sysfs_root: &Path, path: &Path) -> Vec<Self> {
        let Ok(found) = rustix::fs::stat(path) else { return Vec::new() };
        let number = format!("{}:{}", rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev));
        let mut disks = BTreeSet::new();
        descend(&sysfs_root.join("dev/block").join(number), &mut disks);
        disks.into_iter().collect()
    }

    pub fn name(&self) -> String {
        self.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// `MAJOR:MINOR`.
    pub fn number(&self) -> String {
        std::fs::read_to_string(self.0.join("dev")).unwrap_or_default().trim().to_owned()
    }

    /// Every scheduler that it could have, the one that it has in brackets.
    pub fn schedulers(&self) -> String {
        std::fs::read_to_string(self.scheduler_file()).unwrap_or_default().trim().to_owned()
    }

    /// The one that it has.
    pub fn scheduler(&self) -> String {
        let schedulers = self.schedulers();
        let active = schedulers.split('[').nth(1).and_then(|rest| rest.split(']').next());
        active.unwrap_or("none").to_owned()
    }

    pub fn set_scheduler(&self, name: &str) -> std::io::Result<()> {
        std::fs::write(self.scheduler_file(), name)
    }

    pub fn scheduler_file(&self) -> PathBuf {
        self.0.join("queue/scheduler")
    }
}

fn descend(device: &Path, disks: &mut BTreeSet<BlockDevice>) {
    let Ok(device) = device.canonicalize() else { return };
    // The queue belongs to the disk, not to its partition.
    let whole = if device.join("queue").exists() {
        device
    } else {
        device.join("..").canonicalize().unwrap_or(device)
    };
    let below: Vec<PathBuf> = std::fs::read_dir(whole.join("slaves"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    if below.is_empty() {
        disks.insert(BlockDevice(whole));
    }
    below.iter().for_each(|device| descend(device, disks));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A made sysfs in which the file system of this file's directory is on a partition of `sda`.
    fn made(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("jst-block-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for directory in ["dev/block", "devices/sda/queue", "devices/sda/slaves", "devices/sda/sda1"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::fs::write(root.join("devices/sda/queue/scheduler"), "none [mq-deadline] bfq\n").unwrap();
        std::fs::write(root.join("devices/sda/dev"), "8:0\n").unwrap();
        root
    }

    fn number(path: &Path) -> String {
        let device = rustix::fs::stat(path).unwrap().st_dev;
        format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device))
    }

    #[test]
    fn a_partition_is_scheduled_by_its_disk() {
        let root = made("partition");
        symlink(root.join("devices/sda/sda1"), root.join("dev/block").join(number(&root))).unwrap();
        let [disk] = &BlockDevice::below(&root, &root)[..] else { panic!("one disk") };
        assert_eq!((disk.name().as_str(), disk.number().as_str()), ("sda", "8:0"));
        assert_eq!(disk.scheduler(), "mq-deadline");
        disk.set_scheduler("[bfq] none").unwrap();
        assert_eq!(disk.scheduler(), "bfq");
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_mapping_is_scheduled_by_the_disks_below_it() {
        let root = made("mapping");
        for directory in
            ["devices/dm-0/queue", "devices/dm-0/slaves", "devices/sdb/queue", "devices/sdb/slaves"]
        {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        for part in ["sda/sda1", "sdb"] {
            let link = root.join("devices/dm-0/slaves").join(part.replace('/', "-"));
            symlink(root.join("devices").join(part), link).unwrap();
        }
        symlink(root.join("devices/dm-0"), root.join("dev/block").join(number(&root))).unwrap();
        let names: Vec<String> = BlockDevice::below(&root, &root).iter().map(BlockDevice::name).collect();
        assert_eq!(names, ["sda", "sdb"]);
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_file_system_that_does_not_tell_has_no_disk() {
        let root = made("unknown");
        assert!(BlockDevice::below(&root, &root).is_empty());
        std::fs::remove_dir_all(root).unwrap();
    }
}
