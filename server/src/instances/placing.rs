//! Where a new instance goes, and what people are told when it goes nowhere.
//!
//! The customer learns what is short in words; the administrator finds the verdict on every host
//! in the event.  Host names are not the customer's business, so that event belongs to no tenant.

use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::images::Image;
use crate::settings::Settings;
use crate::state::App;
use crate::web::format;
use jst_policy::admission::{Booking, Resource, Shortage};
use jst_policy::instance::ResourcePolicy;
use jst_policy::placement::{AntiAffinity, Capability, Outcome, Placement, Rejection, Requirements, explain};
use serde_json::json;

/// Verdicts kept in an event: a fleet's worth of them would only bury the reason.
const VERDICTS_KEPT: usize = 50;

pub fn requirements(app: &App, settings: &Settings, policy: &ResourcePolicy, image: &Image) -> Requirements {
    Requirements {
        booking: Booking::of(policy),
        needs: Capability::needed_by(policy),
        allow_emulated: settings.allow_emulated,
        allow_simulated: app.config.allow_simulated,
        image: Some(image.sha256.clone()),
        anti_affinity: AntiAffinity::Preferred,
        addresses_v4: 1,
    }
}

/// The verdict on every host, the best first.
pub async fn judge(app: &App, actor: &Actor, requirements: &Requirements) -> Result<Placement> {
    let candidates = crate::hosts::candidates(app.db.platform(), Some(actor.tenant_id)).await?;
    Ok(explain(requirements, &candidates))
}

/// Hosts that could take the guest, the best first.
pub fn eligible(placement: &Placement) -> impl Iterator<Item = crate::ids::HostId> {
    placement
        .verdicts
        .iter()
        .filter(|verdict| matches!(verdict.outcome, Outcome::Eligible { .. }))
        .map(|verdict| verdict.host.into())
}

/// Notes for the administrator how a placement came out.
pub async fn note(
    app: &App,
    actor: &Actor,
    action: &'static str,
    subject: &str,
    placement: &Placement,
) -> Result<()> {
    let mut kept = placement.clone();
    kept.verdicts.truncate(VERDICTS_KEPT);
    let mut tx = app.db.begin_platform().await?;
    let event = Event {
        tenant: None,
        action,
        subject_kind: "instance",
        subject_id: subject,
        data: json!({
            "tenant": actor.tenant_id,
            "hosts": placement.verdicts.len(),
            "placement": kept,
            "in_words": kept.verdicts.iter().map(in_words).collect::<Vec<_>>(),
        }),
    };
    events::record(&mut tx, &Source::changing_nothing(actor), event).await?;
    tx.commit().await?;
    Ok(())
}

fn in_words(verdict: &jst_policy::placement::Verdict) -> String {
    match &verdict.outcome {
        Outcome::Eligible { score } => format!("{}: eligible, score {}", verdict.name, score.total()),
        Outcome::Rejected { reasons } => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            format!("{}: {}", verdict.name, reasons.join("; "))
        }
    }
}

/// Why no host takes the guest, for the customer: the reason of the host that comes closest.
pub fn refusal(placement: &Placement) -> Error {
    let closest = placement
        .verdicts
        .iter()
        .filter_map(|verdict| match &verdict.outcome {
            Outcome::Rejected { reasons } => Some(reasons),
            Outcome::Eligible { .. } => None,
        })
        .min_by_key(|reasons| (reasons.iter().map(distance).max(), reasons.len()));
    // The furthest of its reasons is the one that has to go first; of equals, the first one.
    match closest.and_then(|reasons| reasons.iter().rev().max_by_key(|reason| distance(reason))) {
        Some(Rejection::Short(shortage)) => short(shortage),
        Some(Rejection::NoAddresses { .. }) => Error::conflict("no-address-free"),
        Some(Rejection::CapabilityAbsent { .. }) => Error::conflict("no-capable-host"),
        // Nothing at all, or every host was taken by others just now.
        _ => Error::conflict("no-host"),
    }
}

/// How far a host with this shortcoming is from taking the guest.
fn distance(reason: &Rejection) -> u8 {
    match reason {
        Rejection::Short(_) => 0,
        Rejection::NoAddresses { .. } => 1,
        Rejection::TenantPresent { .. } => 2,
        Rejection::CapabilityAbsent { .. } => 3,
        Rejection::LeaseExpired => 4,
        Rejection::NotAccepting => 5,
        Rejection::NotQualified { .. } => 6,
    }
}

/// What is short on the one host where an instance is.
pub fn short_here(shortage: &Shortage) -> Error {
    with_amount("short-here", shortage)
}

/// What is short, with the amount as people read it.
pub fn short(shortage: &Shortage) -> Error {
    let code = match shortage.resource {
        Resource::CpuReservation => "short-cpu",
        Resource::Vcpus => "short-vcpus",
        Resource::DedicatedCores => "short-dedicated-cores",
        Resource::MemoryReservation => "short-memory",
        Resource::MemorySize => "short-memory-size",
        Resource::Disk => "short-disk",
        Resource::DiskReservation => "short-disk-iops",
        Resource::NetworkInbound | Resource::NetworkOutbound => "short-network",
    };
    with_amount(code, shortage)
}

fn with_amount(code: &'static str, shortage: &Shortage) -> Error {
    Error::conflict(code).with("needed", format::amount(shortage.resource, shortage.needed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jst_policy::placement::{Qualification, Verdict};
    use uuid::Uuid;

    fn rejected(reasons: Vec<Rejection>) -> Verdict {
        Verdict { host: Uuid::nil(), name: "h".into(), outcome: Outcome::Rejected { reasons } }
    }

    fn code(verdicts: Vec<Verdict>) -> &'static str {
        refusal(&Placement { chosen: None, verdicts }).code()
    }

    #[test]
    fn the_customer_is_told_what_the_closest_host_lacks() {
        let short = |resource| Rejection::Short(Shortage { resource, needed: 2048, free: 512 });
        let dead = Rejection::NotQualified { qualification: Qualification::Failed };
        assert_eq!(code(vec![]), "no-host");
        assert_eq!(code(vec![rejected(vec![dead])]), "no-host");
        assert_eq!(
            code(vec![rejected(vec![dead]), rejected(vec![short(Resource::MemoryReservation)])]),
            "short-memory"
        );
        assert_eq!(
            code(vec![
                rejected(vec![dead, short(Resource::Disk)]),
                rejected(vec![short(Resource::Disk), Rejection::NoAddresses { needed: 1, free: 0 }]),
            ]),
            "no-address-free"
        );
    }

    #[test]
    fn amounts_are_told_as_people_read_them() {
        let error = short(&Shortage { resource: Resource::MemoryReservation, needed: 2048, free: 0 });
        assert!(
            matches!(error, Error::Refused { arguments, .. } if arguments == [("needed", "2 GiB".into())])
        );
    }
}
