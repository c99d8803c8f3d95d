//! The network of guests as part of what is converged: attached, read back, and attached again where
//! somebody changed it.

use super::super::{Fault, Target};
use super::{Libvirt, spec};
use crate::config::Config;
use crate::network::{Network, NetworkSettings};
use jst_policy::units::KbitPerSec;
use jst_protocol::desired::{HostSettings, InstanceSpec};
use jst_protocol::report::FailureCode;

impl Libvirt {
    /// Takes settings of the whole host.
    pub async fn adopt(&self, host: &HostSettings) {
        let before = std::mem::replace(
            &mut *self.host.lock().unwrap_or_else(|poisoned| poisoned.into_inner()),
            host.clone(),
        );
        if before != *host {
            self.follow().await;
        }
    }

    /// Sets the network up anew where something that it was opened with has changed: a setting, the
    /// device of the default route, or how fast the uplink came up.
    pub async fn follow(&self) {
        let host = self.host.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let settings = network_settings(&self.config, &host);
        let opened = async {
            if self.network().is_of(&settings).await? {
                return Ok(None);
            }
            Network::open(settings).await.map(Some)
        };
        match opened.await {
            Ok(None) => {}
            Ok(Some(network)) => {
                tracing::info!(uplink = ?network.uplink(), nat = host.nat, "the network was set up anew");
                *self.network.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = network;
                // Each instance is attached again at its next check.
                self.attachments.forget_all();
            }
            // It is tried again with the next report of the host's facts.
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the network was not set up anew");
            }
        }
    }

    pub fn network(&self) -> Network {
        self.network.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Firewalls and addresses are not read back in full, so an attachment of this generation by this
    /// process counts as well.
    pub async fn network_in_force(&self, target: &Target, spec: &InstanceSpec) -> bool {
        if !self.attachments.is_of(target.id, target.generation) {
            return false;
        }
        match self.network().read_back(target.id, &spec.policy.network).await {
            Ok(read) => {
                let cured = self.attachments.cures(target.id, &read.drift);
                if cured {
                    tracing::warn!(instance = %target.id, drift = ?read.drift, "the network was changed by hand; it is attached again");
                    self.reports.repaired(Some(target.id), read.drift);
                }
                !cured
            }
            Err(error) => {
                tracing::warn!(instance = %target.id, %error, "the network cannot be read back");
                false
            }
        }
    }

    pub async fn attach(&self, target: &Target) -> Result<(), Fault> {
        let spec = spec(target)?;
        self.network()
            .attach(target.id, &spec.interfaces, &spec.policy.network, &spec.firewall)
            .await
            .map_err(|error| network_fault(&error))?;
        let left = match self.network().read_back(target.id, &spec.policy.network).await {
            Ok(read) => read.drift,
            // The next look says more.
            Err(_) => Vec::new(),
        };
        if !left.is_empty() {
            tracing::warn!(instance = %target.id, drift = ?left, "attaching the network left differences");
        }
        self.attachments.note(target.id, target.generation, left);
        Ok(())
    }
}

pub fn network_settings(config: &Config, host: &HostSettings) -> NetworkSettings {
    NetworkSettings {
        prefix: config.network.prefix.clone(),
        uplink: config.network.uplink.clone(),
        // The operator's word at the server is what reservations are booked against.
        uplink_kbit: host.uplink_kbit.map(KbitPerSec).or(config.network.uplink_kbit),
        sysfs_root: config.sysfs_root.clone(),
        nat: config.network.nat || host.nat,
        guests_may_reach: config.network.guests_may_reach.clone(),
    }
}

pub fn network_fault(error: &anyhow::Error) -> Fault {
    Fault::passing(FailureCode::NetworkSetup, format!("{error:#}"))
}
