//! Disputes, refunds that fail, and what they close.

use super::{Counter, number};
use crate::server::instances::desk::{Customer, text};
use jst_tests::payments::{Signer, Tell, now, stripe, stripe_charge, stripe_dispute, stripe_refund, wechat};
use serde_json::{Value, json};

async fn paid(counter: &Counter, customer: &Customer, amount: i64) -> (String, String) {
    let body = json!({ "provider": "stripe", "amount": amount, "currency": "USD" });
    let payment = customer.api.post("/api/v1/billing/payments", body).await.expect(201).json();
    let number = number(&payment);
    counter.simulator.tell(&number, Tell::Paid, 1).await.unwrap();
    counter.settled().await;
    (text(&payment["id"]).to_owned(), number)
}

/// Tells the platform something of Stripe's.
async fn told(counter: &Counter, kind: &str, object: &Value) {
    let id = format!("evt_{}", rand::random::<u64>());
    let sent = stripe(&id, kind, object, now(), Signer::Provider);
    assert_eq!(sent.send(&reqwest::Client::new(), counter.platform()).await.unwrap().0, 200);
    counter.settled().await;
}

async fn mails(counter: &Counter, kind: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT subject FROM mail_outbox WHERE kind = $1 ORDER BY created_at")
        .bind(kind)
        .fetch_all(counter.pool())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_leaves_the_balance_and_closes_the_account_until_it_is_won() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "USD").await;
    let (id, number) = paid(&counter, &customer, 9000).await;
    let dispute = |status: &str| stripe_dispute(&number, "dp_1", 9000, "USD", status);
    let shown = async || customer.api.get(&format!("/api/v1/billing/payments/{id}")).await.expect(200).json();
    told(&counter, "charge.dispute.created", &dispute("needs_response")).await;
    assert_eq!(counter.balance(&customer).await, 0);
    // Told twice and in other words, it counts once.
    told(&counter, "charge.dispute.funds_withdrawn", &dispute("needs_response")).await;
    told(&counter, "charge.dispute.updated", &dispute("under_review")).await;
    assert_eq!(counter.balance(&customer).await, 0);
    let payment = shown().await;
    assert_eq!((text(&payment["dispute"]), &payment["disputed"]["minor"]), ("open", &json!(9000)));
    // Also with money from elsewhere nothing is ordered.
    counter.till.pay(&customer, 50_000, "bank-1").await.expect(201);
    let answer = customer.try_create("vm", "small").await.expect(403).json();
    assert_eq!(text(&answer["code"]), "account-disputed", "{answer}");
    let account = counter.till.account(&customer).await;
    assert_eq!(
        (text(&account["orders_closed"]), &account["spendable"]["minor"]),
        ("account-disputed", &json!(0))
    );
    assert_eq!(mails(&counter, "orders-closed").await.len(), 1);
    assert_eq!(mails(&counter, "payment-attention").await, ["Payment disputed: Stripe"]);
    told(&counter, "charge.dispute.closed", &dispute("won")).await;
    told(&counter, "charge.dispute.funds_reinstated", &dispute("won")).await;
    assert_eq!(counter.balance(&customer).await, 59_000);
    assert_eq!(text(&shown().await["dispute"]), "won");
    customer.create("vm", "small").await;
    // The trail: what happened stands in the entries, each once.
    let entries = customer.api.get("/api/v1/billing/entries").await.expect(200).json();
    let kinds: Vec<&str> =
        entries["items"].as_array().unwrap().iter().map(|entry| text(&entry["kind"])).collect();
    assert_eq!(kinds, ["chargeback", "payment", "chargeback", "payment"]);
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_dispute_keeps_the_account_closed_until_the_operator_opens_it() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "USD").await;
    // It comes before the payment that it is about, which it names by Stripe's number only.
    let body = json!({ "provider": "stripe", "amount": 5000, "currency": "USD" });
    let payment = customer.api.post("/api/v1/billing/payments", body).await.expect(201).json();
    let number = number(&payment);
    told(&counter, "charge.dispute.funds_withdrawn", &stripe_dispute(&number, "dp_1", 2000, "USD", "lost"))
        .await;
    assert_eq!(counter.balance(&customer).await, 0);
    counter.simulator.tell(&number, Tell::Paid, 1).await.unwrap();
    jst_tests::eventually("the dispute is applied", std::time::Duration::from_secs(30), || async {
        (counter.balance(&customer).await == 3000).then_some(())
    })
    .await;
    told(&counter, "charge.dispute.closed", &stripe_dispute(&number, "dp_1", 2000, "USD", "lost")).await;
    let refused = async || customer.try_create("vm", "small").await;
    assert_eq!(text(&refused().await.expect(403).json()["code"]), "account-disputed");
    let path = format!("/api/v1/admin/payments/{}/settle-dispute", text(&payment["id"]));
    customer.api.post(&path, json!({})).await.expect(404);
    let settled = counter.till.admin.post(&path, json!({})).await.expect(200).json();
    assert_eq!((text(&settled["dispute"]), &settled["dispute_settled"]), ("lost", &json!(true)));
    assert_eq!(
        text(&counter.till.admin.post(&path, json!({})).await.expect(409).json()["code"]),
        "payment-not-disputed"
    );
    refused().await.expect(202);
    assert_eq!(counter.balance(&customer).await, 3000);
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inquiry_takes_nothing_and_a_failed_refund_comes_back() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "USD").await;
    let (_, number) = paid(&counter, &customer, 9000).await;
    let inquiry = |status: &str| stripe_dispute(&number, "dp_2", 9000, "USD", status);
    told(&counter, "charge.dispute.created", &inquiry("warning_needs_response")).await;
    assert_eq!(counter.balance(&customer).await, 9000);
    told(&counter, "charge.dispute.closed", &inquiry("warning_closed")).await;
    assert_eq!(counter.till.account(&customer).await["orders_closed"], json!(null));
    told(&counter, "charge.refunded", &stripe_charge(&number, 9000, 4000, "USD")).await;
    told(&counter, "refund.created", &stripe_refund(&number, "re_1", 4000, "USD", "succeeded")).await;
    assert_eq!(counter.balance(&customer).await, 5000);
    for kind in ["refund.failed", "charge.refund.updated", "refund.updated"] {
        told(&counter, kind, &stripe_refund(&number, "re_1", 4000, "USD", "failed")).await;
        assert_eq!(counter.balance(&customer).await, 9000, "{kind}");
    }
    told(&counter, "refund.created", &stripe_refund(&number, "re_2", 4000, "USD", "pending")).await;
    assert_eq!(counter.balance(&customer).await, 5000);
    assert!(mails(&counter, "payment-attention").await.contains(&"Refund failed: Stripe".to_owned()));
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_decide_is_told_to_the_operator() {
    let counter = Counter::open().await;
    for (kind, resource) in [
        (
            "COMPLAINT.CREATE",
            json!({ "complaint_id": "200201820200101080076610000", "action_type": "CREATE_COMPLAINT" }),
        ),
        (
            "REFUND.ABNORMAL",
            json!({ "mchid": "1230000109", "out_trade_no": "1", "refund_status": "ABNORMAL" }),
        ),
    ] {
        let sent = wechat(&format!("EV-{kind}"), kind, &resource, now(), Signer::Provider);
        for _ in 0..2 {
            assert_eq!(sent.send(&reqwest::Client::new(), counter.platform()).await.unwrap().0, 200);
        }
        counter.settled().await;
    }
    assert_eq!(
        mails(&counter, "payment-attention").await,
        ["Customer complaint: WeChat Pay", "Refund failed: WeChat Pay"]
    );
    counter.close().await;
}
