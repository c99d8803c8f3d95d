//! Pools of public addresses.
//!
//! An address is booked from a pool when an instance is made and given back when the instance is
//! gone for good; the booking itself stands in the database (`book_address`), where two at once
//! cannot get the same.  Two pools never overlap.

pub mod db;

use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result, violated_constraint};
use crate::events::{self, Event};
use crate::ids::{HostId, PoolId};
use crate::name::{self, Name};
use crate::state::App;
use crate::typed;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::net::IpAddr;
use time::OffsetDateTime;

#[derive(Clone, Debug)]
pub struct Pool {
    pub id: PoolId,
    pub name: String,
    pub network: IpNet,
    /// Gateways and other addresses that instances never get.
    pub excluded: Vec<IpAddr>,
    pub nameservers: Vec<IpAddr>,
    /// Absent: any host may use it.
    pub host_id: Option<HostId>,
    pub host_name: Option<String>,
    pub enabled: bool,
    pub created_at: OffsetDateTime,
    pub used: i64,
}

impl Pool {
    /// How many addresses can be booked in all; `None` for more than 64 bits can count.  The
    /// network's own address and its last one are never given away.
    pub fn usable(&self) -> Option<u64> {
        usable(&self.network, self.excluded.len())
    }
}

fn usable(network: &IpNet, excluded: usize) -> Option<u64> {
    let bits = u32::from(network.max_prefix_len() - network.prefix_len());
    let all = 1u64.checked_shl(bits)?;
    Some(all.saturating_sub(2).saturating_sub(excluded as u64))
}

/// What an administrator says about a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolInput {
    #[schema(example = "Frankfurt IPv4", max_length = 60)]
    pub name: String,
    /// In CIDR notation.
    #[schema(example = "203.0.113.0/24")]
    pub network: String,
    /// Gateways and other addresses within the network that instances never get.
    #[serde(default)]
    #[schema(example = json!(["203.0.113.1"]))]
    pub excluded: Vec<String>,
    /// What instances resolve names with.
    #[serde(default)]
    #[schema(example = json!(["9.9.9.9"]))]
    pub nameservers: Vec<String>,
    /// The only host that may use it.  Absent: any host.
    #[serde(default)]
    pub host_id: Option<HostId>,
    /// New instances may get addresses from it.
    #[serde(default = "yes")]
    pub enabled: bool,
}

const fn yes() -> bool {
    true
}

const MAX_NAME: usize = 60;
const MAX_EXCLUDED: usize = 256;
/// What resolvers take (`MAXNS`).
const MAX_NAMESERVERS: usize = 3;

/// [`PoolInput`], understood.
struct Parsed {
    name: String,
    network: IpNet,
    excluded: Vec<IpAddr>,
    nameservers: Vec<IpAddr>,
}

