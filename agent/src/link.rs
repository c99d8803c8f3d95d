//! The agent's side of the wire: one request held open for what is desired, and reports the other way.
//!
//! Both loops go on for ever with a growing pause, because a server that is away must never be the
//! reason that a host needs a person.

use crate::config::{Config, Timing};
use crate::enroll::{self, Identity};
use crate::lease::Lease;
use crate::ledger::{Accepted, Ledger};
use crate::reports::{Batch, Reports};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jst_protocol::desired::{ConsoleRequest, Desired, ImageRef};
use jst_protocol::report::{HostLoad, Observed, Outcome, Receipt, RefusalReason, Report};
use jst_protocol::{HOLD_SECONDS, PREFIX};
use rand::Rng as _;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};

pub struct Link {
    config: Config,
    session: RwLock<Session>,
    resynchronise: Notify,
    pub load: watch::Sender<Option<HostLoad>>,
}

/// Where the parts of a document go.
pub struct Told {
    /// What the ledger took, and whether it was everything.
    pub accepted: mpsc::Sender<(Accepted, bool)>,
    pub consoles: mpsc::Sender<ConsoleRequest>,
}

#[derive(Clone)]
struct Session {
    identity: Identity,
    client: reqwest::Client,
}

impl Link {
    pub fn open(config: &Config, identity: Identity) -> anyhow::Result<Arc<Self>> {
        let client = identity.client()?;
        Ok(Arc::new(Self {
            config: config.clone(),
            session: RwLock::new(Session { identity, client }),
            resynchronise: Notify::new(),
            load: watch::Sender::new(None),
        }))
    }

    /// Asks for what is desired, for ever.  The first question of a process is for everything.
    pub async fn follow(self: Arc<Self>, ledger: Arc<Ledger>, lease: Arc<Lease>, told: Told) {
        let mut after = 0;
        let mut pause = Pause::default();
        loop {
            let asked = tokio::select! {
                answer = self.desired(after) => answer,
                () = self.resynchronise.notified() => {
                    after = 0;
                    continue;
                }
            };
            let mut document = match asked {
                Ok(document) => document,
                Err(error) => {
                    pause.wait("desired state", &error).await;
                    continue;
                }
            };
            pause.reset();
            for request in document.consoles.drain(..) {
                // Nobody's patience outlasts a full queue.
                let _ = told.consoles.try_send(request);
            }
            let (revision, complete) = (document.revision, document.complete);
            let taken = {
                let ledger = ledger.clone();
                tokio::task::spawn_blocking(move || ledger.accept(&document)).await
            };
            match taken.context("the ledger panicked").and_then(|taken| taken) {
                Ok(changes) => {
                    after = revision;
                    lease.synchronise();
                    if told.accepted.send((changes, complete)).await.is_err() {
                        return;
                    }
                }
                // Nothing is acted upon that is not in the ledger; the same document comes again.
                Err(error) => pause.wait("ledger", &error).await,
            }
        }
    }

    async fn desired(&self, after: i64) -> anyhow::Result<Desired> {
        let Session { identity, client } = self.session();
        let response = client
            .get(self.url(&format!("desired?after={after}")))
            .timeout(Duration::from_secs(HOLD_SECONDS + 10))
            .send()
            .await?;
        let document: Desired = answered(response).await?.json().await?;
        if document.host_id != identity.host_id {
            bail!("the server answered with the desired state of another host");
        }
        Ok(document)
    }

    /// Sends reports, for ever: at once when there is news, and at every heartbeat.
    pub async fn report(self: Arc<Self>, ledger: Arc<Ledger>, lease: Arc<Lease>, reports: Arc<Reports>) {
        let heartbeat = Timing::of(self.config.timing.heartbeat.max(1));
        let mut pause = Pause::default();
        let mut more = false;
        loop {
            if !more {
                let _ = tokio::time::timeout(heartbeat, reports.news()).await;
                // What happens together travels together.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let batch = reports.take();
            more = batch.more;
            let sent = Instant::now();
            match self.send(ledger.revision(), &batch).await {
                Ok(receipt) => {
                    pause.reset();
                    more |= reports.stored(&batch, &receipt);
                    for refused in
                        receipt.refused.iter().filter(|refused| refused.reason != RefusalReason::Later)
                    {
                        let instance = refused.instance;
                        tracing::warn!(%instance, "the server could not take this report; it is sent again later");
                    }
                    if lease.renew(sent, Duration::from_secs(receipt.lease_seconds)) {
                        tracing::warn!("the lease had lapsed; reading the whole desired state again");
                        reports.resend();
                        self.resynchronise.notify_one();
                    }
                    bury_acknowledged(&ledger, &reports, batch).await;
                }
                Err(error) => {
                    reports.put_back(&batch);
                    more = false;
                    pause.wait("report", &error).await;
                }
            }
        }
    }

    async fn send(&self, revision: i64, batch: &Batch) -> anyhow::Result<Receipt> {
        let report = Report {
            revision,
            host: batch.facts.clone(),
            load: *self.load.borrow(),
            instances: batch.instances.clone(),
            repairs: batch.repairs.clone(),
        };
        let response = self
            .session()
            .client
            .post(self.url("reports"))
            .timeout(Duration::from_secs(10))
            .json(&report)
            .send()
            .await?;
        Ok(answered(response).await?.json().await?)
    }

    /// The bytes of an image, as the server sends them.
    pub async fn image(&self, image: &ImageRef) -> Result<reqwest::Response, ImageAnswer> {
        let response = self
            .session()
            .client
            .get(self.url(&format!("images/{}", image.sha256)))
            .send()
            .await
            .map_err(|error| ImageAnswer::Unreachable(chain(&error.into())))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status if status.is_client_error() => Err(ImageAnswer::Refused(status.to_string())),
            status => Err(ImageAnswer::Unreachable(status.to_string())),
        }
    }

