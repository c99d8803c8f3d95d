//! Takes a report of a host, part by part.
//!
//! Nothing that one part says keeps the others from being taken: what cannot be read or stored is set aside for the operator and
//! named in the receipt, and the lease is renewed all the same.  Only while the database itself is away is there no receipt, and
//! then neither side counts on a new lease.

use crate::error::{Error, Result};
use crate::hosts;
use crate::ids::{HostId, InstanceId};
use crate::instances::reports;
use crate::set_aside::{self, Item, Kind};
use crate::state::App;
use jst_protocol::LEASE_SECONDS;
use jst_protocol::report::{HostLoad, InstanceReport, Receipt, RefusalReason, RefusedReport};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// A report whose parts are read one by one.
#[derive(Deserialize)]
pub struct Incoming {
    revision: i64,
    #[serde(default)]
    host: Option<Value>,
    #[serde(default)]
    load: Option<Value>,
    #[serde(default)]
    instances: Vec<Value>,
    #[serde(default)]
    repairs: Vec<Value>,
}

pub async fn take(app: &App, host: HostId, name: &str, report: Incoming) -> Result<Receipt> {
    let facts_refused = match &report.host {
        Some(facts) => !hosts::report::take_facts(app, host, name, facts).await?,
        None => false,
    };
    hosts::report::record_repairs(app, host, name, &report.repairs).await?;
    let (readable, mut refused) = read(app, host, report.instances).await?;
    refused.extend(reports::apply(app, host, &readable).await?);
    let load = report.load.and_then(|load| serde_json::from_value::<HostLoad>(load).ok());
    hosts::report::renew_lease(app, host, report.revision, load.as_ref()).await?;
    Ok(Receipt { lease_seconds: LEASE_SECONDS, refused, facts_refused })
}

/// Tells apart what can be read and what cannot, which is set aside where it names an instance.
async fn read(
    app: &App,
    host: HostId,
    told: Vec<Value>,
) -> Result<(Vec<InstanceReport>, Vec<RefusedReport>)> {
    let (mut readable, mut refused) = (Vec::with_capacity(told.len()), Vec::new());
    for report in told {
        let error = match InstanceReport::deserialize(&report) {
            Ok(report) => {
                readable.push(report);
                continue;
            }
            Err(error) => Error::Internal(error.into()),
        };
        let id = report.get("id").and_then(Value::as_str).and_then(|id| id.parse::<Uuid>().ok());
        if let Some(instance) = id {
            let item = Item::new(Kind::Report, instance).host(host).instance(InstanceId::from_uuid(instance));
            set_aside::note(app, &item.document(report.to_string()), &error).await?;
            refused.push(RefusedReport { instance, reason: RefusalReason::SetAside });
        } else {
            tracing::error!(%host, ?error, "a report names no instance and cannot be read");
        }
    }
    Ok((readable, refused))
}
