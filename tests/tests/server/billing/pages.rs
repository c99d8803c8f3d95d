//! The pages of money, in both languages; the refusals first.

use super::{DAY, Till, id};
use crate::server::instances::desk::{Customer, text};
use jst_tests::Client;
use jst_tests::platform::PASSWORD;
use serde_json::json;

/// A person of this customer's in a browser; the desk makes customers without passwords.
async fn browser(till: &Till, customer: &Customer) -> Client {
    let hash = jst_server::auth::password::hash(PASSWORD.to_owned()).await.unwrap();
    let email: String =
        sqlx::query_scalar("UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING email")
            .bind(customer.user)
            .bind(hash)
            .fetch_one(till.desk.pool())
            .await
            .unwrap();
    let client = till.desk.platform.client();
    client.sign_in(&email, PASSWORD).await;
    client
}

#[tokio::test]
async fn customers_see_their_account_and_nobody_else_s() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    till.desk.running(&customer, "<b>db</b>", "flat").await;
    till.make_invoices().await;
    let invoice = text(&till.invoices(&customer).await[0]["id"]).to_owned();
    let paper = format!("/billing/invoices/{invoice}");
    // Nobody, somebody else, and who is no administrator.
    let stranger = till.desk.buyer("b@example.com").await;
    let other = browser(&till, &stranger).await;
    assert_eq!(till.desk.platform.client().get("/billing").await.status, 303);
    other.get(&paper).await.expect(404);
    let admin_pages = [
        "/admin/billing".to_owned(),
        "/admin/billing/settings".to_owned(),
        "/admin/billing/invoices".to_owned(),
        format!("/admin/billing/invoices/{invoice}"),
        format!("/admin/customers/{}/billing", id(&customer)),
    ];
    for page in &admin_pages {
        other.get(page).await.expect(404);
        other.post(page, &[]).await.expect(if page.ends_with("invoices") || page == "/admin/billing" {
            405
        } else {
            404
        });
    }
    other.post(&format!("/admin/customers/{}/entries", id(&customer)), &[("amount", "1")]).await.expect(404);
    assert!(!other.get("/billing/lines.csv").await.expect(200).body.contains("INV-"));
    // The customer, in both languages.
    let own = browser(&till, &customer).await;
    let page = own.get("/billing").await.expect(200).body;
    assert!(page.contains("INV-000001") && page.contains("Forecast for"), "{page}");
    for (language, word, word_of_account) in
        [("en", "Billed to", "Not invoiced"), ("zh-CN", "付款方", "未出账")]
    {
        own.post("/preferences", &[("language", language), ("next", "/billing")]).await.expect(303);
        assert!(own.get("/billing").await.expect(200).body.contains(word_of_account));
        let page = own.get(&paper).await.expect(200).body;
        assert!(page.contains(word) && page.contains("INV-000001") && page.contains("$31.00"), "{page}");
        assert!(page.contains("&#60;b&#62;db&#60;/b&#62;") && !page.contains("<b>db</b>"), "{page}");
    }
    let csv = own.get("/billing/lines.csv").await.expect(200);
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert!(
        csv.body.starts_with("invoice,month,") && csv.body.contains("INV-000001,2026-01,vm_"),
        "{}",
        csv.body
    );
    // A viewer sees it and redeems nothing.
    sqlx::query("UPDATE memberships SET role = 'viewer'").execute(till.desk.pool()).await.unwrap();
    let page = own.get("/billing").await.expect(200).body;
    assert!(!page.contains("/billing/vouchers"), "{page}");
    own.post("/billing/vouchers", &[("code", "x")]).await.expect(403);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn administrators_record_money_and_read_the_ledger() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    let instance = till.desk.running(&customer, "db", "flat").await;
    till.at(3 * DAY).await;
    customer.act(&instance, "resize", json!({ "plan": "large" })).await.expect(202);
    till.desk.obey().await;
    till.make_invoices().await;
    let admin = till.desk.platform.client();
    admin.sign_in("admin@example.com", PASSWORD).await;
    let account = format!("/admin/customers/{}/billing", id(&customer));
    let entries = format!("/admin/customers/{}/entries", id(&customer));
    // A refused form comes back with what was typed.
    let fields = [("kind", "payment"), ("currency", "USD"), ("amount", "1.5.0"), ("reference", "bank-77")];
    let page = admin.post(&entries, &fields).await.expect(422).body;
    assert!(page.contains("1.5.0") && page.contains("such as 12.50"), "{page}");
    let fields = [("kind", "payment"), ("currency", "USD"), ("amount", "31.50"), ("reference", "bank-77")];
    assert_eq!(admin.post(&entries, &fields).await.expect(303).location, account);
    let page = admin.get(&account).await.expect(200).body;
    assert!(page.contains("bank-77") && page.contains("$31.50"), "{page}");
    let terms = [("currency", "CNY"), ("tax_rate", "6"), ("billed_to", "Somebody Ltd")];
    let page = admin.post(&account, &terms).await.expect(422).body;
    assert!(page.contains("cannot be changed any more"), "{page}");
    let terms = [("currency", "USD"), ("tax_rate", "6"), ("billed_to", "Somebody Ltd"), ("prepaid", "on")];
    admin.post(&account, &terms).await.expect(303);
    // The ledger as a timeline, the newest first.
    let page = admin.get(&format!("/admin/instances/{instance}/ledger")).await.expect(200).body;
    let (large, flat) = (page.find("large, version"), page.find("flat, version"));
    assert!(large.is_some() && large < flat, "{page}");
    admin.get(&format!("/admin/instances/{instance}")).await.expect(200);
    // Overview, invoices, credit note, voucher, settings.
    let page = admin.get("/admin/billing").await.expect(200).body;
    assert!(page.contains("a@example.com") && page.contains("2026-01"), "{page}");
    let invoice = text(&till.invoices(&customer).await[0]["id"]).to_owned();
    assert!(admin.get("/admin/billing/invoices").await.expect(200).body.contains(&invoice));
    let paper = format!("/admin/billing/invoices/{invoice}");
    let page = admin.post(&paper, &[("amount", "9999"), ("reason", "Outage")]).await.expect(422).body;
    assert!(page.contains("At most") && page.contains("Outage"), "{page}");
    admin.post(&paper, &[("amount", "1.25"), ("reason", "Outage")]).await.expect(303);
    assert!(admin.get(&paper).await.expect(200).body.contains("CN-000001"));
    let page =
        admin.post("/admin/billing/vouchers", &[("currency", "USD"), ("amount", "5")]).await.expect(200).body;
    assert!(page.contains("shown only now"), "{page}");
    admin.post("/admin/billing/vouchers", &[("currency", "USD"), ("amount", "-5")]).await.expect(422);
    for language in ["zh-CN", "en"] {
        admin.post("/preferences", &[("language", language), ("next", "/admin")]).await.expect(303);
        for page in ["/admin/billing", "/admin/billing/settings", &account, &paper] {
            admin.get(page).await.expect(200);
        }
    }
    admin.post("/admin/billing/settings", &[("currency", "USD"), ("time_zone", "Nowhere")]).await.expect(422);
    till.desk.platform.stop().await;
}

