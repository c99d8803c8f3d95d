//! A server of the agent's wire, with a private CA and mutual TLS, that tests steer: what is
//! desired, whether it answers, and what was reported.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use jst_agent::config::{Config, HypervisorKind};
use jst_protocol::desired::*;
use jst_protocol::enroll::{EnrollRequest, EnrollResponse, JoinToken};
use jst_protocol::report::*;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub struct Server {
    pub host_id: Uuid,
    pub address: String,
    pub token: JoinToken,
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    state: Mutex<Known>,
    changed: Notify,
    reported: Notify,
}

#[derive(Default)]
struct Known {
    revision: i64,
    instances: BTreeMap<Uuid, (i64, DesiredInstance)>,
    reports: HashMap<Uuid, InstanceReport>,
    history: HashMap<Uuid, Vec<InstanceReport>>,
    told: Vec<(Uuid, Observed)>,
    facts: Option<HostFacts>,
    load: Option<HostLoad>,
    images: HashMap<String, PathBuf>,
    host: HostSettings,
    consoles: Vec<ConsoleRequest>,
    away: bool,
}

impl Server {
    pub async fn start() -> Arc<Self> {
        jst_agent::install_crypto();
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let (ca_pem, ca_der) = (ca.pem(), ca.der().clone());
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, ca_key).unwrap();

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["jst-server".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &issuer).unwrap();

        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca_der.clone()).unwrap();
        let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let tls = rustls::ServerConfig::builder()
            .with_client_cert_verifier(clients)
            .with_single_cert(
                vec![leaf.der().clone(), ca_der.clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            host_id: Uuid::now_v7(),
            address: format!("https://{}", listener.local_addr().unwrap()),
            token: JoinToken {
                secret: "ab".repeat(32),
                ca_fingerprint: hex::encode(Sha256::digest(&ca_der)),
            },
            issuer,
            ca_pem,
            state: Mutex::default(),
            changed: Notify::new(),
            reported: Notify::new(),
        });
        let router = Router::new()
            .route("/agent/v1/enroll", post(enroll))
            .route("/agent/v1/desired", get(desired))
            .route("/agent/v1/reports", post(reports))
            .route("/agent/v1/images/{sha256}", get(image))
            .with_state(server.clone());
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper_util::service::TowerToHyperService::new(router);
                    let io = hyper_util::rt::TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
        server
    }

    pub fn set(&self, instance: DesiredInstance) {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        let revision = state.revision;
        state.instances.insert(instance.id, (revision, instance));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Changes an instance and its generation.
    pub fn change(&self, id: Uuid, change: impl FnOnce(&mut DesiredInstance)) -> i64 {
        let mut instance = self.state.lock().unwrap().instances[&id].1.clone();
        instance.generation += 1;
        change(&mut instance);
        let generation = instance.generation;
        self.set(instance);
        generation
    }

    pub fn change_spec(&self, id: Uuid, change: impl FnOnce(&mut InstanceSpec)) -> i64 {
        self.change(id, |instance| match &mut instance.presence {
            Presence::Present { spec, .. } | Presence::Retained { spec } => change(spec),
            Presence::Deleted => panic!("deleted"),
        })
    }

    /// Changes the settings of the whole host.
    pub fn change_host(&self, change: impl FnOnce(&mut HostSettings)) {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        change(&mut state.host);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Somebody waits for a console.
    pub fn ask_for_console(&self, request: ConsoleRequest) {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        state.consoles.push(request);
        drop(state);
        self.changed.notify_waiters();
    }

    pub fn ids(&self) -> Vec<Uuid> {
        self.state.lock().unwrap().instances.keys().copied().collect()
    }

    pub fn serve_image(&self, sha256: &str, path: PathBuf) {
        self.state.lock().unwrap().images.insert(sha256.to_owned(), path);
    }

    /// While away, every request fails.
    pub fn set_away(&self, away: bool) {
        self.state.lock().unwrap().away = away;
        self.changed.notify_waiters();
    }

    pub fn report(&self, id: Uuid) -> Option<InstanceReport> {
        self.state.lock().unwrap().reports.get(&id).cloned()
    }

    pub fn history(&self, id: Uuid) -> Vec<InstanceReport> {
        self.state.lock().unwrap().history.get(&id).cloned().unwrap_or_default()
    }

    /// What was observed of all instances, in the order in which it was reported.
    pub fn told(&self) -> Vec<(Uuid, Observed)> {
        self.state.lock().unwrap().told.clone()
    }

    pub fn facts(&self) -> Option<HostFacts> {
        self.state.lock().unwrap().facts.clone()
    }

    pub fn load(&self) -> Option<HostLoad> {
        self.state.lock().unwrap().load
    }

    /// Waits for a report that satisfies `test`; fails with the last ones after `seconds`.
    pub async fn until(
        &self,
        id: Uuid,
        seconds: u64,
        test: impl Fn(&InstanceReport) -> bool,
    ) -> InstanceReport {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let news = self.reported.notified();
            if let Some(report) = self.report(id)
                && test(&report)
            {
                return report;
            }
            if Instant::now() >= deadline {
                let history = self.history(id);
                let told = history.iter().rev().take(12).rev();
                let told: Vec<_> = told.map(|r| (r.generation, r.observed, &r.outcome)).collect();
                panic!("no such report within {seconds} s; the last: {told:#?}");
            }
            let _ = tokio::time::timeout(Duration::from_millis(200), news).await;
        }
    }

    pub async fn until_applied(&self, id: Uuid, generation: i64, seconds: u64) -> InstanceReport {
        self.until(id, seconds, |r| r.generation >= generation && r.outcome == Outcome::Applied).await
    }
}

