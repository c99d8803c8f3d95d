//! The agent of one KVM host: it converges the host's guests to the desired state that the server
//! tells, and reports what it observed.

mod block_device;
pub mod config;
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
pub mod network;
mod reconcile;
mod reports;
pub mod seed;
mod tls;

use anyhow::Context as _;
use config::{Config, HypervisorKind};
use hypervisor::{Hypervisor, libvirt::Libvirt, sim::Sim};
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
    let (event_sender, events) = mpsc::channel(1024);
    let hypervisor = match config.hypervisor {
        HypervisorKind::Sim => {
            let sim = Arc::new(Sim::open(&config).context("the simulation cannot be opened")?);
            spawn(&shutdown, sim.clone().act_as_guests(event_sender));
            Hypervisor::Sim(sim)
        }
        HypervisorKind::Libvirt => {
            let host = ledger.host();
            let opened = Libvirt::open(&config, host_id, &host, link.clone(), event_sender);
            Hypervisor::Libvirt(opened.await?)
        }
    };
    let memory_period = config::Timing::of(config.timing.memory.max(1));
    let context =
        reconcile::Context::new(config, hypervisor.clone(), ledger.clone(), lease.clone(), reports.clone());
    let (accepted_sender, accepted) = mpsc::channel(16);
    spawn(&shutdown, link.clone().follow(ledger.clone(), lease.clone(), accepted_sender));
    spawn(&shutdown, link.clone().report(ledger.clone(), lease.clone(), reports.clone()));
    spawn(&shutdown, link.clone().keep_certificate());
    let (balance_sender, balance) = watch::channel(memory::Balance::default());
    spawn(&shutdown, memory::keep(hypervisor.clone(), ledger.clone(), memory_period, balance_sender));
    spawn(&shutdown, watch_host(hypervisor, reports, link, balance));
    spawn(&shutdown, tell_supervisor(lease));
    reconcile::Reconciler::new(context, shutdown).run(accepted, events).await;
    tracing::info!("agent stops; guests go on");
    Ok(())
}

fn spawn(shutdown: &CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(work));
}

/// Keeps what is reported about the host itself up to date.
async fn watch_host(
    hypervisor: Hypervisor,
    reports: Arc<reports::Reports>,
    link: Arc<link::Link>,
    balance: watch::Receiver<memory::Balance>,
) {
    let mut qualification = hypervisor.qualification();
    loop {
        qualification.mark_unchanged();
        match hypervisor.facts().await {
            Ok(facts) => reports.set_facts(facts),
            Err(error) => tracing::warn!(error = link::chain(&error), "the host's facts cannot be read"),
        }
        // Load is for charts and placement; facts change with hardware and qualification.
        for _ in 0..6 {
            match hypervisor.load().await {
                Ok(load) => drop(link.load.send_replace(Some(balance.borrow().add_to(load)))),
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
