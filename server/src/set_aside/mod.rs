//! What the platform could not take or do, kept apart so that everything else goes on.
//!
//! A report of one instance that the database refuses, a deletion that fails, an account that cannot be billed: each is
//! noted here under its kind and subject, tried again after a growing pause, shown to administrators, and removed when
//! it succeeds.  Loops over many things run each of them through [`Pass::each`], and their queries leave out what waits for its
//! next attempt, so that a hundred bad rows at the front of a list do not hide the good ones behind them.
//!
//! Only an outage of the database itself ends a pass: then nothing could be noted either, and nobody is to blame.

pub mod db;

use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::{HostId, InstanceId, TenantId};
use crate::mail::{self, Mail};
use crate::state::App;
use crate::web::language::Language;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use uuid::Uuid;

/// How much of an error's text is kept, and of what could not be taken; in characters.
const MAX_DETAIL: usize = 1000;
const MAX_DOCUMENT: usize = 65_536;

macro_rules! kinds {
    ($($kind:ident, $name:literal;)*) => {
        /// Every kind of work of which one piece may fail alone.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($kind),* }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The name in the database, in metrics and in the API.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }
    };
}

kinds! {
    Report, "report";
    HostFacts, "host_facts";
    Repair, "repair";
    Deadline, "deadline";
    Purge, "purge";
    TrialReminder, "trial_reminder";
    TrialEnd, "trial_end";
    TrialDeletion, "trial_deletion";
    Service, "service";
    Account, "account";
    Suspension, "suspension";
    Invoice, "invoice";
    PaymentExpiry, "payment_expiry";
    Webhook, "webhook";
    Unconfirmed, "unconfirmed";
}

/// One piece of work, and what it is about.
#[derive(Clone, Debug)]
pub struct Item {
    kind: Kind,
    subject: String,
    host: Option<HostId>,
    instance: Option<InstanceId>,
    tenant: Option<TenantId>,
    document: Option<String>,
}

impl Item {
    pub fn new(kind: Kind, subject: impl ToString) -> Self {
        // Whatever it is about: a note must not fail because of what it says.
        let subject: String = subject.to_string().chars().filter(|c| !c.is_control()).take(100).collect();
        Self { kind, subject, host: None, instance: None, tenant: None, document: None }
    }

    pub fn host(mut self, host: HostId) -> Self {
        self.host = Some(host);
        self
    }

    pub fn instance(mut self, instance: InstanceId) -> Self {
        self.instance = Some(instance);
        self
    }

    pub fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// What could not be taken, as it came.  Of what is too long nothing is kept.
    pub fn document(mut self, document: String) -> Self {
        self.document = Some(document).filter(|text| text.chars().count() <= MAX_DOCUMENT);
        self
    }
}

/// Notes a failure.  An error is an outage of the database.
pub async fn note(app: &App, item: &Item, error: &Error) -> Result<()> {
    match note_now(app, item, error).await {
        Err(error) if !error.is_outage() => {
            tracing::error!(
                subject = item.subject,
                ?error,
                "a failure was not noted; this line is all of it"
            );
            Ok(())
        }
        noted => noted,
    }
}

async fn note_now(app: &App, item: &Item, error: &Error) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    note_in(&mut tx, app, item, error).await?;
    tx.commit().await?;
    Ok(())
}

/// The same, in the caller's transaction, which has undone the part that failed.
pub async fn note_in(tx: &mut Tx, app: &App, item: &Item, error: &Error) -> Result<()> {
    let reason = reason(error);
    let detail = kept(&detail(error));
    tracing::error!(
        kind = item.kind.name(),
        subject = item.subject,
        reason,
        detail,
        "set aside; the others go on, and this is tried again"
    );
    metrics::counter!(crate::metrics::SET_ASIDE, "kind" => item.kind.name()).increment(1);
    db::note(tx, item, reason, &detail).await?;
    // Whatever passes by the next attempt is nobody's concern.
    if db::claim_telling(tx, item).await? {
        tell(tx, app, item, reason).await?;
    }
    Ok(())
}

async fn tell(tx: &mut Tx, app: &App, item: &Item, reason: &'static str) -> Result<()> {
    let link = format!("{}/admin/set-aside", app.config.public_url.trim_end_matches('/'));
    for (recipient, locale) in db::administrators(tx).await? {
        let language = Language::from_code(&locale).unwrap_or_default();
        let arguments = [
            ("kind", language.text(&format!("set-aside-kind-{}", item.kind.name().replace('_', "-")))),
            ("reason", language.text(&format!("set-aside-reason-{reason}"))),
            ("link", link.clone()),
        ];
        let mail =
            Mail { language, kind: mail::Kind::SetAside, recipient: &recipient, arguments: &arguments };
        mail::enqueue(app, tx, mail).await?;
    }
    Ok(())
}

/// Removes what has succeeded since.
pub async fn settled(app: &App, kind: Kind, subjects: &[String]) -> Result<()> {
    if !subjects.is_empty() {
        db::remove(app.db.platform(), kind, subjects).await?;
    }
    Ok(())
}

