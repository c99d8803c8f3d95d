//! Disk images as the platform takes them, made in a moment.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The first sector of a disk from which a machine starts, and then halts: `hlt`, and a jump back to it.
pub fn boot_sector() -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..3].copy_from_slice(b"\xf4\xeb\xfd");
    sector[510..].copy_from_slice(b"\x55\xaa");
    sector
}

/// A qcow2 image of a disk of so many MiB with a boot sector and nothing else.
pub fn blank(directory: &Path, name: &str, mib: u32) -> PathBuf {
    let raw = directory.join(format!("{name}.raw"));
    std::fs::write(&raw, boot_sector()).expect("our own directory");
    let file = std::fs::File::options().write(true).open(&raw).expect("it was made");
    file.set_len(u64::from(mib) << 20).expect("a sparse file");
    let made = directory.join(name);
    let output =
        Command::new("qemu-img").args(["convert", "-f", "raw", "-O", "qcow2"]).args([&raw, &made]).output();
    assert!(output.is_ok_and(|output| output.status.success()), "qemu-img is installed by tests/run");
    std::fs::remove_file(raw).expect("it was made");
    made
}
