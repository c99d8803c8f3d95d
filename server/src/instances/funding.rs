//! Can an account pay for an order?  Instances ask, billing answers: it stands above this floor, so the server hands it in when
//! it starts.

use crate::db::Tx;
use crate::error::Result;
use crate::ids::{InstanceId, PlanId, TenantId};
use async_trait::async_trait;

/// An instance that is to be sold as a version of a plan: a new one, one that changes its plan, a trial that is bought, or one
/// that comes back after its deletion.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub tenant: TenantId,
    pub instance: InstanceId,
    pub plan: PlanId,
    pub plan_version: i32,
}

#[async_trait]
pub trait Funding: Send + Sync {
    /// Refuses an order that the account cannot pay for, with figures.  Called in the order's transaction, with the account
    /// and its tenant locked, before anything of the order is written.
    async fn check(&self, tx: &mut Tx, order: &Order) -> Result<()>;
}
