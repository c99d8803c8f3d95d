//! Whether a disk can be started from, as far as its first sectors say: the rest is the guest's.

/// So much of a disk's beginning decides: the table of partitions, with sectors of 512 or 4096 bytes.
pub const HEAD_BYTES: usize = 8192;

/// Why a disk is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Neither a table of partitions nor a boot sector.
    NotBootable,
    /// It describes a disk of so many bytes and has fewer.
    CutOff { needs: u64 },
}

/// `head` is the first [`HEAD_BYTES`] of the disk, or all of it; `size` is the disk's, in bytes.
pub fn check(head: &[u8], size: u64) -> Result<(), Fault> {
    let needs = match gpt_end(head) {
        Some(end) => end,
        None if has_boot_sector(head) => mbr_end(head).max(ext_end(head)),
        None => return Err(Fault::NotBootable),
    };
    if needs > size { Err(Fault::CutOff { needs }) } else { Ok(()) }
}

/// Signed as one, and with anything in it.
fn has_boot_sector(head: &[u8]) -> bool {
    head.get(510..512) == Some(b"\x55\xaa") && head[..510].iter().any(|byte| *byte != 0)
}

/// Where the copy of the GUID partition table ends, which is the disk's last sector.
fn gpt_end(head: &[u8]) -> Option<u64> {
    let sector = [512, 4096].into_iter().find(|sector| {
        head.get(*sector..).is_some_and(|header| header.starts_with(b"EFI PART") && header.len() >= 92)
    })?;
    let copy = u64_at(head, sector + 32);
    Some(copy.saturating_add(1).saturating_mul(sector as u64))
}

/// Where the last partition ends; 0 where the sector holds no table but the code of a file system.
fn mbr_end(head: &[u8]) -> u64 {
    const ENTRIES: [usize; 4] = [446, 462, 478, 494];
    // The first byte says whether it is started from; code rarely looks like that four times.
    if !ENTRIES.iter().all(|entry| matches!(head[*entry], 0 | 0x80)) {
        return 0;
    }
    let used = ENTRIES.into_iter().filter(|entry| !matches!(head[entry + 4], 0 | 0xee));
    used.map(|entry| 512 * (u64::from(u32_at(head, entry + 8)) + u64::from(u32_at(head, entry + 12))))
        .max()
        .unwrap_or(0)
}

/// The size of an ext2, 3 or 4 file system that fills the whole disk; 0 where there is none.
fn ext_end(head: &[u8]) -> u64 {
    const SUPERBLOCK: usize = 1024;
    if head.get(SUPERBLOCK + 56..SUPERBLOCK + 58) != Some(b"\x53\xef") {
        return 0;
    }
    let block = 1024_u64 << u32_at(head, SUPERBLOCK + 24).min(6);
    u64::from(u32_at(head, SUPERBLOCK + 4)) * block
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|offset| bytes.get(at + offset).copied().unwrap_or(0)))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(size: usize) -> Vec<u8> {
        let mut disk = vec![0; size];
        disk[0] = 0xf4;
        disk[510..512].copy_from_slice(b"\x55\xaa");
        disk
    }

    #[test]
    fn what_nothing_starts_from_is_no_image() {
        assert_eq!(check(&[], 0), Err(Fault::NotBootable));
        assert_eq!(check(&[0; HEAD_BYTES], 1 << 30), Err(Fault::NotBootable));
        let mut empty = vec![0; 512];
        empty[510..].copy_from_slice(b"\x55\xaa");
        assert_eq!(check(&empty, 512), Err(Fault::NotBootable), "a signature under nothing");
        assert_eq!(check(&signed(512), 512), Ok(()));
    }

    #[test]
    fn a_disk_that_ends_before_its_own_table_says_is_cut_off() {
        let mut disk = signed(HEAD_BYTES);
        // A partition of 2048 sectors from sector 2048 on.
        disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0]);
        assert_eq!(check(&disk, 4096 * 512), Ok(()));
        assert_eq!(check(&disk, 4096 * 512 - 1), Err(Fault::CutOff { needs: 4096 * 512 }));
        // The code of a boot sector in the place of the table.
        disk[462] = 0x31;
        assert_eq!(check(&disk, 512), Ok(()));

        for sector in [512, 4096] {
            let mut disk = signed(HEAD_BYTES);
            disk[450] = 0xee;
            disk[454..462].fill(0xff);
            disk[sector..sector + 8].copy_from_slice(b"EFI PART");
            disk[sector + 32..sector + 40].copy_from_slice(&99_u64.to_le_bytes());
            assert_eq!(check(&disk, 100 * sector as u64), Ok(()));
            let needs = 100 * sector as u64;
            assert_eq!(check(&disk, needs - 1), Err(Fault::CutOff { needs }));
            disk[sector + 32..sector + 40].fill(0xff);
            assert!(matches!(check(&disk, 1 << 40), Err(Fault::CutOff { .. })));
        }

        let mut disk = signed(HEAD_BYTES);
        disk[446] = 0x7f;
        disk[1024 + 56..1024 + 58].copy_from_slice(b"\x53\xef");
        disk[1024 + 24] = 2;
        disk[1024 + 4..1024 + 8].copy_from_slice(&1000_u32.to_le_bytes());
        assert_eq!(check(&disk, 4_096_000), Ok(()));
        assert_eq!(check(&disk, 4_095_999), Err(Fault::CutOff { needs: 4_096_000 }));
    }
}
