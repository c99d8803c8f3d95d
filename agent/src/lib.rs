//! The agent of one KVM host: it converges the host's guests to the desired state that the server
//! tells, and reports what it observed.

mod block_device;
pub mod config;
mod console;
mod cores;
mod cpus;
mod division;
mod durable;
pub mod enroll;
mod facts;
pub mod hypervisor;
pub mod images;
mod lease;
mod ledger;
mod link;
mod memory;
mod merging;
pub mod network;
mod power;
mod reconcile;
mod reports;
pub mod seed;
mod tls;

use anyhow::Context as _;
use config::{Config, HypervisorKind};
use hypervisor::{Hypervisor, libvirt::Libvirt, sim::Sim};
use jst_policy::units::MiB;
use jst_protocol::report::{HostFacts, HostLoad};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Chooses the cryptography of the process.  Harmless when it was chosen already.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs the agent until `shutdown`.  Guests go on running after it.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let identity = enroll::Identity::load(&config.data_dir)?;
    let host_id = identity.host_id;
    let (ledger, damaged) = {
        let data_dir = config.data_dir.clone();
        tokio::task::spawn_blocking(move || ledger::Ledger::open(&data_dir)).await??
    };
    if damaged {
        tracing::warn!("a part of the ledger was damaged; the server will tell it again");
    }
    tracing::info!(host = %host_id, server = config.server, instances = ledger.ids().len(), "agent starts");
    let ledger = Arc::new(ledger);
    let lease = Arc::new(lease::Lease::default());
    let reports = Arc::new(reports::Reports::default());
    let link = link::Link::open(&config, identity)?;
    // Before anybody counts them.
    let processors = power::Processors::open(&config);
    let (event_sender, events) = mpsc::channel(1024);
    let hypervisor = match config.hypervisor {
        HypervisorKind::Sim => {
            let sim = Arc::new(Sim::open(&config).context("the simulation cannot be opened")?);
            sim.adopt(&ledger.host());
            spawn(&shutdown, sim.clone().act_as_guests(event_sender));
            Hypervisor::Sim(sim)
        }
        HypervisorKind::Libvirt => {
            let host = ledger.host();
            let opened = Libvirt::open(&config, host_id, &host, link.clone(), event_sender, reports.clone());
            Hypervisor::Libvirt(opened.await?)
        }
    };
    let (balance_sender, balance) = watch::channel(memory::Balance::default());
    let (merged_sender, merged) = watch::channel(MiB::ZERO);
    let memory = memory::Manager {
        hypervisor: hypervisor.clone(),
        ledger: ledger.clone(),
        period: config::Timing::of(config.timing.memory.max(1)),
        news: Arc::default(),
        guest_memory: config.guest_memory_mib.map(MiB),
        merged: merged.clone(),
        balance: balance_sender,
    };
    let memory_news = memory.news.clone();
    let power_period = config::Timing::of(config.timing.power.max(1));
    let merger = merging::Merger::new(&config, reports.clone());
    merger.adopt(&ledger.host());
    let context = reconcile::Context::new(
        config,
        hypervisor.clone(),
        ledger.clone(),
        lease.clone(),
        reports.clone(),
        merger.clone(),
        processors.clone(),
    );
    let (accepted_sender, accepted) = mpsc::channel(16);
    let (console_sender, requests) = mpsc::channel(64);
    let consoles = console::Consoles::new(link.clone(), hypervisor.clone(), shutdown.clone());
    spawn(&shutdown, consoles.run(requests));
    let told = link::Told { accepted: accepted_sender, consoles: console_sender };
    spawn(&shutdown, link.clone().follow(ledger.clone(), lease.clone(), told));
    spawn(&shutdown, link.clone().report(ledger.clone(), lease.clone(), reports.clone()));
    spawn(&shutdown, link.clone().keep_certificate());
    let keep_merging =
        merging::keep(merger.clone(), hypervisor.clone(), ledger.clone(), memory.period, merged_sender);
    spawn(&shutdown, keep_merging);
    spawn(&shutdown, memory.keep());
    let (draw_sender, draw) = watch::channel(power::Draw::default());
    spawn(&shutdown, power::keep(processors.clone(), ledger.clone(), power_period, draw_sender));
    let watched = Watched { ledger, merger, processors: processors.clone(), balance, merged, draw };
    spawn(&shutdown, watch_host(hypervisor, reports, link, watched));
    spawn(&shutdown, tell_supervisor(lease));
    reconcile::Reconciler::new(context, memory_news, shutdown).run(accepted, events).await;
    processors.stop();
    tracing::info!("agent stops; guests go on");
    Ok(())
}

fn spawn(shutdown: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(work));
}

/// What is reported about the host beyond what its hypervisor says.
struct Watched {
    ledger: Arc<ledger::Ledger>,
    merger: Arc<merging::Merger>,
    processors: Arc<power::Processors>,
    balance: watch::Receiver<memory::Balance>,
    merged: watch::Receiver<MiB>,
    draw: watch::Receiver<power::Draw>,
}

impl Watched {
    fn facts(&self, mut facts: HostFacts) -> HostFacts {
        self.merger.add_to(&mut facts, self.ledger.host().page_merging);
        self.processors.add_to(&mut facts);
        facts
    }

    fn load(&self, load: HostLoad) -> HostLoad {
        let load = self.draw.borrow().add_to(self.balance.borrow().add_to(load));
        HostLoad { memory_merged_mib: self.merged.borrow().get(), ..load }
    }
}

/// Keeps what is reported about the host itself up to date.
async fn watch_host(
    hypervisor: Hypervisor,
    reports: Arc<reports::Reports>,
    link: Arc<link::Link>,
    watched: Watched,
) {
    let mut qualification = hypervisor.qualification();
    loop {
        qualification.mark_unchanged();
        match hypervisor.facts().await {
            Ok(facts) => reports.set_facts(watched.facts(facts)),
            Err(error) => tracing::warn!(error = link::chain(&error), "the host's facts cannot be read"),
        }
        // Load is for charts and placement; facts change with hardware and qualification.
        for _ in 0..6 {
            match hypervisor.load().await {
                Ok(load) => drop(link.load.send_replace(Some(watched.load(load)))),
                Err(error) => tracing::debug!(error = link::chain(&error), "the host's load cannot be read"),
            }
            // A host that has just been qualified is waited for.
            if let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(5), qualification.changed()).await {
                break;
            }
        }
    }
}

/// The service manager calls the agent started once the server has accepted it.
async fn tell_supervisor(lease: Arc<lease::Lease>) {
    lease.changed(false).await;
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
}
