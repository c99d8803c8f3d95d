//! Operations: the jobs as customers see them.
//!
//! ```text
//!   pending ──progress──> running ──applied──> succeeded
//!      │                     ├───permanent────> failed
//!      │                     ├───deadline─────> failed (alerted; a late success still counts)
//!      └─────────────────────┴───superseded───> cancelled
//! ```
//!
//! An operation is the customer's view of a change and never its carrier: what has to be done stands in
//! the instance's row, and goes on being done whether somebody watches the operation or not.  The one
//! exception are actions that are done once (reboot, the hard power-off): open operations of these
//! kinds are the list that the host is told.

use super::db::operations as sql;
use super::model::Instance;
use crate::auth::Actor;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::ids::{InstanceId, OperationId, TenantId, UserId};
use crate::mail::{self, Mail};
use crate::state::App;
use crate::trials;
use crate::web::language::Language;
use time::OffsetDateTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Create,
    Start,
    Shutdown,
    PowerOff,
    Reboot,
    Rebuild,
    Resize,
    Rename,
    Firewall,
    Delete,
    Undelete,
    Purge,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Create,
        Self::Start,
        Self::Shutdown,
        Self::PowerOff,
        Self::Reboot,
        Self::Rebuild,
        Self::Resize,
        Self::Rename,
        Self::Firewall,
        Self::Delete,
        Self::Undelete,
        Self::Purge,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Shutdown => "shutdown",
            Self::PowerOff => "power_off",
            Self::Reboot => "reboot",
            Self::Rebuild => "rebuild",
            Self::Resize => "resize",
            Self::Rename => "rename",
            Self::Firewall => "firewall",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Purge => "purge",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Done once and reported by the operation's id.
    pub const fn is_one_shot(self) -> bool {
        matches!(self, Self::Reboot | Self::PowerOff)
    }

    /// A reboot leaves everything as it is desired.
    pub const fn changes_generation(self) -> bool {
        !matches!(self, Self::Reboot)
    }

    /// Minutes without any progress after which somebody must look.  Making a disk may mean fetching
    /// its image first; a guest gets minutes to follow a shutdown.
    pub const fn deadline_minutes(self) -> i32 {
        match self {
            Self::Create | Self::Rebuild => 10,
            Self::Shutdown | Self::Delete | Self::Purge => 5,
            Self::Start
            | Self::PowerOff
            | Self::Reboot
            | Self::Resize
            | Self::Rename
            | Self::Firewall
            | Self::Undelete => 3,
        }
    }

    /// THE rule of what a newer request makes pointless: its open operations are cancelled.
    ///
    /// - Power is one wish: start, shutdown, power-off and reboot replace each other.
    /// - A rebuild also replaces them, for the guest that they were about is gone.
    /// - Resize, rename, firewall and rebuild replace their own kind: the newest is what is desired.
    /// - Deleting replaces everything, and undoing it replaces the deletion.
    /// - Nothing but deleting replaces a creation.
    pub const fn supersedes(self) -> &'static [Self] {
        use Kind::{
            Create, Delete, Firewall, PowerOff, Purge, Reboot, Rebuild, Rename, Resize, Shutdown, Start,
            Undelete,
        };
        match self {
            Create => &[],
            Start | Shutdown | PowerOff | Reboot => &[Start, Shutdown, PowerOff, Reboot],
            Rebuild => &[Start, Shutdown, PowerOff, Reboot, Rebuild],
            Resize => &[Resize],
            Rename => &[Rename],
            Firewall => &[Firewall],
            Undelete => &[Delete],
            Delete | Purge => &[
                Create, Start, Shutdown, PowerOff, Reboot, Rebuild, Resize, Rename, Firewall, Delete,
                Undelete,
            ],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationState {
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl OperationState {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// The failure of an operation whose deadline passed.  The change may still come true, and then the
/// operation has succeeded after all.
pub const DEADLINE: &str = "deadline";
/// The failure of an operation whose guest started and crashed.
pub const GUEST_CRASHED: &str = "guest_crashed";

#[derive(Clone, Debug)]
pub struct Operation {
    pub id: OperationId,
    pub instance_id: InstanceId,
    pub instance_name: String,
    pub kind: Kind,
    pub state: OperationState,
    /// The generation whose application ends it.
    pub generation: i64,
    /// The name of a `jst_protocol::report::Step`.
    pub step: String,
    pub percent: i16,
    /// On success with something left: the fields that need a restart.
    pub restart_required: Vec<String>,
    /// On failure, or while the host tries again.
    pub failure_code: Option<String>,
    pub failure_detail: Option<String>,
    /// Who asked for it; absent when it was the platform.
    pub requested_by: Option<UserId>,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
}

impl Operation {
    pub fn is_open(&self) -> bool {
        self.state.is_open()
    }
}

pub struct NewOperation<'a> {
    /// With the generation that the operation brings about.
    pub instance: &'a Instance,
    pub kind: Kind,
    pub requested_by: Option<UserId>,
}

/// Opens an operation.
pub async fn open(tx: &mut Tx, new: NewOperation<'_>) -> Result<Operation> {
    Ok(sql::insert(tx, OperationId::new(), &new).await?)
}

/// Cancels the open operations that a new one of this kind makes pointless.
pub async fn supersede(tx: &mut Tx, instance: InstanceId, kind: Kind) -> Result<()> {
    let names: Vec<String> = kind.supersedes().iter().map(|kind| kind.name().to_owned()).collect();
    sql::cancel(tx, instance, &names).await?;
    Ok(())
}

/// One operation of the actor's tenant.
pub async fn get(app: &App, actor: &Actor, id: OperationId) -> Result<Operation> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    sql::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)
}

