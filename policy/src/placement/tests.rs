use super::*;
use crate::admission::{HostCapacity, Overcommit};
use crate::units::{Iops, KbitPerSec, MiB, MilliCpu};
use proptest::prelude::*;

/// An empty host of 16 cores, 64 GiB, 1 TiB, 100,000 IOPS and 10 Gbit/s that can do everything.
fn host(number: u128) -> Candidate {
    Candidate {
        host: Uuid::from_u128(number),
        name: format!("host-{number}"),
        load: HostLoad {
            capacity: HostCapacity {
                cpu: MilliCpu(16_000),
                memory: MiB::from_gib(64),
                disk: MiB::from_gib(1024),
                uplink: KbitPerSec::from_mbit(10_000),
                iops: Iops(100_000),
            },
            overcommit: Overcommit { cpu_permille: 4000, ..Overcommit::default() },
            booked: Booking::default(),
        },
        accepts_new: true,
        lease_valid: true,
        qualification: Qualification::Kvm,
        capabilities: Capability::ALL.into(),
        cached_images: BTreeSet::new(),
        same_tenant_instances: 0,
        free_addresses_v4: 10,
    }
}

fn guest() -> Requirements {
    Requirements {
        booking: Booking {
            cpu_reservation: MilliCpu(500),
            vcpus: 2,
            memory_reservation: MiB(1024),
            memory_size: MiB(2048),
            disk: MiB::from_gib(20),
            network_reservation_in: KbitPerSec::from_mbit(10),
            network_reservation_out: KbitPerSec::from_mbit(10),
            ..Booking::default()
        },
        needs: [Capability::DiskThrottle, Capability::NetworkShaping].into(),
        addresses_v4: 1,
        ..Requirements::default()
    }
}

/// The number of the host that is chosen, by both functions.
fn chosen(requirements: &Requirements, candidates: &[Candidate]) -> Option<u128> {
    let chosen = place(requirements, candidates);
    assert_eq!(explain(requirements, candidates).chosen, chosen);
    chosen.map(|host| host.as_u128())
}

fn reasons(requirements: &Requirements, candidate: &Candidate) -> Vec<Rejection> {
    let placement = explain(requirements, std::slice::from_ref(candidate));
    assert_eq!(place(requirements, std::slice::from_ref(candidate)), placement.chosen);
    match &placement.verdicts[0].outcome {
        Outcome::Eligible { .. } => {
            assert_eq!(placement.chosen, Some(candidate.host));
            Vec::new()
        }
        Outcome::Rejected { reasons } => {
            assert_eq!(placement.chosen, None);
            assert!(!reasons.is_empty());
            reasons.clone()
        }
    }
}

#[test]
fn each_obstacle_rejects_alone_and_says_so() {
    assert_eq!(reasons(&guest(), &host(1)), []);
    type Edit = fn(&mut Candidate);
    let cases: [(Edit, Rejection, &str); 7] = [
        (|host| host.accepts_new = false, Rejection::NotAccepting, "does not accept new instances"),
        (|host| host.lease_valid = false, Rejection::LeaseExpired, "has not reported in time"),
        (
            |host| host.qualification = Qualification::Pending,
            Rejection::NotQualified { qualification: Qualification::Pending },
            "has not been tested with a guest yet",
        ),
        (
            |host| host.qualification = Qualification::Failed,
            Rejection::NotQualified { qualification: Qualification::Failed },
            "could not run a test guest",
        ),
        (
            |host| host.free_addresses_v4 = 0,
            Rejection::NoAddresses { needed: 1, free: 0 },
            "needs 1 IPv4 addresses, 0 free",
        ),
        (
            |host| assert!(host.capabilities.remove(&Capability::DiskThrottle)),
            Rejection::CapabilityAbsent { capability: Capability::DiskThrottle },
            "lacks disk_throttle",
        ),
        (
            |host| host.load.booked.memory_reservation = MiB(64 * 1024 - 512),
            Rejection::Short(Shortage { resource: Resource::MemoryReservation, needed: 1024, free: 512 }),
            "needs 1,024 MiB guaranteed, 512 free",
        ),
    ];
    for (edit, reason, words) in cases {
        let mut candidate = host(1);
        edit(&mut candidate);
        assert_eq!(reasons(&guest(), &candidate), [reason]);
        assert_eq!(reason.to_string(), words);
    }
}

