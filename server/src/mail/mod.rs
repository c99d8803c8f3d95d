//! Mails: written into an outbox in the transaction of the change that they tell of, and sent by a
//! worker.  Thus no mail tells of a change that was rolled back, and none is lost with a crash.
//!
//! Subject and body are rendered at once, in the reader's language.  Nothing that a person typed can
//! add a header: control characters are taken out of the subject, and the recipient is parsed as
//! one address.
//!
//! A link that opens something is the recipient's alone. A mail is therefore rendered twice: with the link, for sending,
//! and with a placeholder in its stead, for the administration. Both are sealed at rest, under different names, and
//! removed some days after sending.

pub mod db;
pub mod smtp;

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::MailId;
use crate::secrets::Sealer;
use crate::state::App;
use crate::web::language::Language;
use sqlx::PgPool;

/// Every kind of mail that we send, with the keys of its words.
macro_rules! kinds {
    ($($kind:ident, $name:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($kind),* }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name in the outbox.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }

            pub const fn subject_key(self) -> &'static str {
                match self { $(Self::$kind => concat!("mail-", $name, "-subject")),* }
            }

            pub const fn body_key(self) -> &'static str {
                match self { $(Self::$kind => concat!("mail-", $name, "-body")),* }
            }
        }
    };
}

kinds! {
    Verify, "verify";
    AccountExists, "account-exists";
    Reset, "reset";
    PasswordChanged, "password-changed";
    PasswordReset, "password-reset";
    ChangeEmail, "change-email";
    EmailChanged, "email-changed";
    SecondFactorOn, "second-factor-on";
    SecondFactorOff, "second-factor-off";
    PasskeyAdded, "passkey-added";
    Invitation, "invitation";
    TrialStarted, "trial-started";
    TrialEnding, "trial-ending";
    TrialStopped, "trial-stopped";
    TrialDeleted, "trial-deleted";
    InvoiceIssued, "invoice-issued";
    LowBalance, "low-balance";
    RunningOut, "running-out";
    PaymentReminder, "payment-reminder";
    AccountSuspended, "account-suspended";
    AccountReleased, "account-released";
    AccountDeleted, "account-deleted";
    PaymentAttention, "payment-attention";
    OrdersClosed, "orders-closed";
    NewSignIn, "new-sign-in";
    OperationFailed, "operation-failed";
    AppealGranted, "appeal-granted";
    AppealDeclined, "appeal-declined";
    WebhookDisabled, "webhook-disabled";
    SetAside, "set-aside";
}

/// What one may not want to be told by mail.  Everything else is always sent: what keeps an account safe, what ends
/// something, and what is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    SignIns,
    Operations,
    Trials,
    Balance,
}

impl Topic {
    pub const ALL: [Self; 4] = [Self::SignIns, Self::Operations, Self::Trials, Self::Balance];

    pub const fn name(self) -> &'static str {
        match self {
            Self::SignIns => "sign_ins",
            Self::Operations => "operations",
            Self::Trials => "trials",
            Self::Balance => "balance",
        }
    }

    const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::NewSignIn => Some(Self::SignIns),
            Kind::OperationFailed => Some(Self::Operations),
            Kind::TrialEnding => Some(Self::Trials),
            Kind::LowBalance => Some(Self::Balance),
            _ => None,
        }
    }
}

/// One mail, before it is put into words.
pub struct Mail<'a> {
    pub language: Language,
    pub kind: Kind,
    pub recipient: &'a str,
    /// For the placeables of the messages.
    pub arguments: &'a [(&'static str, String)],
}

/// A body is kept for so long after its mail was sent or given up, for sending it again. The longest-lived link in a
/// mail, an invitation's, lasts as long, so that what is kept longer would help nobody.
pub const KEEP_BODY_DAYS: i32 = 7;
/// A mail that could not be sent for so long is given up: what it says is no longer true.
pub const UNSENT_DAYS: i32 = 30;

/// What a sealed body is bound to.
fn body_row(id: MailId) -> String {
    format!("mail_outbox/{id}/body")
}

/// What a sealed body without its secret is bound to.
fn shown_row(id: MailId) -> String {
    format!("mail_outbox/{id}/shown")
}

