//! On which host a new guest starts, and why there.
//!
//! Hosts that must not take it are filtered out; the others are scored, and the best one is chosen:
//! first the better qualified (real virtualisation before emulation), then the higher score, then
//! the lower id.  Nothing depends on the order of the candidates or on chance, so a decision can be
//! explained afterwards from the same facts.
//!
//! The score, in ten-thousandths:
//!
//! ```text
//!   headroom    mean of what would be left free of processor, memory, disk and network
//! + stranding   -1/2 of the distance between the most and the least of these: a host that is out of
//!               memory cannot sell its processors
//! + image       500 where the image need not be fetched first
//! + spread      -300 for each guest that the tenant has there, at most -1,200
//! ```
//!
//! Of a resource with two ceilings, such as guaranteed and sold, the fuller one counts.  Guests are spread
//! over the hosts and not packed onto few: neighbours disturb each other less, and fewer guests fall
//! with a host.  Emptying hosts to save power is the business of another module.
//!
//! The choice is advice, as in [`crate::admission`]: the booking decides, and where it fails
//! because another was faster, the caller places again.

use crate::admission::{Booking, HostLoad, Resource, Shortage, fits};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use uuid::Uuid;

mod capability;

pub use capability::Capability;

/// How a host proved that it runs guests, in the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Qualification {
    /// A probe guest booted under KVM.
    Kvm,
    /// A probe guest booted by emulation only: many times slower.
    Emulated,
    /// There are no guests at all; for trying out the platform.
    Simulated,
    /// The probe has not ended yet.
    Pending,
    /// No probe guest booted at all.
    Failed,
}

/// A host that might take the guest, with the facts that decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Unique among the candidates.
    pub host: Uuid,
    /// For people who read the explanation.
    pub name: String,
    /// Capacity and what is booked, as admission sees it.
    pub load: HostLoad,
    /// Active, and neither drained nor in maintenance.
    pub accepts_new: bool,
    /// The host has been heard of recently enough that it may start guests.
    pub lease_valid: bool,
    pub qualification: Qualification,
    /// What the host was found to be able to do.
    pub capabilities: BTreeSet<Capability>,
    /// In the same form as [`Requirements::image`].
    pub cached_images: BTreeSet<String>,
    /// Guests that the tenant who asks has on this host already.
    pub same_tenant_instances: u32,
    /// Public IPv4 addresses that can still be booked for guests of this host.
    pub free_addresses_v4: u32,
}

/// What the new guest needs of its host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// See [`Booking::of`].
    pub booking: Booking,
    /// See [`Capability::needed_by`].
    pub needs: BTreeSet<Capability>,
    /// Take a host that only emulates, where none has KVM.
    pub allow_emulated: bool,
    /// Take a host without real guests, where there is no other.
    pub allow_simulated: bool,
    /// The image's SHA-256 or any other name that identifies its content.
    pub image: Option<String>,
    /// Towards other guests of the same tenant.
    pub anti_affinity: AntiAffinity,
    /// How many public IPv4 addresses it is to get.
    pub addresses_v4: u32,
}

/// Whether guests of one tenant keep apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AntiAffinity {
    /// It does not matter.
    None,
    /// Where other things are equal.
    #[default]
    Preferred,
    /// Never two on one host.
    Required,
}

/// Where a guest goes, and what was found about every candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Absent when no host can take the guest.
    pub chosen: Option<Uuid>,
    /// The best first; then those that cannot take it, by name.
    pub verdicts: Vec<Verdict>,
}

/// What was found about one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub host: Uuid,
    pub name: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Whether a candidate can take the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It can, and is this good.
    Eligible { score: Score },
    /// Every reason, not only the first.
    Rejected { reasons: Vec<Rejection> },
}

/// The terms of a score, in ten-thousandths; see the module's formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// 0 to 10,000.
    pub headroom: i32,
    /// -5,000 to 0.
    pub stranding: i32,
    /// 0 or 500.
    pub image: i32,
    /// -1,200 to 0.
    pub spread: i32,
}

/// Why a host cannot take a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Rejection {
    /// Drained, in maintenance or switched off by the operator.
    NotAccepting,
    /// Not heard of recently enough to be allowed to start guests.
    LeaseExpired,
    /// Not at all, or in a way that this guest does not allow.
    NotQualified { qualification: Qualification },
    /// The policy promises what this host cannot keep.
    CapabilityAbsent { capability: Capability },
    /// Too little of one resource is left.
    Short(Shortage),
    /// Of public IPv4.
    NoAddresses { needed: u32, free: u32 },
    /// Guests of this tenant must keep apart.
    TenantPresent { instances: u32 },
}

