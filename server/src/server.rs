//! Puts the parts together and runs them until told to stop.

use crate::ca::Ca;
use crate::config::Config;
use crate::consoles::web::meeting::Meeting;
use crate::db::Db;
use crate::embedded_postgres::EmbeddedPostgres;
use crate::events::notices::Notices;
use crate::secrets::Sealer;
use crate::state::App;
use crate::web::listener::{self, Gate};
use anyhow::Context;
use sqlx::postgres::PgConnectOptions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A server that listens; the addresses are the real ones when port 0 was asked for.
pub struct Running {
    pub app: App,
    pub address: SocketAddr,
    pub agent_address: SocketAddr,
    pub metrics_address: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: TaskTracker,
    postgres: Option<Arc<EmbeddedPostgres>>,
}

/// From a connection's beginning, or the end of one answer, to the head of the next request.
const REQUEST_HEAD: Duration = Duration::from_secs(20);
/// Longer than reverse proxies keep a connection for the next request, so that they close it and not we.
const PROXY_KEEPS_ALIVE: Duration = Duration::from_secs(120);

/// Seconds that requests under way get at shutdown.
const SHUTDOWN_SECONDS: u64 = 10;

/// Opens keys and database, without serving anything yet.
pub async fn open(config: Config) -> anyhow::Result<(App, Option<EmbeddedPostgres>)> {
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make the data directory {}", config.data_dir.display()))?;
    // A path handed to Postgres must mean the same from any working directory.
    let config = Config { data_dir: config.data_dir.canonicalize()?, ..config };
    let (postgres, options) = match &config.database_url {
        Some(url) => {
            (None, url.parse::<PgConnectOptions>().context("DATABASE_URL is not a Postgres address")?)
        }
        None => {
            let (postgres, options) = EmbeddedPostgres::start(&config.data_dir).await?;
            (Some(postgres), options)
        }
    };
    Db::migrate(options.clone()).await.context("cannot bring the database schema up to date")?;
    let app = App {
        db: Db::connect_lazily(options, config.database_connections),
        sealer: Arc::new(Sealer::open(&config.data_dir.join("sealing.key"))?),
        ca: Arc::new(Ca::open(&config.data_dir.join("ca"))?),
        notices: Notices::default(),
        consoles: Meeting::default(),
        funding: Arc::new(crate::billing::orders::Accounts),
        payments_told: Arc::default(),
        config: Arc::new(config),
    };
    Ok((app, postgres))
}

/// Starts everything: both listeners and the workers.
pub async fn start(config: Config) -> anyhow::Result<Running> {
    let (app, postgres) = open(config).await?;
    start_with(app, postgres).await
}

/// Starts a server upon an open database.
pub async fn start_with(app: App, postgres: Option<EmbeddedPostgres>) -> anyhow::Result<Running> {
    crate::metrics::install();
    let listener = TcpListener::bind(app.config.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is another server running?", app.config.listen))?;
    let agents = TcpListener::bind(app.config.agent_listen)
        .await
        .with_context(|| format!("cannot listen for agents on {}", app.config.agent_listen))?;
    let metrics = match app.config.metrics_listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen for a monitoring system on {address}"))?,
        ),
        None => None,
    };
    let (address, agent_address) = (listener.local_addr()?, agents.local_addr()?);
    let metrics_address = metrics.as_ref().map(TcpListener::local_addr).transpose()?;
    let descriptors = listener::raise_file_limit();
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();

    let postgres = postgres.map(Arc::new);
    if let Some(postgres) = &postgres {
        tasks.spawn(postgres.clone().watch(stop.clone()));
    }
    tasks.spawn(app.notices.clone().listen(app.db.listening().clone(), stop.clone()));
    crate::worker::spawn(&app, &tasks, &stop);
    tasks.spawn(crate::agent_api::serve(app.clone(), agents, descriptors, stop.clone()));
    // Behind proxies every connection is one of theirs; they limit those of their clients.
    let direct = app.config.trusted_proxies == 0;
    let each = direct.then_some(app.config.connections_per_network);
    let head = if direct { REQUEST_HEAD } else { PROXY_KEEPS_ALIVE };
    tasks.spawn(portal(
        listener,
        crate::router::router(app.clone()),
        Gate::new(descriptors, each),
        head,
        stop.clone(),
    ));
    if let Some(metrics) = metrics {
        let gate = Gate::new(descriptors, None);
        tasks.spawn(portal(
            metrics,
            crate::metrics::web::router(app.clone()),
            gate,
            REQUEST_HEAD,
            stop.clone(),
        ));
    }
    tasks.close();
    Ok(Running { app, address, agent_address, metrics_address, stop, tasks, postgres })
}

async fn portal(
    listener: TcpListener,
    router: axum::Router,
    gate: Gate,
    head: Duration,
    stop: CancellationToken,
) {
    listener::run(listener, gate, stop.clone(), move |stream, peer, place| {
        let (router, stop) = (router.clone(), stop.clone());
        async move {
            let note = move |extensions: &mut axum::http::Extensions| {
                extensions.insert(axum::extract::ConnectInfo(peer));
            };
            listener::serve(stream, peer, router, note, head, stop).await;
            drop(place);
        }
    })
    .await;
}

impl Running {
    /// Stops taking requests, lets those under way finish, and ends.
    pub async fn shut_down(self) {
        self.stop.cancel();
        let limit = Duration::from_secs(SHUTDOWN_SECONDS);
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("some requests did not finish in {SHUTDOWN_SECONDS} s and were cut off");
        }
        // Closing waits for connections that are still in use; a stuck one must not keep us.
        if tokio::time::timeout(limit, self.app.db.close()).await.is_err() {
            tracing::warn!("a database connection was still in use and was cut off");
        }
        if let Some(postgres) = self.postgres
            && let Err(error) = postgres.stop().await
        {
            tracing::error!(error = format!("{error:#}"), "the private Postgres did not stop");
        }
    }
}