/// A placeable that opens something, such as a link with a token, and its value.
pub type Secret = (&'static str, String);

/// Puts a mail into the outbox, in the transaction of what it tells of, unless the reader muted its topic.
///
/// Administrators may read it: a mail with a link that opens something takes [`enqueue_with_secret`].
pub async fn enqueue(app: &App, tx: &mut Tx, mail: Mail<'_>) -> Result<()> {
    put(app, tx, mail, None).await
}

/// The same for a mail with something that opens the door to whoever has it. Only the recipient ever sees it.
pub async fn enqueue_with_secret(app: &App, tx: &mut Tx, mail: Mail<'_>, secret: Secret) -> Result<()> {
    put(app, tx, mail, Some(secret)).await
}

async fn put(app: &App, tx: &mut Tx, mail: Mail<'_>, secret: Option<Secret>) -> Result<()> {
    if mail.recipient.parse::<lettre::Address>().is_err() {
        return Err(Error::Internal(anyhow::anyhow!("a mail to something that is no address")));
    }
    if let Some(topic) = Topic::of(mail.kind)
        && db::is_muted(tx, mail.recipient, topic.name()).await?
    {
        return Ok(());
    }
    let subject = one_line(&mail.language.text_with(mail.kind.subject_key(), mail.arguments));
    let hidden = secret.as_ref().map(|(name, _)| (*name, mail.language.text("mail-link-hidden")));
    let (shown, sent) = (body(&mail, hidden), body(&mail, secret));
    let id = MailId::new();
    let new = db::NewMail {
        id,
        kind: mail.kind.name(),
        recipient: mail.recipient,
        subject: &subject,
        shown_sealed: app.sealer.seal(&shown_row(id), shown.as_bytes()),
        body_sealed: app.sealer.seal(&body_row(id), sent.as_bytes()),
    };
    db::insert(tx, &new).await?;
    Ok(())
}

/// The body with `secret` in the place that is meant for it.
fn body(mail: &Mail<'_>, secret: Option<Secret>) -> String {
    let arguments: Vec<_> = mail.arguments.iter().cloned().chain(secret).collect();
    let body = mail.language.text_with(mail.kind.body_key(), &arguments);
    format!("{}\n\n-- \n{}\n", body.trim_end(), mail.language.text("mail-footer"))
}

/// Opens a body with its secret: for sending, and for whoever works on the machine itself.
///
/// Fails where it was sealed with another key.
pub fn open_body(sealer: &Sealer, id: MailId, sealed: &[u8]) -> anyhow::Result<String> {
    Ok(String::from_utf8(sealer.open_sealed(&body_row(id), sealed)?)?)
}

/// Opens a body without its secret, for the administration.
pub fn open_shown(sealer: &Sealer, id: MailId, sealed: &[u8]) -> anyhow::Result<String> {
    Ok(String::from_utf8(sealer.open_sealed(&shown_row(id), sealed)?)?)
}

/// Removes bodies whose time is over, and seals those that the release before wrote in plain text.
pub async fn tidy(pool: &PgPool, sealer: &Sealer) -> anyhow::Result<()> {
    db::give_up_old(pool, UNSENT_DAYS).await?;
    db::forget_bodies(pool, KEEP_BODY_DAYS).await?;
    loop {
        let plain = db::plain_bodies(pool).await?;
        if plain.is_empty() {
            return Ok(());
        }
        for (id, body) in plain {
            db::seal(pool, id, &sealer.seal(&body_row(id), body.as_bytes())).await?;
        }
    }
}

/// A mail with everything that its recipient reads.
pub struct Letter {
    /// [`Kind::name`].
    pub kind: String,
    pub recipient: String,
    pub subject: String,
    pub body: String,
    pub created_at: time::OffsetDateTime,
}

/// The newest mails, the newest first; to one address, or to all. For programs on the machine itself: no page and no
/// call of the API may use this. Mails whose body was removed are left out.
pub async fn newest(
    pool: &PgPool,
    sealer: &Sealer,
    recipient: Option<&str>,
    limit: i64,
) -> anyhow::Result<Vec<Letter>> {
    let rows = db::newest(pool, recipient, limit).await?;
    rows.into_iter()
        .map(|row| {
            let body = open_body(sealer, row.id, &row.body_sealed)?;
            let db::SealedMail { kind, recipient, subject, created_at, .. } = row;
            Ok(Letter { kind, recipient, subject, body, created_at })
        })
        .collect()
}

/// Some argument may hold a line break, and whatever follows one would be a header of its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mail_has_words_in_every_language() {
        for language in Language::ALL {
            assert!(language.has("mail-footer") && language.has("mail-link-hidden"));
            for kind in Kind::ALL {
                assert!(language.has(kind.subject_key()), "{} {}", language.code(), kind.subject_key());
                assert!(language.has(kind.body_key()), "{} {}", language.code(), kind.body_key());
            }
        }
    }

    #[test]
    fn what_opens_something_is_in_the_body_and_not_in_what_is_shown() {
        for language in Language::ALL {
            for kind in Kind::ALL {
                let secret = ("link", "https://vps.example/reset?token=abc".to_owned());
                let mail = Mail { language, kind: *kind, recipient: "a@example.com", arguments: &[] };
                let hidden = language.text("mail-link-hidden");
                let shown = body(&mail, Some(("link", hidden.clone())));
                assert!(!shown.contains("token=abc"), "{}: {shown}", kind.name());
                // Where the recipient reads the link, everybody else reads that there is one.
                let sent = body(&mail, Some(secret));
                assert_eq!(sent.contains("token=abc"), shown.contains(&hidden), "{}: {shown}", kind.name());
            }
        }
    }

    fn sources(folder: &std::path::Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|have| have == "rs") {
                found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }

    /// Every link of ours with a token is handed over as the secret of its mail, and not as one of the facts.
    #[test]
    fn links_with_tokens_are_secrets_of_their_mails() {
        let mut found = Vec::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        // One goes to a billing system, and one leads back to the page that was asked for.
        let elsewhere = ["accounts/sign_in_links.rs", "accounts/web/team.rs"];
        let mark = ["?token=", "{"].concat();
        let mut seen = 0;
        for (path, text) in found.iter().filter(|(path, _)| !elsewhere.iter().any(|end| path.ends_with(end)))
        {
            for line in text.lines().filter(|line| line.contains(&mark)) {
                assert!(line.trim().starts_with("let opens = (\"link\""), "{path}: {line}");
                seen += 1;
            }
        }
        assert_eq!(seen, 4, "confirmation, reset, change of address, invitation");
    }

    #[test]
    fn a_line_break_in_an_argument_stays_in_the_subject() {
        let subject = one_line("Hello\r\nBcc: everybody@example.com");
        assert!(!subject.contains(['\r', '\n']), "{subject:?}");
    }
}