/// A twentieth of a host's room: not to wait for an image is worth that much load, and no more.
const IMAGE_CACHED: i32 = 500;
/// Two guests of the same tenant outweigh a cached image, and one does not.
const TENANT_INSTANCE: i32 = -300;
/// Beyond this many the tenant's guests fall together anyway.
const TENANT_INSTANCES_COUNTED: u32 = 4;

/// The host that takes the guest; none when all are rejected.
///
/// O(n), without an allocation, for the path on which a customer waits.  [`explain`] chooses the same
/// host and says why.
pub fn place(requirements: &Requirements, candidates: &[Candidate]) -> Option<Uuid> {
    let mut best: Option<Rank> = None;
    for candidate in candidates {
        if obstacles(requirements, candidate).next().is_some() {
            continue;
        }
        let Some(score) = score_by_load(requirements, candidate) else { continue };
        // Sets are looked into only where the candidate would win with the most that they can give:
        // among hosts in no particular order, that is a logarithmic number of them.
        let at_most = Score { image: IMAGE_CACHED, ..score };
        if best.is_some_and(|best| Rank::new(candidate, at_most) <= best)
            || absent_capabilities(requirements, candidate).next().is_some()
        {
            continue;
        }
        let rank = Rank::new(candidate, Score { image: image_score(requirements, candidate), ..score });
        best = best.max(Some(rank));
    }
    best.map(|best| best.host.0)
}

/// The host that takes the guest, as [`place`] chooses it, with the verdict on every candidate.
pub fn explain(requirements: &Requirements, candidates: &[Candidate]) -> Placement {
    let mut judged: Vec<(Option<Rank>, Verdict)> =
        candidates.iter().map(|candidate| judge(requirements, candidate)).collect();
    judged.sort_by(|(a, first), (b, second)| {
        b.cmp(a).then_with(|| (&first.name, first.host).cmp(&(&second.name, second.host)))
    });
    Placement {
        chosen: judged.first().and_then(|(rank, _)| *rank).map(|rank| rank.host.0),
        verdicts: judged.into_iter().map(|(_, verdict)| verdict).collect(),
    }
}

fn judge(requirements: &Requirements, candidate: &Candidate) -> (Option<Rank>, Verdict) {
    let mut reasons: Vec<Rejection> = obstacles(requirements, candidate).collect();
    reasons.extend(
        absent_capabilities(requirements, candidate)
            .map(|capability| Rejection::CapabilityAbsent { capability }),
    );
    let shortages = fits(&candidate.load, &requirements.booking).err().unwrap_or_default();
    reasons.extend(shortages.into_iter().map(Rejection::Short));

    let score = score_by_load(requirements, candidate).filter(|_| reasons.is_empty());
    let (rank, outcome) = match score {
        Some(score) => {
            let score = Score { image: image_score(requirements, candidate), ..score };
            (Some(Rank::new(candidate, score)), Outcome::Eligible { score })
        }
        None => (None, Outcome::Rejected { reasons }),
    };
    (rank, Verdict { host: candidate.host, name: candidate.name.clone(), outcome })
}

/// The order of preference, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    qualification: Reverse<u8>,
    total: i32,
    host: Reverse<Uuid>,
}

impl Rank {
    fn new(candidate: &Candidate, score: Score) -> Self {
        Self {
            qualification: Reverse(candidate.qualification as u8),
            total: score.total(),
            host: Reverse(candidate.host),
        }
    }
}

impl Score {
    /// The sum of the terms: what hosts of equal qualification are compared by.
    pub const fn total(&self) -> i32 {
        self.headroom + self.stranding + self.image + self.spread
    }
}

/// Reasons that need neither sums nor sets.
fn obstacles(requirements: &Requirements, candidate: &Candidate) -> impl Iterator<Item = Rejection> {
    let &Candidate { qualification, free_addresses_v4: free, same_tenant_instances: instances, .. } =
        candidate;
    let qualified = match qualification {
        Qualification::Kvm => true,
        Qualification::Emulated => requirements.allow_emulated,
        Qualification::Simulated => requirements.allow_simulated,
        Qualification::Pending | Qualification::Failed => false,
    };
    let needed = requirements.addresses_v4;
    let apart = instances == 0 || requirements.anti_affinity != AntiAffinity::Required;
    [
        (!candidate.accepts_new).then_some(Rejection::NotAccepting),
        (!candidate.lease_valid).then_some(Rejection::LeaseExpired),
        (!qualified).then_some(Rejection::NotQualified { qualification }),
        (needed > free).then_some(Rejection::NoAddresses { needed, free }),
        (!apart).then_some(Rejection::TenantPresent { instances }),
    ]
    .into_iter()
    .flatten()
}

