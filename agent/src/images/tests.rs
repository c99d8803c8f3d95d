use super::*;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own for each test, removed with everything in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("images-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn cache(&self) -> ImageCache {
        ImageCache::open(self.0.join("cache")).unwrap()
    }

    fn cached_files(&self) -> usize {
        std::fs::read_dir(self.0.join("cache")).unwrap().count()
    }

    /// A qcow2 image of a disk of 1 MiB that is full.
    fn full(&self) -> Vec<u8> {
        let [raw, image] = ["full.raw", "full.qcow2"].map(|name| self.0.join(name));
        std::fs::write(&raw, vec![7; 1024 * 1024]).unwrap();
        let arguments = ["convert", "-f", "raw", "-O", "qcow2"];
        assert!(Command::new("qemu-img").args(arguments).args([&raw, &image]).status().unwrap().success());
        std::fs::read(image).unwrap()
    }

    /// Runs `qemu-img create` and returns what it made.
    fn created(&self, arguments: &[&str]) -> Vec<u8> {
        let file = self.0.join("made.img");
        let _ = std::fs::remove_file(&file);
        let made = Command::new("qemu-img")
            .args(["create", "-q"])
            .args(arguments)
            .arg(&file)
            .arg("1M")
            .current_dir(&self.0)
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::read(&file).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn reference(content: &[u8], format: ImageFormat) -> ImageRef {
    ImageRef {
        sha256: hex::encode(Sha256::digest(content)),
        format,
        file_bytes: content.len() as u64,
        virtual_bytes: 1024 * 1024,
    }
}

async fn ensure(cache: &ImageCache, image: &ImageRef, content: &[u8]) -> Result<PathBuf, ImageError> {
    let chunks: Vec<_> = content.chunks(65_536).map(|chunk| Ok(chunk.to_vec())).collect();
    cache.ensure(image, || async { Ok(futures::stream::iter(chunks)) }, |_| {}).await
}

#[tokio::test]
async fn an_image_is_fetched_once_and_verified() {
    let scratch = Scratch::new();
    let content = scratch.created(&["-f", "qcow2"]);
    let image = reference(&content, ImageFormat::Qcow2);
    let cache = scratch.cache();
    let mut percents = Vec::new();
    let chunks: Vec<_> = content.chunks(content.len() / 7).map(|chunk| Ok(chunk.to_vec())).collect();
    let path = cache
        .ensure(&image, || async { Ok(futures::stream::iter(chunks)) }, |percent| percents.push(percent))
        .await
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(percents.last(), Some(&100));

    let never = || async {
        Err::<futures::stream::Empty<anyhow::Result<Vec<u8>>>, _>(anyhow::anyhow!("asked twice"))
    };
    assert_eq!(cache.ensure(&image, never, |_| {}).await.unwrap(), path);
}

#[tokio::test]
async fn many_at_once_download_once() {
    let scratch = Scratch::new();
    let content = scratch.created(&["-f", "raw"]);
    let image = reference(&content, ImageFormat::Raw);
    let cache = scratch.cache();
    let fetches = AtomicU32::new(0);
    let asks = (0..20).map(|_| {
        let chunk = content.clone();
        let fetches = &fetches;
        let fetch = move || async move {
            fetches.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(futures::stream::iter([Ok(chunk)]))
        };
        cache.ensure(&image, fetch, |_| {})
    });
    for path in futures::future::join_all(asks).await {
        path.unwrap();
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    assert!(cache.0.flights.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_as_announced_leaves_nothing() {
    let scratch = Scratch::new();
    let content = scratch.created(&["-f", "raw"]);
    let cache = scratch.cache();
    let image = reference(&content, ImageFormat::Raw);
    let unavailable =
        |outcome: Result<PathBuf, ImageError>| matches!(outcome, Err(ImageError::Unavailable(_)));

    assert!(unavailable(ensure(&cache, &image, &content[..1000]).await));
    let mut longer = content.clone();
    longer.push(0);
    assert!(unavailable(ensure(&cache, &image, &longer).await));
    let mut other = content.clone();
    other[7] = 1;
    assert!(unavailable(ensure(&cache, &image, &other).await));
    let broken =
        || async { Ok(futures::stream::iter([Ok(vec![0; 10]), Err(anyhow::anyhow!("connection lost"))])) };
    assert!(unavailable(cache.ensure(&image, broken, |_| {}).await));
    assert_eq!(scratch.cached_files(), 0);

    let path = ImageRef { sha256: "../../etc/passwd".into(), ..image };
    assert!(matches!(ensure(&cache, &path, &content).await, Err(ImageError::Invalid(_))));
}

#[tokio::test]
async fn images_that_reach_outside_are_refused() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    std::fs::write(scratch.0.join("secret"), vec![0; 1024 * 1024]).unwrap();
    let cases: [(&str, &[&str]); 3] = [
        ("a backing file", &["-f", "qcow2", "-F", "raw", "-b", "secret"]),
        ("a data file", &["-f", "qcow2", "-o", "data_file=outside,data_file_raw=on"]),
        ("another format than stated", &["-f", "vmdk"]),
    ];
    for (what, arguments) in cases {
        let content = scratch.created(arguments);
        let outcome = ensure(&cache, &reference(&content, ImageFormat::Qcow2), &content).await;
        assert!(matches!(outcome, Err(ImageError::Invalid(_))), "{what}: {outcome:?}");
    }
    let content = scratch.created(&["-f", "qcow2"]);
    let larger = ImageRef { virtual_bytes: 2 << 20, ..reference(&content, ImageFormat::Qcow2) };
    assert!(matches!(ensure(&cache, &larger, &content).await, Err(ImageError::Invalid(_))));
    let full = scratch.full();
    assert!(ensure(&cache, &reference(&full, ImageFormat::Qcow2), &full).await.is_ok());
    cache.prune(&HashSet::new()).unwrap();
    let cut = &full[..full.len() / 2];
    let outcome = ensure(&cache, &reference(cut, ImageFormat::Qcow2), cut).await;
    assert!(matches!(outcome, Err(ImageError::Invalid(_))), "clusters beyond the end: {outcome:?}");
    // Tables that lie far outside the file.
    let mut damaged = content;
    damaged[40..48].copy_from_slice(&u64::MAX.to_be_bytes());
    let outcome = ensure(&cache, &reference(&damaged, ImageFormat::Qcow2), &damaged).await;
    assert!(matches!(outcome, Err(ImageError::Invalid(_))), "{outcome:?}");
    assert_eq!(scratch.cached_files(), 0);
}

#[tokio::test]
async fn only_unused_images_are_pruned_and_left_overs_go_at_the_start() {
    let scratch = Scratch::new();
    let cache = scratch.cache();
    let used = scratch.created(&["-f", "raw"]);
    let unused = scratch.created(&["-f", "qcow2"]);
    let used_image = reference(&used, ImageFormat::Raw);
    let kept = ensure(&cache, &used_image, &used).await.unwrap();
    let gone = ensure(&cache, &reference(&unused, ImageFormat::Qcow2), &unused).await.unwrap();
    let freed = cache.prune(&HashSet::from([used_image.sha256])).unwrap();
    assert_eq!(freed, unused.len() as u64);
    assert!(kept.exists() && !gone.exists());

    std::fs::write(scratch.0.join("cache/half.part"), "x").unwrap();
    scratch.cache();
    assert_eq!(scratch.cached_files(), 1);
}
