//! What an image file is, found out before anything opens it in earnest.
//!
//! A disk image is a program for the block layer: a qcow2 header may name a backing file, a data
//! file or a `json:` node, and whoever opens it trustingly reads host files into a guest
//! (CVE-2024-50386, OSSA-2024-001).  So the format is what the administrator stated and is never
//! probed; `qemu-img` looks at the header only, in a process that can neither write nor use much; and
//! an image that leans on anything outside its own file is refused.

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
/// Reading a header takes milliseconds and some tens of MiB; a bomb takes more.
const CPU_SECONDS: u64 = 10;
const ADDRESS_SPACE_BYTES: u64 = 1 << 30;

/// Beginnings of container formats.  A file that is said to be raw and begins so is not what it is
/// said to be, and some tool would one day probe it.
const MAGICS: [(&str, u64, &[u8]); 7] = [
    ("qcow2", 0, b"QFI\xfb"),
    ("qed", 0, b"QED\0"),
    ("vmdk", 0, b"KDMV"),
    ("vmdk", 0, b"# Disk DescriptorFile"),
    ("vhdx", 0, b"vhdxfile"),
    ("vpc", 0, b"conectix"),
    ("vdi", 64, b"\x7f\x10\xda\xbe"),
];

/// Returns the size that a guest sees, in bytes; refuses what must not be used, at the field `file`.
pub async fn inspect(path: &Path, format: &str) -> Result<u64> {
    if format == "raw" {
        refuse_disguise(path).await?;
    }
    let output = qemu_img(path, format).await?;
    let size = judge(&output, format)?;
    if size == 0 {
        return Err(refusal("image-empty"));
    }
    if size > MAX_DISK.bytes() {
        let problem =
            FieldError::new("file", "image-too-large").with("max", crate::web::format::mib(MAX_DISK.get()));
        return Err(Error::Invalid(vec![problem]));
    }
    Ok(size)
}

async fn refuse_disguise(path: &Path) -> Result<()> {
    let mut head = Vec::new();
    let file = tokio::fs::File::open(path).await.context("the uploaded image")?;
    file.take(128).read_to_end(&mut head).await.context("the uploaded image")?;
    for (format, offset, magic) in MAGICS {
        if head.get(offset as usize..).is_some_and(|rest| rest.starts_with(magic)) {
            return Err(Error::Invalid(vec![
                FieldError::new("format", "image-format-lie").with("found", format),
            ]));
        }
    }
    Ok(())
}

/// `qemu-img info` with the stated format, as JSON text.
async fn qemu_img(path: &Path, format: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("qemu-img");
    command
        .args(["info", "-f", format, "--output=json", "--"])
        .arg(path)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    // SAFETY: between fork and exec only setrlimit is called, which is async-signal-safe, on values
    // that were made before the fork; nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(|| {
            for (resource, most) in [
                (libc::RLIMIT_CPU, CPU_SECONDS),
                (libc::RLIMIT_AS, ADDRESS_SPACE_BYTES),
                (libc::RLIMIT_FSIZE, 0),
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
    let Ok(output) = tokio::time::timeout(PATIENCE, command.output()).await else {
        return Err(refusal("image-unreadable"));
    };
    let output = output.context("qemu-img cannot be run; install qemu-utils on the server")?;
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
mod tests {
    use super::*;

    fn code(result: Result<u64>) -> &'static str {
        match result {
            Err(Error::Invalid(problems)) => problems[0].code,
            other => panic!("{other:?}"),
        }
    }

    async fn create(arguments: &[&str]) {
        let status = Command::new("qemu-img").arg("create").arg("-q").args(arguments).status().await.unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn an_image_that_leans_on_other_files_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let [plain, backed, external, raw] = [path("plain"), path("backed"), path("external"), path("raw")];

        create(&["-f", "qcow2", &plain, "64M"]).await;
        assert_eq!(inspect(plain.as_ref(), "qcow2").await.unwrap(), 64 << 20);
        // A header that lies about its format, both ways.
        assert_eq!(code(inspect(plain.as_ref(), "raw").await), "image-format-lie");
        std::fs::write(&raw, vec![0; 1 << 20]).unwrap();
        assert_eq!(inspect(raw.as_ref(), "raw").await.unwrap(), 1 << 20);
        assert_eq!(code(inspect(raw.as_ref(), "qcow2").await), "image-not-this-format");
        std::fs::write(&raw, b"").unwrap();
        assert_eq!(code(inspect(raw.as_ref(), "raw").await), "image-empty");

        // The backing file of an attack is a file of the host's own; it need not exist.
        create(&["-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", &backed, "64M"]).await;
        assert_eq!(code(inspect(backed.as_ref(), "qcow2").await), "image-backing-file");
        let option = format!("data_file={}", path("data"));
        create(&["-f", "qcow2", "-o", &option, &external, "64M"]).await;
        assert_eq!(code(inspect(external.as_ref(), "qcow2").await), "image-data-file");
    }

    #[tokio::test]
    async fn a_broken_header_is_refused_and_harms_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broken");
        std::fs::write(&path, b"QFI\xfb\0\0\0\x03\xff\xff\xff\xff").unwrap();
        assert!(matches!(code(inspect(&path, "qcow2").await), "image-unreadable" | "image-not-this-format"));
        let path = directory.path().join("huge");
        create(&["-f", "qcow2", path.to_str().unwrap(), "17T"]).await;
        assert_eq!(code(inspect(&path, "qcow2").await), "image-too-large");
    }
}
