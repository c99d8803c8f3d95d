//! Page merging with real guests and the real kernel, where it has KSM.

use super::*;
use std::collections::HashMap;
use std::io::{Read as _, Seek as _, SeekFrom};

const KERNEL: &str = "/sys/kernel/mm/ksm";

fn says(name: &str) -> u64 {
    std::fs::read_to_string(format!("{KERNEL}/{name}")).unwrap().trim().parse().unwrap()
}

/// Whatever becomes of the test, the kernel merges nothing after it that it did not merge before.
struct AsBefore(u64);

impl Drop for AsBefore {
    fn drop(&mut self) {
        for run in [2, self.0] {
            let _ = std::fs::write(format!("{KERNEL}/run"), run.to_string());
        }
    }
}

fn process(id: Uuid) -> String {
    let pid = std::fs::read_to_string(format!("/run/libvirt/qemu/jst-{id}.pid")).unwrap();
    format!("/proc/{}", pid.trim())
}

fn merged_pages(id: Uuid) -> u64 {
    std::fs::read_to_string(format!("{}/ksm_merging_pages", process(id))).unwrap().trim().parse().unwrap()
}

/// Every page in mappings that may be merged (`mg` in smaps), by content: how many there are, and in which
/// places of the machine they stand.  What was only read, and never written, is the kernel's one page of zeros,
/// of which there is nothing to merge.
fn count_pages(process: &str, contents: &mut HashMap<[u8; 32], HashMap<u64, u64>>) {
    // Of /proc/kpageflags.
    const ZERO_PAGE: u64 = 1 << 24;
    let mut flags = std::fs::File::open("/proc/kpageflags").unwrap();
    const PAGE: u64 = 4096;
    let maps = std::fs::read_to_string(format!("{process}/smaps")).unwrap();
    let mut memory = std::fs::File::open(format!("{process}/mem")).unwrap();
    let mut present = std::fs::File::open(format!("{process}/pagemap")).unwrap();
    let mut range = (0, 0);
    for line in maps.lines() {
        let first = line.split(' ').next().unwrap();
        if let Some((from, to)) = first.split_once('-')
            && let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16))
        {
            range = (from, to);
        }
        if !line.starts_with("VmFlags:") || !line.split(' ').any(|flag| flag == "mg") {
            continue;
        }
        let (from, to) = range;
        let mut entries = vec![0; ((to - from) / PAGE * 8) as usize];
        present.seek(SeekFrom::Start(from / PAGE * 8)).unwrap();
        present.read_exact(&mut entries).unwrap();
        let mut page = vec![0; PAGE as usize];
        for (index, entry) in entries.chunks_exact(8).enumerate() {
            let entry = u64::from_le_bytes(entry.try_into().unwrap());
            // The highest bit: the page is in memory.  The lowest 55: where.
            let place = entry & ((1 << 55) - 1);
            let mut flag = [0; 8];
            if entry >> 63 == 1 {
                flags.seek(SeekFrom::Start(place * 8)).unwrap();
                flags.read_exact(&mut flag).unwrap();
            }
            if entry >> 63 == 1 && u64::from_le_bytes(flag) & ZERO_PAGE == 0 {
                memory.seek(SeekFrom::Start(from + index as u64 * PAGE)).unwrap();
                memory.read_exact(&mut page).unwrap();
                *contents.entry(Sha256::digest(&page).into()).or_default().entry(place).or_default() += 1;
            }
        }
    }
}

