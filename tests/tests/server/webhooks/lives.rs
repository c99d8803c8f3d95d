//! kill -9 of the server between an event and its delivery, and events while there is no server: all arrive.

use super::receiver::{Manner, Receiver};
use jst_tests::customer::text;
use jst_tests::{Guests, Stack, eventually};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_server_dies() {
    let mut stack = Stack::start(Guests::Simulated).await;
    stack.furnish(None).await;
    let customer = stack.customer("hooks@example.com").await;
    stack.let_buy("hooks@example.com").await;
    let receiver = Receiver::start([Manner::Silence]).await;
    let made = customer.post("/api/v1/webhooks", json!({ "url": receiver.url })).await.expect(201).json();
    let secret = text(&made["secret"]).to_owned();

    // The first is under way when the server is killed: nobody has answered yet.
    let body = json!({ "name": "a", "plan": "small", "image": "test" });
    let created = customer.post("/api/v1/instances", body).await.expect(202).json();
    let instance = text(&created["instance_id"]).to_owned();
    receiver.wait_for(1).await;
    stack.kill_server();
    // Something happens while there is none.
    let pool = stack.database().await.expect("the database outlives its server");
    sqlx::query(
        "INSERT INTO events (tenant_id, actor_kind, actor_label, action, subject_kind, subject_id, data) \
         SELECT tenant_id, 'system', 'test', 'instance.crashed', 'instance', $1, '{\"name\": \"a\"}' FROM memberships \
         JOIN users ON users.id = user_id WHERE email = 'hooks@example.com'",
    )
    .bind(&instance)
    .execute(&pool)
    .await
    .unwrap();
    receiver.set(Manner::Status(200));
    stack.start_server().await;
    stack.wait_for_state(&customer, &instance, "running").await;
    // Killed at once after it has answered, again and again: the event stands, and nothing was sent yet or some was.
    for (action, pause) in [("shutdown", 0), ("start", 30), ("reboot", 200), ("power-off", 600)] {
        let path = format!("/api/v1/instances/{instance}/actions/{action}");
        let operation = customer.post(&path, json!({})).await.expect(202).json();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        stack.kill_server();
        stack.start_server().await;
        stack.wait_for_operation(&customer, text(&operation["id"])).await;
    }
    // Leases of the dead run out by themselves; the test does not wait for that.
    let written = eventually("everything is noted", Duration::from_secs(60), || async {
        sqlx::query("UPDATE webhook_deliveries SET leased_until = NULL, next_attempt_at = now() WHERE state = 'pending' AND leased_until < now() + interval '15 seconds'")
            .execute(&pool)
            .await
            .ok()?;
        let states: Vec<(uuid::Uuid, String)> =
            sqlx::query_as("SELECT message_id, state FROM webhook_deliveries").fetch_all(&pool).await.ok()?;
        states.iter().all(|(_, state)| state == "succeeded").then_some(states)
    })
    .await;
    let written: BTreeSet<String> = written.iter().map(|(id, _)| format!("msg_{}", id.simple())).collect();
    let got = receiver.got();
    let arrived: BTreeSet<String> = got.iter().map(|request| request.id().to_owned()).collect();
    assert_eq!(arrived, written);
    assert!(got.iter().all(|request| request.signed_by(&secret) == 1));
    // One creation, one crash, and five operations that ended.
    let kinds: Vec<String> = got.iter().map(|request| text(&request.json()["type"]).to_owned()).collect();
    for kind in ["instance.created", "instance.crashed", "operation.succeeded"] {
        assert!(kinds.iter().any(|name| name == kind), "{kind} of {kinds:?}");
    }
    assert!(written.len() >= 7, "{written:?}");
    pool.close().await;
    stack.stop().await;
}
