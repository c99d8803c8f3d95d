//! The NoCloud seed: a small disk from which a guest learns its name, network and keys at its first
//! boot.
//!
//! The documents are written in plain block style, one value a line, because small guests read them
//! with a line parser and not with a YAML library.  Values that people chose are written as JSON
//! strings, which every YAML parser reads, and control characters are refused outright: the server
//! has validated them, and a second look costs nothing.
//!
//! Keys stand in `meta-data`, where no user data can displace them.  The customer's own user data is
//! handed over untouched; ours then goes to `vendor-data`, which cloud-init merges below it.

use anyhow::{Context, ensure};
use jst_protocol::desired::{InstanceSpec, Interface, Seed};
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

/// The files of the seed by name.
fn documents(instance: Uuid, build: u32, spec: &InstanceSpec) -> anyhow::Result<Vec<(&'static str, String)>> {
    let ours = cloud_config(&spec.hostname, &spec.seed)?;
    let mut documents = vec![
        ("meta-data", meta_data(instance, build, &spec.hostname, &spec.seed)?),
        ("network-config", network_config(&spec.interfaces)?),
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

fn meta_data(instance: Uuid, build: u32, hostname: &str, seed: &Seed) -> anyhow::Result<String> {
    let mut text =
        format!("instance-id: {instance}-{build}\nlocal-hostname: {}\n", plain_hostname(hostname)?);
    append_list(&mut text, "public-keys", &seed.ssh_keys)?;
    Ok(text)
}

fn cloud_config(hostname: &str, seed: &Seed) -> anyhow::Result<String> {
    // Root logs in with a key everywhere: the images have no other user in common.
    let mut text = format!(
        "#cloud-config\nhostname: {}\ndisable_root: false\nssh_pwauth: false\n",
        plain_hostname(hostname)?
    );
    append_list(&mut text, "ssh_authorized_keys", &seed.ssh_keys)?;
    Ok(text)
}

fn network_config(interfaces: &[Interface]) -> anyhow::Result<String> {
    let mut text = String::from("version: 2\nethernets:\n");
    for interface in interfaces {
        let mac: crate::network::Mac = interface.mac.parse()?;
        let index = interface.index;
        writeln!(text, "  eth{index}:\n    match:\n      macaddress: \"{mac}\"\n    set-name: eth{index}")?;
        if !interface.addresses.is_empty() {
            text.push_str("    addresses:\n");
        }
        for address in &interface.addresses {
            writeln!(text, "      - \"{address}\"")?;
        }
        if index == 0 {
            append_default_routes(&mut text, interface)?;
        }
        if !interface.nameservers.is_empty() {
            let servers: Vec<String> =
                interface.nameservers.iter().map(|server| format!("\"{server}\"")).collect();
            writeln!(text, "    nameservers:\n      addresses: [{}]", servers.join(", "))?;
        }
    }
    Ok(text)
}

/// The gateway is on no prefix of the guest's, hence `on-link`.
fn append_default_routes(text: &mut String, interface: &Interface) -> anyhow::Result<()> {
    let v4 = interface.addresses.iter().any(|net| net.addr().is_ipv4());
    let v6 = interface.addresses.iter().any(|net| net.addr().is_ipv6());
    if v4 || v6 {
        text.push_str("    routes:\n");
    }
    let gateways: [(bool, &str, IpAddr); 2] = [
        (v4, "0.0.0.0/0", crate::network::GATEWAY_V4.into()),
        (v6, "::/0", crate::network::GATEWAY_V6.into()),
    ];
    for (_, to, via) in gateways.into_iter().filter(|(wanted, ..)| *wanted) {
        writeln!(text, "      - to: \"{to}\"\n        via: \"{via}\"\n        on-link: true")?;
    }
    Ok(())
}

/// A host name goes in unquoted, so it must be one.
fn plain_hostname(hostname: &str) -> anyhow::Result<&str> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    ensure!(hostname.len() <= 253 && hostname.split('.').all(label), "not a host name: {hostname:?}");
    Ok(hostname)
}

/// A key that is absent and a list that is empty are different things to cloud-init, so an empty
/// list is not written.
fn append_list(text: &mut String, key: &str, values: &[String]) -> anyhow::Result<()> {
    if !values.is_empty() {
        writeln!(text, "{key}:")?;
    }
    for value in values {
        ensure!(!value.chars().any(char::is_control), "{key} holds a control character");
        writeln!(text, "  - {}", serde_json::to_string(value)?)?;
    }
    Ok(())
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
