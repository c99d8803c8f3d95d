use super::*;

/// A made tree of the kernel's files: four processors, of which the first cannot be parked.
struct Made {
    processors: Arc<Processors>,
    config: Config,
}

impl Made {
    fn new() -> Self {
        let root = std::env::temp_dir().join(format!("jst-power-{}", uuid::Uuid::new_v4()));
        let config = Config {
            sysfs_root: root.join("sys"),
            cgroup_root: root.join("cgroup"),
            data_dir: root,
            ..Config::default()
        };
        let made = Self { processors: Processors::open(&config), config };
        for number in 0..4 {
            fs::create_dir_all(made.path(number, "cpufreq")).unwrap();
            made.write(number, "cpufreq/scaling_available_governors", "performance schedutil userspace");
            made.write(number, "cpufreq/scaling_governor", "userspace");
            if number > 0 {
                made.write(number, "online", "1");
            }
        }
        // What else stands there is no processor.
        fs::create_dir_all(made.processors.kernel.join("cpufreq")).unwrap();
        fs::create_dir_all(made.processors.kernel.join("cpuidle")).unwrap();
        made
    }

    fn path(&self, number: u32, file: &str) -> PathBuf {
        self.processors.core(number).join(file)
    }

    fn write(&self, number: u32, file: &str, value: &str) {
        fs::write(self.path(number, file), format!("{value}\n")).unwrap();
    }

    fn online(&self) -> Vec<u32> {
        self.processors
            .read()
            .unwrap()
            .iter()
            .filter(|(_, core)| core.online)
            .map(|(number, _)| *number)
            .collect()
    }

    fn governors(&self) -> Vec<String> {
        self.processors.read().unwrap().into_values().map(|core| core.governor.unwrap()).collect()
    }

    fn step(&self, saving: Saving, busy: u64, reserved: u64) -> anyhow::Result<Draw> {
        let (busy, reserved) = (MilliCpu(busy), MilliCpu(reserved));
        self.processors.step(&Need { saving, busy, peak: Some(busy), reserved, dedicated: false })
    }

    fn absent(&self) -> Vec<AbsentCapability> {
        let mut facts = crate::hypervisor::sim::Sim::open(&self.config).unwrap().facts();
        self.processors.add_to(&mut facts);
        facts.absent
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.config.data_dir);
    }
}

#[test]
fn switched_off_nothing_is_touched() {
    let made = Made::new();
    let draw = made.step(Saving::Off, 0, 0).unwrap();
    assert_eq!(draw, Draw { governor: Some(Governor::Other), parked: 0, watts: None });
    assert_eq!((made.online(), made.governors()), (vec![0, 1, 2, 3], vec!["userspace".to_owned(); 4]));
    assert!(!made.processors.claim.exists());
    assert_eq!(made.absent(), []);
}

#[test]
fn it_parks_and_brings_back_and_restores() {
    let made = Made::new();
    let draw = made.step(Saving::Park, 900, 0).unwrap();
    assert_eq!(draw, Draw { governor: Some(Governor::Schedutil), parked: 2, watts: None });
    assert_eq!(made.online(), [0, 1]);
    // By hand.
    made.write(3, "online", "1");
    made.write(0, "cpufreq/scaling_governor", "userspace");
    assert_eq!(made.step(Saving::Park, 900, 0).unwrap(), draw);
    assert_eq!((made.online(), made.governors()[0].as_str()), (vec![0, 1], "schedutil"));
    // A guest with a reservation of two cores: they come, and one to spare.
    assert_eq!(made.step(Saving::Park, 0, 2000).unwrap().parked, 1);
    // Load: everything comes, and runs fast.
    let draw = made.step(Saving::Park, 2900, 0).unwrap();
    assert_eq!((draw.governor, draw.parked, made.online().len()), (Some(Governor::Performance), 0, 4));
    made.step(Saving::Park, 0, 0).unwrap();
    assert_eq!(made.online(), [0]);
    assert_eq!(made.step(Saving::Governor, 0, 0).unwrap().parked, 0);
    assert_eq!(made.online().len(), 4, "it governs only");
    made.step(Saving::Park, 0, 0).unwrap();
    made.step(Saving::Off, 0, 0).unwrap();
    assert_eq!((made.online().len(), made.governors()), (4, vec!["userspace".to_owned(); 4]));
    assert!(!made.processors.claim.exists());
}

