//! A private Postgres for those who bring none: a cluster in the data directory, reached through a
//! Unix socket there, with no TCP port.
//!
//! It outlives a crash of the server: the next start finds it running and goes on with it.

use anyhow::{Context, bail};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

const DATABASE: &str = "jinshitong";
/// Postgres is asked to start or stop within this time.
const PATIENCE_SECONDS: u64 = 60;
const PATIENCE: &str = "60";

pub struct EmbeddedPostgres {
    programs: PathBuf,
    directory: PathBuf,
}

impl EmbeddedPostgres {
    /// Starts the cluster, making it first where there is none.
    pub async fn start(data_dir: &Path) -> anyhow::Result<(Self, PgConnectOptions)> {
        let postgres = Self { programs: programs()?, directory: data_dir.join("postgres") };
        let cluster = postgres.cluster();
        std::fs::create_dir_all(&postgres.directory)?;
        if running_as_root() {
            hand_to_postgres(&postgres.directory)?;
        }
        if !cluster.join("PG_VERSION").exists() {
            // An initialisation that was cut off leaves a directory that initdb refuses.
            if cluster.exists() {
                std::fs::remove_dir_all(&cluster)?;
            }
            tracing::info!(directory = %cluster.display(), "making a private Postgres cluster");
            let new = postgres.directory.join("cluster.new");
            if new.exists() {
                std::fs::remove_dir_all(&new)?;
            }
            postgres
                .run(
                    "initdb",
                    &[
                        "-D",
                        text(&new)?,
                        "-U",
                        "postgres",
                        "-A",
                        "peer",
                        "--encoding=UTF8",
                        "--locale=C.UTF-8",
                    ],
                )
                .await?;
            // Peer authentication with one map: the cluster's owner and root are its superuser.
            std::fs::write(new.join("pg_hba.conf"), "local all all peer map=jst\n")?;
            std::fs::write(
                new.join("pg_ident.conf"),
                format!("jst root postgres\njst postgres postgres\njst {} postgres\n", user_name()),
            )?;
            std::fs::rename(&new, &cluster)?;
        }
        postgres.start_patiently().await?;
        let base = PgConnectOptions::new_without_pgpass()
            .socket(&postgres.directory)
            .username("postgres")
            .password("");
        let options = base.clone().database(DATABASE);
        postgres.ensure_database(base.database("postgres")).await?;
        Ok((postgres, options))
    }

    /// Starts the cluster, again and again for a while: after a crash of everything its last processes
    /// may still hold its memory.
    async fn start_patiently(&self) -> anyhow::Result<()> {
        let mut attempts = 20;
        loop {
            attempts -= 1;
            match self.ensure_running().await {
                Err(error) if attempts > 0 => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the private Postgres did not start; trying again"
                    );
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                result => return result,
            }
        }
    }

    /// Starts the cluster unless it runs.
    async fn ensure_running(&self) -> anyhow::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let cluster = self.cluster();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_permissions=0700 -c max_connections=200 \
             -c unix_socket_directories='{}'",
            text(&self.directory)?
        );
        let log = self.directory.join("postgres.log");
        let arguments =
            ["-D", text(&cluster)?, "-l", text(&log)?, "-w", "-t", PATIENCE, "-o", &options, "start"];
        self.run("pg_ctl", &arguments)
            .await
            .with_context(|| format!("the private Postgres did not start; see {}", log.display()))
    }

    /// Starts the cluster again whenever it died, until told to stop.  What it had committed is still
    /// there; the pools connect anew by themselves.
    pub async fn watch(self: std::sync::Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
            if !self.is_running() {
                tracing::error!("the private Postgres died; starting it again");
                // Its last processes may still be dying; the next round tries again.
                if let Err(error) = self.ensure_running().await {
                    tracing::error!(error = format!("{error:#}"), "the private Postgres did not start");
                }
            }
        }
    }

    async fn ensure_database(&self, options: PgConnectOptions) -> anyhow::Result<()> {
        let mut connection = options.connect().await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            sqlx::query("CREATE DATABASE jinshitong").execute(&mut connection).await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// Stops the cluster after a clean shutdown of the server.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let cluster = self.cluster();
        self.run("pg_ctl", &["-D", text(&cluster)?, "-m", "fast", "-w", "-t", PATIENCE, "stop"]).await
    }

    fn cluster(&self) -> PathBuf {
        self.directory.join("cluster")
    }

    /// Whether the process that the cluster's lock file names is alive and a postmaster.
    fn is_running(&self) -> bool {
        let lock = std::fs::read_to_string(self.cluster().join("postmaster.pid")).unwrap_or_default();
        let Some(pid) = lock.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else {
            return false;
        };
        let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // A dead child of ours is still listed until it is waited for, as a zombie without memory.
        let alive = std::fs::metadata(format!("/proc/{pid}/exe")).is_ok();
        program.trim() == "postgres" && alive
    }

    /// Runs one of Postgres's programs; as the user `postgres` when we are root, whom they refuse.
    async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir("/").stdin(std::process::Stdio::null());
        if running_as_root() {
            let (uid, gid) = postgres_user()?;
            command.uid(uid).gid(gid);
        }
        // A server process that pg_ctl leaves behind keeps pipes open, so that output goes to a file.
        let output = tempfile::tempfile()?;
        command.stdout(output.try_clone()?).stderr(output.try_clone()?);
        let status = tokio::time::timeout(Duration::from_secs(PATIENCE_SECONDS + 10), command.status())
            .await
            .with_context(|| format!("{program} did not end in time"))??;
        if !status.success() {
            let mut output = output;
            let mut said = String::new();
            use std::io::{Read, Seek};
            output.rewind()?;
            output.read_to_string(&mut said).ok();
            bail!("{program} failed: {}", said.trim());
        }
        Ok(())
    }
}

fn running_as_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn user_name() -> String {
    std::env::var("USER").unwrap_or_else(|_| "postgres".to_owned())
}

/// The newest Postgres that Debian's packages put on this machine.
fn programs() -> anyhow::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|programs| programs.join("initdb").exists())
        .collect();
    versions.sort_by_key(|path| {
        path.parent()
            .and_then(|p| p.file_name())
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
            .unwrap_or(0)
    });
    versions.pop().context(
        "no Postgres on this machine: install the package postgresql, or give the address of yours as DATABASE_URL",
    )
}

/// User and group of the account `postgres`, which its package made.
fn postgres_user() -> anyhow::Result<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let fields: Vec<&str> = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == "postgres")
        .context("there is no account postgres; install the package postgresql")?;
    Ok((fields[2].parse()?, fields[3].parse()?))
}

/// Gives the directory to `postgres`, and lets it pass through the directories above: 0711 lets
/// others walk through without showing them anything.
fn hand_to_postgres(directory: &Path) -> anyhow::Result<()> {
    let (uid, gid) = postgres_user()?;
    std::os::unix::fs::chown(directory, Some(uid), Some(gid))?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    for above in directory.ancestors().skip(1) {
        let Ok(metadata) = std::fs::metadata(above) else { continue };
        if metadata.mode() & 0o001 == 0 && metadata.uid() == 0 && above.parent().is_some() {
            std::fs::set_permissions(
                above,
                std::fs::Permissions::from_mode(metadata.mode() & 0o7777 | 0o011),
            )?;
        }
    }
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the data directory's path is not valid UTF-8")
}
