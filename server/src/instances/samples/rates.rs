//! From two readings of the counters to what was used in between.

use super::figure::{Figure, Figures};
use jst_policy::instance::ResourcePolicy;
use jst_protocol::report::Usage;
use time::Duration;

/// Agents read the counters every ten seconds.  Where none came for so long, nobody knows how what was used is
/// spread over that time: it is a gap, not a line.
const GAP: Duration = Duration::seconds(150);

/// The rates between two readings, and what stands at the second one.  None where the second is a new
/// beginning: after a gap, after a restart of the guest or of what counts, or after the clock was set back.
///
/// A guest that was restarted and has counted beyond the first reading since then cannot be told from one that
/// ran on.  That is harmless: the difference is then less than what it really used.
pub fn between(before: &Usage, after: &Usage, elapsed: Duration, policy: &ResourcePolicy) -> Option<Figures> {
    if elapsed <= Duration::ZERO || elapsed > GAP {
        return None;
    }
    let seconds = elapsed.as_seconds_f64();
    let went = counters(before)
        .into_iter()
        .zip(counters(after))
        .map(|((figure, before), (_, after))| {
            let went = match figure {
                // By some milliseconds these go back now and then, see the agent's `steal.rs`.
                Figure::CpuStolen | Figure::CpuHeldBack => after.saturating_sub(before),
                _ => after.checked_sub(before)?,
            };
            Some((figure, went as f64))
        })
        .collect::<Option<Vec<_>>>()?;
    let mut figures = Figures::default();
    let cores = policy.cpu.size().get() as f64;
    for (figure, amount) in went {
        let rate = match figure {
            // Nanoseconds a second, as thousandths of a core.  Reports travel for some seconds, so that a minute
            // may seem to have 62: more than all cores is never meant.
            Figure::CpuUsed | Figure::CpuStolen | Figure::CpuHeldBack => (amount / seconds / 1e6).min(cores),
            Figure::NetworkIn | Figure::NetworkOut => amount / seconds * 8.0 / 1000.0,
            _ => amount / seconds,
        };
        figures[figure] = Some(rate as f32);
    }
    // These begin anew with every new limit, which is no new beginning of anything else.
    let since =
        |before: u64, after: u64| (after.checked_sub(before).unwrap_or(after) as f64 / seconds) as f32;
    figures[Figure::NetworkInDropped] = Some(since(before.network_in_dropped, after.network_in_dropped));
    figures[Figure::NetworkOutDropped] = Some(since(before.network_out_dropped, after.network_out_dropped));
    let size = policy.memory.size.get();
    figures[Figure::MemorySize] = Some(size as f32);
    // A host that does not know says 0, which nothing that runs uses or is left.
    let known = |amount: u64| (amount > 0).then_some(amount);
    figures[Figure::MemoryUsed] = known(after.memory_resident_mib).map(|used| used.min(size) as f32);
    figures[Figure::MemoryLent] = known(after.balloon_mib).map(|left| size.saturating_sub(left) as f32);
    Some(figures)
}

