//! Asking providers about payments of which nothing was told.
//!
//! A notification may be lost: the provider gives up, a certificate was expired, the server was away for a day.  So each payment
//! that is open is asked about some times, less and less often, until it is known or the schedule ends.  What is answered goes
//! the way of a notification: it is stored, and applied once by [`super::inbox`].  Replicas take different payments.

use super::gateway::{self, Asked, payment_of};
use super::{Payment, db, inbox};
use crate::error::Result;
use crate::ids::PaymentId;
use crate::state::App;
use anyhow::ensure;
use std::time::Duration;
use tokio::task::JoinSet;

/// The kind of an event that is an answer.
pub const KIND: &str = "query";

/// Minutes from one question to the next.  The first comes a minute after the payment was begun; the last about a day later, when
/// providers have stopped notifying too.
const MINUTES: [u64; 11] = [1, 3, 5, 10, 20, 30, 60, 120, 240, 480, 720];

/// Asked at a time; a provider that does not answer holds up no more than these.
const PLACES: i64 = 8;

/// How long after a question the next one comes; nothing when `asked` were enough.
pub fn wait(asked: i32) -> Option<Duration> {
    let index = usize::try_from(asked).ok()?.checked_sub(1)?;
    MINUTES.get(index).map(|minutes| Duration::from_secs(minutes * 60))
}

/// Asks about all that are due.
pub async fn pass(app: App) -> Result<()> {
    loop {
        let due = db::due_to_ask(app.db.platform(), PLACES).await?;
        let mut asked = JoinSet::new();
        for (id, count) in &due {
            // The next time is noted before the question: whoever dies over one goes on with the next.
            let wait = wait(count + 1).map(|wait| wait.as_secs_f64());
            if db::note_asked(app.db.platform(), *id, *count, wait).await? {
                asked.spawn(ask_one(app.clone(), *id, count + 1));
            }
        }
        while asked.join_next().await.is_some() {}
        if due.len() < PLACES as usize {
            return Ok(());
        }
    }
}

async fn ask_one(app: App, id: PaymentId, count: i32) {
    if let Err(error) = ask(&app, id, count).await {
        tracing::warn!(payment = %id, error = format!("{error:#}"), "a provider was asked in vain");
    }
}

async fn ask(app: &App, id: PaymentId, count: i32) -> anyhow::Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let Some(payment) = db::by_id(&mut tx, None, id).await? else { return Ok(()) };
    let reference = db::reference(&mut tx, id).await?;
    let stored = db::provider(&mut *tx, payment.provider).await?;
    drop(tx);
    // Also while it is not offered: what was begun before may be paid still.
    let Some(gateway) = stored.open(app).map_err(problem)? else { return Ok(()) };
    let asked = Asked { number: id.uuid().simple().to_string(), reference };
    let http = gateway::client(app)?;
    let Some(body) = gateway.ask(&http, &asked).await? else { return Ok(()) };
    let told = gateway.read_answer(&body)?;
    ensure!(told.number.as_deref().and_then(payment_of) == Some(id), "the answer is about another order");
    if told.facts.is_empty() && told.attention.is_none() {
        return Ok(());
    }
    store(app, &payment, count, &body, &told).await.map_err(problem)
}

async fn store(app: &App, payment: &Payment, count: i32, body: &[u8], told: &gateway::Told) -> Result<()> {
    let event = format!("{KIND}/{}/{count}", payment.id);
    inbox::store(app, payment.provider, &event, KIND, body, Some(told)).await
}

fn problem(error: crate::error::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_become_rarer_and_end_after_a_day() {
        let waits: Vec<u64> = (1..100).map_while(wait).map(|wait| wait.as_secs()).collect();
        assert!(waits.is_sorted() && waits.len() == MINUTES.len(), "{waits:?}");
        let all: u64 = waits.iter().sum();
        assert!((24 * 3600..48 * 3600).contains(&all), "{all}");
        assert_eq!((wait(0), wait(-1), wait(i32::MAX)), (None, None, None));
    }
}
