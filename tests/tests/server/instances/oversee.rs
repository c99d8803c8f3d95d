//! What an operator of the platform does about operations: try again, take back.

use super::desk::{Customer, Desk, obeyed, text};
use jst_protocol::report::{FailureCode, Observed, Outcome};
use jst_tests::Api;
use serde_json::{Value, json};

pub async fn admin(desk: &Desk) -> Api {
    desk.platform.api(&desk.platform.admin_token().await)
}

fn path(operation: &str, verb: &str) -> String {
    format!("/api/v1/admin/operations/{operation}/{verb}")
}

async fn code(api: &Api, operation: &str, verb: &str) -> String {
    text(&api.post(&path(operation, verb), json!({})).await.expect(409).json()["code"]).to_owned()
}

/// Lets the host say for good that it cannot start the instance; gives the operation.
async fn failed_start(desk: &Desk, customer: &Customer, id: &str) -> String {
    customer.asked(id, "shutdown").await;
    desk.obey().await;
    let start = customer.asked(id, "start").await;
    let mut report = obeyed(&desk.told(id).await.unwrap());
    report.observed = Observed::Stopped;
    report.outcome =
        Outcome::Failed { code: FailureCode::HostMemory, detail: "no room".to_owned(), permanent: true };
    desk.report(&[report]).await;
    assert_eq!(customer.operation(&start).await["state"], "failed");
    start
}

#[tokio::test]
async fn what_failed_is_told_to_the_host_again() {
    let desk = Desk::open().await;
    let admin = admin(&desk).await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let start = failed_start(&desk, &customer, &id).await;

    let again: Value = admin.post(&path(&start, "retry"), json!({})).await.expect(202).json();
    assert_eq!((text(&again["kind"]), text(&again["state"])), ("start", "pending"));
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "running");
    assert_eq!(customer.operation(text(&again["id"])).await["state"], "succeeded");
    assert_eq!(desk.event("instance.operation_retried").await.unwrap()["operation"], "start");

    assert_eq!(code(&admin, text(&again["id"]), "retry").await, "operation-not-failed");
    // The newer start has replaced the one that failed.
    assert_eq!(code(&admin, &start, "retry").await, "operation-replaced");
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_wish_about_power_is_taken_back() {
    let desk = Desk::open().await;
    let admin = admin(&desk).await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;

    let off = customer.asked(&id, "power-off").await;
    admin.post(&path(&off, "cancel"), json!({})).await.expect(204);
    assert_eq!(customer.operation(&off).await["state"], "cancelled");
    let told = desk.told(&id).await.unwrap();
    assert_eq!(told.actions, [], "the host is not told to end it any more");
    desk.obey().await;
    let instance = customer.instance(&id).await;
    assert_eq!((text(&instance["state"]), text(&instance["power"])), ("running", "running"));

    let reboot = customer.asked(&id, "reboot").await;
    let generation = instance["generation"].clone();
    admin.post(&path(&reboot, "cancel"), json!({})).await.expect(204);
    assert_eq!(customer.instance(&id).await["generation"], generation, "nothing that is wanted has changed");
    assert_eq!(desk.told(&id).await.unwrap().actions, []);

    assert_eq!(code(&admin, &reboot, "cancel").await, "operation-not-open");
    let resize = customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(202).json();
    assert_eq!(code(&admin, text(&resize["id"]), "cancel").await, "operation-not-cancellable");
    assert_eq!(customer.operation(text(&resize["id"])).await["state"], "pending");
    desk.platform.stop().await;
}

#[tokio::test]
async fn only_administrators_and_only_what_is_there() {
    let desk = Desk::open().await;
    let admin = admin(&desk).await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let reboot = customer.asked(&id, "reboot").await;
    for verb in ["retry", "cancel"] {
        customer.api.post(&path(&reboot, verb), json!({})).await.expect(404);
        admin.post(&path(&format!("op_{}", "0".repeat(32)), verb), json!({})).await.expect(404);
        admin.post(&path("op_x", verb), json!({})).await.expect(404);
    }
    assert_eq!(customer.operation(&reboot).await["state"], "pending");
    desk.platform.stop().await;
}
