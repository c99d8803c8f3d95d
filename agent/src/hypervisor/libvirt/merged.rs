//! How much of a guest's memory is merged with equal pages: the kernel counts it for each process.

use super::steal::Places;
use jst_policy::units::MiB;
use uuid::Uuid;

/// Of x86: 4 KiB.
const PAGES_PER_MIB: u64 = 256;

impl Places {
    /// Nothing is returned for a guest without a process, and where the kernel does not count.
    pub fn merged(&self, id: Uuid, name: &str) -> Option<MiB> {
        let process = self.process(id, name)?;
        // Linux 6.1 has the figure in a file of its own; later ones have it among others.
        let pages = std::fs::read_to_string(process.join("ksm_stat"))
            .ok()
            .and_then(|text| figure(&text, "ksm_merging_pages"))
            .or_else(|| {
                std::fs::read_to_string(process.join("ksm_merging_pages")).ok()?.trim().parse().ok()
            })?;
        Some(MiB(pages / PAGES_PER_MIB))
    }
}

fn figure(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_are_read_and_only_of_the_guests_own_process() {
        let root = std::env::temp_dir().join(format!("jst-merged-{}", Uuid::new_v4()));
        let (id, name) = (Uuid::new_v4(), "jst-1");
        let places = Places { proc: root.join("proc"), cgroup: root.join("cgroup"), run: root.join("run") };
        let process = root.join("proc/4711");
        let write = |path: &std::path::Path, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(&root.join("run/jst-1.pid"), "4711");
        write(&process.join("cmdline"), &format!("qemu\0-uuid\0{id}\0"));
        assert_eq!(places.merged(id, name), None, "the kernel does not count");
        write(&process.join("ksm_merging_pages"), "2561\n");
        assert_eq!(places.merged(id, name), Some(MiB(10)));
        write(&process.join("ksm_stat"), "ksm_rmap_items 9999\nksm_zero_pages 0\nksm_merging_pages 512\n");
        assert_eq!(places.merged(id, name), Some(MiB(2)));
        write(&process.join("ksm_stat"), "garbage\nksm_merging_pages many\n");
        assert_eq!(places.merged(id, name), Some(MiB(10)), "what cannot be read is looked for elsewhere");
        assert_eq!(places.merged(Uuid::new_v4(), name), None);
        std::fs::remove_dir_all(root).unwrap();
    }
}
