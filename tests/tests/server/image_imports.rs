//! Images that the server fetches from elsewhere: what becomes one, what is refused, and what is never asked.

use jst_tests::{Api, Platform, eventually};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PATH: &str = "/api/v1/admin/image-imports";
const OPEN: [&str; 2] = ["--import-allow", "127.0.0.0/8"];

/// A web server of a few lines: `/image` is one, and other paths go wrong in their own ways.
struct Elsewhere {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Elsewhere {
    async fn start(image: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, own) = (asked.clone(), url.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (image, own) = (image.clone(), own.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default();
                    let head = |status: &str, more: &str, length: usize| {
                        format!(
                            "HTTP/1.1 {status}\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n"
                        )
                        .into_bytes()
                    };
                    let to = |place: &str| head("302 Found", &format!("location: {place}\r\n"), 0);
                    let answer = match path {
                        "/image" => [head("200 OK", "", image.len()), image].concat(),
                        "/text" => [head("200 OK", "", 5), b"hello".to_vec()].concat(),
                        "/page" => [head("200 OK", "", 15), b"<!doctype html>".to_vec()].concat(),
                        // It says more than it sends.
                        "/half" => [head("200 OK", "", image.len() * 2), image].concat(),
                        "/moved" => to("/image"),
                        "/inside" => to("http://10.0.0.1/image"),
                        "/metadata" => to("http://169.254.169.254/latest/"),
                        "/round" => to(&format!("{own}/round")),
                        _ => head("404 Not Found", "", 0),
                    };
                    let _ = stream.write_all(&answer).await;
                });
            }
        });
        Self { url, asked }
    }
}

fn image(platform: &Platform) -> Vec<u8> {
    let path = jst_tests::images::blank(platform.directory.path(), "made.qcow2", 16);
    std::fs::read(path).expect("it was made")
}

/// As its publisher compresses it.
fn packed(content: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("xz").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("xz");
    child.stdin.take().expect("a pipe").write_all(content).expect("less than a pipe holds");
    child.wait_with_output().expect("it ends").stdout
}

fn input(slug: &str, url: &str) -> Value {
    json!({ "slug": slug, "name": slug, "format": "qcow2", "login_user": "root", "url": url })
}

/// Waits until an import has ended, and gives it.
async fn ended(admin: &Api, id: &str) -> Value {
    eventually("the import ends", Duration::from_secs(60), || async {
        let all = admin.get(PATH).await.expect(200).json();
        let found = all["items"].as_array()?.iter().find(|import| import["id"] == id)?.clone();
        (found["state"] == "succeeded" || found["state"] == "failed").then_some(found)
    })
    .await
}

async fn import(admin: &Api, body: Value) -> Value {
    let started = admin.post(PATH, body).await.expect(202).json();
    assert_eq!(started["state"], "waiting");
    ended(admin, started["id"].as_str().expect("an id")).await
}

#[tokio::test]
async fn a_file_from_elsewhere_becomes_an_image() {
    let platform = Platform::start_with(&OPEN).await;
    let admin = platform.api(&platform.admin_token().await);
    let content = image(&platform);
    let sha256 = hex::encode(Sha256::digest(&content));
    let elsewhere = Elsewhere::start(content.clone()).await;
    let mut body = input("from-web", &format!("{}/moved", elsewhere.url));
    body["sha256"] = json!(sha256.to_uppercase());
    let done = import(&admin, body).await;
    assert_eq!(
        (&done["state"], &done["received_bytes"]),
        (&json!("succeeded"), &json!(content.len())),
        "{done}"
    );
    let images = admin.get("/api/v1/admin/images").await.expect(200).json();
    assert_eq!(images["items"][0]["slug"], "from-web", "{images}");
    assert_eq!(images["items"][0]["sha256"], json!(sha256));
    platform.stop().await;
}

#[tokio::test]
async fn a_compressed_file_is_checked_as_it_arrives_and_kept_as_the_image_in_it() {
    let platform = Platform::start_with(&OPEN).await;
    let admin = platform.api(&platform.admin_token().await);
    let content = image(&platform);
    let arrives = packed(&content);
    let [sha256, sha256_of_packed] = [&content, &arrives].map(|bytes| hex::encode(Sha256::digest(bytes)));
    let elsewhere = Elsewhere::start(arrives.clone()).await;
    let url = format!("{}/image", elsewhere.url);
    let mut body = input("inner", &url);
    body["sha256"] = json!(sha256);
    let done = import(&admin, body).await;
    assert!(done["failure"].as_str().is_some_and(|reason| reason.contains(&sha256_of_packed)), "{done}");
    let mut body = input("outer", &url);
    body["sha256"] = json!(sha256_of_packed);
    let done = import(&admin, body).await;
    assert_eq!((&done["state"], &done["received_bytes"]), (&json!("succeeded"), &json!(arrives.len())));
    let image = admin.get("/api/v1/admin/images").await.expect(200).json()["items"][0].clone();
    assert_eq!(
        (&image["slug"], &image["sha256"], &image["file_bytes"]),
        (&json!("outer"), &json!(sha256), &json!(content.len()))
    );
    let kept = platform.directory.path().join("server/images");
    let names: Vec<_> = std::fs::read_dir(kept).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, [sha256.as_str()], "the compressed file is gone");
    platform.stop().await;
}

