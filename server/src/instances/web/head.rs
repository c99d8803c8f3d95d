//! What stands above every page of one instance: name, state, addresses, and what can be done now.

use super::words::{OperationWords, state_look, state_word};
use crate::instances::model::Instance;
use crate::instances::view::View;
use crate::name;
use crate::web::page::Page;
use jst_policy::lifecycle::{InstanceState, Request};

/// One button.
pub struct Button {
    pub action: String,
    pub key: &'static str,
    pub look: &'static str,
    pub icon: &'static str,
}

pub struct Head {
    pub path: String,
    pub name: String,
    /// What is typed before something is destroyed: the name, or the end of the id where the name cannot be typed.
    pub confirmation: String,
    pub look: &'static str,
    pub state: String,
    pub plan: String,
    pub addresses: Vec<String>,
    pub buttons: Vec<Button>,
    /// In the menu behind the others.
    pub more: Vec<Button>,
    pub operation: Option<OperationWords>,
    /// `overview`, `graphs`, `console`, `networking`, `settings`, `history`.
    pub tab: &'static str,
    /// The reader may change things.
    pub operates: bool,
    pub deleting: bool,
    pub failed: bool,
}

impl Head {
    pub fn new(page: &Page, view: &View, tab: &'static str) -> Self {
        let instance = &view.instance;
        let path = format!("/instances/{}", instance.id);
        let operates = page.user.as_ref().is_some_and(|user| user.may_operate);
        let state = instance.state;
        let button =
            |name: &str, key, look, icon| Button { action: format!("{path}/{name}"), key, look, icon };
        let may = |request| operates && state.allows(request);
        let locked = instance.lock_reason.is_some();
        let mut buttons = Vec::new();
        let mut more = Vec::new();
        if may(Request::Start) && !locked {
            buttons.push(button("start", "instance-start", "primary", "play"));
        }
        if may(Request::Reboot) {
            buttons.push(button("reboot", "instance-reboot", "secondary", "rotate-ccw"));
        }
        if may(Request::Shutdown) {
            buttons.push(button("shutdown", "instance-shutdown", "secondary", "power"));
        }
        if may(Request::PowerOff) {
            more.push(button("power-off", "instance-power-off", "quiet", "zap"));
        }
        if operates && state == InstanceState::Failed {
            buttons.push(button("retry", "instance-retry", "primary", "refresh-cw"));
        }
        if may(Request::Undelete) && instance.tombstone_at.is_none() {
            buttons.push(button("undelete", "instance-undelete", "primary", "undo-2"));
        }
        Self {
            name: instance.name.clone(),
            confirmation: confirmation(instance),
            look: state_look(state),
            state: state_word(page, state),
            plan: view.plan.name(page.language).to_owned(),
            addresses: view.addresses.iter().map(ToString::to_string).collect(),
            buttons,
            more,
            operation: view.operation.as_ref().map(|operation| OperationWords::of(page, operation)),
            tab,
            operates,
            deleting: instance.deleted_at.is_some(),
            failed: state == InstanceState::Failed,
            path,
        }
    }
}

pub fn confirmation(instance: &Instance) -> String {
    if name::can_be_typed(&instance.name) { instance.name.clone() } else { instance.id.short() }
}

/// Whether what was typed names the instance, in whatever spelling of its name.
pub fn is_confirmed(instance: &Instance, typed: &str) -> bool {
    name::same(&confirmation(instance), typed) || instance.id.short() == crate::typed::plain(typed)
}
