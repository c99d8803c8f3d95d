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
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub fn spawn(app: &App, tasks: &TaskTracker, stop: &CancellationToken) {
    tasks.spawn(expiry::run(app.clone(), stop.clone()));
    tasks.spawn(mail::run(app.clone(), stop.clone()));
    tasks.spawn(imports::run(app.clone(), stop.clone()));
    tasks.spawn(samples::run(app.clone(), stop.clone()));
    tasks.spawn(billing::run(app.clone(), stop.clone()));
    tasks.spawn(payments::run(app.clone(), stop.clone()));
    tasks.spawn(webhooks::run(app.clone(), stop.clone()));
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
    let services = crate::billing_systems::decisions::pass;
    tasks.spawn(reconciler::run("billing systems", seconds(30), app.clone(), stop.clone(), services));
    let questions = crate::billing::payments::ask::pass;
    tasks.spawn(reconciler::run("payment questions", seconds(10), app.clone(), stop.clone(), questions));
    tasks.spawn(reconciler::run("trials", seconds(30), app.clone(), stop.clone(), trials::pass));
}
