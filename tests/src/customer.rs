//! A customer of a [`Stack`]: signs up as people do, and works with the API.

use crate::client::Api;
use crate::guest::Key;
use crate::platform::PASSWORD;
use crate::stack::Stack;
use crate::{eventually, pace};
use serde_json::{Value, json};
use std::time::Duration;

pub struct Instance {
    pub id: String,
    pub address: String,
}

impl Stack {
    /// Signs up and verifies a customer, and makes them an API token.
    pub async fn customer(&self, email: &str) -> Api {
        let browser = self.client();
        let answer = browser.post("/sign-up", &[("email", email), ("password", PASSWORD)]).await;
        assert!(answer.status < 400, "sign-up: {}", answer.body);
        let mails = self.mails_to(email);
        let token: String = mails
            .split("/verify?token=")
            .nth(1)
            .unwrap_or_else(|| panic!("no link in {mails}"))
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let answer = browser.post("/verify", &[("token", &token)]).await;
        assert!(answer.status < 400, "verification: {}", answer.body);
        browser.sign_in(email, PASSWORD).await;
        let fields = [
            ("name", "test"),
            ("scopes", "read"),
            ("scopes", "write"),
            ("valid_days", "30"),
            ("current_password", PASSWORD),
        ];
        let answer = browser.post("/api-tokens", &fields).await;
        let page = if answer.status == 303 { browser.get(&answer.location).await.body } else { answer.body };
        let token = page
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
            .find(|word| jst_server::auth::token::checksum_holds(word))
            .unwrap_or_else(|| panic!("no token in {page}"));
        Api::new(&self.url, token)
    }

    /// Lets every customer have many and buy.
    pub async fn let_buy(&self, email: &str) {
        let pool = self.database().await.expect("the database answers");
        let changed = sqlx::query(
            "UPDATE tenants SET may_buy = true, quota_instances = 1000, quota_vcpus = 4000, \
             quota_memory_mib = 4000000, quota_disk_mib = 40000000 FROM memberships JOIN users ON users.id = user_id \
             WHERE tenant_id = tenants.id AND users.email = $1",
        )
        .bind(email)
        .execute(&pool)
        .await
        .expect("the tenant is there");
        assert_eq!(changed.rows_affected(), 1);
        pool.close().await;
    }

    /// Asks for an instance and gives it as soon as it has an address, which is at once.
    pub async fn create_instance(&self, customer: &Api, name: &str, plan: &str, keys: &[&str]) -> Instance {
        let mut ids = Vec::new();
        for key in keys {
            let known = customer.get("/api/v1/ssh-keys").await.expect(200).json();
            let found = known["items"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|k| text(&k["public_key"]).contains(key_body(key)));
            let id = match found {
                Some(key) => text(&key["id"]).to_owned(),
                None => {
                    let body = json!({ "name": "test", "public_key": key });
                    text(&customer.post("/api/v1/ssh-keys", body).await.expect(201).json()["id"]).to_owned()
                }
            };
            ids.push(id);
        }
        let body = json!({ "name": name, "plan": plan, "image": "test", "ssh_keys": ids });
        let operation = customer.post("/api/v1/instances", body).await.expect(202).json();
        let id = text(&operation["instance_id"]).to_owned();
        let instance = customer.get(&format!("/api/v1/instances/{id}")).await.expect(200).json();
        let address = text(&instance["addresses"][0]).split('/').next().unwrap_or_default().to_owned();
        Instance { id, address }
    }

    /// Waits until a command in the guest succeeds, and gives what it printed.  Fails at once, with the reason, when the
    /// platform has given the instance up: nobody waits for a guest that is gone.
    pub async fn reach(
        &self,
        customer: &Api,
        instance: &Instance,
        key: &Key,
        command: &str,
        limit: Duration,
    ) -> String {
        let what = format!("'{command}' in {}", instance.address);
        eventually(&what, pace::within(limit), || async {
            let printed = key.run(&instance.address, command).await;
            if printed.is_none() {
                self.is_not_given_up(customer, &instance.id).await;
            }
            printed
        })
        .await
    }

    async fn is_not_given_up(&self, customer: &Api, id: &str) {
        let answer = customer.get(&format!("/api/v1/instances/{id}")).await;
        if answer.status == 200 && answer.json()["state"] != "failed" {
            return;
        }
        let operations = customer.get(&format!("/api/v1/operations?instance={id}")).await;
        panic!("the platform has given {id} up: {}\nits operations: {}", answer.body, operations.body);
    }

    /// Waits until the instance is in a state.
    pub async fn wait_for_state(&self, customer: &Api, id: &str, state: &str) -> Value {
        eventually(&format!("{id} is {state}"), Duration::from_secs(90), || async {
            let answer = customer.get(&format!("/api/v1/instances/{id}")).await;
            (answer.status == 200).then(|| answer.json()).filter(|instance| instance["state"] == state)
        })
        .await
    }

    /// Asks for an action and waits until its operation has ended; gives the operation.
    pub async fn act(&self, customer: &Api, id: &str, action: &str, body: Value) -> Value {
        let answer = customer.post(&format!("/api/v1/instances/{id}/actions/{action}"), body).await;
        let operation = answer.expect(202).json();
        self.wait_for_operation(customer, text(&operation["id"])).await
    }

    pub async fn wait_for_operation(&self, customer: &Api, id: &str) -> Value {
        eventually(&format!("operation {id} ends"), Duration::from_secs(120), || async {
            let answer = customer.get(&format!("/api/v1/operations/{id}")).await;
            (answer.status == 200)
                .then(|| answer.json())
                .filter(|operation| !["pending", "running"].contains(&text(&operation["state"])))
        })
        .await
    }

    /// Deletes an instance without a grace period and waits until nothing is left of it.
    pub async fn delete_now(&self, customer: &Api, id: &str) {
        let answer = customer.delete(&format!("/api/v1/instances/{id}?now=true")).await;
        let operation = answer.expect(202).json();
        let ended = self.wait_for_operation(customer, text(&operation["id"])).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        eventually(&format!("{id} is gone"), Duration::from_secs(60), || async {
            (customer.get(&format!("/api/v1/instances/{id}")).await.status == 404).then_some(())
        })
        .await;
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// What is the same in every way of writing a public key.
fn key_body(key: &str) -> &str {
    key.split_whitespace().nth(1).unwrap_or(key)
}
