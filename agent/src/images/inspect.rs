//! Whether a downloaded file is an image that may be used.
//!
//! An image is input from outside.  The dangers are those of the format itself: a backing file or an
//! external data file makes the hypervisor open a file of the host, and a header that is corrupt on
//! purpose feeds a parser.  So the few header fields that name other files are read here first, with
//! nothing but arithmetic, because `qemu-img info` opens a data file to describe it; and what then
//! runs `qemu-img` runs with the stated format, never a guessed one, and with little memory and time.

use super::ImageError;
use anyhow::Context;
use jst_protocol::desired::{ImageFormat, ImageRef};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt;

const DEADLINE: Duration = Duration::from_secs(60);
/// Ten times what reading all tables of a 16 TiB image takes.
const ADDRESS_SPACE: u64 = 2 * 1024 * 1024 * 1024;
const CPU_SECONDS: u64 = 20;

/// Incompatible features that are harmless: another compression, and extended L2 entries.
const HARMLESS_FEATURES: u64 = 1 << 3 | 1 << 4;

pub async fn inspect(image: &ImageRef, path: &Path) -> Result<(), ImageError> {
    if image.format == ImageFormat::Qcow2 {
        let mut header = [0; 104];
        let mut file = tokio::fs::File::open(path).await?;
        file.read_exact(&mut header).await.map_err(|_| refused("shorter than a header"))?;
        check_header(&header, image.virtual_bytes)?;
    }
    let description = describe(image.format, path).await.map_err(ImageError::Unavailable)?;
    let description = description.map_err(|said| refused(&said))?;
    check_description(&description, image.format, image.virtual_bytes)?;
    if image.format == ImageFormat::Qcow2 {
        check_tables(path).await?;
    }
    Ok(())
}

/// What `qemu-img check` says of an image in which all is there, and of one that takes more room than it
/// needs.
const GOOD: [i32; 2] = [0, 3];

/// Refuses an image whose tables contradict themselves or lead beyond the end of its file.
async fn check_tables(path: &Path) -> Result<(), ImageError> {
    let output = qemu_img(&["check", "-q", "-f", "qcow2"], path).await.map_err(ImageError::Unavailable)?;
    match output.status.code() {
        Some(code) if GOOD.contains(&code) => Ok(()),
        _ => Err(refused(&format!("it is incomplete or damaged ({}): {}", output.status, said(&output)))),
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect()
}

fn refused(reason: &str) -> ImageError {
    ImageError::Invalid(reason.to_owned())
}

/// The fixed part of a qcow2 header, in big-endian numbers.
fn check_header(header: &[u8; 104], virtual_bytes: u64) -> Result<(), ImageError> {
    let u32_at = |at: usize| u32::from_be_bytes(std::array::from_fn(|offset| header[at + offset]));
    let u64_at = |at: usize| u64::from_be_bytes(std::array::from_fn(|offset| header[at + offset]));
    let version = u32_at(4);
    if header[..4] != *b"QFI\xfb" || !(2..=3).contains(&version) {
        return Err(refused("not qcow2 of version 2 or 3"));
    }
    if u64_at(8) != 0 || u32_at(16) != 0 {
        return Err(refused("it has a backing file"));
    }
    if u64_at(24) != virtual_bytes {
        return Err(refused("its virtual size is not the stated one"));
    }
    if u32_at(32) != 0 {
        return Err(refused("it is encrypted"));
    }
    // Of these, bit 0 and 1 mean that it was not closed or is damaged, and bit 2 an external data file.
    if version == 3 && u64_at(72) & !HARMLESS_FEATURES != 0 {
        return Err(refused("it needs features that are not allowed"));
    }
    Ok(())
}

/// What `qemu-img info` says; the inner error is its refusal.
async fn describe(format: ImageFormat, path: &Path) -> anyhow::Result<Result<Value, String>> {
    let format = match format {
        ImageFormat::Qcow2 => "qcow2",
        ImageFormat::Raw => "raw",
    };
    let output = qemu_img(&["info", "--output=json", "-f", format], path).await?;
    if !output.status.success() {
        return Ok(Err(format!("qemu-img cannot read it ({}): {}", output.status, said(&output))));
    }
    Ok(Ok(serde_json::from_slice(&output.stdout).context("qemu-img printed no JSON")?))
}

/// With little memory and time, and nothing to write.
async fn qemu_img(arguments: &[&str], path: &Path) -> anyhow::Result<Output> {
    let mut command = tokio::process::Command::new("qemu-img");
    command
        .args(arguments)
        .arg(path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // SAFETY: between fork and exec only setrlimit is called, which is async-signal-safe and
    // allocates nothing.
    unsafe {
        command.pre_exec(|| {
            limit(libc::RLIMIT_AS, ADDRESS_SPACE)?;
            limit(libc::RLIMIT_CPU, CPU_SECONDS)?;
            limit(libc::RLIMIT_FSIZE, 0)
        });
    }
    let output =
        tokio::time::timeout(DEADLINE, command.output()).await.context("qemu-img did not end in time")?;
    output.context("running qemu-img")
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the pointer is to a value on this stack.
    if unsafe { libc::setrlimit(resource, &limit) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// A second opinion on everything that names another file, from the program that will use it.
fn check_description(description: &Value, format: ImageFormat, virtual_bytes: u64) -> Result<(), ImageError> {
    let stated = match format {
        ImageFormat::Qcow2 => "qcow2",
        ImageFormat::Raw => "raw",
    };
    if description["format"] != stated {
        return Err(refused("qemu-img sees another format"));
    }
    if description["virtual-size"].as_u64() != Some(virtual_bytes) {
        return Err(refused("its virtual size is not the stated one"));
    }
    let specific = &description["format-specific"]["data"];
    let outside = [
        &description["backing-filename"],
        &description["full-backing-filename"],
        &description["backing-image"],
        &specific["data-file"],
        &specific["data-file-raw"],
        &specific["extents"],
    ];
    if outside.iter().any(|value| !value.is_null() && **value != Value::Bool(false)) {
        return Err(refused("it refers to another file"));
    }
    if description["encrypted"] == true || specific["corrupt"] == true {
        return Err(refused("it is encrypted or damaged"));
    }
    Ok(())
}
