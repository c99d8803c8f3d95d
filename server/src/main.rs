use anyhow::Context;
use clap::Parser;
use jst_server::config::{Command, Config};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    // One list for everything let customers into the operator's networks: nobody shall rely on it unawares.
    anyhow::ensure!(
        std::env::var_os("JST_OUTBOUND_ALLOW").is_none(),
        "JST_OUTBOUND_ALLOW has been replaced: list networks in JST_IMPORT_ALLOW, JST_WEBHOOK_ALLOW or JST_PAYMENT_ALLOW"
    );
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,sqlx=warn".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if config.log_format == "json" {
        log.json().init()
    } else {
        log.init()
    }
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("another TLS provider is installed already"))?;

    match config.command.clone().unwrap_or(Command::Run) {
        Command::CreateAdmin { email } => {
            let (app, _postgres) = jst_server::server::open(config).await?;
            let mut password = String::new();
            std::io::stdin().read_line(&mut password).context("the password is read from standard input")?;
            let token = jst_server::accounts::create_admin(&app, &email, password.trim_end()).await?;
            println!("{token}");
            app.db.close().await;
            Ok(())
        }
        Command::Mails { to, limit } => {
            let (app, _postgres) = jst_server::server::open(config).await?;
            print!("{}", jst_server::accounts::mails(&app, to.as_deref(), limit).await?);
            app.db.close().await;
            Ok(())
        }
        Command::Run => {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let server = jst_server::server::start(config).await?;
            tracing::info!(portal = %server.address, agents = %server.agent_address, "ready");
            // Under systemd this ends the start; elsewhere nobody listens, which is no error.
            let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            server.shut_down().await;
            Ok(())
        }
    }
}
