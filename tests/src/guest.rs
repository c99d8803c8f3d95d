//! Real guests as a person sees them: by SSH; and guests made with bare tools, to compare with.

use anyhow::{Context, ensure};
use jst_policy::instance::ResourcePolicy;
use jst_protocol::desired::{Firewall, ImageFormat, ImageRef, InstanceSpec, Interface, OnCrash, Seed};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use uuid::Uuid;

/// The small guest image, which tests/run builds.
pub fn micro_image() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let image = root.join("var/images/micro.qcow2");
    assert!(
        image.exists(),
        "deploy/images/micro/build var/images/micro.qcow2 makes the image; tests/run does so"
    );
    image
}

/// An SSH key of a test.
pub struct Key {
    file: PathBuf,
    pub public: String,
}

impl Key {
    pub fn generate(directory: &Path) -> Self {
        let file = directory.join("id_ed25519");
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
            .arg(&file)
            .status();
        assert!(made.is_ok_and(|status| status.success()), "ssh-keygen is installed by tests/run");
        let public = std::fs::read_to_string(file.with_extension("pub")).expect("it was just made");
        Self { file, public: public.trim().to_owned() }
    }

    /// Runs a command in the guest; `None` when that does not work (yet).
    pub async fn run(&self, address: &str, command: &str) -> Option<String> {
        let output = self.ssh(address, command).output();
        let output = tokio::time::timeout(Duration::from_secs(20), output).await.ok()?.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The command as it runs in the guest, which ends when it is dropped.
    pub fn ssh(&self, address: &str, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR", "-i"])
        .arg(&self.file)
        .arg(format!("root@{address}"))
        .arg(command)
        .stdin(Stdio::null())
        .kill_on_drop(true);
        ssh
    }
}

/// Whether something at this address answers as an SSH server.
pub async fn banner(address: &str) -> Option<()> {
    let connect = tokio::net::TcpStream::connect((address, 22));
    let mut stream = tokio::time::timeout(Duration::from_millis(500), connect).await.ok()?.ok()?;
    let mut start = [0; 4];
    let read = stream.read_exact(&mut start);
    tokio::time::timeout(Duration::from_secs(2), read).await.ok()?.ok()?;
    (&start == b"SSH-").then_some(())
}

async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Makes one guest with the bare tools, waits for its SSH banner, removes it, and gives the seconds.
pub async fn bare(prefix: &str, image: &Path, key: &Key, directory: &Path) -> anyhow::Result<f64> {
    let start = Instant::now();
    let guest = Bare::start(prefix, image, key, directory).await?;
    let seconds = start.elapsed().as_secs_f64();
    guest.remove().await;
    Ok(seconds)
}

/// A guest of which the platform knows nothing.
pub struct Bare {
    pub name: String,
    pub tap: String,
    disk: PathBuf,
    seed: PathBuf,
}

pub const ADDRESS: &str = "10.62.0.2";
const MAC: &str = "52:54:00:62:00:02";

impl Bare {
    /// Makes it and waits for its SSH banner.
    pub async fn start(prefix: &str, image: &Path, key: &Key, directory: &Path) -> anyhow::Result<Self> {
        let guest = Self {
            name: format!("{prefix}-bare"),
            tap: format!("{prefix}bare"),
            disk: directory.join("bare.qcow2"),
            seed: directory.join("bare-seed.img"),
        };
        match guest.boot(image, key).await {
            Ok(()) => Ok(guest),
            Err(error) => {
                guest.remove().await;
                Err(error)
            }
        }
    }

    async fn boot(&self, image: &Path, key: &Key) -> anyhow::Result<()> {
        let (disk, seed) = (self.disk.to_str().context("a path")?, self.seed.to_str().context("a path")?);
        let image = image.to_str().context("a path")?;
        run("qemu-img", &["create", "-q", "-f", "qcow2", "-b", image, "-F", "qcow2", disk, "512M"]).await?;
        jst_agent::seed::write_seed(&self.seed, Uuid::new_v4(), 1, &spec(key)?)?;
        run("ip", &["tuntap", "add", "dev", &self.tap, "mode", "tap", "vnet_hdr"]).await?;
        run("ip", &["addr", "add", "169.254.0.1/32", "dev", &self.tap]).await?;
        run("ip", &["link", "set", &self.tap, "up"]).await?;
        run("ip", &["route", "add", &format!("{ADDRESS}/32"), "dev", &self.tap]).await?;
        let definition = self.disk.with_extension("xml");
        tokio::fs::write(&definition, self.definition(disk, seed)).await?;
        run("virsh", &["-q", "define", definition.to_str().context("a path")?]).await?;
        run("virsh", &["-q", "start", &self.name]).await?;
        crate::eventually("the bare guest's SSH banner", Duration::from_secs(60), || banner(ADDRESS)).await;
        Ok(())
    }

    fn definition(&self, disk: &str, seed: &str) -> String {
        format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>\
             <os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>\
             <cpu mode='maximum'/><devices>\
             <disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>\
             <source file='{disk}'/><target dev='vda' bus='virtio'/></disk>\
             <disk type='file' device='disk'><driver name='qemu' type='raw'/>\
             <source file='{seed}'/><target dev='vdb' bus='virtio'/><readonly/></disk>\
             <interface type='ethernet'><mac address='{MAC}'/><target dev='{tap}' managed='no'/>\
             <model type='virtio'/></interface><serial type='pty'/><rng model='virtio'>\
             <backend model='random'>/dev/urandom</backend></rng></devices></domain>",
            name = self.name,
            tap = self.tap,
        )
    }

    pub async fn remove(&self) {
        let _ = run("virsh", &["-q", "destroy", &self.name]).await;
        let _ = run("virsh", &["-q", "undefine", &self.name]).await;
        let _ = run("ip", &["link", "del", &self.tap]).await;
        for file in [&self.disk, &self.seed] {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn spec(key: &Key) -> anyhow::Result<InstanceSpec> {
    let policy: ResourcePolicy = serde_json::from_value(json!({
        "cpu": { "vcpus": 1 }, "memory": { "size": 256 }, "disk": { "size": 512 }, "network": {}
    }))?;
    Ok(InstanceSpec {
        name: "bare".into(),
        hostname: "bare".into(),
        domain: None,
        policy,
        image: ImageRef {
            sha256: "0".repeat(64),
            format: ImageFormat::Qcow2,
            file_bytes: 0,
            virtual_bytes: 0,
        },
        build: 1,
        interfaces: vec![Interface {
            index: 0,
            mac: MAC.into(),
            addresses: vec![format!("{ADDRESS}/32").parse()?],
            nameservers: Vec::new(),
        }],
        seed: Seed { ssh_keys: vec![key.public.clone()], user_data: None },
        firewall: Firewall::default(),
        on_crash: OnCrash::Restart,
        start_order: 0,
    })
}
