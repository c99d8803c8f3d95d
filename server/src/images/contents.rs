//! What the first bytes of a file say that it is, whatever its name and its uploader say.

/// So much of a file's beginning decides.  An ISO 9660 file system has its mark at 32 KiB.
pub const HEAD_BYTES: usize = 36 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// A container format of disk images.
    Disk(&'static str),
    /// One file, compressed.
    Packed(Packing),
    /// Several files, or one with a name, which somebody has to choose and take out.
    Archive(&'static str),
    WebPage,
    /// The disc of an installer, or a raw disk that is one at the same time.
    Iso,
    /// None of these: what a raw disk image is.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Xz,
    Bzip2,
    Zstd,
}

impl Packing {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
        }
    }
}

const MAGICS: [(Contents, usize, &[u8]); 23] = [
    (Contents::Disk("qcow2"), 0, b"QFI\xfb"),
    (Contents::Disk("qed"), 0, b"QED\0"),
    (Contents::Disk("vmdk"), 0, b"KDMV"),
    (Contents::Disk("vmdk"), 0, b"COWD"),
    (Contents::Disk("vmdk"), 0, b"# Disk DescriptorFile"),
    (Contents::Disk("vhdx"), 0, b"vhdxfile"),
    (Contents::Disk("vpc"), 0, b"conectix"),
    (Contents::Disk("vdi"), 64, b"\x7f\x10\xda\xbe"),
    (Contents::Packed(Packing::Gzip), 0, b"\x1f\x8b\x08"),
    (Contents::Packed(Packing::Xz), 0, b"\xfd7zXZ\0"),
    (Contents::Packed(Packing::Zstd), 0, b"\x28\xb5\x2f\xfd"),
    (Contents::Archive("zip"), 0, b"PK\x03\x04"),
    (Contents::Archive("zip"), 0, b"PK\x05\x06"),
    (Contents::Archive("tar"), 257, b"ustar"),
    (Contents::Archive("7z"), 0, b"7z\xbc\xaf\x27\x1c"),
    (Contents::Archive("rar"), 0, b"Rar!\x1a\x07"),
    (Contents::Archive("rpm"), 0, b"\xed\xab\xee\xdb"),
    (Contents::Archive("deb"), 0, b"!<arch>\n"),
    (Contents::Archive("cpio"), 0, b"070701"),
    (Contents::Archive("lz4"), 0, b"\x04\x22\x4d\x18"),
    (Contents::Archive("lzip"), 0, b"LZIP"),
    (Contents::Archive("wim"), 0, b"MSWIM\0\0\0"),
    (Contents::Iso, 32769, b"CD001"),
];

/// `head` is the first [`HEAD_BYTES`] of the file, or all of it.
pub fn of(head: &[u8]) -> Contents {
    let at = |offset: usize| head.get(offset..).unwrap_or_default();
    let found = MAGICS.iter().find(|(_, offset, magic)| at(*offset).starts_with(magic));
    match found {
        Some((contents, ..)) => *contents,
        None if is_bzip2(head) => Contents::Packed(Packing::Bzip2),
        None if is_web_page(head) => Contents::WebPage,
        None => Contents::Unknown,
    }
}

/// "BZh", the size of its blocks, and the mark of a block or of the end.
fn is_bzip2(head: &[u8]) -> bool {
    head.starts_with(b"BZh")
        && head.get(3).is_some_and(|size| (b'1'..=b'9').contains(size))
        && head.get(4..10).is_some_and(|mark| {
            [*b"\x31\x41\x59\x26\x53\x59", *b"\x17\x72\x45\x38\x50\x90"].iter().any(|known| mark == known)
        })
}

/// A page to sign in at, or one that says that nothing was found: what a download link leads to when it
/// is none.
fn is_web_page(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&head[..head.len().min(1024)]).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text =
        text.strip_prefix("<?xml").map_or(text, |rest| rest.split_once("?>").map_or("", |(_, rest)| rest));
    let mut text = text.trim_start();
    while let Some((_, rest)) = text.strip_prefix("<!--").and_then(|rest| rest.split_once("-->")) {
        text = rest.trim_start();
    }
    ["<!doctype html", "<html", "<head", "<body", "<title"].iter().any(|tag| text.starts_with(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let disc = [&[0; 32769][..], b"CD001"].concat();
        let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
        for (head, contents) in [
            (&b"QFI\xfb\0\0\0\x03"[..], Contents::Disk("qcow2")),
            (b"\x1f\x8b\x08\0", Contents::Packed(Packing::Gzip)),
            (b"\xfd7zXZ\0\0", Contents::Packed(Packing::Xz)),
            (b"BZh91AY&SY", Contents::Packed(Packing::Bzip2)),
            (b"\x28\xb5\x2f\xfd\x04", Contents::Packed(Packing::Zstd)),
            (b"PK\x03\x04", Contents::Archive("zip")),
            (&tar, Contents::Archive("tar")),
            (&disc, Contents::Iso),
            (b"\n<!DOCTYPE html>\n<html>", Contents::WebPage),
            (b"\xef\xbb\xbf<HTML lang=en>", Contents::WebPage),
            (b"<?xml version=\"1.0\"?>\n<!-- a page -->\n<!doctype HTML PUBLIC", Contents::WebPage),
            (b"BZhello", Contents::Unknown),
            (b"", Contents::Unknown),
            (&[0; 4096], Contents::Unknown),
        ] {
            assert_eq!(of(head), contents, "{:?}", &head[..head.len().min(16)]);
        }
    }
}
