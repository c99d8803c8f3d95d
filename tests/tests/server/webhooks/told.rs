//! What is told: the closed list, the promised shapes, and that nothing else gets out.

use super::receiver::{Manner, Receiver};
use super::{Hook, desk};
use crate::server::billing::{DAY, Till};
use crate::server::instances::desk::{obeyed, text};
use jst_protocol::report::{FailureCode, Observed, Outcome};
use jst_server::webhooks::types::{self, WebhookMessage};
use jst_server::webhooks::{Side, endpoints};
use jst_tests::eventually;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test]
async fn the_list_is_the_same_in_the_database_the_code_and_the_description() {
    let desk = desk().await;
    let known: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT type FROM webhook_types").fetch_all(desk.pool()).await.unwrap();
    let known: BTreeSet<String> = known.into_iter().collect();
    let offered: BTreeSet<String> = types::offered(Side::Platform).into_iter().map(str::to_owned).collect();
    assert_eq!(known, offered);
    // Every type has a shape in the API's description, and no shape is of none.
    let document = desk.platform.api("").get("/api/v1/openapi.json").await.expect(200).json();
    let schema = document["components"]["schemas"]["WebhookEvent"].to_string();
    for name in offered.iter().map(String::as_str).chain([types::TEST]) {
        assert!(schema.contains(&format!("\"{name}\"")), "{name}");
    }
    assert!(!document["components"]["schemas"]["WebhookMessage"].is_null());
    for schema in ["InstanceCreatedData", "OperationFailedData", "WebhookInvoiceData", "HostReportedData"] {
        assert!(!document["components"]["schemas"][schema].is_null(), "{schema}");
    }
    for path in ["/api/v1/webhooks/{id}/deliveries/{delivery}/resend", "/api/v1/admin/webhooks/{id}/rotate"] {
        assert!(!document["paths"][path].is_null(), "{path}");
    }
    assert_eq!(endpoints::MAX_ENDPOINTS, 10);
    desk.platform.stop().await;
}

/// Everything that waits or was sent, by type.
async fn messages(till: &Till) -> Vec<(String, Value)> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT type, body FROM webhook_messages ORDER BY id")
        .fetch_all(till.desk.pool())
        .await
        .unwrap();
    rows.into_iter()
        .map(|(kind, body)| {
            let parsed: WebhookMessage =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}"));
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(serde_json::to_value(&parsed).unwrap()["type"], json!(kind));
            (kind, body["data"].clone())
        })
        .collect()
}

