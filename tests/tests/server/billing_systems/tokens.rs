//! A token of a billing system opens `/billing/v1` and nothing else, and nothing else opens that.

use super::{ALL, Shop, connect, order, token_in};
use crate::server::instances::desk::text;
use serde_json::json;

#[tokio::test]
async fn each_kind_of_token_has_its_own_door() {
    let shop = Shop::open().await;
    let customer = shop.desk.buyer("a@example.com").await;
    let administrator = shop.desk.platform.api(&shop.desk.platform.admin_token().await);
    let nobody = shop.desk.platform.api("");
    let paths = ["ping", "plans", "images", "stock?plan=small", "services", "services/42", "usage?since=x"];
    for path in paths {
        let path = format!("/billing/v1/{path}");
        for api in [&customer.api, &administrator, &nobody] {
            let answer = api.get(&path).await;
            assert_eq!(answer.status, 401, "{path}");
            assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        }
        // Nor does a browser's cookie count, whoever's it is.
        assert_eq!(shop.admin.get(&path).await.status, 401, "{path}");
    }
    for api in [&customer.api, &administrator] {
        assert_eq!(api.put("/billing/v1/services/42", order(1)).await.status, 401);
    }
    for path in
        ["instances", "account", "admin/hosts", "admin/customers", "ssh-keys", "billing", "operations"]
    {
        assert_eq!(shop.api.get(&format!("/api/v1/{path}")).await.status, 401, "{path}");
    }
    let new = json!({ "name": "x", "plan": "small", "image": "test" });
    assert_eq!(shop.api.post("/api/v1/instances", new).await.status, 401);
    // Pages ask for a session, which a token is not.
    assert!(shop.api.get("/admin").await.location.starts_with("/sign-in"));
    assert!(shop.api.get("/dashboard").await.location.starts_with("/sign-in"));
    let ping = shop.api.get("/billing/v1/ping").await.expect(200).json();
    assert_eq!((text(&ping["system"]), ping["scopes"].as_array().unwrap().len()), ("WHMCS", 4));
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn each_scope_opens_its_own_part() {
    let shop = Shop::open().await;
    let service = shop.running("42").await;
    let decision = json!({ "entitlement_version": 2, "service_id": service["id"] });
    let plan = json!({ "plan": "large", "entitlement_version": 2 });
    let calls = [
        ("read", "GET", "services/42", json!(null)),
        ("read", "GET", "services", json!(null)),
        ("read", "GET", "usage?since=2026-01-01T00:00:00Z", json!(null)),
        ("read", "GET", "stock?plan=small", json!(null)),
        ("read", "GET", "plans", json!(null)),
        ("read", "GET", "images", json!(null)),
        ("provision", "PUT", "services/43", order(1)),
        ("provision", "POST", "services/42/suspend", decision.clone()),
        ("provision", "POST", "services/42/unsuspend", decision.clone()),
        ("provision", "POST", "services/42/renew", decision.clone()),
        ("provision", "POST", "services/42/undo-terminate", decision.clone()),
        ("provision", "POST", "services/42/change-plan", plan),
        ("provision", "POST", "services/42/reset-password", json!({})),
        ("sso", "POST", "services/42/sso", json!({})),
        ("terminate", "POST", "services/42/terminate", decision),
    ];
    for scope in ALL {
        let others: Vec<&str> = ALL.into_iter().filter(|other| *other != scope).collect();
        let (with, without) = (shop.narrow(&[scope]).await, shop.narrow(&others).await);
        for (needs, method, path, body) in &calls {
            let path = format!("/billing/v1/{path}");
            let body = (!body.is_null()).then(|| body.clone());
            let method: reqwest::Method = method.parse().unwrap();
            if *needs == scope {
                let refused = without.send(method.clone(), &path, body.clone(), &[]).await;
                assert_eq!(refused.status, 403, "{path} without {scope}");
                let done = with.send(method, &path, body, &[]).await;
                assert!(done.status < 300, "{path} with {scope}: {done:?}");
            }
        }
    }
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn tokens_are_made_shown_once_and_revoked_by_administrators() {
    let shop = Shop::open().await;
    let page = shop.admin.get(&format!("/admin/billing-systems/{}", shop.id)).await.expect(200);
    assert!(page.body.contains("WHMCS") && !page.body.contains(&shop.token), "shown once");
    let kept: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM billing_system_tokens AS tokens WHERE tokens::text LIKE '%' || $1 || '%'",
    )
    .bind(&shop.token[10..])
    .fetch_one(shop.desk.pool())
    .await
    .unwrap();
    assert_eq!(kept, 0, "a hash is kept and not the token");
    // What is wrong comes back with what was typed.
    for (name, scopes) in [("", &ALL[..]), ("x", &[]), ("x", &["admin"]), ("whmcs", &ALL)] {
        let answer = connect(&shop.admin, name, scopes).await;
        assert_eq!(answer.status, 422, "{name} {scopes:?}");
    }
    let customer = shop.desk.platform.customer("b@example.com").await;
    assert_eq!(customer.get("/admin/billing-systems").await.status, 404);
    assert_eq!(connect(&customer, "Mine", &ALL).await.status, 404);

    let tokens: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM billing_system_tokens").fetch_all(shop.desk.pool()).await.unwrap();
    let token = jst_server::ids::TokenId::from_uuid(tokens[0]);
    let other = connect(&shop.admin, "Other", &ALL).await.expect(200);
    let other_id = other.body.split("/admin/billing-systems/bsys_").nth(1).unwrap();
    let path = format!("/admin/billing-systems/bsys_{}/tokens/{token}/revoke", &other_id[..32]);
    assert_eq!(shop.admin.post(&path, &[]).await.status, 404, "a token of another system");
    let path = format!("/admin/billing-systems/{}/tokens/{token}/revoke", shop.id);
    shop.admin.post(&path, &[]).await.expect(303);
    assert_eq!(shop.api.get("/billing/v1/ping").await.status, 401);
    assert_eq!(shop.admin.post(&path, &[]).await.status, 404, "revoked already");
    let still = shop.desk.platform.api(&token_in(&other.body));
    assert_eq!(still.get("/billing/v1/ping").await.status, 200);
    for action in ["billing_system.created", "billing_system.token_created", "billing_system.token_revoked"] {
        assert!(shop.events(action).await > 0, "{action}");
    }
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn the_description_tells_every_call() {
    let shop = Shop::open().await;
    let document = shop.desk.platform.api("").get("/billing/v1/openapi.json").await.expect(200).json();
    let paths = document["paths"].as_object().unwrap();
    for path in ["", "/suspend", "/unsuspend", "/renew", "/terminate", "/undo-terminate", "/change-plan"] {
        assert!(paths.contains_key(&format!("/billing/v1/services/{{external_ref}}{path}")), "{path}");
    }
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            assert!(!text(&operation["summary"]).is_empty(), "{method} {path}");
            assert!(operation["responses"]["401"].is_object(), "{method} {path}");
        }
    }
    let main = shop.desk.platform.api("").get("/api/v1/openapi.json").await.expect(200).body;
    assert!(!main.contains("/billing/v1"), "each has its own");
    shop.desk.platform.stop().await;
}