#[test]
fn emulated_and_simulated_hosts_are_taken_only_where_allowed_and_last() {
    let (mut emulated, mut simulated, mut full) = (host(1), host(2), host(3));
    emulated.qualification = Qualification::Emulated;
    simulated.qualification = Qualification::Simulated;
    full.load.booked.memory_size = MiB::from_gib(60);
    let all = [simulated.clone(), emulated.clone(), full];

    let strict = guest();
    assert_eq!(chosen(&strict, &all[..2]), None);
    let lab = Requirements { allow_emulated: true, allow_simulated: true, ..guest() };
    assert_eq!(chosen(&lab, &all), Some(3));
    assert_eq!(chosen(&lab, &all[..2]), Some(1));
    let emulation = Requirements { allow_emulated: true, ..guest() };
    assert_eq!(chosen(&emulation, &[simulated.clone()]), None);
    let simulation = Requirements { allow_simulated: true, ..guest() };
    assert_eq!(chosen(&simulation, &[emulated]), None);
    assert_eq!(chosen(&simulation, &[simulated]), Some(2));
}

#[test]
fn an_unknown_capability_is_never_there() {
    let mut candidate = host(1);
    candidate.capabilities.insert(Capability::Unknown);
    let needs = [Capability::Unknown].into();
    let unknown = Rejection::CapabilityAbsent { capability: Capability::Unknown };
    assert_eq!(reasons(&Requirements { needs, ..guest() }, &candidate), [unknown]);
}

#[test]
fn the_emptier_host_is_chosen() {
    let mut busy = host(1);
    busy.load.booked.memory_size = MiB::from_gib(8);
    assert_eq!(chosen(&guest(), &[busy, host(2)]), Some(2));

    // Evenly half full loses to nearly empty, though the empty one is a little less even.
    let mut half = host(1);
    half.load.booked.cpu_reservation = MilliCpu(8000);
    half.load.booked.memory_size = MiB::from_gib(32);
    half.load.booked.disk = MiB::from_gib(512);
    half.load.booked.network_reservation_in = KbitPerSec::from_mbit(5000);
    let mut uneven = host(2);
    uneven.load.booked.vcpus = 4;
    assert_eq!(chosen(&guest(), &[half, uneven]), Some(2));
}

#[test]
fn a_guest_goes_where_it_strands_least() {
    // Equally free in sum: one lacks memory, the other is even.
    let (mut lopsided, mut even) = (host(1), host(2));
    lopsided.load.booked.memory_size = MiB::from_gib(32);
    even.load.booked.memory_size = MiB::from_gib(16);
    even.load.booked.vcpus = 16;
    assert_eq!(chosen(&guest(), &[lopsided, even]), Some(2));
}

#[test]
fn a_cached_image_outweighs_a_little_load_and_not_much() {
    let wanted = Requirements { image: Some("debian".to_owned()), ..guest() };
    let mut cached = host(1);
    cached.cached_images.insert("debian".to_owned());
    cached.load.booked.vcpus = 4;
    assert_eq!(chosen(&wanted, &[cached.clone(), host(2)]), Some(1));
    assert_eq!(chosen(&guest(), &[cached.clone(), host(2)]), Some(2));
    cached.load.booked.vcpus = 40;
    assert_eq!(chosen(&wanted, &[cached, host(2)]), Some(2));
}

#[test]
fn guests_of_one_tenant_keep_apart_as_far_as_asked() {
    let (mut same, mut busier) = (host(1), host(2));
    same.same_tenant_instances = 1;
    busier.load.booked.vcpus = 1;
    let with = |anti_affinity| Requirements { anti_affinity, ..guest() };
    let both = [same.clone(), busier];
    assert_eq!(chosen(&with(AntiAffinity::None), &both), Some(1));
    assert_eq!(chosen(&with(AntiAffinity::Preferred), &both), Some(2));
    assert_eq!(reasons(&with(AntiAffinity::Required), &same), [Rejection::TenantPresent { instances: 1 }]);
    assert_eq!(reasons(&with(AntiAffinity::Preferred), &same), []);

    // One of the tenant's guests is worth a cached image, two are not, and beyond four it is all one.
    let cached = Requirements { image: Some("debian".to_owned()), ..guest() };
    same.cached_images.insert("debian".to_owned());
    assert_eq!(chosen(&cached, &[same.clone(), host(2)]), Some(1));
    same.same_tenant_instances = 2;
    assert_eq!(chosen(&cached, &[same.clone(), host(2)]), Some(2));
    let (mut many, mut four) = (host(1), host(2));
    (many.same_tenant_instances, four.same_tenant_instances) = (400, 4);
    assert_eq!(chosen(&guest(), &[many, four]), Some(1));
}

