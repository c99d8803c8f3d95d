//! Runs a furnished platform for the browser tests, until standard input ends.
//!
//! `jst-stack simulated|real` prints one line of JSON: where it is and how to get in.

use anyhow::bail;
use jst_tests::platform::PASSWORD;
use jst_tests::stack::ADMIN;
use jst_tests::{Guests, Stack, guest};
use serde_json::json;
use std::io::Read;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (guests, image) = match std::env::args().nth(1).as_deref() {
        Some("simulated") => (Guests::Simulated, None),
        Some("real") => (Guests::Real, Some(guest::micro_image())),
        _ => bail!("jst-stack simulated|real"),
    };
    let stack = Stack::start(guests).await;
    stack.furnish(image.as_deref()).await;
    println!(
        "{}",
        json!({ "url": stack.url, "admin_email": ADMIN, "admin_password": PASSWORD, "admin_token": stack.token,
            "database": stack.database_url(), "data_directory": stack.server_data() })
    );
    // Whoever started us closes the pipe when the tests are over.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    stack.stop().await;
    Ok(())
}
