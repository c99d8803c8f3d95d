//! The administration: for administrators only, every page in both languages, and what it decides.

use jst_tests::{Api, Client, Platform};
use reqwest::Method;
use serde_json::{Value, json};

/// Paths of pages of the administration, with an identifier of each kind that exists nowhere.
const PAGES: &[&str] = &[
    "/admin",
    "/admin/hosts",
    "/admin/hosts/enrol",
    "/admin/placement",
    "/admin/instances",
    "/admin/operations",
    "/admin/pools",
    "/admin/pools/new",
    "/admin/plans",
    "/admin/plans/new",
    "/admin/images",
    "/admin/images/new",
    "/admin/customers",
    "/admin/trials",
    "/admin/mail",
    "/admin/announcements",
    "/admin/announcements/new",
    "/admin/audit",
    "/admin/settings",
    "/styleguide",
];

/// What pages post to.
const FORMS: &[&str] = &[
    "/admin/hosts/enrol",
    "/admin/hosts/host_0/state",
    "/admin/hosts/host_0/revoke",
    "/admin/pools",
    "/admin/pools/pool_0/delete",
    "/admin/plans",
    "/admin/plans/plan_0",
    "/admin/plans/plan_0/retire",
    "/admin/images/import",
    "/admin/images/img_0/retire",
    "/admin/customers/ten_0",
    "/admin/customers/ten_0/suspend",
    "/admin/customers/ten_0/act-for",
    "/admin/stop-acting",
    "/admin/announcements",
    "/admin/announcements/ann_0/delete",
    "/admin/mail/mail_0/retry",
    "/admin/settings",
];

fn ids(path: &str) -> String {
    let zeros = "0".repeat(32);
    path.replace("{id}", &format!("host_{zeros}")).replace("{user}", &format!("usr_{zeros}"))
}

/// Every call of the administration in the API's own description: a new one is covered without
/// anybody thinking of it.
async fn admin_calls(api: &Api) -> Vec<(Method, String)> {
    let document = api.get("/api/v1/openapi.json").await.expect(200).json();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            if path.starts_with("/api/v1/admin/") && item.get(method).is_some() {
                calls.push((method.to_uppercase().parse().unwrap(), ids(path)));
            }
        }
    }
    assert!(calls.len() > 35, "the description lists the administration: {}", calls.len());
    calls
}

/// The API token of a customer, made where customers make theirs.
async fn customer_token(platform: &Platform, customer: &Client) -> String {
    let token = customer.make_token(&["write"]).await;
    platform.api(&token).get("/api/v1/plans").await.expect(200);
    token
}

