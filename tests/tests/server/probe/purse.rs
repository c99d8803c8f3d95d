//! A customer's money: what providers tell of it, and what the account may owe.

use super::Step;
use crate::server::instances::desk::Customer;
use crate::server::payments::{Counter, begun};
use jst_tests::payments::{Known, Signer, Tell, now, stripe, tell};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;
use sqlx::PgPool;

pub struct Purse {
    pub customer: Customer,
    pub email: String,
    payments: Vec<Payment>,
    /// While more is owed than may be: what had been charged when that began, and the most that was charged an hour since.
    short: Option<(i64, i64)>,
}

/// How an account stands by the database, in millionths of the currency.
struct Standing {
    /// What came in and did not go back, and what it may owe.
    funds: i64,
    /// For what was in force, outside of suspensions.
    charged: i64,
    /// For deletions that were undone.
    restored: i64,
    /// What is charged an hour now.
    rate: i64,
    /// Instances that were ever charged for; each is rounded to cents.
    instances: i64,
}

struct Payment {
    known: Known,
    refunded: i64,
    disputed: bool,
    /// Disputes that have ended.
    disputes: u32,
}

impl Payment {
    fn left(&self) -> i64 {
        if self.disputed { 0 } else { self.known.amount - self.refunded }
    }
}

impl Purse {
    /// The first four pay in advance.
    pub async fn open(counter: &Counter, number: u32) -> Self {
        let email = format!("probe-{number}@example.com");
        let customer = counter.till.desk.buyer(&email).await;
        if number < 4 {
            counter.till.no_credit(&customer).await;
        } else {
            let terms =
                json!({ "currency": "USD", "prepaid": false, "tax_rate": null, "credit_limit": null });
            counter.till.terms(&customer, terms).await.expect(200);
        }
        Self { customer, email, payments: Vec::new(), short: None }
    }

    /// The provider tells of a payment, of money that it gave back, or of a dispute; repeats itself, and is imitated.
    pub async fn tell(&mut self, counter: &Counter, step: Step, random: &mut StdRng) {
        let http = reqwest::Client::new();
        let id = format!("evt_{:016x}", random.random::<u64>());
        let pick = random.random_range(0..self.payments.len().max(1));
        let notification = match (step, self.payments.get_mut(pick)) {
            (Step::Pay, _) => {
                // Cents; less than is charged meanwhile, so that accounts run dry.
                let amount = random.random_range(10..50);
                let mut known = Known { provider: "stripe", number: String::new(), amount, currency: "USD" };
                begun(counter.pool(), self.customer.tenant, &mut known).await;
                let paid = tell(&known, &Tell::Paid, 0, &id, now(), Signer::Provider);
                self.payments.push(Payment { known, refunded: 0, disputed: false, disputes: 0 });
                paid
            }
            (Step::Refund, Some(payment)) if !payment.disputed && payment.refunded < payment.known.amount => {
                let before = payment.refunded;
                payment.refunded = random.random_range(before + 1..=payment.known.amount);
                tell(&payment.known, &Tell::Refunded(payment.refunded), before, &id, now(), Signer::Provider)
            }
            (Step::Dispute, _) => return self.dispute(counter, random).await,
            _ => return,
        };
        for _ in 0..random.random_range(1..3) {
            let (status, body) = notification.send(&http, counter.platform()).await.unwrap();
            assert_eq!(status, 200, "{body}");
        }
        if random.random_ratio(1, 10) {
            let (status, _) = notification.altered().send(&http, counter.platform()).await.unwrap();
            assert!((400..500).contains(&status), "an altered notification: {status}");
        }
    }

