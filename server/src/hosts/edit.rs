//! What an operator decides about a host.

use super::{Host, HostState, db};
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event};
use crate::ids::HostId;
use crate::state::App;
use jst_policy::power::Saving;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Changes to a host; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostChange {
    /// `active` takes new guests, `draining` keeps what it has, `disabled` refuses the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<HostState>,
    /// Memory kept from guests, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_memory_mib: Option<i64>,
    /// What the uplink carries, in kbit/s; 0 goes back to what the agent measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink_kbit: Option<i64>,
    /// Sold vCPUs over cores, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overcommit_cpu_permille: Option<i64>,
    /// Sold memory over memory, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overcommit_memory_permille: Option<i64>,
    /// Sold disk over disk, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overcommit_storage_permille: Option<i64>,
    /// Guests reach the world through the host's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<bool>,
    /// Equal pages of guests' memory are merged when memory gets short, whoever the guests belong to: guests may find out by the time
    /// of their writes what others have in theirs. Guests that run take it, or lose it, with their next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_merging: Option<bool>,
    /// `off`; `governor`: processors run slower while there is little to do; `park`: and some are taken offline meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "governor")]
    pub power_saving: Option<Saving>,
}

/// A hundredfold is beyond any sane ratio and within every product.
const MAX_PERMILLE: i64 = 100_000;
const MAX_MEMORY_MIB: i64 = 64 << 20;
const MAX_UPLINK_KBIT: i64 = 1_000_000_000;

impl HostChange {
    fn problems(&self) -> Vec<FieldError> {
        let mut problems: Vec<FieldError> = [
            ("system_memory_mib", self.system_memory_mib, 0, MAX_MEMORY_MIB),
            ("uplink_kbit", self.uplink_kbit, 0, MAX_UPLINK_KBIT),
            ("overcommit_cpu_permille", self.overcommit_cpu_permille, 1000, MAX_PERMILLE),
            ("overcommit_memory_permille", self.overcommit_memory_permille, 1000, MAX_PERMILLE),
            ("overcommit_storage_permille", self.overcommit_storage_permille, 1000, MAX_PERMILLE),
        ]
        .into_iter()
        .filter(|(_, value, min, max)| value.is_some_and(|value| !(*min..=*max).contains(&value)))
        .map(|(field, _, min, max)| FieldError::new(field, "range").with("min", min).with("max", max))
        .collect();
        if self.power_saving == Some(Saving::Unknown) {
            problems.push(FieldError::new("power_saving", "choice"));
        }
        problems
    }
}

/// What a host has after a change.
pub struct Decided {
    pub state: HostState,
    pub system_memory_mib: i64,
    pub uplink_kbit: Option<i64>,
    pub overcommit_cpu_permille: i64,
    pub overcommit_memory_permille: i64,
    pub overcommit_storage_permille: i64,
    pub nat: bool,
    pub page_merging: bool,
    pub power_saving: Saving,
}

impl Decided {
    fn of(host: &Host) -> Self {
        Self {
            state: host.state,
            system_memory_mib: host.system_memory_mib,
            uplink_kbit: host.uplink_kbit,
            overcommit_cpu_permille: host.overcommit.cpu_permille.into(),
            overcommit_memory_permille: host.overcommit.memory_permille.into(),
            overcommit_storage_permille: host.overcommit.disk_permille.into(),
            nat: host.nat,
            page_merging: host.page_merging,
            power_saving: host.power_saving,
        }
    }

    fn with(&self, change: &HostChange) -> Self {
        Self {
            state: change.state.unwrap_or(self.state),
            system_memory_mib: change.system_memory_mib.unwrap_or(self.system_memory_mib),
            uplink_kbit: match change.uplink_kbit {
                None => self.uplink_kbit,
                Some(kbit) => Some(kbit).filter(|kbit| *kbit > 0),
            },
            overcommit_cpu_permille: change.overcommit_cpu_permille.unwrap_or(self.overcommit_cpu_permille),
            overcommit_memory_permille: change
                .overcommit_memory_permille
                .unwrap_or(self.overcommit_memory_permille),
            overcommit_storage_permille: change
                .overcommit_storage_permille
                .unwrap_or(self.overcommit_storage_permille),
            nat: change.nat.unwrap_or(self.nat),
            page_merging: change.page_merging.unwrap_or(self.page_merging),
            power_saving: change.power_saving.unwrap_or(self.power_saving),
        }
    }

    fn document(&self) -> Value {
        json!({
            "state": self.state.as_str(),
            "system_memory_mib": self.system_memory_mib,
            "uplink_kbit": self.uplink_kbit,
            "overcommit_cpu_permille": self.overcommit_cpu_permille,
            "overcommit_memory_permille": self.overcommit_memory_permille,
            "overcommit_storage_permille": self.overcommit_storage_permille,
            "nat": self.nat,
            "page_merging": self.page_merging,
            "power_saving": self.power_saving.name(),
        })
    }
}

/// Lowering a ratio below what is sold already is allowed: the host then takes nothing more, and what
/// it has stays.
pub async fn update(app: &App, actor: &Actor, id: HostId, change: &HostChange) -> Result<Host> {
    let problems = change.problems();
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let mut tx = app.db.begin_platform().await?;
    db::facts_for_update(&mut tx, id).await?;
    let host = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    let before = Decided::of(&host);
    let after = before.with(change);
    let changes = events::changes(&before.document(), &after.document());
    if changes.is_empty() {
        return Ok(host);
    }
    // What stands in the agent's document wakes the agent.
    let tells_agent = before.nat != after.nat
        || before.page_merging != after.page_merging
        || before.power_saving != after.power_saving
        || before.system_memory_mib != after.system_memory_mib
        || before.uplink_kbit != after.uplink_kbit;
    db::write_decided(&mut tx, id, &after, tells_agent).await?;
    record(&mut tx, actor, "host.updated", id, changes.into()).await?;
    let host = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    tx.commit().await?;
    Ok(host)
}

/// Revokes one certificate, or all when no serial is named.  The agent's next request is refused, and
/// to come back it joins anew.
pub async fn revoke(app: &App, actor: &Actor, id: HostId, serial: Option<&str>) -> Result<u64> {
    let mut tx = app.db.begin_platform().await?;
    db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    let revoked = db::revoke_certificates(&mut tx, id, serial).await?;
    if revoked == 0 && serial.is_some() {
        return Err(Error::NotFound);
    }
    if revoked > 0 {
        let data = json!({ "serial": serial, "revoked": revoked });
        record(&mut tx, actor, "host.certificates_revoked", id, data).await?;
    }
    tx.commit().await?;
    Ok(revoked)
}

async fn record(tx: &mut Tx, actor: &Actor, action: &'static str, id: HostId, data: Value) -> Result<()> {
    let subject_id = id.to_string();
    let event = Event { tenant: None, action, subject_kind: "host", subject_id: &subject_id, data };
    Ok(events::record(tx, &actor.into(), event).await?)
}
