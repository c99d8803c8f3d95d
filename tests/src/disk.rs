//! A disk of a test's own: a file system on a loop device, with the I/O scheduler that the test wants.
//!
//! A loop device has a queue with a scheduler as every disk has, and I/O arrives there with the control group
//! that it comes from.  Its file is read and written past the page cache, or memory would answer instead.

use crate::in_force::run;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub struct Disk {
    directory: TempDir,
    /// What makes it slow, see [`Disk::slow`].
    daemon: Option<Child>,
    /// `/dev/loopN`, once there is one.
    device: Option<String>,
}

impl Disk {
    /// As fast as the machine's own.
    pub fn make(mib: u64, scheduler: &str) -> anyhow::Result<Self> {
        let mut disk = Self::empty(mib)?;
        disk.attach("disk.img", "--direct-io=on", scheduler)?;
        Ok(disk)
    }

    /// One that carries no more than this, below its scheduler and for everybody together, so that it is the disk
    /// that guests contend for, and not the processor.  Its file is exported by QEMU with a throttle before it, and
    /// such a file is never cached; past the cache the loop device would read it wrongly.
    pub fn slow(mib: u64, scheduler: &str, bytes_per_second: u64) -> anyhow::Result<Self> {
        let mut disk = Self::empty(mib)?;
        let (file, export) = (disk.directory.path().join("disk.img"), disk.directory.path().join("slow.img"));
        std::fs::File::create(&export)?;
        let mut command = Command::new("qemu-storage-daemon");
        command
            .args(["--object", &format!("throttle-group,id=limit,x-bps-total={bytes_per_second}")])
            .args([
                "--blockdev",
                &format!("driver=file,node-name=file,filename={},cache.direct=on", text(&file)?),
            ])
            .args(["--blockdev", "driver=throttle,node-name=slow,throttle-group=limit,file=file"])
            .args([
                "--export",
                &format!("fuse,id=export,node-name=slow,mountpoint={},writable=on", text(&export)?),
            ])
            .stdin(Stdio::null());
        disk.daemon = Some(command.spawn().context("qemu-storage-daemon is installed with QEMU")?);
        let begun = std::time::Instant::now();
        while std::fs::metadata(&export)?.len() == 0 {
            ensure!(begun.elapsed() < Duration::from_secs(10), "QEMU does not export the file");
            std::thread::sleep(Duration::from_millis(50));
        }
        disk.attach("slow.img", "--direct-io=off", scheduler)?;
        Ok(disk)
    }

    fn empty(mib: u64) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("jst-disk-").tempdir()?;
        // Guests' processes run as a user of their own, who must get through.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        std::fs::File::create(directory.path().join("disk.img"))?.set_len(mib * 1024 * 1024)?;
        Ok(Self { directory, daemon: None, device: None })
    }

    fn attach(&mut self, file: &str, direct: &str, scheduler: &str) -> anyhow::Result<()> {
        let file = self.directory.path().join(file);
        let printed = run("losetup", &["--find", "--show", direct, text(&file)?])?;
        let device = printed.trim().to_owned();
        self.device = Some(device.clone());
        self.set_scheduler(scheduler)?;
        let options = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-E", options, &device])?;
        std::fs::create_dir(self.path())?;
        run("mount", &[&device, text(&self.path())?]).map(drop)
    }

    /// Where its file system is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mounted")
    }

    pub fn set_scheduler(&self, scheduler: &str) -> anyhow::Result<()> {
        self.set("scheduler", scheduler)
    }

    /// Writes a file of its queue in sysfs.
    pub fn set(&self, file: &str, value: &str) -> anyhow::Result<()> {
        let name =
            self.device.as_deref().and_then(|device| device.strip_prefix("/dev/")).context("a device")?;
        let path = Path::new("/sys/block").join(name).join("queue").join(file);
        std::fs::write(&path, value).with_context(|| format!("{value} to {}", path.display()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.detach();
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
            // The export ends with its process, but not its mount.
            let export = self.directory.path().join("slow.img");
            let _ = run("umount", &["--lazy", &export.to_string_lossy()]);
        }
    }
}

impl Disk {
    fn detach(&self) {
        let Some(device) = &self.device else { return };
        if let Ok(path) = text(&self.path()).map(str::to_owned) {
            // A guest's process that was just killed may still hold a file for a moment.
            for _ in 0..50 {
                if run("mountpoint", &["-q", &path]).is_err() || run("umount", &[&path]).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        if let Err(error) = run("losetup", &["--detach", device]) {
            eprintln!("{device} was not detached: {error:#}");
        }
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path of a test is text")
}
