//! A disk of a test's own: a file system on a loop device, with the I/O scheduler that the test wants.
//!
//! A loop device has a queue with a scheduler as every disk has, and I/O arrives there with the control group
//! that it comes from.  Its file is read and written past the page cache, or memory would answer instead.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub struct Disk {
    directory: TempDir,
    /// `/dev/loopN`, once there is one.
    device: Option<String>,
}

impl Disk {
    pub fn make(mib: u64, scheduler: &str) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("jst-disk-").tempdir()?;
        // Guests' processes run as a user of their own, who must get through.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let mut disk = Self { directory, device: None };
        let file = disk.directory.path().join("disk.img");
        std::fs::File::create(&file)?.set_len(mib * 1024 * 1024)?;
        let printed = run("losetup", &["--find", "--show", "--direct-io=on", text(&file)?])?;
        let device = printed.trim().to_owned();
        disk.device = Some(device.clone());
        disk.set_scheduler(scheduler)?;
        run("mkfs.ext4", &["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", &device])?;
        std::fs::create_dir(disk.path())?;
        run("mount", &[&device, text(&disk.path())?])?;
        Ok(disk)
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
        let Some(device) = &self.device else { return };
        if let Ok(path) = text(&self.path()).map(str::to_owned) {
            // A guest's process that was just killed may still hold a file for a moment.
            for _ in 0..50 {
                if run("mountpoint", &["-q", &path]).is_err() || run("umount", &[&path]).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
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

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
