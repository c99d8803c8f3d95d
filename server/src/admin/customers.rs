//! What administrators do to tenants and people.

use super::db::customers::{self as db, Customer};
use crate::accounts::credentials;
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, FieldError, Result};
use crate::events::{self, Event};
use crate::ids::{TenantId, UserId};
use crate::state::App;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How much a tenant may have, and whether it may have more than a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    #[schema(example = 10)]
    pub quota_instances: i32,
    #[schema(example = 40)]
    pub quota_vcpus: i32,
    #[schema(example = 81920)]
    pub quota_memory_mib: i64,
    #[schema(example = 1048576)]
    pub quota_disk_mib: i64,
    /// May start instances of plans that are not trials.
    pub may_buy: bool,
    /// What the customer paid may raise these quotas, by the steps of the billing settings.
    #[serde(default = "grows")]
    #[schema(default = true)]
    pub quota_grows: bool,
}

const fn grows() -> bool {
    true
}

impl From<&Customer> for Quotas {
    fn from(customer: &Customer) -> Self {
        Self {
            quota_instances: customer.quota_instances,
            quota_vcpus: customer.quota_vcpus,
            quota_memory_mib: customer.quota_memory_mib,
            quota_disk_mib: customer.quota_disk_mib,
            may_buy: customer.may_buy,
            quota_grows: customer.quota_grows,
        }
    }
}

impl Quotas {
    fn problems(&self) -> Vec<FieldError> {
        [
            ("quota_instances", self.quota_instances.into(), 100_000),
            ("quota_vcpus", self.quota_vcpus.into(), 1_000_000),
            ("quota_memory_mib", self.quota_memory_mib, 1 << 40),
            ("quota_disk_mib", self.quota_disk_mib, 1 << 44),
        ]
        .into_iter()
        .filter(|(_, value, most)| !(0..=*most).contains(value))
        .map(|(field, _, most)| FieldError::new(field, "range").with("min", 0).with("max", most))
        .collect()
    }
}

/// A quota below what the tenant has already takes nothing away; it only refuses more.
pub async fn set_quotas(app: &App, actor: &Actor, id: TenantId, wanted: &Quotas) -> Result<()> {
    let problems = wanted.problems();
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx, id).await?;
    let customer = db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    let document = |quotas: &Quotas| serde_json::to_value(quotas).map_err(anyhow::Error::from);
    let changes = events::changes(&document(&Quotas::from(&customer))?, &document(wanted)?);
    if changes.is_empty() {
        return Ok(());
    }
    db::set_quotas(&mut tx, id, wanted).await?;
    record(&mut tx, actor, "tenant.quotas_changed", id, changes.into()).await?;
    tx.commit().await?;
    Ok(())
}

/// A suspended tenant sees what it has and changes nothing.
pub async fn set_suspended(app: &App, actor: &Actor, id: TenantId, suspended: bool) -> Result<()> {
    if suspended && id == actor.tenant_id && !actor.acting {
        return Err(Error::conflict("own-tenant"));
    }
    let mut tx = app.db.begin_platform().await?;
    db::lock(&mut tx, id).await?;
    db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    if db::set_suspended(&mut tx, id, suspended).await? {
        let action = if suspended { "tenant.suspended" } else { "tenant.unsuspended" };
        record(&mut tx, actor, action, id, json!({})).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The entry of an administrator who is about to act for a tenant; the tenant sees it as well.
pub async fn note_acting(app: &App, actor: &Actor, id: TenantId) -> Result<()> {
    let mut tx = app.db.begin_platform().await?;
    db::by_id(&mut *tx, id).await?.ok_or(Error::NotFound)?;
    record(&mut tx, actor, "tenant.acted_for", id, json!({})).await?;
    tx.commit().await?;
    Ok(())
}

/// Who is disabled is signed out everywhere, and their tokens, links and invitations end, also for when they are enabled
/// again; their tenants stay.
pub async fn set_disabled(app: &App, actor: &Actor, user: UserId, disabled: bool) -> Result<()> {
    if disabled && user == actor.user_id {
        return Err(Error::conflict("own-account"));
    }
    let mut tx = app.db.begin_platform().await?;
    let email = db::email(&mut *tx, user).await?.ok_or(Error::NotFound)?;
    if db::set_disabled(&mut tx, user, disabled).await? {
        if disabled {
            credentials::end_all(&mut tx, user, &actor.into()).await?;
        }
        let subject_id = user.to_string();
        let event = Event {
            tenant: None,
            action: if disabled { "account.disabled" } else { "account.enabled" },
            subject_kind: "user",
            subject_id: &subject_id,
            data: json!({ "email": email }),
        };
        events::record(&mut tx, &actor.into(), event).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn record(tx: &mut Tx, actor: &Actor, action: &'static str, id: TenantId, data: Value) -> Result<()> {
    let subject_id = id.to_string();
    let event = Event { tenant: Some(id), action, subject_kind: "tenant", subject_id: &subject_id, data };
    Ok(events::record(tx, &actor.into(), event).await?)
}
