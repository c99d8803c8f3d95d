//! Stands in for all payment providers of a platform, so that somebody can click through a payment.
//!
//! `jst-pay URL ADMIN_TOKEN` enters itself into the platform's settings and serves until it is ended.  The platform must
//! have been started with `--payment-allow 127.0.0.0/8`.

use anyhow::{Context, ensure};
use jst_tests::Api;
use jst_tests::payments::settings;
use jst_tests::payments::simulator::Simulator;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let platform = arguments.next().context("jst-pay URL ADMIN_TOKEN")?;
    let platform = platform.trim_end_matches('/');
    let api = Api::new(platform, &arguments.next().context("jst-pay URL ADMIN_TOKEN")?);
    let url = Simulator::default().start(0, platform).await;
    for provider in ["stripe", "alipay", "wechat"] {
        let path = format!("/api/v1/admin/payment-providers/{provider}");
        let answer = api.put(&path, settings(provider, &url)).await;
        ensure!(answer.status == 200, "{provider}: {} {}", answer.status, answer.body);
    }
    println!("Stripe, Alipay and WeChat Pay are at {url}; pay at {platform}/billing/payments");
    std::future::pending().await
}
