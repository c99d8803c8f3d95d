//! What the machine says about itself.

use crate::cpus::CpuList;
use jst_policy::cores::Processor;
use std::path::Path;

pub fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

pub fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// Changes at every boot of the host.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

pub fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, model)| model.trim().to_owned())
        .unwrap_or_default()
}

/// Those that are online now.
pub fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// Those that are online now, with their NUMA nodes.  Nothing is returned where the kernel does not show them.
pub fn processors_below(sysfs: &Path) -> Vec<Processor> {
    let nodes = std::fs::read_dir(sysfs.join("devices/system/node")).into_iter().flatten().flatten();
    let nodes: Vec<(u32, CpuList)> = nodes
        .filter_map(|entry| {
            let node = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
            Some((node, list(&entry.path().join("cpulist"))?))
        })
        .collect();
    let node = |number| nodes.iter().find(|(_, list)| list.contains(number)).map_or(0, |(node, _)| *node);
    let online = online_below(sysfs);
    let numbers = online.iter().flat_map(CpuList::numbers);
    numbers.map(|number| Processor { number, node: node(number), online: true }).collect()
}

pub fn online_below(sysfs: &Path) -> Option<CpuList> {
    list(&sysfs.join("devices/system/cpu/online"))
}

fn list(path: &Path) -> Option<CpuList> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A figure of /proc/meminfo, in MiB.
pub fn memory_mib(figure: &str) -> u64 {
    memory_mib_below(Path::new("/proc"), figure)
}

/// The same of another root than /proc; 0 where it cannot be read.
pub fn memory_mib_below(proc_root: &Path, figure: &str) -> u64 {
    let info = std::fs::read_to_string(proc_root.join("meminfo")).unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

/// Total and available room of a file system, in MiB.
pub fn storage_mib(path: &Path) -> (u64, u64) {
    match rustix::fs::statvfs(path) {
        Ok(figures) => {
            let mib = |blocks: u64| blocks.saturating_mul(figures.f_frsize) / (1024 * 1024);
            (mib(figures.f_blocks), mib(figures.f_bavail))
        }
        Err(_) => (0, 0),
    }
}

/// Kbit/s of a device; 0 where it does not say.
pub fn uplink_kbit(sysfs_root: &Path, device: &str) -> u64 {
    std::fs::read_to_string(sysfs_root.join("class/net").join(device).join("speed"))
        .ok()
        .and_then(|text| text.trim().parse::<i64>().ok())
        .and_then(|mbit| u64::try_from(mbit).ok())
        .map_or(0, |mbit| mbit * 1000)
}

pub fn unix_now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

/// Ticks of all CPUs, busy and in total, since the host started.
pub fn busy_ticks() -> (u64, u64) {
    busy_ticks_below(Path::new("/proc"))
}

/// The same of another root than /proc.
pub fn busy_ticks_below(proc_root: &Path) -> (u64, u64) {
    let stat = std::fs::read_to_string(proc_root.join("stat")).unwrap_or_default();
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        // Guests' time is contained in user time: the first eight figures are everything.
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let total: u64 = ticks.iter().sum();
    // Idle and waiting for I/O.
    let idle: u64 = ticks.get(3).copied().unwrap_or(0) + ticks.get(4).copied().unwrap_or(0);
    (total - idle, total)
}

/// Thousandths of a CPU that were busy between two readings of [`busy_ticks`].
pub fn millicpu(before: (u64, u64), after: (u64, u64)) -> u64 {
    part_of(before, after, u64::from(cpus()) * 1000)
}

/// The part of `whole` that was busy between two readings.
pub fn part_of(before: (u64, u64), after: (u64, u64), whole: u64) -> u64 {
    let total = after.1.saturating_sub(before.1).max(1);
    after.0.saturating_sub(before.0) * whole / total
}
