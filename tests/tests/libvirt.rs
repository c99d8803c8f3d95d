//! Real guests: libvirt, QEMU, taps, nftables and tc, from the API down to what SSH sees inside.

mod console;
mod cores;
mod disk;

use jst_tests::cgroup::Domain;
use jst_tests::customer::Instance;
use jst_tests::guest::{self, Key};
use jst_tests::{Api, Guests, Host, Stack, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

const BOOTS_WITHIN: Duration = Duration::from_secs(60);
const LIVE_WITHIN: Duration = Duration::from_secs(20);

/// A stack with the small guest image, a customer who may buy, and their key.
struct Lab {
    stack: Stack,
    customer: Api,
    key: Key,
}

impl Lab {
    async fn open(email: &str) -> Self {
        Self::furnished(email, Stack::start(Guests::Real).await).await
    }

    async fn furnished(email: &str, stack: Stack) -> Self {
        stack.furnish(Some(&guest::micro_image())).await;
        let customer = stack.customer(email).await;
        stack.let_buy(email).await;
        let key = Key::generate(stack.directory.path());
        Self { stack, customer, key }
    }

    async fn create(&self, name: &str) -> Instance {
        self.create_of(name, "small").await
    }

    async fn create_of(&self, name: &str, plan: &str) -> Instance {
        let instance = self.stack.create_instance(&self.customer, name, plan, &[&self.key.public]).await;
        self.reach(&instance).await;
        instance
    }

    async fn reach(&self, instance: &Instance) {
        self.stack.reach(&self.customer, instance, &self.key, "true", BOOTS_WITHIN).await;
    }

    /// Waits until a command in the guest prints what is wanted.
    async fn sees(
        &self,
        instance: &Instance,
        command: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let what = format!("'{command}' in {}", instance.address);
        eventually(&what, limit, || async {
            self.key.run(&instance.address, command).await.filter(|printed| wanted(printed))
        })
        .await
    }

    async fn act(&self, instance: &Instance, action: &str, body: Value) -> Value {
        let operation = self.stack.act(&self.customer, &instance.id, action, body).await;
        assert_eq!(operation["state"], "succeeded", "{operation}");
        operation
    }

    /// libvirtd dies this many milliseconds after the operation was acknowledged, and the operation ends well.
    async fn survives(&self, operation: &Value, after: u64) {
        tokio::time::sleep(Duration::from_millis(after)).await;
        let struck = tokio::task::spawn_blocking(|| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/kill-libvirt");
            Command::new(script).output().expect("the script is there")
        });
        let output = struck.await.expect("no panic");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let start = Instant::now();
        let ended =
            self.stack.wait_for_operation(&self.customer, operation["id"].as_str().expect("an id")).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        println!("{} ended after {:.1} s", operation["kind"], start.elapsed().as_secs_f64());
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{} took {:?}",
            operation["kind"],
            start.elapsed()
        );
    }

    /// Waits until the audit log says that this part of the policy was changed on the host and set again.
    async fn recorded_repair(&self, instance: &Instance, field: &str) {
        let path = format!("/api/v1/admin/audit?action=instance.repaired&subject={}", instance.id);
        eventually("the repair is recorded", Duration::from_secs(10), || async {
            let events = self.stack.admin().get(&path).await.expect(200).json();
            let mut events = events["items"].as_array()?.iter();
            events
                .any(|event| event["data"]["fields"].as_str().is_some_and(|f| f.contains(field)))
                .then_some(())
        })
        .await;
    }

    /// The history of an instance that was given up names the reason, and so does the agent's log.
    async fn says_why(&self, instance: &str, code: &str) {
        let history = self.customer.get("/api/v1/activity").await.expect(200).json();
        let told = history["items"].as_array().into_iter().flatten().any(|event| {
            event["action"] == "instance.create_failed"
                && event["subject_id"] == instance
                && event["data"]["code"] == code
        });
        assert!(told, "{history}");
        let log = self.stack.log("agent.log");
        let id = uuid::Uuid::try_parse(instance.trim_start_matches("vm_")).expect("an id");
        let line = |line: &str| line.contains("failed") && line.contains(&id.to_string());
        assert!(log.lines().any(line), "{log}");
    }

    async fn get(&self, instance: &Instance) -> Value {
        self.customer.get(&format!("/api/v1/instances/{}", instance.id)).await.expect(200).json()
    }

    /// Everything on the host that could belong to a guest of this stack, as comparable lines.
    fn belongings(&self) -> BTreeSet<String> {
        let prefix = &self.stack.prefix;
        let mut lines = BTreeSet::new();
        for (program, arguments) in [
            ("ip", &["-o", "link", "show"][..]),
            ("ip", &["-4", "route", "show"]),
            ("ip", &["-6", "route", "show"]),
            ("tc", &["qdisc", "show"]),
        ] {
            lines.extend(
                printed(program, arguments)
                    .lines()
                    .filter(|line| line.contains(&format!("{prefix}-")))
                    .map(|line| format!("{program}: {line}")),
            );
        }
        for family in ["inet", "arp", "netdev", "ip"] {
            // Counters and handles differ from moment to moment and mean nothing here.
            let rules = printed("nft", &["list", "table", family, prefix]);
            lines.extend(
                rules.lines().filter(|line| !line.contains("counter packets")).map(|l| format!("nft: {l}")),
            );
        }
        for folder in ["volumes", "seeds", "consoles"] {
            let folder = self.stack.directory.path().join("agent").join(folder);
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                lines.insert(format!("file: {}", entry.path().display()));
            }
        }
        lines
    }
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("tests/run installs it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn domain_exists(instance: &Instance) -> bool {
    let digits = instance.id.trim_start_matches("vm_");
    let uuid = uuid::Uuid::try_parse(digits).expect("an instance id holds a UUID").to_string();
    printed("virsh", &["-c", "qemu:///system", "list", "--all", "--uuid"])
        .lines()
        .any(|line| line.trim() == uuid)
}

