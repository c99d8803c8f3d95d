//! Ten thousand notifications: what must be applied is applied once, and nothing else is.

use super::{Counter, begun};
use crate::server::instances::desk::Customer;
use futures::StreamExt;
use jst_tests::payments::{Known, Notification, Signer, Tell, now, tell};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

const DELIVERIES: usize = 10_000;
const AT_ONCE: usize = 16;

/// What must come of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Stored once, however often it comes.
    Stored,
    Forged,
    Altered,
    Late,
    Replayed,
    Oversized,
}

struct Delivery {
    fate: Fate,
    sent: Notification,
}

/// A payment, and what in the end must have come of it.
struct Purse {
    customer: usize,
    known: Known,
    paid: bool,
    refunded: i64,
}

/// Everything that is sent, and what must be stored of it.
struct Mail {
    random: StdRng,
    deliveries: Vec<Delivery>,
    stored: BTreeSet<(&'static str, String)>,
}

impl Mail {
    fn post(&mut self, known: &Known, what: &Tell, before: i64) {
        let id = format!("evt_{:016x}", self.random.random::<u64>());
        let sent = tell(known, what, before, &id, now(), Signer::Provider);
        self.stored.insert((known.provider, id));
        // Providers repeat themselves.
        for _ in 0..=self.random.random_range(0..3) {
            self.deliveries.push(Delivery { fate: Fate::Stored, sent: sent.clone() });
        }
    }

