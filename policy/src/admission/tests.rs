use super::*;
use proptest::prelude::*;

/// 4 cores, 16 GiB, 1 TiB, 50,000 IOPS and 1 Gbit/s; vCPUs sold four times, memory one and a half, disks twice.
fn host() -> HostLoad {
    HostLoad {
        capacity: HostCapacity {
            cpu: MilliCpu(4000),
            memory: MiB::from_gib(16),
            disk: MiB::from_gib(1024),
            uplink: KbitPerSec::from_mbit(1000),
            iops: Iops(50_000),
        },
        overcommit: Overcommit { cpu_permille: 4000, memory_permille: 1500, disk_permille: 2000 },
        booked: Booking::default(),
    }
}

/// A booking of `amount` of one resource and of nothing else.
fn booking(resource: Resource, amount: u64) -> Booking {
    let mut booking = Booking::default();
    match resource {
        Resource::CpuReservation => booking.cpu_reservation = MilliCpu(amount),
        Resource::Vcpus => booking.vcpus = amount as u32,
        Resource::DedicatedCores => booking.dedicated_cores = amount as u32,
        Resource::MemoryReservation => booking.memory_reservation = MiB(amount),
        Resource::MemorySize => booking.memory_size = MiB(amount),
        Resource::Disk => booking.disk = MiB(amount),
        Resource::DiskReservation => booking.disk_reservation = Iops(amount),
        Resource::NetworkInbound => booking.network_reservation_in = KbitPerSec(amount),
        Resource::NetworkOutbound => booking.network_reservation_out = KbitPerSec(amount),
    }
    booking
}

/// Something of every resource.
fn dedicated() -> ResourcePolicy {
    let mut policy = ResourcePolicy::sample();
    policy.cpu.dedicated = true;
    policy
}

#[test]
fn overhead_grows_with_memory_and_processors() {
    let overhead = |vcpus, size| {
        let mut policy = ResourcePolicy::sample();
        (policy.cpu.vcpus, policy.memory.size) = (vcpus, MiB(size));
        overhead(&policy).get()
    };
    assert_eq!(overhead(1, 128), 64 + 1 + 8);
    assert_eq!(overhead(1, 129), 64 + 2 + 8);
    assert_eq!(overhead(8, 16_384), 64 + 128 + 64);
}

#[test]
fn an_instance_books_its_reservations_its_overhead_and_its_sizes() {
    let booked = Booking::of(&ResourcePolicy::sample());
    let amounts = Resource::ALL.map(|resource| booked.amount(resource));
    assert_eq!(amounts, [500, 0, 2, 512 + 64 + 16 + 16, 2048, 20_480, 100, 10_000, 10_000]);
    assert_eq!(Booking::of(&dedicated()).dedicated_cores, 2);
}

#[test]
fn each_resource_is_admitted_to_its_ceiling_and_no_further() {
    let ceilings = [4000, 3, 16, 16_384, 24_576, 2_097_152, 50_000, 1_000_000, 1_000_000];
    for (resource, ceiling) in Resource::ALL.into_iter().zip(ceilings) {
        let (all, more) = (booking(resource, ceiling), booking(resource, ceiling + 1));
        assert_eq!(fits(&host(), &all), Ok(()));
        assert!(host().admits(&all));
        assert_eq!(
            fits(&host(), &more),
            Err(vec![Shortage { resource, needed: ceiling + 1, free: ceiling }])
        );
        assert!(!host().admits(&more));
    }
}

#[test]
fn every_shortage_is_named() {
    let full = HostLoad {
        booked: Resource::ALL.map(|resource| booking(resource, 1 << 30)).into_iter().sum(),
        ..host()
    };
    let found: Vec<Resource> = fits(&full, &Booking::of(&dedicated()))
        .unwrap_err()
        .iter()
        .map(|shortage| shortage.resource)
        .collect();
    assert_eq!(found, Resource::ALL);
}