/// Operations of the actor's tenant, newest first: of one instance or of all, older than `before`.
pub async fn list(
    app: &App,
    actor: &Actor,
    instance: Option<InstanceId>,
    before: Option<OperationId>,
    limit: i64,
) -> Result<Vec<Operation>> {
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    Ok(list_in(&mut tx, actor.tenant_id, instance, before, limit).await?)
}

/// [`list`] in a transaction that is open already.
pub async fn list_in(
    tx: &mut Tx,
    tenant: TenantId,
    instance: Option<InstanceId>,
    before: Option<OperationId>,
    limit: i64,
) -> sqlx::Result<Vec<Operation>> {
    sql::list(tx, tenant, instance, before, limit).await
}

/// Failures that the platform knows by name.
pub const FAILURES: [&str; 15] = [
    "image_unavailable",
    "image_invalid",
    "storage_full",
    "host_memory",
    "network_setup",
    "hypervisor_unavailable",
    "hypervisor_refused",
    "guest_unresponsive",
    "guest_did_not_boot",
    "disk_never_shrinks",
    "capability_absent",
    "lease_expired",
    "deadline",
    "guest_crashed",
    "unknown",
];

/// The key of the words that say what happened and what to do.
pub fn failure_key(code: &str) -> String {
    let code = FAILURES.into_iter().find(|known| *known == code).unwrap_or("unknown");
    format!("failure-{code}")
}

/// Tells whoever asked for it, by mail, that nothing came of it.
pub async fn tell_of_failure(app: &App, tx: &mut Tx, operation: &Operation, code: &str) -> Result<()> {
    let Some(user) = operation.requested_by else { return Ok(()) };
    let Some((recipient, locale)) = sql::reader(tx, user).await? else { return Ok(()) };
    let language = Language::from_code(&locale).unwrap_or_default();
    let arguments = [
        ("operation", language.text(&format!("operation-{}", operation.kind.name()))),
        ("name", operation.instance_name.clone()),
        ("reason", language.text(&failure_key(code))),
        ("link", trials::instance_link(&app.config.public_url, operation.instance_id)),
    ];
    let mail =
        Mail { language, kind: mail::Kind::OperationFailed, recipient: &recipient, arguments: &arguments };
    mail::enqueue(app, tx, mail).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wish_replaces_older_ones_of_its_kind() {
        assert!(Kind::PowerOff.supersedes().contains(&Kind::Shutdown));
        assert!(Kind::Start.supersedes().contains(&Kind::PowerOff));
        assert!(!Kind::Start.supersedes().contains(&Kind::Create));
        assert!(!Kind::Resize.supersedes().contains(&Kind::Start));
        for kind in Kind::ALL {
            assert_eq!(kind.supersedes().contains(&Kind::Create), matches!(kind, Kind::Delete | Kind::Purge));
            assert!(!kind.supersedes().contains(&Kind::Purge), "{kind:?}");
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
    }
}
