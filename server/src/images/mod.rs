//! Disk images that instances start from.
//!
//! The file of an image stands in the data directory under its checksum and never changes; agents
//! fetch it once a host and verify it.  A retired image stays for the instances that were made from
//! it and is offered to nobody.

pub mod api;
mod boot;
mod contents;
pub mod db;
pub mod imports;
mod inspect;
pub mod register;
mod unpack;

use crate::error::{Error, Result};
use crate::ids::ImageId;
use crate::state::App;
use anyhow::Context;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub id: ImageId,
    pub slug: String,
    pub name: String,
    /// `linux`, `bsd`, `windows`, `other`.
    pub os_family: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// `qcow2` or `raw`: stated by whoever registered it, checked, and never probed afterwards.
    pub format: String,
    pub file_bytes: i64,
    /// What the guest sees: the least size of a root disk, in bytes.
    pub virtual_bytes: i64,
    pub min_memory_mib: i64,
    /// Whom to log in as.
    pub login_user: String,
    pub public: bool,
    pub sort_order: i32,
    pub retired: bool,
}

/// Where the file of an image stands.
pub fn file(app: &App, sha256: &str) -> PathBuf {
    app.config.data_dir.join("images").join(sha256)
}

/// Opens the file of a known image, retired or not; also returns its size in bytes.
pub async fn open(app: &App, sha256: &str) -> Result<(tokio::fs::File, u64)> {
    // The name becomes a path only when it is a checksum, and one that the database knows.
    let checksum = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !checksum {
        return Err(Error::NotFound);
    }
    let Some(bytes) = db::file_bytes(app.db.platform(), sha256).await? else {
        return Err(Error::NotFound);
    };
    let path = file(app, sha256);
    let file = match tokio::fs::File::open(&path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(gone(&path, "is missing")),
        Err(error) => {
            let what = format!("the file of a registered image cannot be read: {}", path.display());
            return Err(anyhow::Error::new(error).context(what).into());
        }
    };
    let length = file.metadata().await.context("the size of an image")?.len();
    if i64::try_from(length).ok() != Some(bytes) {
        return Err(gone(&path, "has another size than when it was registered"));
    }
    Ok((file, length))
}

/// The image cannot be had, and asking again does not help: whoever waits for it is told so.
fn gone(path: &std::path::Path, what: &str) -> Error {
    tracing::error!(path = %path.display(), "the file of a registered image {what}; register it again");
    Error::conflict("image-gone")
}