#[tokio::test]
async fn for_customers_the_administration_does_not_exist() {
    // Every call there is, one after another: faster than people ask.
    let platform = Platform::start_with(&["--api-requests-per-second", "1000"]).await;
    let customer = platform.customer("customer@example.com").await;
    for path in PAGES {
        customer.get(path).await.expect(404);
        // A stranger is asked to sign in, and learns nothing about what there is.
        let answer = platform.client().get(path).await;
        assert_eq!((answer.status, answer.location.starts_with("/sign-in")), (303, true), "{path}");
    }
    for path in FORMS {
        let answer = customer.post(path, &[("name", "x")]).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    let token = customer_token(&platform, &customer).await;
    let api = platform.api(&token);
    for (method, path) in admin_calls(&api).await {
        let answer = api.send(method.clone(), &path, Some(json!({})), &[]).await;
        assert!(matches!(answer.status, 404), "{method} {path}: {} {}", answer.status, answer.body);
        let answer = platform.api("").send(method.clone(), &path, None, &[]).await;
        assert_eq!(answer.status, 401, "{method} {path}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn every_page_speaks_both_languages() {
    let platform = Platform::start().await;
    let admin = platform.admin().await;
    for (language, word) in [("en", "Administration"), ("zh-CN", "管理后台")] {
        // Signing in chose a language, which counts more than the browser's.
        admin.post("/preferences", &[("language", language)]).await.expect(303);
        for path in PAGES {
            let page = admin.get(path).await.expect(200);
            assert!(page.body.contains(word), "{path} in {language}");
            assert!(!page.body.contains("Unknown localization"), "{path} in {language} lacks a message");
        }
    }
    for language in ["en", "zh-CN"] {
        let page = platform.client().get_in("/api/docs", language).await.expect(200);
        assert!(!page.body.contains("Unknown localization"));
        for anchor in ["problem-invalid", "problem-plan-changed", "schema-Problem", "post-admin-plans"] {
            assert!(page.body.contains(&format!("id=\"{anchor}\"")), "no {anchor}");
        }
    }
    platform.stop().await;
}

/// No call of the administration may end in a failure of ours, whatever is sent to it.
#[tokio::test]
async fn malformed_requests_are_refused_in_words() {
    let platform = Platform::start().await;
    let token = platform.admin_token().await;
    let api = platform.api(&token);
    for (method, path) in admin_calls(&api).await {
        let bodies = [
            None,
            Some(json!({})),
            Some(json!([])),
            Some(json!({ "name": 1, "state": "x" })),
            Some(json!("text")),
        ];
        for body in bodies {
            let answer = api.send(method.clone(), &path, body.clone(), &[]).await;
            assert!(answer.status < 500, "{method} {path} {body:?}: {} {}", answer.status, answer.body);
            if answer.status >= 400 {
                assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path}");
            }
        }
        if method == Method::GET {
            for query in [
                "?limit=0",
                "?cursor=%00",
                "?search=%00",
                "?search=%25%27%22",
                "?state=%00&plan=%00&actor=%00",
            ] {
                let answer = api.get(&format!("{path}{query}")).await;
                assert!(answer.status < 500, "{path}{query}: {}", answer.body);
            }
        }
    }
    platform.stop().await;
}

#[tokio::test]
async fn settings_are_checked_and_recorded() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    let before = api.get("/api/v1/admin/settings").await.expect(200).json();
    assert_eq!(before["allow_emulated"], false);
    for (change, field) in [
        (json!({ "trial_days": 0 }), "trial_days"),
        (json!({ "trial_days": "7" }), "trial_days"),
        (json!({ "sign_up_open": 1 }), "sign_up_open"),
        (json!({ "trial_day": 7 }), "trial_day"),
        (json!({ "image_max_gib": 1e9 }), "image_max_gib"),
    ] {
        let answer = api.patch("/api/v1/admin/settings", change.clone()).await.expect(422);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{change}");
    }
    assert_eq!(api.get("/api/v1/admin/settings").await.json(), before, "nothing was half changed");
    let after = api
        .patch("/api/v1/admin/settings", json!({ "trial_days": 3, "allow_emulated": true }))
        .await
        .expect(200)
        .json();
    assert_eq!((&after["trial_days"], &after["allow_emulated"]), (&json!(3), &json!(true)));
    let events = api.get("/api/v1/admin/audit?action=settings.").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    assert_eq!(events["items"][0]["data"]["trial_days"], json!({ "from": 7, "to": 3 }));

    let admin = platform.client();
    admin.sign_in("admin@example.com", jst_tests::platform::PASSWORD).await;
    let answer =
        admin.post("/admin/settings", &[("trial_days", "many"), ("trial_keep_days", "5")]).await.expect(422);
    assert!(answer.body.contains("Enter a whole number") && answer.body.contains("value=\"many\""));
    platform.stop().await;
}

#[tokio::test]
async fn customers_are_found_limited_and_suspended() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    let customer = platform.customer("anna@example.com").await;
    let found = api.get("/api/v1/admin/customers?search=ANNA").await.expect(200).json();
    let id = found["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(found["items"][0]["owner"], "anna@example.com");
    // A sign that means something to LIKE means nothing here.
    let none = api.get("/api/v1/admin/customers?search=%25").await.json();
    assert_eq!(none["items"], json!([]));

    let quotas = json!({ "quota_instances": 2, "quota_vcpus": 3, "quota_memory_mib": 4, "quota_disk_mib": 5, "may_buy": true });
    let after =
        api.put(&format!("/api/v1/admin/customers/{id}/quotas"), quotas.clone()).await.expect(200).json();
    assert_eq!((&after["quota_instances"], &after["may_buy"]), (&json!(2), &json!(true)));
    let mut bad = quotas;
    bad["quota_vcpus"] = json!(-1);
    let refused = api.put(&format!("/api/v1/admin/customers/{id}/quotas"), bad).await.expect(422);
    assert_eq!(refused.json()["errors"][0]["field"], "quota_vcpus");

    let path = format!("/api/v1/admin/customers/{id}/suspend");
    assert!(api.post(&path, json!({})).await.expect(200).json()["suspended_at"].is_string());
    api.post(&format!("/api/v1/admin/customers/{id}/unsuspend"), json!({})).await.expect(200);

    let detail = api.get(&format!("/api/v1/admin/customers/{id}")).await.expect(200).json();
    let user = detail["people"][0]["id"].as_str().unwrap().to_owned();
    customer.get("/dashboard").await;
    api.post(&format!("/api/v1/admin/users/{user}/disable"), json!({})).await.expect(204);
    let answer = customer.get("/security").await;
    assert!(answer.location.starts_with("/sign-in"), "who is disabled is signed out: {answer:?}");
    api.post(&format!("/api/v1/admin/users/{user}/enable"), json!({})).await.expect(204);
    customer.sign_in("anna@example.com", jst_tests::platform::PASSWORD).await;

    // Nobody locks themselves out.
    let me = api.get("/api/v1/admin/customers?search=admin@example.com").await.json();
    let mine = me["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        api.post(&format!("/api/v1/admin/customers/{mine}/suspend"), json!({})).await.expect(409).json()["code"],
        "own-tenant"
    );
    let detail = api.get(&format!("/api/v1/admin/customers/{mine}")).await.json();
    let myself = detail["people"][0]["id"].as_str().unwrap();
    api.post(&format!("/api/v1/admin/users/{myself}/disable"), json!({})).await.expect(409);
    platform.stop().await;
}

#[tokio::test]
async fn mails_can_be_read_and_sent_again() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    platform.customer("anna@example.com").await;
    let mails = api.get("/api/v1/admin/mail?search=anna@").await.expect(200).json();
    let mail = &mails["items"].as_array().unwrap().iter().find(|mail| mail["kind"] == "verify").unwrap();
    assert!(mail["body"].as_str().unwrap().contains("Open this link to confirm"), "{mail}");
    let id = mail["id"].as_str().unwrap();
    sqlx::query("UPDATE mail_outbox SET abandoned_at = now(), attempts = 9, last_error = 'no such host'")
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    assert_eq!(api.get(&format!("/api/v1/admin/mail/{id}")).await.json()["state"], "abandoned");
    api.post(&format!("/api/v1/admin/mail/{id}/retry"), json!({})).await.expect(204);
    assert_eq!(api.get(&format!("/api/v1/admin/mail/{id}")).await.json()["state"], "waiting");
    // What is removed some days later is not sent again.
    sqlx::query("UPDATE mail_outbox SET sent_at = now() - interval '8 days'")
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    jst_server::mail::tidy(platform.app().db.platform(), &platform.app().sealer).await.unwrap();
    assert!(api.get(&format!("/api/v1/admin/mail/{id}")).await.json()["body"].is_null());
    let refused = api.post(&format!("/api/v1/admin/mail/{id}/retry"), json!({})).await.expect(409).json();
    assert_eq!(refused["code"], "mail-body-removed");
    let zeros = "0".repeat(32);
    api.post(&format!("/api/v1/admin/mail/mail_{zeros}/retry"), json!({})).await.expect(404);
    platform.stop().await;
}

