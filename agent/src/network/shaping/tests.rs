use super::*;

fn limits(average: u64, peak: Option<u64>, burst: Option<u64>) -> NetworkLimits {
    NetworkLimits {
        average: Some(KbitPerSec(average)),
        peak: peak.map(KbitPerSec),
        burst: burst.map(KiB),
        ..NetworkLimits::default()
    }
}

#[test]
fn no_limit_is_no_bucket() {
    assert_eq!(bucket(&NetworkLimits::default()), None);
}

#[test]
fn an_average_alone_has_a_shallow_bucket() {
    let slow = bucket(&limits(1_000, None, None)).unwrap();
    assert_eq!(slow, TokenBucket { rate: 125_000, burst: 4096, peak: None, queue: 49_152 });
    let fast = bucket(&limits(1_000_000, None, None)).unwrap();
    assert_eq!(fast, TokenBucket { rate: 125_000_000, burst: 500_000, peak: None, queue: 12_500_000 });
    // A peak equal to the average is no peak, and its burst would pass at line rate.
    assert_eq!(bucket(&limits(1_000, Some(1_000), Some(512))).unwrap(), slow);
}

#[test]
fn a_peak_bounds_how_fast_the_burst_passes() {
    let wanted = bucket(&limits(10_000, Some(50_000), Some(512))).unwrap();
    assert_eq!(wanted.burst, 524_288);
    assert_eq!(wanted.peak, Some((6_250_000, 6250)));
    // The default burst is 100 ms at the peak.
    assert_eq!(bucket(&limits(10_000, Some(50_000), None)).unwrap().burst, 625_000);
    // What the kernel cannot express is cut, not wrapped around.
    let slow = bucket(&limits(8, Some(80), Some(1_000_000))).unwrap();
    assert_eq!(slow.burst, 274_000);
}

#[test]
fn commands_carry_exact_numbers() {
    assert_eq!(
        tc_line("jstta", &bucket(&limits(10_000, Some(50_000), Some(512))).unwrap()),
        "qdisc replace dev jstta root handle 1: tbf rate 10000000bit burst 524288 limit 125000 \
         peakrate 50000000bit mtu 6250"
    );
}

#[test]
fn what_is_in_force_reads_back_as_it_was_written() {
    for wanted in [
        NetworkLimits::default(),
        limits(10_000, None, None),
        limits(10_000, Some(10_000), None),
        limits(10_000, Some(20_000), None),
        limits(10_000, Some(20_000), Some(64)),
    ] {
        assert_eq!(describe(bucket(&wanted), &Found::NoTree, &wanted), (wanted, vec![]));
    }
}

#[test]
fn drift_names_exactly_what_differs() {
    let wanted = limits(10_000, Some(20_000), Some(64));
    let drift = |now: Option<&NetworkLimits>| describe(now.and_then(bucket), &Found::NoTree, &wanted).1;
    assert_eq!(drift(None), ["average", "peak", "burst"]);
    assert_eq!(drift(Some(&limits(9_000, Some(20_000), Some(64)))), ["average"]);
    assert_eq!(drift(Some(&limits(10_000, Some(20_000), Some(128)))), ["burst"]);
    let (found, fields) = describe(bucket(&limits(10_000, Some(30_000), Some(64))), &Found::NoTree, &wanted);
    assert_eq!((found.peak, fields), (Some(KbitPerSec(30_000)), vec!["peak"]));
    // Without a tree nothing keeps a floor: it says so instead of repeating what was asked for.
    let reserved = NetworkLimits { reservation: KbitPerSec(5_000), ..wanted.clone() };
    assert_eq!(describe(bucket(&reserved), &Found::NoTree, &reserved), (wanted, vec!["reservation"]));
}
