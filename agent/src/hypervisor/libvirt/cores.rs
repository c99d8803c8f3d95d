//! The processors that a guest's threads may run on: set through libvirt, and read back from each thread.
//!
//! Each vCPU's thread has a control group of its own below the domain's, and all other threads are in that
//! of the emulator.  A thread also has a mask of its own, inherited from the thread that made it, which libvirt sets for the vCPUs and the first thread only: a guest that was
//! started on few processors and may use more would leave its other threads behind, so they are set here.

use super::domain_xml::DomainXml;
use super::limits::CgroupVersion;
use super::steal::Places;
use super::{Found, Libvirt};
use crate::config::Config;
use crate::cores::Place;
use crate::cpus::CpuList;
use crate::facts;
use crate::hypervisor::Target;
use jst_policy::cores::Processor;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::{BTreeSet, HashMap};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};
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

/// Threads that stay where they are, whatever is tried: the set that was wanted, and what was found after it.
pub(super) struct Stubborn {
    wanted: CpuList,
    found: BTreeSet<CpuList>,
    tried: Instant,
}

/// When it is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

impl Libvirt {
    /// Those for guests now, unless they cannot be kept to some of them.
    pub fn processors(&self) -> Vec<Processor> {
        if self.core_keeping().is_err() {
            return Vec::new();
        }
        let now = for_guests(&self.config, self.cgroup);
        let mut all = now.clone();
        // With cgroup v2 the kernel leaves out what is offline, and remembers it; v1 refuses such a set.
        if self.cgroup == CgroupVersion::V2 {
            let asleep =
                self.processors.iter().filter(|known| now.iter().all(|one| one.number != known.number));
            all.extend(asleep.map(|known| Processor { online: false, ..*known }));
        }
        all
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
    pub(super) fn is_in_place(&self, place: Option<&Place>, allowed: Option<&BTreeSet<CpuList>>) -> bool {
        let (Some(place), Some(allowed)) = (place, allowed) else { return true };
        if place.exclusive {
            return allowed.iter().all(|allowed| *allowed == place.processors);
        }
        // The kernel does not show those that are offline.
        let online = facts::online_below(&self.config.machine_sysfs());
        let is_online = |number: &u32| online.as_ref().is_none_or(|online| online.contains(*number));
        let wanted = CpuList::of(place.processors.numbers().filter(is_online));
        allowed.iter().all(|allowed| Some(allowed) == wanted.as_ref())
    }

    /// The same for a look that decides whether to move it.  What was tried in vain a moment ago is let be: it is shown
    /// as drift, and nothing else that the guest needs waits for it.
    pub(super) fn place_in_force(&self, target: &Target, found: &Found) -> bool {
        let (id, Some(place)) = (target.id, &target.place) else { return true };
        let in_place = self.is_in_place(Some(place), found.allowed.as_ref());
        if place.exclusive {
            self.places_seen.judge(id, place.processors.clone(), &found.allowed, in_place);
        } else {
            // Those of the others change with every processor that sleeps or wakes.
            self.places_seen.forget(id);
        }
        in_place
            || self.stubborn().get(&id).is_some_and(|stubborn| {
                stubborn.wanted == place.processors
                    && Some(&stubborn.found) == found.allowed.as_ref()
                    && stubborn.tried.elapsed() < PATIENCE
            })
    }

    /// Moves a guest's threads to where they should be, as far as the kernel lets them.
    pub(super) async fn set_place(&self, target: &Target) {
        let (id, Some(place)) = (target.id, &target.place) else { return };
        let (name, places) = (DomainXml::name_of(id), self.places());
        let wanted = place.processors.clone();
        let moved = self
            .quick(id, "keep it to its processors", move |domain| {
                let threads = places.threads(id, &name).unwrap_or_default();
                let map = bitmap(&wanted);
                for vcpu in threads.iter().filter_map(|thread| thread.vcpu) {
                    domain.pin_vcpu_flags(vcpu, &map, sys::VIR_DOMAIN_AFFECT_LIVE)?;
                }
                domain.pin_emulator(&map, sys::VIR_DOMAIN_AFFECT_LIVE)?;
                Ok(places.set_masks(id, &name, &wanted))
            })
            .await;
        let found = self.places().allowed(id, &DomainXml::name_of(id));
        if self.is_in_place(Some(place), found.as_ref()) {
            self.stubborn().remove(&id);
            return;
        }
        let error = match moved {
            Ok(None) => String::new(),
            Ok(Some(error)) => error.to_string(),
            Err(fault) => fault.to_string(),
        };
        tracing::warn!(instance = %id, wanted = %place.processors, ?found, error, "a guest is not where it should be");
        let (wanted, found) = (place.processors.clone(), found.unwrap_or_default());
        self.stubborn().insert(id, Stubborn { wanted, found, tried: Instant::now() });
    }

    pub(super) fn stubborn(&self) -> MutexGuard<'_, HashMap<Uuid, Stubborn>> {
        self.stubborn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Those that are online, that the operator gives to guests, and that the group of all guests may use.
pub(super) fn for_guests(config: &Config, version: CgroupVersion) -> Vec<Processor> {
    let files = match version {
        CgroupVersion::V1 => {
            ["cpuset/machine.slice/cpuset.cpus", "cpuset/machine/cpuset.cpus", "cpuset/cpuset.cpus"]
        }
        CgroupVersion::V2 => {
            ["machine.slice/cpuset.cpus.effective", "machine/cpuset.cpus.effective", "cpuset.cpus.effective"]
        }
    };
    let group = files.iter().find_map(|file| {
        let text = std::fs::read_to_string(config.cgroup_root.join(file)).ok()?;
        text.trim().parse::<CpuList>().ok()
    });
    let mut processors = facts::processors_below(&config.machine_sysfs());
    for some in [&config.guest_cpus, &group].into_iter().flatten() {
        processors.retain(|one| some.contains(one.number));
    }
    processors
}

impl Places {
    /// The different sets of processors that the guest's threads may run on.  Nothing is returned for a guest without
    /// a process.
    pub(super) fn allowed(&self, id: Uuid, name: &str) -> Option<BTreeSet<CpuList>> {
        let threads = self.threads(id, name)?;
        Some(threads.into_iter().map(|thread| thread.allowed).collect())
            .filter(|all: &BTreeSet<_>| !all.is_empty())
    }

    /// Gives every thread the mask that is wanted; the first error, if any.
    fn set_masks(&self, id: Uuid, name: &str, wanted: &CpuList) -> Option<rustix::io::Errno> {
        let mut set = CpuSet::new();
        let known = wanted.numbers().filter(|number| (*number as usize) < CpuSet::MAX_CPU);
        known.for_each(|number| set.set(number as usize));
        let others = self.threads(id, name)?.into_iter().filter(|thread| thread.allowed != *wanted);
        others
            .filter_map(|thread| sched_setaffinity(Pid::from_raw(thread.number), &set).err())
            // It has ended meanwhile.
            .find(|error| *error != rustix::io::Errno::SRCH)
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
