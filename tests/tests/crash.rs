//! kill -9 of the server, the agent and Postgres in the middle of every operation: nothing that was
//! acknowledged is lost, and everything agrees within 30 seconds.

use jst_tests::customer::text;
use jst_tests::{Api, Guests, Stack};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
enum Victim {
    Server,
    Agent,
    Postgres,
}

const VICTIMS: [Victim; 3] = [Victim::Server, Victim::Agent, Victim::Postgres];

/// After the acknowledgement: at once, while the agent works (it takes 50 ms an action), and later.
const MOMENTS: [u64; 3] = [0, 70, 200];

const CONVERGES_WITHIN: Duration = Duration::from_secs(30);

/// An action, its body, and the state that follows it.
fn actions() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("shutdown", json!({}), "stopped"),
        ("start", json!({}), "running"),
        ("reboot", json!({}), "running"),
        ("resize", json!({ "plan": "large" }), "running"),
        ("rebuild", json!({ "image": "test" }), "running"),
        ("power-off", json!({}), "stopped"),
    ]
}

async fn strike(stack: &mut Stack, victim: Victim, after: u64) {
    tokio::time::sleep(Duration::from_millis(after)).await;
    match victim {
        Victim::Server => {
            stack.kill_server();
            stack.start_server().await;
        }
        Victim::Agent => {
            stack.kill_agent();
            stack.start_agent();
        }
        Victim::Postgres => stack.kill_postgres(),
    }
}

/// Waits for an acknowledged operation, and for the state that it leads to.
async fn converges(stack: &Stack, customer: &Api, operation: &Value, state: &str) {
    let start = Instant::now();
    // Until Postgres is back the API may answer with errors; that is not what is judged here.
    stack.wait_for_server().await;
    let ended = stack.wait_for_operation(customer, text(&operation["id"])).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    stack.wait_for_state(customer, text(&operation["instance_id"]), state).await;
    assert!(start.elapsed() < CONVERGES_WITHIN, "{} took {:?}", operation["kind"], start.elapsed());
}

/// What the platform's books say must be the sum of what its instances hold.
async fn books_agree(stack: &Stack) {
    let pool = stack.database().await.expect("the database answers");
    let difference: i64 = sqlx::query_scalar(
        "SELECT (abs(booked_memory_size_mib - coalesce(sum(memory_size_mib), 0)) \
         + abs(booked_vcpus - coalesce(sum(vcpus), 0)) + abs(booked_storage_mib - coalesce(sum(storage_mib), 0)))::bigint \
         FROM hosts LEFT JOIN bookings ON bookings.host_id = hosts.id GROUP BY hosts.id",
    )
    .fetch_one(&pool)
    .await
    .expect("there is a host");
    assert_eq!(difference, 0, "the host's booked figures are not the sum of its bookings");
    let (bookings, addresses, live): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM bookings), (SELECT count(DISTINCT instance_id) FROM addresses), \
         (SELECT count(*) FROM instances WHERE purged_at IS NULL)",
    )
    .fetch_one(&pool)
    .await
    .expect("the tables are there");
    assert_eq!((bookings, addresses), (live, live), "bookings, addresses and instances differ");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_whatever_dies() {
    let mut stack = Stack::start(Guests::Simulated).await;
    stack.furnish(None).await;
    let email = "crash@example.com";
    let customer = stack.customer(email).await;
    stack.let_buy(email).await;

    for (round, victim) in VICTIMS.into_iter().enumerate() {
        let moment = |step: usize| MOMENTS[(round + step) % MOMENTS.len()];

        // Creation is cut off as well; the answer has come, so the instance must.
        let body = json!({ "name": format!("crash-{round}"), "plan": "small", "image": "test" });
        let created = customer.post("/api/v1/instances", body).await.expect(202).json();
        strike(&mut stack, victim, moment(0)).await;
        converges(&stack, &customer, &created, "running").await;
        let id = text(&created["instance_id"]).to_owned();

        for (step, (action, body, state)) in actions().into_iter().enumerate() {
            println!("{victim:?} dies {} ms after {action}", moment(step + 1));
            let path = format!("/api/v1/instances/{id}/actions/{action}");
            let operation = customer.post(&path, body).await.expect(202).json();
            strike(&mut stack, victim, moment(step + 1)).await;
            converges(&stack, &customer, &operation, state).await;
        }
        books_agree(&stack).await;

        let operation = customer.delete(&format!("/api/v1/instances/{id}?now=true")).await.expect(202).json();
        strike(&mut stack, victim, moment(1)).await;
        stack.wait_for_server().await;
        let ended = stack.wait_for_operation(&customer, text(&operation["id"])).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        books_agree(&stack).await;
    }
    stack.stop().await;
}

/// A request that was cut off has either happened whole or not at all, and its key tells which: what
/// has not happened is carried out now, and what has is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_cut_off_can_be_repeated() {
    let mut stack = Stack::start(Guests::Simulated).await;
    stack.furnish(None).await;
    let customer = stack.customer("repeat@example.com").await;
    stack.let_buy("repeat@example.com").await;
    for round in 0..5 {
        let body = json!({ "name": format!("repeat-{round}"), "plan": "small", "image": "test" });
        let key = format!("key-{round}");
        let first = tokio::spawn({
            let (customer, body, key) = (customer.clone(), body.clone(), key.clone());
            async move {
                customer
                    .try_send(
                        reqwest::Method::POST,
                        "/api/v1/instances",
                        Some(body),
                        &[("idempotency-key", &key)],
                    )
                    .await
            }
        });
        tokio::time::sleep(Duration::from_millis(5 * round)).await;
        stack.kill_server();
        let _ = first.await;
        stack.start_server().await;
        let send = |key: String| {
            let (customer, body) = (customer.clone(), body.clone());
            async move {
                let headers = [("idempotency-key", key.as_str())];
                customer.send(reqwest::Method::POST, "/api/v1/instances", Some(body), &headers).await
            }
        };
        let repeated = send(key.clone()).await;
        if repeated.status == 202 {
            continue;
        }
        // For two minutes another replica might still be working on it.
        assert_eq!(repeated.expect(409).json()["code"], "idempotency-in-progress");
        let pool = stack.database().await.expect("the database answers");
        sqlx::query(
            "UPDATE idempotency_keys SET created_at = created_at - interval '3 minutes' WHERE key = $1",
        )
        .bind(&key)
        .execute(&pool)
        .await
        .expect("the key is there");
        pool.close().await;
        let settled = send(key.clone()).await;
        if settled.status != 202 {
            let told = settled.expect(409).json();
            assert_eq!(told["code"], "idempotency-done", "{told}");
            assert!(text(&told["detail"]).contains("vm_"), "{told}");
        }
    }
    let instances = customer.get("/api/v1/instances?limit=100").await.expect(200).json();
    let items = instances["items"].as_array().expect("a list");
    assert_eq!(items.len(), 5, "{instances}");
    for instance in items {
        stack.wait_for_state(&customer, text(&instance["id"]), "running").await;
    }
    books_agree(&stack).await;
    stack.stop().await;
}