fn number(text: &str) -> f64 {
    text.trim().parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_from_click_to_deletion() {
    let lab = Lab::open("life@example.com").await;
    let before = lab.belongings();

    let instance = lab.create("life").await;
    assert!(domain_exists(&instance));
    let uname = lab.sees(&instance, "uname -a", LIVE_WITHIN, |printed| printed.starts_with("Linux")).await;
    println!("{uname}");
    assert_eq!(lab.sees(&instance, "hostname", LIVE_WITHIN, |_| true).await, "life");
    let shown = lab.get(&instance).await;
    assert_eq!(shown["drift"], json!([]), "what is in force is not what was bought: {shown}");
    assert_eq!(shown["applied_policy"]["network"]["inbound"]["average"], 50_000, "{shown}");

    // Bigger while it runs: the guest is the same one afterwards.
    let boot_id = lab.sees(&instance, "cat /proc/sys/kernel/random/boot_id", LIVE_WITHIN, |_| true).await;
    lab.act(&instance, "resize", json!({ "plan": "large", "grow_disk": true })).await;
    lab.sees(&instance, "nproc", LIVE_WITHIN, |printed| printed == "2").await;
    lab.sees(&instance, "awk '/MemTotal/ {print $2}' /proc/meminfo", LIVE_WITHIN, |kib| {
        number(kib) > 400_000.0
    })
    .await;
    lab.sees(&instance, "df -m / | awk 'END {print $2}'", LIVE_WITHIN, |mib| number(mib) > 900.0).await;
    let after = lab.sees(&instance, "cat /proc/sys/kernel/random/boot_id", LIVE_WITHIN, |_| true).await;
    assert_eq!(boot_id, after, "the guest was restarted");
    let shown = lab.get(&instance).await;
    assert_eq!((&shown["drift"], &shown["restart_required"]), (&json!([]), &json!([])), "{shown}");
    assert_eq!(shown["applied_policy"]["network"]["inbound"]["average"], 100_000, "{shown}");

    // What is on its disk survives a restart, and not a rebuild.
    lab.sees(&instance, "echo kept > /root/note && sync", LIVE_WITHIN, |_| true).await;
    lab.act(&instance, "reboot", json!({})).await;
    lab.sees(&instance, "cat /proc/sys/kernel/random/boot_id", BOOTS_WITHIN, |id| id != boot_id).await;
    assert_eq!(lab.sees(&instance, "cat /root/note", LIVE_WITHIN, |_| true).await, "kept");
    lab.act(&instance, "shutdown", json!({})).await;
    lab.stack.wait_for_state(&lab.customer, &instance.id, "stopped").await;
    assert!(guest::banner(&instance.address).await.is_none(), "a stopped guest answers");
    lab.act(&instance, "start", json!({})).await;
    lab.reach(&instance).await;
    assert_eq!(lab.sees(&instance, "cat /root/note", LIVE_WITHIN, |_| true).await, "kept");
    lab.act(&instance, "rebuild", json!({ "image": "test" })).await;
    lab.sees(&instance, "test ! -e /root/note && echo fresh", BOOTS_WITHIN, |printed| printed == "fresh")
        .await;

    // A guest that powers itself off is shown as stopped, and stays so.
    lab.sees(&instance, "(sleep 1; poweroff) >/dev/null 2>&1 & echo bye", LIVE_WITHIN, |_| true).await;
    lab.stack.wait_for_state(&lab.customer, &instance.id, "stopped").await;
    assert_eq!(lab.get(&instance).await["power"], "stopped");

    lab.stack.delete_now(&lab.customer, &instance.id).await;
    assert!(!domain_exists(&instance), "the domain was left behind");
    let after = lab.belongings();
    let leaked: Vec<&String> = after.difference(&before).collect();
    assert!(leaked.is_empty(), "left behind: {leaked:#?}");
    lab.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_guest_never_notices_what_dies_around_it() {
    let mut lab = Lab::open("steady@example.com").await;
    let instance = lab.create("steady").await;
    let boot_id = lab.sees(&instance, "cat /proc/sys/kernel/random/boot_id", LIVE_WITHIN, |_| true).await;

    lab.stack.kill_agent();
    lab.stack.kill_postgres();
    lab.stack.kill_server();
    // With all of them dead the guest works on.
    lab.sees(&instance, "true", LIVE_WITHIN, |_| true).await;
    lab.stack.start_server().await;
    lab.stack.start_agent();

    let start = Instant::now();
    let operation = lab.act(&instance, "resize", json!({ "plan": "large" })).await;
    assert_eq!(operation["restart_required"], json!([]), "{operation}");
    assert!(start.elapsed() < Duration::from_secs(30), "it took {:?} to converge", start.elapsed());
    lab.sees(&instance, "nproc", LIVE_WITHIN, |printed| printed == "2").await;
    let after = lab.sees(&instance, "cat /proc/sys/kernel/random/boot_id", LIVE_WITHIN, |_| true).await;
    assert_eq!(boot_id, after, "the guest was restarted");
    lab.stack.delete_now(&lab.customer, &instance.id).await;
    lab.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_comes_back() {
    let lab = Lab::open("drift@example.com").await;
    let instance = lab.create("drift").await;
    let prefix = &lab.stack.prefix;
    let tap = printed("ip", &["-o", "link", "show"])
        .lines()
        .filter_map(|line| line.split(": ").nth(1).map(str::to_owned))
        .find(|name| name.starts_with(&format!("{prefix}-t")))
        .expect("the guest has a tap");
    let limited = || printed("tc", &["qdisc", "show", "dev", &tap]).contains("tbf");
    let [up, down] = ["up", "down"].map(|way| format!("{prefix}-{way}"));
    // The class of the guest is the one that is not the whole.
    let class = |device: &str| {
        let classes = printed("tc", &["class", "show", "dev", device]);
        let line = classes.lines().find(|line| line.contains(" leaf "));
        line.map(|line| line.split(' ').nth(2).expect("a class has an id").to_owned())
    };
    assert!(limited(), "the tap has no limit to begin with");
    let before = [&up, &down].map(|device| class(device).expect("the guest has a class"));
    let shown = lab.get(&instance).await;
    assert_eq!(shown["drift"], json!([]), "{shown}");

    printed("tc", &["qdisc", "del", "dev", &tap, "root"]);
    printed("tc", &["class", "del", "dev", &up, "classid", &before[0]]);
    printed("tc", &["qdisc", "del", "dev", &down, "root"]);
    assert!(!limited() && class(&up).is_none() && class(&down).is_none());
    eventually("everything is back", LIVE_WITHIN, || async {
        (limited() && class(&up).is_some() && class(&down).is_some()).then_some(())
    })
    .await;
    assert_eq!(before, [&up, &down].map(|device| class(device).expect("it is back")));
    lab.recorded_repair(&instance, "network").await;
    let shown = lab.get(&instance).await;
    assert_eq!(shown["drift"], json!([]), "{shown}");
    lab.stack.delete_now(&lab.customer, &instance.id).await;
    assert!(class(&up).is_none() && class(&down).is_none(), "the class was left behind");
    lab.stack.stop().await;
}

/// Weights are those of the division among the guests that there are, where the kernel has them.
#[tokio::test(flavor = "multi_thread")]
async fn weights_follow_the_neighbours() {
    // One core for guests, so that two of them contend.
    let host = Host { guest_cpus: Some("0".into()), ..Host::default() };
    let lab = Lab::furnished("weights@example.com", Stack::start_on(Guests::Real, host).await).await;
    let policy = json!({ "cpu": { "vcpus": 1, "reservation": 600, "shares": "low" },
        "memory": { "size": 256 }, "disk": { "size": 512 }, "network": {} });
    lab.stack.add_plan("reserved", policy).await;
    let weight = |domain: &Domain| domain.weight().expect("the guest runs");
    let becomes = async |domain: &Domain, wanted: u64, within: Duration| {
        eventually(&format!("a weight of {wanted}, not {}", weight(domain)), within, || async {
            (weight(domain) == wanted).then_some(())
        })
        .await;
    };
    // Long enough for the document's way to the agent and its patience with further news.
    let soon = Duration::from_secs(3);

    let first = lab.create("first").await;
    let one = Domain::of(&first.id).expect("it runs");
    assert_eq!(weight(&one), 2000, "alone it may have the whole core");

    // 100 and 600 are guaranteed; of the other 300 one gets two parts and the other one.
    let second = lab.create_of("second", "reserved").await;
    let two = Domain::of(&second.id).expect("it runs");
    becomes(&one, 600, soon).await;
    assert_eq!(weight(&two), 1400);
    for instance in [&first, &second] {
        eventually("no drift", soon, || async {
            (lab.get(instance).await["drift"] == json!([])).then_some(())
        })
        .await;
    }

    // By hand, and back at the next check, which is due after 5 s at most.
    let id = second.id.trim_start_matches("vm_");
    let name = format!("jst-{}", uuid::Uuid::try_parse(id).expect("an instance id holds a UUID"));
    printed("virsh", &["-c", "qemu:///system", "schedinfo", &name, "--live", "--set", "cpu_shares=50"]);
    assert_eq!(weight(&two), 50);
    becomes(&two, 1400, Duration::from_secs(7)).await;
    lab.recorded_repair(&second, "cpu").await;

    // Both booted on one core, and one of them had to wait for the other.
    let usage = format!("/api/v1/instances/{}/usage", second.id);
    eventually("a figure of waiting", Duration::from_secs(15), || async {
        let usage = lab.customer.get(&usage).await.expect(200).json();
        (usage["cpu_steal_nanoseconds"].as_u64()? > 0).then_some(())
    })
    .await;

    lab.stack.delete_now(&lab.customer, &second.id).await;
    becomes(&one, 2000, soon).await;
    lab.stack.delete_now(&lab.customer, &first.id).await;
    lab.stack.stop().await;
}

/// The guest's own life does not hang on libvirtd, and no operation is lost with it.
#[tokio::test(flavor = "multi_thread")]
async fn libvirtd_dies_in_every_operation() {
    if std::env::var_os("JST_TEST_MAY_KILL_LIBVIRTD").is_none() {
        eprintln!("left out: libvirtd was not started by tests/run, so that it is not ours to kill");
        return;
    }
    let lab = Lab::open("daemon@example.com").await;
    let before = lab.belongings();
    let steady = lab.create("steady").await;
    let boot_id = lab.sees(&steady, "cat /proc/sys/kernel/random/boot_id", LIVE_WITHIN, |_| true).await;

    let body = json!({ "name": "struck", "plan": "small", "image": "test", "ssh_keys": [] });
    let created = lab.customer.post("/api/v1/instances", body).await.expect(202).json();
    let id = created["instance_id"].as_str().expect("an id");
    let path = format!("/api/v1/instances/{id}");
    lab.survives(&created, 300).await;
    for (moment, (action, body, state)) in [
        ("shutdown", json!({}), "stopped"),
        ("start", json!({}), "running"),
        ("reboot", json!({}), "running"),
        ("resize", json!({ "plan": "large" }), "running"),
        ("rebuild", json!({ "image": "test" }), "running"),
        ("power-off", json!({}), "stopped"),
    ]
    .into_iter()
    .enumerate()
    {
        let operation = lab.customer.post(&format!("{path}/actions/{action}"), body).await.expect(202).json();
        lab.survives(&operation, [0, 100, 400][moment % 3]).await;
        lab.stack.wait_for_state(&lab.customer, id, state).await;
    }
    let operation = lab.customer.delete(&format!("{path}?now=true")).await.expect(202).json();
    lab.survives(&operation, 50).await;

    let after = lab.sees(&steady, "cat /proc/sys/kernel/random/boot_id", LIVE_WITHIN, |_| true).await;
    assert_eq!(boot_id, after, "a running guest was restarted");
    lab.stack.delete_now(&lab.customer, &steady.id).await;
    let after = lab.belongings();
    let leaked: Vec<&String> = after.difference(&before).collect();
    assert!(leaked.is_empty(), "left behind: {leaked:#?}");
    lab.stack.stop().await;
}

/// A disk without a system, and an image whose file is lost: the customer learns why, and nothing stays
/// booked.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_is_explained_and_given_back() {
    let lab = Lab::open("blank@example.com").await;
    let before = lab.belongings();
    let host = format!("/api/v1/admin/hosts/{}", lab.stack.host_id);
    let free = lab.stack.admin().get(&host).await.expect(200).json();
    lab.stack.upload_image("blank", &lab.stack.blank_image(64)).await.expect(201);
    let lost = lab.stack.upload_image("lost", &lab.stack.blank_image(65)).await.expect(201).json();
    let file =
        lab.stack.directory.path().join("server/images").join(lost["sha256"].as_str().expect("a checksum"));
    std::fs::remove_file(file).expect("the server keeps images by their checksums");

    for (image, code) in [("blank", "guest_did_not_boot"), ("lost", "image_unavailable")] {
        let body = json!({ "name": image, "plan": "small", "image": image });
        let created = lab.customer.post("/api/v1/instances", body).await.expect(202).json();
        let operation = created["id"].as_str().expect("an id");
        let ended = lab.stack.wait_for_operation(&lab.customer, operation).await;
        assert_eq!((&ended["state"], &ended["failure_code"]), (&json!("failed"), &json!(code)), "{ended}");
        let instance = ended["instance_id"].as_str().expect("an id");
        lab.says_why(instance, code).await;
    }

    let after = lab.stack.admin().get(&host).await.expect(200).json();
    assert_eq!(free["booked"], after["booked"], "something stayed booked");
    eventually("everything is removed", Duration::from_secs(20), || async {
        lab.belongings().difference(&before).next().is_none().then_some(())
    })
    .await;
    lab.stack.stop().await;
}
