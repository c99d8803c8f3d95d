//! Reading instances.

use super::db;
use super::model::Instance;
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::ids::InstanceId;
use crate::state::App;

/// One instance of the actor's tenant.
pub async fn get(app: &App, actor: &Actor, id: InstanceId) -> Result<Instance> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    db::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)
}
