//! The tap of each interface, and the host's side of the wire behind it.
//!
//! Every tap is a network of two: the guest and its gateway (169.254.0.1 and fe80::1, the same on
//! every tap and every host).  A neighbour is reached through the host's routing table or not at
//! all, so there is no shared layer 2 to spoof or to sniff.  The guest's hardware address is a
//! permanent neighbour entry: nothing that a guest sends can change it.
//!
//! The device is persistent.  It outlives the agent and the guest's process, and so do its byte
//! counters; it goes with [`remove`] or with a restart of the host.

use super::command::{ip_batch, ip_json};
use super::names::{Port, Prefix};
use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// A device of this agent, as the kernel describes it.
#[derive(Clone, Debug)]
pub struct Device {
    pub name: String,
    /// Absent on a device that the agent made and did not get to label.
    pub owner: Option<(Uuid, u32)>,
    pub alias: Option<String>,
    pub hardware_address: String,
    pub up: bool,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

/// All devices whose names begin as this agent's do.
pub async fn devices(prefix: &Prefix) -> anyhow::Result<Vec<Device>> {
    let links = ip_json(&["-s", "link", "show"]).await?;
    Ok(links.iter().filter_map(|link| device(prefix, link)).collect())
}

fn device(prefix: &Prefix, link: &Value) -> Option<Device> {
    let name = link["ifname"].as_str()?;
    let rest = name.strip_prefix(prefix.as_str())?;
    if !rest.starts_with("-t") && !rest.starts_with("-i") {
        return None;
    }
    let alias = link["ifalias"].as_str();
    let bytes = |direction: &str| link["stats64"][direction]["bytes"].as_u64().unwrap_or(0);
    Some(Device {
        name: name.to_owned(),
        owner: alias.and_then(|alias| prefix.parse_alias(alias)),
        alias: alias.map(str::to_owned),
        hardware_address: link["address"].as_str().unwrap_or_default().to_owned(),
        up: link["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP")),
        received_bytes: bytes("rx"),
        sent_bytes: bytes("tx"),
    })
}

/// Makes the tap and everything on it that may exist before the filter does.  The device stays
/// down when it was down: [`bring_up`] is the last step, after filter and shaping.
pub async fn prepare(port: &Port, existing: &[Device]) -> anyhow::Result<()> {
    let tap = &port.tap;
    let found = existing.iter().find(|device| device.name == *tap);
    if let Some(alias) = found.and_then(|device| device.alias.as_ref())
        && *alias != port.alias
    {
        bail!("device {tap} belongs to {alias}, not to {}", port.alias);
    }
    let mut lines = Vec::new();
    if found.is_none() {
        // vnet_hdr: the guest and the host exchange large segments instead of single frames.
        lines.push(format!("tuntap add dev {tap} mode tap vnet_hdr"));
    }
    if found.is_none_or(|device| device.alias.is_none()) {
        lines.push(format!("link set dev {tap} alias {}", port.alias));
    }
    let gateway = port.mac.gateway().to_string();
    if found.is_none_or(|device| device.hardware_address != gateway) {
        lines.push(format!("link set dev {tap} address {gateway}"));
    }
    ip_batch(&lines).await?;
    sysctls(tap)?;
    let mut lines = vec![format!("address replace {GATEWAY_V4}/32 dev {tap}")];
    if ipv6_present() {
        // Nobody else is on this link, so duplicate address detection would only delay.
        lines.push(format!("address replace {GATEWAY_V6}/64 dev {tap} nodad"));
    } else if !port.v6.is_empty() {
        bail!("the host has no IPv6, and the guest has the address {}", port.v6[0]);
    }
    ip_batch(&lines).await
}

/// Settings of one tap.  `/proc/sys/net` shows the network namespace of the thread that reads it.
fn sysctls(tap: &str) -> anyhow::Result<()> {
    for (key, value) in [
        ("forwarding", "1"),
        // Guests configured with a wide prefix find their neighbours through the host.
        ("proxy_arp", "1"),
        // The second line of defence behind the filter: a source must be routed to this tap.
        ("rp_filter", "1"),
        ("send_redirects", "0"),
        ("accept_redirects", "0"),
        ("accept_source_route", "0"),
    ] {
        set_sysctl(&format!("ipv4/conf/{tap}/{key}"), value)?;
    }
    // A proxied answer would otherwise wait up to 0.8 s.
    set_sysctl(&format!("ipv4/neigh/{tap}/proxy_delay"), "0")?;
    if ipv6_present() {
        for (key, value) in [
            ("forwarding", "1"),
            // A guest must not teach the host routes.
            ("accept_ra", "0"),
            ("autoconf", "0"),
            ("accept_redirects", "0"),
            // fe80::1 is the only link-local address wanted.
            ("addr_gen_mode", "1"),
        ] {
            set_sysctl(&format!("ipv6/conf/{tap}/{key}"), value)?;
        }
    }
    Ok(())
}