/// A look at many things of one kind.
pub struct Pass<'a> {
    app: &'a App,
    kind: Kind,
    /// Subjects that were set aside before, and whether they wait for their next attempt.
    aside: HashMap<String, bool>,
}

impl<'a> Pass<'a> {
    pub async fn begin(app: &'a App, kind: Kind) -> Result<Self> {
        let aside = db::subjects(app.db.platform(), kind).await?.into_iter().collect();
        Ok(Self { app, kind, aside })
    }

    /// Whether the next attempt at this is not due yet.
    pub fn waits(&self, subject: impl ToString) -> bool {
        self.aside.get(&subject.to_string()).copied().unwrap_or(false)
    }

    /// Whether the last attempt at this failed.
    pub fn failed_before(&self, subject: &str) -> bool {
        self.aside.contains_key(subject)
    }

    /// Does one piece of the work; where it fails, sets it aside.  An error is an outage of the database.
    ///
    /// The work is boxed before the future exists, so that loops over heavy work stay light.
    pub fn each<'work>(
        &'work self,
        item: Item,
        work: impl Future<Output = Result<()>> + Send + 'work,
    ) -> impl Future<Output = Result<()>> + Send + 'work {
        self.finish(item, Box::pin(work))
    }

    async fn finish(&self, item: Item, work: BoxFuture<'_, Result<()>>) -> Result<()> {
        match caught(work).await {
            Ok(()) if self.failed_before(&item.subject) => {
                settled(self.app, self.kind, &[item.subject]).await
            }
            Ok(()) => Ok(()),
            Err(error) if error.is_outage() => Err(error),
            Err(error) => note(self.app, &item, &error).await,
        }
    }
}

/// A panic of one piece is its own failure, and not the end of the worker.
pub async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Error::Internal(anyhow::anyhow!("it panicked: {}", text.unwrap_or_default())))
    })
}

/// Why, in one word for programs: the end of the message `set-aside-reason-…`.
pub fn reason(error: &Error) -> &'static str {
    let Error::Internal(cause) = error else { return "refused" };
    if cause.is::<serde_json::Error>() {
        return "unreadable";
    }
    let code = cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    match code.and_then(|error| error.code()).as_deref() {
        Some(code) if code.starts_with("22") || code.starts_with("23") => "constraint",
        Some("P0001") => "constraint",
        Some("40001" | "40P01" | "55P03" | "57014") => "busy",
        Some(_) => "database",
        None => "internal",
    }
}

fn detail(error: &Error) -> String {
    match error {
        Error::Internal(cause) => format!("{cause:#}"),
        Error::Invalid(fields) => fields
            .iter()
            .map(|field| format!("{}: {}", field.field, field.code))
            .collect::<Vec<_>>()
            .join(", "),
        error => error.code().to_owned(),
    }
}

/// What the database can store of a text.
fn kept(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(MAX_DETAIL).collect()
}

/// What stands aside, as administrators see it.
#[derive(Clone, Debug)]
pub struct Aside {
    pub kind: String,
    pub subject: String,
    pub host: Option<(HostId, Option<String>)>,
    pub instance: Option<(InstanceId, Option<String>)>,
    pub tenant: Option<TenantId>,
    pub reason: String,
    pub detail: String,
    pub document: Option<String>,
    pub failures: i32,
    pub first_at: time::OffsetDateTime,
    pub last_at: time::OffsetDateTime,
    pub next_at: time::OffsetDateTime,
}

/// Of which host or instance; nothing: of all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub host: Option<HostId>,
    pub instance: Option<InstanceId>,
}

impl Filter {
    fn columns(self) -> (Option<Uuid>, Option<Uuid>) {
        (self.host.map(HostId::uuid), self.instance.map(InstanceId::uuid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_reason_has_words_in_every_language() {
        for language in Language::ALL {
            for kind in Kind::ALL {
                let key = format!("set-aside-kind-{}", kind.name().replace('_', "-"));
                assert!(language.has(&key), "{} {key}", language.code());
            }
            for reason in ["refused", "unreadable", "constraint", "busy", "database", "internal"] {
                let key = format!("set-aside-reason-{reason}");
                assert!(language.has(&key), "{} {key}", language.code());
            }
        }
    }

    #[tokio::test]
    async fn a_panic_is_the_failure_of_one_piece() {
        let failed = caught(async { if true { panic!("of {}", 7) } else { Ok(()) } }).await;
        assert_eq!(detail(&failed.unwrap_err()), "it panicked: of 7");
    }

    #[test]
    fn reasons_are_told_apart() {
        assert_eq!(reason(&Error::NotFound), "refused");
        let unreadable = serde_json::from_str::<u8>("x").unwrap_err();
        assert_eq!(reason(&Error::Internal(unreadable.into())), "unreadable");
        assert_eq!(reason(&Error::Internal(anyhow::anyhow!("x"))), "internal");
        assert!(Error::from(sqlx::Error::PoolTimedOut).is_outage());
        assert!(!Error::Internal(anyhow::anyhow!("x")).is_outage());
        assert_eq!(kept("a\0b"), "ab");
    }
}
