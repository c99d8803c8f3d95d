//! Guests under libvirt.

use super::{Done, Event, Fault, NetworkReading, Progress, Target};
use crate::config::Config;
use crate::link::Link;
use jst_policy::converge::{Action, Observed};
use jst_protocol::report::{Applied, FailureCode, HostFacts, HostLoad, Usage};
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

pub struct Libvirt;

fn absent<T>() -> Result<T, Fault> {
    Err(Fault::passing(FailureCode::HypervisorUnavailable, "libvirt is not connected yet"))
}

impl Libvirt {
    pub async fn open(_: &Config, _: Uuid, _: Arc<Link>, _: mpsc::Sender<Event>) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self))
    }
    pub async fn observe(&self, _: &Target) -> Result<Observed, Fault> {
        absent()
    }
    pub async fn execute(&self, _: &Target, _: Action, _: Progress<'_>) -> Result<Done, Fault> {
        absent()
    }
    pub async fn applied(&self, _: &Target) -> Result<Option<Applied>, Fault> {
        absent()
    }
    pub async fn usage(&self, _: Uuid) -> Result<Option<(Usage, NetworkReading)>, Fault> {
        absent()
    }
    pub async fn list(&self) -> Result<Vec<Uuid>, Fault> {
        absent()
    }
    pub async fn facts(&self) -> anyhow::Result<HostFacts> {
        anyhow::bail!("libvirt is not connected yet")
    }
    pub async fn load(&self) -> anyhow::Result<HostLoad> {
        anyhow::bail!("libvirt is not connected yet")
    }
}