#[tokio::test]
async fn a_life_with_money_is_told_in_the_promised_shapes() {
    let till = Till::open().await;
    // Nobody is reached: what is told waits in the queue, where it is looked at.
    let body = json!({ "url": "https://192.88.98.1/" });
    till.admin.post("/api/v1/admin/webhooks", body).await.expect(201);
    let customer = till.postpaid("a@example.com").await;
    let api = &customer.api;

    // An instance's whole life.
    let trial = json!({ "name": "try", "plan": "small", "image": "test", "trial": true });
    let trial = api.post("/api/v1/instances", trial).await.expect(202).json();
    let trial = text(&trial["instance_id"]).to_owned();
    till.desk.obey().await;
    customer.act(&trial, "resize", json!({ "plan": "large" })).await.expect(202);
    let flat = till.desk.running(&customer, "db", "flat").await;
    let put = |path: &'static str, body: Value| {
        api.put(Box::leak(format!("/api/v1/instances/{flat}/{path}").into_boxed_str()), body)
    };
    // The second wish replaces the first.
    put("name", json!({ "name": "shop" })).await.expect(202);
    put("name", json!({ "name": "web" })).await.expect(202);
    put("firewall", json!({ "inbound": [] })).await.expect(202);
    api.patch(&format!("/api/v1/instances/{flat}"), json!({ "delete_protection": true })).await.expect(200);
    api.patch(&format!("/api/v1/instances/{flat}"), json!({ "delete_protection": false })).await.expect(200);
    customer.act(&flat, "rebuild", json!({ "image": "test" })).await.expect(202);
    till.desk.obey().await;
    let told = till.desk.told(&flat).await.unwrap();
    let mut crashed = obeyed(&told);
    crashed.observed = Observed::Crashed;
    till.desk.report(&[crashed]).await;
    till.desk.obey().await;
    let doomed = customer.create("doomed", "large").await;
    let mut failed = obeyed(&till.desk.told(&doomed).await.unwrap());
    failed.observed = Observed::Absent;
    failed.outcome =
        Outcome::Failed { code: FailureCode::StorageFull, detail: "no room".to_owned(), permanent: true };
    till.desk.report(&[failed]).await;

    // Money.
    till.at(40 * DAY).await;
    till.make_invoices().await;
    let invoice = text(&till.invoices(&customer).await[0]["id"]).to_owned();
    let credit = json!({ "amount": 100, "reason": "Outage" });
    till.admin.post(&format!("/api/v1/admin/invoices/{invoice}/credit-notes"), credit).await.expect(201);
    till.pay(&customer, 100, "bank-1").await.expect(201);
    let entries = format!("/api/v1/admin/customers/{}/entries", crate::server::billing::id(&customer));
    for (kind, reference) in [("refund", "bank-2"), ("credit", "gift")] {
        let entry =
            json!({ "kind": kind, "amount": 50, "currency": "USD", "reference": reference, "note": "inner" });
        till.admin.post(&entries, entry).await.expect(201);
    }
    api.delete(&format!("/api/v1/instances/{flat}")).await.expect(202);
    customer.act(&flat, "undelete", json!({})).await.expect(202);
    api.delete(&format!("/api/v1/instances/{flat}?now=true")).await.expect(202);
    till.desk.obey().await;
    // A host.
    let host = format!("/api/v1/admin/hosts/{}", till.desk.host);
    till.admin.patch(&host, json!({ "overcommit_cpu_permille": 3000 })).await.expect(200);

    for interval in ["-1 minute", "1 hour"] {
        let lease = format!("UPDATE hosts SET lease_until = now() + interval '{interval}'");
        sqlx::query(sqlx::AssertSqlSafe(lease)).execute(till.desk.pool()).await.unwrap();
        for _ in 0..2 {
            jst_server::hosts::presence::pass(till.desk.platform.app().clone()).await.unwrap();
        }
    }

    let messages = messages(&till).await;
    let of = |kind: &str| -> Vec<&Value> {
        messages.iter().filter(|(name, _)| name == kind).map(|(_, data)| data).collect()
    };
    for kind in [
        "instance.created",
        "instance.updated",
        "instance.crashed",
        "instance.create_failed",
        "instance.deleted",
        "instance.restored",
        "instance.purged",
        "operation.succeeded",
        "operation.failed",
        "operation.cancelled",
        "trial.started",
        "trial.converted",
        "invoice.issued",
        "invoice.credited",
        "payment.received",
        "payment.refunded",
        "credit.added",
        "host.updated",
        "host.lost",
        "host.returned",
    ] {
        assert!(
            !of(kind).is_empty(),
            "{kind} is not among {:?}",
            messages.iter().map(|(kind, _)| kind).collect::<Vec<_>>()
        );
    }
    let tenant = json!(crate::server::billing::id(&customer));
    for (kind, data) in &messages {
        let expected = if kind.starts_with("host.") { &Value::Null } else { &tenant };
        assert_eq!(&data["tenant_id"], expected, "{kind}");
    }
    assert_eq!(of("trial.started")[0]["instance_id"], json!(trial));
    assert_eq!(of("invoice.issued")[0]["invoice_id"], json!(invoice));
    assert_eq!((of("host.lost").len(), of("host.returned").len()), (1, 1));
    let payment = of("payment.received");
    assert_eq!(payment.len(), 1);
    assert_eq!(
        (&payment[0]["amount"], &payment[0]["reference"]),
        (&json!({ "currency": "USD", "minor": 100 }), &json!("bank-1"))
    );
    let changes: Vec<String> = of("instance.updated")
        .iter()
        .flat_map(|data| data["changes"].as_object().unwrap().keys().cloned())
        .collect();
    for field in ["name", "plan", "policy", "firewall", "image", "delete_protection"] {
        // A rebuild with the image that it has changes none.
        assert_eq!(changes.iter().any(|name| name == field), field != "image", "{field} of {changes:?}");
    }
    assert!(messages.iter().all(|(_, data)| !data.to_string().contains("inner")), "notes are the operator's");
    let ended = of("operation.succeeded");
    assert!(ended.iter().all(|data| text(&data["operation_id"]).starts_with("op_")));
    customer.operation(text(&ended[0]["operation_id"])).await;
    // Each is told once, and the customer's own list of what happened stays readable.
    let activity = api.get("/api/v1/activity?limit=100").await.expect(200).json().to_string();
    assert!(!activity.contains("operation.succeeded") && !activity.contains("entry.payment"), "{activity}");
    till.desk.platform.stop().await;
}

/// A transaction that is rolled back is told to nobody, whatever it wrote before.
#[tokio::test]
async fn what_did_not_happen_is_not_told() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    Hook::make(&customer, &receiver, &[]).await;
    let insert = "INSERT INTO events (tenant_id, actor_kind, actor_label, action, subject_kind, subject_id, data) \
                  VALUES ($1, 'system', 'test', 'instance.crashed', 'instance', 'vm_1', '{\"name\": \"x\"}')";
    let mut back = desk.platform.app().db.begin_platform().await.unwrap();
    sqlx::query(insert).bind(customer.tenant).execute(&mut *back).await.unwrap();
    back.rollback().await.unwrap();
    // Numbers are given in one order and become visible in another: neither is lost.
    let mut slow = desk.platform.app().db.begin_platform().await.unwrap();
    sqlx::query(insert).bind(customer.tenant).execute(&mut *slow).await.unwrap();
    sqlx::query(insert).bind(customer.tenant).execute(desk.pool()).await.unwrap();
    receiver.wait_for(1).await;
    slow.commit().await.unwrap();
    receiver.wait_for(2).await;
    eventually("both are noted", Duration::from_secs(20), || async {
        (desk.count("SELECT count(*) FROM webhook_deliveries WHERE state = 'succeeded'").await == 2)
            .then_some(())
    })
    .await;
    assert_eq!(receiver.got().len(), 2);
    desk.platform.stop().await;
}
