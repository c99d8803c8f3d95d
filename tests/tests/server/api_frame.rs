//! What all of the API has in common: repeated requests, limits, the description.

use jst_tests::{Api, Platform};
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti lin@example.com";

async fn send(api: &Api, key: &str, body: Value) -> jst_tests::Answer {
    api.send(Method::POST, "/api/v1/ssh-keys", Some(body), &[("idempotency-key", key)]).await
}

#[tokio::test]
async fn a_repeated_request_is_answered_alike_and_done_once() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    let body = json!({ "name": "first", "public_key": KEY });
    let first = send(&api, "once", body.clone()).await.expect(201);
    let second = send(&api, "once", body.clone()).await.expect(201);
    assert_eq!(first.body, second.body);
    assert_eq!(second.headers["idempotency-replayed"], "true");
    assert_eq!(second.headers["content-type"], "application/json");
    let other = send(&api, "once", json!({ "name": "second", "public_key": KEY })).await.expect(422);
    assert_eq!(other.json()["errors"][0]["code"], "idempotency-key-reused");
    // What was refused changed nothing, and its key may be used again.
    send(&api, "again", json!({ "name": "x", "public_key": "junk" })).await.expect(422);
    send(&api, "again", body.clone()).await.expect(422);
    for key in ["", &"k".repeat(256)] {
        let answer = send(&api, key, body.clone()).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["code"], "idempotency-key", "{}", answer.body);
    }
    // The answer is kept sealed.
    let kept: String = sqlx::query_scalar("SELECT body FROM idempotency_keys WHERE key = 'once'")
        .fetch_one(platform.app().db.platform())
        .await
        .unwrap();
    assert!(!kept.contains("ssh-ed25519"), "{kept}");
    platform.stop().await;
}

#[tokio::test]
async fn repeated_requests_at_once_are_done_once() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    let body = json!({ "email": "guest@example.com", "role": "viewer" });
    let headers = [("idempotency-key", "race")];
    let answers = futures::future::join_all(
        (0..8).map(|_| api.send(Method::POST, "/api/v1/team/invitations", Some(body.clone()), &headers)),
    )
    .await;
    let done: Vec<&str> = answers.iter().filter(|a| a.status == 201).map(|a| a.body.as_str()).collect();
    assert!(!done.is_empty() && done.iter().all(|body| *body == done[0]), "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("idempotency-in-progress")));
    }
    let mails: i64 = sqlx::query_scalar("SELECT count(*) FROM mail_outbox WHERE kind = 'invitation'")
        .fetch_one(platform.app().db.platform())
        .await
        .unwrap();
    assert_eq!(mails, 1);
    platform.stop().await;
}

#[tokio::test]
async fn a_key_belongs_to_one_tenant_and_one_day() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    let body = json!({ "name": "first", "public_key": KEY });
    send(&api, "mine", body.clone()).await.expect(201);
    let db = platform.app().db.platform();
    // A request that was cut off after its change is not done again: the answer names what it made.
    sqlx::query(
        "UPDATE idempotency_keys SET status = NULL, body = NULL, created_at = now() - interval '1 hour'",
    )
    .execute(db)
    .await
    .unwrap();
    let answer = send(&api, "mine", body.clone()).await.expect(409);
    assert_eq!(answer.json()["code"], "idempotency-done");
    let keys = api.get("/api/v1/ssh-keys").await.expect(200).json();
    let made = keys["items"][0]["id"].as_str().unwrap();
    assert!(answer.json()["detail"].as_str().unwrap().contains(made), "{made}");
    // One that was cut off before has left no event, and is carried out now, once.
    api.delete(&format!("/api/v1/ssh-keys/{made}")).await.expect(204);
    sqlx::query("UPDATE idempotency_keys SET key = 'early', created_at = now() - interval '3 minutes'")
        .execute(db)
        .await
        .unwrap();
    send(&api, "early", body.clone()).await.expect(201);
    let again = send(&api, "early", body.clone()).await.expect(201);
    assert_eq!(again.headers["idempotency-replayed"], "true");
    sqlx::query("UPDATE idempotency_keys SET key = 'mine'").execute(db).await.unwrap();
    sqlx::query("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
        .execute(db)
        .await
        .unwrap();
    // After a day the key is new again, and the request is carried out (and refused as a duplicate).
    let answer = send(&api, "mine", body).await.expect(422);
    assert_eq!(answer.json()["errors"][0]["code"], "ssh-key-duplicate");
    platform.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_too_fast_is_told_to_wait() {
    let platform = Platform::start_with(&["--api-requests-per-second", "2"]).await;
    let api = platform.api(&platform.admin_token().await);
    let answers = futures::future::join_all((0..40).map(|_| api.get("/api/v1/account"))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty() && answers.iter().any(|answer| answer.status == 200), "{answers:?}");
    for answer in refused {
        assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    // Pages are not the API.
    platform.client().get("/").await.expect(200);
    platform.stop().await;
}

#[tokio::test]
async fn the_account_tells_who_asks() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    let account = api.get("/api/v1/account").await.expect(200).json();
    assert_eq!(account["email"], "admin@example.com");
    assert_eq!(account["tenant"]["role"], "owner");
    let changed = api.patch("/api/v1/account", json!({ "locale": "zh-CN" })).await.expect(200).json();
    assert_eq!(changed["locale"], "zh-CN");
    api.patch("/api/v1/account", json!({ "locale": "xx" })).await.expect(422);
    api.patch("/api/v1/account", json!({ "locale": 5 })).await.expect(422);
    let events = api.get("/api/v1/activity?limit=1").await.expect(200).json();
    assert_eq!(events["items"][0]["action"], "account.locale_changed");
    assert_eq!(events["items"][0]["data"]["locale"]["to"], "zh-CN");
    platform.stop().await;
}