#[tokio::test]
async fn the_audit_log_is_filtered_and_paged() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    for name in ["a", "b", "c"] {
        api.post("/api/v1/admin/host-tokens", json!({ "name": name })).await.expect(201);
    }
    let path = "/api/v1/admin/audit?action=host.&actor=admin&limit=2";
    let first = api.get(path).await.expect(200).json();
    let names = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["subject_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&first), ["c", "b"]);
    let cursor = first["next_cursor"]
        .as_i64()
        .map(|c| c.to_string())
        .or(first["next_cursor"].as_str().map(str::to_owned));
    let second = api.get(&format!("{path}&cursor={}", cursor.unwrap())).await.json();
    assert_eq!(names(&second), ["a"]);
    assert!(second["next_cursor"].is_null());
    assert_eq!(names(&api.get("/api/v1/admin/audit?subject=b").await.json()), ["b"]);
    // No secret of a token is in the log.
    assert!(!first.to_string().contains("jst-join"));
    platform.stop().await;
}

#[tokio::test]
async fn figures_have_a_listener_of_their_own() {
    let platform = Platform::start().await;
    let token = platform.admin_token().await;
    let (stranger, monitor) = (platform.api(""), Client::new(&platform.metrics_url()));
    stranger.get("/healthz").await.expect(200);
    let figures = monitor.get("/metrics").await.expect(200).body;
    for name in [
        "jst_hosts{state=\"active\",online=\"true\"} 0",
        "jst_instances{state=\"running\"} 0",
        "jst_operations_late 0",
        "jst_http_request_duration_seconds_bucket{method=\"GET\",route=\"/healthz\",status=\"200\"",
    ] {
        assert!(figures.contains(name), "no {name} in {figures}");
    }
    // Made-up addresses are one series.
    stranger.get("/no/such/route-1").await;
    let figures = monitor.get("/metrics").await.expect(200).body;
    assert!(figures.contains("route=\"unmatched\"") && !figures.contains("route-1"));
    // The portal has none, for nobody and from nowhere; and the listener has nothing else.
    for api in [stranger, platform.api(&token)] {
        for headers in [&[][..], &[("x-forwarded-for", "127.0.0.1")]] {
            api.send(Method::GET, "/metrics", None, headers).await.expect(404);
        }
    }
    for path in ["/", "/healthz", "/api/v1/account", "/admin"] {
        monitor.get(path).await.expect(404);
    }
    platform.stop().await;
}