    /// What somebody else makes of it, or what comes too late.
    fn spoil(&mut self, known: &Known) {
        let id = format!("bad_{:016x}", self.random.random::<u64>());
        let signed = |at, signer| tell(known, &Tell::Paid, 0, &id, at, signer);
        // Alipay signs no time: there is nothing to be too late for.
        let (fate, sent) = match (self.random.random_range(0..5), known.provider) {
            (0, _) | (1 | 2, "alipay") => (Fate::Forged, signed(now(), Signer::Forger)),
            (1, _) => (Fate::Late, signed(now() - 301, Signer::Provider)),
            (2, _) => (Fate::Replayed, signed(now() - 86_400, Signer::Provider)),
            (3, _) => {
                let mut sent = signed(now(), Signer::Provider);
                sent.body.resize(64 * 1024 + 1, b' ');
                (Fate::Oversized, sent)
            }
            _ => (Fate::Altered, signed(now(), Signer::Provider).altered()),
        };
        self.deliveries.push(Delivery { fate, sent });
    }
}

async fn customers(counter: &Counter) -> Vec<(Customer, &'static str)> {
    let mut all = Vec::new();
    for (n, currency) in ["USD", "CNY", "CNY", "USD", "CNY", "CNY", "CNY", "USD"].into_iter().enumerate() {
        all.push((counter.customer(&format!("c{n}@example.com"), currency).await, currency));
    }
    all
}

/// Lives of payments until there are so many deliveries.
async fn write(counter: &Counter, customers: &[(Customer, &'static str)]) -> (Mail, Vec<Purse>) {
    let mut mail =
        Mail { random: StdRng::seed_from_u64(11), deliveries: Vec::new(), stored: BTreeSet::new() };
    let mut purses = Vec::new();
    while mail.deliveries.len() < DELIVERIES - 20 {
        let customer = mail.random.random_range(0..customers.len());
        let (whose, currency) = &customers[customer];
        let provider =
            if *currency == "USD" { "stripe" } else { super::PROVIDERS[mail.random.random_range(0..3)] };
        let amount = mail.random.random_range(100..100_000);
        let mut known = Known { provider, number: String::new(), amount, currency };
        begun(counter.pool(), whose.tenant, &mut known).await;
        let mut purse = Purse { customer, known: known.clone(), paid: false, refunded: 0 };
        let life = mail.random.random_range(0..10);
        if life < 8 {
            mail.post(&known, &Tell::Paid, 0);
            purse.paid = true;
        }
        if life < 2 {
            // The same once more, as another event.
            mail.post(&known, &Tell::Paid, 0);
        }
        if (2..5).contains(&life) {
            let half = amount / 2;
            mail.post(&known, &Tell::Refunded(half), 0);
            purse.refunded = half;
        }
        if life == 4 {
            mail.post(&known, &Tell::Refunded(amount), amount / 2);
            purse.refunded = amount;
        }
        if life == 5 || life == 8 {
            mail.post(&known, &Tell::Expired, 0);
        }
        if life == 9 {
            // Nothing but a lie by whoever can sign: the wrong amount.
            mail.post(&known, &Tell::Wrong, 0);
        }
        if life == 6 {
            let stranger = Known { number: uuid::Uuid::now_v7().simple().to_string(), ..known.clone() };
            mail.post(&stranger, &Tell::Paid, 0);
        }
        for _ in 0..mail.random.random_range(0..4) {
            mail.spoil(&known);
        }
        purses.push(purse);
    }
    let last = purses.last().expect("there are payments").known.clone();
    while mail.deliveries.len() < DELIVERIES {
        mail.spoil(&last);
    }
    let Mail { random, deliveries, .. } = &mut mail;
    deliveries.truncate(DELIVERIES);
    deliveries.shuffle(random);
    (mail, purses)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_notifications_come_to_what_was_paid() {
    let counter = Counter::open().await;
    let customers = customers(&counter).await;
    let (mail, purses) = write(&counter, &customers).await;
    assert_eq!(mail.deliveries.len(), DELIVERIES);
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    for delivery in &mail.deliveries {
        *fates.entry(delivery.fate).or_default() += 1;
    }
    assert_eq!(fates.len(), 6, "each way to be wrong occurs: {fates:?}");

    let http = reqwest::Client::new();
    let begun = Instant::now();
    let answers = futures::stream::iter(&mail.deliveries)
        .map(|delivery| {
            let (http, counter) = (&http, &counter);
            async move {
                let answer = delivery.sent.send(http, counter.platform()).await.expect("an answer");
                (delivery, answer)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let received = begun.elapsed();
    counter.settled().await;
    println!(
        "{DELIVERIES} notifications ({fates:?}) of {} payments: answered in {:.1} s, applied after {:.1} s",
        purses.len(),
        received.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    for (delivery, (status, answer)) in answers {
        let wanted = match delivery.fate {
            Fate::Stored => 200,
            Fate::Oversized => 413,
            Fate::Forged | Fate::Altered | Fate::Late | Fate::Replayed => 400,
        };
        assert_eq!(status, wanted, "{:?} {answer}", delivery.fate);
        if delivery.sent.provider == "alipay" {
            assert_eq!(answer, if wanted == 200 { "success" } else { "fail" });
        }
    }
    // Each stored once, and nothing else stored.
    let kept: Vec<(String, String)> = sqlx::query_as("SELECT provider, event_id FROM payment_events")
        .fetch_all(counter.pool())
        .await
        .unwrap();
    let sent: BTreeSet<(String, String)> =
        mail.stored.iter().map(|(provider, id)| ((*provider).to_owned(), id.clone())).collect();
    assert_eq!(kept.len(), sent.len());
    assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), sent);
    // Every payment is what it should be, and every account.
    let mut expected = vec![0; customers.len()];
    for purse in &purses {
        let (state, refunded): (String, i64) =
            sqlx::query_as("SELECT state, refunded FROM payments WHERE id = $1::uuid")
                .bind(uuid::Uuid::try_parse(&purse.known.number).unwrap())
                .fetch_one(counter.pool())
                .await
                .unwrap();
        assert_eq!(refunded, purse.refunded, "{:?}", purse.known);
        match state.as_str() {
            "paid" => assert!(purse.paid && purse.refunded < purse.known.amount),
            "refunded" => assert!(purse.paid && purse.refunded == purse.known.amount),
            _ => assert!(!purse.paid, "{state} {:?}", purse.known),
        }
        expected[purse.customer] += if purse.paid { purse.known.amount - purse.refunded } else { 0 };
    }
    let mut total = 0;
    for ((customer, _), expected) in customers.iter().zip(&expected) {
        assert_eq!(counter.balance(customer).await, *expected);
        total += expected;
    }
    let moved: i64 = sqlx::query_scalar(
        "SELECT sum(CASE credit WHEN 'customer' THEN amount ELSE -amount END)::bigint FROM account_entries",
    )
    .fetch_one(counter.pool())
    .await
    .unwrap();
    assert_eq!(moved, total, "the ledger is what was paid");
    let mixed: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM account_entries AS entries JOIN billing_accounts USING (tenant_id) \
         WHERE entries.currency <> billing_accounts.currency",
    )
    .fetch_one(counter.pool())
    .await
    .unwrap();
    assert_eq!(mixed, 0);
    println!("{:?}", counter.events().await);
    counter.close().await;
}