impl PoolInput {
    fn parse(&self) -> Result<Parsed> {
        let mut problems = Vec::new();
        let name = Name::parse("name", &self.name, MAX_NAME).map_err(|problem| problems.push(problem)).ok();
        let network = match parse_network(&self.network) {
            Ok(network) => Some(network),
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let excluded = parse_addresses("excluded", &self.excluded, MAX_EXCLUDED, &mut problems);
        let nameservers = parse_addresses("nameservers", &self.nameservers, MAX_NAMESERVERS, &mut problems);
        let unusable = nameservers.iter().find(|address| !can_be_asked(**address));
        if let Some(address) = unusable {
            problems.push(FieldError::new("nameservers", "nameserver-unusable").with("address", address));
        }
        if let Some(network) = network {
            if let Some(stranger) = excluded.iter().find(|address| !network.contains(*address)) {
                problems.push(FieldError::new("excluded", "pool-excluded-outside").with("address", stranger));
            } else if usable(&network, excluded.len()) == Some(0) {
                problems.push(FieldError::new("network", "pool-empty"));
            }
        }
        match (name, network) {
            (Some(name), Some(network)) if problems.is_empty() => {
                Ok(Parsed { name: name.into_string(), network, excluded, nameservers })
            }
            _ => Err(Error::Invalid(problems)),
        }
    }
}

fn parse_network(text: &str) -> Result<IpNet, FieldError> {
    if text.chars().all(name::is_blank) {
        return Err(FieldError::new("network", "required"));
    }
    let refuse = |code| FieldError::new("network", code);
    // An address alone is no pool: whoever writes one has left the length out.
    let network = typed::network(text).filter(|_| typed::plain(text).contains('/'));
    let network = network.ok_or_else(|| refuse("pool-network"))?;
    if network.addr() != network.network() {
        let meant = network.trunc();
        return Err(FieldError::new("network", "pool-host-bits").with("network", meant));
    }
    // Larger ones are a slip of the finger, and every address of theirs would be ours to route.
    let least = if matches!(network, IpNet::V4(_)) { 8 } else { 32 };
    if network.prefix_len() < least {
        return Err(FieldError::new("network", "pool-too-large").with("prefix", least));
    }
    match reserved(&network) {
        Some(block) => Err(refuse("pool-reserved").with("block", block)),
        None => Ok(network),
    }
}

/// Blocks whose addresses no guest can have: hosts and routers treat them specially, or drop them.  Private addresses,
/// those between carriers and customers (100.64.0.0/10) and those of documents are routed as one likes.
const RESERVED: [&str; 17] = [
    // This network (RFC 791), loopback, link-local (RFC 3927).
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    // Addresses of protocols (RFC 6890), and the anycast of 6to4 relays that is no more (RFC 7526).
    "192.0.0.0/24",
    "192.88.99.0/24",
    // Multicast, and what was kept for later, with the broadcast at its end (RFC 1112).
    "224.0.0.0/4",
    "240.0.0.0/4",
    // Of IPv6 everything but global unicast (2000::/3) and local addresses (fc00::/7): RFC 4291 and 4193.
    "::/3",
    "4000::/2",
    "8000::/2",
    "c000::/3",
    "e000::/4",
    "f000::/5",
    "f800::/6",
    "fe00::/7",
    // Of global unicast, addresses of protocols such as Teredo (RFC 2928), and 6to4 (RFC 3056).
    "2001::/23",
    "2002::/16",
];

fn reserved(network: &IpNet) -> Option<IpNet> {
    let mut blocks = RESERVED.iter().filter_map(|block| block.parse::<IpNet>().ok());
    blocks.find(|block| block.contains(network) || network.contains(block))
}

fn parse_addresses(
    field: &'static str,
    texts: &[String],
    most: usize,
    problems: &mut Vec<FieldError>,
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        if text.chars().all(name::is_blank) {
            problems.push(FieldError::new(format!("{field}.{index}"), "entry-blank"));
            return addresses;
        }
        match typed::address(text) {
            Some(address) if addresses.contains(&address) => {}
            Some(address) => addresses.push(address),
            None => {
                let shown: String = text.chars().take(45).collect();
                problems.push(FieldError::new(field, "address").with("text", shown));
                return addresses;
            }
        }
    }
    if addresses.len() > most {
        problems.push(FieldError::new(field, "too-many-entries").with("max", most));
    }
    addresses
}

/// Whether a guest can reach a name server there: not on itself, and not where only a link or a group is meant.
fn can_be_asked(address: IpAddr) -> bool {
    reserved(&IpNet::from(address)).is_none()
}

pub async fn create(app: &App, actor: &Actor, input: &PoolInput) -> Result<Pool> {
    let parsed = input.parse()?;
    let id = PoolId::new();
    let mut tx = app.db.begin_platform().await?;
    db::insert(&mut tx, id, &parsed, input.host_id, input.enabled).await.map_err(at_field)?;
    record(&mut tx, actor, "pool.created", id, document(&parsed, input)).await?;
    let pool = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(pool)
}

/// Addresses that are booked keep what they were given: a pool in use keeps its network, and new name
/// servers reach instances made or rebuilt from now on.
pub async fn update(app: &App, actor: &Actor, id: PoolId, input: &PoolInput) -> Result<Pool> {
    let parsed = input.parse()?;
    let mut tx = app.db.begin_platform().await?;
    // The lock also keeps book_address from booking meanwhile.
    db::lock(&mut tx, id).await?;
    let pool = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    if pool.used > 0 && pool.network != parsed.network {
        return Err(Error::invalid("network", "pool-network-in-use"));
    }
    let changes = events::changes(&PoolInput::from(&pool).document(), &document(&parsed, input));
    if changes.is_empty() {
        return Ok(pool);
    }
    db::update(&mut tx, id, &parsed, input.host_id, input.enabled).await.map_err(at_field)?;
    record(&mut tx, actor, "pool.updated", id, changes.into()).await?;
    let pool = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(pool)
}

