//! Messages in whatever order they come.

use super::{Shop, order};
use crate::server::instances::desk::text;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

/// What a service is in the end, without what differs between two of them.
fn state(service: &Value) -> (String, i64) {
    (text(&service["entitlement"]).to_owned(), service["entitlement_version"].as_i64().unwrap())
}

#[tokio::test]
async fn any_order_and_repetition_of_messages_ends_alike() {
    let shop = Shop::open().await;
    let sent: Vec<(i64, &str)> = (2..=26)
        .map(|version| {
            let actions = ["suspend", "unsuspend", "renew", "terminate", "undo-terminate"];
            (version, actions[(version * 7 % 5) as usize])
        })
        .chain([(27, "suspend"), (28, "unsuspend"), (29, "suspend")])
        .collect();
    let mut ends = Vec::new();
    for (n, seed) in [None, Some(1), Some(2), Some(3)].into_iter().enumerate() {
        let service = shop.running(&format!("s{n}")).await;
        let mut arrived = sent.clone();
        if let Some(seed) = seed {
            let mut random = rand::rngs::StdRng::seed_from_u64(seed);
            let mut again = sent.clone();
            again.truncate(12);
            arrived.extend(again);
            arrived.shuffle(&mut random);
        }
        for (version, action) in &arrived {
            let answer = shop.say(&service, action, *version).await;
            assert!([200, 202].contains(&answer.status), "{action} {version}: {answer:?}");
            // What is answered is what is in force, and never older than what was just said.
            assert!(state(&answer.json()).1 >= *version, "{answer:?}");
        }
        shop.desk.obey().await;
        let service = shop.service(&format!("s{n}")).await;
        assert_eq!(text(&service["state"]), "stopped");
        ends.push(state(&service));
        // It ran before the first message: so it runs when it is released.
        shop.say(&service, "unsuspend", 30).await.expect(202);
        shop.desk.obey().await;
        assert_eq!(shop.service(&format!("s{n}")).await["state"], "running");
    }
    assert_eq!(ends, vec![("suspended".to_owned(), 29); 4]);
    shop.desk.books_agree().await;
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn messages_at_the_same_moment_end_alike() {
    let shop = Shop::open().await;
    let service = shop.running("42").await;
    let says = (2..=41).map(|version| {
        let action = if version % 2 == 0 { "suspend" } else { "unsuspend" };
        shop.say(&service, action, version)
    });
    for answer in futures::future::join_all(says).await {
        assert!([200, 202].contains(&answer.status), "{answer:?}");
    }
    shop.desk.obey().await;
    let service = shop.service("42").await;
    assert_eq!((state(&service), text(&service["state"])), (("active".to_owned(), 41), "running"));
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn an_older_message_is_answered_with_what_is_in_force() {
    let shop = Shop::open().await;
    let service = shop.running("42").await;
    let released = shop.say(&service, "unsuspend", 6).await.expect(200).json();
    assert_eq!((&released["entitlement"], &released["entitlement_version"]), (&json!("active"), &json!(6)));
    for action in ["suspend", "terminate"] {
        let late = shop.say(&service, action, 5).await.expect(200).json();
        assert_eq!((&late["entitlement"], &late["entitlement_version"]), (&json!("active"), &json!(6)));
        assert_eq!(late["operation"], json!(null));
    }
    shop.desk.obey().await;
    assert_eq!(shop.service("42").await["state"], "running");
    // Plans have an order of their own.
    let change = |plan: &'static str, version: i64| {
        let api = shop.api.clone();
        async move {
            let body = json!({ "plan": plan, "entitlement_version": version });
            api.post("/billing/v1/services/42/change-plan", body).await
        }
    };
    assert_eq!(change("none", 8).await.status, 422);
    assert_eq!(change("huge", 8).await.status, 409);
    assert_eq!(change("large", 8).await.expect(202).json()["plan"], "large");
    shop.desk.obey().await;
    assert_eq!(change("small", 7).await.expect(200).json()["plan"], "large");
    assert_eq!(change("large", 9).await.expect(200).json()["plan"], "large");
    shop.desk.books_agree().await;
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn a_late_termination_of_a_reference_that_is_used_again_touches_nothing() {
    let shop = Shop::open().await;
    let first = shop.running("42").await;
    shop.say(&first, "terminate", 10).await.expect(202);
    shop.desk.obey().await;
    let kept = shop.service("42").await;
    assert_eq!((&kept["entitlement"], kept["terminate_at"].is_string()), (&json!("terminated"), true));
    // The order from before it, which comes once more, brings nothing back.
    let stale = shop.put("42", order(9)).await.expect(200).json();
    assert_eq!((&stale["id"], &stale["entitlement"]), (&first["id"], &json!("terminated")));
    // A new order is another service with another instance.
    shop.put("42", order(11)).await.expect(202);
    shop.desk.obey().await;
    let second = shop.service("42").await;
    assert!(second["id"] != first["id"] && second["instance_id"] != first["instance_id"]);
    for (action, version) in [("terminate", 99), ("suspend", 99), ("undo-terminate", 99)] {
        let late = shop.say(&first, action, version).await;
        assert_eq!(late.expect(409).json()["code"], "service-mismatch", "{action}");
    }
    // Whoever does not say which one is meant ends nothing.
    let vague = json!({ "entitlement_version": 99 });
    assert_eq!(shop.api.post("/billing/v1/services/42/terminate", vague).await.status, 422);
    shop.desk.obey().await;
    let still = shop.service("42").await;
    assert_eq!((&still["id"], &still["state"]), (&second["id"], &json!("running")));
    assert_eq!(still["entitlement_version"], json!(11));
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn a_termination_can_be_undone_until_the_instance_is_gone() {
    let shop = Shop::open().await;
    let service = shop.running("42").await;
    shop.say(&service, "suspend", 2).await.expect(202);
    shop.say(&service, "terminate", 3).await.expect(202);
    shop.desk.obey().await;
    shop.say(&service, "undo-terminate", 4).await.expect(202);
    shop.desk.obey().await;
    // What ran before it was suspended and terminated runs.
    assert_eq!(shop.service("42").await["state"], "running");
    shop.say(&service, "terminate", 5).await.expect(202);
    sqlx::query("UPDATE instances SET purge_at = now()").execute(shop.desk.pool()).await.unwrap();
    jst_server::worker::purge::pass(shop.desk.platform.app().clone()).await.unwrap();
    let late = shop.say(&service, "undo-terminate", 6).await;
    assert_eq!(late.expect(409).json()["code"], "service-gone");
    shop.desk.obey().await;
    let late = shop.say(&service, "unsuspend", 7).await;
    assert_eq!(late.expect(409).json()["code"], "service-gone");
    let again = shop.say(&service, "terminate", 8).await.expect(200).json();
    assert_eq!((&again["entitlement"], &again["state"]), (&json!("terminated"), &json!("deleted")));
    let plan = json!({ "plan": "large", "entitlement_version": 9 });
    assert_eq!(shop.api.post("/billing/v1/services/42/change-plan", plan).await.status, 409);
    shop.put("42", order(10)).await.expect(202);
    shop.desk.books_agree().await;
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn two_locks_do_not_undo_each_other() {
    let shop = Shop::open().await;
    let service = shop.running("42").await;
    let lock = |reason: Option<&'static str>| {
        let pool = shop.desk.pool();
        async move {
            sqlx::query("UPDATE instances SET lock_reason = $1").bind(reason).execute(pool).await.unwrap();
        }
    };
    let pass = || async {
        jst_server::billing_systems::decisions::pass(shop.desk.platform.app().clone()).await.unwrap();
    };
    let reason = "SELECT coalesce(max(lock_reason), '') FROM instances";
    let reason = || sqlx::query_scalar::<_, String>(reason).fetch_one(shop.desk.pool());
    // Our own billing was first: its lock stays whatever the system says.
    lock(Some("suspended")).await;
    shop.say(&service, "suspend", 2).await.expect(200);
    assert_eq!(reason().await.unwrap(), "suspended");
    shop.say(&service, "unsuspend", 3).await.expect(200);
    assert_eq!(reason().await.unwrap(), "suspended");
    shop.say(&service, "suspend", 4).await.expect(200);
    // Once it lets go, the system's own holds.
    lock(None).await;
    pass().await;
    assert_eq!(reason().await.unwrap(), "service_suspended");
    let tenant: uuid::Uuid =
        sqlx::query_scalar("SELECT tenant_id FROM instances").fetch_one(shop.desk.pool()).await.unwrap();
    jst_server::billing::entitlement::settle(shop.desk.platform.app(), tenant.into()).await.unwrap();
    assert_eq!(reason().await.unwrap(), "service_suspended");
    shop.say(&service, "unsuspend", 5).await.expect(202);
    shop.desk.obey().await;
    assert_eq!(
        (reason().await.unwrap().as_str(), &shop.service("42").await["state"]),
        ("", &json!("running"))
    );
    shop.desk.platform.stop().await;
}
