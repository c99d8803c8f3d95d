use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use jst_agent::config::{Config, HypervisorKind};
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Agent of one KVM host of Jinshitong VPS.
#[derive(Parser)]
#[command(name = "jst-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Converge this host's guests to what the server tells.
    Run(Settings),
    /// Join this host to a server with a join token from its hosts page.
    Enroll {
        #[command(flatten)]
        settings: Settings,
        /// The join token, `jst-join.…`.
        #[arg(long, env = "JST_JOIN_TOKEN", hide_env_values = true)]
        token: String,
    },
}

/// A configuration file, and flags that override it.
#[derive(Args)]
struct Settings {
    #[arg(long, env = "JST_AGENT_CONFIG")]
    config: Option<PathBuf>,
    #[arg(long, env = "JST_AGENT_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// `https://HOST:PORT` of the server's agent port.
    #[arg(long, env = "JST_AGENT_SERVER")]
    server: Option<String>,
    #[arg(long, env = "JST_AGENT_HYPERVISOR")]
    hypervisor: Option<HypervisorKind>,
    /// At most four characters at the start of every network device's name.
    #[arg(long, env = "JST_AGENT_NETWORK_PREFIX")]
    network_prefix: Option<String>,
}

impl Settings {
    fn load(self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        if let Some(data_dir) = self.data_dir {
            config.data_dir = data_dir;
        }
        if let Some(server) = self.server {
            config.server = server;
        }
        if let Some(hypervisor) = self.hypervisor {
            config.hypervisor = hypervisor;
        }
        if let Some(prefix) = self.network_prefix {
            config.network.prefix = prefix;
        }
        Ok(config)
    }
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    jst_agent::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match Cli::parse().command {
        Command::Run(settings) => {
            let config = settings.load()?;
            runtime.block_on(async {
                let shutdown = CancellationToken::new();
                tokio::spawn(stop_on_signal(shutdown.clone()));
                jst_agent::run(config, shutdown).await
            })
        }
        Command::Enroll { settings, token } => {
            let config = settings.load()?;
            let token = token.parse().context("the join token cannot be read")?;
            let identity = runtime.block_on(jst_agent::enroll::enroll(&config, &token))?;
            println!("This host has joined as {}.", identity.host_id);
            Ok(())
        }
    }
}

async fn stop_on_signal(shutdown: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
}
