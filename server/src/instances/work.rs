//! The frame of every change: lock, check, change, write, tell.

use super::db;
use super::model::Instance;
use super::operations::{self, Kind, NewOperation, Operation};
use super::state;
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::{InstanceId, UserId};
use crate::state::App;
use jst_policy::lifecycle::Request;
use serde_json::Value;

/// A change of one instance that is under way.  Dropping it changes nothing.
pub struct Work {
    pub tx: Tx,
    /// As it should become; written by [`Work::finish`].
    pub instance: Instance,
    pub source: Source,
    pub requested_by: Option<UserId>,
}

impl Work {
    /// Locks an instance of the actor's tenant and checks that the request makes sense now.
    pub async fn begin(app: &App, actor: &Actor, id: InstanceId, request: Request) -> Result<Self> {
        let work = Self::open(app, actor, id).await?;
        state::check(&work.instance, request)?;
        Ok(work)
    }

    /// [`Work::begin`] for what costs money: locks the account and the tenant's row too, which come first.
    pub async fn begin_order(app: &App, actor: &Actor, id: InstanceId, request: Request) -> Result<Self> {
        actor.may_operate()?;
        let mut tx = app.db.tenant(actor.tenant_id).await?;
        let tenant = db::catalogue::lock_tenant(&mut tx, actor.tenant_id).await?;
        let instance = db::lock(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
        state::check(&instance, request)?;
        if tenant.suspended {
            return Err(Error::refused("tenant-suspended"));
        }
        Ok(Self::created(tx, instance, actor))
    }

    /// Locks an instance of the actor's tenant.
    pub async fn open(app: &App, actor: &Actor, id: InstanceId) -> Result<Self> {
        actor.may_operate()?;
        let mut tx = app.db.tenant(actor.tenant_id).await?;
        let instance = db::lock(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
        Ok(Self { tx, instance, source: actor.into(), requested_by: Some(actor.user_id) })
    }

    /// Locks an instance for the platform itself; absent when it is gone.
    pub async fn system(app: &App, id: InstanceId, label: &str) -> Result<Option<Self>> {
        let mut tx = app.db.begin_platform().await?;
        let instance = db::lock_any(&mut tx, id).await?;
        Ok(instance.map(|instance| Self { tx, instance, source: Source::system(label), requested_by: None }))
    }

    /// A new instance in the transaction that has just written and booked it.
    pub fn created(tx: Tx, instance: Instance, actor: &Actor) -> Self {
        Self { tx, instance, source: actor.into(), requested_by: Some(actor.user_id) }
    }

    /// Opens the operation of a row that was written, booked and put at a new revision already.
    pub async fn write_first(&mut self, kind: Kind, action: &'static str, data: Value) -> Result<Operation> {
        let new = NewOperation { instance: &self.instance, kind, requested_by: self.requested_by };
        let operation = operations::open(&mut self.tx, new).await?;
        self.record(action, data).await?;
        Ok(operation)
    }

    /// Writes the change as a new generation, replaces operations that it makes pointless, opens its
    /// own, and records the event; all or nothing.
    pub async fn finish(mut self, kind: Kind, action: &'static str, data: Value) -> Result<Operation> {
        let operation = self.write(kind, action, data).await?;
        self.tx.commit().await?;
        Ok(operation)
    }

    /// [`Work::finish`] without the commit, for a caller that has more to write.
    pub async fn write(&mut self, kind: Kind, action: &'static str, data: Value) -> Result<Operation> {
        operations::supersede(&mut self.tx, self.instance.id, kind).await?;
        if kind.changes_generation() {
            self.instance.generation += 1;
        }
        let operation = operations::open(
            &mut self.tx,
            NewOperation { instance: &self.instance, kind, requested_by: self.requested_by },
        )
        .await?;
        self.save().await?;
        self.record(action, data).await?;
        Ok(operation)
    }

    /// Writes the desired state and wakes the host.
    pub async fn save(&mut self) -> Result<()> {
        self.instance.state = state::derive(&self.instance);
        self.instance.revision = db::save_desired(&mut self.tx, &self.instance).await?;
        Ok(())
    }

    pub async fn record(&mut self, action: &'static str, data: Value) -> Result<()> {
        let event = Event {
            tenant: Some(self.instance.tenant_id),
            action,
            subject_kind: "instance",
            subject_id: &self.instance.id.to_string(),
            data,
        };
        events::record(&mut self.tx, &self.source, event).await?;
        Ok(())
    }
}