/// Of two equal guests that may be merged, the kernel merges what a comparison of their pages says; of a
/// third, which was started before that was allowed, nothing.
#[tokio::test(flavor = "multi_thread")]
async fn equal_pages_of_guests_are_merged_where_the_operator_allows_it() {
    if !Path::new(KERNEL).join("run").exists() {
        eprintln!("skipped: the kernel has no KSM");
        return;
    }
    // Before the lab, and thus after it when both end.
    let _as_before = AsBefore(says("run"));
    let made = lab_with("tk", |config| {
        config.proc_root = config.data_dir.join("proc");
        config.timing.memory = 1;
        config.timing.usage = 1;
    });
    let Some(mut lab) = made.await else { return };
    let begun = Instant::now();
    let lap = |what: &str| eprintln!("{:>8} ms  {what}", begun.elapsed().as_millis());
    // Below the low mark of 128 MiB; the balloon takes nothing, for everything is reserved.
    pretend(&lab, 100);
    let start = |lab: &Lab| {
        let mut wanted = lab.wanted(Power::Running);
        if let Presence::Present { spec, .. } = &mut wanted.presence {
            spec.policy.memory.reservation = spec.policy.memory.size;
        }
        lab.server.set(wanted.clone());
        wanted.id
    };
    let apart = start(&lab);
    lab.server.until_applied(apart, 1, 60).await;
    lab.server.change_host(|host| host.page_merging = true);
    let claim = lab.agent.config.data_dir.join("page-merging");
    while !claim.exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not taken over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let twins = [start(&lab), start(&lab)];
    for id in [apart, twins[0], twins[1]] {
        lab.server.until_applied(id, 1, 60).await;
        lab.ssh_until(id, "true", 90, |_| true).await;
    }
    lap("three guests run");
    for id in twins {
        lab.server.until(id, 60, |r| r.usage.is_some_and(|usage| usage.memory_merged_mib > 0)).await;
    }
    lap("pages of both twins are merged, and it is reported");
    let until = async |what: &str, seconds: u64, test: &dyn Fn(&HostLoad) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            let load = lab.server.load().unwrap_or_default();
            if test(&load) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {load:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    until("what is saved is reported", 30, &|load| load.memory_merged_mib > 0).await;
    assert_eq!(merged_pages(apart), 0, "a guest that was started without leave was merged");
    let report = lab.server.report(apart).unwrap().usage.unwrap();
    assert_eq!(report.memory_merged_mib, 0);

    // Paused guests hold still, so that what is merged can be compared with what could be.  The agent would let
    // them run again.
    lab.agent.stop().await;
    for id in twins {
        virsh(&["suspend", &id.to_string()]);
    }
    let (mut last, mut quiet) = (0, says("full_scans"));
    let deadline = Instant::now() + Duration::from_secs(300);
    // The kernel merges what it finds unchanged a second time.
    while says("full_scans") < quiet + 5 {
        assert!(Instant::now() < deadline, "the search does not settle");
        if says("pages_sharing") != last {
            (last, quiet) = (says("pages_sharing"), says("full_scans"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    lap("nothing more is merged");
    let mut contents = HashMap::new();
    tokio::task::block_in_place(|| {
        twins.iter().for_each(|id| count_pages(&process(*id), &mut contents));
    });
    let pages: u64 = contents.values().flat_map(HashMap::values).sum();
    let places: usize = contents.values().map(HashMap::len).sum();
    let (equal, saved) = (pages - contents.len() as u64, pages - places as u64);
    eprintln!(
        "of {pages} pages {equal} are equal to others, and {saved} are saved; the kernel says {}",
        says("pages_sharing")
    );
    assert!(equal > 1000, "the guests have nothing in common");
    assert!(saved * 100 >= equal * 95, "{saved} of {equal}");
    lap("compared");

    for id in twins {
        virsh(&["resume", &id.to_string()]);
    }
    lab.agent.start();
    lab.server.change_host(|host| host.page_merging = false);
    // As long as there is no room to separate them, pages stay merged, and no more are.
    while says("run") != 0 {
        assert!(begun.elapsed() < Duration::from_secs(400), "it goes on merging");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(twins.iter().all(|id| merged_pages(*id) > 0));
    pretend(&lab, 4000);
    let deadline = Instant::now() + Duration::from_secs(30);
    while twins.iter().any(|id| merged_pages(*id) > 0) {
        assert!(Instant::now() < deadline, "pages stay merged although the operator has forbidden it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(says("run"), 2);
    lap("everything is separated");
    assert!(claim.exists(), "guests that could be merged still run");
    for id in [apart, twins[0], twins[1]] {
        let generation = lab.server.change(id, delete);
        lab.server.until_applied(id, generation, 60).await;
    }
    while claim.exists() {
        assert!(Instant::now() < deadline + Duration::from_secs(60), "it is not let go");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
