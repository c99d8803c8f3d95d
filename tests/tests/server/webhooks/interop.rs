//! The libraries that receivers use, about messages that our server has sent: both must verify them, refuse changed
//! ones, and make the same signatures.  `tests/interop/install` fetches them, which `tests/run server` does.

use super::receiver::{Manner, Receiver};
use super::{Hook, desk};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn place() -> PathBuf {
    let folder = jst_tests::stack::programs();
    let place = folder.parent().expect("target").join("interop");
    assert!(
        place.join("stamp").exists(),
        "tests/interop/install fetches the libraries, and tests/run server does so"
    );
    place
}

/// Runs a check in its own folder, and gives what it prints.
fn ask(program: &Path, script: &Path, message: &str) -> String {
    let mut child = Command::new(program)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_libraries_of_npm_and_pypi_agree_with_us() {
    let place = place();
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let hook = Hook::make(&customer, &receiver, &[]).await;
    // Letters beyond ASCII are signed as the bytes that they are.
    let instance = customer.create("数据库 \u{1f680} \"db\"", "large").await;
    receiver.wait_for_type("instance.created").await;
    // With two secrets a message carries two signatures.
    let rotated = customer.api.post(&hook.at("/rotate"), json!({})).await.expect(200).json();
    let new = rotated["secret"].as_str().unwrap().to_owned();
    super::rename(&customer, &instance, "网站").await;
    receiver.wait_for_type("instance.updated").await;
    let python = place.join("venv/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/check.py");
    for request in receiver.got() {
        for secret in [&hook.secret, &new] {
            if request.signed_by(secret) == 0 {
                continue;
            }
            let message =
                json!({ "secret": secret, "headers": request.headers, "body": request.body }).to_string();
            for (program, script) in
                [(Path::new("node"), place.join("check.mjs")), (python.as_path(), script.clone())]
            {
                let theirs = ask(program, &script, &message);
                assert!(request.signatures().contains(&theirs.as_str()), "{theirs} is not in {request:?}");
            }
        }
    }
    let last = receiver.got().pop().unwrap();
    assert_eq!((last.signatures().len(), last.signed_by(&new), last.signed_by(&hook.secret)), (2, 1, 1));
    desk.platform.stop().await;
}
