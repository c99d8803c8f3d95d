//! Sends what is in the outbox.
//!
//! Any number of replicas may do so: each leases one mail at a time, and holds no lock while it
//! talks to the mail server.  A mail may arrive twice when a replica dies between sending and noting
//! it; it never gets lost.

use crate::mail::db::{self, DueMail};
use crate::mail::smtp::Smtp;
use crate::state::App;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// After so many failures a mail is given up; the administration shows it.
const MAX_ATTEMPTS: i32 = 10;
/// Twice the time that sending may take.
const LEASE_SECONDS: f64 = 60.0;
/// How often the outbox is looked at while it is empty.
const IDLE: Duration = Duration::from_secs(2);

pub async fn run(app: App, stop: CancellationToken) {
    let smtp = match Smtp::from_config(&app.config) {
        Ok(Some(smtp)) => smtp,
        Ok(None) => {
            tracing::info!("no SMTP server is configured: mails stay in the outbox");
            return;
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "mails stay in the outbox");
            return;
        }
    };
    while !stop.is_cancelled() {
        let busy = match send_one(&app, &smtp).await {
            Ok(busy) => busy,
            Err(error) => {
                tracing::warn!(%error, "cannot read the outbox");
                false
            }
        };
        if !busy {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }
}

/// Whether there was a mail to send.
async fn send_one(app: &App, smtp: &Smtp) -> sqlx::Result<bool> {
    let pool = app.db.platform();
    let Some(mail) = db::lease(pool, LEASE_SECONDS).await? else { return Ok(false) };
    match send(app, smtp, &mail).await {
        Ok(()) => db::sent(pool, mail.id).await?,
        Err(error) => {
            let error = format!("{error:#}");
            let wait = wait_seconds(&mail);
            tracing::warn!(mail = %mail.id, attempts = mail.attempts, error, given_up = wait.is_none(), "a mail was not sent");
            db::failed(pool, mail.id, &error, wait).await?;
        }
    }
    Ok(true)
}

async fn send(app: &App, smtp: &Smtp, mail: &DueMail) -> anyhow::Result<()> {
    let body = crate::mail::open_body(&app.sealer, mail.id, &mail.body_sealed)?;
    smtp.send(mail, body).await
}

/// 30 s, 1 min, 2 min … up to two hours; ten attempts span about four and a half hours.
fn wait_seconds(mail: &DueMail) -> Option<f64> {
    if mail.attempts >= MAX_ATTEMPTS {
        return None;
    }
    Some((30.0 * f64::powi(2.0, mail.attempts - 1)).min(7200.0))
}
