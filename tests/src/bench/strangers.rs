//! What one address costs others that sends each anonymous call as fast as it is answered: the time in which a known
//! person signs in, the server's memory, and rows of tables.  Then connections that say nothing.

use super::bounds;
use super::report::{Report, quantile};
use crate::platform::PASSWORD;
use crate::stack::{Guests, Host, Stack};
use anyhow::{Context, ensure};
use futures::future::join_all;
use reqwest::{Client, Method, redirect};
use sqlx::PgPool;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const EMAIL: &str = "known@example.com";
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const FLOOD: Duration = Duration::from_secs(10);
/// Connections of the flood, each with one request under way.
const WORKERS: usize = 256;
/// Sign-ins before each flood, with which those during it are compared.
const QUIET: usize = 12;
const HALF_OPEN: usize = 2000;
/// So many addresses hold them, because one alone would not get so many.
const HALF_OPEN_ADDRESSES: u8 = 25;

/// A call and its form or body; `#` stands for a number that is another one each time.
struct Call(Method, &'static str, &'static str);

fn calls(portal: &str, agents: &str) -> Vec<(String, Call)> {
    let post = |path, form| Call(Method::POST, path, form);
    let get = |path| Call(Method::GET, path, "");
    let portal_calls = [
        get("/"),
        get("/plans"),
        get("/help?q=firewall"),
        get("/status"),
        get("/readyz"),
        get("/sign-in"),
        get("/no/such/page"),
        get("/api/no/such/call"),
        get("/api/v1/account"),
        get("/billing/v1/plans"),
        get("/sso?token=#"),
        get("/invitation?token=#"),
        post("/sign-in", "email=nobody-#%40example.com&password=wrong+password"),
        post("/sign-in", "email=known%40example.com&password=wrong+password"),
        post("/sign-in/code", "ticket=00&code=000000"),
        post("/sign-in/passkey/question", ""),
        post("/sign-in/passkey", "sealed=00&answer=%7B%7D"),
        post("/sign-up", "email=new-#%40example.com&password=another+good+phrase"),
        post("/verify", "token=#"),
        post("/verify/resend", "email=nobody-#%40example.com"),
        post("/forgot", "email=known%40example.com"),
        post("/reset", "token=#&password=another+good+phrase"),
        post("/change-email", "token=#"),
        post("/payments/stripe/notify", "{}"),
    ];
    let enrol = post(
        "/agent/v1/enroll",
        "{\"secret\":\"#\",\"csr_pem\":\"\",\"hostname\":\"\",\"agent_version\":\"\"}",
    );
    let all = portal_calls.into_iter().map(|call| (portal.to_owned(), call));
    all.chain([(agents.to_owned(), enrol)]).collect()
}

pub async fn run() -> anyhow::Result<Report> {
    jst_server::web::listener::raise_file_limit();
    let stack = Stack::start_limited(Guests::Simulated, Host::default(), &[]).await;
    stack.furnish(None).await;
    stack.customer(EMAIL).await;
    let database = stack.database().await?;
    let known = Known::new(&stack.url).await?;
    let (server, _) = stack.processes();
    let mut report = Report::default();
    let (memory, rows) = (memory_mib(server, "VmRSS")?, rows(&database).await?);
    for (url, call) in calls(&stack.url, stack.agent_url()) {
        let mut quiet = known.sign_ins(QUIET).await?;
        let flood = Flood::start(url, call);
        let name = flood.name.clone();
        let mut during = known.sign_ins_for(FLOOD).await?;
        let (sent, refused) = flood.stop().await;
        let (quiet, during) = (quantile(&mut quiet, 0.5), quantile(&mut during, 0.5));
        let metric = format!("sign-in beside {name}, {sent} sent, {refused} refused");
        report.compare(metric, during, quiet, "ms", Some(bounds::STRANGERS_SIGN_IN_RATIO));
    }
    half_open(&stack, &known, &mut report).await?;
    // What was hashed and asked has been forgotten a moment later.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let growth = memory_mib(server, "VmRSS")? - memory;
    report.add("memory of the server, more than before", growth, "MiB", Some(bounds::STRANGERS_GROWTH_MIB));
    let peak = memory_mib(server, "VmHWM")?;
    report.add("memory of the server, at most", peak, "MiB", Some(bounds::STRANGERS_PEAK_MIB));
    let more = self::rows(&database).await? - rows;
    report.add("rows in all tables, more than before", more as f64, "rows", Some(bounds::STRANGERS_ROWS));
    stack.stop().await;
    Ok(report)
}

/// Somebody who has signed in before, with the same browser.
struct Known {
    http: Client,
    url: String,
}

