//! Names of devices and chains, and the typed form of an interface.
//!
//! A device name has at most 15 bytes, so it cannot hold an instance id: it holds 45 bits of a hash
//! of it, and the device's alias holds the id itself.  The alias is what the agent reads back to
//! learn what is attached, so nothing of the network has to be remembered in a file.

use anyhow::{Context, bail, ensure};
use jst_protocol::desired::Interface;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

/// Longest prefix: with a dash, a letter and nine characters of hash it makes 15 bytes.
const LONGEST_PREFIX: usize = 4;

/// First part of the names of all devices, tables and aliases of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    pub fn new(text: &str) -> anyhow::Result<Self> {
        ensure!(
            (1..=LONGEST_PREFIX).contains(&text.len())
                && text.starts_with(|first: char| first.is_ascii_lowercase())
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
            "a network prefix is 1 to {LONGEST_PREFIX} lower-case letters and digits, a letter first"
        );
        Ok(Self(text.to_owned()))
    }

    /// Also the name of the nftables tables.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// nftables' pattern of every tap of this agent.  No prefix has a dash, so it matches no tap of
    /// another agent, whatever that one's prefix is.
    pub fn every_tap(&self) -> String {
        format!("{}-t*", self.0)
    }

    pub fn tap(&self, instance: Uuid, index: u32) -> String {
        format!("{}-t{}", self.0, hash(instance, index))
    }

    /// The device whose egress stands for the ingress of the tap.
    pub fn ifb(&self, instance: Uuid, index: u32) -> String {
        format!("{}-i{}", self.0, hash(instance, index))
    }

    pub fn alias(&self, instance: Uuid, index: u32) -> String {
        format!("{}:{instance}:{index}", self.0)
    }

    /// The instance and index in an alias that [`Prefix::alias`] made.
    pub fn parse_alias(&self, alias: &str) -> Option<(Uuid, u32)> {
        let rest = alias.strip_prefix(&self.0)?.strip_prefix(':')?;
        let (instance, index) = rest.split_once(':')?;
        Some((instance.parse().ok()?, index.parse().ok()?))
    }
}

/// Nine characters of base 32 in lower case: 45 bits.  Among 1,000 interfaces two would agree on one
/// host in 70 million, and `attach` refuses a device that carries another's alias.
fn hash(instance: Uuid, index: u32) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::new().chain_update(instance.as_bytes()).chain_update(index.to_be_bytes()).finalize();
    let bits = u64::from_be_bytes(std::array::from_fn(|at| digest[at]));
    (0..9).map(|at| char::from(ALPHABET[(bits >> (59 - 5 * at)) as usize & 31])).collect()
}

/// A hardware address.  Parsed, so that nothing else can reach a script through this field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl std::str::FromStr for Mac {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).context("a MAC address has six bytes")?;
            *byte = u8::from_str_radix(part, 16).context("a MAC address is hexadecimal")?;
        }
        ensure!(parts.next().is_none(), "a MAC address has six bytes");
        ensure!(bytes[0] & 1 == 0, "a MAC address of a guest is unicast");
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Mac {
    /// The link-local address that a guest derives from its hardware address (RFC 4291, EUI-64).
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let half = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        Ipv6Addr::new(0xfe80, 0, 0, 0, half(a ^ 2, b), half(c, 0xff), half(0xfe, d), half(e, f))
    }

    /// The gateway's address on the tap of this guest: the same on every host, so that a guest
    /// that was migrated need not learn its gateway anew.
    pub fn gateway(self) -> Self {
        let [_, b, c, d, e, f] = self.0;
        Self([0xfe, b, c, d, e, f])
    }
}

/// One interface of one instance, with everything that the host's side of it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub tap: String,
    pub ifb: String,
    pub alias: String,
    pub mac: Mac,
    pub v4: Vec<Ipv4Addr>,
    pub v6: Vec<Ipv6Addr>,
    pub nameservers: Vec<IpAddr>,
}

impl Port {
    pub fn new(prefix: &Prefix, instance: Uuid, interface: &Interface) -> anyhow::Result<Self> {
        let index = interface.index;
        let mac = interface.mac.parse().with_context(|| format!("interface {index}"))?;
        let mut port = Self {
            tap: prefix.tap(instance, index),
            ifb: prefix.ifb(instance, index),
            alias: prefix.alias(instance, index),
            mac,
            v4: Vec::new(),
            v6: Vec::new(),
            nameservers: interface.nameservers.iter().map(IpAddr::to_canonical).collect(),
        };
        for net in &interface.addresses {
            if net.prefix_len() != net.max_prefix_len() {
                bail!("interface {index}: {net} is not a single address");
            }
            let address = net.addr();
            ensure!(
                !address.is_unspecified() && !address.is_loopback() && !address.is_multicast(),
                "interface {index}: {address} is no address of a guest"
            );
            match address {
                IpAddr::V4(address) => port.v4.push(address),
                IpAddr::V6(address) => port.v6.push(address),
            }
        }
        port.v4.sort_unstable();
        port.v6.sort_unstable();
        port.v4.dedup();
        port.v6.dedup();
        // nftables refuses a set that names one member twice.
        port.nameservers.sort_unstable();
        port.nameservers.dedup();
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let prefix = Prefix::new("jst2").unwrap();
        let instance = Uuid::from_u128(7);
        let names: std::collections::HashSet<_> =
            (0..100).flat_map(|index| [prefix.tap(instance, index), prefix.ifb(instance, index)]).collect();
        assert_eq!(names.len(), 200);
        assert!(names.iter().all(|name| name.len() == 15), "{names:?}");
        // Frozen: a running guest's device must be found again by a newer agent.
        assert_eq!(Prefix::new("jst").unwrap().tap(instance, 0), "jst-ti6yrh3p3b");
        assert!(["", "abcde", "Abc", "a-b", "1ab", "a*"].iter().all(|text| Prefix::new(text).is_err()));
    }

    #[test]
    fn aliases_carry_the_identity() {
        let prefix = Prefix::new("jst").unwrap();
        let instance = Uuid::from_u128(9);
        assert_eq!(prefix.parse_alias(&prefix.alias(instance, 3)), Some((instance, 3)));
        assert_eq!(Prefix::new("js").unwrap().parse_alias(&prefix.alias(instance, 3)), None);
        assert_eq!(prefix.parse_alias("jst:someone else's"), None);
    }

    #[test]
    fn hardware_addresses_are_strict() {
        let mac: Mac = "52:54:00:aa:bb:cc".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:aa:bb:cc");
        assert_eq!(mac.gateway().to_string(), "fe:54:00:aa:bb:cc");
        assert_eq!(mac.link_local().to_string(), "fe80::5054:ff:feaa:bbcc");
        for bad in
            ["", "52:54:00:aa:bb", "52:54:00:aa:bb:cc:dd", "53:54:00:aa:bb:cc", "52:54:0:aa:bb:cc; drop"]
        {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_takes_single_addresses_only() {
        let prefix = Prefix::new("jst").unwrap();
        let mut interface = Interface {
            index: 0,
            mac: "52:54:00:aa:bb:cc".into(),
            addresses: vec!["10.60.0.5/32".parse().unwrap(), "2001:db8::5/128".parse().unwrap()],
            nameservers: vec![],
        };
        let port = Port::new(&prefix, Uuid::nil(), &interface).unwrap();
        assert_eq!((port.v4.len(), port.v6.len()), (1, 1));
        interface.addresses.push("10.60.0.0/24".parse().unwrap());
        assert!(Port::new(&prefix, Uuid::nil(), &interface).is_err());
    }
}
