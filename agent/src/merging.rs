//! Page merging (KSM) on this host: reads how it stands, asks `jst_policy::merging`, and sets what differs.
//!
//! ```text
//!             the operator allows it          does not any more           all separated, and no
//!   hands off ----------------------> claimed -----------------> separating ------------------> hands off
//!                                        ^    the operator allows it |      mergeable guest runs
//!                                        +---------------------------+
//! ```
//!
//! What the kernel was set to before is kept in a file for as long as it is ours, and then put back: the
//! host's own programs may have their pages merged by somebody else, and that is none of our business, for no
//! guest's can be merged with them then.  While it is ours, whatever is changed by hand is set again.
//!
//! Whether a guest's pages may be merged is decided when its process starts, so that a guest keeps that
//! until its next start.  One that started while it was allowed is searched as long as anybody lets the
//! kernel search; therefore separating ends with the last such guest and not before.

use crate::config::Config;
use crate::durable;
use crate::hypervisor::Hypervisor;
use crate::ledger::Ledger;
use crate::reports::Reports;
use anyhow::{Context as _, bail};
use jst_policy::memory::{Host, Marks};
use jst_policy::merging::{Run, Scan, Standing, step};
use jst_policy::placement::Capability;
use jst_policy::units::MiB;
use jst_protocol::desired::HostSettings;
use jst_protocol::report::{AbsentCapability, HostFacts};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Of x86: 4 KiB.
const PAGES_PER_MIB: u64 = 256;

pub struct Merger {
    /// The kernel's directory.
    kernel: PathBuf,
    /// What the kernel was set to before it was ours; it is ours while the file exists.
    claim: PathBuf,
    /// What was set last, to tell what somebody changed by hand.
    set: Mutex<Option<Scan>>,
    reports: Arc<Reports>,
}

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    scan: Scan,
    /// Rounded up: 0 only when nothing is merged.
    saved: MiB,
}

impl Merger {
    pub fn new(config: &Config, reports: Arc<Reports>) -> Arc<Self> {
        Arc::new(Self {
            kernel: config.machine_sysfs().join("kernel/mm/ksm"),
            claim: config.data_dir.join("page-merging"),
            set: Mutex::default(),
            reports,
        })
    }

    /// Takes the server's setting before any guest is started by it.  That merging is to end is left to the
    /// next step, for it may take a while.
    pub fn adopt(&self, host: &HostSettings) {
        if host.page_merging
            && self.usable().is_ok()
            && let Err(error) = self.claim()
        {
            tracing::error!(error = format!("{error:#}"), "page merging cannot be taken over");
        }
    }

    /// Adds to what the host can do, or to what it lacks.
    pub fn add_to(&self, facts: &mut HostFacts, allowed: bool) {
        let capability = Capability::KsmOptIn.name().to_owned();
        let present = if allowed { self.usable() } else { Err("the operator has not allowed it".to_owned()) };
        match present {
            Ok(()) => facts.capabilities.push(capability),
            Err(reason) => facts.absent.push(AbsentCapability { capability, reason }),
        }
    }

