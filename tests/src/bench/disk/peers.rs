//! Plain control groups, each with a process that reads a file of its own past the page cache.

use crate::cgroup;
use anyhow::{Context, ensure};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const MIB: u64 = 160;
/// As a busy guest does it, in the control group whose list of processes is the second argument.
const READ: &str = "echo $$ >\"$1\"; for at in 0 40 80 120; do while :; do \
                    dd if=\"$0\" of=/dev/null bs=1M skip=$at count=40 iflag=direct status=none; done & done; wait";

pub struct Readers {
    parent: PathBuf,
    members: Vec<Reader>,
}

struct Reader {
    group: PathBuf,
    file: PathBuf,
    shell: Child,
}

impl Readers {
    pub fn make(directory: &Path, weights: &[u64]) -> anyhow::Result<Self> {
        let v1 = cgroup::is_v1();
        let root = Path::new(if v1 { "/sys/fs/cgroup/blkio" } else { "/sys/fs/cgroup" });
        let parent = root.join(format!("jst-bench-{}", std::process::id()));
        std::fs::create_dir_all(&parent)?;
        let mut readers = Self { parent, members: Vec::new() };
        if !v1 {
            for directory in [root, &readers.parent] {
                std::fs::write(directory.join("cgroup.subtree_control"), "+io")?;
            }
        }
        for (number, weight) in weights.iter().enumerate() {
            let group = readers.parent.join(number.to_string());
            std::fs::create_dir_all(&group)?;
            let file = if v1 { "blkio.bfq.weight" } else { "io.bfq.weight" };
            std::fs::write(group.join(file), weight.to_string())?;
            let file = directory.join(format!("reader-{number}"));
            let target = format!("of={}", file.display());
            let filled = Command::new("dd")
                .args([
                    "if=/dev/zero",
                    &target,
                    "bs=1M",
                    &format!("count={MIB}"),
                    "oflag=direct",
                    "status=none",
                ])
                .status()?;
            ensure!(filled.success(), "dd cannot write {}", file.display());
            let shell = Command::new("sh")
                .args(["-c", READ])
                .arg(&file)
                .arg(group.join("cgroup.procs"))
                .stdin(Stdio::null())
                .process_group(0)
                .spawn()?;
            readers.members.push(Reader { group, file, shell });
        }
        Ok(readers)
    }

    /// Of all disks, as the schedulers count them.
    pub fn bytes(&self) -> anyhow::Result<Vec<f64>> {
        self.members.iter().map(Reader::bytes).collect()
    }
}

impl Reader {
    fn bytes(&self) -> anyhow::Result<f64> {
        if cgroup::is_v1() {
            let text = std::fs::read_to_string(self.group.join("blkio.bfq.io_service_bytes"))?;
            let total = text.lines().find_map(|line| line.strip_prefix("Total "));
            return Ok(total.context("the group counts bytes")?.parse()?);
        }
        let text = std::fs::read_to_string(self.group.join("io.stat"))?;
        let figures =
            text.split_whitespace().filter_map(|word| word.strip_prefix("rbytes=")?.parse::<f64>().ok());
        Ok(figures.sum())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for reader in &mut self.members {
            // The shell leads a group of its own, with the program that it runs.
            // SAFETY: kill takes numbers only; the processes are those that were started here.
            unsafe { libc::kill(-(reader.shell.id() as i32), libc::SIGKILL) };
            let _ = reader.shell.wait();
            let _ = std::fs::remove_file(&reader.file);
        }
        for reader in &self.members {
            // What the shell ran may need a moment to be gone.
            for _ in 0..50 {
                if std::fs::remove_dir(&reader.group).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        let _ = std::fs::remove_dir(&self.parent);
    }
}
