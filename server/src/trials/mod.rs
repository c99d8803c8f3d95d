//! Free trials: one for each verified person, for a limited time, and hard to farm.
//!
//! ```text
//!   started ──3 days and 1 day before: mail──> expired: stopped ──kept some days──> deleted
//!      └──────────────── a plan is bought: converted, with disk and addresses ──┘
//! ```
//!
//! A trial is an instance of a plan that is marked as one.  Who had one is remembered by person and
//! by mailbox for ever; how many start from one network is limited by day; and outgoing mail is
//! closed, because that is what trials are stolen for.

pub mod db;

use crate::accounts::email::mailbox;
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
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::json;
use std::net::IpAddr;
use time::OffsetDateTime;

/// Outgoing TCP ports that are closed for trials: mail.
pub const BLOCKED_PORTS: [u16; 1] = [25];

/// Whether this person may start a trial at all.
pub async fn check_person(tx: &mut Tx, actor: &Actor) -> Result<()> {
    // A trial is a person's, and the customer would lose theirs to the administrator.
    if actor.acting {
        return Err(Error::refused("acting-trial"));
    }
    if db::used_by(tx, actor.user_id).await? { Err(Error::refused("trial-used")) } else { Ok(()) }
}

/// Whether another trial may start from where this one is asked for.  Trials from one network
/// wait for each other from here to the end of the transaction.
pub async fn check_network(tx: &mut Tx, actor: &Actor, settings: &Settings) -> Result<()> {
    let Some(ip) = actor.ip else { return Ok(()) };
    if db::recent_from(tx, network(ip)).await? >= settings.trials_per_ip_day {
        return Err(Error::refused("trial-network"));
    }
    Ok(())
}

/// One customer: an IPv4 address, or an IPv6 /64.
fn network(ip: IpAddr) -> IpNet {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpNet::V4(Ipv4Net::from(ip)),
        IpAddr::V6(ip) => IpNet::V6(Ipv6Net::new_assert(ip, 64).trunc()),
    }
}

/// Books the trial of a new instance, and tells by mail how long it runs.
pub async fn begin(
    tx: &mut Tx,
    actor: &Actor,
    settings: &Settings,
    instance: &Instance,
    public_url: &str,
) -> Result<()> {
    let days = i32::try_from(settings.trial_days.max(1)).unwrap_or(i32::MAX);
    let started = db::insert(tx, actor, &mailbox(&actor.email), instance.id, days).await;
    let expires = match started {
        Ok(expires) => expires,
        Err(error) => {
            return Err(match violated_constraint(&error) {
                Some("trials_one_each") | Some("trials_one_mailbox") => Error::refused("trial-used"),
                _ => error.into(),
            });
        }
    };
    let source = Source::from(actor);
    record(tx, &source, "trial.started", instance.tenant_id, instance.id, &instance.name, expires).await?;
    let language = Language::from_code(&actor.locale).unwrap_or_default();
    let link = instance_link(public_url, instance.id);
    let news = News { name: &instance.name, at: expires, link: &link };
    tell(tx, language, mail::Kind::TrialStarted, &actor.email, news).await
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
    Ok(db::offer(app.db.platform(), actor.user_id, &mailbox(&actor.email)).await?)
}

/// Whether an error is a refusal by the rules of trials.
pub fn is_refusal(error: &Error) -> bool {
    matches!(error.code(), "trial-used" | "trial-network")
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
            "mailbox": mailbox(&actor.email),
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
    mail::enqueue(tx, Mail { language, kind, recipient, arguments: &arguments }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_customer_is_an_address_or_a_64() {
        let network = |ip: &str| network(ip.parse().unwrap()).to_string();
        assert_eq!(network("203.0.113.7"), "203.0.113.7/32");
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.7/32");
        assert_eq!(network("2001:db8::1:2:3:4"), "2001:db8::/64");
    }
}