#[test]
fn equal_guests_spread_evenly_over_equal_hosts() {
    let mut hosts: Vec<Candidate> = (1..=10).map(host).collect();
    for _ in 0..100 {
        let taken = place(&guest(), &hosts).unwrap();
        hosts.iter_mut().find(|host| host.host == taken).unwrap().load.booked += guest().booking;
    }
    for host in hosts {
        assert_eq!(host.load.booked.vcpus, 20, "{}", host.name);
    }
}

#[test]
fn a_host_without_a_known_uplink_takes_guests_that_guarantee_no_bandwidth() {
    let mut candidate = host(1);
    candidate.load.capacity.uplink = KbitPerSec(0);
    let mut modest = guest();
    (modest.booking.network_reservation_in, modest.booking.network_reservation_out) = Default::default();
    assert_eq!(reasons(&modest, &candidate), []);
    assert_eq!(reasons(&guest(), &candidate).len(), 2);
    // It counts neither for it nor against it.
    let mut busy = host(2);
    busy.load.booked.vcpus = 8;
    assert_eq!(chosen(&modest, &[candidate.clone(), busy]), Some(1));
    candidate.load.booked.vcpus = 8;
    assert_eq!(chosen(&modest, &[candidate, host(2)]), Some(2));
}

#[test]
fn a_host_whose_uplink_came_up_slower_takes_guests_that_guarantee_no_bandwidth() {
    let mut candidate = host(1);
    candidate.load.booked.network_reservation_out = KbitPerSec::from_mbit(10_001);
    let mut modest = guest();
    (modest.booking.network_reservation_in, modest.booking.network_reservation_out) = Default::default();
    assert_eq!(reasons(&modest, &candidate), []);
    assert_eq!(chosen(&modest, &[candidate, host(2)]), Some(2));
}

#[test]
fn the_explanation_reads_best_first_and_travels_as_json() {
    let (mut busy, mut drained) = (host(1), host(3));
    busy.load.booked.vcpus = 32;
    drained.accepts_new = false;
    let placement = explain(&guest(), &[drained, busy, host(2)]);
    let names: Vec<&str> = placement.verdicts.iter().map(|verdict| verdict.name.as_str()).collect();
    assert_eq!(names, ["host-2", "host-1", "host-3"]);
    let json = serde_json::to_value(&placement).unwrap();
    assert_eq!(json["verdicts"][2]["outcome"], "rejected");
    assert_eq!(json["verdicts"][2]["reasons"][0]["code"], "not_accepting");
    assert!(json["verdicts"][0]["score"]["headroom"].is_i64());
    assert_eq!(serde_json::from_value::<Placement>(json).unwrap(), placement);
}

fn any_candidate() -> impl Strategy<Value = Candidate> {
    let flags =
        (prop::bool::weighted(0.9), prop::bool::weighted(0.9), prop::bool::weighted(0.9), any::<bool>());
    let qualification = prop_oneof![
        5 => Just(Qualification::Kvm),
        1 => Just(Qualification::Emulated),
        1 => Just(Qualification::Simulated),
        1 => Just(Qualification::Failed),
    ];
    (0..40_u128, flags, qualification, 0..3_u32, 0..3_u32, prop::array::uniform4(0..11_u64)).prop_map(
        |(number, (accepts, lease, throttle, cached), qualification, tenant, addresses, tenths)| {
            let mut candidate = host(number);
            (candidate.accepts_new, candidate.lease_valid) = (accepts, lease);
            candidate.qualification = qualification;
            (candidate.same_tenant_instances, candidate.free_addresses_v4) = (tenant, addresses);
            if !throttle {
                candidate.capabilities.remove(&Capability::DiskThrottle);
            }
            if cached {
                candidate.cached_images.insert("debian".to_owned());
            }
            let load = &mut candidate.load;
            load.booked.vcpus = (64 * tenths[0] / 10) as u32;
            load.booked.memory_size = MiB(64 * 1024 * tenths[1] / 10);
            load.booked.disk = MiB(1024 * 1024 * tenths[2] / 10);
            load.booked.network_reservation_in = KbitPerSec(10_000_000 * tenths[3] / 10);
            candidate
        },
    )
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec(any_candidate(), 0..20).prop_map(|mut candidates| {
        candidates.sort_by_key(|candidate| candidate.host);
        candidates.dedup_by_key(|candidate| candidate.host);
        candidates
    })
}