#[test]
fn fractions_of_a_ceiling_are_not_sold() {
    let mut host = host();
    host.capacity.cpu = MilliCpu(3999);
    host.overcommit.cpu_permille = 1000;
    assert_eq!(host.ceiling(Resource::Vcpus), 3);
    assert_eq!(host.ceiling(Resource::DedicatedCores), 2, "and one core is left to the others");
    host.capacity.memory = MiB(333);
    assert_eq!(host.ceiling(Resource::MemorySize), 499);
}

#[test]
fn a_dedicated_core_is_sold_once() {
    // Of four cores that are sold four times two are somebody's own: the other two are sold eight times.
    let own = Booking { vcpus: 2, dedicated_cores: 2, ..Booking::default() };
    let host = HostLoad { booked: own, ..host() };
    assert_eq!(host.free(Resource::Vcpus), 8);
    assert_eq!(fits(&host, &booking(Resource::Vcpus, 8)), Ok(()));
    assert_eq!(fits(&host, &booking(Resource::Vcpus, 9)).unwrap_err()[0].free, 8);
}

#[test]
fn a_resize_in_place_needs_the_difference_only() {
    let old = booking(Resource::MemoryReservation, 10_000);
    let host = HostLoad { booked: old + booking(Resource::MemoryReservation, 4000), ..host() };
    assert_eq!(resize_fits(&host, &old, &booking(Resource::MemoryReservation, 12_384)), Ok(()));
    assert_eq!(
        resize_fits(&host, &old, &booking(Resource::MemoryReservation, 12_385)),
        Err(vec![Shortage { resource: Resource::MemoryReservation, needed: 2385, free: 2384 }])
    );
}

#[test]
fn a_host_that_lost_capacity_takes_nothing_more_but_lets_guests_shrink() {
    let old = Booking::of(&ResourcePolicy::sample());
    let host = HostLoad { capacity: HostCapacity::default(), booked: old, ..host() };
    assert_eq!(resize_fits(&host, &old, &old), Ok(()));
    let mut smaller = old;
    smaller.memory_size = MiB(1024);
    assert_eq!(resize_fits(&host, &old, &smaller), Ok(()));
    smaller.disk = old.disk + MiB(1);
    assert_eq!(
        resize_fits(&host, &old, &smaller),
        Err(vec![Shortage { resource: Resource::Disk, needed: 1, free: 0 }])
    );
}

#[test]
fn shortages_read_as_plain_words() {
    let shortage = |resource| Shortage { resource, needed: 2048, free: 512 }.to_string();
    assert_eq!(shortage(Resource::MemoryReservation), "needs 2,048 MiB guaranteed, 512 free");
    assert_eq!(shortage(Resource::Vcpus), "needs 2,048 vCPUs, 512 free");
    assert_eq!(shortage(Resource::NetworkOutbound), "needs 2,048 kbit/s outbound guaranteed, 512 free");
}

#[test]
fn absurd_figures_are_refused_without_overflow() {
    let most = Resource::ALL.map(|resource| booking(resource, u64::MAX)).into_iter().sum::<Booking>();
    let full = HostLoad { booked: most, ..host() };
    assert!(!full.admits(&most));
    assert_eq!(most + most, most);
    assert_eq!(Booking::default() - most, Booking::default());
}

fn any_booking() -> impl Strategy<Value = Booking> {
    let network = (0..600_000_u64, 0..600_000_u64);
    let disk = (0..900_000_u64, 0..30_000_u64);
    (0..3000_u64, 0..9_u32, 0..3_u32, 0..9000_u64, 0..9000_u64, disk, network).prop_map(
        |(cpu, vcpus, dedicated_cores, reservation, size, (disk, iops), (inbound, outbound))| Booking {
            cpu_reservation: MilliCpu(cpu),
            vcpus: vcpus.max(dedicated_cores),
            dedicated_cores,
            memory_reservation: MiB(reservation),
            memory_size: MiB(size),
            disk: MiB(disk),
            disk_reservation: Iops(iops),
            network_reservation_in: KbitPerSec(inbound),
            network_reservation_out: KbitPerSec(outbound),
        },
    )
}

