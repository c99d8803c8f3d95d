//! A thousand random changes of policy on six real guests while the agent is killed again and again: in the end
//! everything that is in force, read with the bare tools, is what the database says.

use super::report::Report;
use crate::customer::{Instance, text};
use crate::in_force::{InForce, Rates};
use crate::stack::{Guests, Stack};
use crate::{Api, guest};
use anyhow::ensure;
use jst_policy::instance::{NetworkLimits, ResourcePolicy};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const GUESTS: usize = 6;
const CHANGES: usize = 1000;
const KILLS: usize = 20;
const SIZE: u64 = 256;

pub async fn run() -> anyhow::Result<Report> {
    println!("this takes about two minutes");
    let mut stack = Stack::start(Guests::Real).await;
    stack.furnish(Some(&guest::micro_image())).await;
    let settings = json!({ "overcommit_cpu_permille": 20_000 });
    stack.admin().patch(&format!("/api/v1/admin/hosts/{}", stack.host_id), settings).await.expect(200);
    let customer = stack.customer("chaos@example.com").await;
    stack.let_buy("chaos@example.com").await;
    let key = guest::Key::generate(stack.directory.path());
    // One after another: emulated guests take each other's time to boot.
    let (mut instances, mut boots) = (Vec::new(), Vec::new());
    for number in 0..GUESTS {
        let name = format!("chaos-{number}");
        let instance = stack.create_instance(&customer, &name, "small", &[&key.public]).await;
        boots.push(boot(&stack, &customer, &key, &instance).await);
        instances.push(instance);
    }

    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let (mut accepted, mut refused, mut last) = (0, 0, vec![None; GUESTS]);
    let begun = Instant::now();
    for number in 1..=CHANGES {
        let which = dice.below(GUESTS as u64) as usize;
        let instance = &instances[which];
        let path = format!("/api/v1/admin/instances/{}/policy", instance.id);
        let policy = random(&mut dice);
        let answer = stack.admin().put(&path, json!({ "policy": policy })).await;
        match answer.status {
            202 => {
                accepted += 1;
                last[which] = Some((policy, text(&answer.json()["operation_id"]).to_owned()));
            }
            // More was asked for than the host has to guarantee.
            409 => refused += 1,
            _ => anyhow::bail!("{}: {}", answer.status, answer.body),
        }
        if number % (CHANGES / KILLS) == 0 {
            stack.kill_agent();
            stack.start_agent();
        }
    }
    let asked = begun.elapsed().as_secs_f64();
    println!("{accepted} accepted, {refused} refused in {asked:.0} s");
    let settled = Instant::now();
    for (policy, operation) in last.iter().flatten() {
        let ended = stack.wait_for_operation(&customer, operation).await;
        ensure!(ended["state"] == "succeeded", "{policy}: {ended}");
    }
    let settled = settled.elapsed().as_secs_f64();
    let mut different = 0;
    for ((instance, boot_before), last) in instances.iter().zip(&boots).zip(&last) {
        let wanted = wanted(&stack.admin(), instance).await;
        if let Some((policy, _)) = last {
            let last: ResourcePolicy = serde_json::from_value(policy.clone())?;
            ensure!(wanted == last, "the database has another policy than was accepted last");
        }
        let found = InForce::of(&stack.prefix, instance)?;
        let differences = eventually_none(&found, &wanted).await?;
        for difference in &differences {
            println!("{}: {difference}", instance.id);
        }
        different += differences.len();
        ensure!(boot(&stack, &customer, &key, instance).await == *boot_before, "a guest was restarted");
    }
    let mut report = Report::default();
    report.add("changes accepted", accepted as f64, "", None);
    report.add("changes refused for want of room", refused as f64, "", None);
    report.add("agent killed", KILLS as f64, "", None);
    report.add("from the last change until all is reported", settled, "s", Some(30.0));
    report.add("limits that differ in the end", different as f64, "", Some(0.0));
    stack.stop().await;
    Ok(report)
}

