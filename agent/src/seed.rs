//! The NoCloud seed: a small disk from which a guest learns its name, network and keys at its first
//! boot.
//!
//! The documents are JSON, which is YAML as well.  All strings are quoted, so that a host name such as
//! `2026` or `no` stays one, and [`document`] escapes what readers of YAML 1.1 do not take as it is.  There is one value a line, because small guests read them with a line parser.
//!
//! Keys stand in `meta-data`, where no user data can displace them.  The customer's own user data is
//! handed over untouched; ours then goes to `vendor-data`, which cloud-init merges below it.

use anyhow::{Context, ensure};
use jst_protocol::desired::{InstanceSpec, Interface, Seed};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use uuid::Uuid;

/// Room beside the documents for the file system's own tables.
const SPARE_BYTES: usize = 128 * 1024;
const SMALLEST_BYTES: usize = 1024 * 1024;
/// cloud-init's own bound on user data is far below; this bounds what a server could make us write.
const LARGEST_USER_DATA: usize = 8 * 1024 * 1024;

/// Writes the seed of one build of an instance to `path`, readable by root alone.  Whoever opens
/// `path` sees the old seed or the new one, never half of one.
pub fn write_seed(path: &Path, instance: Uuid, build: u32, spec: &InstanceSpec) -> anyhow::Result<()> {
    let image = image(&documents(instance, build, spec)?)?;
    let temporary = path.with_extension("new");
    // A left-over of an interrupted run may have other permissions than asked for below.
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(|| format!("creating {}", temporary.display()))?;
    file.write_all(&image)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path).with_context(|| format!("publishing {}", path.display()))
}

/// The files of the seed by name: `meta-data`, `network-config`, `user-data` and perhaps `vendor-data`.
pub fn documents(
    instance: Uuid,
    build: u32,
    spec: &InstanceSpec,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    check_hostname(&spec.hostname)?;
    spec.domain.as_deref().map_or(Ok(()), check_hostname)?;
    check_keys(&spec.seed)?;
    let ours = format!("#cloud-config\n{}", document(&CloudConfig::of(spec))?);
    let mut documents = vec![
        ("meta-data", document(&MetaData::of(instance, build, &spec.hostname, &spec.seed))?),
        ("network-config", document(&NetworkConfig::of(&spec.interfaces)?)?),
    ];
    match &spec.seed.user_data {
        Some(theirs) => {
            ensure!(theirs.len() <= LARGEST_USER_DATA, "user data is larger than {LARGEST_USER_DATA} bytes");
            documents.push(("user-data", theirs.clone()));
            documents.push(("vendor-data", ours));
        }
        None => documents.push(("user-data", ours)),
    }
    Ok(documents)
}

/// A key that is absent and a list that is empty are different things to cloud-init, so an empty list
/// is not written.
fn is_empty<T>(list: &[T]) -> bool {
    list.is_empty()
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MetaData<'a> {
    instance_id: String,
    local_hostname: &'a str,
    #[serde(skip_serializing_if = "is_empty")]
    public_keys: &'a [String],
}

impl<'a> MetaData<'a> {
    fn of(instance: Uuid, build: u32, hostname: &'a str, seed: &'a Seed) -> Self {
        Self {
            instance_id: format!("{instance}-{build}"),
            local_hostname: hostname,
            public_keys: &seed.ssh_keys,
        }
    }
}

/// Root signs in with a key everywhere: the images have no other user in common.
#[derive(Serialize)]
struct CloudConfig<'a> {
    hostname: &'a str,
    /// With the domain, where there is one; cloud-init keeps the line of `/etc/hosts` that answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fqdn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manage_etc_hosts: Option<&'static str>,
    disable_root: bool,
    ssh_pwauth: bool,
    #[serde(skip_serializing_if = "is_empty")]
    ssh_authorized_keys: &'a [String],
}

impl<'a> CloudConfig<'a> {
    fn of(spec: &'a InstanceSpec) -> Self {
        let InstanceSpec { hostname, domain, seed, .. } = spec;
        Self {
            hostname,
            fqdn: domain.as_ref().map(|domain| format!("{hostname}.{domain}")),
            manage_etc_hosts: domain.as_ref().map(|_| "localhost"),
            disable_root: false,
            ssh_pwauth: false,
            ssh_authorized_keys: &seed.ssh_keys,
        }
    }
}

