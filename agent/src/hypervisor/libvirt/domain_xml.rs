//! A domain's definition: written from a template, and read back.

use super::limits::{CpuLimits, PERIOD_MICROSECONDS};
use anyhow::{Context as _, bail};
use askama::Template;
use jst_policy::units::MiB;
use quick_xml::events::{BytesStart, Event};
use uuid::Uuid;

/// How guests run on this host, as the probe guest proved it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Virtualization {
    Kvm,
    Emulation,
}

impl Virtualization {
    pub const fn domain_type(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Emulation => "qemu",
        }
    }

    const fn is_kvm(self) -> bool {
        matches!(self, Self::Kvm)
    }
}

pub struct InterfaceXml {
    pub mac: String,
    pub tap: String,
}

/// The title of a domain: one line, in characters that XML has.  No name may keep a guest from being made.
pub fn title(name: &str) -> String {
    name.replace(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'), " ")
}

/// Everything that the definition of one domain says.  Sizes carry their unit in the XML: a bare
/// `<memory>` means KiB.
#[derive(Template)]
#[template(path = "domain.xml")]
pub struct DomainXml {
    pub virtualization: Virtualization,
    pub emulator: String,
    pub id: Uuid,
    pub name: String,
    pub title: String,
    pub host: Uuid,
    pub generation: i64,
    pub epoch: i64,
    pub build: u32,
    pub vcpus: u32,
    pub max_vcpus: u32,
    /// Processors of the host for its vCPUs and its emulator; absent: all.
    pub cpuset: Option<String>,
    /// Where its memory should be, if anywhere.
    pub numa_node: Option<u32>,
    pub memory_mib: u64,
    pub max_memory_mib: u64,
    /// The kernel may merge pages of this guest with equal ones of others.
    pub page_merging: bool,
    pub cpu: CpuLimits,
    pub cpu_period: u64,
    pub disk: Vec<(&'static str, u64)>,
    /// The storage can be written past the page cache.
    pub direct_io: bool,
    pub root_disk: String,
    pub seed: Option<String>,
    pub interfaces: Vec<InterfaceXml>,
    pub console_log: String,
}

impl DomainXml {
    pub const PERIOD: u64 = PERIOD_MICROSECONDS;

    /// Room for what QEMU has translated of an emulated guest's code.  It takes up to a gigabyte of the host by itself,
    /// which nobody has booked.
    const TRANSLATIONS_MIB: u64 = 64;

    pub fn name_of(id: Uuid) -> String {
        format!("jst-{id}")
    }

    /// libvirt counts the room of memory devices in, plugged or not.
    fn total_memory_mib(&self) -> u64 {
        self.memory_mib + self.room_mib()
    }

    /// Room of the virtio-mem device, in whole blocks.
    fn room_mib(&self) -> u64 {
        self.max_memory_mib.saturating_sub(self.memory_mib) / 2 * 2
    }

    fn last_vcpu(&self) -> u32 {
        self.max_vcpus.saturating_sub(1)
    }

    fn cache_attributes(&self) -> &'static str {
        // Native asynchronous I/O exists for direct I/O only.
        if self.direct_io { "cache='none' io='native'" } else { "cache='writeback' io='threads'" }
    }
}

/// What the agent needs to know of a domain, from its XML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainFacts {
    /// The agent host that defined it; absent on domains that are not ours.
    pub host: Option<Uuid>,
    pub build: u32,
    pub vcpus: u32,
    pub max_vcpus: u32,
    /// Memory at boot.
    pub boot_memory: MiB,
    /// What the virtio-mem device has plugged, and could at most.
    pub plugged: MiB,
    pub room: MiB,
    /// No page of it is ever merged.
    pub unmerged: bool,
    pub has_seed: bool,
    pub vnc_socket: Option<String>,
    pub pty: Option<String>,
}