/// Brings the tap up and converges routes, neighbours and the uplink's proxy entries to the
/// guest's addresses; what an earlier set of addresses left is removed.
pub async fn bring_up(port: &Port, uplink: Option<&str>) -> anyhow::Result<()> {
    let tap = &port.tap;
    let wanted: HashSet<IpAddr> = addresses(port).collect();
    ip_batch(&[format!("link set dev {tap} up")]).await?;
    let mut lines = Vec::new();
    for stale in routed(tap).await?.into_iter().filter(|address| !wanted.contains(address)) {
        lines.push(format!("route del {stale} dev {tap}"));
        if let Some(uplink) = uplink
            && proxied(uplink).await?.contains(&stale)
        {
            lines.push(format!("neighbour del proxy {stale} dev {uplink}"));
        }
    }
    for stale in permanent_neighbours(tap).await?.into_iter().filter(|address| !wanted.contains(address)) {
        lines.push(format!("neighbour del {stale} dev {tap}"));
    }
    for address in addresses(port) {
        lines.push(format!("neighbour replace {address} lladdr {} nud permanent dev {tap}", port.mac));
        lines.push(format!("route replace {address} dev {tap}"));
        if let Some(uplink) = uplink {
            // One entry an address, and not the sysctl: the host never answers for what is not ours.
            lines.push(format!("neighbour replace proxy {address} dev {uplink}"));
        }
    }
    ip_batch(&lines).await
}

/// Takes the tap down and withdraws its addresses from the uplink.
pub async fn take_down(tap: &str, uplink: Option<&str>) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    if let Some(uplink) = uplink {
        // The routes say which addresses were the guest's, and go with the link.
        let proxied = proxied(uplink).await?;
        for address in routed(tap).await?.into_iter().filter(|address| proxied.contains(address)) {
            lines.push(format!("neighbour del proxy {address} dev {uplink}"));
        }
    }
    lines.push(format!("link set dev {tap} down"));
    ip_batch(&lines).await
}

/// Deletes the tap, and with it what is left of its addresses and queueing.
pub async fn delete(tap: &str) -> anyhow::Result<()> {
    ip_batch(&[format!("link del dev {tap}")]).await
}

fn addresses(port: &Port) -> impl Iterator<Item = IpAddr> {
    port.v4.iter().copied().map(IpAddr::V4).chain(port.v6.iter().copied().map(IpAddr::V6))
}

/// The guests' addresses that are routed to a tap.
async fn routed(tap: &str) -> anyhow::Result<HashSet<IpAddr>> {
    let mut routes = ip_json(&["-4", "route", "show", "dev", tap]).await?;
    if ipv6_present() {
        routes.extend(ip_json(&["-6", "route", "show", "dev", tap]).await?);
    }
    // fe80::/64 does not parse as an address, and is not a guest's.
    Ok(routes.iter().filter_map(|route| route["dst"].as_str()?.parse().ok()).collect())
}

async fn permanent_neighbours(tap: &str) -> anyhow::Result<HashSet<IpAddr>> {
    let entries = ip_json(&["neighbour", "show", "dev", tap, "nud", "permanent"]).await?;
    Ok(entries.iter().filter_map(|entry| entry["dst"].as_str()?.parse().ok()).collect())
}

async fn proxied(uplink: &str) -> anyhow::Result<HashSet<IpAddr>> {
    let entries = ip_json(&["neighbour", "show", "proxy", "dev", uplink]).await?;
    Ok(entries.iter().filter_map(|entry| entry["dst"].as_str()?.parse().ok()).collect())
}

pub fn ipv6_present() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6").is_ok_and(|off| off.trim() == "0")
}

/// Writes below `/proc/sys/net` where the value differs: some of these have side effects when they
/// are written, even with the value that they have.
pub fn set_sysctl(key: &str, value: &str) -> anyhow::Result<()> {
    let path = format!("/proc/sys/net/{key}");
    let now = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    if now.trim() != value {
        std::fs::write(&path, value).with_context(|| format!("writing {value} to {path}"))?;
    }
    Ok(())
}
