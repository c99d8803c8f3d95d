//! Does a guest really run here?  `/dev/kvm` proves nothing: there are hosts on which it opens, makes a
//! machine, runs its firmware, and then executes the kernel of an ordinary guest a thousand times too
//! slowly, because it has to interpret privileged 64-bit code.  So a small guest must boot.
//!
//! The guest is one boot sector of our own, so that no image is needed.  A sector that only prints a
//! word passes on such hosts too; this one does what every kernel does first and what interpretation
//! is worst at: it enters 64-bit mode with paging on, makes 67 million rounds with a memory access
//! each (0.1 s on hardware, 0.5 s in QEMU's own emulator, minutes where privileged code is
//! interpreted), takes three timer interrupts, and then says so on its serial port.

use super::conn::QUICK;
use super::{Libvirt, Virtualization};
use crate::{durable, facts};
use anyhow::Context as _;
use jst_protocol::report::Qualification;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};
use virt::sys;

/// Ten times what slow hardware takes, and far below what interpretation takes.
const KVM_DEADLINE: Duration = Duration::from_secs(5);
const EMULATION_DEADLINE: Duration = Duration::from_secs(20);
const MARKER: &str = "jst-probe ok";
/// The firmware does not boot from a disk of a few sectors.
const DISK_BYTES: usize = 1024 * 1024;

/// Holds as long as kernel, QEMU and this boot of the host are the same.
#[derive(Serialize, Deserialize)]
struct Verdict {
    key: String,
    qualification: Qualification,
}

impl Libvirt {
    /// Probes as soon as libvirt answers, and keeps the verdict.
    pub(super) async fn qualify(&self) {
        let path = self.config.data_dir.join("qualification.json");
        let qualification = loop {
            let versions = self.conn.run("versions", QUICK, |connect| connect.hyp_version()).await;
            let Ok(qemu) = versions else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            let key = format!("{} {qemu} {}", facts::kernel(), facts::boot_id());
            let kept =
                std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Verdict>(&bytes).ok());
            if let Some(kept) = kept.filter(|kept| kept.key == key) {
                break kept.qualification;
            }
            let qualification = self.probe().await;
            let verdict = Verdict { key, qualification: qualification.clone() };
            // A failure is not kept: the next start of the agent tries again.
            if !matches!(qualification, Qualification::Failed { .. })
                && let Ok(bytes) = serde_json::to_vec(&verdict)
                && let Err(error) = durable::replace(&path, &bytes)
            {
                tracing::warn!(%error, "the qualification was not kept");
            }
            break qualification;
        };
        tracing::info!(?qualification, "this host");
        self.qualification.send_replace(qualification);
    }

    async fn probe(&self) -> Qualification {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let kvm = self.boot(Virtualization::Kvm, KVM_DEADLINE).await;
        let reason = match kvm {
            Ok(time) => return Qualification::Kvm { boot_milliseconds: milliseconds(time) },
            Err(error) => format!("under KVM: {error:#}"),
        };
        match self.boot(Virtualization::Emulation, EMULATION_DEADLINE).await {
            Ok(time) => Qualification::Emulated { boot_milliseconds: milliseconds(time), reason },
            Err(error) => Qualification::Failed { reason: format!("{reason}; emulated: {error:#}") },
        }
    }

    /// Boots the probe guest and returns how long it took.
    async fn boot(&self, virtualization: Virtualization, deadline: Duration) -> anyhow::Result<Duration> {
        let directory = self.storage.root().join(".probe");
        durable::make_directory(&directory, 0o711)?;
        let (disk, console) = (directory.join("disk.img"), directory.join("console.log"));
        let _ = std::fs::remove_file(&console);
        std::fs::write(&disk, disk_image()).context("the probe's disk cannot be written")?;
        let id = uuid::Uuid::new_v4();
        let xml = definition(virtualization, id, &disk, &console);
        let begun = Instant::now();
        // The domain ends with the connection: an agent that dies leaves nothing behind.
        let started = self
            .conn
            .run("start the probe", QUICK, move |connect| {
                connect.create_domain_xml(&xml, sys::VIR_DOMAIN_START_AUTODESTROY).map(drop)
            })
            .await;
        let result = match started {
            Err(fault) => Err(anyhow::Error::from(fault)),
            Ok(()) => wait_for_marker(&console, begun, deadline).await,
        };
        if let Err(fault) = self.destroy(id).await {
            tracing::warn!(%fault, "the probe guest was not removed");
        }
        let _ = std::fs::remove_dir_all(&directory);
        result
    }
}