/// Refused while an address of it is booked.
pub async fn delete(app: &App, actor: &Actor, id: PoolId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx, id).await?;
    let pool = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    if pool.used > 0 {
        return Err(Error::conflict("pool-in-use").with("count", pool.used));
    }
    db::delete(&mut tx, id).await?;
    record(&mut tx, actor, "pool.deleted", id, PoolInput::from(&pool).document()).await?;
    tx.commit().await?;
    Ok(())
}

impl From<&Pool> for PoolInput {
    fn from(pool: &Pool) -> Self {
        let texts = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect();
        Self {
            name: pool.name.clone(),
            network: pool.network.to_string(),
            excluded: texts(&pool.excluded),
            nameservers: texts(&pool.nameservers),
            host_id: pool.host_id,
            enabled: pool.enabled,
        }
    }
}

impl PoolInput {
    fn document(&self) -> Value {
        json!({
            "name": self.name, "network": self.network, "excluded": self.excluded,
            "nameservers": self.nameservers, "host_id": self.host_id, "enabled": self.enabled,
        })
    }
}

/// In the same form as that of an existing pool, so that a mere difference of spelling is none.
fn document(parsed: &Parsed, input: &PoolInput) -> Value {
    let Parsed { name, network, excluded, nameservers } = parsed;
    json!({
        "name": name, "network": network, "excluded": excluded, "nameservers": nameservers,
        "host_id": input.host_id, "enabled": input.enabled,
    })
}

async fn record(tx: &mut Tx, actor: &Actor, action: &'static str, id: PoolId, data: Value) -> Result<()> {
    let subject_id = id.to_string();
    let event = Event { tenant: None, action, subject_kind: "pool", subject_id: &subject_id, data };
    Ok(events::record(tx, &actor.into(), event).await?)
}

