//! What opens something is shown to the one it is for, and to nobody else: not in the database, not in logs that
//! administrators read, not in answers that are kept.

use super::billing_systems::Shop;
use jst_tests::platform::PASSWORD;
use jst_tests::{Api, Client, Platform};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

/// A table of the database as text, row by row.
async fn rows(pool: &PgPool, table: &str) -> Vec<String> {
    let statement = format!("SELECT row_to_json(t)::text FROM {table} AS t");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(pool).await.unwrap()
}

/// Every row of every table that has one of the secrets in it, as it is or in hexadecimal.
async fn found_in_database(pool: &PgPool, secrets: &[(&str, String)]) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' \
             AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for known in ["mail_outbox", "events", "idempotency_keys", "webhook_endpoints", "sign_in_links"] {
        assert!(tables.iter().any(|table| table == known), "{known} is looked at: {tables:?}");
    }
    let mut found = Vec::new();
    for table in tables {
        let content = rows(pool, &table).await.join("\n");
        for (name, secret) in secrets {
            if content.contains(secret.as_str()) || content.contains(&hex::encode(secret)) {
                found.push(format!("{name} in {table}"));
            }
        }
    }
    found
}

/// Everything that an administrator reads, by page and by API, where something might show a secret.
async fn read_by_administrators(admin: &Client, api: &Api) -> String {
    let mut all = String::new();
    for path in [
        "/admin/mail",
        "/admin/audit",
        "/admin/operations",
        "/admin/hosts",
        "/admin/customers",
        "/admin/webhooks",
    ] {
        all += &admin.get(path).await.body;
    }
    for path in ["mail", "audit", "operations", "hosts", "customers", "webhooks", "billing/payments"] {
        all += &api.get(&format!("/api/v1/admin/{path}?limit=100")).await.body;
    }
    let mails = api.get("/api/v1/admin/mail?limit=100").await.expect(200).json();
    for mail in mails["items"].as_array().unwrap() {
        let id = mail["id"].as_str().unwrap();
        all += &admin.get(&format!("/admin/mail/{id}")).await.expect(200).body;
        all += &api.get(&format!("/api/v1/admin/mail/{id}")).await.expect(200).body;
    }
    all
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

#[tokio::test]
async fn a_link_that_opens_something_is_its_recipients_alone() {
    let platform = Platform::start().await;
    let lin = platform.customer("lin@example.com").await;
    platform.client().post("/sign-up", &[("email", "new@example.com"), ("password", PASSWORD)]).await;
    lin.post("/security/email", &[("email", "lin2@example.com"), ("current_password", PASSWORD)])
        .await
        .expect(303);
    lin.post("/team/invitations", &[("email", "guest@example.com"), ("role", "owner")]).await.expect(303);
    lin.post("/forgot", &[("email", "lin@example.com")]).await.expect(303);
    let secrets = [
        ("confirmation", platform.token_in_mail("new@example.com", "/verify?token=").await),
        ("change of address", platform.token_in_mail("lin2@example.com", "/change-email?token=").await),
        ("invitation", platform.token_in_mail("guest@example.com", "/invitation?token=").await),
        ("reset", platform.token_in_mail("lin@example.com", "/reset?token=").await),
    ];
    assert!(secrets.iter().all(|(_, secret)| secret.len() == 64), "{secrets:?}");

    let admin = platform.admin().await;
    let api = platform.api(&platform.admin_token().await);
    let shown = read_by_administrators(&admin, &api).await;
    assert!(shown.contains("[link: only the recipient sees it]"), "mails are shown without their links");
    for (name, secret) in &secrets {
        assert!(!shown.contains(secret), "an administrator sees the {name} link");
    }
    assert_eq!(found_in_database(platform.app().db.platform(), &secrets).await, [""; 0]);
    // What is no secret is shown: the operator sees what was written to whom.
    assert!(shown.contains("guest@example.com") && shown.contains("Open this link to"), "{shown}");
    // The operator on the machine itself reads them.
    let printed = jst_server::accounts::mails(platform.app(), Some("Guest@Example.com"), 20).await.unwrap();
    assert!(printed.contains(&secrets[2].1) && printed.contains("To: guest@example.com"), "{printed}");
    assert!(!printed.contains(&secrets[3].1), "only those to this address");
    let all = jst_server::accounts::mails(platform.app(), None, 100).await.unwrap();
    assert!(secrets.iter().all(|(_, secret)| all.contains(secret)), "{all}");
    assert!(jst_server::accounts::mails(platform.app(), Some("nobody"), 20).await.is_err());
    platform.stop().await;
}

/// A call with an idempotency key, so that its answer is kept for a repetition.
async fn made(api: &Api, path: &str, body: Value) -> Value {
    let headers = [("idempotency-key", path)];
    api.send(Method::POST, path, Some(body), &headers).await.expect(201).json()
}

#[tokio::test]
async fn what_is_shown_once_is_kept_by_nobody() {
    let shop = Shop::open().await;
    let (platform, pool) = (&shop.desk.platform, shop.desk.pool());
    let customer = shop.desk.buyer("anna@example.com").await;
    let admin = platform.api(&platform.admin_token().await);
    let instance = shop.desk.running(&customer, "web", "small").await;
    shop.running("42").await;

    let hook = json!({ "url": "https://hooks.example.com/x" });
    let hook = made(&customer.api, "/api/v1/webhooks", hook).await;
    let join = made(&admin, "/api/v1/admin/host-tokens", json!({ "name": "host-9" })).await;
    let console = format!("/api/v1/instances/{instance}/console");
    let console = made(&customer.api, &console, json!({ "kind": "serial" })).await;
    let link = made(&shop.api, "/billing/v1/services/42/sso", json!({})).await;
    let secrets = [
        ("API token", customer.token.clone()),
        ("administrator's token", admin.token().to_owned()),
        ("billing system's token", shop.token.clone()),
        ("webhook's secret", text(&hook["secret"])),
        ("join token", text(&join["token"])),
        ("console ticket", text(&console["ticket"])),
        ("sign-in link", text(&link["url"]).split("token=").nth(1).unwrap().to_owned()),
    ];
    let kept = shop.desk.count("SELECT count(*) FROM idempotency_keys WHERE body IS NOT NULL").await;
    assert_eq!(kept, 4, "each answer is kept, sealed");
    assert_eq!(found_in_database(pool, &secrets).await, [""; 0]);
    let browser = platform.client();
    browser.sign_in("admin@example.com", PASSWORD).await;
    let shown = read_by_administrators(&browser, &admin).await;
    for (name, secret) in &secrets {
        assert!(!shown.contains(secret), "an administrator sees the {name}");
    }
    shop.desk.platform.stop().await;
}
