//! How many more of a plan there is room for.

use crate::error::{Error, Result};
use crate::instances::create::any_plan;
use crate::settings;
use crate::state::App;
use jst_policy::admission::Booking;
use jst_policy::placement::{AntiAffinity, Candidate, Capability, Outcome, Requirements, explain};

/// More than this is not counted: shops show whether there is some, and little else.
pub const MOST: u32 = 100;

pub async fn of(app: &App, plan: &str) -> Result<u32> {
    let found = any_plan(app, plan).await?.filter(|plan| !plan.trial_only());
    let Some(plan) = found else {
        return Err(Error::invalid("plan", if plan.trim().is_empty() { "required" } else { "choice" }));
    };
    let requirements = Requirements {
        booking: Booking::of(&plan.policy),
        needs: Capability::needed_by(&plan.policy),
        allow_emulated: settings::get(app.db.platform()).await?.allow_emulated,
        allow_simulated: app.config.allow_simulated,
        image: None,
        anti_affinity: AntiAffinity::Preferred,
        addresses_v4: 1,
    };
    Ok(room(&requirements, crate::hosts::candidates(app.db.platform(), None).await?))
}

fn room(requirements: &Requirements, mut candidates: Vec<Candidate>) -> u32 {
    let placement = explain(requirements, &candidates);
    candidates.retain(|candidate| {
        placement.verdicts.iter().any(|verdict| {
            verdict.host == candidate.host && matches!(verdict.outcome, Outcome::Eligible { .. })
        })
    });
    // Hosts may share their pools of addresses, so that the largest is all that is sure.
    let addresses = candidates.iter().map(|candidate| u64::from(candidate.free_addresses_v4)).max();
    let most = MOST.min(u32::try_from(addresses.unwrap_or(0)).unwrap_or(u32::MAX));
    let mut count = 0;
    for candidate in &mut candidates {
        while count < most && candidate.load.admits(&requirements.booking) {
            candidate.load.booked += requirements.booking;
            count += 1;
        }
    }
    count
}
