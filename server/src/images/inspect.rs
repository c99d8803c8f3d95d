//! What an image file is, found out before anything opens it in earnest.
//!
//! A disk image is a program for the block layer: a qcow2 header may name a backing file, a data
//! file or a `json:` node, and whoever opens it trustingly reads host files into a guest
//! (CVE-2024-50386, OSSA-2024-001).  So the format is what the administrator stated and is never
//! probed; `qemu-img` first looks at the header only, in a process that can neither write nor use much;
//! and an image that leans on anything outside its own file is refused.  Only then its tables and its first
//! sectors are read: whether all of it is there, and whether a guest can start from it.

use super::boot;
use super::contents::{self, Contents};
use crate::error::{Error, FieldError, Result};
use anyhow::Context;
use jst_policy::validate::MAX_DISK;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(30);
/// Reading all tables of a disk of 64 TiB takes some seconds and some hundred MiB; a bomb takes more.
const CPU_SECONDS: u64 = 20;
const ADDRESS_SPACE_BYTES: u64 = 1 << 30;

/// What `qemu-img check` says of an image in which all is there, and of one that takes more room than it needs.
const GOOD: [i32; 2] = [0, 3];

/// Returns the size that a guest sees, in bytes; refuses what must not be used, at the field `file`.
///
/// The contents are looked at before anything is done in the stated format: a file that says of itself
/// that it is something else is not what it is said to be, and some tool would one day probe it.
pub async fn inspect(path: &Path, format: &str) -> Result<u64> {
    let beginning = head(path, contents::HEAD_BYTES).await?;
    let contents = contents::of(&beginning);
    refuse_other_contents(contents, format)?;
    let size = judge(&describe(path, format).await?, format)?;
    if size == 0 {
        return Err(refusal("image-empty"));
    }
    if size > MAX_DISK.bytes() {
        let problem =
            FieldError::new("file", "image-too-large").with("max", crate::web::format::mib(MAX_DISK.get()));
        return Err(Error::Invalid(vec![problem]));
    }
    let first = if format == "qcow2" {
        let file_bytes = tokio::fs::metadata(path).await.context("an image to inspect")?.len();
        if first_tables_end(&beginning) > file_bytes {
            return Err(refusal("image-incomplete"));
        }
        check(path, format).await?;
        first_sectors(path, format).await?
    } else {
        head(path, boot::HEAD_BYTES).await?
    };
    boot::check(&first, size).map_err(|fault| refuse_disk(fault, contents))?;
    Ok(size)
}

/// Where the last of the tables ends that a qcow2 header names, in bytes.  QEMU reads such a table beyond
/// the end of the file as an empty one.
fn first_tables_end(header: &[u8]) -> u64 {
    let byte = |at: usize| header.get(at).copied().unwrap_or(0);
    let u32_at = |at: usize| u32::from_be_bytes(std::array::from_fn(|offset| byte(at + offset)));
    let u64_at = |at: usize| u64::from_be_bytes(std::array::from_fn(|offset| byte(at + offset)));
    let clusters = u64_at(48).saturating_add(u64::from(u32_at(56)) << u32_at(20).min(21));
    u64_at(40).saturating_add(u64::from(u32_at(36)) * 8).max(clusters)
}

/// What the beginning of a file says that it is.
pub async fn contents_of(path: &Path) -> Result<Contents> {
    Ok(contents::of(&head(path, contents::HEAD_BYTES).await?))
}

async fn head(path: &Path, bytes: usize) -> Result<Vec<u8>> {
    let mut head = Vec::with_capacity(bytes);
    let file = tokio::fs::File::open(path).await.context("an image to inspect")?;
    file.take(bytes as u64).read_to_end(&mut head).await.context("an image to inspect")?;
    Ok(head)
}

fn refuse_other_contents(contents: Contents, format: &str) -> Result<()> {
    let with = |field: &str, code, found| {
        Err(Error::Invalid(vec![FieldError::new(field, code).with("found", found)]))
    };
    match contents {
        Contents::Disk(found) if found != format => with("format", "image-format-lie", found),
        Contents::Packed(packing) => with("file", "image-packed-twice", packing.name()),
        Contents::Archive(found) => with("file", "image-archive", found),
        Contents::WebPage => Err(refusal("image-web-page")),
        Contents::Disk(_) | Contents::Iso | Contents::Unknown => Ok(()),
    }
}

