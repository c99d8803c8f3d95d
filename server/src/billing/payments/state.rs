//! What a payment has come to, from what its provider has told of it.
//!
//! ```text
//!            Failed ──> failed                       Refunded, less than was paid
//!           ╱                                         ╭──╮
//!   pending ──────────── Paid ─────────────────────> paid ── Refunded, all ──> refunded
//!           ╲                                         ↑
//!            Expired ──> expired ─────── Paid ────────╯  (and so from failed)
//! ```
//!
//! Providers tell things twice, late and in any order.  So nothing here depends on it: what was told is a set that only grows
//! ([`Facts`]), [`State`] is read off that set, and what moves money is the difference between two sets ([`movements`]).  A refund that
//! is told before its payment waits in the set, and so does a chargeback.
//!
//! A chargeback (what Stripe calls a dispute) takes its amount when it is opened or its funds are withdrawn, whichever is told
//! first, and gives it back when it is won or the funds are reinstated.  An inquiry takes nothing.

use crate::billing::accounts::EntryKind;
use crate::billing::money::{Currency, Money};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    Paid,
    Failed,
    Expired,
    /// All of it went back; a part leaves it paid.
    Refunded,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Paid, Self::Failed, Self::Expired, Self::Refunded];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// An amount as a provider says it; the currency may be one that we do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub minor: i64,
    pub currency: String,
}

impl Said {
    fn in_currency(&self, currency: Currency) -> bool {
        self.currency.eq_ignore_ascii_case(currency.code())
    }
}

/// One thing that a provider tells of a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Paid {
        /// The provider's number of the movement of money.
        transaction: String,
        amount: Said,
    },
    Refunded {
        /// What the amount belongs to: one refund, or all refunds of one charge together.
        refund: String,
        /// So much in all, for this `refund`: a higher amount contains a lower one.
        amount: Said,
    },
    /// One refund by its own number, from when it is begun.
    Returned {
        refund: String,
        amount: Said,
        /// It did not reach the customer, and came back.
        failed: bool,
    },
    Chargeback {
        /// The provider's number of it.
        chargeback: String,
        amount: Said,
        news: News,
    },
    Failed,
    Expired,
}

/// What happened to a chargeback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// The bank asks; no money has moved.
    Inquiry,
    Opened,
    Withdrawn,
    Reinstated,
    Won,
    Lost,
    /// An inquiry ended without a chargeback.
    Dropped,
}

/// What is known of one chargeback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chargeback {
    /// The highest that was told.
    pub amount: i64,
    pub news: BTreeSet<News>,
}

impl Chargeback {
    fn has(&self, any: &[News]) -> bool {
        any.iter().any(|news| self.news.contains(news))
    }

    fn taken(&self) -> i64 {
        let taken = self.has(&[News::Opened, News::Withdrawn, News::Reinstated, News::Won, News::Lost]);
        if taken { self.amount } else { 0 }
    }

    fn given_back(&self) -> i64 {
        if self.has(&[News::Reinstated, News::Won]) { self.amount } else { 0 }
    }

    fn standing(&self) -> Disputed {
        match () {
            () if self.has(&[News::Reinstated, News::Won]) => Disputed::Won,
            () if self.has(&[News::Lost]) => Disputed::Lost,
            () if self.has(&[News::Dropped]) && !self.has(&[News::Opened, News::Withdrawn]) => Disputed::Won,
            () => Disputed::Open,
        }
    }
}

/// How a payment's chargebacks stand; the worst of them counts, and the highest is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disputed {
    None,
    Won,
    Lost,
    Open,
}

impl Disputed {
    pub const ALL: [Self; 4] = [Self::None, Self::Won, Self::Lost, Self::Open];

    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Open => "open",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|disputed| disputed.name() == name)
    }
}

/// Everything that was told of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub transaction: Option<String>,
    pub refunds: BTreeMap<String, i64>,
    /// Refunds that were told each by itself, whatever became of them.
    pub returned: BTreeMap<String, i64>,
    /// Which of these came back.
    pub refunds_failed: BTreeSet<String>,
    pub chargebacks: BTreeMap<String, Chargeback>,
    pub failed: bool,
    pub expired: bool,
}

/// What was told contradicts what was asked for.  Nothing is credited, and somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispute {
    Amount,
    Currency,
    /// It was paid a second time.
    Transaction,
}

impl Dispute {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amount => "amount",
            Self::Currency => "currency",
            Self::Transaction => "transaction",
        }
    }
}

