use super::*;
use std::process::{Command, Stdio};

/// What a program that is on every machine makes of the content.
fn packed(program: &str, content: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(["-9", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; tests/run installs it"));
    let mut input = child.stdin.take().unwrap();
    let content = content.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&content));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout
}

const PROGRAMS: [(Packing, &str); 4] =
    [(Packing::Gzip, "gzip"), (Packing::Xz, "xz"), (Packing::Bzip2, "bzip2"), (Packing::Zstd, "zstd")];

/// Text, zeros, and text again, over several blocks.
fn content() -> Vec<u8> {
    let text: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    [&text[..], &[0; 3 << 20], &text[..1001]].concat()
}

async fn try_unpack(packing: Packing, packed: &[u8], most: u64) -> (Result<Unpacked, Fault>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    std::fs::write(&from, packed).unwrap();
    let result = unpack(packing, &from, File::create(&to).unwrap(), most).await;
    (result, std::fs::read(&to).unwrap())
}

#[tokio::test]
async fn every_packing_comes_back_as_it_was() {
    let content = content();
    let sha256 = hex::encode(Sha256::digest(&content));
    for (packing, program) in PROGRAMS {
        let packed = packed(program, &content);
        assert_eq!(crate::images::contents::of(&packed), crate::images::contents::Contents::Packed(packing));
        let (result, unpacked) = try_unpack(packing, &packed, content.len() as u64).await;
        let expected = Unpacked { bytes: content.len() as u64, sha256: sha256.clone() };
        assert_eq!(result.unwrap(), expected, "{program}");
        assert!(unpacked == content, "{program}");
        // Two files of one format one after the other are one file of both.
        let (result, twice) = try_unpack(packing, &packed.repeat(2), 1 << 30).await;
        assert_eq!(result.unwrap().bytes, 2 * content.len() as u64, "{program}");
        assert!(twice == content.repeat(2), "{program}");
    }
}

#[tokio::test]
async fn a_packed_file_that_ends_too_early_is_damaged() {
    for (packing, program) in PROGRAMS {
        let whole = packed(program, &content());
        for length in [whole.len() / 2, whole.len() - 3] {
            let (result, _) = try_unpack(packing, &whole[..length], 1 << 30).await;
            assert!(matches!(result, Err(Fault::Damaged(_))), "{program}: {result:?}");
        }
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 0xff;
        let (result, _) = try_unpack(packing, &changed, 1 << 30).await;
        assert!(matches!(result, Err(Fault::Damaged(_) | Fault::TooMuchMemory)), "{program}: {result:?}");
    }
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit_and_leaves_no_more_than_that() {
    const MOST: u64 = 8 << 20;
    for (packing, program) in PROGRAMS {
        let bomb = packed(program, &vec![b'x'; 64 << 20]);
        assert!(bomb.len() < 100_000, "{program}: {}", bomb.len());
        let (result, left) = try_unpack(packing, &bomb, MOST).await;
        assert!(matches!(result, Err(Fault::TooLarge)), "{program}: {result:?}");
        assert!(left.len() as u64 <= MOST, "{program}: {}", left.len());
    }
}

#[tokio::test]
async fn zeros_take_no_room() {
    use std::os::unix::fs::MetadataExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    std::fs::write(&from, packed("gzip", &vec![0; 64 << 20])).unwrap();
    let result = unpack(Packing::Gzip, &from, File::create(&to).unwrap(), 1 << 30).await;
    assert_eq!(result.unwrap().bytes, 64 << 20);
    let metadata = std::fs::metadata(&to).unwrap();
    assert_eq!(metadata.len(), 64 << 20);
    assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());
}

#[tokio::test]
async fn a_dictionary_without_bounds_is_refused() {
    // A zstd frame with a window of 1 GiB and no content: byte 5 holds 20 as its exponent over 1 KiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00];
    let (result, _) = try_unpack(Packing::Zstd, &window, 1 << 30).await;
    assert!(matches!(result, Err(Fault::TooMuchMemory)), "{result:?}");
    // The header of an xz block after the 12 bytes of the file's: its length in words, the filter LZMA2, and
    // the exponent of its dictionary, here 4 GiB; then a checksum.
    let mut xz = packed("xz", &content());
    let (begin, end) = (12, 12 + usize::from(xz[12]) * 4);
    let dictionary = (begin..end).find(|at| xz[*at..].starts_with(&[0x21, 1])).unwrap() + 2;
    xz[dictionary] = 40;
    let mut checksum = flate2::Crc::new();
    checksum.update(&xz[begin..end]);
    xz[end..end + 4].copy_from_slice(&checksum.sum().to_le_bytes());
    let (result, _) = try_unpack(Packing::Xz, &xz, 1 << 30).await;
    assert!(matches!(result, Err(Fault::TooMuchMemory)), "{result:?}");
}

#[tokio::test]
async fn unpacking_ends_when_nobody_waits_for_it() {
    let stopped = Arc::new(AtomicBool::new(true));
    let limits = Limits { most: u64::MAX, until: Instant::now() + LONGEST, stopped };
    let file = tempfile::tempfile().unwrap();
    let result = copy(&mut io::repeat(1), file, &limits);
    assert!(matches!(result, Err(Fault::TooSlow)), "{result:?}");
    let limits = Limits { most: u64::MAX, until: Instant::now(), stopped: Arc::default() };
    let result = copy(&mut io::repeat(1), tempfile::tempfile().unwrap(), &limits);
    assert!(matches!(result, Err(Fault::TooSlow)), "{result:?}");
}