#[test]
fn nobody_is_left_with_parked_processors_when_the_agent_ends() {
    let made = Made::new();
    made.step(Saving::Park, 0, 0).unwrap();
    assert_eq!(made.online(), [0]);
    // It was killed: the next one brings them back before it counts.
    let next = Processors::open(&made.config);
    assert_eq!(made.online().len(), 4);
    // It is stopped: everything is as it was, and no step that was under way parks again.
    made.step(Saving::Park, 0, 0).unwrap();
    next.stop();
    made.processors.stop();
    assert_eq!((made.online().len(), made.governors()), (4, vec!["userspace".to_owned(); 4]));
    made.step(Saving::Park, 0, 0).unwrap();
    assert_eq!(made.online().len(), 4);
}

#[test]
fn what_others_took_offline_or_own_is_left_alone() {
    let made = Made::new();
    made.write(2, "online", "0");
    made.step(Saving::Park, 0, 0).unwrap();
    made.step(Saving::Park, 2000, 0).unwrap();
    made.step(Saving::Off, 0, 0).unwrap();
    assert_eq!(made.online(), [0, 1, 3], "somebody else had parked the third");
    let need = Need {
        saving: Saving::Park,
        busy: MilliCpu(0),
        peak: Some(MilliCpu(0)),
        reserved: MilliCpu(0),
        dedicated: true,
    };
    made.processors.step(&need).unwrap();
    assert_eq!(made.online(), [0, 1, 3], "which cores a guest has for itself is not known here");
    assert_eq!(made.governors()[0], "schedutil");
}

#[test]
fn where_there_is_nothing_to_control_the_reason_is_said() {
    let made = Made::new();
    fs::remove_dir_all(&made.processors.kernel).unwrap();
    let reasons = |made: &Made| made.absent().into_iter().map(|absent| absent.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&made).len(), 2);
    assert!(made.step(Saving::Park, 0, 0).is_err(), "a machine has processors");
    // No choice of governors, and no file `online`.
    for number in 0..2 {
        fs::create_dir_all(made.path(number, "")).unwrap();
    }
    assert!(reasons(&made).iter().all(|reason| reason.starts_with("no processor has a choice of")));
    assert_eq!(made.step(Saving::Park, 0, 0).unwrap(), Draw::default());

    for (guest_cpus, v1, part) in
        [(Some("1-3".parse().unwrap()), false, "guest_cpus"), (None, true, "cgroup v1")]
    {
        let made = Made::new();
        if v1 {
            fs::create_dir_all(made.config.cgroup_root.join("cpuset")).unwrap();
        }
        let processors = Processors::open(&Config { guest_cpus, ..made.config.clone() });
        let made = Made {
            processors,
            config: Config { data_dir: made.config.data_dir.clone(), ..made.config.clone() },
        };
        assert!(reasons(&made)[0].contains(part), "{:?}", reasons(&made));
        made.step(Saving::Park, 0, 0).unwrap();
        assert_eq!(made.online().len(), 4, "{part}");
        assert_eq!(made.governors()[0], "schedutil", "what can be done is done");
    }
}

#[test]
fn bad_files_are_told_and_park_nothing() {
    let made = Made::new();
    made.write(1, "online", "perhaps");
    let error = format!("{:#}", made.step(Saving::Park, 0, 0).unwrap_err());
    assert!(error.contains("neither 0 nor 1"), "{error}");
    made.write(1, "online", "1");
    // A file that cannot be written, even by root: a directory stands there.
    fs::remove_file(made.path(2, "cpufreq/scaling_governor")).unwrap();
    fs::create_dir(made.path(2, "cpufreq/scaling_governor")).unwrap();
    assert!(made.step(Saving::Park, 0, 0).is_err());
    fs::remove_dir(made.path(2, "cpufreq/scaling_governor")).unwrap();
    assert_eq!(made.online().len(), 4);
    // Without its governor it is like any processor that has none.
    made.step(Saving::Park, 0, 0).unwrap();
    assert_eq!(made.online(), [0]);
    // The claim is damaged: nothing is guessed.
    fs::write(&made.processors.claim, "{").unwrap();
    let error = format!("{:#}", made.step(Saving::Park, 4000, 0).unwrap_err());
    assert!(error.contains("power-saving cannot be read"), "{error}");
}
