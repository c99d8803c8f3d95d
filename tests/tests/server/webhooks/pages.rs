//! The pages of webhooks, in both languages; the refusals first.

use super::receiver::{Manner, Receiver};
use super::{Hook, OPEN};
use jst_tests::{Client, Platform, eventually};
use std::time::Duration;

fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split(before)
        .nth(1)
        .unwrap_or_else(|| panic!("no {before} in {page}"))
        .split(after)
        .next()
        .unwrap_or("")
}

/// From an empty page to a deleted endpoint, at the customer's or the operator's address.
async fn journey(client: &Client, base: &str, receiver: &Receiver) {
    let empty = client.get(base).await.expect(200).body;
    assert!(empty.contains("No webhook yet") && empty.contains("/help/webhooks"), "{empty}");
    assert_eq!(empty.contains("host.updated"), base.starts_with("/admin"));
    // Refused, with what was typed.
    let page =
        client.post(base, &[("url", "ftp://<b>"), ("types", "instance.created")]).await.expect(422).body;
    assert!(
        page.contains("ftp://&#60;b&#62;") && page.contains("value=\"instance.created\" checked"),
        "{page}"
    );
    let fields = [("url", receiver.url.as_str()), ("name", "<i>mine</i>"), ("types", "instance.created")];
    let made = client.post(base, &fields).await.expect(200).body;
    let secret = format!("whsec_{}", between(&made, "whsec_", "<"));
    let path = format!("{base}/hook_{}", between(&made, "/hook_", "/"));
    assert!(made.contains("&#60;i&#62;mine") && !made.contains("<i>mine"), "{made}");
    assert!(!client.get(&path).await.expect(200).body.contains("whsec_"), "the secret is shown once");
    assert!(client.get(base).await.expect(200).body.contains("One type"));
    // A test, and its log: what the other side says is text.
    let delivery = client.post(&format!("{path}/test"), &[]).await.expect(303).location;
    let page = eventually("the test ends", Duration::from_secs(20), || async {
        Some(client.get(&delivery).await.expect(200).body).filter(|page| page.contains("200 · accepted"))
    })
    .await;
    assert!(
        page.contains("webhook.test") && page.contains("&#60;script&#62;") && !page.contains("<script>alert"),
        "{page}"
    );
    assert!(page.contains("webhook-signature: v1,") && !page.contains(&secret), "{page}");
    assert_eq!(receiver.got()[0].signed_by(&secret), 1);
    client.post(&format!("{delivery}/resend"), &[]).await.expect(303);
    receiver.wait_for(2).await;
    // Saved, refused, rotated.
    client.post(&path, &[("url", ""), ("name", "other")]).await.expect(422);
    client.post(&path, &[("url", &receiver.url), ("name", "other")]).await.expect(303);
    let page = client.get(&path).await.expect(200).body;
    assert!(page.contains("other") && page.contains("Disabled"), "{page}");
    let rotated = client.post(&format!("{path}/rotate"), &[]).await.expect(200).body;
    assert!(rotated.contains("whsec_") && !rotated.contains(&secret), "{rotated}");
    // In the other language.
    client.post("/preferences", &[("language", "zh-CN"), ("next", "/dashboard")]).await.expect(303);
    assert!(client.get(base).await.expect(200).body.contains("添加 Webhook"));
    assert!(client.get(&path).await.expect(200).body.contains("投递记录"));
    assert!(client.get(&delivery).await.expect(200).body.contains("请求头"));
    assert!(client.get("/help/webhooks").await.expect(200).body.contains("验证签名"));
    client.post("/preferences", &[("language", "en"), ("next", "/dashboard")]).await.expect(303);
    client.post(&format!("{path}/delete"), &[]).await.expect(303);
    client.get(&path).await.expect(404);
    client.get(&delivery).await.expect(404);
}

#[tokio::test]
async fn customers_and_the_operator_keep_their_webhooks_on_pages() {
    let platform = Platform::start_with(&OPEN).await;
    let customer = platform.customer("customer@example.com").await;
    let admin = platform.admin().await;
    assert_eq!(platform.client().get("/webhooks").await.status, 303);
    customer.get("/admin/webhooks").await.expect(404);
    customer.post("/admin/webhooks", &[("url", "https://example.com/")]).await.expect(404);
    for (client, base) in [(&customer, "/webhooks"), (&admin, "/admin/webhooks")] {
        let receiver = Receiver::start([Manner::Says(200, b"<script>alert(1)</script>".to_vec())]).await;
        journey(client, base, &receiver).await;
    }
    // Who only looks finds no button.
    customer.post("/webhooks", &[("url", "https://example.com/")]).await.expect(200);
    sqlx::query("UPDATE memberships SET role = 'viewer'")
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    let page = customer.get("/webhooks").await.expect(200).body;
    assert!(page.contains("example.com") && !page.contains("method=\"post\" action=\"/webhooks\""), "{page}");
    let path = format!("/webhooks/hook_{}", between(&page, "/hook_", "\""));
    let page = customer.get(&path).await.expect(200).body;
    assert!(!page.contains("/test") && !page.contains("/rotate"), "{page}");
    customer.post(&format!("{path}/test"), &[]).await.expect(403);
    platform.stop().await;
}

#[tokio::test]
async fn an_administrator_who_acts_for_a_customer_looks_and_changes_nothing() {
    let platform = Platform::start_with(&OPEN).await;
    let customer = platform.customer("customer@example.com").await;
    customer.post("/webhooks", &[("url", "https://example.com/")]).await.expect(200);
    let admin = platform.admin().await;
    let tenant: uuid::Uuid = sqlx::query_scalar(
        "SELECT tenant_id FROM memberships JOIN users ON users.id = user_id WHERE email = 'customer@example.com'",
    )
    .fetch_one(platform.app().db.platform())
    .await
    .unwrap();
    admin.post(&format!("/admin/customers/ten_{}/act-for", tenant.simple()), &[]).await.expect(303);
    let page = admin.get("/webhooks").await.expect(200).body;
    let path = format!("/webhooks/hook_{}", between(&page, "/hook_", "\""));
    admin.get(&path).await.expect(200);
    for (path, fields) in [
        ("/webhooks".to_owned(), &[("url", "https://example.com/")][..]),
        (format!("{path}/rotate"), &[]),
        (format!("{path}/delete"), &[]),
        (path.clone(), &[("url", "https://example.org/")]),
    ] {
        admin.post(&path, fields).await.expect(403);
    }
    platform.stop().await;
}

#[tokio::test]
async fn owners_are_told_in_their_language() {
    let desk = super::desk().await;
    let customer = desk.buyer("a@example.com").await;
    sqlx::query("UPDATE users SET locale = 'zh-CN'").execute(desk.pool()).await.unwrap();
    let receiver = Receiver::start([Manner::Status(410)]).await;
    let hook = Hook::make(&customer, &receiver, &["instance.created"]).await;
    customer.create("db", "large").await;
    let body: String = eventually("the mail", Duration::from_secs(20), || async {
        desk.platform.mails_of_kind("webhook-disabled").await.pop()
    })
    .await;
    assert!(
        body.contains("410") && body.contains(&format!("/webhooks/{}", hook.id)) && body.contains("已停止"),
        "{body}"
    );
    desk.platform.stop().await;
}
