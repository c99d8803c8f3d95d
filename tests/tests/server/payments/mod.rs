//! Payments that come in through providers, against the stand-ins of `jst_tests::payments`.

mod ask;
mod crash;
mod disputes;
mod flow;
mod inbound;
mod orders;
mod refusals;

use super::billing::Till;
use super::instances::desk::Customer;
use jst_tests::eventually;
use jst_tests::payments::simulator::Simulator;
use jst_tests::payments::{Known, settings};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

pub const PROVIDERS: [&str; 3] = ["stripe", "alipay", "wechat"];

/// A till with all providers set up, and the providers themselves.
pub struct Counter {
    pub till: Till,
    pub simulator: Simulator,
    /// Of the simulator.
    pub url: String,
}

impl Counter {
    pub async fn open() -> Self {
        let till = Till::open_with(&["--payment-allow", "127.0.0.0/8"]).await;
        let simulator = Simulator::default();
        let url = simulator.start(0, &till.desk.platform.url).await;
        for provider in PROVIDERS {
            let path = format!("/api/v1/admin/payment-providers/{provider}");
            till.admin.put(&path, settings(provider, &url)).await.expect(200);
        }
        Self { till, simulator, url }
    }

    pub fn pool(&self) -> &PgPool {
        self.till.desk.pool()
    }

    pub fn platform(&self) -> &str {
        &self.till.desk.platform.url
    }

    /// A prepaid customer whose account is in this currency.
    pub async fn customer(&self, email: &str, currency: &str) -> Customer {
        let customer = self.till.desk.buyer(email).await;
        let terms = json!({ "currency": currency, "prepaid": true, "tax_rate": null });
        self.till.terms(&customer, terms).await.expect(200);
        customer
    }

    /// As cents or fen.
    pub async fn balance(&self, customer: &Customer) -> i64 {
        self.till.account(customer).await["balance"]["minor"].as_i64().unwrap()
    }

    pub async fn settled(&self) {
        settled(self.pool()).await;
    }

    /// How many events are in each state.
    pub async fn events(&self) -> Vec<(String, i64)> {
        sqlx::query_as("SELECT state, count(*) FROM payment_events GROUP BY state ORDER BY state")
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    pub async fn close(self) {
        self.till.desk.platform.stop().await;
    }
}

/// Waits until everything that was received is applied and every account was looked at.
pub async fn settled(pool: &PgPool) {
    eventually("all events are applied", Duration::from_secs(120), || async {
        (waiting(pool).await == 0).then_some(())
    })
    .await;
}

/// How many events are not applied, and payments after which no account was looked at.
pub async fn waiting(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM payment_events WHERE state = 'received') \
         + (SELECT count(*) FROM payments WHERE reviewed < entries)",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// A pending payment as [`jst_server::billing::payments::create`] leaves it, without asking the provider.
pub async fn begun(pool: &PgPool, tenant: Uuid, known: &mut Known) {
    let id = Uuid::now_v7();
    known.number = id.simple().to_string();
    sqlx::query(
        "INSERT INTO payments (id, tenant_id, currency, provider, amount, created_by, expires_at) \
         VALUES ($1, $2, $3, $4, $5, 'test', now() + interval '2 hours')",
    )
    .bind(id)
    .bind(tenant)
    .bind(known.currency)
    .bind(known.provider)
    .bind(known.amount)
    .execute(pool)
    .await
    .unwrap();
}

/// The number by which a provider knows a payment of the API.
pub fn number(payment: &Value) -> String {
    payment["id"].as_str().unwrap().trim_start_matches("pay_").to_owned()
}
