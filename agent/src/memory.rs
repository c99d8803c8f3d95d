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
use tokio::sync::{Notify, watch};

/// While the host has room and nothing is held back, only every so many steps look at the guests: a limit
/// may have been set, or a guest may have lost its driver.  Asking costs libvirt milliseconds a guest.
const CALM_STEPS: u32 = 6;

/// How memory stands, for the report on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub available: MiB,
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

/// What the manager works on.
pub struct Manager {
    pub hypervisor: Hypervisor,
    pub ledger: Arc<Ledger>,
    /// A step is taken this often, and at once when something else is desired.
    pub period: Duration,
    pub news: Arc<Notify>,
    /// Guests together may occupy no more than this; absent: what the host has.
    pub guest_memory: Option<MiB>,
    /// What merged pages save.
    pub merged: watch::Receiver<MiB>,
    pub balance: watch::Sender<Balance>,
}

impl Manager {
    /// Takes steps, for ever.
    pub async fn keep(self) {
        let mut calm = 0;
        loop {
            let news = tokio::time::timeout(self.period, self.news.notified()).await.is_ok();
            let (total, available) = self.hypervisor.host_memory();
            if total == MiB::ZERO {
                tracing::warn!("the host's memory cannot be read; no guest's is touched");
                continue;
            }
            let settings = self.ledger.host();
            // Merged pages that are to be separated need this much more, and wait until it is there.
            let owed = if settings.page_merging { MiB::ZERO } else { *self.merged.borrow() };
            let available = available.saturating_sub(owed);
            let total = self.guest_memory.map_or(total, |most| most.min(total));
            let marks = Marks::of(total, MiB(settings.system_memory_mib));
            let room = available > marks.high && self.guest_memory.is_none() && !news;
            if room && (1..CALM_STEPS).contains(&calm) {
                calm += 1;
                continue;
            }
            calm = 0;
            let before = *self.balance.borrow();
            match self.take_step(available, marks).await {
                Ok((now, moved)) => {
                    tell(&before, &now, &marks, moved);
                    if now.reclaimed == MiB::ZERO && now.pressure == Pressure::None && moved == 0 {
                        calm = 1;
                    }
                    self.balance.send_replace(now);
                }
                Err(fault) => tracing::warn!(%fault, "the guests' memory cannot be read"),
            }
        }
    }

    /// One step; how memory stands, and how many balloons were moved.
    async fn take_step(&self, available: MiB, marks: Marks) -> Result<(Balance, usize), Fault> {
        let Self { hypervisor, ledger, .. } = self;
        let found = hypervisor.guest_memory().await?;
        let guests: Vec<Guest> = found.iter().map(|guest| view(guest, ledger)).collect();
        let occupied: MiB = found.iter().map(|guest| guest.resident).sum();
        let host = match self.guest_memory {
            None => Host { available, overdrawn: MiB::ZERO, marks },
            Some(most) => Host {
                available: most.saturating_sub(occupied).min(available),
                overdrawn: occupied.saturating_sub(most),
                marks,
            },
        };
        let step = step(&host, &guests);
        let mut moved = 0;
        for (guest, target) in
            found.iter().zip(&step.targets).filter(|(guest, target)| guest.left != **target)
        {
            match hypervisor.set_balloon(guest, *target).await {
                Ok(()) => {
                    moved += 1;
                    tracing::debug!(instance = %guest.id, from = guest.left.get(), to = target.get(), "balloon");
                }
                Err(fault) => tracing::warn!(instance = %guest.id, %fault, "the balloon cannot be moved"),
            }
        }
        let reclaimed = found.iter().map(|guest| guest.size.saturating_sub(guest.left)).sum();
        let missing = step.evacuate.unwrap_or_default();
        Ok((Balance { available: host.available, pressure: step.pressure, reclaimed, missing }, moved))
    }
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
fn tell(before: &Balance, now: &Balance, marks: &Marks, moved: usize) {
    let (available, low, reclaimed) = (now.available.get(), marks.low.get(), now.reclaimed.get());
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
