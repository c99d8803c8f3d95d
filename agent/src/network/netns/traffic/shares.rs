//! The uplink divided among guests, measured where the traffic arrives.

use super::flows::{Load, WAYS, Way, rates};
use super::*;
use jst_policy::divide::divide;

fn claims(limits: &[serde_json::Value]) -> Vec<NetworkPolicy> {
    let policy = |limits| serde_json::from_value(serde_json::json!({"inbound": limits, "outbound": limits}));
    limits.iter().map(|limits| policy(limits).unwrap()).collect()
}

pub struct Tenants {
    link: KbitPerSec,
    lab: Lab,
    guests: Vec<Guest>,
    policies: Vec<NetworkPolicy>,
}

impl Tenants {
    /// Guests with these claims on an uplink that carries so much.
    pub fn new(mbit: u64, limits: &[serde_json::Value]) -> Self {
        let link = KbitPerSec::from_mbit(mbit);
        let lab = Lab::divided(false, Some(link));
        let policies = claims(limits);
        let guest = |(index, policy)| lab.guest(address(index), policy, &Firewall::default());
        let guests = policies.iter().enumerate().map(guest).collect();
        Self { link, lab, guests, policies }
    }

    pub fn load(&self, index: usize, way: Way, connections: u16) -> Load {
        Load::connections(&self.lab, &self.guests[index], address(index), way, connections)
    }

    pub fn flood(&self, index: usize, way: Way, mbit: u64) -> Load {
        Load::flood(&self.lab, &self.guests[index], address(index), way, mbit)
    }

    /// What the rule says that everybody gets while all want everything, in Mbit/s.
    pub fn expected(&self) -> Vec<f64> {
        let claims: Vec<_> = self.policies.iter().map(|policy| policy.inbound.claim()).collect();
        divide(self.link.get(), &claims).into_iter().map(|kbit| kbit as f64 / 1000.0).collect()
    }

    fn all_is_in_force(&self) {
        for (index, policy) in self.policies.iter().enumerate() {
            let id = Uuid::from_u128(address(index).into());
            let back = self.lab.host.run(async |_| self.lab.network.read_back(id, policy).await.unwrap());
            assert_eq!((&back.policy, back.drift), (policy, vec![]));
        }
    }
}

fn address(index: usize) -> u8 {
    u8::try_from(index).unwrap() + 5
}

/// Mbit/s of the uplink.  A round of eight equal tenants takes 1.15 MB: 92 ms on the slow one, and on the fast
/// one so little that a figure within a percent takes no more than a few seconds.
pub const SLOW: u64 = 100;
pub const FAST: u64 = 400;

const WARM: Duration = Duration::from_millis(1200);
const WINDOW: Duration = Duration::from_millis(2500);

#[test]
fn what_is_wanted_by_all_is_divided_by_shares() {
    let tenants =
        Tenants::new(FAST, &["low", "normal", "high"].map(|level| serde_json::json!({"shares": level})));
    tenants.all_is_in_force();
    for way in WAYS {
        let loads: Vec<Load> = (0..3).map(|index| tenants.load(index, way, 2)).collect();
        rates(&loads, WARM);
        let measured = rates(&loads, WINDOW);
        println!("{way:?}: {measured:.2?} of {:.2?}", tenants.expected());
        let whole: f64 = measured.iter().sum();
        // The ratios among each other; that the whole is used is a matter of its own.
        for (measured, expected) in measured.iter().zip([1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0]) {
            let error = measured / whole / expected - 1.0;
            assert!(
                error.abs() < 0.03,
                "{way:?}: {measured:.2} of {whole:.2} Mbit/s is {:+.2} %",
                error * 100.0
            );
        }
        let used = whole / FAST as f64;
        assert!((0.97..1.01).contains(&used), "{way:?}: {whole:.2} Mbit/s in all");
    }
}

#[test]
fn a_reservation_holds_against_seven_floods() {
    let mut limits = vec![serde_json::json!({"reservation": 40_000, "average": 40_000})];
    limits.resize(8, serde_json::json!({}));
    let tenants = Tenants::new(SLOW, &limits);
    tenants.all_is_in_force();
    for way in WAYS {
        let mut loads = vec![tenants.load(0, way, 1)];
        loads.extend((1..8).map(|index| tenants.flood(index, way, 25)));
        rates(&loads, WARM);
        let measured = rates(&loads, WINDOW);
        println!("{way:?}: {measured:.2?} of {:.2?}", tenants.expected());
        let error = measured[0] / 40.0 - 1.0;
        assert!(error.abs() < 0.03, "{way:?}: {:+.2} %", error * 100.0);
    }
}

/// Jain's index: (Σx)² / (n Σx²), 1 where all are equal (Jain, Chiu and Hawe, DEC-TR-301, 1984).
pub fn jain(figures: &[f64]) -> f64 {
    let sum: f64 = figures.iter().sum();
    sum * sum / (figures.len() as f64 * figures.iter().map(|figure| figure * figure).sum::<f64>())
}

#[test]
fn equal_tenants_are_equal_however_many_connections_they_open() {
    let tenants = Tenants::new(FAST, &vec![serde_json::json!({}); 8]);
    for way in WAYS {
        let loads: Vec<Load> = (0..8).map(|index| tenants.load(index, way, index as u16 + 1)).collect();
        rates(&loads, WARM);
        let measured = rates(&loads, WINDOW);
        println!("{way:?}: {:.5}, {measured:.2?}", jain(&measured));
        assert!(jain(&measured) >= 0.999, "{way:?}: {:.5}, {measured:.2?}", jain(&measured));
    }
}

#[test]
fn what_one_leaves_the_other_has_within_a_second() {
    let tenants = Tenants::new(SLOW, &vec![serde_json::json!({"reservation": 40_000}); 2]);
    for way in WAYS {
        let mut loads = vec![tenants.load(0, way, 2), tenants.load(1, way, 2)];
        rates(&loads, WARM);
        let both = rates(&loads, Duration::from_secs(1));
        drop(loads.pop());
        let first = rates(&loads, Duration::from_secs(1));
        let then = rates(&loads, Duration::from_secs(1));
        println!("{way:?}: {both:.2?}, alone {first:.2?}, then {then:.2?}");
        assert!((47.0..53.0).contains(&both[0]), "{way:?}: {both:.2?}");
        assert!(then[0] > 97.0, "{way:?}: {then:.2?}");
    }
}