async fn enroll(
    State(server): State<Arc<Server>>,
    Json(request): Json<EnrollRequest>,
) -> Result<Json<EnrollResponse>, StatusCode> {
    if request.secret.as_ref() != Some(&server.token.secret) {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut csr = rcgen::CertificateSigningRequestParams::from_pem(&request.csr_pem).unwrap();
    csr.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = csr.signed_by(&server.issuer).unwrap();
    Ok(Json(EnrollResponse {
        host_id: server.host_id,
        certificate_pem: certificate.pem(),
        ca_pem: server.ca_pem.clone(),
    }))
}

#[derive(serde::Deserialize)]
struct After {
    after: i64,
}

async fn desired(
    State(server): State<Arc<Server>>,
    Query(After { after }): Query<After>,
) -> Result<Json<Desired>, StatusCode> {
    let deadline = Instant::now() + Duration::from_secs(jst_protocol::HOLD_SECONDS);
    loop {
        let changed = server.changed.notified();
        {
            let state = server.state.lock().unwrap();
            if state.away {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            if after == 0 || state.revision > after || Instant::now() >= deadline {
                let newer = state.instances.values().filter(|(revision, _)| *revision > after);
                return Ok(Json(Desired {
                    host_id: server.host_id,
                    revision: state.revision,
                    complete: after == 0,
                    instances: newer.map(|(_, instance)| instance.clone()).collect(),
                    host: state.host.clone(),
                    consoles: state.consoles.clone(),
                }));
            }
        }
        let _ = tokio::time::timeout(Duration::from_secs(1), changed).await;
    }
}

async fn reports(
    State(server): State<Arc<Server>>,
    Json(report): Json<Report>,
) -> Result<Json<Receipt>, StatusCode> {
    let mut state = server.state.lock().unwrap();
    if state.away {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    state.facts = report.host.or(state.facts.take());
    state.load = report.load.or(state.load);
    for instance in report.instances {
        state.told.push((instance.id, instance.observed));
        state.history.entry(instance.id).or_default().push(instance.clone());
        state.reports.insert(instance.id, instance);
    }
    drop(state);
    server.reported.notify_waiters();
    Ok(Json(Receipt {
        lease_seconds: jst_protocol::LEASE_SECONDS,
        refused: Vec::new(),
        facts_refused: false,
    }))
}

async fn image(State(server): State<Arc<Server>>, Path(sha256): Path<String>) -> axum::response::Response {
    let path = server.state.lock().unwrap().images.get(&sha256).cloned();
    match path {
        Some(path) => std::fs::read(path).unwrap().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An agent in this process, and its directory, which goes with it.
pub struct Agent {
    pub config: Config,
    shutdown: CancellationToken,
    task: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

impl Agent {
    pub async fn enrolled(server: &Server, kind: HypervisorKind, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            data_dir: std::env::temp_dir().join(format!("jst-agent-test-{}", Uuid::new_v4().simple())),
            server: server.address.clone(),
            hypervisor: kind,
            ..Config::default()
        };
        config.timing.heartbeat = 1;
        config.timing.check = 5;
        config.timing.usage = 1;
        adjust(&mut config);
        jst_agent::enroll::enroll(&config, &server.token).await.unwrap();
        let mut agent = Self { config, shutdown: CancellationToken::new(), task: None };
        agent.start();
        agent
    }

    pub fn start(&mut self) {
        self.shutdown = CancellationToken::new();
        self.task = Some(tokio::spawn(jst_agent::run(self.config.clone(), self.shutdown.clone())));
    }

    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(task) = self.task.take() {
            task.await.unwrap().unwrap();
        }
    }
}

impl Agent {
    /// Stops it where nothing can be awaited, in a test that fails; its other threads go on meanwhile.
    pub fn end(&mut self) {
        self.shutdown.cancel();
        let patience = std::time::Instant::now() + Duration::from_secs(10);
        while self.task.as_ref().is_some_and(|task| !task.is_finished())
            && std::time::Instant::now() < patience
        {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.cancel();
        let _ = std::fs::remove_dir_all(&self.config.data_dir);
    }
}
