//! Free trials: one for each verified person, for a limited time, and hard to farm.
//!
//! ```text
//!   started ──3 days and 1 day before: mail──> expired: stopped ──kept some days──> deleted
//!      └──────────────── a plan is bought: converted, with disk and addresses ──┘
//! ```
//!
//! A trial is an instance of a plan that is marked as one.  Who had one is remembered by person and
//! by mailbox for ever; how many start from one network or browser is limited ([`rules`]); outgoing mail is
//! closed and the way out is narrow, because that is what trials are stolen for.

pub mod appeals;
pub mod db;
pub mod rules;
pub mod web;

use crate::accounts::EmailAddress;
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, Result, violated_constraint};
use crate::events::{self, Event, Source};
use crate::ids::{InstanceId, TenantId};
use crate::instances::Instance;
use crate::instances::work::Work;
use crate::mail::{self, Mail};
use crate::settings::Settings;
use crate::state::App;
use crate::web::language::Language;
use jst_policy::instance::ResourcePolicy;
use jst_policy::units::KbitPerSec;
use rules::{Limits, Refusal, Signals};
use serde_json::json;
use time::OffsetDateTime;

/// Outgoing TCP ports that are closed for trials: mail.
pub const BLOCKED_PORTS: [u16; 1] = [25];

/// Whether this person may start a trial now.  Trials wait for each other from here to the end of the transaction.
pub async fn check(tx: &mut Tx, actor: &Actor, settings: &Settings) -> Result<()> {
    // A trial is a person's, and the customer would lose theirs to the administrator.
    if actor.acting {
        return Err(Error::refused("acting-trial"));
    }
    judge(tx, actor, settings).await?.map_err(|refusal| Error::refused(refusal.code()))
}

async fn judge(tx: &mut Tx, actor: &Actor, settings: &Settings) -> Result<Result<(), Refusal>> {
    let signals = Signals {
        had_one: db::used_by(tx, actor.user_id).await?,
        disposable: rules::is_disposable(&EmailAddress::of_actor(actor).mailbox()),
        ..db::signals(tx, actor.user_id, actor.ip.map(rules::address), actor.ip.map(rules::network)).await?
    };
    let limits = Limits {
        per_device: settings.trials_per_device,
        per_address: settings.trials_per_ip_day,
        per_network: settings.trials_per_network_day,
    };
    Ok(rules::judge(&signals, &limits))
}

/// What a trial of a plan gets: less of the way out, which is what trials are stolen for.
pub fn policy(plan: &ResourcePolicy, settings: &Settings) -> ResourcePolicy {
    let mut policy = plan.clone();
    let Ok(most @ 1..) = u64::try_from(settings.trial_outbound_mbit) else { return policy };
    let most = KbitPerSec(most * 1000);
    let outbound = &mut policy.network.outbound;
    let average = outbound.average.map_or(most, |average| average.min(most));
    outbound.average = Some(average);
    outbound.reservation = outbound.reservation.min(average);
    outbound.peak = outbound.peak.map(|peak| peak.min(most)).filter(|peak| *peak > average);
    if outbound.peak.is_none() {
        outbound.burst = None;
    }
    policy
}

/// Books the trial of a new instance, and tells by mail how long it runs.
pub async fn begin(
    app: &App,
    tx: &mut Tx,
    actor: &Actor,
    settings: &Settings,
    instance: &Instance,
) -> Result<()> {
    let days = i32::try_from(settings.trial_days.max(1)).unwrap_or(i32::MAX);
    let started = db::insert(tx, actor, &EmailAddress::of_actor(actor).mailbox(), instance.id, days).await;
    let expires = match started {
        Ok(expires) => expires,
        Err(error) => {
            return Err(match violated_constraint(&error) {
                Some("trials_one_each") | Some("trials_one_mailbox") => Error::refused(Refusal::Used.code()),
                _ => error.into(),
            });
        }
    };
    let source = Source::from(actor);
    record(tx, &source, "trial.started", instance.tenant_id, instance.id, &instance.name, expires).await?;
    let language = Language::from_code(&actor.locale).unwrap_or_default();
    let link = instance_link(&app.config.public_url, instance.id);
    let news = News { name: &instance.name, at: expires, link: &link };
    tell(app, tx, language, mail::Kind::TrialStarted, &actor.email, news).await
}