    /// A bank takes a payment back, or gives it again after the dispute was won.
    async fn dispute(&mut self, counter: &Counter, random: &mut StdRng) {
        let open = self.payments.iter().position(|payment| payment.disputed);
        let fresh = self.payments.iter().position(|payment| !payment.disputed && payment.refunded == 0);
        let Some(index) = open.or(fresh) else { return };
        let payment = &mut self.payments[index];
        payment.disputed = open.is_none();
        let news: &[(&str, &str)] = if payment.disputed {
            &[("created", "needs_response"), ("funds_withdrawn", "needs_response")]
        } else {
            &[("funds_reinstated", "won"), ("closed", "won")]
        };
        let Known { number, amount, .. } = &payment.known;
        let http = reqwest::Client::new();
        for (kind, status) in news {
            let id = format!("evt_{:016x}", random.random::<u64>());
            let object = json!({
                "id": format!("dp_{number}_{}", payment.disputes), "object": "dispute", "amount": amount,
                "currency": "usd", "charge": format!("ch_{number}"), "payment_intent": format!("pi_{number}"),
                "status": status, "reason": "fraudulent",
            });
            let kind = format!("charge.dispute.{kind}");
            let notification = stripe(&id, &kind, &object, now(), Signer::Provider);
            let (status, body) = notification.send(&http, counter.platform()).await.unwrap();
            assert_eq!(status, 200, "{body}");
        }
        payment.disputes += u32::from(!payment.disputed);
    }

    async fn standing(&self, pool: &PgPool, now: i64) -> Standing {
        let (funds, charged, restored, rate, instances) = sqlx::query_as(
            "WITH windows AS (SELECT since, coalesce(until, 'infinity') AS until FROM account_suspensions WHERE tenant_id = $1), \
             metered AS (SELECT kind, ledger.instance_id, price_hourly_usd_micro AS rate, ledger.until IS NULL AS open, \
                 extract(epoch FROM least(coalesce(ledger.until, to_timestamp($2::bigint)), to_timestamp($2::bigint)) - since) \
                 - coalesce((SELECT sum(extract(epoch FROM least(windows.until, ledger.until, to_timestamp($2::bigint)) \
                     - greatest(windows.since, ledger.since))) FROM windows \
                     WHERE windows.since < least(ledger.until, to_timestamp($2::bigint)) AND windows.until > ledger.since), 0) AS seconds, \
                 kind = 'retained' AND EXISTS (SELECT FROM ledger AS later WHERE later.instance_id = ledger.instance_id \
                     AND later.n > ledger.n AND later.kind = 'sold') AS undone \
                 FROM ledger JOIN plan_versions USING (plan_id) WHERE version = plan_version AND tenant_id = $1) \
             SELECT (coalesce((SELECT sum(CASE credit WHEN 'customer' THEN amount ELSE -amount END) FROM account_entries \
                 WHERE tenant_id = $1), 0) * 10000)::bigint + coalesce(account.credit_limit, CASE WHEN account.prepaid THEN 0 \
                 ELSE settings.credit_limit_usd END) * 10000 AS funds, \
             coalesce((SELECT sum(seconds * rate / 3600) FROM metered WHERE kind = 'sold'), 0)::bigint AS charged, \
             coalesce((SELECT sum(seconds * rate / 3600) FROM metered WHERE undone), 0)::bigint AS restored, \
             coalesce((SELECT sum(rate) FROM metered WHERE kind = 'sold' AND open), 0)::bigint AS rate, \
             (SELECT count(DISTINCT instance_id) FROM metered WHERE kind = 'sold') AS instances \
             FROM billing_accounts AS account, billing_settings AS settings WHERE account.tenant_id = $1",
        )
        .bind(self.customer.tenant)
        .bind(now)
        .fetch_one(pool)
        .await
        .unwrap();
        Standing { funds, charged, restored, rate, instances }
    }

    /// Whether the account owes more than its rule allows.  Once nothing is left it is charged for no longer than it takes to
    /// look at it: then it is suspended, and what it has costs nothing until it is paid for again.
    pub async fn broken(&mut self, pool: &PgPool, now: i64, check: i64) -> Option<String> {
        let standing = self.standing(pool, now).await;
        if standing.funds >= standing.charged + standing.restored {
            self.short = None;
            return None;
        }
        let (charged, rate) = self.short.unwrap_or((standing.charged, 0));
        let rate = rate.max(standing.rate);
        self.short = Some((charged, rate));
        let since = standing.charged - charged;
        // The steps of the clock, and half a cent for each instance, whose sum is rounded.
        let allowed = rate * (check + 120) / 3600 + 10_000 + standing.instances * 5000;
        (since > allowed)
            .then(|| format!("{} owes: {since} since nothing was left, {allowed} allowed", self.email))
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
        let paid: i64 = self.payments.iter().map(Payment::left).sum();
        let told = counter.balance(&self.customer).await;
        (entries != paid || told != entries)
            .then(|| format!("{}: paid {paid}, entered {entries}, told {told}", self.email))
    }
}