async fn wait_for_marker(console: &Path, begun: Instant, deadline: Duration) -> anyhow::Result<Duration> {
    loop {
        if std::fs::read_to_string(console).is_ok_and(|text| text.contains(MARKER)) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > deadline {
            anyhow::bail!("the probe guest did not boot within {} s", deadline.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn definition(virtualization: Virtualization, id: uuid::Uuid, disk: &Path, console: &Path) -> String {
    let escape = |path: &Path| quick_xml::escape::escape(path.to_string_lossy().into_owned()).into_owned();
    format!(
        "<domain type='{}'><name>jst-probe-{}</name><uuid>{id}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os><features><acpi/><apic/></features>\
         <devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>\
         <target dev='vda' bus='virtio'/></disk><controller type='usb' model='none'/>\
         <serial type='file'><source path='{}'/><target port='0'/></serial>\
         <memballoon model='none'/></devices></domain>",
        virtualization.domain_type(),
        id.simple(),
        escape(disk),
        escape(console),
    )
}

fn disk_image() -> Vec<u8> {
    let mut image = vec![0; DISK_BYTES];
    image[..SECTOR.len()].copy_from_slice(&SECTOR);
    // The mark of a boot sector.
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image
}

/// `probe.s`, assembled: `as --64 -o probe.o probe.s && ld -m elf_x86_64 -Ttext 0x7c00 --oformat binary
/// -o probe.bin probe.o`, without the zeros at its end.
#[rustfmt::skip]
const SECTOR: [u8; 264] = [
    0xfa, 0xfc, 0x66, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xbf, 0x00,
    0x10, 0xb9, 0x00, 0x18, 0xf3, 0xab, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, 0xc7, 0x06, 0x00, 0x20,
    0x03, 0x30, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, 0xc7, 0x06, 0x00, 0x52, 0xcf, 0x7c, 0xc7, 0x06,
    0x02, 0x52, 0x08, 0x00, 0x66, 0xc7, 0x06, 0x04, 0x52, 0x00, 0x8e, 0x00, 0x00, 0x66, 0xa3, 0x08,
    0x52, 0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6,
    0x21, 0xb0, 0xfe, 0xe6, 0x21, 0xb0, 0xff, 0xe6, 0xa1, 0x0f, 0x01, 0x16, 0xd7, 0x7c, 0x0f, 0x01,
    0x1e, 0xdd, 0x7c, 0x66, 0xb8, 0x20, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0, 0x66, 0xb8, 0x00, 0x10,
    0x00, 0x00, 0x0f, 0x22, 0xd8, 0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01,
    0x0f, 0x30, 0x0f, 0x20, 0xc0, 0x66, 0x0d, 0x01, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, 0xea, 0x93,
    0x7c, 0x08, 0x00, 0xb8, 0x10, 0x00, 0x00, 0x00, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0x00,
    0x00, 0xb9, 0x00, 0x00, 0x00, 0x04, 0xbb, 0x00, 0x60, 0x00, 0x00, 0x01, 0x0b, 0xff, 0xc9, 0x75,
    0xfa, 0x31, 0xd2, 0xfb, 0xf4, 0x80, 0xfa, 0x03, 0x72, 0xfa, 0xfa, 0xbe, 0xfb, 0x7c, 0x00, 0x00,
    0xac, 0x84, 0xc0, 0x74, 0x07, 0x66, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf4, 0xf4, 0xeb, 0xfd, 0xff,
    0xc2, 0xb0, 0x20, 0xe6, 0x20, 0x48, 0xcf, 0x17, 0x00, 0xe3, 0x7c, 0x00, 0x00, 0x0f, 0x02, 0x00,
    0x50, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x9a, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x92, 0x00, 0x00, 0x6a, 0x73, 0x74, 0x2d, 0x70,
    0x72, 0x6f, 0x62, 0x65, 0x20, 0x6f, 0x6b, 0x0a,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The bytes are what the listing says.  Skipped where there is no assembler.
    #[test]
    fn the_sector_is_the_listing_assembled() {
        let directory = std::env::temp_dir().join(format!("jst-probe-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&directory).unwrap();
        let listing = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hypervisor/libvirt/probe.s");
        let (object, binary) = (directory.join("probe.o"), directory.join("probe.bin"));
        let assembled = Command::new("as").arg("--64").arg("-o").arg(&object).arg(listing).status();
        if assembled.is_ok_and(|status| status.success()) {
            let link = ["-m", "elf_x86_64", "-Ttext", "0x7c00", "--oformat", "binary", "-o"];
            let linked = Command::new("ld").args(link).arg(&binary).arg(&object).status();
            assert!(linked.unwrap().success());
            assert_eq!(std::fs::read(&binary).unwrap(), disk_image()[..512]);
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
