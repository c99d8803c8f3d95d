//! What the rules of trials do to honest people and to attackers: 10,000 sign-ups in a month, invented from a seed, and
//! judged by the rules that the platform runs.
//!
//! The world is a guess, and is written down here so that it can be argued with: how many people share an address or a
//! browser, and what attackers pay for.  The rates say which rule refuses whom, and what is bought by whoever pays.

use super::bounds;
use super::report::Report;
use jst_server::accounts::email;
use jst_server::trials::rules::{self, Limits, Refusal, Signals};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SEED: u64 = 20_261_123;
const HONEST: usize = 8_000;
const ATTACKS: usize = 2_000;
const DAY: u64 = 86_400;
const MONTH: u64 = 30 * DAY;
/// As the platform is delivered.
const LIMITS: Limits = Limits { per_device: 2, per_address: 3, per_network: 10 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// A home of one's own, with an address of its own.
    Home,
    /// Behind a mobile carrier's translator: strangers share the address.
    Carrier,
    /// Colleagues behind one address, now and then.
    Office,
    /// A class or a workshop: a dozen people, one room, one hour.
    Class,
    /// A couple or a library: one browser, several people.
    SharedBrowser,
    /// One's own mailbox with tags and dots.
    Tags,
    /// Disposable mailboxes by the dozen, some at names that no list has yet.
    Disposable,
    /// An IPv6 /48 of one's own, cleared cookies, mailboxes at a domain of one's own.
    Rotator,
    /// Bought mailboxes behind other people's connections, a new browser each: nothing tells them from a home.
    Proxies,
}

impl Who {
    pub const HONEST: [Self; 5] = [Self::Home, Self::Carrier, Self::Office, Self::Class, Self::SharedBrowser];
    pub const ATTACKERS: [Self; 4] = [Self::Tags, Self::Disposable, Self::Rotator, Self::Proxies];

    const fn name(self) -> &'static str {
        match self {
            Self::Home => "at home",
            Self::Carrier => "behind a carrier",
            Self::Office => "in an office",
            Self::Class => "in a class",
            Self::SharedBrowser => "with a shared browser",
            Self::Tags => "tags and dots",
            Self::Disposable => "disposable mailboxes",
            Self::Rotator => "a /48 and a domain",
            Self::Proxies => "bought identities",
        }
    }
}

struct SignUp {
    at: u64,
    who: Who,
    mailbox: String,
    ip: IpAddr,
    device: u64,
}

/// Sign-ups of one kind, and how many of them were let through.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub asked: usize,
    pub let_through: usize,
    pub refused: HashMap<&'static str, usize>,
}

impl Tally {
    pub fn share(&self) -> f64 {
        self.let_through as f64 / self.asked.max(1) as f64
    }
}

/// Everybody asks once, in the order of time; who was let through counts against those who come later.
pub fn simulate() -> HashMap<Who, Tally> {
    let mut world = world(&mut StdRng::seed_from_u64(SEED));
    world.sort_by_key(|one| one.at);
    let mut had_one: HashSet<String> = HashSet::new();
    let mut by_device: HashMap<u64, usize> = HashMap::new();
    let mut trials: Vec<(u64, IpAddr)> = Vec::new();
    let mut tallies: HashMap<Who, Tally> = HashMap::new();
    for one in &world {
        let lately = trials.iter().rev().take_while(|(at, _)| one.at - at < DAY);
        let (mut from_address, mut from_network) = (0, 0);
        for (_, ip) in lately {
            from_address += i64::from(rules::address(*ip) == rules::address(one.ip));
            from_network += i64::from(rules::network(*ip) == rules::network(one.ip));
        }
        let address = email::parse("email", &one.mailbox).expect("a made address is well-formed");
        let mailbox = address.mailbox();
        let signals = Signals {
            had_one: had_one.contains(&mailbox),
            disposable: rules::is_disposable(&mailbox),
            from_devices: by_device.get(&one.device).copied().unwrap_or(0) as i64,
            from_address,
            from_network,
            granted: false,
        };
        let tally = tallies.entry(one.who).or_default();
        tally.asked += 1;
        match rules::judge(&signals, &LIMITS) {
            Ok(()) => {
                tally.let_through += 1;
                had_one.insert(mailbox);
                *by_device.entry(one.device).or_default() += 1;
                trials.push((one.at, one.ip));
            }
            Err(refusal) => *tally.refused.entry(refusal.code()).or_default() += 1,
        }
    }
    tallies
}

fn world(random: &mut StdRng) -> Vec<SignUp> {
    let mut all = Vec::new();
    while all.len() < HONEST {
        let number = all.len();
        let at = random.random_range(0..MONTH);
        let person =
            |who, ip, device| SignUp { at, who, mailbox: format!("person{number}@qq.com"), ip, device };
        let device = random.random();
        match random.random_range(0..1000) {
            0..760 => all.push(person(Who::Home, home(random), device)),
            760..880 => {
                let ip = Ipv4Addr::new(100, 70, random.random_range(0..4), random.random_range(0..16)).into();
                all.push(person(Who::Carrier, ip, device));
            }
            880..950 => {
                let ip = Ipv4Addr::new(61, 135, random.random_range(0..200), 1).into();
                all.push(person(Who::Office, ip, device));
            }
            // One draw is a whole class.
            950..952 => {
                let ip = home(random);
                for pupil in 0..12 {
                    all.push(SignUp {
                        at: at + random.random_range(0..3600),
                        who: Who::Class,
                        mailbox: format!("pupil{number}-{pupil}@163.com"),
                        ip,
                        device: random.random(),
                    });
                }
            }
            _ => {
                // The second of two people, some days later.
                let ip = home(random);
                all.push(person(Who::SharedBrowser, ip, device));
                let second = SignUp { at: at + 3 * DAY, ..person(Who::SharedBrowser, ip, device) };
                all.push(SignUp { mailbox: format!("second{number}@qq.com"), ..second });
            }
        }
    }
    all.truncate(HONEST);
    attacks(random, &mut all);
    all
}

