//! Addresses that must not be told anything, however they are spelt: nobody connects to them.

use super::receiver::{Manner, Receiver};
use super::{Hook, OPEN, desk};
use crate::server::instances::desk::{Desk, field_errors};
use jst_tests::{Platform, eventually};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn this_machine_is_told_nothing_however_it_is_spelt() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let port = receiver.port;
    for (url, code) in [
        (format!("https://127.0.0.1:{port}/"), "webhook-address"),
        (format!("https://127.1:{port}/"), "webhook-address"),
        (format!("https://2130706433:{port}/"), "webhook-address"),
        (format!("https://0x7f000001:{port}/"), "webhook-address"),
        (format!("https://0x7f.0.0.1:{port}/"), "webhook-address"),
        (format!("https://017700000001:{port}/"), "webhook-address"),
        (format!("https://0.0.0.0:{port}/"), "webhook-address"),
        (format!("https://[::1]:{port}/"), "webhook-address"),
        (format!("https://[::]:{port}/"), "webhook-address"),
        (format!("https://[::ffff:127.0.0.1]:{port}/"), "webhook-address"),
        (format!("https://[::ffff:7f00:1]:{port}/"), "webhook-address"),
        (format!("https://[::127.0.0.1]:{port}/"), "webhook-address"),
        (format!("https://[64:ff9b::7f00:1]:{port}/"), "webhook-address"),
        (format!("https://[2002:7f00:1::]:{port}/"), "webhook-address"),
        (format!("http://127.0.0.1:{port}/"), "webhook-address"),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), "webhook-address"),
        ("https://10.0.0.1/".to_owned(), "webhook-address"),
        ("http://example.com/".to_owned(), "url-unencrypted"),
        (format!("http://localhost:{port}/"), "url-unencrypted"),
        ("https://me:secret@example.com/".to_owned(), "url-credentials"),
        ("ftp://example.com/".to_owned(), "url-scheme"),
        ("file:///etc/passwd".to_owned(), "url-scheme"),
        ("example.com/hook".to_owned(), "url"),
        ("https://".to_owned(), "url"),
        (format!("https://example.com/{}", "x".repeat(2000)), "url"),
        (String::new(), "required"),
    ] {
        let refused = customer.api.post("/api/v1/webhooks", json!({ "url": url })).await.expect(422);
        assert_eq!(field_errors(&refused), [("url".to_owned(), code.to_owned())], "{url}");
    }
    // A name passes until it is known what it means.
    let body = json!({ "url": format!("https://localhost:{port}/") });
    let made = customer.api.post("/api/v1/webhooks", body).await.expect(201).json();
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    let refused =
        customer.api.patch(&path, json!({ "url": format!("https://[::1]:{port}/") })).await.expect(422);
    assert_eq!(field_errors(&refused)[0].1, "webhook-address");
    let sent = customer.api.post(&format!("{path}/test"), json!({})).await.expect(202).json();
    let detail = eventually("the test ends", Duration::from_secs(20), || async {
        let path = format!("{path}/deliveries/{}", sent["id"].as_str().unwrap());
        Some(customer.api.get(&path).await.expect(200).json()).filter(|detail| detail["state"] == "failed")
    })
    .await;
    assert_eq!(detail["log"][0]["problem"], "forbidden", "{detail}");
    assert_eq!(receiver.connections(), 0, "nobody connected");
    desk.platform.stop().await;
}

/// What was allowed once is looked at again with each attempt: addresses in the table, and what names mean by then.
#[tokio::test]
async fn an_address_is_looked_at_before_each_attempt() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let body = json!({ "url": "https://example.com/", "types": ["instance.created"] });
    let made = customer.api.post("/api/v1/webhooks", body).await.expect(201).json();
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    for host in ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"] {
        for scheme in ["http", "https"] {
            sqlx::query("UPDATE webhook_endpoints SET url = $1")
                .bind(format!("{scheme}://{host}:{}/", receiver.port))
                .execute(desk.pool())
                .await
                .unwrap();
            let sent = customer.api.post(&format!("{path}/test"), json!({})).await.expect(202).json();
            eventually("the test ends", Duration::from_secs(20), || async {
                let path = format!("{path}/deliveries/{}", sent["id"].as_str().unwrap());
                let detail = customer.api.get(&path).await.expect(200).json();
                (detail["log"][0]["problem"] == "forbidden").then_some(())
            })
            .await;
        }
    }
    assert_eq!(receiver.connections(), 0, "nobody connected");
    desk.platform.stop().await;
}

