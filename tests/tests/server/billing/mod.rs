//! Metering and money: from a report to an invoice, with the time set by the test.

mod accounts;
mod invoices;
mod ledger;
mod lives;
mod orders;
mod pages;
mod set_aside;

use super::instances::desk::{Customer, Desk};
use serde_json::{Value, json};
use uuid::Uuid;

/// A desk whose meters' clock stands still until it is set.  Accounts may owe what they like unless a test says otherwise.
pub struct Till {
    pub desk: Desk,
    pub admin: jst_tests::Api,
}

/// Noon of the first of January 2026.
pub const START: i64 = 1_767_268_800;
pub const HOUR: i64 = 3600;
pub const DAY: i64 = 86_400;

impl Till {
    /// The plan `small` is a trial of 2 cents an hour and 10 dollars a month at most, `large` costs 5 cents an hour
    /// and 25 dollars at most, `flat` 31 dollars a month.
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same, with more arguments for the server's command line.
    pub async fn open_with(arguments: &[&str]) -> Self {
        let desk = Desk::on(jst_tests::Platform::start_with(arguments).await).await;
        desk.plan("flat", false, super::instances::desk::policy(2, 512, 256, 1024)).await;
        for (slug, hourly, monthly) in [("small", 20_000, 1000), ("large", 50_000, 2500), ("flat", 0, 3100)] {
            sqlx::query(
                "UPDATE plans SET version = version + 1, price_hourly_usd_micro = $2, price_monthly_usd = $3, \
                 price_hourly_cny_micro = $2 * 7, price_monthly_cny = $3 * 7 WHERE slug = $1",
            )
            .bind(slug)
            .bind(hourly)
            .bind(monthly)
            .execute(desk.pool())
            .await
            .unwrap();
        }
        let admin = desk.platform.api(&desk.platform.admin_token().await);
        let till = Self { desk, admin };
        till.as_owner(
            "CREATE TABLE test_clock (at timestamptz NOT NULL); GRANT SELECT, INSERT, UPDATE ON test_clock TO PUBLIC; \
             INSERT INTO test_clock VALUES ('2026-01-01 12:00:00Z'); \
             CREATE OR REPLACE FUNCTION meter_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
             'SELECT at FROM public.test_clock'; UPDATE billing_settings SET first_month = '2026-01-01', \
             credit_limit_usd = 100000000000, credit_limit_cny = 100000000000; \
             ALTER TABLE billing_accounts ALTER credit_limit SET DEFAULT 100000000000",
        )
        .await;
        till
    }

    /// As who owns the tables, whom the server never is.
    pub async fn as_owner(&self, statements: &'static str) {
        self.desk.as_owner(statements).await;
    }

    /// Sets the clock to so many seconds after [`START`].
    pub async fn at(&self, seconds: i64) {
        sqlx::query("UPDATE test_clock SET at = to_timestamp($1::bigint)")
            .bind(START + seconds)
            .execute(self.desk.pool())
            .await
            .unwrap();
    }

    /// A customer who has this much and may owe nothing; time is as it is.
    pub async fn prepaid(&self, email: &str, cents: i64) -> Customer {
        let customer = self.desk.buyer(email).await;
        self.no_credit(&customer).await;
        if cents > 0 {
            self.pay(&customer, cents, "first").await.expect(201);
        }
        customer
    }

    /// From now on the customer may owe nothing.
    pub async fn no_credit(&self, customer: &Customer) {
        let terms = json!({ "currency": "USD", "prepaid": true, "tax_rate": null, "credit_limit": 0 });
        self.terms(customer, terms).await.expect(200);
    }

    /// Meters count by the real time from now on, as they do outside of tests.
    pub async fn in_real_time(&self) {
        self.as_owner(
            "CREATE OR REPLACE FUNCTION meter_clock() RETURNS timestamptz LANGUAGE sql VOLATILE RETURN clock_timestamp()",
        )
        .await;
    }

    /// A customer who pays by invoice.
    pub async fn postpaid(&self, email: &str) -> Customer {
        let customer = self.desk.buyer(email).await;
        self.terms(&customer, json!({ "currency": "USD", "prepaid": false, "tax_rate": null }))
            .await
            .expect(200);
        customer
    }

    pub async fn terms(&self, customer: &Customer, terms: Value) -> jst_tests::Answer {
        let path = format!("/api/v1/admin/customers/{}/billing", id(customer));
        self.admin.put(&path, terms).await
    }

    pub async fn pay(&self, customer: &Customer, amount: i64, reference: &str) -> jst_tests::Answer {
        let path = format!("/api/v1/admin/customers/{}/entries", id(customer));
        let entry = json!({ "kind": "payment", "amount": amount, "currency": "USD", "reference": reference });
        self.admin.post(&path, entry).await
    }

    pub async fn account(&self, customer: &Customer) -> Value {
        customer.api.get("/api/v1/billing").await.expect(200).json()
    }

    pub async fn invoices(&self, customer: &Customer) -> Vec<Value> {
        let list = customer.api.get("/api/v1/billing/invoices?limit=100").await.expect(200).json();
        let mut items = list["items"].as_array().unwrap().clone();
        items.reverse();
        items
    }

    pub async fn make_invoices(&self) {
        jst_server::billing::invoices::run(self.desk.platform.app()).await.unwrap();
    }

    pub async fn review(&self) {
        jst_server::billing::entitlement::pass(self.desk.platform.app()).await.unwrap();
    }

    /// The ledger of an instance: kind, plan, seconds after [`START`].
    pub async fn ledger(&self, instance: Uuid) -> Vec<Row> {
        let rows: Vec<(String, String, i64, Option<i64>)> = sqlx::query_as(
            "SELECT kind, slug, extract(epoch FROM since)::bigint - $2, extract(epoch FROM until)::bigint - $2 FROM ledger \
             JOIN plans ON plans.id = plan_id WHERE instance_id = $1 ORDER BY n",
        )
        .bind(instance)
        .bind(START)
        .fetch_all(self.desk.pool())
        .await
        .unwrap();
        rows.into_iter().map(|(kind, plan, since, until)| Row { kind, plan, since, until }).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub kind: String,
    pub plan: String,
    pub since: i64,
    pub until: Option<i64>,
}

pub fn row(kind: &str, plan: &str, since: i64, until: Option<i64>) -> Row {
    Row { kind: kind.to_owned(), plan: plan.to_owned(), since, until }
}

pub fn id(customer: &Customer) -> String {
    jst_server::ids::TenantId::from_uuid(customer.tenant).to_string()
}
