//! kill -9 of the server between the acknowledgement and the application of what was told: nothing is lost, nothing counts twice.

use super::{PROVIDERS, begun, settled};
use futures::StreamExt;
use jst_tests::payments::{Known, Notification, Signer, Tell, now, settings, tell};
use jst_tests::{Guests, Stack};
use serde_json::json;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

const PAYMENTS: usize = 60;

/// Payments of a customer, and what their providers tell.
async fn written(pool: &PgPool, tenant: Uuid, round: usize) -> Vec<Notification> {
    let mut told = Vec::new();
    for n in 0..PAYMENTS {
        let provider = PROVIDERS[n % 3];
        let mut known = Known { provider, number: String::new(), amount: 1000, currency: "CNY" };
        begun(pool, tenant, &mut known).await;
        let event = |what: &Tell, name: &str| {
            tell(&known, what, 0, &format!("evt_{round}_{n}_{name}"), now(), Signer::Provider)
        };
        told.push(event(&Tell::Paid, "paid"));
        if n % 4 == 0 {
            told.push(event(&Tell::Refunded(400), "refunded"));
        }
    }
    told
}

async fn balance(pool: &PgPool, tenant: Uuid) -> i64 {
    sqlx::query_scalar(
        "SELECT coalesce(sum(CASE credit WHEN 'customer' THEN amount ELSE -amount END), 0)::bigint FROM account_entries \
         WHERE tenant_id = $1",
    )
    .bind(tenant)
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_applied_whenever_the_server_dies() {
    let mut stack = Stack::start(Guests::Simulated).await;
    for provider in PROVIDERS {
        let path = format!("/api/v1/admin/payment-providers/{provider}");
        stack.admin().put(&path, settings(provider, "http://127.0.0.1:1")).await.expect(200);
    }
    let email = "payer@example.com";
    let _customer = stack.customer(email).await;
    let found =
        stack.admin().get(&format!("/api/v1/admin/customers?search={email}")).await.expect(200).json();
    let id = found["items"][0]["id"].as_str().unwrap().to_owned();
    let terms = json!({ "currency": "CNY", "prepaid": true, "tax_rate": null });
    stack.admin().put(&format!("/api/v1/admin/customers/{id}/billing"), terms).await.expect(200);
    let tenant = Uuid::try_parse(id.trim_start_matches("ten_")).unwrap();
    let http = reqwest::Client::new();
    let per_round = (PAYMENTS * 1000 - PAYMENTS / 4 * 400) as i64;

    // First: nothing can be applied while we hold the payments, and everything is acknowledged.
    let pool = stack.database().await.unwrap();
    let told = written(&pool, tenant, 0).await;
    let mut held = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM payments FOR UPDATE").fetch_all(&mut *held).await.unwrap();
    for sent in &told {
        assert_eq!(sent.send(&http, &stack.url).await.unwrap().0, 200);
    }
    stack.kill_server();
    let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM payment_events WHERE state = 'received'")
        .fetch_one(&mut *held)
        .await
        .unwrap();
    assert_eq!(waiting, told.len() as i64, "the server died before it applied anything");
    drop(held);
    pool.close().await;
    stack.start_server().await;
    let pool = stack.database().await.unwrap();
    settled(&pool).await;
    assert_eq!(balance(&pool, tenant).await, per_round);

    // Then: killed at moments of chance, again and again, while the providers repeat what was not acknowledged.
    let told = written(&pool, tenant, 1).await;
    pool.close().await;
    let mut open = told.clone();
    let mut kills = 0;
    while !open.is_empty() {
        let answers = tokio::spawn({
            let (http, url, open) = (http.clone(), stack.url.clone(), open.clone());
            async move {
                futures::stream::iter(open)
                    .map(|sent| {
                        let (http, url) = (http.clone(), url.clone());
                        async move {
                            let answer = sent.send(&http, &url).await;
                            (sent, answer.is_ok_and(|(status, _)| status == 200))
                        }
                    })
                    .buffer_unordered(4)
                    .collect::<Vec<_>>()
                    .await
            }
        });
        if kills < 4 {
            tokio::time::sleep(Duration::from_millis(30 + 40 * kills)).await;
            stack.kill_server();
            kills += 1;
            let answers = answers.await.unwrap();
            open =
                answers.into_iter().filter(|(_, acknowledged)| !acknowledged).map(|(sent, _)| sent).collect();
            stack.start_server().await;
        } else {
            let answers = answers.await.unwrap();
            open =
                answers.into_iter().filter(|(_, acknowledged)| !acknowledged).map(|(sent, _)| sent).collect();
        }
    }
    let pool = stack.database().await.unwrap();
    settled(&pool).await;
    assert_eq!(balance(&pool, tenant).await, 2 * per_round, "after {kills} deaths");
    let (events, entries): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM payment_events), (SELECT count(*) FROM account_entries)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((events, entries), (2 * told.len() as i64, 2 * told.len() as i64));
    pool.close().await;
    stack.stop().await;
}