    /// Opens the WebSocket at which somebody waits for a console.  Whoever answers shows a certificate of our
    /// authority, also at the address that the request names.
    pub async fn dial(&self, request: &ConsoleRequest) -> anyhow::Result<reqwest::Upgraded> {
        let server = request.server.as_deref().unwrap_or(&self.config.server).trim_end_matches('/');
        let response = self
            .session()
            .client
            .get(format!("{server}{PREFIX}/consoles/{}", request.id))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", STANDARD.encode(rand::random::<[u8; 16]>()))
            .send()
            .await?;
        if response.status() != reqwest::StatusCode::SWITCHING_PROTOCOLS {
            answered(response).await?;
            bail!("the server did not open a WebSocket");
        }
        Ok(response.upgrade().await?)
    }

    /// Renews the certificate in its last third.  Hourly is often enough for lives of days.
    pub async fn keep_certificate(self: Arc<Self>) {
        loop {
            let identity = self.session().identity;
            match identity.renewal_due() {
                Ok(true) => match self.renew(&identity).await {
                    Ok(()) => tracing::info!("the certificate was renewed"),
                    Err(error) => tracing::warn!(error = chain(&error), "the certificate was not renewed"),
                },
                Ok(false) => {}
                Err(error) => tracing::error!(error = chain(&error), "the certificate cannot be read"),
            }
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
    }

    async fn renew(&self, identity: &Identity) -> anyhow::Result<()> {
        let identity = enroll::renew(&self.config, identity).await?;
        let client = identity.client()?;
        let mut session = self.session.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        *session = Session { identity, client };
        Ok(())
    }

    fn session(&self) -> Session {
        self.session.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{PREFIX}/{path}", self.config.server.trim_end_matches('/'))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImageAnswer {
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the server has no such image: {0}")]
    Refused(String),
}

async fn answered(response: reqwest::Response) -> anyhow::Result<reqwest::Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    bail!("{status}: {}", text.chars().take(300).collect::<String>())
}

/// A stored report of an instance's end is the acknowledgement that lets the ledger forget it.
async fn bury_acknowledged(ledger: &Arc<Ledger>, reports: &Reports, batch: Batch) {
    for report in batch.instances {
        let gone = report.observed == Observed::Absent && report.outcome == Outcome::Applied;
        if gone && reports.is_told(report.id) {
            let ledger = ledger.clone();
            let buried = tokio::task::spawn_blocking(move || ledger.bury(report.id, report.epoch)).await;
            match buried.map_err(anyhow::Error::from).and_then(|buried| buried) {
                Ok(true) => reports.forget(report.id),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(instance = %report.id, error = chain(&error), "the ledger was not changed")
                }
            }
        }
    }
}

/// An error with its causes, for the log.
pub fn chain(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// A pause that doubles from 0.2 to 5 seconds.  The jitter keeps a thousand agents that lost the
/// same server from coming back in the same instant.
#[derive(Default)]
struct Pause {
    failures: u32,
}

impl Pause {
    async fn wait(&mut self, what: &str, error: &anyhow::Error) {
        if self.failures.is_power_of_two() || self.failures == 0 {
            tracing::warn!(failures = self.failures + 1, error = chain(error), "{what}: will be tried again");
        }
        let ceiling = Duration::from_millis(200 << self.failures.min(5)).min(Duration::from_secs(5));
        self.failures = self.failures.saturating_add(1);
        let factor = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(ceiling.mul_f64(factor)).await;
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}