/// No money looks as if it could be spent when it cannot be, and whoever misses some is led to exactly that.
#[tokio::test]
async fn pages_say_what_can_be_spent_why_not_and_how_much_is_missing() {
    let till = Till::open().await;
    till.in_real_time().await;
    let customer = till.desk.stranger("a@example.com").await;
    till.no_credit(&customer).await;
    let own = browser(&till, &customer).await;
    let new = json!({ "currency": "USD", "amount": 100, "opens_orders": false });
    let code = till.admin.post("/api/v1/admin/vouchers", new).await.expect(201).json()["code"].clone();
    own.post("/billing/vouchers", &[("code", text(&code))]).await.expect(303);
    for (language, closed, title) in
        [("en", "not open for orders yet", "Available for orders"), ("zh-CN", "尚未开通订购", "可用于订购")]
    {
        own.post("/preferences", &[("language", language), ("next", "/billing")]).await.expect(303);
        let page = own.get("/billing").await.expect(200).body;
        assert!(page.contains(closed) && page.contains(title) && page.contains("$0.00"), "{page}");
    }
    own.post("/preferences", &[("language", "en"), ("next", "/billing")]).await.expect(303);
    till.pay(&customer, 10, "bank-1").await.expect(201);
    let fields = [("plan", "large"), ("image", "test"), ("name", "web")];
    let page = own.post("/instances", &fields).await.expect(403).body;
    // 120 cents a day, and 110 are there.
    assert!(page.contains("$0.10 is missing") && page.contains("/billing/payments?amount=0.10"), "{page}");
    assert!(!own.get("/billing").await.expect(200).body.contains("not open for orders"));
    // Below what providers take, the least that they take.
    own.get("/billing/payments?amount=0.10").await.expect(200);
    for nonsense in ["-5", "1e9", "%00", "99999999999999999999"] {
        own.get(&format!("/billing/payments?amount={nonsense}")).await.expect(200);
    }
    till.desk.platform.stop().await;
}

/// What the operator decides about credit has a form, and a refused one comes back with what was typed.
#[tokio::test]
async fn the_operator_s_forms_take_credit_and_quota_steps() {
    let till = Till::open().await;
    let admin = till.desk.platform.client();
    admin.sign_in("admin@example.com", PASSWORD).await;
    let page = admin.get("/admin/billing/settings").await.expect(200).body;
    assert!(page.contains("first_period") && page.contains("quota_steps"), "{page}");
    let fields = |steps: &'static str, limit: &'static str| {
        vec![
            ("first_month", "2026-01"),
            ("time_zone", "UTC"),
            ("currency", "USD"),
            ("prepaid", "on"),
            ("tax_rate", "0"),
            ("traffic_usd_micro", "0"),
            ("traffic_cny_micro", "0"),
            ("due_days", "14"),
            ("remind_days", "1"),
            ("suspend_days", "7"),
            ("delete_days", "30"),
            ("low_balance_usd", "5"),
            ("low_balance_cny", "30"),
            ("first_period", "hour"),
            ("credit_limit_usd", limit),
            ("credit_limit_cny", "0"),
            ("quota_steps", steps),
        ]
    };
    for (steps, limit, word) in [
        ("10 70 2", "5", "10 70 2"),
        ("10 70 a 1 1 1", "5", "six figures"),
        ("", "-1", "-1"),
        ("0 0 1 1 1 1", "5", "six figures"),
    ] {
        let page = admin.post("/admin/billing/settings", &fields(steps, limit)).await.expect(422).body;
        assert!(page.contains(word), "{steps:?} {limit}: {page}");
    }
    admin
        .post("/admin/billing/settings", &fields("10 70 2 3 4 5\n\n20 140 3 4 5 6", "12.50"))
        .await
        .expect(303);
    let saved = till.admin.get("/api/v1/admin/billing/settings").await.expect(200).json();
    assert_eq!((&saved["first_period"], &saved["credit_limit_usd"]), (&json!("hour"), &json!(1250)));
    assert_eq!(
        (&saved["quota_steps"][1]["paid_usd"], &saved["quota_steps"][1]["disk_mib"]),
        (&json!(2000), &json!(6))
    );
    till.desk.platform.stop().await;
}