/// What is needed and not there.  A capability that this release does not know is never there: two
/// unknown ones are not the same.
fn absent_capabilities(
    requirements: &Requirements,
    candidate: &Candidate,
) -> impl Iterator<Item = Capability> {
    requirements
        .needs
        .iter()
        .copied()
        .filter(|needed| *needed == Capability::Unknown || !candidate.capabilities.contains(needed))
}

fn image_score(requirements: &Requirements, candidate: &Candidate) -> i32 {
    let cached = requirements.image.as_ref().is_some_and(|image| candidate.cached_images.contains(image));
    if cached { IMAGE_CACHED } else { 0 }
}

/// The score without the term of the image; none when the guest does not fit.
fn score_by_load(requirements: &Requirements, candidate: &Candidate) -> Option<Score> {
    let (load, needed) = (&candidate.load, &requirements.booking);
    // Few guests ask for these: they decide whether it fits, and not where it fits best.
    for rare in [Resource::DedicatedCores, Resource::DiskReservation] {
        fraction_left(load, needed, rare)?;
    }
    let left = |guaranteed, sold| {
        let fraction = fraction_left(load, needed, guaranteed)?.min(fraction_left(load, needed, sold)?);
        Some((load.ceiling(guaranteed) > 0, fraction))
    };
    let fractions = [
        left(Resource::CpuReservation, Resource::Vcpus)?,
        left(Resource::MemoryReservation, Resource::MemorySize)?,
        left(Resource::Disk, Resource::Disk)?,
        left(Resource::NetworkInbound, Resource::NetworkOutbound)?,
    ];

    let (mut counted, mut sum, mut least, mut most) = (0, 0.0, 1.0_f64, 0.0_f64);
    for (present, fraction) in fractions {
        // What the host has none of, such as an uplink whose speed is not known, neither speaks for it
        // nor against it.
        if present {
            counted += 1;
            sum += fraction;
            least = least.min(fraction);
            most = most.max(fraction);
        }
    }
    let mean = sum / f64::from(counted.max(1));
    let stranded = (most - least).max(0.0);
    let spread = match requirements.anti_affinity {
        AntiAffinity::Preferred => {
            candidate.same_tenant_instances.min(TENANT_INSTANCES_COUNTED) as i32 * TENANT_INSTANCE
        }
        AntiAffinity::None | AntiAffinity::Required => 0,
    };
    Some(Score {
        headroom: (mean * 10_000.0) as i32,
        stranding: -(stranded * 5_000.0) as i32,
        image: 0,
        spread,
    })
}

/// What part of a resource is left once the guest is there, from 0 to 1; none when it does not fit.
#[inline]
fn fraction_left(load: &HostLoad, needed: &Booking, resource: Resource) -> Option<f64> {
    let ceiling = load.ceiling(resource);
    let (booked, needed) = (load.counted(&load.booked, resource), load.counted(needed, resource));
    match ceiling.checked_sub(booked).and_then(|free| free.checked_sub(needed)) {
        Some(left) => Some(left as f64 / ceiling.max(1) as f64),
        // Over the ceiling already; nothing more is asked.
        None if needed == 0 => Some(0.0),
        None => None,
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAccepting => f.write_str("does not accept new instances"),
            Self::LeaseExpired => f.write_str("has not reported in time"),
            Self::NotQualified { qualification } => f.write_str(match qualification {
                Qualification::Kvm => "runs guests under KVM",
                Qualification::Emulated => "runs guests by emulation only",
                Qualification::Simulated => "is simulated and runs no guests",
                Qualification::Pending => "has not been tested with a guest yet",
                Qualification::Failed => "could not run a test guest",
            }),
            Self::CapabilityAbsent { capability } => write!(f, "lacks {capability}"),
            Self::Short(shortage) => shortage.fmt(f),
            Self::NoAddresses { needed, free } => write!(f, "needs {needed} IPv4 addresses, {free} free"),
            Self::TenantPresent { instances } => write!(f, "has {instances} of the tenant's instances"),
        }
    }
}

#[cfg(test)]
mod tests;
