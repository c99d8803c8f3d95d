use super::*;

fn code(result: Result<u64>) -> &'static str {
    match result {
        Err(Error::Invalid(problems)) => problems[0].code,
        other => panic!("{other:?}"),
    }
}

async fn qemu(arguments: &[&str]) {
    let status = Command::new("qemu-img").args(arguments).status().await.unwrap();
    assert!(status.success(), "{arguments:?}");
}

async fn create(arguments: &[&str]) {
    qemu(&[&["create", "-q"], arguments].concat()).await;
}

/// A raw disk with a boot sector that halts, and with content after it.
fn disk(path: &str, mib: u64) {
    let mut content = vec![0; 512];
    content[..3].copy_from_slice(b"\xf4\xeb\xfd");
    content[510..].copy_from_slice(b"\x55\xaa");
    content.extend((0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8));
    std::fs::write(path, content).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_len(mib << 20).unwrap();
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_image_that_leans_on_other_files_is_refused() {
    let files = Files::new();
    let [plain, backed, external, raw] = ["plain", "backed", "external", "raw"].map(|name| files.path(name));
    disk(&raw, 64);
    qemu(&["convert", "-O", "qcow2", &raw, &plain]).await;
    assert_eq!(inspect(plain.as_ref(), "qcow2").await.unwrap(), 64 << 20);
    // A header that lies about its format, both ways.
    assert_eq!(code(inspect(plain.as_ref(), "raw").await), "image-format-lie");
    assert_eq!(inspect(raw.as_ref(), "raw").await.unwrap(), 64 << 20);
    assert_eq!(code(inspect(raw.as_ref(), "qcow2").await), "image-not-this-format");
    std::fs::write(&raw, b"").unwrap();
    assert_eq!(code(inspect(raw.as_ref(), "raw").await), "image-empty");

    // The backing file of an attack is a file of the host's own; it need not exist.
    create(&["-f", "qcow2", "-u", "-b", "/etc/shadow", "-F", "raw", &backed, "64M"]).await;
    assert_eq!(code(inspect(backed.as_ref(), "qcow2").await), "image-backing-file");
    let option = format!("data_file={}", files.path("data"));
    create(&["-f", "qcow2", "-o", &option, &external, "64M"]).await;
    assert_eq!(code(inspect(external.as_ref(), "qcow2").await), "image-data-file");
}

#[tokio::test]
async fn a_broken_header_is_refused_and_harms_nobody() {
    let files = Files::new();
    let path = files.path("broken");
    std::fs::write(&path, b"QFI\xfb\0\0\0\x03\xff\xff\xff\xff").unwrap();
    assert!(matches!(
        code(inspect(path.as_ref(), "qcow2").await),
        "image-unreadable" | "image-not-this-format"
    ));
    let path = files.path("huge");
    create(&["-f", "qcow2", &path, "17T"]).await;
    assert_eq!(code(inspect(path.as_ref(), "qcow2").await), "image-too-large");
}

#[tokio::test]
async fn an_image_with_clusters_beyond_its_end_is_refused() {
    let files = Files::new();
    let [raw, image, cut] = ["raw", "image", "cut"].map(|name| files.path(name));
    disk(&raw, 64);
    for options in [&["-O", "qcow2"][..], &["-c", "-O", "qcow2"], &["-O", "qcow2", "-o", "cluster_size=4096"]]
    {
        qemu(&[&["convert"], options, &[&raw, &image]].concat()).await;
        assert_eq!(inspect(image.as_ref(), "qcow2").await.unwrap(), 64 << 20, "{options:?}");
        let whole = std::fs::read(&image).unwrap();
        for part in [2, 3, 4] {
            std::fs::write(&cut, &whole[..whole.len() / 4 * (part - 1)]).unwrap();
            let found = code(inspect(cut.as_ref(), "qcow2").await);
            assert!(
                matches!(found, "image-incomplete" | "image-corrupt" | "image-unreadable"),
                "{options:?} {part}: {found}"
            );
        }
    }
    assert_eq!(std::fs::read_dir(files.0.path()).unwrap().count(), 3, "nothing else is left");
}

#[tokio::test]
async fn an_image_whose_first_table_is_missing_is_refused() {
    let files = Files::new();
    let [raw, image] = ["raw", "image"].map(|name| files.path(name));
    disk(&raw, 1);
    qemu(&["convert", "-O", "qcow2", &raw, &image]).await;
    let whole = std::fs::read(&image).unwrap();
    let table = usize::try_from(u64::from_be_bytes(whole[40..48].try_into().unwrap())).unwrap();
    std::fs::write(&image, &whole[..table]).unwrap();
    assert_eq!(code(inspect(image.as_ref(), "qcow2").await), "image-incomplete");
}

#[tokio::test]
async fn a_disk_that_nothing_starts_from_is_refused() {
    let files = Files::new();
    let [raw, image] = ["raw", "image"].map(|name| files.path(name));
    std::fs::write(&raw, vec![0; 1 << 20]).unwrap();
    assert_eq!(code(inspect(raw.as_ref(), "raw").await), "image-not-bootable");
    create(&["-f", "qcow2", &image, "64M"]).await;
    assert_eq!(code(inspect(image.as_ref(), "qcow2").await), "image-not-bootable");
    let mut disc = vec![0; 1 << 20];
    disc[32769..32774].copy_from_slice(b"CD001");
    std::fs::write(&raw, disc).unwrap();
    assert_eq!(code(inspect(raw.as_ref(), "raw").await), "image-iso");
    // One partition, which ends after 128 MiB.
    disk(&raw, 64);
    let mut half = std::fs::read(&raw).unwrap();
    half[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    std::fs::write(&raw, &half).unwrap();
    assert_eq!(code(inspect(raw.as_ref(), "raw").await), "image-cut-off");
    qemu(&["convert", "-O", "qcow2", "-f", "raw", &raw, &image]).await;
    assert_eq!(code(inspect(image.as_ref(), "qcow2").await), "image-cut-off");
}

#[tokio::test]
async fn what_is_stated_as_raw_and_is_something_else_is_refused() {
    let files = Files::new();
    let path = files.path("file");
    let tar = [&[b'x'; 257][..], b"ustar\x0000", &[0; 1 << 20]].concat();
    for (content, refused) in [
        (&b"<!doctype html><title>Sign in</title>"[..], "image-web-page"),
        (b"PK\x03\x04 and more", "image-archive"),
        (&tar, "image-archive"),
        (b"\x1f\x8b\x08\0", "image-packed-twice"),
        (b"KDMV", "image-format-lie"),
        (b"a text", "image-not-bootable"),
    ] {
        std::fs::write(&path, content).unwrap();
        for format in ["raw", "qcow2"] {
            let found = code(inspect(path.as_ref(), format).await);
            assert!(
                found == refused || (format == "qcow2" && found == "image-not-this-format"),
                "{refused}: {found}"
            );
        }
    }
}
