//! Consoles: a person's browser and a guest's serial port or screen, through the agent of its host.
//!
//! ```text
//!   page, API ──> open ──> row with the hash of a ticket (30 s)          agent
//!      │                                                                   │ held request for what is desired
//!      └── WebSocket, ticket first ──> claim ──> host's revision + 1 ──────┤
//!                       │                                                  │ dials out, by its certificate
//!                       └────────── meeting, in this replica ◄─────────────┘
//! ```
//!
//! The agent is told only once the ticket was shown, because only then it is known in which replica the
//! person waits; and tickets that nobody uses cost a host nothing.  The row lives as long as its replica says
//! so: what a replica that died leaves behind counts for nothing a minute later.

pub mod api;
pub mod db;
pub mod web;

use crate::auth::grant::{self, Credential};
use crate::auth::{Actor, Admin};
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::events::{self, Event, Source};
use crate::ids::{ConsoleId, HostId, InstanceId, TenantId, UserId};
use crate::instances::{self, Instance};
use crate::secrets;
use crate::state::App;
use jst_policy::lifecycle::InstanceState;
use jst_protocol::desired::{ConsoleKind, ConsoleRequest};
use serde_json::json;
use time::OffsetDateTime;

/// Of one instance: a few people look at the same screen.
pub const MOST_OF_INSTANCE: i64 = 4;
pub const MOST_OF_TENANT: i64 = 20;
/// What one host's agent carries beside its work.
pub const MOST_OF_HOST: i64 = 200;

/// How long a ticket is good for, once.
const TICKET_SECONDS: i32 = 30;
/// How long a person waits for the agent, and the agent is told about them.
pub const PATIENCE_SECONDS: i32 = 10;

pub const fn kind_word(kind: ConsoleKind) -> &'static str {
    match kind {
        ConsoleKind::Vnc => "vnc",
        ConsoleKind::Serial | ConsoleKind::Unknown => "serial",
    }
}

pub fn kind_of(word: &str) -> Result<ConsoleKind> {
    match word {
        "vnc" => Ok(ConsoleKind::Vnc),
        "serial" => Ok(ConsoleKind::Serial),
        _ => Err(Error::invalid("kind", "choice")),
    }
}

/// A console that may be opened now, by whoever has the ticket.
pub struct Opened {
    pub id: ConsoleId,
    /// Shown once; the database has its hash.
    pub ticket: String,
    pub kind: ConsoleKind,
    pub expires_at: OffsetDateTime,
}

/// By which right somebody asks, and so when the console has to end.
pub enum Right {
    /// The hash of the portal's session.
    Session(Vec<u8>),
    /// The API token of the actor.
    Token,
}

