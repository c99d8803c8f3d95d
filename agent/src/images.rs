//! Images of this host, kept by content.
//!
//! ```text
//! absent -- ensure: download to a temporary file, hash, inspect --> cached -- prune --> absent
//! ```
//!
//! A file under its final name was complete, had the right checksum and passed inspection: it was
//! renamed after all that, so a crash leaves only temporary files, which [`ImageCache::open`]
//! removes.  Cached files are read-only and readable by everybody, because the hypervisor's user
//! opens them; images are not secret.

mod inspect;

use futures::{Stream, StreamExt};
use jst_protocol::desired::{ImageFormat, ImageRef};
use jst_protocol::report::FailureCode;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncWriteExt;

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The server could not be asked, has no such image, or sent something else.  Worth a retry.
    #[error("the image could not be fetched")]
    Unavailable(#[source] anyhow::Error),
    /// The bytes are as announced, and are no image that may be used.  Never worth a retry.
    #[error("the image is refused: {0}")]
    Invalid(String),
    #[error("the image could not be stored")]
    Storage(#[from] io::Error),
}

impl ImageError {
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Unavailable(_) => FailureCode::ImageUnavailable,
            Self::Invalid(_) => FailureCode::ImageInvalid,
            Self::Storage(_) => FailureCode::StorageFull,
        }
    }

    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

#[derive(Clone)]
pub struct ImageCache(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    /// One lock an image that is wanted right now: whoever comes second waits and finds the file.
    flights: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl ImageCache {
    /// Makes the directory where it is absent, and removes what an interrupted download left.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<ImageCache> {
        let directory = directory.into();
        std::fs::create_dir_all(&directory)?;
        // Others may open a file whose name they know, and not list what is there.
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o711))?;
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "part") {
                std::fs::remove_file(path)?;
            }
        }
        Ok(ImageCache(Arc::new(Inner { directory, flights: Mutex::default() })))
    }

    /// The path of the image, fetched first where it is absent.
    ///
    /// `fetch` starts the download; `progress` hears whole percents of it, each once.  Any number of
    /// callers may ask for the same image at once: one downloads, and the others wait for it.
    pub async fn ensure<Fetch, Download, Body, Chunk>(
        &self,
        image: &ImageRef,
        fetch: Fetch,
        progress: impl FnMut(u8),
    ) -> Result<PathBuf, ImageError>
    where
        Fetch: FnOnce() -> Download,
        Download: Future<Output = anyhow::Result<Body>>,
        Body: Stream<Item = anyhow::Result<Chunk>>,
        Chunk: AsRef<[u8]>,
    {
        let path = self.path(image)?;
        let flight = Flight::join(&self.0, &image.sha256);
        let _alone = flight.lock.lock().await;
        if tokio::fs::try_exists(&path).await? {
            return Ok(path);
        }
        let partial = Partial(path.with_extension("part"));
        let body = fetch().await.map_err(ImageError::Unavailable)?;
        download(image, body, &partial.0, progress).await?;
        inspect::inspect(image, &partial.0).await?;
        std::fs::set_permissions(&partial.0, std::fs::Permissions::from_mode(0o444))?;
        tokio::fs::rename(&partial.0, &path).await?;
        // The new name must survive a power cut as the content does.
        tokio::fs::File::open(&self.0.directory).await?.sync_all().await?;
        Ok(path)
    }

    /// Removes images whose checksum is not in `in_use`, and returns how many bytes that freed.  What
    /// is wanted right now by [`ImageCache::ensure`] stays.
    pub fn prune(&self, in_use: &HashSet<String>) -> io::Result<u64> {
        let mut freed = 0;
        for entry in std::fs::read_dir(&self.0.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some((checksum, "qcow2" | "raw")) = name.to_str().and_then(|name| name.split_once('.'))
            else {
                continue;
            };
            // The lock is held through the removal, so that nobody finds a file that is about to go.
            let flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if in_use.contains(checksum) || flights.contains_key(checksum) {
                continue;
            }
            freed += entry.metadata()?.len();
            std::fs::remove_file(entry.path())?;
        }
        Ok(freed)
    }

    /// Fails on a checksum that is none: it becomes a file name.
    fn path(&self, image: &ImageRef) -> Result<PathBuf, ImageError> {
        let sha256 = &image.sha256;
        let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if sha256.len() != 64 || !sha256.chars().all(hexadecimal) {
            return Err(ImageError::Invalid("its checksum is not one".to_owned()));
        }
        let extension = match image.format {
            ImageFormat::Qcow2 => "qcow2",
            ImageFormat::Raw => "raw",
        };
        Ok(self.0.directory.join(format!("{sha256}.{extension}")))
    }
}

/// A place in the queue for one image; the last to leave removes the queue.
struct Flight<'a> {
    inner: &'a Inner,
    sha256: &'a str,
    lock: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Flight<'a> {
    fn join(inner: &'a Inner, sha256: &'a str) -> Self {
        let mut flights = inner.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = flights.entry(sha256.to_owned()).or_default().clone();
        Self { inner, sha256, lock }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = self.inner.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own and this one.
        if Arc::strong_count(&self.lock) == 2 {
            flights.remove(self.sha256);
        }
    }
}

/// A temporary file that goes away unless it was renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn download<Body, Chunk>(
    image: &ImageRef,
    body: Body,
    path: &Path,
    mut progress: impl FnMut(u8),
) -> Result<(), ImageError>
where
    Body: Stream<Item = anyhow::Result<Chunk>>,
    Chunk: AsRef<[u8]>,
{
    let file = tokio::fs::File::create(path).await?;
    let mut file = tokio::io::BufWriter::with_capacity(1024 * 1024, file);
    let mut hasher = Sha256::new();
    let mut received = 0u64;
    let mut reported = None;
    let mut body = std::pin::pin!(body);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(ImageError::Unavailable)?;
        let chunk = chunk.as_ref();
        received += chunk.len() as u64;
        // Checked before it is written: a server, or whoever plays one, cannot fill the disk.
        if received > image.file_bytes {
            return Err(unavailable(format!("more than the announced {} bytes", image.file_bytes)));
        }
        hasher.update(chunk);
        file.write_all(chunk).await?;
        let percent = (received * 100 / image.file_bytes.max(1)) as u8;
        if reported != Some(percent) {
            reported = Some(percent);
            progress(percent);
        }
    }
    if received != image.file_bytes {
        return Err(unavailable(format!("{received} bytes instead of {}", image.file_bytes)));
    }
    let checksum = hex::encode(hasher.finalize());
    if checksum != image.sha256 {
        return Err(unavailable(format!("its checksum is {checksum}, not {}", image.sha256)));
    }
    file.flush().await?;
    file.get_ref().sync_all().await?;
    Ok(())
}

fn unavailable(reason: String) -> ImageError {
    ImageError::Unavailable(anyhow::anyhow!(reason))
}

#[cfg(test)]
mod tests;
