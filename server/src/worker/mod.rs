//! What runs beside the requests, in every replica.

pub mod billing;
pub mod deadlines;
pub mod expiry;
pub mod imports;
pub mod mail;
mod payments;
pub mod purge;
mod reconciler;
pub mod samples;
pub mod trials;
pub mod webhooks;

use crate::state::App;
use futures::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub fn spawn(app: &App, tasks: &TaskTracker, stop: &CancellationToken) {
    tasks.spawn(kept("expiry", app.clone(), stop.clone(), expiry::run));
    tasks.spawn(kept("mail", app.clone(), stop.clone(), mail::run));
    tasks.spawn(kept("imports", app.clone(), stop.clone(), imports::run));
    tasks.spawn(kept("samples", app.clone(), stop.clone(), samples::run));
    tasks.spawn(kept("billing", app.clone(), stop.clone(), billing::run));
    tasks.spawn(kept("payments", app.clone(), stop.clone(), payments::run));
    tasks.spawn(kept("webhooks", app.clone(), stop.clone(), webhooks::run));
    // Deadlines are minutes and grace periods hours: seconds are soon enough.
    let seconds = Duration::from_secs;
    tasks.spawn(reconciler::run("deadlines", seconds(5), app.clone(), stop.clone(), deadlines::pass));
    tasks.spawn(reconciler::run(
        "presence",
        seconds(5),
        app.clone(),
        stop.clone(),
        crate::hosts::presence::pass,
    ));
    tasks.spawn(reconciler::run("purge", seconds(10), app.clone(), stop.clone(), purge::pass));
    let reports = crate::instances::reports::retry;
    tasks.spawn(reconciler::run("reports", seconds(30), app.clone(), stop.clone(), reports));
    let services = crate::billing_systems::decisions::pass;
    tasks.spawn(reconciler::run("billing systems", seconds(30), app.clone(), stop.clone(), services));
    let questions = crate::billing::payments::ask::pass;
    tasks.spawn(reconciler::run("payment questions", seconds(10), app.clone(), stop.clone(), questions));
    tasks.spawn(reconciler::run("trials", seconds(30), app.clone(), stop.clone(), trials::pass));
}

/// A pause before a worker begins again, so that one that panics at once does nothing but that.
const AGAIN: Duration = Duration::from_secs(5);

/// A worker that begins again when it panics: nobody would look after mails, invoices and expiry any more.
async fn kept<Run, Work>(name: &'static str, app: App, stop: CancellationToken, run: Run)
where
    Run: Fn(App, CancellationToken) -> Work,
    Work: Future<Output = ()>,
{
    while AssertUnwindSafe(run(app.clone(), stop.clone())).catch_unwind().await.is_err() {
        tracing::error!(worker = name, "a worker panicked; it begins again");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
