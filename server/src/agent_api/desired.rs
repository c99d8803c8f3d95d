//! `GET /agent/v1/desired?after=REVISION`: answers at once when there is something newer, else holds
//! the request until there is.

use super::Link;
use super::identity::{AgentHost, PeerCertificate};
use crate::error::Result;
use crate::events::notices::Notice;
use crate::metrics::AGENTS_WAITING;
use crate::{consoles, instances};
use jst_policy::power::Saving;
use jst_protocol::HOLD_SECONDS;
use jst_protocol::desired::{Desired, HostSettings};
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::Instant;

/// How often a held request looks although nobody called: a notice may have been lost.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The answer, at the latest after [`HOLD_SECONDS`].
pub async fn wait(link: &Link, mut agent: AgentHost, after: i64) -> Result<Desired> {
    let certificate = PeerCertificate { host: agent.id, serial: agent.serial.clone() };
    let deadline = Instant::now() + Duration::from_secs(HOLD_SECONDS);
    let _waiting = Waiting::begin();
    // Before the first look: a change in between would otherwise be noticed by nobody.
    let mut notices = link.app.notices.subscribe();
    // The extractor looked before the subscription.
    agent = AgentHost::look_up(link, &certificate).await?;
    loop {
        // An agent that is ahead has talked to a database that lost its last writes (a restored
        // backup): it gets everything.
        let complete = after <= 0 || after > agent.link.revision;
        if complete || agent.link.revision > after {
            return document(link, &agent, after, complete).await;
        }
        let woken = woken(&mut notices, agent.id.uuid(), deadline.min(Instant::now() + LOOK_AGAIN));
        tokio::select! {
            () = woken => {}
            () = link.stop.cancelled() => return Ok(unchanged(&agent)),
        }
        agent = AgentHost::look_up(link, &certificate).await?;
        if Instant::now() >= deadline && agent.link.revision == after {
            return Ok(unchanged(&agent));
        }
    }
}

/// Counted while it exists, however the request ends.
struct Waiting;

impl Waiting {
    fn begin() -> Self {
        metrics::gauge!(AGENTS_WAITING).increment(1.0);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!(AGENTS_WAITING).decrement(1.0);
    }
}

/// Returns when the host may have changed, or at `until`.
async fn woken(notices: &mut Receiver<Notice>, host: uuid::Uuid, until: Instant) {
    loop {
        match tokio::time::timeout_at(until, notices.recv()).await {
            Err(_) => return,
            Ok(Ok(Notice::Host(changed))) if changed == host => return,
            Ok(Ok(Notice::Everything)) | Ok(Err(RecvError::Lagged(_))) => return,
            Ok(Ok(_)) => {}
            // The sender lives as long as the server; without it only the clock is left.
            Ok(Err(RecvError::Closed)) => return tokio::time::sleep_until(until).await,
        }
    }
}

async fn document(link: &Link, agent: &AgentHost, after: i64, complete: bool) -> Result<Desired> {
    // The revision was read before the instances.  What changes in between is in this document and
    // again in the next one, which harms nobody; the other order could lose it.
    let after = if complete { 0 } else { after };
    let instances = instances::desired::changed_since(&link.app, agent.id, after).await?;
    let consoles = consoles::waiting(&link.app, agent.id).await?;
    Ok(Desired { complete, instances, consoles, ..unchanged(agent) })
}

fn unchanged(agent: &AgentHost) -> Desired {
    Desired {
        host_id: agent.id.uuid(),
        revision: agent.link.revision,
        complete: false,
        instances: Vec::new(),
        consoles: Vec::new(),
        host: HostSettings {
            system_memory_mib: agent.link.system_memory_mib.unsigned_abs(),
            nat: agent.link.nat,
            uplink_kbit: agent.link.uplink_kbit.map(i64::unsigned_abs),
            page_merging: agent.link.page_merging,
            power_saving: Saving::from_name(&agent.link.power_saving).unwrap_or_default(),
        },
    }
}
