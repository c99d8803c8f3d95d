//! Reading instances: a row with what belongs to it, for pages and for the API.

use super::db;
use super::model::Instance;
use super::operations::Operation;
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::{InstanceId, TenantId};
use crate::images::{self, Image};
use crate::plans::{self, Plan};
use crate::settings::{self, Settings};
use crate::state::App;
use crate::trials::db::Trial;
use crate::web::paging::{Listed, Paging};
use jst_protocol::report::Usage;
use std::collections::HashMap;
use std::net::IpAddr;
use time::OffsetDateTime;
use uuid::Uuid;

/// An instance with everything that is shown of it.
#[derive(Clone, Debug)]
pub struct View {
    pub instance: Instance,
    pub plan: Plan,
    pub image: Image,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Present while the instance is a trial that was not bought.
    pub trial: Option<Trial>,
    /// The newest operation that has not ended.
    pub operation: Option<Operation>,
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
    let settings = settings::get(&mut *tx).await?;
    let views = complete(&mut tx, actor.tenant_id, &settings, vec![instance]).await?;
    views.into_iter().next().ok_or(Error::NotFound)
}

/// Instances of the actor's tenant, newest first.
pub async fn list(app: &App, actor: &Actor, paging: &Paging<InstanceId>) -> Result<Listed<View>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let rows = db::list(&mut tx, actor.tenant_id, paging.after, paging.fetch()).await?;
    let settings = settings::get(&mut *tx).await?;
    let views = complete(&mut tx, actor.tenant_id, &settings, rows).await?;
    Ok(Listed::new(views, paging, |view| view.instance.id.to_string()))
}

/// The latest counters of an instance; absent until its host has reported some.
pub async fn usage(app: &App, actor: &Actor, id: InstanceId) -> Result<Option<(OffsetDateTime, Usage)>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    db::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let row = db::reports::usage(&mut tx, actor.tenant_id, id).await?;
    Ok(row.map(|row| (row.at, row.usage.0)))
}

async fn complete(
    tx: &mut Tx,
    tenant: TenantId,
    settings: &Settings,
    rows: Vec<Instance>,
) -> Result<Vec<View>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.uuid()).collect();
    let addresses = db::addresses::of(tx, &ids).await?;
    let operations = db::operations::open_of_all(tx, tenant, &ids).await?;
    let keep_days = i32::try_from(settings.trial_keep_days).unwrap_or(i32::MAX);
    let trials = crate::trials::db::of_tenant(tx, tenant, keep_days).await?;
    let mut plans: HashMap<Uuid, Plan> = HashMap::new();
    let mut images: HashMap<Uuid, Image> = HashMap::new();
    for row in &rows {
        if !plans.contains_key(&row.plan_id.uuid())
            && let Some(plan) = plans::db::by_id(&mut **tx, row.plan_id).await?
        {
            plans.insert(row.plan_id.uuid(), plan);
        }
        if !images.contains_key(&row.image_id.uuid())
            && let Some(image) = images::db::by_id(&mut **tx, row.image_id).await?
        {
            images.insert(row.image_id.uuid(), image);
        }
    }
    rows.into_iter()
        .map(|instance| {
            let missing = || anyhow::anyhow!("plan or image of {} is gone", instance.id);
            let plan = plans.get(&instance.plan_id.uuid()).cloned().ok_or_else(missing)?;
            let image = images.get(&instance.image_id.uuid()).cloned().ok_or_else(missing)?;
            let id = instance.id;
            Ok(View {
                plan,
                image,
                addresses: addresses
                    .iter()
                    .filter(|row| row.instance_id == id)
                    .map(|row| row.address)
                    .collect(),
                trial: trials.iter().find(|trial| trial.instance_id == id).cloned(),
                operation: operations.iter().rev().find(|operation| operation.instance_id == id).cloned(),
                instance,
            })
        })
        .collect()
}