fn any_requirements() -> impl Strategy<Value = Requirements> {
    let anti_affinity =
        prop::sample::select(vec![AntiAffinity::None, AntiAffinity::Preferred, AntiAffinity::Required]);
    (any::<bool>(), any::<bool>(), any::<bool>(), anti_affinity).prop_map(
        |(allow_emulated, allow_simulated, image, anti_affinity)| Requirements {
            allow_emulated,
            allow_simulated,
            image: image.then(|| "debian".to_owned()),
            anti_affinity,
            ..guest()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_choice_can_take_the_guest_and_is_explained(
        requirements in any_requirements(), candidates in any_candidates()
    ) {
        let chosen = place(&requirements, &candidates);
        let explained = explain(&requirements, &candidates);
        prop_assert_eq!(explained.chosen, chosen);
        prop_assert_eq!(explained.verdicts.len(), candidates.len());
        let suits = |candidate: &Candidate| {
            candidate.accepts_new
                && candidate.lease_valid
                && match candidate.qualification {
                    Qualification::Kvm => true,
                    Qualification::Emulated => requirements.allow_emulated,
                    Qualification::Simulated => requirements.allow_simulated,
                    Qualification::Pending | Qualification::Failed => false,
                }
                && candidate.free_addresses_v4 >= 1
                && requirements.needs.is_subset(&candidate.capabilities)
                && (requirements.anti_affinity != AntiAffinity::Required || candidate.same_tenant_instances == 0)
                && candidate.load.admits(&requirements.booking)
        };
        for candidate in &candidates {
            let verdict = explained.verdicts.iter().find(|verdict| verdict.host == candidate.host).unwrap();
            let eligible = matches!(verdict.outcome, Outcome::Eligible { .. });
            prop_assert_eq!(eligible, suits(candidate));
        }
        prop_assert_eq!(chosen.is_some(), candidates.iter().any(suits));
    }

    #[test]
    fn the_order_of_the_candidates_does_not_matter(
        requirements in any_requirements(),
        (candidates, shuffled) in any_candidates().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        prop_assert_eq!(place(&requirements, &candidates), place(&requirements, &shuffled));
        prop_assert_eq!(explain(&requirements, &candidates), explain(&requirements, &shuffled));
    }

    #[test]
    fn nobody_eligible_is_better_than_the_choice(
        requirements in any_requirements(), candidates in any_candidates()
    ) {
        let verdicts = explain(&requirements, &candidates).verdicts;
        let qualification = |verdict: &Verdict| {
            candidates.iter().find(|candidate| candidate.host == verdict.host).unwrap().qualification
        };
        let Some(Verdict { outcome: Outcome::Eligible { score: best }, .. }) = verdicts.first() else {
            return Ok(());
        };
        for verdict in &verdicts {
            if let Outcome::Eligible { score } = &verdict.outcome
                && qualification(verdict) == qualification(&verdicts[0])
            {
                prop_assert!(score.total() <= best.total());
            }
        }
    }
}

#[test]
fn five_thousand_hosts_are_searched_in_no_time() {
    let hosts: Vec<Candidate> = (0..5000_u128)
        .map(|number| {
            let mut host = host(number);
            let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            host.load.booked.vcpus = (mixed % 60) as u32;
            host.load.booked.memory_size = MiB(mixed / 60 % 60 * 1024);
            host.load.booked.disk = MiB(mixed / 3600 % 1000 * 1024);
            host.accepts_new = !mixed.is_multiple_of(20);
            host
        })
        .collect();
    let requirements = Requirements { image: Some("debian".to_owned()), ..guest() };
    // The best of several, for the machine is shared.
    let best = (0..50)
        .map(|_| {
            let start = std::time::Instant::now();
            assert!(std::hint::black_box(place(&requirements, std::hint::black_box(&hosts))).is_some());
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("5,000 hosts in {best:?}: {:.0} placements a second", 1.0 / best.as_secs_f64());
    assert!(best < std::time::Duration::from_millis(5), "{best:?}");
}
