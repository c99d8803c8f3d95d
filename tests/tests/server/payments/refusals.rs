//! What is refused: bad settings, other currencies, other people, notifications that are not the provider's.

use super::{Counter, PROVIDERS, begun};
use crate::server::instances::desk::{field_errors, text};
use jst_tests::payments::{
    Known, Notification, STRIPE_KEY, STRIPE_SECRET, Signer, Tell, WECHAT_API_KEY, keys, now, stripe,
    stripe_session, tell, wechat, wechat_transaction,
};
use jst_tests::platform::PASSWORD;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_are_refused_field_by_field() {
    let counter = Counter::open().await;
    let admin = &counter.till.admin;
    let good = keys().alipay.public_pem.as_str();
    let private = keys().app.private_pem.as_str();
    let long = "x".repeat(20_000);
    let broken = good.replace('A', "B");
    // A curve's key is none of RSA.
    let curve = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4f5wg2l2hKsTeNem/V41fGnJm6gO\n\
                 dwrj8ym3rFkEjWT2btf02uSxZ8gz3F6Zq6xMsp+0LWt+8Xf8m1kzKXkzRg==\n-----END PUBLIC KEY-----";
    let keyless = format!("SERIAL\n{broken}");
    let twice = format!("A B\n{good}");
    let cases: [(&str, &str, Vec<&str>); 14] = [
        (
            "stripe",
            "base_url",
            vec!["nowhere", "http://api.stripe.com", "https://a:b@c.d", "file:///etc", &long],
        ),
        (
            "stripe",
            "secret_key",
            vec!["pk_test_1234567890", "sk_", "sk_live 12345678", "sk_live_\u{4e2d}\u{4e2d}12345678"],
        ),
        ("stripe", "webhook_secret", vec!["secret", "whsec_", "whsec_a b c d e f g"]),
        ("alipay", "base_url", vec!["http://openapi.alipay.com/gateway.do", "//openapi.alipay.com"]),
        ("alipay", "app_id", vec!["12345", "20140723x0007148", "１２３４５６", "-123456"]),
        ("alipay", "private_key", vec!["AAAA", good, "-----BEGIN PRIVATE KEY-----", &long]),
        ("alipay", "public_key", vec!["AAAA", private, &broken, curve]),
        ("wechat", "base_url", vec!["https://", "ftp://127.0.0.1"]),
        ("wechat", "app_id", vec!["xwd678efh567hg6787", "wx", "wxd678-efh567hg67"]),
        ("wechat", "merchant_id", vec!["123", "12300001O9"]),
        ("wechat", "serial", vec!["12", "not hexadecimal", "zzzzzzzzzz"]),
        ("wechat", "private_key", vec!["none", good]),
        (
            "wechat",
            "api_v3_key",
            vec!["short", "0123456789abcdefghijklmnopqrstuv0", "0123456789abcdefghijklmnopqrst u"],
        ),
        ("wechat", "platform_keys", vec![good, "SERIAL", &keyless, &twice, "A\nB"]),
    ];
    let before = admin.get("/api/v1/admin/payment-providers").await.expect(200).json();
    for (provider, field, values) in cases {
        for value in values {
            let path = format!("/api/v1/admin/payment-providers/{provider}");
            let body = json!({ "enabled": true, "values": { field: value } });
            let answer = admin.put(&path, body).await.expect(422);
            let errors = field_errors(&answer);
            assert!(errors.len() == 1 && errors[0].0 == field, "{provider} {field} {value}: {errors:?}");
        }
    }
    for (body, field) in [
        (json!({ "enabled": true, "values": { "password": "x" } }), "password"),
        (json!({ "enabled": true, "values": { "base_url": 5 } }), "values.base_url"),
        (json!({ "values": {} }), "body"),
        (json!({ "enabled": true, "more": 1 }), "more"),
    ] {
        let answer = admin.put("/api/v1/admin/payment-providers/stripe", body).await.expect(422);
        assert_eq!(field_errors(&answer)[0].0, field);
    }
    admin.put("/api/v1/admin/payment-providers/paypal", json!({ "enabled": true })).await.expect(404);
    assert_eq!(admin.get("/api/v1/admin/payment-providers").await.json(), before, "nothing was changed");
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sealed_and_never_shown_again() {
    let counter = Counter::open().await;
    let platform = &counter.till.desk.platform;
    let browser = platform.client();
    browser.sign_in("admin@example.com", PASSWORD).await;
    let private = keys().app.private_base64.clone();
    let secrets = [STRIPE_KEY, STRIPE_SECRET, &private[100..140], WECHAT_API_KEY];
    let mut shown = counter.till.admin.get("/api/v1/admin/payment-providers").await.expect(200).body;
    for provider in PROVIDERS {
        shown += &browser.get(&format!("/admin/billing/payment-providers/{provider}")).await.expect(200).body;
    }
    shown += &browser.get("/admin/audit").await.expect(200).body;
    let stored: String =
        sqlx::query_scalar("SELECT string_agg(payment_providers::text, '') FROM payment_providers")
            .fetch_one(counter.pool())
            .await
            .unwrap();
    let events: String = sqlx::query_scalar("SELECT string_agg(data::text, '') FROM events")
        .fetch_one(counter.pool())
        .await
        .unwrap();
    for secret in secrets {
        assert!(!shown.contains(secret) && !stored.contains(secret) && !events.contains(secret), "{secret}");
    }
    // A refused form does not bring what was typed as a secret back.
    let page = "/admin/billing/payment-providers/stripe";
    let fields =
        [("enabled", "on"), ("secret_key", "pk_typed_by_mistake"), ("base_url", "http://example.com")];
    let refused = browser.post(page, &fields).await.expect(422).body;
    assert!(refused.contains("http://example.com") && !refused.contains("pk_typed_by_mistake"), "{refused}");
    // Empty keeps; off hides from customers and still takes what comes.
    let customer = counter.customer("a@example.com", "USD").await;
    browser.post(page, &[("secret_key", ""), ("webhook_secret", "")]).await.expect(303);
    let ways = customer.api.get("/api/v1/billing/payment-providers").await.expect(200).json();
    assert_eq!(ways["providers"], json!([]));
    let body = json!({ "provider": "stripe", "amount": 1000, "currency": "USD" });
    let answer = customer.api.post("/api/v1/billing/payments", body).await.expect(422);
    assert_eq!(field_errors(&answer)[0].0, "provider");
    let mut known = Known { provider: "stripe", number: String::new(), amount: 1000, currency: "USD" };
    begun(counter.pool(), customer.tenant, &mut known).await;
    let sent = tell(&known, &Tell::Paid, 0, "evt_late", now(), Signer::Provider);
    assert_eq!(sent.send(&reqwest::Client::new(), counter.platform()).await.unwrap().0, 200);
    counter.settled().await;
    assert_eq!(counter.balance(&customer).await, 1000);
    // Customers see none of it.
    for path in ["payments", "payment-events", "payment-providers"] {
        customer.api.get(&format!("/api/v1/admin/{path}")).await.expect(404);
    }
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_a_provider_is_not_there() {
    let till = crate::server::billing::Till::open().await;
    let client = till.desk.platform.client();
    for provider in ["stripe", "alipay", "wechat", "paypal"] {
        client.post(&format!("/payments/{provider}/notify"), &[("a", "b")]).await.expect(404);
        client.get(&format!("/payments/{provider}/notify")).await.expect(405);
    }
    let bare = json!({ "enabled": true, "values": {} });
    let answer = till.admin.put("/api/v1/admin/payment-providers/stripe", bare).await.expect(422);
    let missing: Vec<String> = field_errors(&answer).into_iter().map(|(field, _)| field).collect();
    assert_eq!(missing, ["secret_key", "webhook_secret"]);
    till.desk.platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn currencies_never_mix() {
    let counter = Counter::open().await;
    let dollars = counter.customer("usd@example.com", "USD").await;
    let yuan = counter.customer("cny@example.com", "CNY").await;
    let ways = |answer: Value| answer["providers"].clone();
    let path = "/api/v1/billing/payment-providers";
    assert_eq!(ways(dollars.api.get(path).await.json()), json!(["stripe"]));
    assert_eq!(ways(yuan.api.get(path).await.json()), json!(["stripe", "alipay", "wechat"]));
    for (customer, provider, currency, field) in [
        (&dollars, "alipay", "USD", "provider"),
        (&dollars, "wechat", "USD", "provider"),
        (&dollars, "stripe", "CNY", "currency"),
        (&dollars, "alipay", "CNY", "currency"),
        (&yuan, "stripe", "USD", "currency"),
    ] {
        let body = json!({ "provider": provider, "amount": 1000, "currency": currency });
        let answer = customer.api.post("/api/v1/billing/payments", body).await.expect(422);
        assert_eq!(field_errors(&answer)[0].0, field, "{provider} {currency}");
    }
    // A provider that says another currency of the same figure.
    let http = reqwest::Client::new();
    for (customer, kept, said) in [(&dollars, "USD", "cny"), (&yuan, "CNY", "usd"), (&yuan, "CNY", "jpy")] {
        let mut known = Known { provider: "stripe", number: String::new(), amount: 1000, currency: kept };
        begun(counter.pool(), customer.tenant, &mut known).await;
        let session = stripe_session(&known.number, 1000, said, true);
        let id = format!("evt_{kept}_{said}");
        let sent = stripe(&id, "checkout.session.completed", &session, now(), Signer::Provider);
        assert_eq!(sent.send(&http, counter.platform()).await.unwrap().0, 200);
    }
    let mut known = Known { provider: "wechat", number: String::new(), amount: 1000, currency: "CNY" };
    begun(counter.pool(), yuan.tenant, &mut known).await;
    let transaction = wechat_transaction(&known.number, 1000, "USD");
    let sent = wechat("evt_wechat", "TRANSACTION.SUCCESS", &transaction, now(), Signer::Provider);
    assert_eq!(sent.send(&http, counter.platform()).await.unwrap().0, 200);
    counter.settled().await;
    assert_eq!(counter.events().await, [("disputed".to_owned(), 4)]);
    assert_eq!((counter.balance(&dollars).await, counter.balance(&yuan).await), (0, 0));
    // The database itself: a payment of another currency than its account's cannot be written.
    let wrong = sqlx::query(
        "INSERT INTO payments (id, tenant_id, currency, provider, amount, created_by, expires_at) \
         VALUES (gen_random_uuid(), $1, 'CNY', 'stripe', 1, '', now())",
    )
    .bind(dollars.tenant)
    .execute(counter.pool())
    .await;
    assert!(wrong.is_err_and(|error| error.as_database_error().unwrap().is_foreign_key_violation()));
    // And what is on its way holds the account's currency.
    let terms = json!({ "currency": "CNY", "prepaid": true, "tax_rate": null });
    counter.till.terms(&dollars, terms).await.expect(422);
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_or_is_unknown_is_kept_for_the_operator() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    let http = reqwest::Client::new();
    let send = async |sent: Notification| sent.send(&http, counter.platform()).await.unwrap();
    let mut known = Known { provider: "stripe", number: String::new(), amount: 1000, currency: "CNY" };
    begun(counter.pool(), customer.tenant, &mut known).await;
    // Another amount; nobody's payment; a payment of another provider; another merchant; a kind that says nothing.
    send(tell(&known, &Tell::Wrong, 0, "evt_wrong", now(), Signer::Provider)).await;
    let nobody = Known { number: uuid::Uuid::now_v7().simple().to_string(), ..known.clone() };
    assert_eq!(send(tell(&nobody, &Tell::Paid, 0, "evt_nobody", now(), Signer::Provider)).await.0, 200);
    let other = Known { provider: "wechat", ..known.clone() };
    send(tell(&other, &Tell::Paid, 0, "evt_provider", now(), Signer::Provider)).await;
    let mut theirs = Known { provider: "wechat", ..known.clone() };
    begun(counter.pool(), customer.tenant, &mut theirs).await;
    let mut transaction = wechat_transaction(&theirs.number, 1000, "CNY");
    transaction["mchid"] = json!("9999999999");
    send(wechat("evt_account", "TRANSACTION.SUCCESS", &transaction, now(), Signer::Provider)).await;
    send(stripe(
        "evt_kind",
        "customer.created",
        &json!({ "id": "cus_1", "email": "a@b.c" }),
        now(),
        Signer::Provider,
    ))
    .await;
    counter.settled().await;
    let states: Vec<(String, String, String)> =
        sqlx::query_as("SELECT event_id, state, reason FROM payment_events ORDER BY event_id")
            .fetch_all(counter.pool())
            .await
            .unwrap();
    let row = |id: &str, state: &str, reason: &str| (id.to_owned(), state.to_owned(), reason.to_owned());
    assert_eq!(
        states,
        [
            row("evt_account", "disputed", "account"),
            row("evt_kind", "ignored", "kind"),
            row("evt_nobody", "unknown", "payment"),
            row("evt_provider", "disputed", "provider"),
            row("evt_wrong", "disputed", "amount"),
        ]
    );
    assert_eq!(counter.balance(&customer).await, 0);
    let disputes: i64 = sqlx::query_scalar("SELECT count(*) FROM events WHERE action = 'payment.disputed'")
        .fetch_one(counter.pool())
        .await
        .unwrap();
    assert_eq!(disputes, 3);
    // The operator sees them, and tries again what may be right now.
    let admin = counter.till.desk.platform.client();
    admin.sign_in("admin@example.com", PASSWORD).await;
    let page = admin.get("/admin/billing/payment-events?state=disputed").await.expect(200).body;
    assert!(page.contains("evt_wrong") && !page.contains("evt_nobody"), "{page}");
    let list = counter.till.admin.get("/api/v1/admin/payment-events").await.expect(200).json();
    let find = |id: &str| {
        let items = list["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["event_id"] == id).unwrap()["id"].to_string()
    };
    let nobody_s = find("evt_nobody");
    let shown =
        counter.till.admin.get(&format!("/api/v1/admin/payment-events/{}", find("evt_kind"))).await.json();
    assert!(text(&shown["body"]).contains("cus_1") && !text(&shown["body"]).contains("a@b.c"), "{shown}");
    sqlx::query(
        "INSERT INTO payments (id, tenant_id, currency, provider, amount, created_by, expires_at) \
         VALUES ($1::uuid, $2, 'CNY', 'stripe', 1000, 'test', now())",
    )
    .bind(uuid::Uuid::try_parse(&nobody.number).unwrap())
    .bind(customer.tenant)
    .execute(counter.pool())
    .await
    .unwrap();
    let retry = format!("/admin/billing/payment-events/{nobody_s}/retry");
    admin.post(&retry, &[]).await.expect(303);
    counter.settled().await;
    assert_eq!(counter.balance(&customer).await, 1000);
    // Once is enough.
    let again =
        counter.till.admin.post(&format!("/api/v1/admin/payment-events/{nobody_s}/retry"), json!({})).await;
    assert_eq!(again.expect(409).json()["code"], "payment-event-settled");
    counter.till.admin.post("/api/v1/admin/payment-events/999999/retry", json!({})).await.expect(404);
    for language in ["zh-CN", "en"] {
        admin.post("/preferences", &[("language", language), ("next", "/admin")]).await.expect(303);
        for page in [
            "/admin/billing/payments",
            "/admin/billing/payment-events",
            "/admin/billing/payment-providers",
            "/admin/billing/payment-providers/wechat",
            &format!("/admin/billing/payment-events/{nobody_s}"),
        ] {
            admin.get(page).await.expect(200);
        }
    }
    counter.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_waits_for_the_right_key() {
    let counter = Counter::open().await;
    let customer = counter.customer("a@example.com", "CNY").await;
    let mut known = Known { provider: "wechat", number: String::new(), amount: 1000, currency: "CNY" };
    begun(counter.pool(), customer.tenant, &mut known).await;
    let path = "/api/v1/admin/payment-providers/wechat";
    let with = |key: &str| json!({ "enabled": true, "values": { "api_v3_key": key } });
    counter.till.admin.put(path, with("ffffffffffffffffffffffffffffffff")).await.expect(200);
    let sent = tell(&known, &Tell::Paid, 0, "evt_sealed", now(), Signer::Provider);
    assert_eq!(sent.send(&reqwest::Client::new(), counter.platform()).await.unwrap().0, 200);
    counter.settled().await;
    assert_eq!(counter.events().await, [("unreadable".to_owned(), 1)]);
    counter.till.admin.put(path, with(WECHAT_API_KEY)).await.expect(200);
    let list = counter.till.admin.get("/api/v1/admin/payment-events").await.expect(200).json();
    let retry = format!("/api/v1/admin/payment-events/{}/retry", list["items"][0]["id"]);
    counter.till.admin.post(&retry, json!({})).await.expect(200);
    counter.settled().await;
    assert_eq!(counter.balance(&customer).await, 1000);
    counter.close().await;
}