/// Gives a ticket for the console of an instance of the actor's tenant.
pub async fn open(
    app: &App,
    actor: &Actor,
    right: Right,
    id: InstanceId,
    kind: ConsoleKind,
) -> Result<Opened> {
    grant::check(actor, Credential::Console)?;
    let mut tx = app.db.tenant(actor.tenant_id).await?;
    let instance = instances::db::by_id(&mut tx, actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    // Who acts for a customer is no member, and looks as the administrator that they are.
    issue(tx, actor, right, &instance, kind, actor.acting).await
}

/// The same for any instance: an administrator's doing, which the customer sees in the log.
pub async fn open_of_any(
    app: &App,
    admin: &Admin,
    right: Right,
    id: InstanceId,
    kind: ConsoleKind,
) -> Result<Opened> {
    grant::check(&admin.0, Credential::AnyConsole)?;
    let mut tx = app.db.begin_platform().await?;
    let instance = instances::db::of_any(&mut tx, id).await?.ok_or(Error::NotFound)?;
    issue(tx, &admin.0, right, &instance, kind, true).await
}

async fn issue(
    mut tx: Tx,
    actor: &Actor,
    right: Right,
    instance: &Instance,
    kind: ConsoleKind,
    as_admin: bool,
) -> Result<Opened> {
    if instance.state != InstanceState::Running {
        return Err(Error::conflict("console-not-running"));
    }
    let open = db::count_open(&mut tx, instance).await?;
    if open.of_instance >= MOST_OF_INSTANCE {
        return Err(Error::conflict("console-too-many-of-instance").with("most", MOST_OF_INSTANCE));
    }
    if open.of_tenant >= MOST_OF_TENANT {
        return Err(Error::conflict("console-too-many-of-tenant").with("most", MOST_OF_TENANT));
    }
    if open.of_host >= MOST_OF_HOST {
        return Err(Error::conflict("console-too-many-of-host"));
    }
    let (id, ticket) = (ConsoleId::new(), secrets::random_token());
    let new = db::NewConsole {
        id,
        instance,
        user: actor.user_id,
        right: &right,
        token: actor.token,
        as_admin,
        kind,
        ticket_hash: &secrets::token_hash(&ticket),
        seconds: TICKET_SECONDS,
    };
    let expires_at = db::insert(&mut tx, new).await?;
    let event = Event {
        tenant: Some(instance.tenant_id),
        action: "instance.console_opened",
        subject_kind: "instance",
        subject_id: &instance.id.to_string(),
        data: json!({ "name": instance.name, "kind": kind_word(kind), "as_admin": as_admin }),
    };
    events::record(&mut tx, &Source::from(actor), event).await?;
    tx.commit().await?;
    Ok(Opened { id, ticket, kind, expires_at })
}

/// A console whose ticket was shown.
#[derive(Clone, Debug)]
pub struct Console {
    pub id: ConsoleId,
    pub tenant_id: TenantId,
    pub host_id: HostId,
    pub kind: ConsoleKind,
}

/// Takes a ticket, once and in time, and lets the host's agent know that somebody waits.  `by` is who is signed in
/// where the ticket came from: a ticket of the portal is good for the person who asked and for nobody else, one of the
/// API for whoever has it.  `meet` runs before the agent can hear of it.
pub async fn claim<T>(
    app: &App,
    ticket: &str,
    by: Option<UserId>,
    meet: impl FnOnce(&Console) -> T,
) -> Result<Option<(Console, T)>> {
    let mut tx = app.db.begin_platform().await?;
    let meets_at = app.config.replica_agent_url.as_deref();
    let hash = secrets::token_hash(ticket);
    let Some(console) = db::claim(&mut tx, &hash, by, meets_at).await? else { return Ok(None) };
    let met = meet(&console);
    db::wake_host(&mut tx, console.host_id).await?;
    tx.commit().await?;
    Ok(Some((console, met)))
}

/// Who waits for an agent of this host now.
pub async fn waiting(app: &App, host: HostId) -> Result<Vec<ConsoleRequest>> {
    Ok(db::waiting(app.db.platform(), host, PATIENCE_SECONDS).await?)
}

/// Why a console ends.  The names travel in the close of the WebSockets, and select `console-ended-<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The person closed it, or their connection broke.
    Left,
    /// The ticket was used already, is too old, or somebody else's.
    Ticket,
    /// The agent did not dial in time.
    HostSilent,
    /// The agent, or the guest behind it, closed it.
    GuestGone,
    /// Somebody opened the serial port anew: it has one reader.
    TakenOver,
    /// The guest takes no input.
    GuestDeaf,
    /// The browser did not read.
    TooSlow,
    Stopped,
    Rebuilt,
    /// Signed out, no longer of the team, or a lower role.
    RightsLost,
    Suspended,
    Idle,
    TooLong,
    ServerStops,
    /// Not as agreed: too large a message, or of another kind.
    Malformed,
    /// Something of ours did not work.
    Failed,
}

impl End {
    pub const ALL: [Self; 16] = [
        Self::Left,
        Self::Ticket,
        Self::HostSilent,
        Self::GuestGone,
        Self::TakenOver,
        Self::GuestDeaf,
        Self::TooSlow,
        Self::Stopped,
        Self::Rebuilt,
        Self::RightsLost,
        Self::Suspended,
        Self::Idle,
        Self::TooLong,
        Self::ServerStops,
        Self::Malformed,
        Self::Failed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Ticket => "ticket",
            Self::HostSilent => "host-silent",
            Self::GuestGone => "guest-gone",
            Self::TakenOver => "taken-over",
            Self::GuestDeaf => "guest-deaf",
            Self::TooSlow => "too-slow",
            Self::Stopped => "stopped",
            Self::Rebuilt => "rebuilt",
            Self::RightsLost => "rights-lost",
            Self::Suspended => "suspended",
            Self::Idle => "idle",
            Self::TooLong => "too-long",
            Self::ServerStops => "server-stops",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

/// Notes that the console is still open here, and says why it must not be any more.
pub async fn check(app: &App, id: ConsoleId) -> Result<Option<End>> {
    let Some(standing) = db::look(app.db.platform(), id).await? else { return Ok(Some(End::Failed)) };
    Ok(standing.end())
}

pub async fn connected(app: &App, id: ConsoleId) -> Result<()> {
    Ok(db::connected(app.db.platform(), id).await?)
}

pub async fn ended(app: &App, id: ConsoleId, end: End) -> Result<()> {
    Ok(db::ended(app.db.platform(), id, end.name()).await?)
}
