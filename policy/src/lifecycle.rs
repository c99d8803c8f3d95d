//! The states of an instance and which requests each of them allows.
//!
//! ```text
//!                 +----------- rebuild ------------+
//!                 v                                |
//!  create -> provisioning -> running <-> stopped --+
//!                 |             |  ^        |
//!                 v             v  |        |
//!               failed        crashed       |
//!                 |             |           |
//!                 +--- delete --+-----------+--> deleting -> deleted
//!                                                  (grace period: undo returns to stopped)
//! ```
//!
//! The state is what people see.  It is derived from what is desired and what was observed; agents
//! never send it.

use serde::{Deserialize, Serialize};

/// What the customer wants the instance to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    Running,
    Stopped,
}

/// What people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    Provisioning,
    Running,
    Stopped,
    Crashed,
    Failed,
    Deleting,
    Deleted,
}

/// What may be asked of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Start,
    Shutdown,
    PowerOff,
    Reboot,
    Rebuild,
    Resize,
    Rename,
    Delete,
    Undelete,
}
