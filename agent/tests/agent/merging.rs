//! Page merging on a simulated host, with a made tree of the kernel's files.

use crate::instance;
use crate::server::{Agent, Server};
use jst_agent::config::HypervisorKind;
use jst_policy::lifecycle::Power;
use jst_protocol::desired::{OneShot, OneShotKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

struct Kernel(PathBuf);

impl Kernel {
    fn write(&self, name: &str, value: u64) {
        std::fs::write(self.0.join(name), value.to_string()).unwrap();
    }

    fn says(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap().trim().to_owned()
    }

    async fn until(&self, name: &str, value: u64) {
        until(&format!("{name} is {value}"), || self.says(name) == value.to_string()).await;
    }
}

async fn until(what: &str, test: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !test() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_allows_merging_and_forbids_it_again() {
    let server = Server::start().await;
    let mut kernel = Kernel(PathBuf::new());
    let agent = Agent::enrolled(&server, HypervisorKind::Sim, |config| {
        config.sim.delay_ms = 0;
        config.timing.memory = 1;
        // One guest of 256 MiB leaves 6: short of memory, and above the low mark of 4.
        config.sim.memory_mib = 262;
        kernel.0 = config.data_dir.join("sim/sys/kernel/mm/ksm");
        std::fs::create_dir_all(&kernel.0).unwrap();
        for (name, value) in
            [("run", 0), ("pages_to_scan", 77), ("sleep_millisecs", 50), ("pages_sharing", 2560)]
        {
            kernel.write(name, value);
        }
    })
    .await;
    let claim = agent.config.data_dir.join("page-merging");
    let can = |server: &Server| {
        server.facts().is_some_and(|facts| facts.capabilities.iter().any(|name| name == "ksm_opt_in"))
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!claim.exists() && !can(&server) && kernel.says("pages_to_scan") == "77", "nobody allowed it");

    server.change_host(|host| host.page_merging = true);
    until("it is taken over", || claim.exists()).await;
    let wanted = instance(Power::Running);
    let id = wanted.id;
    server.set(wanted);
    server.until_applied(id, 1, 10).await;
    kernel.until("run", 1).await;
    assert_eq!((kernel.says("pages_to_scan"), kernel.says("sleep_millisecs")), ("100".into(), "20".into()));
    let saved = |server: &Server| server.load().unwrap_or_default().memory_merged_mib;
    until("it is reported", || saved(&server) == 10).await;
    // Switched by hand.
    kernel.write("run", 0);
    kernel.until("run", 1).await;

    // Separating needs 10 MiB more than the host has: the guest lends what is idle first.
    server.change_host(|host| host.page_merging = false);
    kernel.until("run", 2).await;
    let usage = server.until(id, 20, |r| r.usage.is_some_and(|usage| usage.balloon_mib < 256)).await.usage;
    assert!(usage.unwrap().balloon_mib >= 128);
    kernel.write("pages_sharing", 0);
    until("nothing is saved any more", || saved(&server) == 0).await;
    // The guest was started while it was allowed: nobody may switch it on.
    kernel.write("run", 1);
    kernel.until("run", 2).await;
    assert!(claim.exists());
    // Started anew it cannot be merged, and the kernel is as it was before.
    let cycle = OneShot { id: Uuid::now_v7(), kind: OneShotKind::PowerCycle };
    let generation = server.change(id, |instance| instance.actions = vec![cycle]);
    server.until_applied(id, generation, 20).await;
    until("it is let go", || !claim.exists()).await;
    assert_eq!(["run", "pages_to_scan", "sleep_millisecs"].map(|name| kernel.says(name)), ["0", "77", "50"]);
    kernel.write("run", 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(kernel.says("run"), "1", "what the operator does for others is no business of ours");
}
