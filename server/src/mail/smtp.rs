//! One mail, by SMTP.

use super::db::DueMail;
use crate::config::Config;
use anyhow::Context;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::ExposeSecret;
use std::time::Duration;

/// Shorter than the lease of a mail, so that it is not sent twice by a slow server's fault.
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// None when no server is configured: mails then stay in the outbox.
    pub fn from_config(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(url) = &config.smtp_url else { return Ok(None) };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
            .context("JST_SMTP_URL is not an SMTP address")?
            .timeout(Some(TIMEOUT))
            .build();
        let from = config.mail_from.parse().context("JST_MAIL_FROM is not a mail address")?;
        Ok(Some(Self { transport, from }))
    }

    pub async fn send(&self, mail: &DueMail, body: String) -> anyhow::Result<()> {
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, mail.recipient.parse()?))
            // The same at every attempt: a server that took the mail before its answer was lost
            // may drop the second one.
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .subject(mail.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(body)?;
        tokio::time::timeout(TIMEOUT, self.transport.send(message))
            .await
            .context("the mail server did not answer in time")??;
        Ok(())
    }
}