impl DomainFacts {
    pub fn read(xml: &str) -> anyhow::Result<Self> {
        let mut facts = Self::default();
        let mut reader = quick_xml::Reader::from_str(xml);
        reader.config_mut().trim_text(true);
        let mut path: Vec<String> = Vec::new();
        let mut unit = None;
        loop {
            match reader.read_event()? {
                Event::Start(start) => {
                    path.push(local_name(&start));
                    unit = attribute(&start, "unit")?;
                    facts.element(&path, &start)?;
                }
                Event::Empty(empty) => {
                    path.push(local_name(&empty));
                    facts.element(&path, &empty)?;
                    path.pop();
                }
                Event::Text(text) => {
                    let text = text.xml_content(quick_xml::XmlVersion::Implicit1_0).into_owned();
                    facts.text(&path, unit.as_deref(), &text)?;
                }
                Event::End(_) => drop(path.pop()),
                Event::Eof => return Ok(facts),
                _ => {}
            }
        }
    }

    fn element(&mut self, path: &[String], element: &BytesStart<'_>) -> anyhow::Result<()> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["domain", "metadata", "instance"] => {
                self.host = attribute(element, "host")?.and_then(|host| host.parse().ok());
                self.build = attribute(element, "build")?.and_then(|build| build.parse().ok()).unwrap_or(0);
            }
            ["domain", "vcpu"] => {
                self.vcpus = attribute(element, "current")?.and_then(|n| n.parse().ok()).unwrap_or(0);
            }
            ["domain", "cpu", "numa", "cell"] => {
                let size = attribute(element, "memory")?.unwrap_or_default();
                self.boot_memory = mib(&size, attribute(element, "unit")?.as_deref())?;
            }
            ["domain", "memoryBacking", "nosharepages"] => self.unmerged = true,
            ["domain", "devices", "disk", "target"] => {
                self.has_seed |= attribute(element, "dev")?.as_deref() == Some("vdb");
            }
            ["domain", "devices", "graphics", "listen"] => {
                self.vnc_socket = self.vnc_socket.take().or(attribute(element, "socket")?);
            }
            ["domain", "devices", "serial", "source"] => {
                self.pty = self.pty.take().or(attribute(element, "path")?);
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, path: &[String], unit: Option<&str>, text: &str) -> anyhow::Result<()> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["domain", "vcpu"] => {
                self.max_vcpus = text.parse()?;
                // Without `current` all of them are plugged.
                if self.vcpus == 0 {
                    self.vcpus = self.max_vcpus;
                }
            }
            ["domain", "devices", "memory", "target", "size"] => self.room = mib(text, unit)?,
            ["domain", "devices", "memory", "target", "current"] => self.plugged = mib(text, unit)?,
            _ => {}
        }
        Ok(())
    }
}

/// The virtio-mem device of a live domain, asking for `requested` MiB, as libvirt wants it back.
pub fn with_requested(xml: &str, requested: MiB) -> anyhow::Result<String> {
    let start = xml.find("<memory model='virtio-mem'").context("the domain has no virtio-mem device")?;
    let length = xml[start..].find("</memory>").context("the XML is cut off")? + "</memory>".len();
    let device = &xml[start..start + length];
    let from = device.find("<requested").context("the device has no requested size")?;
    let to = device.find("</requested>").context("the XML is cut off")?;
    Ok(format!("{}<requested unit='MiB'>{}{}", &device[..from], requested.get(), &device[to..]))
}

/// The seed's disk of a domain, for its removal.
pub fn seed_disk(xml: &str) -> Option<&str> {
    let target = xml.find("<target dev='vdb'")?;
    let start = xml[..target].rfind("<disk ")?;
    let end = target + xml[target..].find("</disk>")? + "</disk>".len();
    Some(&xml[start..end])
}

fn local_name(element: &BytesStart<'_>) -> String {
    element.local_name().as_ref().to_owned()
}

fn attribute(element: &BytesStart<'_>, name: &str) -> anyhow::Result<Option<String>> {
    let Some(attribute) = element.try_get_attribute(name)? else { return Ok(None) };
    Ok(Some(attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0)?.into_owned()))
}

fn mib(text: &str, unit: Option<&str>) -> anyhow::Result<MiB> {
    let number: u64 = text.parse()?;
    Ok(MiB(match unit {
        Some("b" | "bytes") => number / (1024 * 1024),
        None | Some("KiB" | "k") => number / 1024,
        Some("MiB" | "M") => number,
        Some("GiB" | "G") => number * 1024,
        Some(other) => bail!("the unit {other} of a memory size is not known"),
    }))
}

#[cfg(test)]
mod tests;
