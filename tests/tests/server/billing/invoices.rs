use super::{DAY, HOUR, Till, id};
use crate::server::instances::desk::{field_errors, text, uuid_of};
use jst_server::billing;
use jst_server::billing::calendar::Month;
use serde_json::{Value, json};

fn minor(money: &Value) -> i64 {
    money["minor"].as_i64().unwrap_or_else(|| panic!("{money} is no amount"))
}

/// All that invoices say, without what differs between two runs: ids and the time of issue.
async fn documents(till: &Till) -> Vec<(i64, uuid::Uuid, String, i64, i64, i64, i64)> {
    sqlx::query_as(
        "SELECT number, invoices.tenant_id, invoices.month::text, total, n::bigint, quantity, amount FROM invoices \
         JOIN invoice_lines ON invoice_id = id ORDER BY number, n",
    )
    .fetch_all(till.desk.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn a_month_ends_in_one_invoice() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    // 100 hours of `small` at 2 cents, then `large` at 5 cents until the cap of 25 dollars.
    let web = till.desk.running(&customer, "web", "small").await;
    till.at(100 * HOUR).await;
    customer.act(&web, "resize", json!({ "plan": "large" })).await.expect(202);
    till.desk.obey().await;
    // By the month, from the 16th at noon: half of January in advance, and February whole.
    till.at(15 * DAY).await;
    till.desk.running(&customer, "db", "flat").await;
    till.at(40 * DAY).await;
    for name in [&web] {
        customer.api.delete(&format!("/api/v1/instances/{name}?now=true")).await.expect(202);
    }
    till.desk.obey().await;
    till.make_invoices().await;
    let invoices = till.invoices(&customer).await;
    assert!(invoices.len() >= 2, "{invoices:#?}");
    let first = &invoices[0];
    assert_eq!((text(&first["number"]), text(&first["month"])), ("INV-000001", "2026-01"));
    // 2500 by the cap, 1550 for half a month, 3100 for February.
    assert_eq!(minor(&first["total"]), 2500 + 1550 + 3100);
    // February: `large` until the tenth at noon, and March of `flat`.
    let february = 9 * 24 + 12;
    assert_eq!(minor(&invoices[1]["total"]), february * 5 + 3100);
    let detail = customer
        .api
        .get(&format!("/api/v1/billing/invoices/{}", text(&first["id"])))
        .await
        .expect(200)
        .json();
    let amounts: Vec<i64> =
        detail["lines"].as_array().unwrap().iter().map(|line| minor(&line["amount"])).collect();
    assert_eq!(amounts.iter().sum::<i64>(), minor(&first["net"]));
    // Made twice, nothing is made.
    let before = documents(&till).await;
    till.make_invoices().await;
    assert_eq!(documents(&till).await, before);
    // The balance is what they ask for.
    let owed: i64 = invoices.iter().map(|invoice| minor(&invoice["total"])).sum();
    assert_eq!(minor(&till.account(&customer).await["balance"]), -owed);
    let csv = till.desk.count("SELECT count(*) FROM invoice_lines").await;
    assert!(csv > 4);
    till.desk.platform.stop().await;
}

/// Invoices are made again from the ledger, line by line.
#[tokio::test]
async fn every_invoice_can_be_made_again() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    for (number, plan) in ["small", "large", "flat"].into_iter().enumerate() {
        till.at(number as i64 * 5 * DAY + 1234).await;
        till.desk.running(&customer, &format!("vm-{number}"), plan).await;
    }
    till.at(50 * DAY).await;
    till.make_invoices().await;
    let app = till.desk.platform.app();
    let mut tx = app.db.begin_platform().await.unwrap();
    let tenant = customer.tenant.into();
    let zone = jiff::tz::TimeZone::UTC;
    for invoice in billing::db::invoices::list(&mut tx, Some(tenant), None, 100).await.unwrap() {
        let month = Month::of(invoice.month, &zone).unwrap();
        let again = billing::invoices::lines(&mut tx, tenant, &month, &zone).await.unwrap();
        let stored = billing::db::invoices::lines(&mut tx, tenant, Some(invoice.id)).await.unwrap();
        let stored: Vec<_> = stored.into_iter().map(|(_, line)| line).collect();
        assert_eq!(again, stored, "{}", month.name());
    }
    drop(tx);
    till.desk.platform.stop().await;
}

