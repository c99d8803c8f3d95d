use super::*;
use crate::units::{BytesPerSec, Iops, KbitPerSec, KiB, MilliCpu};

/// What is wrong with the sample policy after one edit.
fn after(edit: impl FnOnce(&mut ResourcePolicy)) -> Vec<(String, Problem)> {
    let mut policy = ResourcePolicy::sample();
    edit(&mut policy);
    policy.violations().into_iter().map(|found| (found.field, found.problem)).collect()
}

fn only(field: &str, problem: Problem) -> Vec<(String, Problem)> {
    vec![(field.to_owned(), problem)]
}

#[test]
fn the_sample_and_the_bare_minimum_are_accepted() {
    assert_eq!(after(|_| ()), []);
    let minimum: ResourcePolicy =
        serde_json::from_str(r#"{"cpu":{"vcpus":1},"memory":{"size":64},"disk":{"size":64},"network":{}}"#)
            .unwrap();
    assert_eq!(minimum.violations(), []);
}

#[test]
fn sizes_have_bounds_and_both_ends_are_inside() {
    type Set = fn(&mut ResourcePolicy, u64);
    let cases: [(&str, Set, u64, u64); 3] = [
        ("cpu.vcpus", |policy, n| policy.cpu.vcpus = n as u32, 1, 128),
        ("memory.size", |policy, n| policy.memory.size = MiB(n), 64, 1 << 20),
        ("disk.size", |policy, n| policy.disk.size = MiB(n), 64, 16 << 20),
    ];
    for (field, set, min, max) in cases {
        let free = |n| {
            after(|policy| {
                policy.cpu = serde_json::from_str(r#"{"vcpus":1}"#).unwrap();
                (policy.memory.reservation, policy.memory.limit) = (MiB(0), None);
                set(policy, n);
            })
        };
        for inside in [min, max] {
            assert_eq!(free(inside), [], "{field} {inside}");
        }
        for outside in [0, min - 1, max + 1] {
            assert_eq!(free(outside), only(field, Problem::OutOfRange { min, max }), "{field} {outside}");
        }
    }
}

#[test]
fn cpu_reservation_limit_and_size_are_ordered() {
    assert_eq!(
        after(|policy| policy.cpu.reservation = MilliCpu(1501)),
        only("cpu.reservation", Problem::ReservationAboveLimit { reservation: 1501, limit: 1500 })
    );
    assert_eq!(
        after(|policy| policy.cpu.reservation = MilliCpu(2001)),
        only("cpu.reservation", Problem::ReservationAboveSize { reservation: 2001, size: 2000 })
    );
    assert_eq!(
        after(|policy| policy.cpu.limit = Some(MilliCpu(2001))),
        only("cpu.limit", Problem::LimitAboveSize { limit: 2001, size: 2000 })
    );
    // Two vCPUs: 1 ms of 100 ms each.
    for limit in [0, 19] {
        assert_eq!(
            after(|policy| policy.cpu.limit = Some(MilliCpu(limit))),
            only("cpu.limit", Problem::OutOfRange { min: 20, max: 2000 })
        );
    }
    assert_eq!(
        after(|policy| (policy.cpu.limit, policy.cpu.reservation) = (Some(MilliCpu(20)), MilliCpu(20))),
        []
    );
}

#[test]
fn dedicated_cores_are_reserved_whole_and_not_limited() {
    let dedicated = |reservation, limit| {
        after(|policy| {
            policy.cpu.dedicated = true;
            policy.cpu.reservation = MilliCpu(reservation);
            policy.cpu.limit = limit;
        })
    };
    assert_eq!(dedicated(2000, None), []);
    assert_eq!(dedicated(2000, Some(MilliCpu(2000))), []);
    for wrong in [0, 1999, 2001] {
        assert_eq!(
            dedicated(wrong, None),
            only("cpu.reservation", Problem::DedicatedReservation { expected: 2000 })
        );
    }
    assert_eq!(
        dedicated(2000, Some(MilliCpu(1999))),
        only("cpu.limit", Problem::OutOfRange { min: 2000, max: 2000 })
    );
}

#[test]
fn memory_reservation_limit_and_size_are_ordered() {
    assert_eq!(
        after(|policy| policy.memory.reservation = MiB(1025)),
        only("memory.reservation", Problem::ReservationAboveLimit { reservation: 1025, limit: 1024 })
    );
    assert_eq!(
        after(|policy| policy.memory.reservation = MiB(2049)),
        only("memory.reservation", Problem::ReservationAboveSize { reservation: 2049, size: 2048 })
    );
    assert_eq!(
        after(|policy| policy.memory.limit = Some(MiB(2049))),
        only("memory.limit", Problem::LimitAboveSize { limit: 2049, size: 2048 })
    );
    for limit in [0, 63] {
        assert_eq!(
            after(|policy| policy.memory.limit = Some(MiB(limit))),
            only("memory.limit", Problem::OutOfRange { min: 64, max: 2048 })
        );
    }
}

#[test]
fn custom_shares_have_bounds_everywhere() {
    type Set = fn(&mut ResourcePolicy, Shares);
    let cases: [(&str, Set); 5] = [
        ("cpu.shares", |policy, shares| policy.cpu.shares = shares),
        ("memory.shares", |policy, shares| policy.memory.shares = shares),
        ("disk.shares", |policy, shares| policy.disk.shares = shares),
        ("network.inbound.shares", |policy, shares| policy.network.inbound.shares = shares),
        ("network.outbound.shares", |policy, shares| policy.network.outbound.shares = shares),
    ];
    for (field, set) in cases {
        for outside in [0, 1_000_001] {
            assert_eq!(
                after(|policy| set(policy, Shares::Custom(outside))),
                only(field, Problem::OutOfRange { min: 1, max: 1_000_000 })
            );
        }
        for inside in [Shares::Custom(1), Shares::Custom(1_000_000), Shares::High] {
            assert_eq!(after(|policy| set(policy, inside)), []);
        }
    }
}

#[test]
fn disk_rates_have_bounds_and_an_order() {
    for outside in [0, 100_000_000_001] {
        assert_eq!(
            after(|policy| policy.disk.read.throughput.as_mut().unwrap().average = BytesPerSec(outside)),
            only("disk.read.throughput.average", Problem::OutOfRange { min: 1, max: 100_000_000_000 })
        );
    }
    for outside in [0, 100_000_001] {
        assert_eq!(
            after(|policy| policy.disk.write.operations.as_mut().unwrap().peak = Some(Iops(outside))),
            only("disk.write.operations.peak", Problem::OutOfRange { min: 1, max: 100_000_000 })
        );
    }
    assert_eq!(
        after(|policy| policy.disk.read.throughput.as_mut().unwrap().peak = Some(BytesPerSec(99_999_999))),
        only(
            "disk.read.throughput.peak",
            Problem::PeakBelowAverage { peak: 99_999_999, average: 100_000_000 }
        )
    );
    assert_eq!(
        after(|policy| policy.disk.read.throughput.as_mut().unwrap().peak = Some(BytesPerSec(100_000_000))),
        []
    );
    for outside in [0, 3601] {
        assert_eq!(
            after(|policy| policy.disk.read.operations.as_mut().unwrap().peak_seconds = outside),
            only("disk.read.operations.peak_seconds", Problem::OutOfRange { min: 1, max: 3600 })
        );
    }
    assert_eq!(
        after(|policy| policy.disk.read.operations.as_mut().unwrap().peak = None),
        only("disk.read.operations.peak_seconds", Problem::NeedsPeak)
    );
}

#[test]
fn a_disk_reservation_is_within_both_directions_together() {
    assert_eq!(after(|policy| policy.disk.reservation = Iops(2000)), []);
    assert_eq!(
        after(|policy| policy.disk.reservation = Iops(2001)),
        only("disk.reservation", Problem::ReservationAboveLimit { reservation: 2001, limit: 2000 })
    );
    // One direction without a limit: the other's says nothing about the whole.
    assert_eq!(
        after(|policy| (policy.disk.reservation, policy.disk.write.operations) = (Iops(2001), None)),
        []
    );
    assert_eq!(
        after(|policy| policy.disk.reservation = Iops(100_000_001)),
        only("disk.reservation", Problem::OutOfRange { min: 0, max: 100_000_000 })
    );
}

#[test]
fn network_rates_have_bounds_and_an_order() {
    for outside in [0, 400_000_001] {
        assert_eq!(
            after(|policy| policy.network.inbound.average = Some(KbitPerSec(outside))),
            only("network.inbound.average", Problem::OutOfRange { min: 1, max: 400_000_000 })
        );
        assert_eq!(
            after(|policy| policy.network.outbound.peak = Some(KbitPerSec(outside))),
            only("network.outbound.peak", Problem::OutOfRange { min: 1, max: 400_000_000 })
        );
    }
    assert_eq!(
        after(|policy| policy.network.inbound.peak = Some(KbitPerSec(99_999))),
        only("network.inbound.peak", Problem::PeakBelowAverage { peak: 99_999, average: 100_000 })
    );
    assert_eq!(
        after(|policy| policy.network.outbound.reservation = KbitPerSec(100_001)),
        only(
            "network.outbound.reservation",
            Problem::ReservationAboveLimit { reservation: 100_001, limit: 100_000 }
        )
    );
    assert_eq!(
        after(|policy| {
            policy.network.outbound =
                NetworkLimits { reservation: KbitPerSec(400_000_001), ..NetworkLimits::default() }
        }),
        only("network.outbound.reservation", Problem::OutOfRange { min: 0, max: 400_000_000 })
    );
}

#[test]
fn peak_and_burst_need_what_they_refine() {
    assert_eq!(
        after(|policy| policy.network.inbound.average = None),
        only("network.inbound.peak", Problem::NeedsAverage)
    );
    assert_eq!(
        after(|policy| policy.network.inbound.peak = None),
        only("network.inbound.burst", Problem::NeedsPeak)
    );
}

#[test]
fn a_burst_holds_a_frame_and_fits_the_kernel() {
    let burst = |average, burst| {
        after(|policy| {
            policy.network.inbound.reservation = KbitPerSec(0);
            policy.network.inbound.average = Some(KbitPerSec(average));
            policy.network.inbound.peak = Some(KbitPerSec(400_000_000));
            policy.network.inbound.burst = Some(KiB(burst));
        })
    };
    let refused = |max| only("network.inbound.burst", Problem::OutOfRange { min: 2, max });
    // 1 Gbit/s for 274 s is 34 GB: the 32 bits of bytes are reached first.
    assert_eq!(burst(1_000_000, 2), []);
    assert_eq!(burst(1_000_000, 4_194_303), []);
    assert_eq!(burst(1_000_000, 1), refused(4_194_303));
    assert_eq!(burst(1_000_000, 4_194_304), refused(4_194_303));
    // 1 Mbit/s is 125,000 bytes a second, for 274 s.
    assert_eq!(burst(1_000, 33_447), []);
    assert_eq!(burst(1_000, 33_448), refused(33_447));
}

#[test]
fn the_monthly_quota_has_bounds() {
    for outside in [0, (1 << 38) + 1] {
        assert_eq!(
            after(|policy| policy.network.monthly_quota = Some(MiB(outside))),
            only("network.monthly_quota", Problem::OutOfRange { min: 1, max: 1 << 38 })
        );
    }
    assert_eq!(after(|policy| policy.network.monthly_quota = Some(MiB(1 << 38))), []);
}

#[test]
fn absurd_numbers_are_refused_without_overflow() {
    let max = MiB(u64::MAX);
    let found = after(|policy| {
        policy.cpu.vcpus = u32::MAX;
        policy.cpu.reservation = MilliCpu(u64::MAX);
        (policy.memory.size, policy.memory.reservation, policy.memory.limit) = (max, max, Some(max));
        policy.disk.size = max;
        policy.disk.reservation = Iops(u64::MAX);
        policy.disk.read.operations.as_mut().unwrap().average = Iops(u64::MAX);
        policy.disk.write.operations.as_mut().unwrap().average = Iops(u64::MAX);
        policy.network.inbound.average = Some(KbitPerSec(u64::MAX));
        policy.network.inbound.burst = Some(KiB(u64::MAX));
        policy.network.monthly_quota = Some(max);
    });
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "cpu.vcpus",
            "memory.size",
            "disk.size",
            "disk.reservation",
            "disk.read.operations.average",
            "disk.write.operations.average",
            "network.inbound.average",
            "network.inbound.burst",
            "network.monthly_quota",
        ]
    );
}

#[test]
fn every_field_path_exists_in_the_document() {
    let document = serde_json::to_value(ResourcePolicy::sample()).unwrap();
    let broken = after(|policy| {
        *policy = serde_json::from_value(zeroed(&document)).unwrap();
        policy.cpu.shares = Shares::Custom(0);
    });
    assert!(broken.len() > 10, "{broken:?}");
    for (field, _) in broken {
        assert!(document.pointer(&format!("/{}", field.replace('.', "/"))).is_some(), "{field}");
    }
}

/// The document with every number but the shares, which cannot be read as zero, replaced by zero.
fn zeroed(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(_) => 0.into(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let value = if name == "shares" { value.clone() } else { zeroed(value) };
                (name.clone(), value)
            })
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn problems_read_as_plain_words() {
    let found = Violation {
        field: "memory.reservation".to_owned(),
        problem: Problem::ReservationAboveSize { reservation: 4096, size: 2048 },
    };
    assert_eq!(
        found.to_string(),
        "memory.reservation: guarantees 4,096, which is more than the 2,048 that the instance has"
    );
    assert_eq!(Problem::OutOfRange { min: 64, max: 1_048_576 }.to_string(), "must be from 64 to 1,048,576");
}
