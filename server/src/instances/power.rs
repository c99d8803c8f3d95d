//! Starting and stopping.

use super::operations::{Kind, Operation};
use super::work::Work;
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::InstanceId;
use crate::state::App;
use jst_policy::lifecycle::{Power, Request};
use serde_json::json;

/// What can be done with the power of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerAction {
    Start,
    /// Asks the guest; one that does not follow is ended after a while.
    Shutdown,
    /// Ends the guest without asking it.
    PowerOff,
    /// Asks the guest to restart; one that does not follow is reset.
    Reboot,
}

impl PowerAction {
    const fn request(self) -> Request {
        match self {
            Self::Start => Request::Start,
            Self::Shutdown => Request::Shutdown,
            Self::PowerOff => Request::PowerOff,
            Self::Reboot => Request::Reboot,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Start => Kind::Start,
            Self::Shutdown => Kind::Shutdown,
            Self::PowerOff => Kind::PowerOff,
            Self::Reboot => Kind::Reboot,
        }
    }

    const fn event(self) -> &'static str {
        match self {
            Self::Start => "instance.start_requested",
            Self::Shutdown => "instance.shutdown_requested",
            Self::PowerOff => "instance.power_off_requested",
            Self::Reboot => "instance.reboot_requested",
        }
    }
}

pub async fn power(app: &App, actor: &Actor, id: InstanceId, action: PowerAction) -> Result<Operation> {
    let mut work = Work::begin(app, actor, id, action.request()).await?;
    match action {
        PowerAction::Start => work.instance.power = Power::Running,
        PowerAction::Shutdown | PowerAction::PowerOff => work.instance.power = Power::Stopped,
        PowerAction::Reboot => {}
    }
    let data = json!({ "name": work.instance.name });
    work.finish(action.kind(), action.event(), data).await
}
