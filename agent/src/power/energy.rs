//! What the processors take, from the counters that many of them have (RAPL).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Watts between two looks.
pub struct Meter {
    root: PathBuf,
    last: Option<(Instant, Counters)>,
}

/// Microjoules of each package, and at what count it begins anew.
type Counters = BTreeMap<PathBuf, (u64, u64)>;

impl Meter {
    pub fn new(root: PathBuf) -> Self {
        Self { root, last: None }
    }

    /// Since the last look; absent where nothing is measured.
    pub fn watts(&mut self) -> Option<u32> {
        let now = (Instant::now(), counters(&self.root));
        let before = self.last.replace(now.clone())?;
        let microseconds = now.0.duration_since(before.0).as_micros().max(1);
        // A microjoule in a microsecond is a watt.
        u32::try_from(u128::from(spent(&before.1, &now.1)?) / microseconds).ok()
    }
}

/// Only packages: zones below them are parts of them, and others (`psys`) contain them.
fn counters(root: &Path) -> Counters {
    let mut found = Counters::new();
    for zone in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let text = |file: &str| std::fs::read_to_string(zone.path().join(file)).ok();
        let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
        if text("name").is_some_and(|name| name.starts_with("package-"))
            && let (Some(energy), Some(range)) = (number("energy_uj"), number("max_energy_range_uj"))
        {
            found.insert(zone.path(), (energy, range));
        }
    }
    found
}

/// Absent when no package was there both times.
fn spent(before: &Counters, after: &Counters) -> Option<u64> {
    let of = |(zone, (now, range)): (&PathBuf, &(u64, u64))| {
        let (then, _) = before.get(zone)?;
        Some(now.checked_sub(*then).unwrap_or_else(|| range.saturating_sub(*then).saturating_add(*now)))
    };
    let each: Vec<u64> = after.iter().filter_map(of).collect();
    (!each.is_empty()).then(|| each.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn packages_are_summed_and_counters_may_begin_anew() {
        let root = std::env::temp_dir().join(format!("jst-energy-{}", uuid::Uuid::new_v4()));
        let zone = |zone: &str, name: &str, energy: &str| {
            let path = root.join(zone);
            std::fs::create_dir_all(&path).unwrap();
            for (file, text) in [("name", name), ("energy_uj", energy), ("max_energy_range_uj", "1000000000")]
            {
                std::fs::write(path.join(file), format!("{text}\n")).unwrap();
            }
        };
        let mut meter = Meter::new(root.clone());
        assert_eq!(meter.watts(), None, "nothing is measured");
        zone("intel-rapl:0", "package-0", "999000000");
        zone("intel-rapl:1", "package-1", "5");
        zone("intel-rapl:0:0", "core", "0");
        zone("intel-rapl:2", "psys", "0");
        zone("intel-rapl:3", "package-2", "garbage");
        let before = counters(&root);
        assert_eq!(before.len(), 2);
        zone("intel-rapl:0", "package-0", "2000000");
        zone("intel-rapl:1", "package-1", "7000005");
        zone("intel-rapl:2", "psys", "900000000");
        assert_eq!(spent(&before, &counters(&root)), Some(10_000_000));
        meter.last = Some((Instant::now() - Duration::from_millis(500), before));
        // 10 J in half a second.
        let watts = meter.watts().unwrap();
        assert!((18..=20).contains(&watts), "{watts} W");
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(meter.watts(), None, "the counters are gone");
    }
}
