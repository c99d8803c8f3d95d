//! How fast the dashboard is: with 100 instances at a steady rate, and beside a bare handler with one query.

use super::bounds;
use super::load::{self, Target};
use super::report::{Report, quantile};
use crate::platform::PASSWORD;
use crate::stack::{Guests, Stack, programs};
use anyhow::Context;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const EMAIL: &str = "many@example.com";
const INSTANCES: usize = 100;
const PER_SECOND: u32 = 200;
/// More than a browser opens, few enough that requests wait in the server and not for each other.
const CONNECTIONS: u32 = 16;
const STEADY: Duration = Duration::from_secs(20);
const ROUNDS: usize = 4;
const FLOOD: Duration = Duration::from_secs(5);

pub async fn run() -> anyhow::Result<Report> {
    let stack = Stack::start(Guests::Simulated).await;
    stack.furnish(None).await;
    let customer = stack.customer(EMAIL).await;
    stack.let_buy(EMAIL).await;
    let mut instances = Vec::new();
    for number in 0..INSTANCES {
        instances.push(stack.create_instance(&customer, &format!("vm-{number}"), "small", &[]).await);
    }
    for instance in &instances {
        stack.wait_for_state(&customer, &instance.id, "running").await;
    }
    let authority = stack.url.trim_start_matches("http://").to_owned();
    let cookie = stack.session_cookie(EMAIL).await;
    let dashboard = Target { authority, path: String::from("/dashboard"), cookie, gzip: true };
    let list = Target { path: String::from("/instances"), ..dashboard.clone() };
    let plain = Target { gzip: false, ..dashboard.clone() };
    let bare = Bare::start(&stack.database_url()).await?;

    let mut report = Report::default();
    // Caches, connections and plans of statements are there in ordinary work.
    for target in [&dashboard, &list, &bare.target] {
        load::flood(target, Duration::from_secs(2), CONNECTIONS).await?;
    }
    for (name, target, bound) in [
        ("dashboard", &dashboard, Some(bounds::PAGE_P99_MS)),
        ("list of instances", &list, None),
        ("bare handler", &bare.target, None),
    ] {
        let mut samples = load::steady(target, PER_SECOND, STEADY, CONNECTIONS).await?;
        report.add(format!("{name} at {PER_SECOND}/s, p50"), quantile(&mut samples, 0.5), "ms", None);
        report.add(format!("{name} at {PER_SECOND}/s, p99"), quantile(&mut samples, 0.99), "ms", bound);
    }
    let (mut ours, mut packed, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(load::flood(&plain, FLOOD, CONNECTIONS).await?);
        theirs.push(load::flood(&bare.target, FLOOD, CONNECTIONS).await?);
        packed.push(load::flood(&dashboard, FLOOD, CONNECTIONS).await?);
    }
    let theirs = quantile(&mut theirs, 0.5);
    // The bound is of time for a page, which is one over the pages a second.
    report.compare(
        "dashboard, time a page at full load",
        1000.0 / quantile(&mut ours, 0.5),
        1000.0 / theirs,
        "ms",
        Some(bounds::PAGE_TIME_RATIO),
    );
    report.compare(
        "dashboard, the same and compressed",
        1000.0 / quantile(&mut packed, 0.5),
        1000.0 / theirs,
        "ms",
        None,
    );
    report.add("dashboard, compressed", load::page_bytes(&dashboard).await? as f64 / 1024.0, "KiB", None);
    drop(bare);
    stack.stop().await;
    Ok(report)
}

/// The peer: axum, one query over the same rows, and a page of them, in a process of its own.
struct Bare {
    child: Child,
    target: Target,
}

impl Bare {
    async fn start(database: &str) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let authority = format!("127.0.0.1:{port}");
        let child = Command::new(programs().join("jst-bench"))
            .args(["bare-page", database, &authority])
            .stdin(Stdio::null())
            .spawn()?;
        let target =
            Target { authority, path: String::from("/"), cookie: String::from("none=0"), gzip: false };
        let bare = Self { child, target };
        crate::eventually("the bare handler answers", Duration::from_secs(20), || async {
            load::page_bytes(&bare.target).await.ok()
        })
        .await;
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the peer: `jst-bench bare-page DATABASE ADDRESS`.
pub async fn serve_bare(arguments: &[String]) -> anyhow::Result<()> {
    let [database, address] = arguments else {
        anyhow::bail!("bare-page takes a database and an address");
    };
    let pool = PgPoolOptions::new().max_connections(10).connect(database).await?;
    let router = axum::Router::new().route("/", get(bare_page)).with_state(pool);
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, router).await.context("the bare handler stopped")
}

async fn bare_page(State(pool): State<PgPool>) -> Html<String> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT name, state FROM instances ORDER BY id DESC LIMIT 100")
            .fetch_all(&pool)
            .await
            .unwrap_or_default();
    let items: String = rows.iter().map(|(name, state)| format!("<li>{name}: {state}</li>")).collect();
    Html(format!("<!doctype html><title>Instances</title><ul>{items}</ul>"))
}

impl Stack {
    /// The session of somebody who has signed in, as a `Cookie` header.
    async fn session_cookie(&self, email: &str) -> String {
        let answer =
            self.client().post("/sign-in", &[("email", email), ("password", PASSWORD)]).await.expect(303);
        let cookies = answer.headers.get_all("set-cookie");
        cookies
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
            .collect::<Vec<_>>()
            .join("; ")
    }
}
