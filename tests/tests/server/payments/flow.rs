//! The whole way: from the choice of an amount to a balance, and to a server that runs again.

use super::{Counter, PROVIDERS, number};
use crate::server::instances::desk::{Customer, text};
use jst_tests::Client;
use jst_tests::payments::Tell;
use jst_tests::platform::PASSWORD;
use serde_json::{Value, json};

async fn browser(counter: &Counter, customer: &Customer) -> Client {
    let hash = jst_server::auth::password::hash(PASSWORD.to_owned()).await.unwrap();
    let email: String =
        sqlx::query_scalar("UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING email")
            .bind(customer.user)
            .bind(hash)
            .fetch_one(counter.pool())
            .await
            .unwrap();
    let client = counter.till.desk.platform.client();
    client.sign_in(&email, PASSWORD).await;
    client
}

async fn begin(customer: &Customer, provider: &str, amount: i64, currency: &str) -> Value {
    let body = json!({ "provider": provider, "amount": amount, "currency": currency });
    customer.api.post("/api/v1/billing/payments", body).await.expect(201).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paid_counts_once_with_every_provider() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    let mut expected = 0;
    for provider in PROVIDERS {
        let payment = begin(&customer, provider, 8_888, "CNY").await;
        let number = number(&payment);
        assert_eq!(payment["state"], "pending", "{payment}");
        let (way, none) = if provider == "wechat" { ("code", "pay_url") } else { ("pay_url", "code") };
        assert!(payment[way].is_string() && payment[none].is_null(), "{payment}");
        if provider == "alipay" {
            // Alipay hears of it when the customer comes.
            let http =
                reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
            let answer = http.get(text(&payment["pay_url"])).send().await.unwrap();
            let status = answer.status();
            assert_eq!(status, 303, "{}", answer.text().await.unwrap());
        }
        assert_eq!(counter.simulator.order(&number).unwrap().known.amount, 8_888);
        // What the browser says credits nothing.
        let path = format!("/billing/payments/{}?back=1&payment_status=paid", text(&payment["id"]));
        browser(&counter, &customer).await.get(&path).await.expect(200);
        counter.settled().await;
        assert_eq!(counter.balance(&customer).await, expected);
        counter.simulator.tell(&number, Tell::Paid, 3).await.unwrap();
        counter.settled().await;
        expected += 8_888;
        assert_eq!(counter.balance(&customer).await, expected);
        // A part goes back, and then the rest.
        counter.simulator.tell(&number, Tell::Refunded(888), 2).await.unwrap();
        counter.settled().await;
        let path = format!("/api/v1/billing/payments/{}", text(&payment["id"]));
        let shown = customer.api.get(&path).await.expect(200).json();
        assert_eq!((&shown["state"], &shown["refunded"]["minor"]), (&json!("paid"), &json!(888)));
        assert!(shown["pay_url"].is_null() && shown["code"].is_null(), "{shown}");
        counter.simulator.tell(&number, Tell::Refunded(8_888), 1).await.unwrap();
        counter.settled().await;
        expected -= 8_888;
        assert_eq!(counter.balance(&customer).await, expected);
        assert_eq!(customer.api.get(&path).await.json()["state"], "refunded");
    }
    let actions: Vec<(String, i64)> = sqlx::query_as(
        "SELECT action, count(*) FROM events WHERE action LIKE 'payment.%' AND tenant_id = $1 GROUP BY action ORDER BY action",
    )
    .bind(customer.tenant)
    .fetch_all(counter.pool())
    .await
    .unwrap();
    let counted = |action: &str, count| (format!("payment.{action}"), count);
    assert_eq!(actions, [counted("created", 3), counted("received", 3), counted("refunded", 6)]);
    let entries = customer.api.get("/api/v1/billing/entries").await.expect(200).json();
    assert_eq!(entries["items"].as_array().unwrap().len(), 9);
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pays_is_released_at_once() {
    let counter = Counter::open().await;
    let till = &counter.till;
    // On credit, which ends.
    let customer = till.desk.buyer("a@example.com").await;
    let id = till.desk.running(&customer, "web", "flat").await;
    till.no_credit(&customer).await;
    let locked = customer.api.get(&format!("/api/v1/instances/{id}")).await.expect(200).json();
    assert_eq!(till.account(&customer).await["stage"], "suspended", "{locked}");
    // Who is suspended may pay, and a part is not enough.
    let first = begin(&customer, "stripe", 500, "USD").await;
    counter.simulator.tell(&number(&first), Tell::Paid, 1).await.unwrap();
    counter.settled().await;
    assert_eq!(till.account(&customer).await["stage"], "suspended");
    let second = begin(&customer, "stripe", 50_000, "USD").await;
    counter.simulator.tell(&number(&second), Tell::Paid, 1).await.unwrap();
    counter.settled().await;
    assert_eq!(till.account(&customer).await["stage"], "clear");
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_there_and_back() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    let own = browser(&counter, &customer).await;
    assert!(own.get("/billing").await.expect(200).body.contains("/billing/payments"));
    let page = own.get("/billing/payments").await.expect(200).body;
    assert!(page.contains("Alipay") && page.contains("WeChat Pay") && page.contains("Stripe"), "{page}");
    for (fields, word) in [
        ([("amount", "1.5.5"), ("provider", "stripe")], "1.5.5"),
        ([("amount", "0.99"), ("provider", "stripe")], "from ¥1.00"),
        ([("amount", "99999999999"), ("provider", "stripe")], "from ¥1.00"),
        ([("amount", "-5"), ("provider", "stripe")], "from ¥1.00"),
        ([("amount", "5"), ("provider", "paypal")], "Choose one"),
        ([("amount", "5"), ("provider", "")], "Choose one"),
    ] {
        let page = own.post("/billing/payments", &fields).await.expect(422).body;
        assert!(page.contains(word), "{fields:?}: {page}");
    }
    // Stripe: a page that leads on by itself, and a button where it does not.
    let there =
        own.post("/billing/payments", &[("amount", "12.50"), ("provider", "stripe")]).await.expect(303);
    let page = own.get(&there.location).await.expect(200);
    let refresh = page.headers["refresh"].to_str().unwrap().to_owned();
    let url = refresh.strip_prefix("0; url=").unwrap();
    assert!(url.starts_with(&counter.url) && page.body.contains(url), "{refresh}");
    let plain = there.location.split('?').next().unwrap().to_owned();
    let page = own.get(&plain).await.expect(200);
    assert!(!page.headers.contains_key("refresh"));
    let cancelled = own.get(&format!("{plain}?cancelled=1")).await.expect(200).body;
    assert!(cancelled.contains("without paying") && cancelled.contains(url), "{cancelled}");
    let back = own.get(&format!("{plain}?back=1")).await.expect(200).body;
    assert!(back.contains("We wait for Stripe"), "{back}");
    assert!(back.contains("data-live"), "{back}");
    // WeChat Pay: a code to scan.
    let there = own.post("/billing/payments", &[("amount", "6"), ("provider", "wechat")]).await.expect(303);
    let page = own.get(&there.location).await.expect(200);
    assert!(page.body.contains("class=\"qr\"") && !page.headers.contains_key("refresh"), "{}", page.body);
    // Nobody else's.
    let stranger = counter.customer("b@example.com", "USD").await;
    let other = browser(&counter, &stranger).await;
    other.get(&plain).await.expect(404);
    stranger.api.get(&plain.replace("/billing", "/api/v1/billing")).await.expect(404);
    assert!(!other.get("/billing/payments").await.expect(200).body.contains(&plain));
    // Without a session it leads to the sign-in and back.
    let answer = counter.till.desk.platform.client().get(&format!("{plain}?back=1")).await.expect(303);
    assert!(answer.location.starts_with("/sign-in"), "{}", answer.location);
    // A viewer sees it, and is led nowhere.
    sqlx::query("UPDATE memberships SET role = 'viewer' WHERE tenant_id = $1")
        .bind(customer.tenant)
        .execute(counter.pool())
        .await
        .unwrap();
    let page = own.get(&format!("{plain}?go=1")).await.expect(200);
    assert!(!page.headers.contains_key("refresh") && !page.body.contains(url), "{}", page.body);
    own.post("/billing/payments", &[("amount", "6"), ("provider", "stripe")]).await.expect(403);
    // Both languages.
    for (language, word) in [("zh-CN", "等待支付"), ("en", "Waiting for the payment")] {
        own.post("/preferences", &[("language", language), ("next", "/billing")]).await.expect(303);
        assert!(own.get(&plain).await.expect(200).body.contains(word));
        assert!(own.get("/billing/payments").await.expect(200).body.contains(word));
    }
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_leaves_no_debt() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    counter.simulator.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    for provider in ["stripe", "wechat"] {
        let body = json!({ "provider": provider, "amount": 1000, "currency": "CNY" });
        let answer = customer.api.post("/api/v1/billing/payments", body).await.expect(502);
        assert_eq!(answer.json()["code"], "payment-provider");
    }
    let all = customer.api.get("/api/v1/billing/payments").await.expect(200).json();
    assert!(all["items"].as_array().unwrap().iter().all(|payment| payment["state"] == "failed"), "{all}");
    assert_eq!(counter.balance(&customer).await, 0);
    // What nobody paid in time is over; and still, money that comes counts.
    counter.simulator.broken.store(false, std::sync::atomic::Ordering::Relaxed);
    let payment = begin(&customer, "stripe", 1000, "CNY").await;
    sqlx::query("UPDATE payments SET expires_at = now() - interval '1 hour' WHERE state = 'pending'")
        .execute(counter.pool())
        .await
        .unwrap();
    jst_server::billing::payments::inbox::pass(counter.till.desk.platform.app()).await.unwrap();
    let path = format!("/api/v1/billing/payments/{}", text(&payment["id"]));
    assert_eq!(customer.api.get(&path).await.json()["state"], "expired");
    counter.simulator.tell(&number(&payment), Tell::Paid, 1).await.unwrap();
    counter.settled().await;
    assert_eq!(customer.api.get(&path).await.json()["state"], "paid");
    assert_eq!(counter.balance(&customer).await, 1000);
    counter.close().await;
}
