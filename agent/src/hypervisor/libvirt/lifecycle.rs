//! A domain's power, and its end.  Each call is fine when its work was done already.

use super::conn::{QUICK, SLOW};
use super::{Libvirt, error};
use crate::config::Timing;
use crate::hypervisor::Fault;
use jst_protocol::report::FailureCode;
use std::time::{Duration, Instant};
use uuid::Uuid;
use virt::sys;

/// A guest is asked to stop or restart again and again: while it boots it does not hear it, and a libvirt
/// that died has forgotten it.
const REPEAT: Duration = Duration::from_secs(5);

impl Libvirt {
    pub(super) async fn undefine(&self, id: Uuid) -> Result<(), Fault> {
        self.conn
            .domain(id, "undefine", QUICK, |domain| {
                domain.undefine_flags(
                    sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                        | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                        | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
                        | sys::VIR_DOMAIN_UNDEFINE_NVRAM,
                )
            })
            .await
            .map(drop)
    }

    /// Starts the guest without letting it run yet.
    pub(super) async fn start_paused(&self, id: Uuid) -> Result<(), Fault> {
        let started = self
            .conn
            .domain(id, "start", SLOW, |domain| {
                match domain.create_with_flags(virt::sys::VIR_DOMAIN_START_PAUSED) {
                    Err(error) if error::is_wrong_state(&error) && domain.is_active()? => Ok(()),
                    result => result,
                }
            })
            .await?;
        started
            .ok_or_else(|| Fault::passing(FailureCode::HypervisorRefused, "start: the domain is not defined"))
    }

    async fn is_active(&self, id: Uuid) -> Result<bool, Fault> {
        Ok(self.conn.domain(id, "state", QUICK, |domain| domain.is_active()).await?.unwrap_or(false))
    }

    pub(super) async fn shutdown(&self, id: Uuid) -> Result<(), Fault> {
        let deadline = Instant::now() + Timing::of(self.config.timing.shutdown);
        let mut ask_at = Instant::now();
        while self.is_active(id).await? {
            if Instant::now() >= deadline {
                tracing::warn!(instance = %id, "the guest did not power off in time; destroyed");
                return self.destroy(id).await;
            }
            if Instant::now() >= ask_at {
                ask_at = Instant::now() + REPEAT;
                let asked = self.conn.domain(id, "shut down", QUICK, |domain| {
                    domain.shutdown_flags(sys::VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
                });
                if let Err(fault) = asked.await {
                    tracing::debug!(instance = %id, %fault, "asking for power-off");
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    pub(super) async fn destroy(&self, id: Uuid) -> Result<(), Fault> {
        self.conn
            .domain(id, "destroy", SLOW, |domain| match domain.destroy() {
                Err(error) if error::is_wrong_state(&error) => Ok(()),
                result => result,
            })
            .await
            .map(drop)
    }

    pub(super) async fn reboot(&self, id: Uuid) -> Result<(), Fault> {
        let before = self.conn.reboots(id);
        let deadline = Instant::now() + Timing::of(self.config.timing.reboot);
        let mut ask_at = Instant::now();
        while Instant::now() < deadline {
            if Instant::now() >= ask_at {
                ask_at = Instant::now() + REPEAT;
                self.quick(id, "reboot", |domain| domain.reboot(sys::VIR_DOMAIN_REBOOT_ACPI_POWER_BTN))
                    .await?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            // A guest that powers off instead is started by the next plan.
            if self.conn.reboots(id) > before || !self.is_active(id).await? {
                return Ok(());
            }
        }
        tracing::warn!(instance = %id, "the guest did not restart in time; reset");
        self.quick(id, "reset", |domain| domain.reset()).await
    }
}