/// The formulas at the top of the module, written out as a database would compute them.
fn within_the_formulas(host: &HostLoad, instances: &[Booking]) -> bool {
    let sum = |resource| instances.iter().map(|booked| u128::from(booked.amount(resource))).sum::<u128>();
    let HostCapacity { cpu, memory, disk, uplink, iops } = host.capacity;
    let Overcommit { cpu_permille, memory_permille, disk_permille } = host.overcommit;
    sum(Resource::CpuReservation) <= cpu.get().into()
        && sum(Resource::MemoryReservation) <= memory.get().into()
        && sum(Resource::DiskReservation) <= iops.get().into()
        && (sum(Resource::DedicatedCores) == 0
            || (sum(Resource::DedicatedCores) + 1) * 1000 <= u128::from(cpu.get()))
        && sum(Resource::NetworkInbound) <= uplink.get().into()
        && sum(Resource::NetworkOutbound) <= uplink.get().into()
        && (sum(Resource::Vcpus) + sum(Resource::DedicatedCores) * u128::from(cpu_permille) / 1000
            - sum(Resource::DedicatedCores))
            * 1_000_000
            <= u128::from(cpu.get()) * u128::from(cpu_permille)
        && sum(Resource::MemorySize) * 1000 <= u128::from(memory.get()) * u128::from(memory_permille)
        && sum(Resource::Disk) * 1000 <= u128::from(disk.get()) * u128::from(disk_permille)
}

proptest! {
    /// Whatever comes, is resized and goes, the sums stay within the ceilings; and what is refused
    /// would have broken one of them.
    #[test]
    fn the_formulas_hold_through_every_history(
        steps in prop::collection::vec((any_booking(), any::<prop::sample::Index>(), 0..4_u8), 1..60)
    ) {
        let mut host = host();
        let mut instances: Vec<Booking> = Vec::new();
        for (wanted, chosen, kind) in steps {
            let mut after = instances.clone();
            let verdict = match kind {
                0 if !instances.is_empty() => {
                    after.remove(chosen.index(instances.len()));
                    Ok(())
                }
                1 if !instances.is_empty() => {
                    let chosen = chosen.index(instances.len());
                    let old = std::mem::replace(&mut after[chosen], wanted);
                    resize_fits(&host, &old, &wanted)
                }
                _ => {
                    after.push(wanted);
                    prop_assert_eq!(fits(&host, &wanted).is_ok(), host.admits(&wanted));
                    fits(&host, &wanted)
                }
            };
            prop_assert_eq!(verdict.is_ok(), within_the_formulas(&host, &after));
            if verdict.is_ok() {
                instances = after;
                host.booked = instances.iter().copied().sum();
            }
        }
    }

    #[test]
    fn what_is_booked_and_released_leaves_no_trace(a in any_booking(), b in any_booking()) {
        prop_assert_eq!(a + b - b, a);
    }
}

#[test]
fn the_larger_of_two_bookings_is_larger_in_each_resource() {
    let amounts = |n: u64| Booking {
        cpu_reservation: MilliCpu(n),
        vcpus: n as u32,
        dedicated_cores: n as u32,
        memory_reservation: MiB(n),
        memory_size: MiB(n),
        disk: MiB(n),
        disk_reservation: Iops(n),
        network_reservation_in: KbitPerSec(n),
        network_reservation_out: KbitPerSec(n),
    };
    let (small, large) = (amounts(1), amounts(2));
    assert!(large.covers(&small) && large.covers(&large) && !small.covers(&large));
    let mixed = Booking { memory_size: MiB(3), ..small };
    assert!(!large.covers(&mixed) && !mixed.covers(&large));
    assert_eq!(mixed.larger(&large), Booking { memory_size: MiB(3), ..large });
    for resource in Resource::ALL {
        assert_eq!(small.larger(&large).amount(resource), 2, "{resource:?}");
    }
}