/// A run that is cut off anywhere and gone on with gives the same numbers, without gaps.
#[tokio::test]
async fn an_interrupted_run_goes_on() {
    let till = Till::open().await;
    for number in 0..12 {
        let customer = till.postpaid(&format!("c{number}@example.com")).await;
        till.at(number * HOUR).await;
        till.desk.running(&customer, "web", if number % 2 == 0 { "small" } else { "flat" }).await;
    }
    for cut in 0u64..60 {
        let run = till.make_invoices();
        let _ = tokio::time::timeout(std::time::Duration::from_micros(500 * cut), run).await;
    }
    till.make_invoices().await;
    let cut = documents(&till).await;
    // The same ledger, made in one go.
    till.as_owner(
        "SET session_replication_role = replica; DELETE FROM account_entries; DELETE FROM invoice_lines; \
         DELETE FROM invoices; DELETE FROM invoice_runs; UPDATE document_numbers SET last = 0",
    )
    .await;
    till.make_invoices().await;
    assert_eq!(documents(&till).await, cut);
    let numbers: Vec<i64> = sqlx::query_scalar("SELECT number FROM invoices ORDER BY number")
        .fetch_all(till.desk.pool())
        .await
        .unwrap();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    assert!(numbers.len() >= 12);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn what_is_paid_in_advance_and_given_up_is_given_back() {
    let till = Till::open().await;
    let customer = till.postpaid("a@example.com").await;
    till.at(30 * DAY).await;
    let id = till.desk.running(&customer, "db", "flat").await;
    // Deleted on the fifteenth of February at noon: a half of it was too much.
    till.at(45 * DAY).await;
    customer.api.delete(&format!("/api/v1/instances/{id}?now=true")).await.expect(202);
    till.desk.obey().await;
    till.make_invoices().await;
    let totals: Vec<i64> =
        till.invoices(&customer).await.iter().map(|invoice| minor(&invoice["total"])).collect();
    let february = 3100 * (14 * 24 + 12) / (28 * 24);
    assert_eq!(totals, [50 + 3100, february - 3100]);
    assert_eq!(till.ledger(uuid_of(&id)).await.len(), 2);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_credit_note_gives_back_at_most_the_invoice() {
    let till = Till::open().await;
    let mut settings = till.admin.get("/api/v1/admin/billing/settings").await.expect(200).json();
    settings["tax_rate"] = json!(1000);
    settings["issuer"] = json!("Jinshitong Ltd\n1 Main Street");
    till.admin.put("/api/v1/admin/billing/settings", settings.clone()).await.expect(200);
    let customer = till.postpaid("a@example.com").await;
    till.desk.running(&customer, "db", "flat").await;
    till.make_invoices().await;
    let invoice = till.invoices(&customer).await[0].clone();
    let (net, tax, total) = (minor(&invoice["net"]), minor(&invoice["tax"]), minor(&invoice["total"]));
    assert_eq!((tax, total), ((net + 5) / 10, net + tax));
    let before = minor(&till.account(&customer).await["balance"]);
    let path = format!("/api/v1/admin/invoices/{}/credit-notes", text(&invoice["id"]));
    // The refusals: nobody else, no reason, too much.
    customer.api.post(&path, json!({ "amount": 1, "reason": "x" })).await.expect(404);
    let answer = till.admin.post(&path, json!({ "amount": 0, "reason": " " })).await.expect(422);
    assert_eq!(field_errors(&answer).len(), 2);
    till.admin.post(&path, json!({ "amount": total + 1, "reason": "x" })).await.expect(422);
    let detail =
        till.admin.post(&path, json!({ "amount": total - 100, "reason": "Outage" })).await.expect(201).json();
    assert_eq!(text(&detail["credit_notes"][0]["number"]), "CN-000001");
    till.admin.post(&path, json!({ "amount": 101, "reason": "x" })).await.expect(422);
    till.admin.post(&path, json!({ "amount": 100, "reason": "The rest" })).await.expect(201);
    assert_eq!(minor(&till.account(&customer).await["balance"]), before + total);
    // The invoice is what it was, and no other tenant sees it.
    let stranger = till.desk.buyer("b@example.com").await;
    stranger.api.get(&format!("/api/v1/billing/invoices/{}", text(&invoice["id"]))).await.expect(404);
    stranger.api.get(&format!("/api/v1/admin/invoices/{}", text(&invoice["id"]))).await.expect(404);
    assert_eq!(till.invoices(&customer).await[0], invoice);
    for statement in
        ["UPDATE invoices SET total = 0", "DELETE FROM account_entries", "DELETE FROM invoice_lines"]
    {
        assert!(sqlx::query(statement).execute(till.desk.pool()).await.is_err(), "{statement}");
    }
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_bill_in_yuan_is_a_bill_in_yuan() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let yuan = json!({ "currency": "CNY", "prepaid": false, "tax_rate": 600, "billed_to": "某公司" });
    till.terms(&customer, yuan.clone()).await.expect(200);
    till.desk.running(&customer, "db", "flat").await;
    till.make_invoices().await;
    let invoice = &till.invoices(&customer).await[0];
    assert_eq!((text(&invoice["total"]["currency"]), invoice["tax_rate"].as_i64()), ("CNY", Some(600)));
    // Dollars are refused, at the door and in the database, and the currency stays.
    let answer = till.pay(&customer, 100, "bank-1").await.expect(422);
    assert_eq!(field_errors(&answer), [("currency".to_owned(), "currency-other".to_owned())]);
    let insert = "INSERT INTO account_entries (tenant_id, currency, debit, credit, amount, kind, reference, actor) \
                  VALUES ($1, 'USD', 'bank', 'customer', 1, 'payment', 'x', 'x')";
    assert!(sqlx::query(insert).bind(customer.tenant).execute(till.desk.pool()).await.is_err());
    let mut dollars = yuan;
    dollars["currency"] = json!("USD");
    let answer = till.terms(&customer, dollars).await.expect(422);
    assert_eq!(field_errors(&answer), [("currency".to_owned(), "currency-settled".to_owned())]);
    assert!(id(&customer).starts_with("ten_"));
    till.desk.platform.stop().await;
}
