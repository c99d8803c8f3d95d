//! How long a guest had work and did not run: waiting for a processor that others used, or held back
//! by its own limit.
//!
//! The kernel counts for every thread how long it was runnable and did not run (`schedstat`), and for
//! every control group how long its quota held it back (`cpu.stat`).  A thread that is held back is
//! runnable too, so that the first figure contains the second; here they are told apart.  The second is
//! counted a processor and not a thread: with several vCPUs of a limited guest waiting on one processor
//! a part of their being held back is counted as waiting; and what holds back only the emulator is taken
//! off the waiting of the vCPUs, so that this may go back by some milliseconds.
//!
//! libvirt would tell the first figure as well, but for KVM guests only, and only by a call to QEMU.  Files
//! of the kernel cost microseconds, and threads have the same names with and without KVM.

use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Since the guest's process started, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    pub steal: u64,
    pub throttled: u64,
}

/// Where the kernel and libvirt show what is read here.
#[derive(Clone, Debug)]
pub struct Places {
    pub proc: PathBuf,
    pub cgroup: PathBuf,
    /// libvirt's files with process ids.
    pub run: PathBuf,
}

impl Places {
    /// Nothing is returned for a guest without a process, and where the kernel does not count.
    pub fn waited(&self, id: Uuid, name: &str) -> Option<Waited> {
        let process = self.process(id, name)?;
        let delayed = vcpu_delay(&process)?;
        let throttled = self.throttled(&process).unwrap_or(0);
        Some(Waited { steal: delayed.saturating_sub(throttled), throttled })
    }

    /// The directory of the guest's process.  The file may be older than the process that has its number
    /// now; ours says whose it is.
    pub(super) fn process(&self, id: Uuid, name: &str) -> Option<PathBuf> {
        let file = std::fs::read_to_string(self.run.join(format!("{name}.pid"))).ok()?;
        let pid: u32 = file.trim().parse().ok()?;
        let process = self.proc.join(pid.to_string());
        let command = std::fs::read(process.join("cmdline")).ok()?;
        let id = id.to_string();
        command.windows(id.len()).any(|part| part == id.as_bytes()).then_some(process)
    }

    /// The quota is that of the whole domain, whose group holds those of its emulator and its vCPUs.
    fn throttled(&self, process: &Path) -> Option<u64> {
        let groups = std::fs::read_to_string(process.join("cgroup")).ok()?;
        let (root, group) = self.cpu_group(&groups)?;
        let parts: Vec<&str> = group.split('/').filter(|part| !part.is_empty()).collect();
        let domain = parts.iter().position(|part| part.contains("qemu"))?;
        // With systemd libvirt has a group of its own in that of the domain, and which of the two has the
        // quota depends on its version.
        (domain + 1..=parts.len().min(domain + 2))
            .filter_map(|depth| {
                let group = parts[..depth].iter().fold(root.clone(), |path, part| path.join(part));
                throttled_time(&std::fs::read_to_string(group.join("cpu.stat")).ok()?)
            })
            .max()
    }

    /// Where the controller of processors is mounted, and the process's group in it: that of cgroup v1 where
    /// there is one, else that of v2.
    fn cpu_group<'a>(&self, groups: &'a str) -> Option<(PathBuf, &'a str)> {
        let mut unified = None;
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, group) = (fields.next()?, fields.next()?);
            if controllers.split(',').any(|controller| controller == "cpu") {
                return Some((self.cgroup.join("cpu"), group));
            }
            if controllers.is_empty() {
                unified = Some((self.cgroup.clone(), group));
            }
        }
        unified
    }
}

