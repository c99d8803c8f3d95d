use super::desk::{Desk, obeyed, text};
use jst_protocol::desired::Presence;
use jst_protocol::report::{FailureCode, Observed, Outcome, Step};
use jst_server::worker;
use serde_json::json;

#[tokio::test]
async fn a_deletion_can_be_undone_while_its_grace_period_runs() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let path = format!("/api/v1/instances/{id}");
    let operation = customer.api.delete(&path).await.expect(202).json();
    assert_eq!(customer.instance(&id).await["state"], "deleting");
    assert!(matches!(desk.told(&id).await.unwrap().presence, Presence::Retained { .. }));
    desk.obey().await;
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "succeeded");
    assert_eq!(customer.act(&id, "start", json!({})).await.expect(409).json()["code"], "instance-deleting");
    desk.books_agree().await;
    assert_eq!(desk.count("SELECT count(*) FROM addresses").await, 1, "it may still come back");

    customer.asked(&id, "undelete").await;
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "stopped");
    customer.asked(&id, "start").await;
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "running");
    desk.platform.stop().await;
}

#[tokio::test]
async fn after_the_grace_period_everything_goes_and_nothing_before_the_host_says_so() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let path = format!("/api/v1/instances/{id}");
    customer.api.delete(&path).await.expect(202);
    desk.obey().await;
    worker::purge::pass(desk.platform.app().clone()).await.unwrap();
    assert!(matches!(desk.told(&id).await.unwrap().presence, Presence::Retained { .. }), "too early");

    sqlx::query("UPDATE instances SET purge_at = now() - interval '1 second'")
        .execute(desk.pool())
        .await
        .unwrap();
    worker::purge::pass(desk.platform.app().clone()).await.unwrap();
    let told = desk.told(&id).await.unwrap();
    assert_eq!(told.presence, Presence::Deleted);
    assert_eq!(
        customer.act(&id, "undelete", json!({})).await.expect(409).json()["code"],
        "undelete-too-late"
    );

    // A report about what was desired before is no acknowledgement, and neither is one of work.
    let mut early = obeyed(&told);
    early.generation -= 1;
    let mut working = obeyed(&told);
    working.outcome = Outcome::Progress { step: Step::Deleting, percent: 50 };
    let mut left = obeyed(&told);
    left.observed = Observed::Stopped;
    desk.report(&[early, working, left]).await;
    assert_eq!(desk.count("SELECT count(*) FROM addresses").await, 1);

    desk.obey().await;
    customer.api.get(&path).await.expect(404);
    assert_eq!(desk.told(&id).await, None);
    assert_eq!(desk.count("SELECT count(*) FROM addresses").await, 0);
    assert_eq!(desk.count("SELECT count(*) FROM bookings").await, 0);
    assert_eq!(desk.count("SELECT count(*) FROM operations WHERE state IN ('pending', 'running')").await, 0);
    desk.books_agree().await;
    // The acknowledgement comes again, and the name is free.
    desk.report(&[obeyed(&told)]).await;
    customer.create("web", "small").await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_deletion_at_once_waits_for_nothing_but_the_host() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = customer.create("web", "small").await;
    let path = format!("/api/v1/instances/{id}");
    assert_eq!(customer.api.delete(&format!("{path}?now=perhaps")).await.expect(422).status, 422);
    // Still being made: the creation is given up.
    let created = customer.instance(&id).await["operation"]["id"].clone();
    let operation = customer.api.delete(&format!("{path}?now=true")).await.expect(202).json();
    assert_eq!(customer.operation(text(&created)).await["state"], "cancelled");
    assert_eq!(desk.told(&id).await.unwrap().presence, Presence::Deleted);
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "pending");
    desk.obey().await;
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "succeeded");
    customer.api.get(&path).await.expect(404);
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn who_deleted_for_later_may_delete_at_once_after_all() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let path = format!("/api/v1/instances/{id}");
    customer.api.delete(&path).await.expect(202);
    desk.obey().await;
    customer.api.delete(&format!("{path}?now=true")).await.expect(202);
    desk.obey().await;
    customer.api.get(&path).await.expect(404);
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_creation_that_fails_for_good_gives_everything_back() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let operation = customer.try_create("web", "small").await.expect(202).json();
    let id = text(&operation["instance_id"]).to_owned();
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    report.observed = Observed::Absent;
    report.applied = None;
    // Not for good: the host tries again, and the customer sees why it takes longer.
    report.outcome =
        Outcome::Failed { code: FailureCode::StorageFull, detail: "no space".into(), permanent: false };
    desk.report(&[report.clone()]).await;
    let seen = customer.operation(text(&operation["id"])).await;
    assert_eq!((text(&seen["state"]), text(&seen["failure_code"])), ("running", "storage_full"));

    report.outcome =
        Outcome::Failed { code: FailureCode::ImageInvalid, detail: "bad checksum".into(), permanent: true };
    desk.report(&[report.clone()]).await;
    let seen = customer.operation(text(&operation["id"])).await;
    assert_eq!((text(&seen["state"]), text(&seen["failure_code"])), ("failed", "image_invalid"));
    let instance = customer.instance(&id).await;
    assert_eq!((text(&instance["state"]), &instance["addresses"]), ("failed", &json!([])));
    assert_eq!(desk.count("SELECT count(*) FROM bookings").await, 0);
    desk.books_agree().await;
    assert_eq!(desk.told(&id).await.unwrap().presence, Presence::Deleted);

    // Again, once the host has cleared away what it had begun.
    assert_eq!(customer.act(&id, "retry", json!({})).await.expect(409).json()["code"], "retry-too-early");
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "failed");
    customer.asked(&id, "retry").await;
    let told = desk.told(&id).await.unwrap();
    assert_eq!(told.epoch, 2, "the host has buried the first one");
    // What is left of the first attempt says nothing about the second.
    desk.report(&[report]).await;
    assert_eq!(customer.instance(&id).await["state"], "provisioning");
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "running");
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn what_failed_can_be_deleted_and_is_gone_at_once() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = customer.create("web", "small").await;
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    report.observed = Observed::Absent;
    report.outcome = Outcome::Failed { code: FailureCode::Unknown, detail: String::new(), permanent: true };
    desk.report(&[report]).await;
    desk.obey().await;
    let path = format!("/api/v1/instances/{id}");
    let operation = customer.api.delete(&path).await.expect(202).json();
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "succeeded");
    customer.api.get(&path).await.expect(404);
    desk.platform.stop().await;
}
