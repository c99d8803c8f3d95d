//! Endpoints as an API: whose they are, who may change them, secrets, tests, sending again.

use super::receiver::{Manner, Receiver};
use super::{Hook, desk, rename};
use crate::server::instances::desk::{field_errors, text};
use reqwest::Method;
use serde_json::json;

const PATH: &str = "/api/v1/webhooks";
const ADMIN: &str = "/api/v1/admin/webhooks";

#[tokio::test]
async fn another_tenant_sees_nothing() {
    let desk = desk().await;
    let owner = desk.buyer("a@example.com").await;
    let stranger = desk.buyer("b@example.com").await;
    let admin = desk.platform.api(&desk.platform.admin_token().await);
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let hook = Hook::make(&owner, &receiver, &[]).await;
    let delivery = hook.tested(&owner.api).await;
    let at_admin = Hook::make_at(&admin, ADMIN, &receiver, &["host.updated"]).await;
    let paths = |hook: &Hook, base: &str| {
        let (one, log) = (format!("{base}/{}", hook.id), format!("/deliveries/{}", text(&delivery["id"])));
        [
            (Method::GET, one.clone()),
            (Method::PATCH, one.clone()),
            (Method::DELETE, one.clone()),
            (Method::POST, format!("{one}/rotate")),
            (Method::POST, format!("{one}/test")),
            (Method::GET, format!("{one}/deliveries")),
            (Method::GET, format!("{one}{log}")),
            (Method::POST, format!("{one}{log}/resend")),
        ]
    };
    // Somebody else's, the operator's as a customer's, a customer's as the operator's, and the operator's by a customer.
    for (api, hook, base) in [
        (&stranger.api, &hook, PATH),
        (&owner.api, &at_admin, PATH),
        (&admin, &hook, ADMIN),
        (&owner.api, &at_admin, ADMIN),
        (&owner.api, &hook, ADMIN),
    ] {
        for (method, path) in paths(hook, base) {
            let body = (method != Method::GET).then(|| json!({}));
            api.send(method.clone(), &path, body, &[]).await.expect(404);
        }
    }
    owner.api.get(ADMIN).await.expect(404);
    owner.api.post(ADMIN, json!({ "url": receiver.url })).await.expect(404);
    assert_eq!(stranger.api.get(PATH).await.expect(200).json()["items"], json!([]));
    assert_eq!(desk.platform.api("").get(PATH).await.status, 401);
    // One delivery of another endpoint is none of this one.
    let second = Hook::make(&owner, &receiver, &[]).await;
    owner.api.get(&second.at(&format!("/deliveries/{}", text(&delivery["id"])))).await.expect(404);
    // What happens to one customer is told to that customer and to the operator.
    let before = receiver.got().len();
    let theirs = Receiver::start([Manner::Status(200)]).await;
    Hook::make(&stranger, &theirs, &[]).await;
    let all = Receiver::start([Manner::Status(200)]).await;
    let operator = Hook::make_at(&admin, ADMIN, &all, &["instance.created"]).await;
    let instance = owner.create("db", "large").await;
    let told = all.wait_for(1).await;
    assert_eq!(told[0].json()["data"]["instance_id"], json!(instance));
    assert_eq!(told[0].signed_by(&operator.secret), 1);
    receiver.wait_for(before + 2).await;
    assert_eq!(theirs.got().len(), 0);
    // The roles of the database say so too.
    let mut tx = desk.platform.app().db.tenant(stranger.tenant.into()).await.unwrap();
    for table in ["webhook_endpoints", "webhook_messages", "webhook_deliveries", "webhook_attempts"] {
        let query =
            format!("SELECT count(*) FROM {table} WHERE tenant_id IS DISTINCT FROM '{}'", stranger.tenant);
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    drop(tx);
    desk.platform.stop().await;
}

#[tokio::test]
async fn only_owners_say_where_messages_go() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(500), Manner::Status(200)]).await;
    let hook = Hook::make(&customer, &receiver, &[]).await;
    let delivery = hook.tested(&customer.api).await;
    assert_eq!(
        (&delivery["state"], &delivery["test"]),
        (&json!("failed"), &json!(true)),
        "a test is tried once"
    );
    let resend = hook.at(&format!("/deliveries/{}/resend", text(&delivery["id"])));
    for (role, may_send) in [("viewer", false), ("operator", true)] {
        sqlx::query("UPDATE memberships SET role = $1").bind(role).execute(desk.pool()).await.unwrap();
        customer.api.get(PATH).await.expect(200);
        hook.detail(&customer.api, &delivery).await;
        customer.api.post(PATH, json!({ "url": receiver.url })).await.expect(403);
        customer.api.patch(&hook.at(""), json!({ "enabled": false })).await.expect(403);
        customer.api.post(&hook.at("/rotate"), json!({})).await.expect(403);
        customer.api.delete(&hook.at("")).await.expect(403);
        let status = if may_send { 202 } else { 403 };
        customer.api.post(&hook.at("/test"), json!({})).await.expect(status);
        customer.api.post(&resend, json!({})).await.expect(status);
    }
    // A token that only reads changes nothing.
    sqlx::query("UPDATE memberships SET role = 'owner'").execute(desk.pool()).await.unwrap();
    sqlx::query("UPDATE api_tokens SET scopes = '{read}'").execute(desk.pool()).await.unwrap();
    customer.api.get(PATH).await.expect(200);
    customer.api.post(&hook.at("/test"), json!({})).await.expect(403);
    customer.api.delete(&hook.at("")).await.expect(403);
    desk.platform.stop().await;
}

