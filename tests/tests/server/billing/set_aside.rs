//! One customer whose money cannot be counted: the others get their invoices, reminders and locks.

use super::{DAY, Till};
use crate::server::instances::desk::text;

const ASIDE: &str = "SELECT count(*) FROM set_aside";
const NO_CREDIT: &str = "UPDATE billing_accounts SET credit_limit = 0";

#[tokio::test]
async fn an_invoice_that_cannot_be_made_stops_no_other_and_leaves_no_gap() {
    let till = Till::open().await;
    till.desk.make_poisonable().await;
    let mut customers = Vec::new();
    for name in ["a", "b", "c"] {
        let customer = till.postpaid(&format!("{name}@example.com")).await;
        till.desk.running(&customer, name, "large").await;
        customers.push(customer);
    }
    till.at(31 * DAY).await;
    till.desk.poison(customers[1].tenant).await;
    till.make_invoices().await;
    let numbers = async |index: usize| -> Vec<String> {
        let invoices = till.invoices(&customers[index]).await;
        invoices.iter().map(|invoice| text(&invoice["number"]).to_owned()).collect()
    };
    let first_of = async |index: usize| numbers(index).await.first().cloned().unwrap_or_default();
    assert_eq!([first_of(0).await, first_of(1).await, first_of(2).await], ["INV-000001", "", "INV-000002"]);
    let aside: (String, String) =
        sqlx::query_as("SELECT kind, subject FROM set_aside ORDER BY subject LIMIT 1")
            .fetch_one(till.desk.pool())
            .await
            .unwrap();
    assert_eq!(aside, ("invoice".to_owned(), format!("2026-01 {}", customers[1].tenant)));
    // The run goes on with the next months, and tries this one again only when its pause is over.
    let made = till.desk.count("SELECT count(*) FROM invoices").await;
    till.make_invoices().await;
    assert_eq!(till.desk.count("SELECT count(*) FROM invoices").await, made);

    till.desk.heal().await;
    till.desk.wait_is_over().await;
    till.make_invoices().await;
    assert_eq!(till.desk.count(ASIDE).await, 0);
    let (one, other) = (till.invoices(&customers[0]).await, till.invoices(&customers[1]).await);
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!((&one["month"], &one["total"]), (&other["month"], &other["total"]), "the same was used");
    }
    // Numbers have no gap, whoever was late.
    let (highest, count): (i64, i64) = sqlx::query_as("SELECT max(number), count(*) FROM invoices")
        .fetch_one(till.desk.pool())
        .await
        .unwrap();
    assert_eq!(highest, count);
    till.make_invoices().await;
    assert_eq!(till.desk.count("SELECT count(*) FROM invoices").await, count, "nothing is made twice");
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn an_account_that_cannot_be_reviewed_stops_no_other() {
    let till = Till::open().await;
    till.desk.make_poisonable().await;
    let mut customers = Vec::new();
    for name in ["a", "b", "c"] {
        let customer = till.desk.buyer(&format!("{name}@example.com")).await;
        till.desk.running(&customer, name, "large").await;
        customers.push(customer);
    }
    till.at(10 * DAY).await;
    // Prepaid, and nothing was paid: overdue from the first look on.
    till.desk.poison_with(customers[0].tenant, NO_CREDIT).await;
    till.review().await;
    let overdue = "SELECT count(*) FROM billing_accounts WHERE overdue_since IS NOT NULL";
    assert_eq!(till.desk.count(overdue).await, 2);
    assert_eq!(till.desk.count("SELECT count(*) FROM set_aside WHERE kind = 'account'").await, 1);
    till.review().await;
    let failures: i32 =
        sqlx::query_scalar("SELECT failures FROM set_aside").fetch_one(till.desk.pool()).await.unwrap();
    assert_eq!(failures, 1, "it waits for its pause");
    till.desk.heal().await;
    till.desk.wait_is_over().await;
    till.review().await;
    assert_eq!(till.desk.count(overdue).await, 3);
    assert_eq!(till.desk.count(ASIDE).await, 0);
    till.desk.platform.stop().await;
}

/// One instance of a customer cannot be locked: the others are, and its turn comes.
#[tokio::test]
async fn an_instance_that_cannot_be_suspended_stops_no_other() {
    let till = Till::open().await;
    till.desk.make_poisonable().await;
    let customer = till.desk.buyer("a@example.com").await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(till.desk.running(&customer, name, "large").await);
    }
    till.at(10 * DAY).await;
    till.desk.poison_with(crate::server::instances::desk::uuid_of(&ids[0]), NO_CREDIT).await;
    till.review().await;
    let locked = "SELECT count(*) FROM instances WHERE lock_reason = 'suspended'";
    assert_eq!(till.desk.count(locked).await, 2);
    assert_eq!(till.desk.count("SELECT count(*) FROM set_aside WHERE kind = 'suspension'").await, 1);
    till.desk.heal().await;
    till.desk.wait_is_over().await;
    till.review().await;
    assert_eq!(till.desk.count(locked).await, 3);
    assert_eq!(till.desk.count(ASIDE).await, 0);
    till.desk.platform.stop().await;
}
