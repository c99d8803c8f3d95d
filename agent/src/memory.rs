//! The memory manager: every few seconds it reads the host and its guests, asks `jst_policy::memory`
//! what the balloon should leave each guest, and sets the balloons that differ.
//!
//! Nothing is remembered between two steps but what was last said of it, so that an agent that starts takes
//! over what it finds.  When the agent stops, balloons stay where they are: the host may be short of memory
//! still, guests take back what they need before they run out of it (`autodeflate`), and the next agent
//! gives back the rest.

use crate::hypervisor::{Fault, GuestMemory, Hypervisor};
use crate::ledger::Ledger;
use crate::reconcile::spec;
use jst_policy::memory::{Guest, Host, LEAST, Marks, Pressure, step};
use jst_policy::units::MiB;
use jst_protocol::report::{HostLoad, MemoryPressure};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// While the host has room and nothing is held back, only every so many steps look at the guests: a limit
/// may have been set, or a guest may have lost its driver.  Asking costs libvirt milliseconds a guest.
const CALM_STEPS: u32 = 6;

/// How memory stands, for the report on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub pressure: Pressure,
    pub reclaimed: MiB,
    /// What guests would have to give beyond their reservations.
    pub missing: MiB,
}

impl Balance {
    pub fn add_to(&self, load: HostLoad) -> HostLoad {
        HostLoad {
            memory_reclaimed_mib: self.reclaimed.get(),
            memory_pressure: match self.pressure {
                Pressure::None => MemoryPressure::None,
                Pressure::Low => MemoryPressure::Low,
                Pressure::Critical => MemoryPressure::Critical,
            },
            memory_missing_mib: self.missing.get(),
            ..load
        }
    }
}

/// Takes a step every `period`, for ever.
pub async fn keep(
    hypervisor: Hypervisor,
    ledger: Arc<Ledger>,
    period: Duration,
    merged: watch::Receiver<MiB>,
    balance: watch::Sender<Balance>,
) {
    let mut calm = 0;
    loop {
        tokio::time::sleep(period).await;
        let (total, available) = hypervisor.host_memory();
        if total == MiB::ZERO {
            tracing::warn!("the host's memory cannot be read; no guest's is touched");
            continue;
        }
        let settings = ledger.host();
        // Merged pages that are to be separated need this much more, and wait until it is there.
        let owed = if settings.page_merging { MiB::ZERO } else { *merged.borrow() };
        let available = available.saturating_sub(owed);
        let marks = Marks::of(total, MiB(settings.system_memory_mib));
        if available > marks.high && (1..CALM_STEPS).contains(&calm) {
            calm += 1;
            continue;
        }
        calm = 0;
        let before = *balance.borrow();
        match take_step(&hypervisor, &ledger, &Host { available, marks }).await {
            Ok((now, moved)) => {
                tell(&before, &now, available, &marks, moved);
                if now == Balance::default() && moved == 0 {
                    calm = 1;
                }
                balance.send_replace(now);
            }
            Err(fault) => tracing::warn!(%fault, "the guests' memory cannot be read"),
        }
    }
}

/// One step; how memory stands, and how many balloons were moved.
async fn take_step(hypervisor: &Hypervisor, ledger: &Ledger, host: &Host) -> Result<(Balance, usize), Fault> {
    let found = hypervisor.guest_memory().await?;
    let guests: Vec<Guest> = found.iter().map(|guest| view(guest, ledger)).collect();
    let step = step(host, &guests);
    let mut moved = 0;
    for (guest, target) in found.iter().zip(&step.targets).filter(|(guest, target)| guest.left != **target) {
        match hypervisor.set_balloon(guest, *target).await {
            Ok(()) => {
                moved += 1;
                tracing::debug!(instance = %guest.id, from = guest.left.get(), to = target.get(), "balloon");
            }
            Err(fault) => tracing::warn!(instance = %guest.id, %fault, "the balloon cannot be moved"),
        }
    }
    let reclaimed = found.iter().map(|guest| guest.size.saturating_sub(guest.left)).sum();
    Ok((Balance { pressure: step.pressure, reclaimed, missing: step.evacuate.unwrap_or_default() }, moved))
}

/// A guest as the policy sees it.  What the server does not list here, an orphan, is not touched.
fn view(found: &GuestMemory, ledger: &Ledger) -> Guest {
    let entry = ledger.get(found.id);
    let policy = entry.as_ref().and_then(|entry| spec(entry)).map(|spec| &spec.policy);
    let GuestMemory { size, plugged, left, resident, statistics, .. } = *found;
    let Some(policy) = policy else {
        let claim =
            jst_policy::claim::Claim { reservation: size.get(), limit: None, shares: 0, demand: None };
        return Guest { size, claim, left, resident, statistics: None };
    };
    let mut claim = policy.memory_claim();
    // The size that is desired may still be on its way; a lower limit of its own is meant.
    claim.limit = policy.memory.limit.map(MiB::get);
    if plugged > MiB::ZERO {
        // The balloon takes no more than was there at boot.
        claim.reservation = claim.reservation.max((plugged + LEAST).get());
    }
    Guest { size, claim, left, resident, statistics }
}

/// Every step that did something is in the log, and every change of how it stands.
fn tell(before: &Balance, now: &Balance, available: MiB, marks: &Marks, moved: usize) {
    let (available, low, reclaimed) = (available.get(), marks.low.get(), now.reclaimed.get());
    if before.pressure != now.pressure || moved > 0 {
        tracing::info!(pressure = ?now.pressure, available, low, moved, reclaimed, "memory");
    }
    if now.missing > MiB::ZERO && before.missing == MiB::ZERO {
        let missing = now.missing.get();
        tracing::warn!(
            missing,
            "all guests are at their reservations and the host is still short of memory; guests should move to other hosts"
        );
    }
}
