//! What the decisions cost that are made for every guest of a host, and for every host of the fleet.
//!
//! ```text
//! cargo bench --package jst-policy --bench policy
//! ```

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jst_policy::admission::{Booking, HostCapacity, HostLoad, Overcommit};
use jst_policy::claim::Claim;
use jst_policy::divide::divide;
use jst_policy::placement::{Candidate, Capability, Qualification, Requirements, explain, place};
use jst_policy::units::{Iops, KbitPerSec, MiB, MilliCpu};
use jst_policy::weights::{Scale, weights};
use std::collections::BTreeSet;
use std::hint::black_box;
use uuid::Uuid;

/// Numbers that look random and are the same every time.
fn mixed(number: u64) -> u64 {
    number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24
}

fn claims(count: u64) -> Vec<Claim> {
    let claim = |number| {
        let mixed = mixed(number);
        Claim {
            reservation: mixed % 500,
            limit: (!mixed.is_multiple_of(3)).then_some(500 + mixed % 4000),
            shares: 250 + mixed % 4000,
            demand: mixed.is_multiple_of(4).then_some(mixed % 900),
        }
    };
    (0..count).map(claim).collect()
}

fn dividing(c: &mut Criterion) {
    let mut group = c.benchmark_group("divide");
    for count in [10, 100, 1000] {
        let claims = claims(count);
        // Room for what is guaranteed and half again.
        let capacity = claims.iter().map(|claim| claim.reservation).sum::<u64>() * 3 / 2;
        group.throughput(Throughput::Elements(count));
        group.bench_with_input(BenchmarkId::new("divide", count), &claims, |b, claims| {
            b.iter(|| divide(black_box(capacity), black_box(claims)));
        });
        group.bench_with_input(BenchmarkId::new("weights", count), &claims, |b, claims| {
            b.iter(|| weights(black_box(Some(capacity)), black_box(claims), Scale::CPU_V2));
        });
    }
    group.finish();
}

/// 5,000 hosts with twenty guests each, more or less: a hundred thousand instances.
fn fleet() -> Vec<Candidate> {
    let host = |number: u64| {
        let mixed = mixed(number);
        let guests = 10 + mixed % 21;
        Candidate {
            host: Uuid::from_u128(number.into()),
            name: format!("host-{number}"),
            load: HostLoad {
                capacity: HostCapacity {
                    cpu: MilliCpu(64_000),
                    memory: MiB::from_gib(256),
                    disk: MiB::from_gib(4096),
                    uplink: KbitPerSec::from_mbit(10_000),
                    iops: Iops(200_000),
                },
                overcommit: Overcommit { cpu_permille: 4000, ..Overcommit::default() },
                booked: Booking {
                    cpu_reservation: MilliCpu(guests * 1000),
                    vcpus: u32::try_from(guests * 4).unwrap_or(u32::MAX),
                    memory_reservation: MiB(guests * 4096),
                    memory_size: MiB(guests * 8192),
                    disk: MiB(guests * 80 * 1024),
                    disk_reservation: Iops(guests * 500),
                    network_reservation_in: KbitPerSec(guests * 50_000),
                    network_reservation_out: KbitPerSec(guests * 50_000),
                    ..Booking::default()
                },
            },
            accepts_new: !mixed.is_multiple_of(20),
            lease_valid: true,
            qualification: Qualification::Kvm,
            capabilities: Capability::ALL.into(),
            cached_images: BTreeSet::new(),
            same_tenant_instances: 0,
            free_addresses_v4: 10,
        }
    };
    (0..5000).map(host).collect()
}

fn placing(c: &mut Criterion) {
    let hosts = fleet();
    let requirements = Requirements {
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
    };
    let mut group = c.benchmark_group("placement, 5,000 hosts");
    group.throughput(Throughput::Elements(1));
    group.bench_function("place", |b| b.iter(|| place(black_box(&requirements), black_box(&hosts))));
    group.bench_function("explain", |b| b.iter(|| explain(black_box(&requirements), black_box(&hosts))));
    group.finish();
}

criterion_group!(benches, dividing, placing);
criterion_main!(benches);
