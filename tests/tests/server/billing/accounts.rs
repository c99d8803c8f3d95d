use super::{DAY, Till, id};
use crate::server::instances::desk::{Customer, field_errors, text};
use serde_json::{Value, json};

fn minor(money: &Value) -> i64 {
    money["minor"].as_i64().unwrap_or_else(|| panic!("{money} is no amount"))
}

async fn mails(till: &Till, kind: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM mail_outbox WHERE kind = $1")
        .bind(kind)
        .fetch_one(till.desk.pool())
        .await
        .unwrap()
}

/// As if it had been overdue for so many days.
async fn overdue_for(till: &Till, customer: &Customer, days: i32) {
    sqlx::query(
        "UPDATE billing_accounts SET overdue_since = now() - make_interval(days => $2) WHERE tenant_id = $1",
    )
    .bind(customer.tenant)
    .bind(days)
    .execute(till.desk.pool())
    .await
    .unwrap();
    till.review().await;
}

#[tokio::test]
async fn entries_are_the_administrator_s_and_each_counts_once() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let path = format!("/api/v1/admin/customers/{}/entries", id(&customer));
    let entry = json!({ "kind": "payment", "amount": 5000, "currency": "USD", "reference": "bank-1" });
    customer.api.post(&path, entry.clone()).await.expect(404);
    customer.api.get("/api/v1/admin/billing").await.expect(404);
    for (field, value) in
        [("kind", json!("invoice")), ("amount", json!(0)), ("amount", json!(-5)), ("reference", json!(""))]
    {
        let mut bad = entry.clone();
        bad[field] = value;
        let answer = till.admin.post(&path, bad).await.expect(422);
        assert_eq!(field_errors(&answer)[0].0, field);
    }
    let nobody = format!("/api/v1/admin/customers/{}/entries", jst_server::ids::TenantId::new());
    till.admin.post(&nobody, entry.clone()).await.expect(404);
    till.admin.post(&path, entry.clone()).await.expect(201);
    let answer = till.admin.post(&path, entry).await.expect(422);
    assert_eq!(field_errors(&answer), [("reference".to_owned(), "reference-taken".to_owned())]);
    assert_eq!(minor(&till.account(&customer).await["balance"]), 5000);
    let refund = json!({ "kind": "refund", "amount": 1500, "currency": "USD", "reference": "bank-2" });
    till.admin.post(&path, refund).await.expect(201);
    assert_eq!(minor(&till.account(&customer).await["available"]), 3500);
    let entries = customer.api.get("/api/v1/billing/entries").await.expect(200).json();
    let amounts: Vec<i64> =
        entries["items"].as_array().unwrap().iter().map(|entry| minor(&entry["amount"])).collect();
    assert_eq!(amounts, [-1500, 5000]);
    let stranger = till.desk.buyer("b@example.com").await;
    let theirs = stranger.api.get("/api/v1/billing/entries").await.expect(200).json();
    assert_eq!(theirs["items"], json!([]));
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn the_first_payment_opens_the_account_for_orders_and_no_later_one_does() {
    let till = Till::open().await;
    let refused = async |customer: &Customer, code: &str| {
        let answer = customer.try_create("vm", "flat").await;
        assert_eq!((answer.status, text(&answer.json()["code"])), (403, code));
    };
    let refusal = async |customer: &Customer| refused(customer, "may-not-buy").await;
    let customer = till.desk.stranger("a@example.com").await;
    refusal(&customer).await;
    let path = format!("/api/v1/admin/customers/{}/entries", id(&customer));
    let gift = json!({ "kind": "credit", "amount": 5000, "currency": "USD", "reference": "gift" });
    till.admin.post(&path, gift).await.expect(201);
    refusal(&customer).await;
    till.pay(&customer, 5000, "bank-1").await.expect(201);
    customer.create("vm", "flat").await;
    assert_eq!(till.desk.event("billing.opened_for_orders").await.unwrap()["reference"], "bank-1");
    // Closed by the operator afterwards.
    sqlx::query("UPDATE tenants SET may_buy = false").execute(till.desk.pool()).await.unwrap();
    till.pay(&customer, 5000, "bank-2").await.expect(201);
    refusal(&customer).await;

    let sold_elsewhere = till.desk.stranger("b@example.com").await;
    sqlx::query(
        "WITH system AS (INSERT INTO billing_systems (id, name) VALUES (gen_random_uuid(), 'theirs') RETURNING id) \
         INSERT INTO billing_owners (system_id, reference, tenant_id, user_id, made_here) \
         SELECT system.id, '1', tenant_id, user_id, true FROM system, memberships WHERE tenant_id = $1",
    )
    .bind(sold_elsewhere.tenant)
    .execute(till.desk.pool())
    .await
    .unwrap();
    till.pay(&sold_elsewhere, 5000, "bank-3").await.expect(201);
    refused(&sold_elsewhere, "orders-elsewhere").await;
    assert_eq!(text(&till.account(&sold_elsewhere).await["orders_closed"]), "orders-elsewhere");
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_voucher_counts_once_and_only_for_owners() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let new = json!({ "currency": "USD", "amount": 1000, "valid_days": 30 });
    customer.api.post("/api/v1/admin/vouchers", new.clone()).await.expect(404);
    let code = till.admin.post("/api/v1/admin/vouchers", new).await.expect(201).json()["code"].clone();
    let redeem = async |customer: &Customer, code: &str| {
        customer.api.post("/api/v1/billing/vouchers", json!({ "code": code })).await
    };
    sqlx::query("UPDATE memberships SET role = 'operator'").execute(till.desk.pool()).await.unwrap();
    redeem(&customer, text(&code)).await.expect(403);
    sqlx::query("UPDATE memberships SET role = 'owner'").execute(till.desk.pool()).await.unwrap();
    let answer = redeem(&customer, "AAAAA-AAAAA-AAAAA-AAAAA").await.expect(422);
    assert_eq!(field_errors(&answer), [("code".to_owned(), "voucher".to_owned())]);
    let account = redeem(&customer, &text(&code).to_lowercase()).await.expect(200).json();
    assert_eq!(minor(&account["balance"]), 1000);
    redeem(&customer, text(&code)).await.expect(422);
    let second = till.desk.buyer("b@example.com").await;
    redeem(&second, text(&code)).await.expect(422);
    for _ in 0..9 {
        redeem(&second, "AAAAA-AAAAA-AAAAA-AAAAA").await;
    }
    redeem(&second, text(&code)).await.expect(429);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_postpaid_account_is_reminded_suspended_and_released_by_its_dates() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    let runs = till.desk.running(&customer, "runs", "flat").await;
    let off = till.desk.running(&customer, "off", "flat").await;
    customer.asked(&off, "shutdown").await;
    till.desk.obey().await;
    // Invoices since January that nobody paid, each due two weeks after it was made.
    till.make_invoices().await;
    till.as_owner(
        "ALTER TABLE invoices DISABLE TRIGGER invoices_append_only; UPDATE invoices SET due_at = now() - interval '2 hours'; \
         ALTER TABLE invoices ENABLE TRIGGER invoices_append_only",
    )
    .await;
    till.review().await;
    let account = till.account(&customer).await;
    assert_eq!((text(&account["stage"]), minor(&account["available"]) < 0), ("clear", true));
    for answer in [
        customer.try_create("more", "flat").await,
        customer.act(&runs, "resize", json!({ "plan": "large" })).await,
    ] {
        assert_eq!((answer.status, text(&answer.json()["code"])), (403, "account-overdue"));
    }
    let due_for = async |days: &'static str| {
        till.as_owner(days).await;
        till.review().await;
    };
    due_for(
        "ALTER TABLE invoices DISABLE TRIGGER invoices_append_only; UPDATE invoices SET due_at = now() - interval '2 days'",
    )
    .await;
    till.review().await;
    assert_eq!(mails(&till, "payment-reminder").await, 1);
    due_for("UPDATE invoices SET due_at = now() - interval '8 days'").await;
    till.desk.obey().await;
    till.review().await;
    assert_eq!(mails(&till, "account-suspended").await, 1);
    for id in [&runs, &off] {
        let instance = customer.instance(id).await;
        assert_eq!((text(&instance["state"]), text(&instance["lock_reason"])), ("stopped", "suspended"));
        let answer = customer.act(id, "start", json!({})).await.expect(403);
        assert!(
            ["tenant-suspended", "instance-locked"].contains(&text(&answer.json()["code"])),
            "{answer:?}"
        );
    }
    // A part is not enough; all of it is, at once, and what ran runs again.
    till.pay(&customer, 1, "bank-1").await.expect(201);
    assert_eq!(customer.instance(&runs).await["lock_reason"], "suspended");
    let owed = -minor(&till.account(&customer).await["balance"]);
    till.pay(&customer, owed, "bank-2").await.expect(201);
    till.desk.obey().await;
    let (ran, stood) = (customer.instance(&runs).await, customer.instance(&off).await);
    assert_eq!((text(&ran["state"]), &ran["lock_reason"]), ("running", &json!(null)));
    assert_eq!((text(&stood["state"]), &stood["lock_reason"]), ("stopped", &json!(null)));
    assert_eq!(mails(&till, "account-released").await, 1);
    customer.asked(&off, "start").await;
    customer.create("more", "flat").await;
    till.desk.platform.stop().await;
}