/// Notes a step of a trial with the time at which it ends.
pub async fn record(
    tx: &mut Tx,
    source: &Source,
    action: &'static str,
    tenant: TenantId,
    instance: InstanceId,
    name: &str,
    expires: OffsetDateTime,
) -> Result<()> {
    let subject_id = instance.to_string();
    let event = Event {
        tenant: Some(tenant),
        action,
        subject_kind: "instance",
        subject_id: &subject_id,
        data: json!({ "name": name, "expires_at": expires.unix_timestamp() }),
    };
    Ok(events::record(tx, source, event).await?)
}

pub fn instance_link(public_url: &str, id: InstanceId) -> String {
    format!("{}/instances/{id}", public_url.trim_end_matches('/'))
}

/// The slug of a plan that this person can have as a trial now; absent when they had theirs already,
/// or there is none.
pub async fn offer(app: &App, actor: &Actor) -> Result<Option<String>> {
    if actor.acting || actor.may_operate().is_err() {
        return Ok(None);
    }
    // As the platform: the person may have had theirs in another tenant.
    Ok(db::offer(app.db.platform(), actor.user_id, &EmailAddress::of_actor(actor).mailbox()).await?)
}

/// Whether an error is a refusal by the rules of trials.
pub fn is_refusal(error: &Error) -> bool {
    Refusal::ALL.into_iter().any(|refusal| refusal.code() == error.code())
}

/// Whether a person could decide otherwise.
pub fn may_be_appealed(error: &Error) -> bool {
    is_refusal(error) && error.code() != Refusal::Used.code()
}

/// Notes for the administrator who was refused a trial, and why.
pub async fn note_refusal(app: &App, actor: &Actor, error: &Error) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    let event = Event {
        tenant: None,
        action: "trial.refused",
        subject_kind: "user",
        subject_id: &actor.user_id.to_string(),
        data: json!({
            "reason": error.code(),
            "mailbox": EmailAddress::of_actor(actor).mailbox(),
            "tenant": actor.tenant_id,
            "ip": actor.ip,
        }),
    };
    events::record(&mut tx, &Source::changing_nothing(actor), event).await?;
    tx.commit().await?;
    Ok(())
}

/// The instance could not be made: the person may start a trial another time.
pub async fn give_back(work: &mut Work) -> Result<()> {
    if db::remove(&mut work.tx, work.instance.id).await? {
        let data = json!({ "name": work.instance.name });
        work.record("trial.given_back", data).await?;
    }
    Ok(())
}

/// The instance was moved to a plan that is sold: it is a trial no more.
pub async fn convert(work: &mut Work) -> Result<()> {
    if db::convert(&mut work.tx, work.instance.id).await? {
        work.instance.firewall.blocked_outbound_tcp.retain(|port| !BLOCKED_PORTS.contains(port));
        if work.instance.lock_reason.as_deref() == Some(EXPIRED) {
            work.instance.lock_reason = None;
        }
        let data = json!({ "name": work.instance.name });
        work.record("trial.converted", data).await?;
    }
    Ok(())
}

/// The lock reason of an instance whose trial has ended.
pub const EXPIRED: &str = "trial_expired";

/// What a mail on the way of a trial says.
pub struct News<'a> {
    pub name: &'a str,
    /// When it ends, or until when its data are kept.
    pub at: OffsetDateTime,
    pub link: &'a str,
}

/// Writes one of the mails on the way of a trial.
pub async fn tell(
    app: &App,
    tx: &mut Tx,
    language: Language,
    kind: mail::Kind,
    recipient: &str,
    news: News<'_>,
) -> Result<()> {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let arguments = [
        ("name", news.name.to_owned()),
        ("expires", news.at.format(&format).unwrap_or_default()),
        ("link", news.link.to_owned()),
    ];
    mail::enqueue(app, tx, Mail { language, kind, recipient, arguments: &arguments }).await?;
    Ok(())
}
