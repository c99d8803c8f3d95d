use super::*;
use std::path::Path;

/// A made tree of the kernel's files.
struct Made {
    merger: Arc<Merger>,
    root: PathBuf,
}

impl Made {
    fn new() -> Self {
        let root = std::env::temp_dir().join(format!("jst-merging-{}", uuid::Uuid::new_v4()));
        let config = Config { sysfs_root: root.join("sys"), data_dir: root.clone(), ..Config::default() };
        let made = Self { merger: Merger::new(&config, Arc::default()), root };
        fs::create_dir_all(&made.merger.kernel).unwrap();
        for (name, value) in [("run", "0"), ("pages_to_scan", "77"), ("sleep_millisecs", "50")] {
            made.write(name, value);
        }
        made.write("pages_sharing", "0");
        made
    }

    fn file(&self, name: &str) -> PathBuf {
        self.merger.kernel.join(name)
    }

    fn write(&self, name: &str, value: &str) {
        fs::write(self.file(name), format!("{value}\n")).unwrap();
    }

    fn says(&self) -> [String; 3] {
        ["run", "pages_to_scan", "sleep_millisecs"]
            .map(|name| fs::read_to_string(self.file(name)).unwrap().trim().to_owned())
    }

    /// Of 8 GiB, with marks at 128 and 256 MiB.
    fn step(&self, allowed: bool, available: u64, mergeable: bool) -> anyhow::Result<MiB> {
        let total = MiB(8192);
        let memory =
            Host { available: MiB(available), overdrawn: MiB::ZERO, marks: Marks::of(total, MiB::ZERO) };
        self.merger.step(allowed, memory, total, mergeable)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn without_leave_the_kernel_is_left_alone() {
    let made = Made::new();
    made.write("run", "1");
    made.write("pages_sharing", "512");
    assert_eq!(made.step(false, 10, false).unwrap(), MiB::ZERO);
    assert_eq!(made.says(), ["1", "77", "50"]);
    assert!(!made.merger.is_claimed());
}

#[test]
fn it_is_searched_by_need_and_repaired_and_given_back() {
    let made = Made::new();
    made.write("smart_scan", "1");
    let skips = || fs::read_to_string(made.file("smart_scan")).unwrap().trim().to_owned();
    assert_eq!(made.step(true, 8000, false).unwrap(), MiB::ZERO);
    assert_eq!(made.says()[0], "0", "there is ample memory");
    made.step(true, 400, false).unwrap();
    assert_eq!((made.says(), skips().as_str()), (["1", "100", "20"].map(String::from), "0"));
    made.write("pages_sharing", "2561");
    assert_eq!(made.step(true, 100, false).unwrap(), MiB(11));
    // 2,097,152 pages in 120 s.
    assert_eq!(made.says(), ["1", "349", "20"]);

    // By hand; and once more by an agent that has just started.
    made.write("run", "0");
    made.write("sleep_millisecs", "9999");
    made.step(true, 100, false).unwrap();
    assert_eq!(made.says(), ["1", "349", "20"]);
    made.write("run", "2");
    *made.merger.set() = None;
    made.step(true, 100, false).unwrap();
    assert_eq!(made.says()[0], "1");

    // The operator forbids it.  There is no room for 11 MiB above the low mark yet.
    assert_eq!(made.step(false, 138, true).unwrap(), MiB(11));
    assert_eq!(made.says()[0], "0");
    made.step(false, 139, true).unwrap();
    assert_eq!(made.says()[0], "2");
    made.write("pages_sharing", "0");
    // A guest that could be merged still runs: nobody may switch it on.
    assert_eq!(made.step(false, 8000, true).unwrap(), MiB::ZERO);
    made.write("run", "1");
    made.step(false, 8000, true).unwrap();
    assert_eq!(made.says()[0], "2");
    assert!(made.merger.is_claimed());
    // It is gone.
    made.step(false, 8000, false).unwrap();
    assert_eq!(made.says(), ["0", "77", "50"], "what was there before is put back");
    assert_eq!(skips(), "1");
    assert!(!made.merger.is_claimed());
}

#[test]
fn the_kernels_adviser_makes_way() {
    let made = Made::new();
    made.write("advisor_mode", "none [scan-time]");
    made.step(true, 100, false).unwrap();
    assert_eq!(fs::read_to_string(made.file("advisor_mode")).unwrap(), "none");
    for _ in 0..2 {
        made.step(false, 8000, false).unwrap();
    }
    assert_eq!(fs::read_to_string(made.file("advisor_mode")).unwrap(), "scan-time", "and comes back");
}

#[test]
fn bad_files_are_told_and_nothing_is_written_over_them() {
    let made = Made::new();
    for (name, garbage) in [("run", "7"), ("run", ""), ("pages_sharing", "many"), ("pages_to_scan", "-1")] {
        let before = fs::read_to_string(made.file(name)).unwrap();
        made.write(name, garbage);
        let error = format!("{:#}", made.step(true, 100, false).unwrap_err());
        assert!(error.contains(name), "{error}");
        assert_eq!(fs::read_to_string(made.file(name)).unwrap().trim(), garbage);
        fs::write(made.file(name), before).unwrap();
    }
    // What does not stay as it was written, as a file that takes everything and keeps nothing.
    fs::remove_file(made.file("sleep_millisecs")).unwrap();
    assert!(made.step(true, 100, false).is_err());
    made.write("sleep_millisecs", "50");
    made.step(true, 100, false).unwrap();
    // A claim that was damaged gives nothing back, and ends.
    fs::write(&made.merger.claim, "x").unwrap();
    made.step(false, 8000, false).unwrap();
    made.step(false, 8000, false).unwrap();
    assert!(!made.merger.is_claimed());
    assert_eq!(made.says()[0], "2");
}

#[test]
fn what_the_host_can_do_is_said_with_the_reason() {
    let made = Made::new();
    let config = Config { data_dir: made.root.clone(), ..Config::default() };
    let sim = crate::hypervisor::sim::Sim::open(&config).unwrap();
    let said = |merger: &Merger, allowed| {
        let mut facts = sim.facts();
        merger.add_to(&mut facts, allowed);
        let name = Capability::KsmOptIn.name();
        (facts.capabilities.iter().any(|known| known == name), facts.absent)
    };
    assert_eq!(said(&made.merger, true), (true, vec![]));
    let (present, absent) = said(&made.merger, false);
    assert!(!present && absent[0].reason.contains("has not allowed"));
    fs::remove_dir_all(&made.merger.kernel).unwrap();
    let (present, absent) = said(&made.merger, true);
    assert!(!present && absent[0].reason.contains("ksm/run"), "{absent:?}");
    // And nothing is tried there.
    assert_eq!(made.step(true, 100, false).unwrap(), MiB::ZERO);
    assert!(!Path::new(&made.merger.claim).exists());
}