#[tokio::test]
async fn input_that_is_wrong_is_refused_field_by_field() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let url = &receiver.url;
    for (body, field, code) in [
        (json!({ "url": url, "name": "x".repeat(101) }), "name", "too-long"),
        (json!({ "url": url, "name": "a\nb" }), "name", "control-characters"),
        (json!({ "url": url, "types": ["instance.created", "nothing.happened"] }), "types", "webhook-types"),
        // Hosts are the operator's.
        (json!({ "url": url, "types": ["host.updated"] }), "types", "webhook-types"),
        (json!({ "url": url, "types": ["webhook.test"] }), "types", "webhook-types"),
        (json!({ "url": url, "secret": "whsec_mine" }), "secret", "json"),
        (json!({}), "body", "json"),
    ] {
        let refused = customer.api.post(PATH, body.clone()).await.expect(422);
        assert_eq!(field_errors(&refused), [(field.to_owned(), code.to_owned())], "{body}");
    }
    for id in ["hook_0", "vm_00000000000000000000000000000000", "x"] {
        customer.api.get(&format!("{PATH}/{id}")).await.expect(404);
    }
    // Types are kept in our order, each once; the name is the host's.
    let types = json!(["operation.failed", "instance.created", "instance.created"]);
    let made = customer.api.post(PATH, json!({ "url": url, "types": types })).await.expect(201).json();
    assert_eq!(made["types"], json!(["instance.created", "operation.failed"]));
    assert_eq!(made["name"], "127.0.0.1");
    // Ten, and not one more; however many ask at once.
    let asked = (0..12).map(|_| customer.api.post(PATH, json!({ "url": url })));
    let answers = futures::future::join_all(asked).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 409).collect();
    assert_eq!(refused.len(), 3);
    assert_eq!(refused[0].json()["code"], "webhooks-full");
    assert_eq!(customer.api.get(PATH).await.expect(200).json()["items"].as_array().unwrap().len(), 10);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_rotated_secret_overlaps_with_the_one_before() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let hook = Hook::make(&customer, &receiver, &[]).await;
    let rotated = customer.api.post(&hook.at("/rotate"), json!({})).await.expect(200).json();
    let new = text(&rotated["secret"]);
    assert_ne!(new, hook.secret);
    assert!(!rotated["old_secret_until"].is_null());
    hook.tested(&customer.api).await;
    let both = receiver.got().pop().unwrap();
    assert_eq!((both.signatures().len(), both.signed_by(new), both.signed_by(&hook.secret)), (2, 1, 1));
    // A day later.
    sqlx::query("UPDATE webhook_endpoints SET old_secret_until = now()").execute(desk.pool()).await.unwrap();
    hook.tested(&customer.api).await;
    let one = receiver.got().pop().unwrap();
    assert_eq!((one.signatures().len(), one.signed_by(new), one.signed_by(&hook.secret)), (1, 1, 0));
    let shown = hook.shown(&customer.api).await;
    assert!(shown["old_secret_until"].is_null() && shown.get("secret").is_none(), "{shown}");
    // Nothing that the database keeps is a secret in the clear, the kept answer of a repeated request neither.
    let headers = [("idempotency-key", "once")];
    let make = || customer.api.send(Method::POST, PATH, Some(json!({ "url": receiver.url })), &headers);
    let (first, again) = (make().await.expect(201).json(), make().await.expect(201).json());
    assert_eq!(first, again);
    for secret in [new, hook.secret.as_str(), text(&first["secret"])] {
        for table in
            ["webhook_endpoints", "webhook_messages", "webhook_attempts", "events", "idempotency_keys"]
        {
            let query = format!(
                "SELECT count(*) FROM {table} AS kept WHERE kept::text LIKE '%' || $1 || '%' \
                 OR kept::text LIKE '%' || encode(convert_to($1, 'UTF8'), 'hex') || '%'"
            );
            let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
                .bind(secret)
                .fetch_one(desk.pool())
                .await
                .unwrap();
            assert_eq!(found, 0, "{table}");
        }
    }
    desk.platform.stop().await;
}

