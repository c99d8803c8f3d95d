//! Root volumes: qcow2 overlays on cached images, one directory an instance.
//!
//! ```text
//!   STORAGE/<instance>/root-<build>.qcow2   seed.img   console.log
//! ```

use crate::durable;
use crate::facts;
use crate::hypervisor::Fault;
use jst_policy::converge::Volume;
use jst_policy::units::MiB;
use jst_protocol::desired::ImageFormat;
use jst_protocol::report::FailureCode;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use uuid::Uuid;

/// Kept free, so that running guests can go on writing for a while.
const RESERVE_MIB: u64 = 512;

#[derive(Clone, Debug)]
pub struct Storage {
    root: PathBuf,
}

impl Storage {
    pub fn open(root: PathBuf) -> anyhow::Result<Self> {
        // The guests' processes pass through to their own files, and cannot list anything.
        durable::make_directory(&root, 0o711)?;
        Ok(Self { root: root.canonicalize()? })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn directory(&self, id: Uuid) -> PathBuf {
        self.root.join(id.to_string())
    }

    pub fn volume(&self, id: Uuid, build: u32) -> PathBuf {
        self.directory(id).join(format!("root-{build}.qcow2"))
    }

    pub fn seed(&self, id: Uuid) -> PathBuf {
        self.directory(id).join("seed.img")
    }

    pub fn console(&self, id: Uuid) -> PathBuf {
        self.directory(id).join("console.log")
    }

    /// Instances that have a directory here.
    pub fn instances(&self) -> io::Result<Vec<Uuid>> {
        let entries = std::fs::read_dir(&self.root)?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    pub fn volumes(&self, id: Uuid) -> io::Result<Vec<Volume>> {
        let entries = match std::fs::read_dir(self.directory(id)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut volumes = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let build = name
                .to_str()
                .and_then(|name| name.strip_prefix("root-")?.strip_suffix(".qcow2")?.parse().ok());
            if let Some(build) = build {
                volumes.push(Volume { build, size: virtual_size(&entry.path())? });
            }
        }
        volumes.sort_by_key(|volume| volume.build);
        Ok(volumes)
    }

    /// Makes an overlay.  Its final name appears when it is complete.
    pub async fn create(
        &self,
        id: Uuid,
        build: u32,
        size: MiB,
        image: &Path,
        format: ImageFormat,
    ) -> Result<(), Fault> {
        let path = self.volume(id, build);
        if path.exists() {
            return Ok(());
        }
        let (_, free) = facts::storage_mib(&self.root);
        if free < RESERVE_MIB {
            let detail = format!("only {free} MiB are free for volumes");
            return Err(Fault::passing(FailureCode::StorageFull, detail));
        }
        durable::make_directory(&self.directory(id), 0o711).map_err(|error| failed(&error))?;
        let aside = path.with_extension("new");
        let format = match format {
            ImageFormat::Qcow2 => "qcow2",
            ImageFormat::Raw => "raw",
        };
        let size = size.bytes().to_string();
        // The backing format is always named: QEMU must never guess it from what a guest wrote.
        let arguments: [&std::ffi::OsStr; 9] = [
            "create".as_ref(),
            "-q".as_ref(),
            "-f".as_ref(),
            "qcow2".as_ref(),
            "-F".as_ref(),
            format.as_ref(),
            "-b".as_ref(),
            image.as_os_str(),
            aside.as_os_str(),
        ];
        qemu_img(arguments.into_iter().chain([size.as_ref()])).await?;
        let publish = || {
            File::open(&aside)?.sync_all()?;
            std::fs::rename(&aside, &path)?;
            durable::sync_directory(&self.directory(id))
        };
        publish().map_err(|error| failed(&error))
    }

    /// Grows the volume of a stopped guest.
    pub async fn grow(&self, id: Uuid, build: u32, size: MiB) -> Result<(), Fault> {
        let path = self.volume(id, build);
        if virtual_size(&path).map_err(|error| failed(&error))? >= size {
            return Ok(());
        }
        let size = size.bytes().to_string();
        let arguments: [&std::ffi::OsStr; 6] = [
            "resize".as_ref(),
            "-q".as_ref(),
            "-f".as_ref(),
            "qcow2".as_ref(),
            path.as_os_str(),
            size.as_ref(),
        ];
        qemu_img(arguments).await
    }

    pub fn delete_volume(&self, id: Uuid, build: u32) -> Result<(), Fault> {
        durable::remove(&self.volume(id, build))
            .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .map_err(|error| failed(&error))
    }

    pub fn delete_seed(&self, id: Uuid) -> Result<(), Fault> {
        durable::remove(&self.seed(id)).map_err(|error| failed(&error))
    }

    pub fn delete_leftovers(&self, id: Uuid) -> Result<(), Fault> {
        match std::fs::remove_dir_all(self.directory(id)) {
            Ok(()) => durable::sync_directory(&self.root).map_err(|error| failed(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Some file systems cannot be written past the page cache.
    pub fn direct_io(&self) -> bool {
        let path = self.root.join(".direct-io");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(libc::O_DIRECT)
            .open(&path)
            .is_ok();
        let _ = std::fs::remove_file(&path);
        opened
    }
}

pub fn failed(error: &io::Error) -> Fault {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureCode::StorageFull,
        _ => FailureCode::HypervisorRefused,
    };
    Fault::passing(code, format!("storage: {error}"))
}

/// From the header, which the agent and QEMU alone write: 4 bytes of magic, and the size as a
/// big-endian number at byte 24.  A running guest's disk can be asked this way too.
fn virtual_size(path: &Path) -> io::Result<MiB> {
    let mut header = [0u8; 32];
    File::open(path)?.read_exact(&mut header)?;
    if header[..4] != *b"QFI\xfb" {
        return Err(io::Error::other(format!("{} is no qcow2 volume", path.display())));
    }
    let mut size = [0u8; 8];
    size.copy_from_slice(&header[24..]);
    Ok(MiB(u64::from_be_bytes(size) / (1024 * 1024)))
}

async fn qemu_img<'a>(arguments: impl IntoIterator<Item = &'a std::ffi::OsStr>) -> Result<(), Fault> {
    let mut command = tokio::process::Command::new("qemu-img");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let passing = |detail: String| Fault::passing(FailureCode::HypervisorRefused, detail);
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), command.output())
        .await
        .map_err(|_| passing("qemu-img did not end within 120 s".into()))?
        .map_err(|error| passing(format!("qemu-img cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).chars().take(300).collect::<String>();
    Err(passing(format!("qemu-img: {}", text.trim())))
}
