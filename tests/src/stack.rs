//! The platform as it is installed: the server with its own Postgres and an agent, each a process of
//! its own that can be killed at any moment.

use crate::client::{Answer, Api, Client};
use crate::platform::PASSWORD;
use crate::{eventually, pace};
use serde_json::{Value, json};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub const ADMIN: &str = "admin@example.com";

/// What the agent drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guests {
    Simulated,
    Real,
}

/// What the agent's configuration says of its host, beyond the ordinary.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Processors that guests may use; absent: all.
    pub guest_cpus: Option<String>,
    /// Memory that guests together may occupy, in MiB; absent: all.
    pub guest_memory_mib: Option<u64>,
    /// For volumes; absent: with the agent's data.
    pub storage_dir: Option<PathBuf>,
    /// Lines of the section `[storage]`.
    pub storage: String,
    /// How many guests boot at the same time on one processor; absent: one.  Each gets so much longer for it.
    pub boot_together: Option<u32>,
}

/// How long a guest that has a processor to itself may take until the agent gives it up.
const BOOT: Duration = Duration::from_secs(45);

pub struct Stack {
    pub directory: TempDir,
    pub url: String,
    agent_url: String,
    guests: Guests,
    host: Host,
    limits: &'static [&'static str],
    /// At most four characters: several stacks may share a machine.
    pub prefix: String,
    place: Place,
    server: Option<Child>,
    agent: Option<Child>,
    /// The administrator's API token.
    pub token: String,
    pub host_id: String,
}

/// A number that no other stack on this machine has, for names of devices and for addresses.  The port
/// that belongs to it is its lock, which the kernel frees however the test ends.
struct Place {
    number: u16,
    _lock: UdpSocket,
}

impl Place {
    const FIRST_PORT: u16 = 47_000;
    const COUNT: u16 = 200;

    fn take() -> Self {
        let free = (0..Self::COUNT).find_map(|number| {
            let lock = UdpSocket::bind(("127.0.0.1", Self::FIRST_PORT + number)).ok()?;
            Some(Self { number, _lock: lock })
        });
        free.expect("fewer than 200 stacks run on this machine")
    }

    fn prefix(&self) -> String {
        format!("t{:02x}", self.number)
    }

    fn network(&self) -> String {
        format!("10.61.{}.0/24", self.number + 20)
    }
}

/// The folder with our programs: this one's own, or the one above it for a test.
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let folder = own.parent().expect("a program is in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("target/debug") } else { folder };
    for program in ["jst-server", "jst-agent"] {
        assert!(
            folder.join(program).exists(),
            "{program} is not built; `cargo build` makes it, tests/run does so"
        );
    }
    folder.to_owned()
}

