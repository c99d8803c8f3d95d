//! The same events in several orders, against the database: the same end. (The pure function is tested with all orders in
//! `billing::payments::state`.)

use super::{Counter, begun};
use jst_tests::payments::{Known, Signer, Tell, now, tell};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// What is told of one payment: which one, what, and what went back before.
type Event = (usize, Tell, i64);

const PAYMENTS: usize = 60;
const EVENTS: usize = 250;

fn events(random: &mut StdRng) -> Vec<Event> {
    (0..EVENTS)
        .map(|_| {
            let payment = random.random_range(0..PAYMENTS);
            match random.random_range(0..8) {
                0..3 => (payment, Tell::Paid, 0),
                3 => (payment, Tell::Refunded(400), 0),
                4 => (payment, Tell::Refunded(1000), 400),
                5 => (payment, Tell::Expired, 0),
                6 => (payment, Tell::Wrong, 0),
                _ => (payment, Tell::Refunded(1), 0),
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_ends_in_the_same() {
    let counter = Counter::open().await;
    let mut random = StdRng::seed_from_u64(5);
    let in_order = events(&mut random);
    let http = reqwest::Client::new();
    let mut ends = Vec::new();
    for round in 0..4 {
        let customer = counter.customer(&format!("r{round}@example.com"), "CNY").await;
        let mut known = Vec::new();
        for n in 0..PAYMENTS {
            let provider = super::PROVIDERS[n % 3];
            let mut one = Known { provider, number: String::new(), amount: 1000, currency: "CNY" };
            begun(counter.pool(), customer.tenant, &mut one).await;
            known.push(one);
        }
        // First as it is; then mixed, and some of it twice under other numbers.
        let mut order: Vec<&Event> = in_order.iter().collect();
        if round > 0 {
            order.extend(in_order.iter().take(round * 20));
            order.shuffle(&mut random);
        }
        for (n, (payment, what, before)) in order.into_iter().enumerate() {
            let id = format!("round_{round}_{n}");
            let sent = tell(&known[*payment], what, *before, &id, now(), Signer::Provider);
            assert_eq!(sent.send(&http, counter.platform()).await.unwrap().0, 200);
            if n % 40 == 0 {
                // Sometimes all at once, sometimes one by one.
                counter.settled().await;
            }
        }
        counter.settled().await;
        let states: Vec<(String, i64, bool)> = sqlx::query_as(
            "SELECT state, refunded, facts ->> 'transaction' IS NOT NULL FROM payments WHERE tenant_id = $1 ORDER BY id",
        )
        .bind(customer.tenant)
        .fetch_all(counter.pool())
        .await
        .unwrap();
        let paid: i64 =
            states.iter().filter(|(.., paid)| *paid).map(|(_, refunded, _)| 1000 - refunded).sum();
        assert_eq!(counter.balance(&customer).await, paid);
        ends.push((states, paid));
    }
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    for state in ["pending", "paid", "refunded", "expired"] {
        assert!(ends[0].0.iter().any(|(found, ..)| found == state), "{state} occurs: {:?}", ends[0].0);
    }
    counter.close().await;
}
