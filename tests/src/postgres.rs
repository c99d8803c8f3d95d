//! One private Postgres cluster for all tests of a process.
//!
//! The postmaster is a child that the kernel ends when we end, however we end, so that nothing is
//! left behind.  Durability is off: what the tests prove about crashes, they prove with
//! clusters of their own.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

static CLUSTER: OnceLock<PathBuf> = OnceLock::new();
const TEMPLATE: &str = "jst_template";

/// The address of a new database with the current schema.
pub async fn new_database() -> String {
    database_from(TEMPLATE).await
}

/// The address of a new database without anything in it.
pub async fn empty_database() -> String {
    database_from("template0").await
}

async fn database_from(template: &str) -> String {
    let directory =
        tokio::task::spawn_blocking(|| CLUSTER.get_or_init(start).clone()).await.expect("the cluster starts");
    let name = format!("t_{}", uuid::Uuid::new_v4().simple());
    let mut connection = options(&directory, "postgres").connect().await.expect("the cluster answers");
    connection
        .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {template}")))
        .await
        .expect("a database can be made");
    connection.close().await.expect("the connection closes");
    url(&directory, &name)
}

fn url(directory: &Path, database: &str) -> String {
    format!("postgres://postgres@localhost/{database}?host={}", directory.display())
}

fn options(directory: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().socket(directory).username("postgres").database(database)
}

/// Makes and starts the cluster, with a template that has the schema.
fn start() -> PathBuf {
    let programs = programs();
    let directory =
        tempfile::Builder::new().prefix("jst-test-postgres-").tempdir().expect("a directory").keep();
    let (uid, gid) = account("postgres");
    std::os::unix::fs::chown(&directory, Some(uid), Some(gid)).expect("root runs the tests");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("our own directory");
    let data = directory.join("data");
    let made = Command::new(programs.join("initdb"))
        .args(["-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
        .arg(&data)
        .current_dir("/")
        .stdout(Stdio::null())
        .uid(uid)
        .gid(gid)
        .status()
        .expect("initdb runs");
    assert!(made.success(), "initdb failed");

    let (ready, started) = std::sync::mpsc::channel();
    let socket = directory.clone();
    // The kernel watches the thread that made the child, not the process: this one never ends.
    std::thread::spawn(move || {
        let mut command = Command::new(programs.join("postgres"));
        command
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=400"])
            .args([
                "-c",
                "full_page_writes=off",
                "-c",
                "synchronous_commit=off",
                "-c",
                "logging_collector=off",
            ])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", socket.display()))
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .uid(uid)
            .gid(gid);
        // SAFETY: prctl is async-signal-safe and touches nothing but the child itself.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGQUIT);
                Ok(())
            });
        }
        let mut child = command.spawn().expect("postgres runs");
        ready.send(()).expect("the other side waits");
        let _ = child.wait();
    });
    started.recv().expect("the thread starts postgres");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let begin = Instant::now();
        let mut connection = loop {
            match options(&directory, "postgres").connect().await {
                Ok(connection) => break connection,
                Err(error) => assert!(begin.elapsed() < Duration::from_secs(30), "no answer: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        connection
            .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}")))
            .await
            .expect("a template can be made");
        connection.close().await.expect("the connection closes");
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options(&directory, TEMPLATE))
            .await
            .expect("the template answers");
        jst_server::db::MIGRATIONS.run(&pool).await.expect("the migrations apply");
        pool.close().await;
    });
    remove_at_exit(&directory);
    directory
}

/// Removes the cluster's files when the process ends in an orderly way.
fn remove_at_exit(directory: &Path) {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    extern "C" fn remove() {
        if let Some(directory) = DIRECTORY.get() {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
    if DIRECTORY.set(directory.to_owned()).is_ok() {
        // SAFETY: the function is `extern "C"`, takes nothing and does not unwind.
        unsafe { libc::atexit(remove) };
    }
}

fn programs() -> PathBuf {
    std::fs::read_dir("/usr/lib/postgresql")
        .expect("the package postgresql is installed: tests/run does it")
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .find(|programs| programs.join("initdb").exists())
        .expect("the package postgresql is installed: tests/run does it")
}

fn account(name: &str) -> (u32, u32) {
    let accounts = std::fs::read_to_string("/etc/passwd").expect("accounts can be read");
    let line = accounts
        .lines()
        .find(|line| line.split(':').next() == Some(name))
        .expect("the package postgresql makes its account");
    let fields: Vec<&str> = line.split(':').collect();
    (fields[2].parse().expect("a number"), fields[3].parse().expect("a number"))
}
