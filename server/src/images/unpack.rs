//! Unpacking a compressed image, within limits.
//!
//! Disk images are published compressed, and an empty disk shrinks to almost nothing, so the ratio says
//! nothing about a bomb.  What counts is what comes out: no more bytes than an image may have, no longer
//! than [`LONGEST`], in memory that does not grow with the file, and zeros take no room on the disk.
//! The decoders are written in Rust.

use super::contents::Packing;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Several times what the largest images take.
pub const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Of the dictionary that a decoder keeps.  `xz -9` and `zstd -19` need 64 MiB and 8 MiB of it.
const MOST_MEMORY: u64 = 256 << 20;
const BLOCK: usize = 64 * 1024;

#[derive(Debug)]
pub enum Fault {
    /// What was stored is no such format, or ends too early.
    Damaged(io::Error),
    /// More than so many bytes come out.
    TooLarge,
    TooSlow,
    /// Its decoder would need more memory than there is for it.
    TooMuchMemory,
    Storage(io::Error),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Unpacked {
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// Unpacks `from` into the empty file `to`: at most `most` bytes.  Ends early when it is dropped.
pub async fn unpack(packing: Packing, from: &Path, to: File, most: u64) -> Result<Unpacked, Fault> {
    let stop = StopOnDrop(Arc::default());
    let (from, stopped) = (PathBuf::from(from), stop.0.clone());
    let limits = Limits { most, until: Instant::now() + LONGEST, stopped };
    let work = tokio::task::spawn_blocking(move || {
        let source = BufReader::with_capacity(1 << 20, File::open(from).map_err(Fault::Storage)?);
        copy(reader(packing, source).as_mut(), to, &limits)
    });
    work.await.unwrap_or_else(|panic| Err(Fault::Damaged(io::Error::other(panic))))
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Limits {
    most: u64,
    until: Instant,
    stopped: Arc<AtomicBool>,
}

/// Several streams one after the other count as one, as the programs of these formats have it.
fn reader<'a>(packing: Packing, source: impl Read + 'a) -> Box<dyn Read + 'a> {
    match packing {
        Packing::Gzip => Box::new(flate2::read::MultiGzDecoder::new(source)),
        Packing::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(source)),
        Packing::Xz => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, (MOST_MEMORY >> 10) as u32))
        }
        Packing::Zstd => Box::new(Frames::new(source)),
    }
}

fn copy(source: &mut dyn Read, mut to: File, limits: &Limits) -> Result<Unpacked, Fault> {
    let mut block = vec![0; BLOCK];
    let mut hash = Sha256::new();
    let mut bytes = 0;
    loop {
        let length = fill(source, &mut block)?;
        if length == 0 {
            break;
        }
        bytes += length as u64;
        if bytes > limits.most {
            return Err(Fault::TooLarge);
        }
        if Instant::now() > limits.until || limits.stopped.load(Ordering::Relaxed) {
            return Err(Fault::TooSlow);
        }
        hash.update(&block[..length]);
        let zeros = block[..length].iter().all(|byte| *byte == 0);
        let written = match zeros {
            true => to.seek(SeekFrom::Current(length as i64)).map(drop),
            false => to.write_all(&block[..length]),
        };
        written.map_err(Fault::Storage)?;
    }
    to.set_len(bytes).and_then(|()| to.sync_all()).map_err(Fault::Storage)?;
    Ok(Unpacked { bytes, sha256: hex::encode(hash.finalize()) })
}

/// A whole block, or what is left.
fn fill(source: &mut dyn Read, block: &mut [u8]) -> Result<usize, Fault> {
    let mut length = 0;
    while length < block.len() {
        match source.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => return Err(Fault::TooMuchMemory),
            Err(error) => return Err(Fault::Damaged(error)),
        }
    }
    Ok(length)
}

/// All frames of a zstd file one after the other; the library reads one.
struct Frames<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    /// In a frame, and not between two.
    open: bool,
}

impl<R: Read> Frames<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MOST_MEMORY);
        Self { source: BufReader::new(source), decoder, open: false }
    }

    /// Begins the next frame with content; false where the file ends.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(FrameDecoderError::WindowSizeTooBig { .. }) => {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    fn end(&mut self) -> io::Result<()> {
        let stated = self.decoder.get_checksum_from_data();
        if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum differs"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.open = self.open || self.begin()?;
            if !self.open || buffer.is_empty() {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(io::Error::other)?;
            }
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            self.end()?;
            self.open = false;
        }
    }
}

#[cfg(test)]
mod tests;
