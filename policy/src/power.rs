//! One step of the power manager of a host: which governor its processors have, and which of them are parked
//! (taken offline) while there is nothing for them to do.
//!
//! It may never cost anybody what is guaranteed.  As many processors as the guests' reservations need, with
//! one to spare, always stay; whatever is parked comes back at once, all of it, when the others get busy; and
//! nothing is parked before a minute has passed in which fewer would have been plenty.  Therefore parked
//! processors count fully in what a host offers: they are asleep, not gone.
//!
//! The two marks of each decision lie so far apart that no steady load crosses them in turn: what is parked
//! leaves the peak of the last minute half of what stays, and it comes back above seven tenths.

use crate::units::MilliCpu;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the operator wants of a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saving {
    /// Nothing is touched.
    #[default]
    Off,
    /// The governor follows the load.
    Governor,
    /// And processors are parked.
    Park,
    /// What an older release does not know, it does not do.
    #[serde(other)]
    Unknown,
}

impl Saving {
    pub const ALL: [Self; 3] = [Self::Off, Self::Governor, Self::Park];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Governor => "governor",
            Self::Park => "park",
            Self::Unknown => "unknown",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|saving| saving.name() == name)
    }
}

/// How the kernel chooses the frequency of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Governor {
    Performance,
    Schedutil,
    Ondemand,
    Conservative,
    Powersave,
    /// Another one, or not the same on all processors.
    #[serde(other)]
    Other,
}

impl Governor {
    /// The most saving one that still follows the load comes first.  With the driver `intel_pstate`
    /// `powersave` does so as well; elsewhere it holds the lowest frequency, and is only taken where there
    /// is no other.
    const CALM: [Self; 4] = [Self::Schedutil, Self::Ondemand, Self::Conservative, Self::Powersave];

    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Schedutil => "schedutil",
            Self::Ondemand => "ondemand",
            Self::Conservative => "conservative",
            Self::Powersave => "powersave",
            Self::Other => "other",
        }
    }

    pub fn from_name(name: &str) -> Self {
        let known = [Self::Performance].into_iter().chain(Self::CALM);
        known.into_iter().find(|governor| governor.name() == name).unwrap_or(Self::Other)
    }
}

/// A processor that is online, or that was parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    pub number: u32,
    pub online: bool,
    /// It always stays: the kernel lets nobody take it offline, or it belongs to one guest alone.
    pub fixed: bool,
}

/// What is known before a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub saving: Saving,
    /// How much of the processors was used over the last few seconds.
    pub busy: MilliCpu,
    /// The most of it over the last minute; absent before a minute has passed.
    pub peak: Option<MilliCpu>,
    /// Sum of the reservations of the guests that are to run.
    pub reserved: MilliCpu,
    /// In ascending order.
    pub cores: Vec<Core>,
    /// Which all processors can have.
    pub governors: Vec<Governor>,
    /// Which they have.
    pub governor: Option<Governor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Absent: what they have is left to them.
    pub governor: Option<Governor>,
    /// Processors that are to be online; the others of the host are to be parked.
    pub online: BTreeSet<u32>,
}

/// In hundredths of the processors that are online: from here on the governor is `performance`, and below the
/// other mark it is a saving one.
const BUSY: u64 = 60;
const CALM: u64 = 40;
/// From here on everything that is parked comes back.
const CROWDED: u64 = 70;
/// For each core that the peak of the last minute used so many stay.
const PLENTY: u64 = 2;
/// A core beyond the reservations, for the host itself and for what comes next.
const HEADROOM: u64 = 1000;

/// Decides one step.  Pure and total.
pub fn step(now: &Standing) -> Step {
    let all: BTreeSet<u32> = now.cores.iter().map(|core| core.number).collect();
    match now.saving {
        Saving::Off | Saving::Unknown => Step { governor: None, online: all },
        Saving::Governor => Step { governor: governor(now), online: all },
        Saving::Park => Step { governor: governor(now), online: online(now).unwrap_or(all) },
    }
}

/// Hundredths of the processors that are online.
fn part(used: MilliCpu, now: &Standing) -> u64 {
    let online = now.cores.iter().filter(|core| core.online).count().max(1) as u64;
    used.get().saturating_mul(100) / (online * 1000)
}

fn governor(now: &Standing) -> Option<Governor> {
    let can = |governor: &Governor| now.governors.contains(governor);
    let fast = Some(Governor::Performance).filter(can);
    let calm = Governor::CALM.into_iter().find(can);
    if part(now.busy, now) >= BUSY {
        return fast.or(now.governor);
    }
    match now.peak {
        Some(peak) if part(peak, now) < CALM => calm.or(now.governor),
        _ => now.governor,
    }
}

/// Which processors stay or come; none is returned when all are needed.
fn online(now: &Standing) -> Option<BTreeSet<u32>> {
    if part(now.busy, now) >= CROWDED {
        return None;
    }
    let cores = |millicpu: u64| millicpu.div_ceil(1000);
    let floor = cores(now.reserved.get().saturating_add(HEADROOM));
    let awake = now.cores.iter().filter(|core| core.online).count() as u64;
    let wanted = match now.peak {
        Some(peak) => floor.max(cores(peak.get().saturating_mul(PLENTY))).min(awake),
        None => awake,
    };
    // More than are awake only where reservations need them.
    let wanted = wanted.max(floor);
    let mut online: BTreeSet<u32> =
        now.cores.iter().filter(|core| core.fixed).map(|core| core.number).collect();
    // None is parked to wake another.  The lowest numbers stay: on most machines the upper half are the second
    // threads of the lower half's cores.
    let (stay, come): (Vec<&Core>, Vec<&Core>) = now.cores.iter().partition(|core| core.online);
    for core in stay.into_iter().chain(come) {
        if online.len() as u64 >= wanted {
            break;
        }
        online.insert(core.number);
    }
    Some(online)
}

#[cfg(test)]
mod tests;
