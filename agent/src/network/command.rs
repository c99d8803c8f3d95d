//! Programs of the host, run with argument vectors and a deadline.

use anyhow::{Context, bail};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Far above what any of these programs needs (tens of milliseconds), and low enough that a wedged
/// netlink lock becomes a reported failure instead of a silent agent.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `program` with `arguments`, writes `input` to it, and returns what it printed.
///
/// A non-zero status is an error that carries the end of what it said.
pub async fn run(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let doing = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(doing)?;
    let mut stdin = child.stdin.take().context("standard input was asked for")?;
    let exchange = async {
        // These programs read everything before they print, but a full pipe must not depend on it.
        let feed = async move {
            // A program that refuses early closes its input: its status and message tell more.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        output
    };
    let output = tokio::time::timeout(DEADLINE, exchange)
        .await
        .with_context(|| format!("{} did not end in {} s", doing(), DEADLINE.as_secs()))?
        .with_context(doing)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        let tail: String = said.chars().skip(said.chars().count().saturating_sub(600)).collect();
        bail!("{} failed ({}): {tail}", doing(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs several commands of `ip` in one process; the first failure ends the batch.
pub async fn ip_batch(lines: &[String]) -> anyhow::Result<()> {
    batch("ip", lines).await
}

/// Runs several commands of `tc` in one process; the first failure ends the batch.
pub async fn tc_batch(lines: &[String]) -> anyhow::Result<()> {
    batch("tc", lines).await
}

async fn batch(program: &str, lines: &[String]) -> anyhow::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let text = lines.join("\n") + "\n";
    run(program, &["-batch", "-"], &text).await.with_context(|| format!("in the batch\n{text}"))?;
    Ok(())
}

/// Runs `ip -j` and parses its answer.  No answer at all means an empty list.
pub async fn ip_json(arguments: &[&str]) -> anyhow::Result<Vec<serde_json::Value>> {
    json("ip", arguments).await
}

pub async fn tc_json(arguments: &[&str]) -> anyhow::Result<Vec<serde_json::Value>> {
    json("tc", arguments).await
}

async fn json(program: &str, arguments: &[&str]) -> anyhow::Result<Vec<serde_json::Value>> {
    let mut all = vec!["-j"];
    all.extend_from_slice(arguments);
    let text = run(program, &all, "").await?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&text).with_context(|| format!("{program} {} printed no list", all.join(" ")))
}