#[tokio::test]
async fn only_networks_that_the_operator_allows_are_told_without_encryption() {
    let desk =
        Desk::on(Platform::start_with(&["--danger-customer-webhook-allow", "127.0.0.2/32"]).await).await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    customer.api.post("/api/v1/webhooks", json!({ "url": url })).await.expect(422);
    // A name is asked for its address, which must be one of these networks.
    let url = format!("http://localhost:{}/", receiver.port);
    let made = customer.api.post("/api/v1/webhooks", json!({ "url": url })).await.expect(201).json();
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    customer.api.post(&format!("{path}/test"), json!({})).await.expect(202);
    eventually("the test ends", Duration::from_secs(20), || async {
        let list = customer.api.get(&format!("{path}/deliveries")).await.expect(200).json();
        (list["items"][0]["last_problem"] == "forbidden").then_some(())
    })
    .await;
    assert_eq!(receiver.connections(), 0, "nobody connected");
    desk.platform.stop().await;
    // Allowed, the same name is told.
    assert_eq!(OPEN[1], "127.0.0.0/8");
    let desk = super::desk().await;
    let customer = desk.buyer("a@example.com").await;
    let mut receiver = Receiver::start([Manner::Status(200)]).await;
    receiver.url = format!("http://localhost:{}/", receiver.port);
    let hook = Hook::make(&customer, &receiver, &[]).await;
    assert_eq!(hook.tested(&customer.api).await["state"], "succeeded");
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_redirection_inside_is_a_failure() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let inside = Receiver::start([Manner::Status(200)]).await;
    let receiver = Receiver::start([Manner::Redirect(inside.url.clone())]).await;
    let hook = Hook::make(&customer, &receiver, &[]).await;
    let detail = hook.tested(&customer.api).await;
    assert_eq!((&detail["state"], &detail["log"][0]["status"]), (&json!("failed"), &json!(302)));
    assert_eq!((receiver.connections(), inside.connections()), (1, 0));
    desk.platform.stop().await;
}

/// Whatever the operator lists, for whatever purpose.
#[tokio::test]
async fn customers_never_get_into_the_operators_networks() {
    let loopback = "127.0.0.0/8";
    let arguments = ["--webhook-allow", loopback, "--import-allow", loopback, "--payment-allow", loopback];
    let desk = Desk::on(Platform::start_with(&arguments).await).await;
    let admin = desk.platform.api(&desk.platform.admin_token().await);
    let customer = desk.buyer("a@example.com").await;
    let mut receiver = Receiver::start([Manner::Status(200)]).await;
    receiver.url = format!("http://127.0.0.1:{}/", receiver.port);
    let refused = customer.api.post("/api/v1/webhooks", json!({ "url": receiver.url })).await.expect(422);
    assert_eq!(field_errors(&refused), [("url".to_owned(), "webhook-address".to_owned())]);
    let named = format!("http://localhost:{}/", receiver.port);
    let refused = customer.api.post("/api/v1/webhooks", json!({ "url": named })).await.expect(422);
    assert_eq!(field_errors(&refused), [("url".to_owned(), "url-unencrypted".to_owned())]);
    // Also where it came into the table before.
    let body = json!({ "url": "https://example.com/", "types": ["instance.created"] });
    let made = customer.api.post("/api/v1/webhooks", body).await.expect(201).json();
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    sqlx::query("UPDATE webhook_endpoints SET url = $1")
        .bind(&receiver.url)
        .execute(desk.pool())
        .await
        .unwrap();
    customer.api.post(&format!("{path}/test"), json!({})).await.expect(202);
    eventually("the test ends", Duration::from_secs(20), || async {
        let list = customer.api.get(&format!("{path}/deliveries")).await.expect(200).json();
        (list["items"][0]["last_problem"] == "forbidden").then_some(())
    })
    .await;
    assert_eq!(receiver.connections(), 0, "nobody connected");
    // The operator's own go there, as listed.
    let hook = Hook::make_at(&admin, "/api/v1/admin/webhooks", &receiver, &["host.updated"]).await;
    assert_eq!(hook.tested(&admin).await["state"], "succeeded");
    desk.platform.stop().await;
}

#[tokio::test]
async fn the_administration_warns_of_a_way_in_for_customers() {
    for (arguments, warns) in [(&OPEN[..], true), (&OPEN[2..], false)] {
        let platform = Platform::start_with(arguments).await;
        let page = platform.admin().await.get("/admin").await.expect(200).body;
        assert_eq!(page.contains("JST_DANGER_CUSTOMER_WEBHOOK_ALLOW"), warns);
        platform.stop().await;
    }
}
