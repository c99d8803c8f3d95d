//! Reading instances: a row with what belongs to it, for pages and for the API.

use super::db;
use super::db::catalogue::ChargedPlan;
use super::model::Instance;
use super::operations::{self, Operation};
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::{InstanceId, TenantId};
use crate::images::{self, Image};
use crate::plans::{self, Plan};
use crate::state::App;
use crate::trials::db::Trial;
use crate::web::paging::{Listed, Paging};
use jst_policy::lifecycle::InstanceState;
use jst_protocol::report::Usage;
use std::collections::HashSet;
use std::net::IpAddr;
use time::OffsetDateTime;
use uuid::Uuid;

/// An instance with everything that is shown of it.
#[derive(Clone, Debug)]
pub struct View {
    pub instance: Instance,
    pub plan: Plan,
    /// The plan that is charged while the change to `plan` is not in force.
    pub charged_plan: Option<ChargedPlan>,
    pub image: Image,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Present while the instance is a trial that was not bought.
    pub trial: Option<Trial>,
    /// The newest operation that has not ended.
    pub operation: Option<Operation>,
    /// Whether the running guest was seen on the network since it started; absent while that is not known.
    pub network_seen: Option<bool>,
}

/// One row of the actor's tenant.
pub async fn get(app: &App, actor: &Actor, id: InstanceId) -> Result<Instance> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    db::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)
}

/// One instance of the actor's tenant.
pub async fn one(app: &App, actor: &Actor, id: InstanceId) -> Result<View> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let instance = db::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let views = complete(&mut tx, actor.tenant_id, vec![instance]).await?;
    views.into_iter().next().ok_or(Error::NotFound)
}

/// Instances of the actor's tenant, newest first.
pub async fn list(app: &App, actor: &Actor, paging: &Paging<InstanceId>) -> Result<Listed<View>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    list_in(&mut tx, actor, paging).await
}

/// [`list`] with as many of the newest operations of the tenant, as its first page shows them.
pub async fn overview(
    app: &App,
    actor: &Actor,
    paging: &Paging<InstanceId>,
) -> Result<(Listed<View>, Vec<Operation>)> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let list = list_in(&mut tx, actor, paging).await?;
    let newest = i64::from(paging.limit);
    Ok((list, operations::list_in(&mut tx, actor.tenant_id, None, None, newest).await?))
}

async fn list_in(tx: &mut Tx, actor: &Actor, paging: &Paging<InstanceId>) -> Result<Listed<View>> {
    let rows = db::list(tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    let views = complete(tx, actor.tenant_id, rows).await?;
    Ok(Listed::new(views, paging, |view| view.instance.id.to_string()))
}

/// The latest counters of an instance; absent until its host has reported some.
pub async fn usage(app: &App, actor: &Actor, id: InstanceId) -> Result<Option<(OffsetDateTime, Usage)>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    db::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let row = db::reports::usage(&mut tx, actor.tenant_id, id).await?;
    Ok(row.map(|row| (row.at, row.usage.0)))
}

/// What belongs to these rows, in one statement of each kind.
async fn complete(tx: &mut Tx, tenant: TenantId, rows: Vec<Instance>) -> Result<Vec<View>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let addresses = db::addresses::of(tx, &ids).await?;
    let operations = db::operations::open_of_all(tx, tenant, &ids).await?;
    let trials = crate::trials::db::of_tenant(tx, tenant).await?;
    let network = db::reports::network_seen(tx, tenant, &ids).await?;
    let plan_ids: HashSet<Uuid> = rows.iter().map(|row| row.plan_id.uuid()).collect();
    let plans = plans::db::by_ids(&mut **tx, &Vec::from_iter(plan_ids)).await?;
    let charged = db::catalogue::charged_plans(tx, tenant, &ids).await?;
    let image_ids: HashSet<Uuid> = rows.iter().map(|row| row.image_id.uuid()).collect();
    let images = images::db::by_ids(&mut **tx, &Vec::from_iter(image_ids)).await?;
    rows.into_iter()
        .map(|instance| {
            let missing = || anyhow::anyhow!("plan or image of {} is gone", instance.id);
            let plan = plans.iter().find(|plan| plan.id == instance.plan_id).cloned().ok_or_else(missing)?;
            let image =
                images.iter().find(|image| image.id == instance.image_id).cloned().ok_or_else(missing)?;
            let id = instance.id;
            Ok(View {
                charged_plan: charged.iter().find(|plan| plan.instance_id == id).cloned(),
                plan,
                image,
                addresses: addresses
                    .iter()
                    .filter(|row| row.instance_id == id)
                    .map(|row| row.address)
                    .collect(),
                trial: trials.iter().find(|trial| trial.instance_id == id).cloned(),
                network_seen: network
                    .iter()
                    .find(|row| row.instance_id == id && instance.state == InstanceState::Running)
                    .and_then(|row| row.seen),
                operation: operations.iter().rev().find(|operation| operation.instance_id == id).cloned(),
                instance,
            })
        })
        .collect()
}