/// What is known after one more fact about a payment that asked for `asked`.
pub fn apply(asked: Money, facts: &Facts, fact: &Fact) -> Result<Facts, Dispute> {
    let mut after = facts.clone();
    match fact {
        Fact::Paid { transaction, amount } => {
            if !amount.in_currency(asked.currency) {
                return Err(Dispute::Currency);
            }
            if amount.minor != asked.minor {
                return Err(Dispute::Amount);
            }
            if facts.transaction.as_ref().is_some_and(|known| known != transaction) {
                return Err(Dispute::Transaction);
            }
            after.transaction = Some(transaction.clone());
        }
        Fact::Refunded { refund, amount } => {
            if !amount.in_currency(asked.currency) {
                return Err(Dispute::Currency);
            }
            if !(1..=asked.minor).contains(&amount.minor) {
                return Err(Dispute::Amount);
            }
            let known = after.refunds.entry(refund.clone()).or_default();
            *known = amount.minor.max(*known);
        }
        Fact::Returned { refund, amount, failed } => {
            if !amount.in_currency(asked.currency) {
                return Err(Dispute::Currency);
            }
            if !(1..=asked.minor).contains(&amount.minor) {
                return Err(Dispute::Amount);
            }
            let known = after.returned.entry(refund.clone()).or_default();
            *known = amount.minor.max(*known);
            if *failed {
                after.refunds_failed.insert(refund.clone());
            }
        }
        Fact::Chargeback { chargeback, amount, news } => {
            let known = after.chargebacks.entry(chargeback.clone()).or_default();
            // Banks convert: what cannot be compared, or is more than was paid, is all of it.
            let sound = amount.in_currency(asked.currency) && (1..=asked.minor).contains(&amount.minor);
            known.amount = known.amount.max(if sound { amount.minor } else { asked.minor });
            known.news.insert(*news);
        }
        Fact::Failed => after.failed = true,
        Fact::Expired => after.expired = true,
    }
    Ok(after)
}

impl Facts {
    /// What went back to the customer; nothing before the payment itself is known.
    pub fn refunded(&self) -> i64 {
        if self.transaction.is_some() { (self.sent_back() - self.came_back()).max(0) } else { 0 }
    }

    /// All refunds, whatever became of them.  Some are told as one sum and one by one: then the higher of the two is right.
    fn sent_back(&self) -> i64 {
        self.refunds.values().sum::<i64>().max(self.returned.values().sum())
    }

    fn came_back(&self) -> i64 {
        self.refunds_failed.iter().filter_map(|refund| self.returned.get(refund)).sum()
    }

    pub fn dispute(&self) -> Disputed {
        self.chargebacks.values().map(Chargeback::standing).max().unwrap_or(Disputed::None)
    }

    /// What chargebacks hold; nothing before the payment itself is known.
    pub fn disputed(&self) -> i64 {
        let held = |chargeback: &Chargeback| chargeback.taken() - chargeback.given_back();
        if self.transaction.is_some() { self.chargebacks.values().map(held).sum() } else { 0 }
    }

    pub fn state(&self, asked: Money) -> State {
        // A payment counts whatever was said before: money that has come is there.
        match self {
            Self { transaction: Some(_), .. } if self.refunded() >= asked.minor => State::Refunded,
            Self { transaction: Some(_), .. } => State::Paid,
            Self { failed: true, .. } => State::Failed,
            Self { expired: true, .. } => State::Expired,
            _ => State::Pending,
        }
    }
}

/// Money that moves because more is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    pub kind: EntryKind,
    /// Above zero: the customer's gain.
    pub minor: i64,
    /// What tells it from every other movement of the same payment.
    pub part: String,
}

/// What follows from knowing `after` instead of `before`.  However the way from nothing to `after` is divided into steps, the
/// movements of all steps come to the same.
pub fn movements(asked: Money, before: &Facts, after: &Facts) -> Vec<Movement> {
    if after.transaction.is_none() {
        return Vec::new();
    }
    let mut all = Vec::new();
    if before.transaction.is_none() {
        all.push(Movement { kind: EntryKind::Payment, minor: asked.minor, part: String::new() });
    }
    // What was told before the payment has moved nothing yet.
    let nothing = Facts::default();
    let before = if before.transaction.is_some() { before } else { &nothing };
    all.extend(refunds(before, after));
    for (number, chargeback) in &after.chargebacks {
        let known = before.chargebacks.get(number).cloned().unwrap_or_default();
        let mut push = |from: i64, to: i64, sign: i64, word: &str| {
            if to > from {
                let part = format!("/{number}/{word}/{to}");
                all.push(Movement { kind: EntryKind::Chargeback, minor: sign * (to - from), part });
            }
        };
        push(known.taken(), chargeback.taken(), -1, "withdrawn");
        push(known.given_back(), chargeback.given_back(), 1, "reinstated");
    }
    all
}

