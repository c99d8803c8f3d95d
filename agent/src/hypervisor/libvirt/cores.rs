//! The processors that a guest's threads may run on: set through libvirt, and read back from each thread.
//!
//! Each vCPU's thread has a control group of its own below the domain's, and all other threads are in that
//! of the emulator.  A thread also has a mask of its own, inherited from the thread that made it, which libvirt sets for the vCPUs and the first thread only: a guest that was
//! started on few processors and may use more would leave its other threads behind, so they are set here.

use super::domain_xml::DomainXml;
use super::limits::CgroupVersion;
use super::steal::Places;
use super::{Found, Libvirt};
use crate::cpus::CpuList;
use crate::facts;
use crate::hypervisor::{Fault, Target};
use jst_policy::cores::Processor;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::BTreeSet;
use uuid::Uuid;
use virt::sys;

/// One thread of a guest's process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thread {
    number: i32,
    /// The vCPU that it runs, if any.
    vcpu: Option<u32>,
    allowed: CpuList,
}

impl Libvirt {
    /// Those for guests, unless they cannot be kept to some of them.
    pub fn processors(&self) -> &[Processor] {
        if self.core_keeping().is_ok() { &self.processors } else { &[] }
    }

    pub(super) fn core_keeping(&self) -> Result<(), String> {
        let root = &self.config.cgroup_root;
        let controller = match self.cgroup {
            CgroupVersion::V1 => root.join("cpuset").exists(),
            CgroupVersion::V2 => std::fs::read_to_string(root.join("cgroup.controllers"))
                .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "cpuset")),
        };
        if !controller {
            return Err("the kernel's cpuset control group is not there; mount it".into());
        }
        match self.processors.len() {
            0 => Err("the kernel does not tell which processors it has".into()),
            1 => Err("guests have one processor only here, and it stays everybody's".into()),
            _ => Ok(()),
        }
    }

    /// Nothing is returned unless all threads of the guest may run on the same.
    pub fn allowed(&self, id: Uuid) -> Option<CpuList> {
        let allowed = self.places().allowed(id, &DomainXml::name_of(id))?;
        allowed.first().filter(|_| allowed.len() == 1).cloned()
    }

    /// Whether every thread may run where it should, and nowhere else.  A guest without a process, which is about to
    /// end, is where it should be.
    pub(super) fn is_in_place(&self, target: &Target, found: &Found) -> bool {
        let (Some(place), Some(allowed)) = (&target.place, &found.allowed) else { return true };
        // The kernel does not count processors that are offline.
        let online = facts::online_below(&self.config.machine_sysfs());
        let numbers = place.processors.numbers();
        let wanted = CpuList::of(
            numbers.filter(|number| online.as_ref().is_none_or(|online| online.contains(*number))),
        );
        allowed.iter().all(|allowed| Some(allowed) == wanted.as_ref())
    }

    pub(super) async fn set_place(&self, target: &Target) -> Result<(), Fault> {
        let Some(place) = &target.place else { return Ok(()) };
        let (id, name, places) = (target.id, DomainXml::name_of(target.id), self.places());
        let wanted = place.processors.clone();
        self.quick(id, "keep it to its processors", move |domain| {
            let map = bitmap(&wanted);
            let threads = places.threads(id, &name).unwrap_or_default();
            for vcpu in threads.iter().filter_map(|thread| thread.vcpu) {
                domain.pin_vcpu_flags(vcpu, &map, sys::VIR_DOMAIN_AFFECT_LIVE)?;
            }
            domain.pin_emulator(&map, sys::VIR_DOMAIN_AFFECT_LIVE)?;
            let mut set = CpuSet::new();
            let most = CpuSet::MAX_CPU;
            wanted.numbers().filter(|number| (*number as usize) < most).for_each(|number| set.set(number as usize));
            for thread in places.threads(id, &name).unwrap_or_default() {
                if thread.allowed != wanted
                    && let Err(error) = sched_setaffinity(Pid::from_raw(thread.number), &set)
                {
                    // It may have ended; whatever else it is, reading back finds it.
                    tracing::debug!(instance = %id, thread = thread.number, %error, "a thread stays where it was");
                }
            }
            Ok(())
        })
        .await
    }
}

impl Places {
    /// The different sets of processors that the guest's threads may run on.  Nothing is returned for a guest without
    /// a process.
    pub(super) fn allowed(&self, id: Uuid, name: &str) -> Option<BTreeSet<CpuList>> {
        let threads = self.threads(id, name)?;
        Some(threads.into_iter().map(|thread| thread.allowed).collect())
            .filter(|all: &BTreeSet<_>| !all.is_empty())
    }

    fn threads(&self, id: Uuid, name: &str) -> Option<Vec<Thread>> {
        let tasks = std::fs::read_dir(self.process(id, name)?.join("task")).ok()?;
        let read = |entry: std::fs::DirEntry| {
            // A thread may end between the list and the look.
            let file = |name: &str| std::fs::read_to_string(entry.path().join(name)).ok();
            let allowed = file("status")?
                .lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?
                .parse()
                .ok()?;
            let name = file("comm")?;
            // "CPU 0/KVM", or "CPU 0/TCG".
            let vcpu = name.strip_prefix("CPU ").and_then(|rest| rest.split_once('/')?.0.parse().ok());
            Some(Thread { number: entry.file_name().to_str()?.parse().ok()?, vcpu, allowed })
        };
        Some(tasks.flatten().filter_map(read).collect())
    }
}

/// One bit for each processor, the first in the lowest bit of the first byte.
fn bitmap(processors: &CpuList) -> Vec<u8> {
    let mut map = Vec::new();
    for number in processors.numbers() {
        let byte = number as usize / 8;
        if map.len() <= byte {
            map.resize(byte + 1, 0);
        }
        map[byte] |= 1 << (number % 8);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_said_in_bits() {
        assert_eq!(bitmap(&"0,2-3,9".parse().unwrap()), [0b1101, 0b10]);
    }

    #[test]
    fn threads_are_read_with_what_they_run_and_where() {
        let root = std::env::temp_dir().join(format!("jst-cores-{}", Uuid::new_v4()));
        let (id, name) = (Uuid::new_v4(), "jst-1");
        let places = Places { proc: root.join("proc"), cgroup: root.join("cgroup"), run: root.join("run") };
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("run/jst-1.pid", "4711");
        write("proc/4711/cmdline", &format!("qemu\0jst-{id}\0"));
        for (thread, name, allowed) in
            [(4711, "qemu-system-x86", "2-3"), (4712, "CPU 1/KVM", "2-3"), (4713, "CPU 0/TCG", "0-7")]
        {
            write(&format!("proc/4711/task/{thread}/comm"), &format!("{name}\n"));
            write(
                &format!("proc/4711/task/{thread}/status"),
                &format!("Name:\tx\nCpus_allowed_list:\t{allowed}\n"),
            );
        }
        let mut threads = places.threads(id, name).unwrap();
        threads.sort_unstable_by_key(|thread| thread.number);
        assert_eq!(threads.iter().map(|thread| thread.vcpu).collect::<Vec<_>>(), [None, Some(1), Some(0)]);
        assert_eq!(threads[1].allowed.to_string(), "2-3");
        assert_eq!(places.allowed(id, name).unwrap().len(), 2);
        assert_eq!(places.allowed(Uuid::new_v4(), name), None);
        std::fs::remove_dir_all(root).unwrap();
    }
}