fn at_field(error: sqlx::Error) -> Error {
    match violated_constraint(&error) {
        Some("address_pools_name_key") => Error::invalid("name", "pool-name-taken"),
        Some("address_pools_no_overlap") => Error::invalid("network", "pool-overlap"),
        Some("address_pools_host_id_fkey") => Error::invalid("host_id", "choice"),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(network: &str, excluded: &[&str], nameservers: &[&str]) -> PoolInput {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        PoolInput {
            name: "pool".into(),
            network: network.into(),
            excluded: texts(excluded),
            nameservers: texts(nameservers),
            host_id: None,
            enabled: true,
        }
    }

    #[test]
    fn unusable_pools_are_refused_at_the_field() {
        let too_many = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"];
        for (input, expected) in [
            (input("203.0.113.0/24", &["203.0.113.1"], &["9.9.9.9", "2620:fe::fe"]), None),
            (input("2001:db8:1::/64", &["2001:db8:1::1"], &[]), None),
            (input("", &[], &[]), Some(("network", "required"))),
            (input("203.0.113.0", &[], &[]), Some(("network", "pool-network"))),
            (input("203.0.113.0/33", &[], &[]), Some(("network", "pool-network"))),
            (input("203.0.113.5/24", &[], &[]), Some(("network", "pool-host-bits"))),
            (input("0.0.0.0/0", &[], &[]), Some(("network", "pool-too-large"))),
            (input("203.0.113.0/24", &["203.0.113.1", ""], &[]), Some(("excluded.1", "entry-blank"))),
            (input("203.0.113.0/24", &[], &[" "]), Some(("nameservers.0", "entry-blank"))),
            (input("203.0.113.0/24", &[], &["127.0.0.53"]), Some(("nameservers", "nameserver-unusable"))),
            (input("203.0.113.0/24", &[], &["0.0.0.0"]), Some(("nameservers", "nameserver-unusable"))),
            (input("203.0.113.0/24", &[], &["fe80::1"]), Some(("nameservers", "nameserver-unusable"))),
            (input("203.0.113.0/24", &[], &["009.9.9.9"]), Some(("nameservers", "address"))),
            (input("203.0.113.0/31", &[], &[]), Some(("network", "pool-empty"))),
            (input("203.0.113.0/30", &["203.0.113.1", "203.0.113.2"], &[]), Some(("network", "pool-empty"))),
            (input("203.0.113.0/24", &["203.0.114.1"], &[]), Some(("excluded", "pool-excluded-outside"))),
            (input("203.0.113.0/24", &["gateway"], &[]), Some(("excluded", "address"))),
            (input("203.0.113.0/24", &[], &["dns"]), Some(("nameservers", "address"))),
            (input("203.0.113.0/24", &[], &too_many), Some(("nameservers", "too-many-entries"))),
        ] {
            let found = match input.parse() {
                Ok(_) => None,
                Err(Error::Invalid(problems)) => Some((problems[0].field.clone(), problems[0].code)),
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(found.as_ref().map(|(f, c)| (f.as_str(), *c)), expected, "{}", input.network);
        }
    }

    #[test]
    fn a_pool_holds_addresses_that_a_guest_can_have() {
        let read =
            |text: &str| parse_network(text).map(|network| network.to_string()).map_err(|error| error.code);
        for good in [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.7.0/24",
            "100.64.0.0/10",
            "203.0.113.0/24",
            "198.51.100.0/24",
            "8.8.8.0/24",
            "192.0.2.0/24",
            "198.18.0.0/15",
            "2001:db8::/32",
            "2a01:4f8::/32",
            "fd00:1::/64",
        ] {
            assert_eq!(read(good).as_deref(), Ok(good));
        }
        for (text, code) in [
            ("127.0.0.0/8", "pool-reserved"),
            ("127.1.2.0/24", "pool-reserved"),
            ("0.1.0.0/16", "pool-reserved"),
            ("169.254.0.0/16", "pool-reserved"),
            ("169.254.7.0/24", "pool-reserved"),
            // It holds a block that is reserved.
            ("169.0.0.0/8", "pool-reserved"),
            ("192.0.0.0/24", "pool-reserved"),
            ("192.88.99.0/24", "pool-reserved"),
            ("224.0.0.0/8", "pool-reserved"),
            ("239.1.1.0/24", "pool-reserved"),
            ("240.0.0.0/8", "pool-reserved"),
            ("255.255.255.0/24", "pool-reserved"),
            ("fe80::/64", "pool-reserved"),
            ("fec0::/64", "pool-reserved"),
            ("ff02::/64", "pool-reserved"),
            ("::/64", "pool-reserved"),
            ("::1/128", "pool-reserved"),
            ("64:ff9b::/96", "pool-reserved"),
            ("2002:c000:204::/48", "pool-reserved"),
            ("2001::/32", "pool-reserved"),
            ("010.1.2.0/24", "pool-network"),
            ("10.01.2.0/24", "pool-network"),
            ("10.1.2.0/024", "pool-network"),
            ("10.1.2/24", "pool-network"),
            ("10.1.2.0", "pool-network"),
            ("10.1.2.0/24/8", "pool-network"),
            ("fe80::%1/64", "pool-network"),
            ("10.1.2.3/24", "pool-host-bits"),
            ("2001:db8::1/64", "pool-host-bits"),
            ("\u{a0}", "required"),
        ] {
            assert_eq!(read(text), Err(code), "{text}");
        }
        assert_eq!(read("１０．１．２．０／２４").as_deref(), Ok("10.1.2.0/24"));
        assert_eq!(read("::ffff:10.1.2.0/120").as_deref(), Ok("10.1.2.0/24"));
    }

    #[test]
    fn addresses_are_counted() {
        assert_eq!(usable(&"203.0.113.0/24".parse().unwrap(), 1), Some(253));
        assert_eq!(usable(&"203.0.113.0/32".parse().unwrap(), 0), Some(0));
        assert_eq!(usable(&"2001:db8::/64".parse().unwrap(), 0), None);
        assert_eq!(usable(&"2001:db8::/65".parse().unwrap(), 1), Some((1 << 63) - 3));
    }
}