fn refunds(before: &Facts, after: &Facts) -> Vec<Movement> {
    let mut all = Vec::new();
    let kind = EntryKind::Refund;
    if after.returned.is_empty() {
        for (refund, total) in &after.refunds {
            let moved = before.refunds.get(refund).copied().unwrap_or(0);
            if *total > moved {
                let part = format!("/{refund}/{total}");
                all.push(Movement { kind, minor: moved - total, part });
            }
        }
    } else if after.sent_back() > before.sent_back() {
        let part = format!("/refunds/{}", after.sent_back());
        all.push(Movement { kind, minor: before.sent_back() - after.sent_back(), part });
    }
    // An amount that was told higher later moves the rest.
    if after.came_back() > before.came_back() {
        let part = format!("/failed/{}", after.came_back());
        all.push(Movement { kind, minor: after.came_back() - before.came_back(), part });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: Money = Money::new(Currency::Cny, 10_000);

    fn said(minor: i64, currency: &str) -> Said {
        Said { minor, currency: currency.to_owned() }
    }

    fn paid(transaction: &str, minor: i64, currency: &str) -> Fact {
        Fact::Paid { transaction: transaction.to_owned(), amount: said(minor, currency) }
    }

    fn refunded(refund: &str, minor: i64) -> Fact {
        Fact::Refunded { refund: refund.to_owned(), amount: said(minor, "CNY") }
    }

    fn chargeback(number: &str, minor: i64, news: News) -> Fact {
        Fact::Chargeback { chargeback: number.to_owned(), amount: said(minor, "CNY"), news }
    }

    #[test]
    fn a_chargeback_takes_its_amount_and_gives_it_back_when_it_is_won() {
        let paid = paid("t", 10_000, "CNY");
        let told = |news| chargeback("dp_1", 4000, news);
        let ways: [(Vec<Fact>, Disputed, i64); 8] = [
            (vec![paid.clone(), told(News::Inquiry)], Disputed::Open, 10_000),
            (vec![paid.clone(), told(News::Inquiry), told(News::Dropped)], Disputed::Won, 10_000),
            (vec![paid.clone(), told(News::Opened), told(News::Withdrawn)], Disputed::Open, 6000),
            (vec![told(News::Withdrawn), paid.clone()], Disputed::Open, 6000),
            (vec![paid.clone(), told(News::Withdrawn), told(News::Lost)], Disputed::Lost, 6000),
            (vec![paid.clone(), told(News::Opened), told(News::Won)], Disputed::Won, 10_000),
            (vec![told(News::Reinstated), told(News::Lost), paid.clone()], Disputed::Won, 10_000),
            // Of another currency, or above what was paid: all of it.
            (vec![paid.clone(), chargeback("dp_2", 99_999, News::Opened)], Disputed::Open, 0),
        ];
        for (facts, standing, money) in ways {
            let (known, moved, _) = run(&facts);
            assert_eq!((known.dispute(), moved), (standing, money), "{facts:?}");
        }
    }

    #[test]
    fn a_refund_that_fails_comes_back_and_counts_once() {
        let one = |refund: &str, failed| Fact::Returned {
            refund: refund.to_owned(),
            amount: said(4000, "CNY"),
            failed,
        };
        let paid = paid("t", 10_000, "CNY");
        let ways: [(Vec<Fact>, i64); 5] = [
            (vec![paid.clone(), refunded("ch", 4000), one("re_1", false)], 6000),
            (vec![paid.clone(), refunded("ch", 4000), one("re_1", true)], 10_000),
            (vec![one("re_1", true), paid.clone(), one("re_1", false)], 10_000),
            // Another one after it, which leaves the sum of the charge where it was.
            (vec![paid.clone(), refunded("ch", 4000), one("re_1", true), one("re_2", false)], 6000),
            (vec![one("re_2", false), one("re_1", true), refunded("ch", 8000), paid.clone()], 6000),
        ];
        for (facts, money) in ways {
            assert_eq!(run(&facts).1, money, "{facts:?}");
        }
    }

    /// Where these facts lead, one after the other, and all that moves on the way.
    fn run<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> (Facts, i64, Vec<Movement>) {
        let (mut known, mut moved) = (Facts::default(), Vec::new());
        for fact in facts {
            // What contradicts changes nothing.
            if let Ok(after) = apply(ASKED, &known, fact) {
                moved.extend(movements(ASKED, &known, &after));
                known = after;
            }
        }
        (known, moved.iter().map(|movement| movement.minor).sum(), moved)
    }

    #[test]
    fn each_way_leads_where_it_should() {
        let ways: [(&[Fact], State, i64); 8] = [
            (&[], State::Pending, 0),
            (&[Fact::Expired], State::Expired, 0),
            (&[Fact::Expired, Fact::Failed], State::Failed, 0),
            (&[Fact::Expired, paid("t", 10_000, "cny")], State::Paid, 10_000),
            (&[paid("t", 10_000, "CNY"), Fact::Failed, Fact::Expired], State::Paid, 10_000),
            (&[refunded("a", 10_000)], State::Pending, 0),
            (&[refunded("a", 10_000), paid("t", 10_000, "CNY")], State::Refunded, 0),
            (&[paid("t", 10_000, "CNY"), refunded("a", 3000), refunded("b", 500)], State::Paid, 6500),
        ];
        for (facts, state, money) in ways {
            let (known, moved, _) = run(facts);
            assert_eq!((known.state(ASKED), moved), (state, money), "{facts:?}");
        }
    }

    #[test]
    fn what_contradicts_is_disputed_and_moves_nothing() {
        let known = run([&paid("t", 10_000, "CNY")]).0;
        for (facts, fact, dispute) in [
            (&Facts::default(), paid("t", 9999, "CNY"), Dispute::Amount),
            (&Facts::default(), paid("t", 10_001, "CNY"), Dispute::Amount),
            (&Facts::default(), paid("t", 10_000, "USD"), Dispute::Currency),
            (&Facts::default(), paid("t", 10_000, ""), Dispute::Currency),
            (&known, paid("other", 10_000, "CNY"), Dispute::Transaction),
            (&known, refunded("a", 10_001), Dispute::Amount),
            (&known, refunded("a", 0), Dispute::Amount),
            (&known, refunded("a", -5), Dispute::Amount),
            (&known, Fact::Refunded { refund: "a".into(), amount: said(1, "USD") }, Dispute::Currency),
        ] {
            assert_eq!(apply(ASKED, facts, &fact), Err(dispute), "{fact:?}");
        }
    }

    /// What one provider may tell of one payment, wrong amounts and currencies among it.
    fn fact() -> impl Strategy<Value = Fact> {
        prop_oneof![
            3 => Just(paid("t", 10_000, "CNY")),
            4 => (0..4u8, 1..=10_000i64).prop_map(|(key, minor)| refunded(&key.to_string(), minor)),
            1 => Just(Fact::Failed),
            1 => Just(Fact::Expired),
            1 => Just(paid("t", 9_000, "CNY")),
            1 => Just(paid("t", 10_000, "USD")),
            1 => Just(refunded("0", 20_000)),
            2 => (0..3u8, 1..=10_000i64, any::<bool>()).prop_map(|(key, minor, failed)| Fact::Returned {
                refund: format!("re_{key}"),
                amount: said(minor, "CNY"),
                failed,
            }),
            3 => (0..2u8, 0..=12_000i64, 0..7usize).prop_map(|(key, minor, news)| chargeback(
                &format!("dp_{key}"),
                minor,
                [
                    News::Inquiry, News::Opened, News::Withdrawn, News::Reinstated, News::Won, News::Lost, News::Dropped,
                ][news],
            )),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_order_and_any_duplication_of_1000_facts_ends_in_the_same(
            facts in proptest::collection::vec(fact(), 1..=1000),
            seed in any::<u64>(),
        ) {
            let in_order = run(&facts);
            // All of them in an order of chance, and then each another time in another one.
            let mixed = |salt: u64| {
                let mut order: Vec<usize> = (0..facts.len()).collect();
                order.sort_by_key(|index| {
                    (*index as u64 ^ seed ^ salt).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29)
                });
                order
            };
            let twice: Vec<&Fact> = mixed(1).into_iter().chain(mixed(2)).map(|index| &facts[index]).collect();
            let other = run(twice);
            prop_assert_eq!(&in_order.0, &other.0);
            prop_assert_eq!(in_order.1, other.1);
            // No movement could be entered twice, and all together are what is known.
            let parts: std::collections::BTreeSet<_> =
                other.2.iter().map(|movement| (movement.kind.name(), &movement.part)).collect();
            prop_assert_eq!(parts.len(), other.2.len());
            let paid = if other.0.transaction.is_some() { ASKED.minor } else { 0 };
            let came_back = other.0.came_back().min(other.0.sent_back());
            prop_assert_eq!(came_back, other.0.came_back());
            prop_assert_eq!(other.1, paid - other.0.refunded() - other.0.disputed());
        }
    }
}