    fn usable(&self) -> Result<(), String> {
        let run = self.kernel.join("run");
        match fs::OpenOptions::new().write(true).open(&run) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the kernel does not merge pages: {}: {error}", run.display())),
        }
    }

    fn is_claimed(&self) -> bool {
        self.claim.exists()
    }

    fn claim(&self) -> anyhow::Result<()> {
        if self.is_claimed() {
            return Ok(());
        }
        let Scan { run, pages, sleep_milliseconds, skips } = self.read()?.scan;
        let adviser = self.adviser().unwrap_or_default();
        let before =
            format!("{} {pages} {sleep_milliseconds} {} {adviser}\n", run.number(), u64::from(skips));
        durable::replace(&self.claim, before.as_bytes())
            .with_context(|| format!("cannot write {}", self.claim.display()))
    }

    /// Puts back what was there before, and lets go.
    fn release(&self) -> anyhow::Result<()> {
        let before = fs::read_to_string(&self.claim)?;
        let numbers: Vec<u64> =
            before.split_whitespace().take(4).filter_map(|number| number.parse().ok()).collect();
        if let &[run, pages, sleep_milliseconds, skips] = numbers.as_slice()
            && let Some(run) = Run::from_number(run)
        {
            self.write(self.read()?.scan, Scan { run, pages, sleep_milliseconds, skips: skips > 0 })?;
            // Last, because it keeps the figures to itself from then on.
            if let Some(adviser) = before.split_whitespace().nth(4).filter(|adviser| *adviser != "none") {
                self.put("advisor_mode", adviser)?;
            }
        } else {
            tracing::warn!(
                file = %self.claim.display(),
                "how the kernel merged pages before cannot be read; it is left as it is"
            );
        }
        durable::remove(&self.claim)?;
        *self.set() = None;
        tracing::info!(
            "pages of guests are not merged any more; the kernel's settings are what they were before"
        );
        Ok(())
    }

    /// One step; what merged pages save now.  Blocks, for as long as the kernel takes to separate pages.
    ///
    /// `mergeable` tells whether a guest runs that was started while merging was allowed.
    fn step(&self, allowed: bool, memory: Host, total: MiB, mergeable: bool) -> anyhow::Result<MiB> {
        if allowed {
            if self.usable().is_err() {
                // Told as an absent capability.
                return Ok(MiB::ZERO);
            }
            self.claim()?;
        } else if !self.is_claimed() {
            return Ok(MiB::ZERO);
        }
        let found = self.read()?;
        if !allowed && found.saved == MiB::ZERO && found.scan.run != Run::Merge && !mergeable {
            self.release()?;
            return Ok(MiB::ZERO);
        }
        let wanted = step(&Standing { allowed, memory, total, saved: found.saved, run: found.scan.run });
        let before = self.set().replace(wanted);
        if let Some(before) = before
            && before != found.scan
        {
            tracing::warn!(found = ?found.scan, set = ?before, "page merging was changed by hand; it is set again");
            self.reports.repaired(None, vec!["memory.merging".to_owned()]);
        }
        if let Err(error) = self.write(found.scan, wanted) {
            *self.set() = None;
            return Err(error);
        }
        if before.map(|before| before.run) != Some(wanted.run) {
            tracing::info!(run = ?wanted.run, pages = wanted.pages, saved = found.saved.get(), "page merging");
        }
        // Separated pages save nothing any more.
        Ok(if wanted.run == Run::Separate { self.read()?.saved } else { found.saved })
    }

    fn read(&self) -> anyhow::Result<Found> {
        let run = self.figure("run")?;
        let run =
            Run::from_number(run).with_context(|| format!("what {run} means in {}", self.file("run")))?;
        let scan = Scan {
            run,
            pages: self.figure("pages_to_scan")?,
            sleep_milliseconds: self.figure("sleep_millisecs")?,
            // Older kernels have no such file, and leave none out.
            skips: self.figure("smart_scan").is_ok_and(|skips| skips > 0),
        };
        // Pages of zeros are counted apart, where the kernel merges them at all.
        let pages = self.figure("pages_sharing")? + self.figure("ksm_zero_pages").unwrap_or(0);
        Ok(Found { scan, saved: MiB(pages.div_ceil(PAGES_PER_MIB)) })
    }

    /// Writes what differs, and reads it back.
    fn write(&self, found: Scan, wanted: Scan) -> anyhow::Result<()> {
        if found == wanted {
            return Ok(());
        }
        // The kernel's own adviser (Linux 6.7) keeps the figures to itself while it is on.
        if self.adviser().is_some_and(|adviser| adviser != "none") {
            self.put("advisor_mode", "none")?;
        }
        if found.pages != wanted.pages {
            self.put("pages_to_scan", &wanted.pages.to_string())?;
        }
        if found.sleep_milliseconds != wanted.sleep_milliseconds {
            self.put("sleep_millisecs", &wanted.sleep_milliseconds.to_string())?;
        }
        if found.skips != wanted.skips {
            self.put("smart_scan", if wanted.skips { "1" } else { "0" })?;
        }
        if found.run != wanted.run {
            self.put("run", &wanted.run.number().to_string())?;
        }
        let back = self.read()?.scan;
        if back != wanted {
            bail!("{wanted:?} was written to {}, and {back:?} is read back", self.kernel.display());
        }
        Ok(())
    }

    /// The chosen one of `none [scan-time]`; absent on older kernels.
    fn adviser(&self) -> Option<String> {
        let text = fs::read_to_string(self.kernel.join("advisor_mode")).ok()?;
        text.split_whitespace().find_map(|word| Some(word.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
    }

    fn figure(&self, name: &str) -> anyhow::Result<u64> {
        let text = fs::read_to_string(self.kernel.join(name)).with_context(|| self.file(name))?;
        text.trim().parse().with_context(|| format!("{}: {text:?} is no number", self.file(name)))
    }

    fn put(&self, name: &str, value: &str) -> anyhow::Result<()> {
        fs::write(self.kernel.join(name), value)
            .with_context(|| format!("cannot write {value} to {}", self.file(name)))
    }

    fn file(&self, name: &str) -> String {
        self.kernel.join(name).display().to_string()
    }

    fn set(&self) -> std::sync::MutexGuard<'_, Option<Scan>> {
        self.set.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Takes a step every `period`, for ever, and tells what merged pages save.
pub async fn keep(
    merger: Arc<Merger>,
    hypervisor: Hypervisor,
    ledger: Arc<Ledger>,
    period: Duration,
    saved: watch::Sender<MiB>,
) {
    let mut told = String::new();
    loop {
        match take_step(&merger, &hypervisor, &ledger).await {
            Ok(now) => {
                told.clear();
                saved.send_replace(now);
            }
            Err(error) => {
                let error = format!("{error:#}");
                // Once, and not every few seconds.
                if told != error {
                    tracing::warn!(error, "page merging cannot be set; it is tried again");
                    told = error;
                }
            }
        }
        tokio::time::sleep(period).await;
    }
}

async fn take_step(merger: &Arc<Merger>, hypervisor: &Hypervisor, ledger: &Ledger) -> anyhow::Result<MiB> {
    let settings = ledger.host();
    let allowed = settings.page_merging;
    if !allowed && !merger.is_claimed() {
        return Ok(MiB::ZERO);
    }
    let (total, available) = hypervisor.host_memory();
    if total == MiB::ZERO {
        bail!("the host's memory cannot be read");
    }
    let memory =
        Host { available, overdrawn: MiB::ZERO, marks: Marks::of(total, MiB(settings.system_memory_mib)) };
    let mergeable = !allowed && hypervisor.guest_memory().await?.iter().any(|guest| guest.mergeable);
    let merger = merger.clone();
    tokio::task::spawn_blocking(move || merger.step(allowed, memory, total, mergeable)).await?
}

#[cfg(test)]
mod tests;
