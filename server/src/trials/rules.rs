//! Who may have a free trial: rules without a clock or a database, so that a simulation can measure them.
//!
//! Every rule errs in both directions: it refuses honest people who look like somebody else, and lets through whoever
//! pays for looking new.  So a refusal has a reason that is told, and a person can be asked to look at it (`appeals`).

use crate::web::assets;
use crate::web::client::{ClientNetwork, around};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::OnceLock;

/// What is known of somebody who asks for a trial.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals {
    /// The person, or their mailbox, had one.
    pub had_one: bool,
    /// The mailbox is of a kind that is thrown away.
    pub disposable: bool,
    /// Trials of other people in 90 days who signed in with a browser of this person's.
    pub from_devices: i64,
    /// Trials in 24 hours from this address (IPv4) or /64 (IPv6).
    pub from_address: i64,
    /// Trials in 24 hours from the /24 or /48 around it.
    pub from_network: i64,
    /// A person has looked at it already.
    pub granted: bool,
}

/// How many are let through.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub per_device: i64,
    pub per_address: i64,
    pub per_network: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Used,
    Disposable,
    Device,
    Network,
}

impl Refusal {
    pub const ALL: [Self; 4] = [Self::Used, Self::Disposable, Self::Device, Self::Network];

    /// The code of the error, and of the reason in the audit log.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Used => "trial-used",
            Self::Disposable => "trial-disposable",
            Self::Device => "trial-device",
            Self::Network => "trial-network",
        }
    }
}

/// One trial each is never more, also when it was granted.
pub const fn judge(signals: &Signals, limits: &Limits) -> Result<(), Refusal> {
    if signals.had_one {
        Err(Refusal::Used)
    } else if signals.granted {
        Ok(())
    } else if signals.disposable {
        Err(Refusal::Disposable)
    } else if signals.from_devices >= limits.per_device {
        Err(Refusal::Device)
    } else if signals.from_address >= limits.per_address || signals.from_network >= limits.per_network {
        Err(Refusal::Network)
    } else {
        Ok(())
    }
}

/// One customer.
pub fn address(ip: IpAddr) -> IpNet {
    ClientNetwork::of(ip).net()
}

/// What one customer can have many addresses of: an IPv4 /24, or an IPv6 /48.
pub fn network(ip: IpAddr) -> IpNet {
    around(ip, 24, 48)
}

/// Whether a mailbox is at a service that gives them away for minutes, or at a name below one.
pub fn is_disposable(mailbox: &str) -> bool {
    static LIST: OnceLock<String> = OnceLock::new();
    static DOMAINS: OnceLock<Vec<&str>> = OnceLock::new();
    // Sorted when it is made.
    let domains = DOMAINS
        .get_or_init(|| LIST.get_or_init(|| assets::text("vendor/disposable-domains.txt")).lines().collect());
    let domain = mailbox.rsplit('@').next().unwrap_or_default();
    let names = std::iter::successors(Some(domain), |name| name.split_once('.').map(|(_, above)| above));
    names.into_iter().any(|name| domains.binary_search(&name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { per_device: 1, per_address: 3, per_network: 10 };

    #[test]
    fn one_customer_is_an_address_or_a_64() {
        let both = |ip: &str| {
            let ip = ip.parse().unwrap();
            (address(ip).to_string(), network(ip).to_string())
        };
        assert_eq!(both("203.0.113.7"), ("203.0.113.7/32".into(), "203.0.113.0/24".into()));
        assert_eq!(both("::ffff:203.0.113.7"), ("203.0.113.7/32".into(), "203.0.113.0/24".into()));
        assert_eq!(both("2001:db8:1:2:3::4"), ("2001:db8:1:2::/64".into(), "2001:db8:1::/48".into()));
    }

    #[test]
    fn mailboxes_that_are_thrown_away_are_known() {
        assert!(is_disposable("x@mailinator.com"));
        assert!(is_disposable("x@deep.below.mailinator.com"));
        for honest in [
            "x@gmail.com",
            "x@qq.com",
            "x@163.com",
            "x@outlook.com",
            "x@example.com",
            "x@mailinator.com.example.org",
        ] {
            assert!(!is_disposable(honest), "{honest}");
        }
    }

    proptest! {
        #[test]
        fn what_speaks_against_somebody_never_helps(
            had_one: bool, disposable: bool, granted: bool,
            counts in prop::array::uniform3(0..20_i64), more in prop::array::uniform3(0..20_i64),
        ) {
            let signals = Signals {
                had_one, disposable, granted,
                from_devices: counts[0], from_address: counts[1], from_network: counts[2],
            };
            let worse = Signals {
                from_devices: counts[0] + more[0],
                from_address: counts[1] + more[1],
                from_network: counts[2] + more[2],
                ..signals
            };
            prop_assert!(judge(&signals, &LIMITS).is_ok() || judge(&worse, &LIMITS).is_err());
            // Nothing outweighs one's own trial, and nothing else outweighs a person's decision.
            prop_assert_eq!(judge(&signals, &LIMITS) == Err(Refusal::Used), had_one);
            prop_assert!(had_one || !granted || judge(&worse, &LIMITS).is_ok());
        }
    }
}