/// An attacker begins at some time and asks every ten minutes.
fn attacks(random: &mut StdRng, all: &mut Vec<SignUp>) {
    let end = all.len() + ATTACKS;
    for attacker in 0.. {
        let (begins, ip, device) = (random.random_range(0..MONTH), home(random), random.random());
        let prefix: u16 = random.random();
        let who = match random.random_range(0..10) {
            0..3 => Who::Tags,
            3..6 => Who::Disposable,
            6..8 => Who::Rotator,
            _ => Who::Proxies,
        };
        for attempt in 0..random.random_range(10..60) {
            if all.len() == end {
                return;
            }
            let (mailbox, ip, device) = match who {
                Who::Tags => {
                    let dots = if attempt % 2 == 0 { "bad.actor" } else { "badactor" };
                    (format!("{dots}{attacker}+{attempt}@gmail.com"), ip, device)
                }
                // One in seven names is so new that no list has it; cookies are cleared now and then.
                Who::Disposable => {
                    let listed = random.random_range(0..7) > 0;
                    let domain = if listed { "mailinator.com" } else { "brand-new-minutes.example" };
                    let device = if random.random_bool(0.5) { device } else { random.random() };
                    (format!("x{attacker}-{attempt}@{domain}"), ip, device)
                }
                Who::Rotator => {
                    let ip = Ipv6Addr::new(0x2a01, 0x4f8, prefix, attempt, 0, 0, 0, 1).into();
                    (format!("x{attempt}@attacker{attacker}.example"), ip, random.random())
                }
                _ => (format!("bought{attacker}-{attempt}@qq.com"), home(random), random.random()),
            };
            let at = begins + u64::from(attempt) * 600;
            all.push(SignUp { at, who, mailbox, ip, device });
        }
    }
}

/// An address that nobody else has.
fn home(random: &mut StdRng) -> IpAddr {
    if random.random_bool(0.3) {
        Ipv6Addr::new(0x240e, random.random(), random.random(), random.random(), 0, 0, 0, 1).into()
    } else {
        Ipv4Addr::new(random.random_range(110..126), random.random(), random.random(), random.random()).into()
    }
}

/// Both error rates: the share of honest people who are refused, and of attempts that are let through.
pub fn error_rates(tallies: &HashMap<Who, Tally>) -> (f64, f64) {
    let sum = |kinds: &[Who]| {
        let of = |figure: fn(&Tally) -> usize| {
            kinds.iter().filter_map(|who| tallies.get(who)).map(figure).sum::<usize>()
        };
        of(|tally| tally.let_through) as f64 / of(|tally| tally.asked).max(1) as f64
    };
    (1.0 - sum(&Who::HONEST), sum(&Who::ATTACKERS))
}

pub fn run() -> Report {
    let tallies = simulate();
    let mut report = Report::default();
    for who in Who::HONEST.into_iter().chain(Who::ATTACKERS) {
        let tally = tallies.get(&who).cloned().unwrap_or_default();
        let through = 100.0 * tally.share();
        report.add(format!("{}: let through of {}", who.name(), tally.asked), through, "%", None);
    }
    let (honest_refused, attackers_let_through) = error_rates(&tallies);
    report.add("honest people refused", 100.0 * honest_refused, "%", Some(bounds::HONEST_REFUSED_PERCENT));
    report.add(
        "attempts let through",
        100.0 * attackers_let_through,
        "%",
        Some(bounds::ATTEMPTS_LET_THROUGH_PERCENT),
    );
    for refusal in Refusal::ALL {
        let count: usize = tallies.values().filter_map(|tally| tally.refused.get(refusal.code())).sum();
        report.add(format!("refused: {}", refusal.code()), count as f64, "", None);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_error_rates_stay_within_their_bounds() {
        let tallies = simulate();
        let asked: usize = tallies.values().map(|tally| tally.asked).sum();
        assert_eq!(asked, HONEST + ATTACKS);
        let (honest_refused, let_through) = error_rates(&tallies);
        assert!(100.0 * honest_refused <= bounds::HONEST_REFUSED_PERCENT, "{honest_refused} {tallies:?}");
        assert!(100.0 * let_through <= bounds::ATTEMPTS_LET_THROUGH_PERCENT, "{let_through} {tallies:?}");
        // What is refused is refused for what it is.
        let most =
            |who: Who| tallies[&who].refused.iter().max_by_key(|(_, count)| **count).map(|(code, _)| *code);
        assert_eq!(most(Who::Tags), Some("trial-used"));
        assert_eq!(most(Who::Disposable), Some("trial-disposable"));
        assert_eq!(most(Who::Rotator), Some("trial-network"));
        assert_eq!(most(Who::Class), Some("trial-network"));
    }
}