/// A public plan as the API takes it, which is not for trials.
pub fn plan(slug: &str, policy: Value) -> Value {
    json!({
        "slug": slug, "name_en": slug, "name_zh": slug, "trial": false, "public": true,
        "price_monthly_usd": 500, "price_monthly_cny": 3500,
        "price_hourly_usd_micro": 7000, "price_hourly_cny_micro": 50000,
        "policy": policy
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Stack {
    /// Starts server and agent, enrols the agent and waits until its host is qualified.
    pub async fn start(guests: Guests) -> Self {
        Self::start_on(guests, Host::default()).await
    }

    /// As above, on such a host.
    pub async fn start_on(guests: Guests, host: Host) -> Self {
        // Tests ask faster than people do.
        const LIMITS: [&str; 4] = ["--api-requests-per-second", "1000", "--page-requests-per-second", "1000"];
        Self::start_limited(guests, host, &LIMITS).await
    }

    /// As above, with these arguments of the server's command line in place of generous limits.
    pub async fn start_limited(guests: Guests, host: Host, limits: &'static [&'static str]) -> Self {
        // Every client of ours speaks TLS with the provider of the process, even where it does not.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::Builder::new().prefix("jst-stack-").tempdir().expect("a directory");
        // Guests' processes and Postgres run as users of their own, who must get through.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("our own directory");
        let (port, agent_port) = (free_port(), free_port());
        let place = Place::take();
        let mut stack = Self {
            directory,
            url: format!("http://127.0.0.1:{port}"),
            agent_url: format!("https://127.0.0.1:{agent_port}"),
            guests,
            host,
            limits,
            prefix: place.prefix(),
            place,
            server: None,
            agent: None,
            token: String::new(),
            host_id: String::new(),
        };
        stack.start_server().await;
        stack.token = stack.create_admin();
        stack.enrol();
        stack.start_agent();
        stack.host_id = stack.wait_for_host().await;
        stack
    }

    pub fn admin(&self) -> Api {
        Api::new(&self.url, &self.token)
    }

    pub fn agent_url(&self) -> &str {
        &self.agent_url
    }

    /// Process ids of server and agent.
    pub fn processes(&self) -> (u32, u32) {
        let id = |child: &Option<Child>| child.as_ref().map(Child::id).expect("it runs");
        (id(&self.server), id(&self.agent))
    }

    /// Where the platform's own database is, for its owner.
    pub fn database_url(&self) -> String {
        format!("postgres://postgres@localhost/jinshitong?host={}", self.data("server/postgres").display())
    }

    /// The platform's own database, as its owner.
    pub async fn database(&self) -> anyhow::Result<sqlx::PgPool> {
        let options: sqlx::postgres::PgConnectOptions = self.database_url().parse()?;
        Ok(sqlx::postgres::PgPoolOptions::new().max_connections(2).connect_with(options).await?)
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    fn data(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn server_command(&self) -> Command {
        let mut command = Command::new(programs().join("jst-server"));
        command
            .env_remove("DATABASE_URL")
            .envs([("RUST_LOG", "info"), ("NO_COLOR", "1")])
            .arg("--data-dir")
            .arg(self.data("server"))
            .args(["--listen", self.url.trim_start_matches("http://")])
            .args(["--agent-listen", self.agent_url.trim_start_matches("https://")])
            // Passkeys belong to a name.
            .args(["--public-url", &self.url.replace("127.0.0.1", "localhost")])
            .arg("--allow-simulated")
            // Receivers of webhooks, sources of images and stand-ins of payment providers are on this machine.
            .args(["--danger-customer-webhook-allow", "127.0.0.0/8", "--webhook-allow", "127.0.0.0/8"])
            .args(["--import-allow", "127.0.0.0/8", "--payment-allow", "127.0.0.0/8"])
            .args(self.limits)
            .stdin(Stdio::null());
        command
    }

    fn spawn(&self, mut command: Command, log: &str) -> Child {
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.data(log)).expect("a log file");
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        // SAFETY: prctl is async-signal-safe and touches nothing but the child itself.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        command.spawn().expect("our program starts")
    }

    /// Starts the server and waits until it can work.
    pub async fn start_server(&mut self) {
        self.server = Some(self.spawn(self.server_command(), "server.log"));
        self.wait_for_server().await;
    }

    pub async fn wait_for_server(&self) {
        let http = reqwest::Client::new();
        eventually("the server is ready", Duration::from_secs(60), || async {
            let answer =
                http.get(format!("{}/readyz", self.url)).timeout(Duration::from_secs(3)).send().await;
            answer.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await;
    }

    fn create_admin(&self) -> String {
        use std::io::Write;
        let mut command = self.server_command();
        command
            .args(["create-admin", "--email", ADMIN])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("our program starts");
        child.stdin.take().expect("a pipe").write_all(format!("{PASSWORD}\n").as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "create-admin failed");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Where the server keeps its keys and its database.
    pub fn server_data(&self) -> PathBuf {
        self.data("server")
    }

    /// The mails to an address, the newest first, as the operator reads them on the machine itself.
    pub fn mails_to(&self, email: &str) -> String {
        let output =
            self.server_command().args(["mails", "--to", email]).output().expect("our program starts");
        assert!(output.status.success(), "mails failed: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn agent_command(&self) -> Command {
        let config = self.data("agent.toml");
        let hypervisor = match self.guests {
            Guests::Simulated => "sim",
            Guests::Real => "libvirt",
        };
        let Host { guest_cpus, guest_memory_mib, storage_dir, storage, boot_together } = &self.host;
        let boot = (pace::within(BOOT) * boot_together.unwrap_or(1)).as_secs();
        let line = |name: &str, value: Option<String>| {
            value.map_or_else(String::new, |value| format!("{name} = \"{value}\"\n"))
        };
        let cpus = line("guest_cpus", guest_cpus.clone());
        let memory = guest_memory_mib.map_or_else(String::new, |mib| format!("guest_memory_mib = {mib}\n"));
        let volumes = line("storage_dir", storage_dir.as_ref().map(|path| path.display().to_string()));
        std::fs::write(
            &config,
            format!(
                "{cpus}{memory}{volumes}data_dir = \"{}\"\nserver = \"{}\"\nhypervisor = \"{hypervisor}\"\n\
                 [network]\nprefix = \"{}\"\nnat = true\nuplink_kbit = 1000000\n[storage]\n{storage}[sim]\ndelay_ms = 50\n[timing]\ncheck = 5\nshutdown = 20\nboot = {boot}\n",
                self.data("agent").display(),
                self.agent_url,
                self.prefix
            ),
        )
        .expect("our own directory");
        let mut command = Command::new(programs().join("jst-agent"));
        command
            .envs([("RUST_LOG", "info"), ("NO_COLOR", "1")])
            .env("JST_AGENT_CONFIG", config)
            .stdin(Stdio::null());
        command
    }

    fn enrol(&self) {
        let output = {
            // The API is asynchronous and this is not: the join token comes through a thread of its own.
            let (url, token) = (self.url.clone(), self.token.clone());
            let join = std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async move {
                    let api = Api::new(&url, &token);
                    let body = json!({ "name": "host-1", "nat": true });
                    api.post("/api/v1/admin/host-tokens", body).await.expect(201).json()
                })
            })
            .join()
            .expect("a join token");
            let token = join["token"].as_str().expect("a token").to_owned();
            self.agent_command()
                .arg("enroll")
                .env("JST_JOIN_TOKEN", token)
                .output()
                .expect("our program starts")
        };
        assert!(output.status.success(), "enrolment failed: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn start_agent(&mut self) {
        let mut command = self.agent_command();
        command.arg("run");
        self.agent = Some(self.spawn(command, "agent.log"));
    }

    async fn wait_for_host(&self) -> String {
        eventually("the host is qualified", Duration::from_secs(90), || async {
            let hosts = self.admin().get("/api/v1/admin/hosts").await.expect(200).json();
            let host = hosts["items"].as_array()?.first()?.clone();
            assert_ne!(host["qualification"], "failed", "{host}\n{}", self.log("agent.log"));
            ["kvm", "emulated", "simulated"]
                .contains(&host["qualification"].as_str()?)
                .then(|| host["id"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    pub fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.data(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    pub fn kill_server(&mut self) {
        kill(&mut self.server);
    }

    pub fn kill_agent(&mut self) {
        kill(&mut self.agent);
    }

    /// Kills every process of the database at once, as a power cut would.
    pub fn kill_postgres(&self) {
        if let Some(pid) = self.postmaster() {
            // The postmaster leads a group of its own; its workers die with it.
            send(pid, libc::SIGKILL);
        }
    }

    fn postmaster(&self) -> Option<i32> {
        let file = self.data("server").join("postgres/cluster/postmaster.pid");
        std::fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Prepares what an instance needs: pool, settings, image and plans.  The image is the file
    /// given, or for simulated guests a small made one.
    pub async fn furnish(&self, image: Option<&Path>) {
        let admin = self.admin();
        admin
            .post(
                "/api/v1/admin/pools",
                json!({ "name": "lab", "network": self.place.network(), "nameservers": ["9.9.9.9"] }),
            )
            .await
            .expect(201);
        admin.patch("/api/v1/admin/settings", json!({ "allow_emulated": true })).await.expect(200);
        let blank;
        let file = match image {
            Some(file) => file,
            None => {
                blank = self.blank_image(64);
                &blank
            }
        };
        self.upload_image("test", file).await.expect(201);
        let policy = |vcpus: u64, memory: u64, disk: u64, kbit: u64| {
            json!({
                "cpu": { "vcpus": vcpus, "reservation": 100, "limit": vcpus * 1000, "shares": "normal" },
                "memory": { "size": memory, "reservation": memory / 2, "shares": "normal" },
                "disk": { "size": disk, "shares": "normal",
                    "read": { "operations": { "average": 5000 } },
                    "write": { "throughput": { "average": 104_857_600u64 } } },
                "network": { "inbound": { "average": kbit }, "outbound": { "average": kbit } }
            })
        };
        let mut trial = plan("trial", policy(1, 256, 512, 50_000));
        trial["trial"] = json!(true);
        admin.post("/api/v1/admin/plans", trial).await.expect(201);
        self.add_plan("small", policy(1, 256, 512, 50_000)).await;
        self.add_plan("large", policy(2, 512, 1024, 100_000)).await;
    }

    /// Sells a plan with this policy.
    pub async fn add_plan(&self, slug: &str, policy: Value) {
        self.admin().post("/api/v1/admin/plans", plan(slug, policy)).await.expect(201);
    }

    /// An image of a disk that is started from and has no system on it: nothing is heard of such a guest.
    pub fn blank_image(&self, mib: u32) -> PathBuf {
        crate::images::blank(&self.data(""), "blank.qcow2", mib)
    }

    pub async fn upload_image(&self, slug: &str, file: &Path) -> Answer {
        let import = self.data("server").join("import");
        std::fs::create_dir_all(&import).expect("our own directory");
        let name = format!("{slug}.qcow2");
        std::fs::copy(file, import.join(&name)).expect("the image is there");
        let body =
            json!({ "slug": slug, "name": slug, "format": "qcow2", "path": name, "login_user": "root" });
        self.admin().post("/api/v1/admin/images", body).await
    }

    /// Stops everything in order, as `deploy/down` does.
    pub async fn stop(mut self) {
        for child in [self.agent.take(), self.server.take()].into_iter().flatten() {
            send(child.id() as i32, libc::SIGTERM);
            let mut child = child;
            let ended = tokio::task::spawn_blocking(move || child.wait());
            tokio::time::timeout(Duration::from_secs(30), ended)
                .await
                .expect("it stops when asked to")
                .expect("no panic")
                .expect("it is our child");
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- server\n{}\n--- agent\n{}", self.log("server.log"), self.log("agent.log"));
        }
        kill(&mut self.agent);
        kill(&mut self.server);
        if let Some(pid) = self.postmaster() {
            send(pid, libc::SIGQUIT);
            // Its files are removed next; it must be gone by then.
            for _ in 0..100 {
                if !Path::new(&format!("/proc/{pid}")).exists() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        if self.guests == Guests::Real {
            self.remove_guests();
        }
    }
}

impl Stack {
    /// What a test leaves on the machine when it fails, and the tables of the agent that no longer runs.
    fn remove_guests(&self) {
        let virsh =
            |arguments: &[&str]| printed("virsh", &[&["-q", "-c", "qemu:///system"], arguments].concat());
        let ours = self.host.storage_dir.clone().unwrap_or_else(|| self.data("agent"));
        for domain in virsh(&["list", "--all", "--uuid"]).split_whitespace() {
            // Its disks are in our directory, which no other stack has.
            if virsh(&["dumpxml", domain]).contains(&format!("{}/", ours.display())) {
                virsh(&["destroy", domain]);
                virsh(&["undefine", domain, "--managed-save"]);
            }
        }
        self.leave_uplink();
        for line in printed("ip", &["-o", "link", "show"]).lines() {
            let name = line.split(": ").nth(1).and_then(|name| name.split('@').next()).unwrap_or_default();
            if name.starts_with(&format!("{}-", self.prefix)) {
                printed("ip", &["link", "delete", name]);
            }
        }
        for family in ["inet", "arp"] {
            printed("nft", &["delete", "table", family, &self.prefix]);
        }
    }

    /// Takes the agent's filter off the uplink, before the device goes that it sends to.  The hook stays:
    /// another agent on this machine may be about to use it.
    fn leave_uplink(&self) {
        let json = |program: &str, arguments: &[&str]| -> Vec<serde_json::Value> {
            serde_json::from_str(&printed(program, &[&["-j"], arguments].concat())).unwrap_or_default()
        };
        let ours = format!("{}-up", self.prefix);
        for route in json("ip", &["route", "show", "default"]) {
            let Some(device) = route["dev"].as_str() else { continue };
            for filter in json("tc", &["filter", "show", "dev", device, "egress"]) {
                if filter["options"]["actions"][0]["to_dev"] == *ours {
                    let preference = filter["pref"].to_string();
                    printed("tc", &["filter", "del", "dev", device, "egress", "pref", &preference]);
                }
            }
        }
    }
}

/// What a program prints; nothing where it fails.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn kill(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn send(pid: i32, signal: i32) {
    // SAFETY: kill takes numbers only; the process is one that this stack started.
    unsafe { libc::kill(pid, signal) };
}
