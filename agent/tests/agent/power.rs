//! Power of a simulated host, with a made tree of the kernel's files.

use crate::server::{Agent, Server};
use jst_agent::config::HypervisorKind;
use jst_policy::power::{Governor, Saving};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    // In one go: a half-written file says something else.
    std::fs::write(path.with_extension("new"), text).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_chooses_follows_the_load_and_ends_with_the_agent() {
    let server = Server::start().await;
    let mut cpus = PathBuf::new();
    let mut agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| {
        config.timing.power = 1;
        config.proc_root = config.data_dir.join("proc");
        cpus = config.data_dir.join("sim/sys/devices/system/cpu");
        for cpu in ["cpu0", "cpu1"] {
            write(&cpus.join(cpu).join("cpufreq/scaling_available_governors"), "performance schedutil\n");
            write(&cpus.join(cpu).join("cpufreq/scaling_governor"), "schedutil\n");
        }
    })
    .await;
    let governor = |cpu: &str| {
        let text = std::fs::read_to_string(cpus.join(cpu).join("cpufreq/scaling_governor")).unwrap();
        text.trim().to_owned()
    };
    let mut ticks = 0;
    let stat = agent.config.proc_root.join("stat");
    // Both are busy all the time.
    let mut until = async |what: &str, test: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !test() {
            assert!(Instant::now() < deadline, "{what}");
            ticks += 20;
            write(&stat, &format!("cpu  {ticks} 0 0 7 0 0 0 0 0 0\n"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let seen = || server.load().unwrap_or_default().governor;
    until("it is reported", &|| seen() == Some(Governor::Schedutil)).await;
    assert_eq!(governor("cpu1"), "schedutil", "nobody wanted anything else");
    let facts = server.facts().unwrap();
    assert!(facts.capabilities.iter().any(|name| name == "power_governor"));
    assert!(facts.absent.iter().any(|absent| absent.capability == "core_parking"), "{:?}", facts.absent);

    server.change_host(|host| host.power_saving = Saving::Governor);
    until("it runs fast", &|| governor("cpu0") == "performance" && governor("cpu1") == "performance").await;
    until("it is reported", &|| seen() == Some(Governor::Performance)).await;
    agent.stop().await;
    assert_eq!([governor("cpu0"), governor("cpu1")], ["schedutil", "schedutil"]);
}
