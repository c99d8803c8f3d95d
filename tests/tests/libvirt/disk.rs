//! Shares of the disk with real guests, on a disk of the test's own.

use super::{LIVE_WITHIN, Lab, printed};
use jst_tests::cgroup::Domain;
use jst_tests::disk::Disk;
use jst_tests::{Guests, Host, Stack, eventually};
use serde_json::json;
use std::time::Duration;

/// The agent looks at the host every 30 s.
const TOLD_WITHIN: Duration = Duration::from_secs(45);

impl Lab {
    /// What the host says of a capability: that it has it, or why not.
    async fn capability(&self, name: &str) -> Result<(), String> {
        let path = format!("/api/v1/admin/hosts/{}", self.stack.host_id);
        let host = self.stack.admin().get(&path).await.expect(200).json();
        let facts = &host["facts"];
        if facts["capabilities"].as_array().is_some_and(|names| names.iter().any(|found| found == name)) {
            return Ok(());
        }
        let absent =
            facts["absent"].as_array().into_iter().flatten().find(|absent| absent["capability"] == name);
        Err(absent.unwrap_or_else(|| panic!("{name} in {host}"))["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }
}

/// Without a scheduler that honours weights the host is no candidate for plans that need them.  With one, weights
/// are those of the division among the guests that there are, where the kernel has them.
#[tokio::test(flavor = "multi_thread")]
async fn shares_of_the_disk_follow_the_neighbours() {
    let disk = Disk::make(2048, "mq-deadline").expect("a loop device");
    let host = Host { storage_dir: Some(disk.path()), storage: "iops = 1000\n".into(), ..Host::default() };
    let lab = Lab::furnished("disk@example.com", Stack::start_on(Guests::Real, host).await).await;
    for (slug, disk) in [
        ("even", json!({ "size": 512 })),
        ("reserved", json!({ "size": 512, "reservation": 400, "shares": "high" })),
    ] {
        let policy = json!({ "cpu": { "vcpus": 1 }, "memory": { "size": 256 }, "disk": disk, "network": {} });
        lab.stack.add_plan(slug, policy).await;
    }
    let reason = lab.capability("disk_shares").await.expect_err("mq-deadline honours no weights");
    assert!(reason.contains("is mq-deadline") && reason.contains("/queue/scheduler"), "{reason}");
    let body = json!({ "name": "refused", "plan": "reserved", "image": "test", "ssh_keys": [] });
    let refused = lab.customer.post("/api/v1/instances", body).await;
    assert!(refused.status >= 400, "a host without shares took a plan with shares: {}", refused.body);

    let weight = |domain: &Domain| domain.disk_weight().expect("the guest runs");
    let becomes = async |domain: &Domain, wanted: u64, within: Duration| {
        eventually(&format!("a weight of {wanted}, not {}", weight(domain)), within, || async {
            (weight(domain) == wanted).then_some(())
        })
        .await;
    };
    let first = lab.create_of("first", "even").await;
    let one = Domain::of(&first.id).expect("it runs");
    assert_eq!(weight(&one), 100, "nothing honours it, so nobody sets it");

    // The operator changes it while guests run, and need not tell the agent.
    disk.set_scheduler("bfq").expect("bfq");
    eventually("the host has the capability", TOLD_WITHIN, || async {
        (lab.capability("disk_shares").await.is_ok() && lab.capability("disk_reservation").await.is_ok())
            .then_some(())
    })
    .await;
    becomes(&one, 1000, LIVE_WITHIN).await;

    // Of 1000 operations 400 are guaranteed; of the other 600 the first gets a third.
    let second = lab.create_of("second", "reserved").await;
    let two = Domain::of(&second.id).expect("it runs");
    assert_eq!(weight(&two), 1000);
    let soon = Duration::from_secs(3);
    becomes(&one, 250, soon).await;
    for instance in [&first, &second] {
        eventually("no drift", soon, || async {
            (lab.get(instance).await["drift"] == json!([])).then_some(())
        })
        .await;
    }

    // By hand, and back at the next check, which is due after 5 s at most.
    let id = first.id.trim_start_matches("vm_");
    let name = format!("jst-{}", uuid::Uuid::try_parse(id).expect("an instance id holds a UUID"));
    printed("virsh", &["-c", "qemu:///system", "blkiotune", &name, "--live", "--weight", "777"]);
    assert_eq!(weight(&one), 777);
    becomes(&one, 250, Duration::from_secs(7)).await;
    lab.recorded_repair(&first, "disk.shares").await;

    lab.stack.delete_now(&lab.customer, &second.id).await;
    becomes(&one, 1000, soon).await;
    lab.stack.delete_now(&lab.customer, &first.id).await;
    lab.stack.stop().await;
}

/// Where the operator asks for it the agent sets the scheduler.
#[tokio::test(flavor = "multi_thread")]
async fn the_agent_gives_the_disk_its_scheduler() {
    let disk = Disk::make(256, "none").expect("a loop device");
    let storage = "io_scheduler = \"bfq\"\n".to_owned();
    let host = Host { storage_dir: Some(disk.path()), storage, ..Host::default() };
    let lab = Lab::furnished("scheduler@example.com", Stack::start_on(Guests::Real, host).await).await;
    assert_eq!(lab.capability("disk_shares").await, Ok(()));
    let reason = lab.capability("disk_reservation").await.expect_err("nobody said what the disk carries");
    assert!(reason.contains("iops"), "{reason}");
    lab.stack.stop().await;
}