/// What only grows while the guest runs.
fn counters(usage: &Usage) -> [(Figure, u64); 9] {
    [
        (Figure::CpuUsed, usage.cpu_nanoseconds),
        (Figure::CpuStolen, usage.cpu_steal_nanoseconds),
        (Figure::CpuHeldBack, usage.cpu_throttled_nanoseconds),
        (Figure::DiskReadBytes, usage.disk_read_bytes),
        (Figure::DiskWriteBytes, usage.disk_write_bytes),
        (Figure::DiskReadOperations, usage.disk_read_operations),
        (Figure::DiskWriteOperations, usage.disk_write_operations),
        (Figure::NetworkIn, usage.network_in_bytes),
        (Figure::NetworkOut, usage.network_out_bytes),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn policy() -> ResourcePolicy {
        serde_json::from_value(serde_json::json!({
            "cpu": { "vcpus": 2 }, "memory": { "size": 1024 }, "disk": { "size": 64 }, "network": {},
        }))
        .unwrap()
    }

    fn usage(factor: u64) -> Usage {
        Usage {
            cpu_nanoseconds: 30_000_000_000 * factor,
            cpu_steal_nanoseconds: 600_000_000 * factor,
            cpu_throttled_nanoseconds: 0,
            memory_resident_mib: 300,
            memory_unused_mib: 100,
            memory_merged_mib: 0,
            balloon_mib: 768,
            disk_read_bytes: 6_000_000 * factor,
            disk_write_bytes: 0,
            disk_read_operations: 600 * factor,
            disk_write_operations: 0,
            network_in_bytes: 7_500_000 * factor,
            network_out_bytes: 60 * factor,
            network_in_dropped: 0,
            network_out_dropped: 0,
            network_seen: None,
        }
    }

    const MINUTE: Duration = Duration::MINUTE;

    #[test]
    fn counters_become_rates_in_the_units_of_a_policy() {
        let figures = between(&usage(1), &usage(2), MINUTE, &policy()).unwrap();
        for (figure, expected) in [
            (Figure::CpuUsed, 500.0),
            (Figure::CpuStolen, 10.0),
            (Figure::CpuHeldBack, 0.0),
            (Figure::MemoryUsed, 300.0),
            (Figure::MemoryLent, 256.0),
            (Figure::MemorySize, 1024.0),
            (Figure::DiskReadBytes, 100_000.0),
            (Figure::DiskWriteBytes, 0.0),
            (Figure::DiskReadOperations, 10.0),
            (Figure::NetworkIn, 1000.0),
            (Figure::NetworkOut, 0.008),
        ] {
            assert_eq!(figures[figure], Some(expected), "{figure:?}");
        }
    }

    #[test]
    fn what_a_host_does_not_know_is_not_nothing() {
        let blind = Usage { memory_resident_mib: 0, balloon_mib: 0, ..usage(2) };
        let figures = between(&usage(1), &blind, MINUTE, &policy()).unwrap();
        assert_eq!((figures[Figure::MemoryUsed], figures[Figure::MemoryLent]), (None, None));
    }

    #[test]
    fn a_counter_that_went_back_is_a_new_beginning() {
        assert_eq!(between(&usage(2), &usage(1), MINUTE, &policy()), None);
        let one_back = Usage { network_out_bytes: 0, ..usage(2) };
        assert_eq!(between(&usage(1), &one_back, MINUTE, &policy()), None);
    }

    #[test]
    fn waiting_may_go_back_a_little_and_nothing_is_lost_by_it() {
        let before = Usage { cpu_steal_nanoseconds: 5_000_000_000, ..usage(1) };
        let after = Usage { cpu_steal_nanoseconds: 4_999_000_000, ..usage(2) };
        let figures = between(&before, &after, MINUTE, &policy()).unwrap();
        assert_eq!((figures[Figure::CpuStolen], figures[Figure::CpuUsed]), (Some(0.0), Some(500.0)));
    }

    /// A new limit counts from nothing what it drops, and all other figures go on.
    #[test]
    fn what_is_dropped_is_counted_from_each_new_limit() {
        let dropped = |factor, network_in_dropped| Usage { network_in_dropped, ..usage(factor) };
        let of =
            |before, after| between(&before, &after, MINUTE, &policy()).unwrap()[Figure::NetworkInDropped];
        assert_eq!(of(dropped(1, 600), dropped(2, 1200)), Some(10.0));
        assert_eq!(of(dropped(1, 600), dropped(2, 30)), Some(0.5));
    }

    #[test]
    fn a_gap_is_a_gap() {
        assert!(between(&usage(1), &usage(2), GAP, &policy()).is_some());
        assert_eq!(between(&usage(1), &usage(2), GAP + Duration::SECOND, &policy()), None);
        assert_eq!(between(&usage(1), &usage(2), Duration::ZERO, &policy()), None);
        assert_eq!(between(&usage(1), &usage(2), -MINUTE, &policy()), None, "the clock was set back");
    }

    /// Whatever is reported: no rate is negative, no processor is used more than there is, and nothing is not a number.
    #[test]
    fn rates_stay_within_what_is_possible() {
        let mut random = rand::rngs::StdRng::seed_from_u64(6);
        let mut any = |most: u64| {
            let mut figure = || random.random_range(0..=most);
            Usage {
                cpu_nanoseconds: figure(),
                cpu_steal_nanoseconds: figure(),
                cpu_throttled_nanoseconds: figure(),
                memory_resident_mib: figure(),
                memory_unused_mib: figure(),
                memory_merged_mib: figure(),
                balloon_mib: figure(),
                disk_read_bytes: figure(),
                disk_write_bytes: figure(),
                disk_read_operations: figure(),
                disk_write_operations: figure(),
                network_in_bytes: figure(),
                network_out_bytes: figure(),
                network_in_dropped: figure(),
                network_out_dropped: figure(),
                network_seen: None,
            }
        };
        let mut judged = 0;
        for round in 0..20_000 {
            let most = if round % 2 == 0 { 1000 } else { u64::MAX };
            let (before, after) = (any(1 << (round % 10)), any(most));
            let Some(figures) = between(&before, &after, Duration::seconds(round % 200), &policy()) else {
                continue;
            };
            judged += 1;
            assert!(
                figures.0.into_iter().flatten().all(|rate| rate.is_finite() && rate >= 0.0),
                "{figures:?}"
            );
            assert!(figures[Figure::CpuUsed] <= Some(2000.0) && figures[Figure::MemoryUsed] <= Some(1024.0));
        }
        assert!(judged > 1000, "{judged}");
    }
}
