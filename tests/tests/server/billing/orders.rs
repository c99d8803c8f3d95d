//! What an account may order, how it runs dry, and what opens it.

use super::{Till, id};
use crate::server::instances::desk::{Customer, field_errors, text};
use serde_json::{Value, json};

fn minor(money: &Value) -> i64 {
    money["minor"].as_i64().unwrap_or_else(|| panic!("{money} is no amount"))
}

/// A day of `small` costs 48 cents, and one of `large` 120.
const SMALL: i64 = 48;
const LARGE: i64 = 120;

async fn refused(answer: jst_tests::Answer, code: &str) -> Value {
    let problem = answer.expect(403).json();
    assert_eq!(text(&problem["code"]), code, "{problem}");
    problem
}

async fn mails(till: &Till, kind: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM mail_outbox WHERE kind = $1")
        .bind(kind)
        .fetch_one(till.desk.pool())
        .await
        .unwrap()
}

/// What begins now has begun so many hours ago.
async fn began(till: &Till, hours: i32) {
    sqlx::query("UPDATE test_clock SET at = date_trunc('second', now()) - make_interval(hours => $1)")
        .bind(hours)
        .execute(till.desk.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_order_needs_what_everything_costs_in_its_first_period() {
    let till = Till::open().await;
    till.in_real_time().await;
    let customer = till.prepaid("a@example.com", 1).await;
    // One cent opens the account, and orders nothing.
    let problem = refused(customer.try_create("vm", "small").await, "funds-missing").await;
    assert_eq!(problem["figures"]["missing_minor"], (SMALL - 1).to_string(), "{problem}");
    assert!(text(&problem["detail"]).contains("$0.47") && text(&problem["detail"]).contains("first 24 h"));
    till.pay(&customer, 2 * SMALL - 1, "second").await.expect(201);
    let first = customer.create("one", "small").await;
    // What no host has reported yet is ordered too.
    let second = customer.create("two", "small").await;
    refused(customer.try_create("three", "small").await, "funds-missing").await;
    till.desk.obey().await;
    refused(customer.act(&first, "resize", json!({ "plan": "large" })).await, "funds-missing").await;
    refused(customer.act(&first, "resize", json!({ "plan": "flat" })).await, "funds-missing").await;
    let account = till.account(&customer).await;
    assert!((0..=1).contains(&minor(&account["spendable"])), "{account}");
    assert_eq!(minor(&account["first_period"]), 2 * SMALL);
    // What is deleted makes room, and coming back needs it again.
    let path = format!("/api/v1/instances/{second}");
    customer.api.delete(&path).await.expect(202);
    till.desk.obey().await;
    let third = customer.create("three", "small").await;
    refused(customer.act(&second, "undelete", json!({})).await, "funds-missing").await;
    till.pay(&customer, SMALL + 1, "third").await.expect(201);
    customer.act(&second, "undelete", json!({})).await.expect(202);
    // More money, a dearer plan; and back to a cheaper one without any.
    till.pay(&customer, LARGE - SMALL, "fourth").await.expect(201);
    customer.act(&first, "resize", json!({ "plan": "large" })).await.expect(202);
    refused(customer.act(&third, "resize", json!({ "plan": "large" })).await, "funds-missing").await;
    till.desk.obey().await;
    let (cheap, disk) = ("cheap", 1024);
    till.desk.plan(cheap, false, crate::server::instances::desk::policy(1, 512, 256, disk)).await;
    customer.act(&first, "resize", json!({ "plan": cheap })).await.expect(202);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn the_operator_chooses_the_period_that_orders_need() {
    let till = Till::open().await;
    till.in_real_time().await;
    let customer = till.prepaid("a@example.com", 40).await;
    let path = "/api/v1/admin/billing/settings";
    let mut settings = till.admin.get(path).await.expect(200).json();
    assert_eq!(settings["first_period"], "day", "the default");
    for (period, code) in [("month", "funds-missing"), ("day", "funds-missing"), ("hour", "")] {
        settings["first_period"] = period.into();
        till.admin.put(path, settings.clone()).await.expect(200);
        let answer = customer.try_create("vm", "small").await;
        if code.is_empty() {
            answer.expect(202);
        } else {
            refused(answer, code).await;
        }
    }
    for (field, value) in [
        ("first_period", json!("year")),
        ("credit_limit_usd", json!(-1)),
        (
            "quota_steps",
            json!([{ "paid_usd": 0, "paid_cny": 1, "instances": 1, "vcpus": 1, "memory_mib": 1, "disk_mib": 1 }]),
        ),
        ("quota_steps", json!([{ "paid_usd": 5 }])),
        ("quota_steps", json!("many")),
    ] {
        let mut bad = settings.clone();
        bad[field] = value;
        let status = till.admin.put(path, bad).await.status;
        assert!([400, 422].contains(&status), "{field}: {status}");
    }
    assert_eq!(till.admin.get(path).await.expect(200).json(), settings);
    till.desk.platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_at_once_do_not_spend_the_same_money() {
    let till = Till::open().await;
    till.in_real_time().await;
    let customer = till.prepaid("a@example.com", 3 * SMALL).await;
    let asked = (0..12).map(|number| {
        let customer = &customer;
        async move { customer.try_create(&format!("vm-{number}"), "small").await }
    });
    let answers = futures::future::join_all(asked).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    let told: Vec<_> = answers.iter().map(|answer| (answer.status, answer.body.clone())).collect();
    assert_eq!(taken, 3, "{told:?}");
    assert_eq!(till.desk.count("SELECT count(*) FROM instances").await, 3);
    for answer in answers.into_iter().filter(|answer| answer.status != 202) {
        refused(answer, "funds-missing").await;
    }
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_trial_that_is_bought_needs_its_first_period() {
    let till = Till::open().await;
    till.in_real_time().await;
    let customer = till.desk.stranger("a@example.com").await;
    till.no_credit(&customer).await;
    let trial = till.desk.running(&customer, "trial", "small").await;
    let buy = async || customer.act(&trial, "resize", json!({ "plan": "large" })).await;
    refused(buy().await, "may-not-buy").await;
    till.pay(&customer, LARGE - 1, "first").await.expect(201);
    let problem = refused(buy().await, "funds-missing").await;
    assert_eq!(problem["figures"]["missing_minor"], "1");
    till.pay(&customer, 1, "second").await.expect(201);
    buy().await.expect(202);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn an_account_that_runs_dry_is_told_before_and_stopped_at_once() {
    let till = Till::open().await;
    let customer = till.prepaid("a@example.com", 200).await;
    // 60 cents are used: 140 last for 70 hours.
    began(&till, 30).await;
    let web = till.desk.running(&customer, "web", "small").await;
    till.review().await;
    till.review().await;
    assert_eq!((mails(&till, "running-out").await, mails(&till, "account-suspended").await), (1, 0));
    let account = till.account(&customer).await;
    assert!(account["runs_out_at"].is_string(), "{account}");
    // Another one since two days: 44 cents are left, for 11 hours of both.
    began(&till, 48).await;
    till.desk.running(&customer, "more", "small").await;
    till.review().await;
    till.review().await;
    assert_eq!((mails(&till, "running-out").await, mails(&till, "account-suspended").await), (2, 0));
    // Paid for a month of both, and most of it taken back.
    till.pay(&customer, 5000, "second").await.expect(201);
    let account = till.account(&customer).await;
    assert!(account["runs_out_at"].is_string() && minor(&account["missing"]) == 0, "{account}");
    let refund = async |amount: i64, reference: &str| {
        let entry = json!({ "kind": "refund", "amount": amount, "currency": "USD", "reference": reference });
        let path = format!("/api/v1/admin/customers/{}/entries", id(&customer));
        till.admin.post(&path, entry).await.expect(201);
    };
    refund(5020, "back").await;
    till.review().await;
    assert_eq!(mails(&till, "running-out").await, 3, "after a payment that lasted longer, another time");
    refund(30, "rest").await;
    till.desk.obey().await;
    assert_eq!((mails(&till, "account-suspended").await, mails(&till, "payment-reminder").await), (1, 0));
    let instance = customer.instance(&web).await;
    assert_eq!((text(&instance["state"]), text(&instance["lock_reason"])), ("stopped", "suspended"));
    // Data are kept, nothing is charged while it is suspended, and the debt stays what it was.
    let account = till.account(&customer).await;
    let owed = minor(&account["available"]);
    assert!((-8..0).contains(&owed), "{account}");
    sqlx::query("UPDATE account_suspensions SET since = since - interval '10 hours'")
        .execute(till.desk.pool())
        .await
        .unwrap();
    assert_eq!(minor(&till.account(&customer).await["available"]), owed + 2 * 20);
    sqlx::query("UPDATE account_suspensions SET since = since + interval '10 hours'")
        .execute(till.desk.pool())
        .await
        .unwrap();
    // What settles the debt is not enough to run for a minute; what the page says is.
    let missing = minor(&till.account(&customer).await["missing"]);
    assert!((-owed + 2 * SMALL - 2..=-owed + 2 * SMALL + 2).contains(&missing), "{missing} of {owed}");
    till.pay(&customer, -owed + 1, "third").await.expect(201);
    assert_eq!(text(&till.account(&customer).await["stage"]), "suspended");
    till.pay(&customer, missing, "fourth").await.expect(201);
    till.desk.obey().await;
    assert_eq!(text(&till.account(&customer).await["stage"]), "clear");
    assert_eq!(text(&customer.instance(&web).await["state"]), "running");
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_postpaid_account_stops_at_its_credit_limit() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    let limit =
        |cents: i64| json!({ "currency": "USD", "prepaid": false, "tax_rate": null, "credit_limit": cents });
    let answer = till.terms(&customer, limit(-1)).await.expect(422);
    assert_eq!(field_errors(&answer)[0].0, "credit_limit");
    till.terms(&customer, limit(100)).await.expect(200);
    began(&till, 20).await;
    let web = till.desk.running(&customer, "web", "small").await;
    let problem = refused(customer.try_create("more", "small").await, "credit-exhausted").await;
    assert!(text(&problem["detail"]).contains("$1.00"), "{problem}");
    assert_eq!(text(&till.account(&customer).await["stage"]), "clear");
    till.terms(&customer, limit(30)).await.expect(200);
    till.desk.obey().await;
    assert_eq!(text(&customer.instance(&web).await["state"]), "stopped");
    till.terms(&customer, limit(1000)).await.expect(200);
    till.desk.obey().await;
    assert_eq!(text(&customer.instance(&web).await["state"]), "running");
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn quotas_grow_with_what_was_paid_and_fall_with_what_is_taken_back() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let path = format!("/api/v1/admin/customers/{}", id(&customer));
    let mut quotas = json!({
        "quota_instances": 1, "quota_vcpus": 40, "quota_memory_mib": 81920, "quota_disk_mib": 1048576, "may_buy": true,
    });
    till.admin.put(&format!("{path}/quotas"), quotas.clone()).await.expect(200);
    let settings = "/api/v1/admin/billing/settings";
    let mut steps = till.admin.get(settings).await.expect(200).json();
    steps["quota_steps"] = json!([
        { "paid_usd": 1000, "paid_cny": 7000, "instances": 2, "vcpus": 1, "memory_mib": 1, "disk_mib": 1 },
        { "paid_usd": 5000, "paid_cny": 35000, "instances": 3, "vcpus": 1, "memory_mib": 1, "disk_mib": 1 },
    ]);
    till.admin.put(settings, steps).await.expect(200);
    customer.create("one", "small").await;
    refused(customer.try_create("two", "small").await, "quota-instances").await;
    // A gift is no payment.
    let entries = format!("{path}/entries");
    let entry = |kind: &str, amount: i64, reference: &str| json!({ "kind": kind, "amount": amount, "currency": "USD", "reference": reference });
    till.admin.post(&entries, entry("credit", 9999, "gift")).await.expect(201);
    refused(customer.try_create("two", "small").await, "quota-instances").await;
    till.pay(&customer, 1000, "a").await.expect(201);
    let two = customer.create("two", "small").await;
    refused(customer.try_create("three", "small").await, "quota-instances").await;
    till.pay(&customer, 4000, "b").await.expect(201);
    customer.create("three", "small").await;
    // Taken back by the bank: nothing that runs is touched, and nothing is added.
    till.desk.obey().await;
    till.admin.post(&entries, entry("chargeback", 4500, "reversed")).await.expect(201);
    assert_eq!(text(&till.account(&customer).await["orders_closed"]), "may-not-buy");
    quotas["may_buy"] = true.into();
    till.admin.put(&format!("{path}/quotas"), quotas.clone()).await.expect(200);
    customer.api.delete(&format!("/api/v1/instances/{two}?now=true")).await.expect(202);
    till.desk.obey().await;
    refused(customer.try_create("again", "small").await, "quota-instances").await;
    // An operator's last word.
    till.pay(&customer, 9000, "c").await.expect(201);
    quotas["quota_grows"] = false.into();
    till.admin.put(&format!("{path}/quotas"), quotas).await.expect(200);
    refused(customer.try_create("again", "small").await, "quota-instances").await;
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_voucher_opens_the_account_unless_the_operator_decides_otherwise() {
    let till = Till::open().await;
    till.in_real_time().await;
    let voucher = async |opens: Value| {
        let mut new = json!({ "currency": "USD", "amount": 1000 });
        if !opens.is_null() {
            new["opens_orders"] = opens;
        }
        text(&till.admin.post("/api/v1/admin/vouchers", new).await.expect(201).json()["code"]).to_owned()
    };
    let redeem = async |customer: &Customer, code: String| {
        customer.api.post("/api/v1/billing/vouchers", json!({ "code": code })).await.expect(200).json()
    };
    let first = till.desk.stranger("a@example.com").await;
    till.no_credit(&first).await;
    let account = redeem(&first, voucher(json!(null)).await).await;
    assert_eq!((&account["orders_closed"], minor(&account["spendable"])), (&json!(null), 1000));
    first.create("vm", "large").await;
    // One that does not: nothing looks as if it could be spent, and the reason stands beside it.
    let second = till.desk.stranger("b@example.com").await;
    till.no_credit(&second).await;
    let account = redeem(&second, voucher(json!(false)).await).await;
    assert_eq!((text(&account["orders_closed"]), minor(&account["balance"])), ("may-not-buy", 1000));
    assert_eq!(minor(&account["spendable"]), 0);
    let problem = refused(second.try_create("vm", "large").await, "may-not-buy").await;
    assert!(text(&problem["detail"]).contains("first payment opens"), "{problem}");
    till.pay(&second, 1, "bank-1").await.expect(201);
    assert_eq!(minor(&till.account(&second).await["spendable"]), 1001);
    // An operator who has closed an account is not overruled by another voucher.
    sqlx::query("UPDATE tenants SET may_buy = false").execute(till.desk.pool()).await.unwrap();
    redeem(&second, voucher(json!(true)).await).await;
    assert_eq!(text(&till.account(&second).await["orders_closed"]), "may-not-buy");
    till.desk.platform.stop().await;
}
