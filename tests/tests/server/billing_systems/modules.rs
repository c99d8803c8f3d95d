//! The modules for WHMCS, Paymenter, FOSSBilling and Blesta: one contract for all, against the running server.

use super::Shop;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Runs the contract while the host does what it is told; the server's own name for the link that it was given.
async fn fulfils(module: &str) {
    let shop = Shop::open().await;
    let packed = tempfile::tempdir().unwrap();
    let status = Command::new(root().join("deploy/billing-modules/pack")).arg(packed.path()).status().await;
    assert!(status.unwrap().success(), "the modules are packed");
    let mut command = Command::new("php");
    // Whatever PHP would only mention is a failure.
    command.args(["-d", "error_reporting=-1", "-d", "display_errors=stderr", "-d", "zend.assertions=1"]);
    command.arg(root().join("tests/billing-modules/contract.php")).arg(module).arg(packed.path());
    command.env("JST_URL", &shop.desk.platform.url).env("JST_TOKEN", &shop.token);
    command.env("JST_UNTRUSTED", shop.desk.platform.agent_url());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = command.spawn().expect("php is installed; tests/run does so").wait_with_output();
    let mut run = std::pin::pin!(tokio::time::timeout(Duration::from_secs(180), run));
    let output = loop {
        tokio::select! {
            output = &mut run => break output.expect("the contract ends").unwrap(),
            () = tokio::time::sleep(Duration::from_millis(100)) => shop.desk.obey().await,
        }
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.ends_with("FULFILLED\n") && err.is_empty(),
        "{module}:\n{out}\n{err}"
    );
    // The address that the module was given is one that works.
    let link = out.lines().find_map(|line| line.strip_prefix("SIGN-ON ")).expect("a link");
    let answer = shop.desk.platform.client().get(link).await;
    assert!(answer.location.starts_with("/instances/vm_"), "{answer:?}");
    shop.desk.books_agree().await;
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn whmcs_fulfils_the_contract() {
    fulfils("whmcs").await;
}

#[tokio::test]
async fn paymenter_fulfils_the_contract() {
    fulfils("paymenter").await;
}

#[tokio::test]
async fn fossbilling_fulfils_the_contract() {
    fulfils("fossbilling").await;
}

#[tokio::test]
async fn blesta_fulfils_the_contract() {
    fulfils("blesta").await;
}