impl Known {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let http = client().cookie_store(true).build()?;
        let known = Self { http, url: url.to_owned() };
        known.sign_in().await?;
        Ok(known)
    }

    /// Milliseconds.
    async fn sign_in(&self) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let form = [("email", EMAIL), ("password", PASSWORD)];
        let answer = self.http.post(format!("{}/sign-in", self.url)).form(&form).send().await?;
        let time = begun.elapsed();
        ensure!(answer.status() == 303, "a known person was not let in: {}", answer.status());
        Ok(time.as_secs_f64() * 1000.0)
    }

    async fn sign_ins(&self, count: usize) -> anyhow::Result<Vec<f64>> {
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(self.sign_in().await?);
        }
        Ok(times)
    }

    async fn sign_ins_for(&self, time: Duration) -> anyhow::Result<Vec<f64>> {
        let begun = Instant::now();
        let mut times = Vec::new();
        while begun.elapsed() < time {
            times.push(self.sign_in().await?);
        }
        Ok(times)
    }
}

fn client() -> reqwest::ClientBuilder {
    Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(Duration::from_secs(30))
}

/// One call, as fast as it is answered, from one address.
struct Flood {
    name: String,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    workers: JoinSet<()>,
}

impl Flood {
    fn start(url: String, Call(method, path, body): Call) -> Self {
        let mut flood = Self {
            name: format!("{method} {}", path.split('?').next().unwrap_or(path)),
            stop: Arc::default(),
            sent: Arc::default(),
            refused: Arc::default(),
            workers: JoinSet::new(),
        };
        // The agents' authority is nobody's to a stranger.
        let http = client().local_address(STRANGER).tls_danger_accept_invalid_certs(true).build();
        let http = http.expect("a client");
        for _ in 0..WORKERS {
            let (stop, sent, refused) = (flood.stop.clone(), flood.sent.clone(), flood.refused.clone());
            let (http, url, method) = (http.clone(), url.clone(), method.clone());
            let json = body.starts_with('{');
            flood.workers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed).to_string();
                    let mut request =
                        http.request(method.clone(), format!("{url}{}", path.replace('#', &number)));
                    if method == Method::POST {
                        let kind =
                            if json { "application/json" } else { "application/x-www-form-urlencoded" };
                        request = request.header("content-type", kind).body(body.replace('#', &number));
                    }
                    match request.send().await {
                        Ok(answer) if answer.status() != 429 => drop(answer.bytes().await),
                        _ => drop(refused.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            });
        }
        flood
    }

    /// Requests that were sent, and those that were refused, with an answer or without.
    async fn stop(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.workers.shutdown().await;
        (self.sent.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

/// Connections on both listeners that say nothing, while a known person signs in and the host goes on reporting.
async fn half_open(stack: &Stack, known: &Known, report: &mut Report) -> anyhow::Result<()> {
    let mut quiet = known.sign_ins(3 * QUIET).await?;
    let address = |url: &str| -> anyhow::Result<SocketAddr> {
        Ok(url.split("://").nth(1).context("an address")?.parse()?)
    };
    let mut open = Vec::new();
    for listener in [address(&stack.url)?, address(stack.agent_url())?] {
        let connections = (0..HALF_OPEN).map(|number| silent(listener, number));
        open.extend(join_all(connections).await.into_iter().flatten());
    }
    let mut during = known.sign_ins(3 * QUIET).await?;
    let (quiet, during) = (quantile(&mut quiet, 0.5), quantile(&mut during, 0.5));
    report.add("half-open connections, of 4,000 asked for", open.len() as f64, "", None);
    let bound = Some(bounds::STRANGERS_HALF_OPEN_RATIO);
    report.compare("sign-in beside half-open connections", during, quiet, "ms", bound);
    // A new connection, of somebody who has none yet.
    let begun = Instant::now();
    let answer = client().build()?.get(format!("{}/healthz", stack.url)).send().await?;
    ensure!(answer.status() == 200, "the portal takes no new connection: {}", answer.status());
    report.add("a new connection beside them", begun.elapsed().as_secs_f64() * 1000.0, "ms", Some(100.0));
    let hosts = stack.admin().get("/api/v1/admin/hosts").await.expect(200).json();
    let online = hosts["items"][0]["online"] == true;
    report.add("hosts that were lost", f64::from(u8::from(!online)), "", Some(0.0));
    drop(open);
    Ok(())
}

async fn silent(listener: SocketAddr, number: usize) -> Option<TcpStream> {
    let last = 10 + (number % usize::from(HALF_OPEN_ADDRESSES)) as u8;
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).ok()?;
    socket.connect(listener).await.ok()
}

fn memory_mib(process: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")).context("kB")?.trim().parse()?;
    Ok(kib / 1024.0)
}

/// Of all tables that strangers write to.
async fn rows(database: &PgPool) -> anyhow::Result<i64> {
    const COUNT: &str = "SELECT (SELECT count(*) FROM attempt_limits) + (SELECT count(*) FROM users) \
        + (SELECT count(*) FROM tenants) + (SELECT count(*) FROM mail_outbox) + (SELECT count(*) FROM email_tokens) \
        + (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM payment_events) \
        + (SELECT count(*) FROM events WHERE action <> 'session.created') + (SELECT count(*) FROM user_devices)";
    Ok(sqlx::query_scalar(COUNT).fetch_one(database).await?)
}
