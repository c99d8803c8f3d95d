//! What a host's agent tells about the host itself.

use super::db;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::{HostId, InstanceId};
use crate::set_aside::{self, Item, Kind};
use crate::state::App;
use jst_protocol::LEASE_SECONDS;
use jst_protocol::report::{HostFacts, HostLoad, Qualification, Repair};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Figures of [`HostFacts`] as the columns hold them.
pub struct Measured {
    pub cpu_millicpu: i64,
    pub memory_mib: i64,
    pub storage_mib: i64,
    /// 0: unknown, and then no plan with guaranteed bandwidth fits.
    pub uplink_kbit: i64,
    /// 0: unknown, and then no plan with guaranteed operations fits.
    pub disk_iops: i64,
}

impl Measured {
    fn of(facts: &HostFacts) -> Self {
        let column = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        Self {
            cpu_millicpu: i64::from(facts.cpus) * 1000,
            memory_mib: column(facts.memory_mib),
            storage_mib: column(facts.storage_mib),
            uplink_kbit: column(facts.uplink_kbit),
            disk_iops: column(facts.disk_iops),
        }
    }
}

/// Notes a sign of life and renews the lease, after what the report says was taken or set aside.
///
/// The lease ends by the database's clock `LEASE_SECONDS` after this; the agent counts the same
/// seconds from when it sent the report, which is earlier, so that it stops before the server
/// would think so.
pub async fn renew_lease(app: &App, host: HostId, revision: i64, load: Option<&HostLoad>) -> Result<()> {
    let renewed = db::renew_lease(app.db.platform(), host, revision, load, LEASE_SECONDS as f64).await;
    match renewed.map_err(Error::from) {
        // The lease is more than a figure on a page.
        Err(error) if load.is_some() && !error.is_outage() => {
            tracing::warn!(%host, error = ?error, "the load of this host was not stored");
            Ok(db::renew_lease(app.db.platform(), host, revision, None, LEASE_SECONDS as f64).await?)
        }
        renewed => renewed,
    }
}

/// Takes what the host is; false: it was refused and set aside.
pub async fn take_facts(app: &App, host: HostId, name: &str, facts: &Value) -> Result<bool> {
    let taken = match HostFacts::deserialize(facts) {
        Ok(facts) => set_aside::caught(store_facts(app, host, name, &facts)).await,
        Err(error) => Err(Error::Internal(error.into())),
    };
    match taken {
        Ok(()) => {
            set_aside::settled(app, Kind::HostFacts, &[host.to_string()]).await?;
            Ok(true)
        }
        Err(error) if error.is_outage() => Err(error),
        Err(error) => {
            let item = Item::new(Kind::HostFacts, host).host(host).document(facts.to_string());
            set_aside::note(app, &item, &error).await?;
            Ok(false)
        }
    }
}

async fn store_facts(app: &App, host: HostId, name: &str, facts: &HostFacts) -> Result<()> {
    let document = serde_json::to_value(facts).map_err(anyhow::Error::from)?;
    let qualification = qualification(&facts.qualification);
    let mut tx = app.db.begin_platform().await?;
    let Some((was, old)) = db::facts_for_update(&mut tx, host).await? else {
        return Ok(());
    };
    if old.as_ref() == Some(&document) {
        return Ok(());
    }
    let measured = Measured::of(facts);
    db::write_facts(&mut tx, host, &document, qualification, &facts.capabilities, &measured).await?;
    let event = Event {
        tenant: None,
        action: "host.facts_reported",
        subject_kind: "host",
        subject_id: &host.to_string(),
        data: json!({
            "qualification": { "from": was, "to": qualification },
            "agent_version": facts.agent_version,
            "cpus": facts.cpus,
            "memory_mib": facts.memory_mib,
            "storage_mib": facts.storage_mib,
            "capabilities": facts.capabilities,
        }),
    };
    events::record(&mut tx, &Source::host(host.uuid(), name), event).await?;
    tx.commit().await?;
    Ok(())
}

/// Puts into the log what somebody had changed by hand.  Customers do not read it: their limits hold, and who
/// works on the host is not their business.  One that cannot be recorded is set aside, where it is kept as well.
pub async fn record_repairs(app: &App, host: HostId, name: &str, repairs: &[Value]) -> Result<()> {
    for told in repairs {
        let recorded = match Repair::deserialize(told) {
            Ok(repair) => record_repair(app, host, name, &repair).await,
            Err(error) => Err(Error::Internal(error.into())),
        };
        if let Err(error) = recorded {
            if error.is_outage() {
                return Err(error);
            }
            // A repair that is no document has no id of its own.
            let id = told.get("id").and_then(Value::as_str).filter(|id| id.len() <= 36);
            let subject = id.map_or_else(|| host.to_string(), str::to_owned);
            let item = Item::new(Kind::Repair, subject).host(host).document(told.to_string());
            set_aside::note(app, &item, &error).await?;
        }
    }
    Ok(())
}

async fn record_repair(app: &App, host: HostId, name: &str, repair: &Repair) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    // A report that is sent again while the first is taken waits here, and then finds it recorded.
    db::lock(&mut tx, host).await?;
    let key = format!("repair/{}", repair.id);
    if db::is_recorded(&mut tx, &key).await? {
        return Ok(());
    }
    let subject = match repair.instance.map(InstanceId::from_uuid) {
        None => ("host", "host.repaired", host.to_string()),
        Some(id) if db::has_instance(&mut tx, host, id).await? => {
            ("instance", "instance.repaired", id.to_string())
        }
        // It has gone elsewhere meanwhile, or never was this host's.
        Some(_) => return Ok(()),
    };
    let (subject_kind, action, subject_id) = subject;
    let at = OffsetDateTime::from_unix_timestamp(repair.at_unix).ok().and_then(|at| at.format(&Rfc3339).ok());
    let data = json!({ "fields": repair.fields.join(", "), "at": at });
    let event = Event { tenant: None, action, subject_kind, subject_id: &subject_id, data };
    let source = Source { request_key: Some(key), ..Source::host(host.uuid(), name) };
    events::record(&mut tx, &source, event).await?;
    tx.commit().await?;
    Ok(())
}

/// The column's word.  A status that this release does not know proves nothing: the host waits.
const fn qualification(qualification: &Qualification) -> &'static str {
    match qualification {
        Qualification::Kvm { .. } => "kvm",
        Qualification::Emulated { .. } => "emulated",
        Qualification::Simulated => "simulated",
        Qualification::Failed { .. } => "failed",
        Qualification::Pending | Qualification::Unknown => "pending",
    }
}