/// Version 2 of cloud-init's network configuration.
#[derive(Serialize)]
struct NetworkConfig<'a> {
    version: u8,
    ethernets: BTreeMap<String, Ethernet<'a>>,
}

impl<'a> NetworkConfig<'a> {
    fn of(interfaces: &'a [Interface]) -> anyhow::Result<Self> {
        let named = |interface: &'a Interface| {
            anyhow::Ok((format!("eth{}", interface.index), Ethernet::of(interface)?))
        };
        Ok(Self { version: 2, ethernets: interfaces.iter().map(named).collect::<anyhow::Result<_>>()? })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Ethernet<'a> {
    r#match: Match,
    set_name: String,
    #[serde(skip_serializing_if = "is_empty")]
    addresses: &'a [ipnet::IpNet],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nameservers: Option<Nameservers<'a>>,
}

#[derive(Serialize)]
struct Match {
    macaddress: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Route {
    to: &'static str,
    via: IpAddr,
    on_link: bool,
}

#[derive(Serialize)]
struct Nameservers<'a> {
    addresses: &'a [IpAddr],
}

impl<'a> Ethernet<'a> {
    fn of(interface: &'a Interface) -> anyhow::Result<Self> {
        let mac: crate::network::Mac = interface.mac.parse()?;
        let servers = &interface.nameservers;
        Ok(Self {
            r#match: Match { macaddress: mac.to_string() },
            set_name: format!("eth{}", interface.index),
            addresses: &interface.addresses,
            routes: if interface.index == 0 { default_routes(interface) } else { Vec::new() },
            nameservers: (!servers.is_empty()).then_some(Nameservers { addresses: servers }),
        })
    }
}

/// The gateway is on no prefix of the guest's, hence `on-link`.
fn default_routes(interface: &Interface) -> Vec<Route> {
    let v4 = interface.addresses.iter().any(|net| net.addr().is_ipv4());
    let v6 = interface.addresses.iter().any(|net| net.addr().is_ipv6());
    let gateways: [(bool, &str, IpAddr); 2] = [
        (v4, "0.0.0.0/0", crate::network::GATEWAY_V4.into()),
        (v6, "::/0", crate::network::GATEWAY_V6.into()),
    ];
    let wanted = gateways.into_iter().filter(|(wanted, ..)| *wanted);
    wanted.map(|(_, to, via)| Route { to, via, on_link: true }).collect()
}

/// The server has validated it; a second look costs nothing.
fn check_hostname(hostname: &str) -> anyhow::Result<()> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    ensure!(hostname.len() <= 253 && hostname.split('.').all(label), "not a host name: {hostname:?}");
    Ok(())
}

/// A key is one line of the guest's `authorized_keys`, whatever quotes it on the way there.
fn check_keys(seed: &Seed) -> anyhow::Result<()> {
    let broken = |key: &String| key.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
    ensure!(!seed.ssh_keys.iter().any(broken), "an SSH key holds a control character");
    Ok(())
}

/// JSON that a reader of YAML 1.1 takes for the same strings.
///
/// Such a reader refuses a document with a character that is not printable, and takes U+0085, U+2028
/// and U+2029 for ends of lines, so these are escaped; outside strings JSON has none of them.
/// Characters beyond U+FFFF stay as they are: JSON would make two escapes of one, which YAML reads as
/// two characters.
fn document(value: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                write!(text, "\\u{:04x}", u32::from(c))?;
            }
            _ => text.push(c),
        }
    }
    text.push('\n');
    Ok(text)
}

/// A FAT file system labelled `CIDATA` that holds the documents.
fn image(documents: &[(&'static str, String)]) -> anyhow::Result<Vec<u8>> {
    let content: usize = documents.iter().map(|(_, text)| text.len()).sum();
    let size = (content + SPARE_BYTES).next_multiple_of(SMALLEST_BYTES);
    let mut disk = Cursor::new(vec![0; size]);
    let options = fatfs::FormatVolumeOptions::new().volume_label(*b"CIDATA     ");
    fatfs::format_volume(&mut disk, options).context("formatting the seed")?;
    {
        let file_system = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new())?;
        for (name, text) in documents {
            let mut file = file_system.root_dir().create_file(name)?;
            file.truncate()?;
            file.write_all(text.as_bytes()).with_context(|| format!("writing {name} of the seed"))?;
        }
        file_system.unmount()?;
    }
    Ok(disk.into_inner())
}

#[cfg(test)]
mod tests;
