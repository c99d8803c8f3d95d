//! Mails: written into an outbox in the transaction of the change that they tell of, and sent by a
//! worker.  Thus no mail tells of a change that was rolled back, and none is lost with a crash.
//!
//! Subject and body are rendered at once, in the reader's language.  Nothing that a person typed can
//! add a header: control characters are taken out of the subject, and the recipient is parsed as
//! one address.

pub mod db;
pub mod smtp;

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::MailId;
use crate::web::language::Language;

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

/// Puts a mail into the outbox, in the transaction of what it tells of, unless the reader muted its topic.
pub async fn enqueue(tx: &mut Tx, mail: Mail<'_>) -> Result<()> {
    if mail.recipient.parse::<lettre::Address>().is_err() {
        return Err(Error::Internal(anyhow::anyhow!("a mail to something that is no address")));
    }
    if let Some(topic) = Topic::of(mail.kind)
        && db::is_muted(tx, mail.recipient, topic.name()).await?
    {
        return Ok(());
    }
    let subject = one_line(&mail.language.text_with(mail.kind.subject_key(), mail.arguments));
    let body = mail.language.text_with(mail.kind.body_key(), mail.arguments);
    let body = format!("{}\n\n-- \n{}\n", body.trim_end(), mail.language.text("mail-footer"));
    db::insert(tx, MailId::new(), mail.kind.name(), mail.recipient, &subject, &body).await?;
    Ok(())
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
            assert!(language.has("mail-footer"));
            for kind in Kind::ALL {
                assert!(language.has(kind.subject_key()), "{} {}", language.code(), kind.subject_key());
                assert!(language.has(kind.body_key()), "{} {}", language.code(), kind.body_key());
            }
        }
    }

    #[test]
    fn a_line_break_in_an_argument_stays_in_the_subject() {
        let subject = one_line("Hello\r\nBcc: everybody@example.com");
        assert!(!subject.contains(['\r', '\n']), "{subject:?}");
    }
}