#[tokio::test]
async fn an_endpoint_is_told_what_it_wants_and_only_while_it_is_enabled() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(200)]).await;
    let hook = Hook::make(&customer, &receiver, &["instance.updated"]).await;
    let instance = customer.create("db", "large").await;
    rename(&customer, &instance, "one").await;
    let told = receiver.wait_for(1).await;
    assert_eq!(told[0].json()["data"]["changes"]["name"], json!({ "from": "db", "to": "one" }));
    let off = customer.api.patch(&hook.at(""), json!({ "enabled": false })).await.expect(200).json();
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("owner")));
    rename(&customer, &instance, "two").await;
    let on =
        customer.api.patch(&hook.at(""), json!({ "enabled": true, "name": "mine" })).await.expect(200).json();
    assert_eq!(
        (&on["enabled"], &on["name"], &on["url"]),
        (&json!(true), &json!("mine"), &json!(receiver.url))
    );
    rename(&customer, &instance, "three").await;
    let told = receiver.wait_for(2).await;
    assert_eq!(told[1].json()["data"]["name"], "three");
    // Sending again keeps the id, and counts anew.
    let delivery = hook.deliveries(&customer.api).await.remove(0);
    let path = hook.at(&format!("/deliveries/{}/resend", text(&delivery["id"])));
    customer.api.post(&path, json!({})).await.expect(202);
    let told = receiver.wait_for(3).await;
    assert_eq!((told[2].id(), &told[2].body), (told[1].id(), &told[1].body));
    let detail = hook.attempted(&customer.api, 2).await;
    assert_eq!((&detail["attempts"], &detail["state"]), (&json!(1), &json!("succeeded")));
    // Deleted with everything.
    customer.api.delete(&hook.at("")).await.expect(204);
    customer.api.get(&hook.at("")).await.expect(404);
    rename(&customer, &instance, "four").await;
    assert_eq!(desk.count("SELECT count(*) FROM webhook_deliveries").await, 0);
    // What was done stands in the log.
    for action in ["created", "updated", "resent", "deleted"] {
        assert!(desk.event(&format!("webhook.{action}")).await.is_some(), "{action}");
    }
    desk.platform.stop().await;
}
