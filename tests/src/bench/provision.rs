//! From the API call to the SSH banner, ours beside a bare script; from commit to the agent; and what
//! server and agent take of memory.

use super::bounds;
use super::report::{Report, quantile};
use crate::stack::{Guests, Stack};
use crate::{Api, eventually, guest};
use anyhow::Context;
use std::path::Path;
use std::time::{Duration, Instant};

const PAIRS: usize = 10;
const RECEIPTS: usize = 100;
const SIMULATED: usize = 50;

pub async fn run() -> anyhow::Result<Report> {
    let mut report = Report::default();
    memory(&mut report).await?;
    receipt(&mut report).await?;
    boot(&mut report).await?;
    Ok(report)
}

async fn boot(report: &mut Report) -> anyhow::Result<()> {
    let image = guest::micro_image();
    let stack = Stack::start(Guests::Real).await;
    stack.furnish(Some(&image)).await;
    let customer = stack.customer("bench@example.com").await;
    stack.let_buy("bench@example.com").await;
    let key = guest::Key::generate(stack.directory.path());
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    // The first guest on a host fetches the image; that is not what is compared.
    let warm = platform_guest(&stack, &customer, &key).await?;
    println!("first guest, with its image to fetch: {warm:.2} s");
    for pair in 1..=PAIRS {
        ours.push(platform_guest(&stack, &customer, &key).await?);
        bare.push(guest::bare(&stack.prefix, &image, &key, stack.directory.path()).await?);
        println!("pair {pair}: platform {:.2} s, script {:.2} s", ours[pair - 1], bare[pair - 1]);
    }
    report.compare(
        "API call to SSH banner, median",
        quantile(&mut ours, 0.5),
        quantile(&mut bare, 0.5),
        "s",
        Some(bounds::PROVISION_RATIO),
    );
    report.compare(
        "API call to SSH banner, slowest",
        quantile(&mut ours, 1.0),
        quantile(&mut bare, 1.0),
        "s",
        None,
    );
    stack.stop().await;
    Ok(())
}

/// Creates one instance, waits for its SSH banner, deletes it, and gives the seconds to the banner.
async fn platform_guest(stack: &Stack, customer: &Api, key: &guest::Key) -> anyhow::Result<f64> {
    let start = Instant::now();
    let instance = stack.create_instance(customer, "bench", "small", &[&key.public]).await;
    let address = instance.address.clone();
    eventually("an SSH banner", Duration::from_secs(60), || guest::banner(&address)).await;
    let seconds = start.elapsed().as_secs_f64();
    stack.delete_now(customer, &instance.id).await;
    Ok(seconds)
}

/// From the commit of a change to its arrival at an agent that waits for it.
async fn receipt(report: &mut Report) -> anyhow::Result<()> {
    let mut stack = Stack::start(Guests::Simulated).await;
    // The agent's place is taken by this program, with the agent's own identity.
    stack.kill_agent();
    let identity = jst_agent::enroll::Identity::load(&stack.directory.path().join("agent"))?;
    let client = identity.client()?;
    let pool = stack.database().await?;
    let desired = |after: i64| {
        let request = client.get(format!("{}/agent/v1/desired?after={after}", stack.agent_url())).send();
        async move {
            let document: jst_protocol::desired::Desired = request.await?.error_for_status()?.json().await?;
            anyhow::Ok((document.revision, Instant::now()))
        }
    };
    let (mut revision, _) = desired(0).await?;
    let mut samples = Vec::new();
    for _ in 0..RECEIPTS {
        let waiting = tokio::spawn(desired(revision));
        // The request must be waiting before the change: long enough for its way to the server.
        tokio::time::sleep(Duration::from_millis(60)).await;
        sqlx::query("UPDATE hosts SET revision = revision + 1").execute(&pool).await?;
        let committed = Instant::now();
        let (new, received) = waiting.await.context("the waiting task")??;
        anyhow::ensure!(new > revision, "the answer came without the change");
        revision = new;
        samples.push(received.saturating_duration_since(committed).as_secs_f64() * 1000.0);
    }
    report.add(
        "commit to receipt by the agent, p50",
        quantile(&mut samples, 0.5),
        "ms",
        Some(bounds::RECEIPT_P50_MS),
    );
    report.add("commit to receipt by the agent, p99", quantile(&mut samples, 0.99), "ms", None);
    pool.close().await;
    stack.stop().await;
    Ok(())
}

async fn memory(report: &mut Report) -> anyhow::Result<()> {
    let stack = Stack::start(Guests::Simulated).await;
    stack.furnish(None).await;
    let measure = |report: &mut Report, when: &str| -> anyhow::Result<()> {
        let (server, agent) = stack.processes();
        report.add(
            format!("resident memory of the server, {when}"),
            resident(server)?,
            "MiB",
            Some(bounds::SERVER_MIB),
        );
        report.add(
            format!("resident memory of the agent, {when}"),
            resident(agent)?,
            "MiB",
            Some(bounds::AGENT_MIB),
        );
        Ok(())
    };
    measure(report, "idle")?;
    let customer = stack.customer("many@example.com").await;
    stack.let_buy("many@example.com").await;
    let mut instances = Vec::new();
    for number in 0..SIMULATED {
        instances.push(stack.create_instance(&customer, &format!("vm-{number}"), "small", &[]).await);
    }
    for instance in &instances {
        stack.wait_for_state(&customer, &instance.id, "running").await;
    }
    measure(report, "50 instances")?;
    stack.stop().await;
    Ok(())
}

/// Resident memory of a process, in MiB.
fn resident(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line =
        status.lines().find(|line| line.starts_with("VmRSS:")).context("a process has resident memory")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a figure")?.parse()?;
    Ok(kib / 1024.0)
}
