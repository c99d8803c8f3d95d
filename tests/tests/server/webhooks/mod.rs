//! Webhooks: from the transaction of an event to somebody else's server.

mod delivery;
mod guard;
mod interop;
mod lives;
mod manage;
mod pages;
mod receiver;
mod told;

use super::instances::desk::{Customer, Desk, text};
use jst_tests::{Api, Platform, eventually};
use receiver::Receiver;
use serde_json::{Value, json};
use std::time::Duration;

/// This machine may be told things.
pub const OPEN: [&str; 4] =
    ["--danger-customer-webhook-allow", "127.0.0.0/8", "--webhook-allow", "127.0.0.0/8"];

/// Tests look more often than programs do.
pub async fn desk() -> Desk {
    let arguments = [&OPEN[..], &["--api-requests-per-second", "1000"]].concat();
    Desk::on(Platform::start_with(&arguments).await).await
}

/// An endpoint with its secret.
pub struct Hook {
    pub id: String,
    pub secret: String,
    path: String,
}

impl Hook {
    /// At the operator's `/api/v1/admin/webhooks` or at a customer's `/api/v1/webhooks`.
    pub async fn make_at(api: &Api, path: &str, receiver: &Receiver, types: &[&str]) -> Self {
        let body = json!({ "url": receiver.url, "types": types });
        let made = api.post(path, body).await.expect(201).json();
        let id = text(&made["id"]).to_owned();
        Self { secret: text(&made["secret"]).to_owned(), path: format!("{path}/{id}"), id }
    }

    pub async fn make(customer: &Customer, receiver: &Receiver, types: &[&str]) -> Self {
        Self::make_at(&customer.api, "/api/v1/webhooks", receiver, types).await
    }

    pub fn at(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }

    pub async fn shown(&self, api: &Api) -> Value {
        api.get(&self.path).await.expect(200).json()
    }

    /// The newest first.
    pub async fn deliveries(&self, api: &Api) -> Vec<Value> {
        let list = api.get(&self.at("/deliveries?limit=100")).await.expect(200).json();
        list["items"].as_array().expect("a list").clone()
    }

    pub async fn detail(&self, api: &Api, delivery: &Value) -> Value {
        let path = self.at(&format!("/deliveries/{}", text(&delivery["id"])));
        api.get(&path).await.expect(200).json()
    }

    /// Sends a test and waits until it has ended.
    pub async fn tested(&self, api: &Api) -> Value {
        let sent = api.post(&self.at("/test"), json!({})).await.expect(202).json();
        eventually("the test ends", Duration::from_secs(40), || async {
            Some(self.detail(api, &sent).await).filter(|detail| detail["state"] != "pending")
        })
        .await
    }

    /// Waits until the newest delivery has had so many attempts whose outcome is known.
    pub async fn attempted(&self, api: &Api, count: usize) -> Value {
        eventually(&format!("{count} attempts"), Duration::from_secs(40), || async {
            let newest = self.deliveries(api).await.into_iter().next()?;
            let detail = self.detail(api, &newest).await;
            (detail["log"].as_array()?.len() >= count).then_some(detail)
        })
        .await
    }
}

/// Something happens of which `instance.updated` tells, and nothing else.
pub async fn rename(customer: &Customer, instance: &str, name: &str) {
    let path = format!("/api/v1/instances/{instance}/name");
    customer.api.put(&path, json!({ "name": name })).await.expect(202);
}

/// What waits is due now.
pub async fn hurry(desk: &Desk) {
    sqlx::query("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'pending'")
        .execute(desk.pool())
        .await
        .unwrap();
}
