//! Payments of which nothing is told: the provider is asked, and what it says counts as if it had been told.

use super::{Counter, PROVIDERS, number};
use crate::server::instances::desk::{Customer, text};
use jst_server::billing::payments::ask;
use jst_tests::eventually;
use jst_tests::payments::Tell;
use jst_tests::payments::simulator::{Lie, Trade};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

async fn begun(counter: &Counter, customer: &Customer, provider: &str) -> (String, String) {
    let body = json!({ "provider": provider, "amount": 8_888, "currency": "CNY" });
    let payment = customer.api.post("/api/v1/billing/payments", body).await.expect(201).json();
    if provider == "alipay" {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        assert_eq!(http.get(text(&payment["pay_url"])).send().await.unwrap().status(), 303);
    }
    (text(&payment["id"]).to_owned(), number(&payment))
}

/// As if the time for the next question had come.
async fn asked(counter: &Counter) {
    sqlx::query("UPDATE payments SET ask_at = now() - interval '1 second' WHERE ask_at IS NOT NULL")
        .execute(counter.pool())
        .await
        .unwrap();
    ask::pass(counter.till.desk.platform.app().clone()).await.unwrap();
    counter.settled().await;
}

async fn state(customer: &Customer, id: &str) -> String {
    let payment = customer.api.get(&format!("/api/v1/billing/payments/{id}")).await.expect(200).json();
    text(&payment["state"]).to_owned()
}

/// The worker beside the test may have been the one that asked.
async fn comes_to(customer: &Customer, id: &str, wanted: &str) {
    eventually(wanted, Duration::from_secs(30), || async {
        (state(customer, id).await == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_notification_was_lost_counts_once() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    let mut expected = 0;
    for provider in PROVIDERS {
        let (id, number) = begun(&counter, &customer, provider).await;
        asked(&counter).await;
        assert_eq!(state(&customer, &id).await, "pending", "{provider}");
        counter.simulator.becomes(&number, Trade::Paid);
        asked(&counter).await;
        expected += 8_888;
        comes_to(&customer, &id, "paid").await;
        assert_eq!(counter.balance(&customer).await, expected);
        // The notification comes after all, and what is known is not asked about.
        counter.simulator.tell(&number, Tell::Paid, 2).await.unwrap();
        counter.settled().await;
        let questions = counter.simulator.asked.load(Ordering::Relaxed);
        asked(&counter).await;
        assert_eq!(counter.simulator.asked.load(Ordering::Relaxed), questions);
        assert_eq!(counter.balance(&customer).await, expected);
    }
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_closed_expires_and_one_that_went_back_is_both() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    for provider in PROVIDERS {
        let (id, number) = begun(&counter, &customer, provider).await;
        counter.simulator.becomes(&number, Trade::Closed);
        asked(&counter).await;
        comes_to(&customer, &id, "expired").await;
    }
    // Alipay closes a trade that went back whole.
    let (id, number) = begun(&counter, &customer, "alipay").await;
    counter.simulator.becomes(&number, Trade::Refunded);
    asked(&counter).await;
    comes_to(&customer, &id, "refunded").await;
    assert_eq!(counter.balance(&customer).await, 0);
    // One that nobody came to pay is not known there, and expires by its time.
    let body = json!({ "provider": "alipay", "amount": 100, "currency": "CNY" });
    let payment = customer.api.post("/api/v1/billing/payments", body).await.expect(201).json();
    asked(&counter).await;
    assert_eq!(state(&customer, text(&payment["id"])).await, "pending");
    // There is an end of asking.
    for _ in 0..20 {
        asked(&counter).await;
    }
    let left = counter.till.desk.count("SELECT count(*) FROM payments WHERE ask_at IS NOT NULL").await;
    assert_eq!(left, 0);
    let most = counter.till.desk.count("SELECT max(asked)::bigint FROM payments").await;
    assert_eq!(most, 12);
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lies_does_no_harm() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    let mut begun_payments = Vec::new();
    for provider in PROVIDERS {
        let (id, number) = begun(&counter, &customer, provider).await;
        counter.simulator.becomes(&number, Trade::Paid);
        begun_payments.push(id);
    }
    for lie in [Lie::OtherOrder, Lie::Amount, Lie::Forged, Lie::Oversized, Lie::Garbage] {
        *counter.simulator.lie.lock().unwrap() = Some(lie);
        asked(&counter).await;
        for id in &begun_payments {
            assert_eq!(state(&customer, id).await, "pending", "{lie:?}");
        }
        assert_eq!(counter.balance(&customer).await, 0, "{lie:?}");
    }
    // Another amount is kept for somebody to look at, once for each.
    assert_eq!(counter.events().await, [("disputed".to_owned(), 3)]);
    // Who never answers holds up nobody for long, and nothing else.
    *counter.simulator.lie.lock().unwrap() = Some(Lie::Silence);
    let began = Instant::now();
    asked(&counter).await;
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    *counter.simulator.lie.lock().unwrap() = None;
    asked(&counter).await;
    for id in &begun_payments {
        comes_to(&customer, id, "paid").await;
    }
    assert_eq!(counter.balance(&customer).await, 3 * 8_888);
    counter.close().await;
}
