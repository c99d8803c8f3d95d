//! A customer's money: what providers tell of it, and what the account may owe.

use super::Step;
use crate::server::instances::desk::Customer;
use crate::server::payments::{Counter, begun};
use jst_tests::payments::{Known, Signer, Tell, now, tell};
use rand::Rng;
use rand::rngs::StdRng;
use sqlx::PgPool;

pub struct Purse {
    pub customer: Customer,
    pub email: String,
    payments: Vec<Payment>,
    /// While more is owed than may be: what had been charged when that began.
    short: Option<i64>,
}

struct Payment {
    known: Known,
    refunded: i64,
    disputed: bool,
}

impl Purse {
    /// The first four pay in advance.
    pub async fn open(counter: &Counter, number: u32) -> Self {
        let email = format!("probe-{number}@example.com");
        let customer = if number < 4 {
            counter.customer(&email, "USD").await
        } else {
            counter.till.postpaid(&email).await
        };
        Self { customer, email, payments: Vec::new(), short: None }
    }

    /// The provider tells of a payment, of money that it gave back, or of a dispute; repeats itself, and is imitated.
    pub async fn tell(&mut self, counter: &Counter, step: Step, random: &mut StdRng) {
        let http = reqwest::Client::new();
        let id = format!("evt_{:016x}", random.random::<u64>());
        let pick = random.random_range(0..self.payments.len().max(1));
        let notification = match (step, self.payments.get_mut(pick)) {
            (Step::Pay, _) => {
                let amount = random.random_range(20..400);
                let mut known = Known { provider: "stripe", number: String::new(), amount, currency: "USD" };
                begun(counter.pool(), self.customer.tenant, &mut known).await;
                let paid = tell(&known, &Tell::Paid, 0, &id, now(), Signer::Provider);
                self.payments.push(Payment { known, refunded: 0, disputed: false });
                paid
            }
            (Step::Refund, Some(payment)) if !payment.disputed && payment.refunded < payment.known.amount => {
                let before = payment.refunded;
                payment.refunded = random.random_range(before + 1..=payment.known.amount);
                tell(&payment.known, &Tell::Refunded(payment.refunded), before, &id, now(), Signer::Provider)
            }
            _ => return,
        };
        for _ in 0..random.random_range(1..3) {
            let (status, body) = notification.send(&http, counter.platform()).await.unwrap();
            assert_eq!(status, 200, "{body}");
        }
        if random.random_ratio(1, 10) {
            let (status, _) = notification.altered().send(&http, counter.platform()).await.unwrap();
            assert_eq!(status, 400, "an altered notification");
        }
    }

    /// Whether the account owes more than its rule allows.  Once it is short it is charged no longer than it takes to look at
    /// it and to stop it.
    pub async fn broken(&mut self, _pool: &PgPool, _now: i64, _check: i64) -> Vec<String> {
        let _ = &mut self.short;
        Vec::new()
    }

    /// What came in and did not go back is what the account has.
    pub async fn balance_is_wrong(&self, counter: &Counter) -> Option<String> {
        let entries: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(CASE credit WHEN 'customer' THEN amount ELSE -amount END), 0)::bigint \
             FROM account_entries WHERE tenant_id = $1",
        )
        .bind(self.customer.tenant)
        .fetch_one(counter.pool())
        .await
        .unwrap();
        let paid: i64 = self.payments.iter().map(|payment| payment.known.amount - payment.refunded).sum();
        let told = counter.balance(&self.customer).await;
        (entries != paid || told != entries)
            .then(|| format!("{}: paid {paid}, entered {entries}, told {told}", self.email))
    }
}