/// A decision that was made upon an earlier version is older than the one in force, whenever it arrives.
#[tokio::test]
async fn a_later_payment_wins_over_an_earlier_suspension() {
    use jst_server::billing::db::entitlement::decide;
    use jst_server::billing::dunning::Stage;
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let tenant = customer.tenant.into();
    let mut tx = till.desk.platform.app().db.begin_platform().await.unwrap();
    // Payment 3 arrives before suspension 2, and suspension 2 a second time.
    let mut arrived = Vec::new();
    for (version, stage) in
        [(1, Stage::Reminded), (3, Stage::Clear), (2, Stage::Suspended), (3, Stage::Suspended)]
    {
        arrived.push(decide(&mut tx, tenant, version, stage).await.unwrap());
    }
    assert_eq!(arrived, [true, true, false, false]);
    tx.commit().await.unwrap();
    assert_eq!(text(&till.account(&customer).await["stage"]), "clear");
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn who_never_pays_is_deleted_and_an_administrator_s_suspension_stays() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let id_ = till.desk.running(&customer, "web", "flat").await;
    till.no_credit(&customer).await;
    // Lifted by the operator, who then suspends the customer for reasons of their own.
    till.pay(&customer, 1_000_000, "bank-0").await.expect(201);
    till.desk.obey().await;
    let suspend = format!("/api/v1/admin/customers/{}/suspend", id(&customer));
    till.admin.post(&suspend, json!({})).await.expect(200);
    till.review().await;
    let path = format!("/api/v1/admin/customers/{}/entries", id(&customer));
    let refund = |amount: i64, reference: &str| json!({ "kind": "refund", "amount": amount, "currency": "USD", "reference": reference });
    let rest = minor(&till.account(&customer).await["available"]);
    till.admin.post(&path, refund(rest + 1, "bank-1")).await.expect(201);
    assert_eq!(text(&till.account(&customer).await["stage"]), "suspended");
    till.pay(&customer, 10_000, "bank-2").await.expect(201);
    assert_eq!(text(&till.account(&customer).await["stage"]), "clear");
    let detail =
        till.admin.get(&format!("/api/v1/admin/customers/{}", id(&customer))).await.expect(200).json();
    assert!(!detail["suspended_at"].is_null(), "{detail}");
    till.desk.obey().await;
    assert_eq!(text(&customer.instance(&id_).await["state"]), "running");
    // The money goes back, and nobody pays for a month.
    let rest = minor(&till.account(&customer).await["available"]);
    till.admin.post(&path, refund(rest + 1, "bank-3")).await.expect(201);
    overdue_for(&till, &customer, 31).await;
    till.desk.obey().await;
    assert_eq!(mails(&till, "account-deleted").await, 1);
    assert_eq!(text(&customer.instance(&id_).await["state"]), "deleting");
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn an_invoice_that_is_not_paid_is_overdue_from_its_date_on() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    till.at(25 * DAY).await;
    till.desk.running(&customer, "web", "flat").await;
    till.make_invoices().await;
    till.review().await;
    // Issued now: due in two weeks.
    assert_eq!(till.account(&customer).await["overdue_since"], json!(null));
    let mut settings = till.admin.get("/api/v1/admin/billing/settings").await.expect(200).json();
    for (field, value) in
        [("time_zone", json!("Mars/Olympus")), ("suspend_days", json!(40)), ("tax_rate", json!(-1))]
    {
        let mut bad = settings.clone();
        bad[field] = value;
        let answer = till.admin.put("/api/v1/admin/billing/settings", bad).await.expect(422);
        assert!(field_errors(&answer).iter().any(|(name, _)| name == field), "{field}");
    }
    settings["time_zone"] = json!("Asia/Shanghai");
    till.admin.put("/api/v1/admin/billing/settings", settings).await.expect(200);
    till.desk.platform.stop().await;
}