async fn boot(stack: &Stack, customer: &Api, key: &guest::Key, instance: &Instance) -> String {
    let command = "cat /proc/sys/kernel/random/boot_id";
    stack.reach(customer, instance, key, command, Duration::from_secs(180)).await
}

async fn wanted(admin: &Api, instance: &Instance) -> ResourcePolicy {
    let shown = admin.get(&format!("/api/v1/admin/instances/{}", instance.id)).await.expect(200).json();
    assert_eq!((&shown["drift"], &shown["restart_required"]), (&json!([]), &json!([])), "{shown}");
    serde_json::from_value(shown["policy"].clone()).expect("a policy")
}

/// What differs; a balloon moves in its own time, and gets it.
async fn eventually_none(found: &InForce, wanted: &ResourcePolicy) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let differences = differences(found, wanted)?;
        if differences.is_empty() || Instant::now() > deadline {
            return Ok(differences);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What is not in force as it is wanted.
fn differences(found: &InForce, wanted: &ResourcePolicy) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, found: String, wanted: String| {
        if found != wanted {
            differences.push(format!("{what} is {found}, and should be {wanted}"));
        }
    };
    let quota = wanted.cpu.limit.map(|limit| limit.get() * 100);
    compare("the CPU limit", format!("{:?}", found.groups.quota()?), format!("{quota:?}"));
    let network = &wanted.network;
    compare("the rate in", format!("{:?}", found.inbound()?), format!("{:?}", rates(&network.inbound)));
    compare("the rate out", format!("{:?}", found.outbound()?), format!("{:?}", rates(&network.outbound)));
    let left = found.balloon()?;
    let limit = wanted.memory.limit.unwrap_or(wanted.memory.size).get();
    if left > limit {
        compare("the balloon", left.to_string(), format!("at most {limit}"));
    }
    let disk = found.disk()?;
    let read = wanted.disk.read.operations.map_or(0, |limit| limit.average.get());
    let write = wanted.disk.write.throughput.map_or(0, |limit| limit.average.get());
    let of = |name: &str| disk.get(name).copied().unwrap_or(0).to_string();
    compare("operations of reading", of("read_iops_sec"), read.to_string());
    compare("throughput of writing", of("write_bytes_sec"), write.to_string());
    Ok(differences)
}

fn rates(limits: &NetworkLimits) -> Option<Rates> {
    let average = limits.average?.get();
    Some(Rates { average, peak: limits.peak.map(|peak| peak.get()).filter(|peak| *peak > average) })
}

/// A policy that differs from the plan in what can change while the guest runs.
fn random(dice: &mut Dice) -> Value {
    let shares = ["low", "normal", "high"];
    let mut way = || {
        let average = 1000 * (1 + dice.below(100));
        let mut limits = json!({ "average": average, "reservation": dice.below(average), "shares": shares[dice.below(3) as usize] });
        if dice.below(2) == 0 {
            limits["peak"] = json!(average * (2 + dice.below(3)));
        }
        limits
    };
    let network = json!({ "inbound": way(), "outbound": way() });
    let cpu_limit = 100 * (1 + dice.below(10));
    json!({
        "cpu": { "vcpus": 1, "reservation": dice.below(cpu_limit), "limit": cpu_limit, "shares": shares[dice.below(3) as usize] },
        "memory": { "size": SIZE, "reservation": 64 + dice.below(64), "limit": 160 + dice.below(SIZE - 160), "shares": shares[dice.below(3) as usize] },
        "disk": { "size": 512,
            "read": { "operations": { "average": 100 + dice.below(10_000) } },
            "write": { "throughput": { "average": 1_048_576 * (1 + dice.below(200)) } } },
        "network": network
    })
}

/// Numbers that are as good as random, and the same for the same seed (Steele, Lea and Flood: SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
