//! Cores of one guest alone, with real guests: read from the threads of their processes.

use super::{LIVE_WITHIN, Lab, printed};
use jst_tests::customer::Instance;
use jst_tests::{Guests, Host, Stack, eventually};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

fn domain(instance: &Instance) -> String {
    let id = instance.id.trim_start_matches("vm_");
    format!("jst-{}", uuid::Uuid::try_parse(id).expect("an instance id holds a UUID"))
}

fn move_by_hand(instance: &Instance, cores: &str) {
    let name = domain(instance);
    printed("virsh", &["-c", "qemu:///system", "vcpupin", &name, "0", cores, "--live"]);
    assert!(allowed(instance).contains(cores), "{:?}", allowed(instance));
}

/// What the threads of a guest may run on, as the kernel tells it: one list where all agree.
fn allowed(instance: &Instance) -> BTreeSet<String> {
    let pid = fs::read_to_string(format!("/run/libvirt/qemu/{}.pid", domain(instance))).expect("it runs");
    let threads = fs::read_dir(format!("/proc/{}/task", pid.trim())).expect("it runs");
    let of = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        status.lines().find_map(|line| Some(line.strip_prefix("Cpus_allowed_list:")?.trim().to_owned()))
    };
    threads.flatten().filter_map(of).collect()
}

async fn is_on(instance: &Instance, cores: &str, within: Duration) {
    let what = format!("all threads on {cores}, not {:?}", allowed(instance));
    eventually(&what, within, || async { (allowed(instance) == [cores.to_owned()].into()).then_some(()) })
        .await;
}

/// On a machine of two processors: one guest has one of them, all others float over the other, and over both when
/// it has gone.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_runs_on_the_core_of_another() {
    let host = Host { guest_cpus: Some("0-1".into()), ..Host::default() };
    let mut lab = Lab::furnished("cores@example.com", Stack::start_on(Guests::Real, host).await).await;
    for (slug, cpu) in [
        ("floating", json!({ "vcpus": 1 })),
        ("floating-two", json!({ "vcpus": 2 })),
        ("alone", json!({ "vcpus": 1, "reservation": 1000, "dedicated": true })),
    ] {
        let policy = json!({ "cpu": cpu, "memory": { "size": 256 }, "disk": { "size": 512 }, "network": {} });
        lab.stack.add_plan(slug, policy).await;
    }
    let soon = Duration::from_secs(3);
    let shared = lab.create_of("shared", "floating").await;
    is_on(&shared, "0-1", soon).await;

    let alone = lab.create_of("alone", "alone").await;
    is_on(&alone, "0", soon).await;
    is_on(&shared, "1", soon).await;
    eventually("no drift", soon, || async { (lab.get(&alone).await["drift"] == json!([])).then_some(()) })
        .await;

    // One core stays everybody's.
    let body = json!({ "name": "too-many", "plan": "alone", "image": "test", "ssh_keys": [] });
    let refused = lab.customer.post("/api/v1/instances", body).await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("short-dedicated-cores")));

    // By hand, and back at the next check.
    move_by_hand(&alone, "0-1");
    is_on(&alone, "0", Duration::from_secs(7)).await;
    lab.recorded_repair(&alone, "cpu.dedicated").await;

    // It changes places while it runs, and whoever has a core keeps it when the agent forgets everything.
    lab.act(&alone, "resize", json!({ "plan": "floating" })).await;
    is_on(&alone, "0-1", LIVE_WITHIN).await;
    is_on(&shared, "0-1", soon).await;
    lab.act(&shared, "resize", json!({ "plan": "alone" })).await;
    is_on(&shared, "0", LIVE_WITHIN).await;
    is_on(&alone, "1", soon).await;
    lab.stack.delete_now(&lab.customer, &alone.id).await;
    let other = lab.create_of("other", "floating").await;
    is_on(&other, "1", soon).await;
    // A vCPU that is plugged in begins where the guest may run now.
    lab.act(&other, "resize", json!({ "plan": "floating-two" })).await;
    is_on(&other, "1", soon).await;
    lab.stack.kill_agent();
    move_by_hand(&other, "0-1");
    lab.stack.start_agent();
    is_on(&other, "1", LIVE_WITHIN).await;
    assert_eq!(allowed(&shared), ["0".to_owned()].into());

    for instance in [&shared, &other] {
        lab.stack.delete_now(&lab.customer, &instance.id).await;
    }
    lab.stack.stop().await;
}