#[tokio::test]
async fn what_is_no_image_is_refused_with_the_reason() {
    let platform = Platform::start_with(&OPEN).await;
    let admin = platform.api(&platform.admin_token().await);
    let elsewhere = Elsewhere::start(image(&platform)).await;
    let mut other = input("digest", &format!("{}/image", elsewhere.url));
    other["sha256"] = json!("0".repeat(64));
    for (body, reason) in [
        (input("gone", &format!("{}/none", elsewhere.url)), "404"),
        (input("text", &format!("{}/text", elsewhere.url)), "stated format"),
        (input("page", &format!("{}/page", elsewhere.url)), "web page"),
        (other, "not the one that you named"),
        (input("inside", &format!("{}/inside", elsewhere.url)), "not a public address"),
        (input("metadata", &format!("{}/metadata", elsewhere.url)), "not a public address"),
        (input("round", &format!("{}/round", elsewhere.url)), "leads on and on"),
    ] {
        let done = import(&admin, body).await;
        assert_eq!(done["state"], "failed", "{done}");
        assert!(done["failure"].as_str().expect("a reason").contains(reason), "{done}");
    }
    assert_eq!(admin.get("/api/v1/admin/images").await.expect(200).json()["items"], json!([]));
    let left = std::fs::read_dir(platform.directory.path().join("server/images")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing of it stays on the disk");
    platform.stop().await;
}

#[tokio::test]
async fn this_machine_and_its_network_are_not_asked() {
    let platform = Platform::start().await;
    let admin = platform.api(&platform.admin_token().await);
    let elsewhere = Elsewhere::start(image(&platform)).await;
    let port = elsewhere.url.rsplit(':').next().expect("a port").to_owned();
    for (url, code) in [
        (elsewhere.url.clone(), "url-address"),
        (format!("http://2130706433:{port}/image"), "url-address"),
        (format!("http://[::ffff:127.0.0.1]:{port}/image"), "url-address"),
        ("file:///etc/passwd".to_owned(), "url-scheme"),
        ("http://me:secret@example.com/".to_owned(), "url-credentials"),
        ("image.qcow2".to_owned(), "url"),
    ] {
        let refused = admin.post(PATH, input("inside", &url)).await.expect(422).json();
        assert_eq!(refused["errors"][0]["code"], code, "{url}: {refused}");
    }
    // A name passes until it is known what it means.
    let done = import(&admin, input("inside", &format!("http://localhost:{port}/image"))).await;
    assert!(done["failure"].as_str().expect("a reason").contains("not a public address"), "{done}");
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 0, "nobody connected");

    let mut bad = input("bad", "https://example.com/");
    bad["sha256"] = json!("abc");
    admin.post(PATH, bad).await.expect(422);
    let customer = platform.customer("customer@example.com").await;
    customer.post("/admin/images/fetch", &[("url", "https://example.com/")]).await.expect(404);
    platform.stop().await;
}

#[tokio::test]
async fn an_import_that_was_cut_off_begins_again_and_is_given_up_in_the_end() {
    let platform = Platform::start_with(&OPEN).await;
    let admin = platform.api(&platform.admin_token().await);
    let elsewhere = Elsewhere::start(image(&platform)).await;
    let started =
        admin.post(PATH, input("half", &format!("{}/half", elsewhere.url))).await.expect(202).json();
    let id = started["id"].as_str().expect("an id").to_owned();
    let pool = platform.app().db.platform();
    // Leases run out at once instead of after half a minute.
    let hurry = || async {
        sqlx::query(
            "UPDATE image_imports SET lease_until = now() - interval '1 second' WHERE state = 'running'",
        )
        .execute(pool)
        .await
        .expect("imports can be written");
        let all = admin.get(PATH).await.expect(200).json();
        (all["items"][0]["state"] == "failed").then(|| all["items"][0].clone())
    };
    let done = eventually("it is given up", Duration::from_secs(60), hurry).await;
    assert_eq!(done["id"], json!(id));
    assert_eq!(elsewhere.asked.load(Ordering::Relaxed), 3, "{done}");
    admin.delete(&format!("{PATH}/{id}")).await.expect(204);
    admin.delete(&format!("{PATH}/{id}")).await.expect(404);
    platform.stop().await;
}
