//! Where would a guest of this plan go, and why there?
//!
//! The same question that creating an instance asks, with the same facts, and no booking.

use crate::error::Result;
use crate::hosts;
use crate::plans::Plan;
use crate::settings;
use crate::state::App;
use jst_policy::admission::Booking;
use jst_policy::placement::{self, Capability, Placement, Requirements};

pub async fn explain(app: &App, plan: &Plan) -> Result<Placement> {
    let requirements = Requirements {
        booking: Booking::of(&plan.policy),
        needs: Capability::needed_by(&plan.policy),
        allow_emulated: settings::get(app.db.platform()).await?.allow_emulated,
        // A simulated host has no guests: nobody who paid may end there.
        allow_simulated: app.config.allow_simulated,
        addresses_v4: 1,
        ..Requirements::default()
    };
    let candidates = hosts::candidates(app.db.platform(), None).await?;
    Ok(placement::explain(&requirements, &candidates))
}