/// The sum over the threads that run vCPUs.
fn vcpu_delay(process: &Path) -> Option<u64> {
    let mut sum = None;
    for thread in std::fs::read_dir(process.join("task")).ok()?.flatten() {
        let read = |file: &str| std::fs::read_to_string(thread.path().join(file));
        // A thread may end between the list and the look.
        let (Ok(name), Ok(figures)) = (read("comm"), read("schedstat")) else { continue };
        // "CPU 0/KVM", or "CPU 0/TCG".
        if name.starts_with("CPU ")
            && let Some(delay) = figures.split_whitespace().nth(1).and_then(|delay| delay.parse::<u64>().ok())
        {
            sum = Some(sum.unwrap_or(0) + delay);
        }
    }
    sum
}

/// In nanoseconds; cgroup v2 counts microseconds.
fn throttled_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| match line.split_once(' ')? {
        ("throttled_time", nanoseconds) => nanoseconds.parse().ok(),
        ("throttled_usec", microseconds) => microseconds.parse::<u64>().ok().map(|time| time * 1000),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "jst-0198";

    /// A made tree with one guest of two vCPUs.
    struct Made {
        places: Places,
        root: PathBuf,
        id: Uuid,
    }

    impl Made {
        fn new(cgroup: &str, groups: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("jst-steal-{}", Uuid::new_v4()));
            let id = Uuid::new_v4();
            let places =
                Places { proc: root.join("proc"), cgroup: root.join("cgroup"), run: root.join("run") };
            let made = Self { places, root, id };
            made.write("run/jst-0198.pid", "4711");
            made.write("proc/4711/cmdline", &format!("qemu\0-name\0guest=jst-{id}\0"));
            made.write("proc/4711/cgroup", cgroup);
            for (thread, name, figures) in [
                (4711, "qemu-system-x86\n", "900 100000 1\n"),
                (4712, "CPU 0/KVM\n", "5000 3000000 12\n"),
                (4713, "CPU 1/TCG\n", "5000 4000000 12\n"),
                (4714, "IO mon_iothread\n", "900 100000 1\n"),
            ] {
                made.write(&format!("proc/4711/task/{thread}/comm"), name);
                made.write(&format!("proc/4711/task/{thread}/schedstat"), figures);
            }
            for (group, stat) in groups {
                made.write(&format!("cgroup/{group}/cpu.stat"), stat);
            }
            made
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn waited(&self) -> Option<Waited> {
            self.places.waited(self.id, NAME)
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }

    #[test]
    fn waiting_and_being_held_back_are_told_apart_on_both_kinds_of_control_groups() {
        let domain = "machine/qemu-1-jst-0198.libvirt-qemu";
        let v1 = Made::new(
            &format!("3:cpuset:/x\n1:cpu,cpuacct:/{domain}/emulator\n0::/elsewhere\n"),
            &[(&format!("cpu/{domain}"), "nr_periods 9\nnr_throttled 3\nthrottled_time 2000000\n")],
        );
        assert_eq!(v1.waited(), Some(Waited { steal: 5_000_000, throttled: 2_000_000 }));

        let scope = r"machine.slice/machine-qemu\x2d1\x2djst.scope";
        let v2 = Made::new(
            &format!("0::/{scope}/libvirt/emulator\n"),
            &[
                (scope, "usage_usec 99\nthrottled_usec 0\n"),
                (&format!("{scope}/libvirt"), "usage_usec 99\nthrottled_usec 2500\n"),
                (&format!("{scope}/libvirt/emulator"), "usage_usec 99\nthrottled_usec 9999\n"),
            ],
        );
        assert_eq!(v2.waited(), Some(Waited { steal: 4_500_000, throttled: 2_500_000 }));
    }

    #[test]
    fn a_process_that_is_not_the_guests_tells_nothing() {
        let made = Made::new("0::/machine/qemu-1/emulator\n", &[]);
        assert_eq!(made.waited(), Some(Waited { steal: 7_000_000, throttled: 0 }));
        made.write("proc/4711/cmdline", "somebody else");
        assert_eq!(made.waited(), None);
        std::fs::remove_file(made.root.join("run/jst-0198.pid")).unwrap();
        assert_eq!(made.waited(), None);
    }
}