fn refuse_disk(fault: boot::Fault, contents: Contents) -> Error {
    match fault {
        boot::Fault::NotBootable if contents == Contents::Iso => refusal("image-iso"),
        boot::Fault::NotBootable => refusal("image-not-bootable"),
        boot::Fault::CutOff { needs } => {
            let needs = crate::web::format::mib(needs.div_ceil(1 << 20));
            Error::Invalid(vec![FieldError::new("file", "image-cut-off").with("needs", needs)])
        }
    }
}

/// `qemu-img info` with the stated format, as JSON text.
async fn describe(path: &Path, format: &str) -> Result<Vec<u8>> {
    let mut command = qemu_img(0);
    command.args(["info", "-f", format, "--output=json", "--"]).arg(path);
    let output = run(command).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        tracing::info!(status = %output.status, said = said.trim(), "an image was refused by qemu-img");
        return Err(refusal(if said.contains("not in") {
            "image-not-this-format"
        } else {
            "image-unreadable"
        }));
    }
    Ok(output.stdout)
}

/// Refuses an image whose tables contradict themselves or lead beyond the end of its file.
async fn check(path: &Path, format: &str) -> Result<()> {
    let mut command = qemu_img(0);
    command.args(["check", "-q", "-f", format, "--"]).arg(path);
    let output = run(command).await?;
    if output.status.code().is_some_and(|code| GOOD.contains(&code)) {
        return Ok(());
    }
    // One line for each cluster that is missing.
    let said: String = String::from_utf8_lossy(&output.stderr).chars().take(300).collect();
    tracing::info!(status = %output.status, said, "an image is damaged");
    Err(refusal(if said.contains("exceeding the end of the file") {
        "image-incomplete"
    } else {
        "image-corrupt"
    }))
}

/// The beginning of the disk that a guest sees.
async fn first_sectors(path: &Path, format: &str) -> Result<Vec<u8>> {
    let part = path.with_extension("sectors");
    let _removed = Removed(&part);
    let operand = |name: &str, path: &Path| {
        let mut operand = std::ffi::OsString::from(name);
        operand.push(path);
        operand
    };
    let mut command = qemu_img(boot::HEAD_BYTES as u64);
    command
        .args(["dd", "-f", format, "-O", "raw", "bs=512"])
        .arg(format!("count={}", boot::HEAD_BYTES / 512))
        .arg(operand("if=", path))
        .arg(operand("of=", &part));
    let output = run(command).await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        tracing::info!(status = %output.status, said = said.trim(), "the beginning of an image cannot be read");
        return Err(refusal("image-corrupt"));
    }
    head(&part, boot::HEAD_BYTES).await
}

struct Removed<'a>(&'a Path);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

/// `qemu-img` with little time and memory, that may write files of so many bytes.
fn qemu_img(most_written: u64) -> Command {
    let mut command = Command::new("qemu-img");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // SAFETY: between fork and exec only setrlimit is called, which is async-signal-safe, on values
    // that were made before the fork; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            for (resource, most) in [
                (libc::RLIMIT_CPU, CPU_SECONDS),
                (libc::RLIMIT_AS, ADDRESS_SPACE_BYTES),
                (libc::RLIMIT_FSIZE, most_written),
                (libc::RLIMIT_CORE, 0),
            ] {
                let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
                if libc::setrlimit(resource, &limit) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    command
}

async fn run(mut command: Command) -> Result<std::process::Output> {
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(output) => Ok(output.context("qemu-img cannot be run; install qemu-utils on the server")?),
        Err(_) => Err(refusal("image-unreadable")),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    virtual_size: u64,
    #[serde(default)]
    encrypted: bool,
    backing_filename: Option<String>,
    full_backing_filename: Option<String>,
    #[serde(default)]
    format_specific: Value,
}

/// The virtual size, where nothing in the description is a reason to refuse.
fn judge(output: &[u8], format: &str) -> Result<u64> {
    let info: Info = serde_json::from_slice(output).context("what qemu-img said about an image")?;
    let data = &info.format_specific["data"];
    let set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
    if info.format != format {
        Err(refusal("image-not-this-format"))
    } else if info.backing_filename.is_some() || info.full_backing_filename.is_some() {
        Err(refusal("image-backing-file"))
    } else if set(&data["data-file"]) || set(&data["data-file-raw"]) {
        Err(refusal("image-data-file"))
    } else if info.encrypted || set(&data["encrypt"]) {
        Err(refusal("image-encrypted"))
    } else if set(&data["corrupt"]) {
        Err(refusal("image-corrupt"))
    } else {
        Ok(info.virtual_size)
    }
}

fn refusal(code: &'static str) -> Error {
    Error::invalid("file", code)
}

#[cfg(test)]
mod tests;
