//! The states of an instance and which requests each of them allows.
//!
//! ```text
//!                 +-- rebuild --+-----------+
//!                 v             |           |
//!  create -> provisioning -> running <-> stopped
//!                 |             |  ^        |
//!                 v             v  |        |
//!               failed        crashed       |      (start: back to running; power off: to
//!                 |             |           |       stopped; rebuild: to provisioning)
//!                 +--- delete --+-----------+--> deleting -> deleted
//!                                                  (grace period: undo returns to stopped)
//! ```
//!
//! The state is what people see.  It is derived from what is desired and what was observed
//! ([`InstanceState::derive`]); agents never send it.  There is no state for a wish on its way, such as
//! "stopping": the instance runs until it does not, and the operation shows the progress.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What the customer wants the instance to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    Running,
    Stopped,
}

/// What is known of the build of the root disk that is desired; a rebuild starts a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Build {
    /// Not reported as done yet.
    Pending,
    /// Reported as done at least once; whatever happens later, it is not pending again.
    Done,
    /// Reported as impossible, for good.
    Failed,
}

/// What the host said last about the instance's domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// Nothing yet, or nothing that is still true: the host is silent or the instance has moved.
    Unknown,
    /// There is no domain.
    Absent,
    Stopped,
    /// A domain that is paused for a moment, as by migration, counts as running.
    Running,
    /// Stopped by a failure of the guest or of its process.
    Crashed,
}

/// How far a deletion has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletion {
    NotRequested,
    /// The grace period runs, or the host has not yet acknowledged that everything is removed.
    Requested,
    /// The host has acknowledged.
    Acknowledged,
}

/// What people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Its disk is being made.
    Provisioning,
    Running,
    /// Switched off by its owner, from outside or from inside.
    Stopped,
    /// Desired to run, and stopped by a failure.
    Crashed,
    /// Its disk could not be made.
    Failed,
    /// Stopped and to be removed; until it is, this can be undone.
    Deleting,
    /// Nothing of it is left on any host.
    Deleted,
}

/// What may be asked of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    Start,
    /// Asks the guest to stop.
    Shutdown,
    /// Stops it without asking.
    PowerOff,
    Reboot,
    /// Makes the root disk anew from an image; what is on it is lost.
    Rebuild,
    /// Changes the resource policy.
    Resize,
    Rename,
    Delete,
    Undelete,
}

impl InstanceState {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 7] = [
        Self::Provisioning,
        Self::Running,
        Self::Stopped,
        Self::Crashed,
        Self::Failed,
        Self::Deleting,
        Self::Deleted,
    ];

    /// The state, from what is desired and what was observed.  Deletion hides everything else, and an
    /// unfinished build hides what the domain does.
    ///
    /// - A guest that shut itself down is stopped and not crashed, though it is desired to run: that
    ///   was its owner's doing.
    /// - A crash that nobody waits for any more, because the guest is desired to be stopped, is over.
    /// - While the host is silent, the guest is taken to do what it was told: a host that cannot be
    ///   reached is no reason to frighten the customer, and its own page shows the silence.
    pub const fn derive(power: Power, build: Build, observed: Observation, deletion: Deletion) -> Self {
        match (deletion, build, observed) {
            (Deletion::Acknowledged, _, _) => Self::Deleted,
            (Deletion::Requested, _, _) => Self::Deleting,
            (Deletion::NotRequested, Build::Failed, _) => Self::Failed,
            (Deletion::NotRequested, Build::Pending, _) => Self::Provisioning,
            (Deletion::NotRequested, Build::Done, Observation::Running) => Self::Running,
            (Deletion::NotRequested, Build::Done, Observation::Absent | Observation::Stopped) => {
                Self::Stopped
            }
            (Deletion::NotRequested, Build::Done, Observation::Crashed) => match power {
                Power::Running => Self::Crashed,
                Power::Stopped => Self::Stopped,
            },
            (Deletion::NotRequested, Build::Done, Observation::Unknown) => match power {
                Power::Running => Self::Running,
                Power::Stopped => Self::Stopped,
            },
        }
    }

    /// What may be asked of an instance in this state, in the order of [`Request::ALL`]:
    ///
    /// | state        | start | shutdown | power off | reboot | rebuild | resize | rename | delete | undelete |
    /// | ---          | ---   | ---      | ---       | ---    | ---     | ---    | ---    | ---    | ---      |
    /// | provisioning |       |          |           |        |         |        | yes    | yes    |          |
    /// | running      |       | yes      | yes       | yes    | yes     | yes    | yes    | yes    |          |
    /// | stopped      | yes   |          |           |        | yes     | yes    | yes    | yes    |          |
    /// | crashed      | yes   |          | yes       |        | yes     | yes    | yes    | yes    |          |
    /// | failed       |       |          |           |        |         |        | yes    | yes    |          |
    /// | deleting     |       |          |           |        |         |        |        |        | yes      |
    /// | deleted      |       |          |           |        |         |        |        |        |          |
    ///
    /// A rebuild destroys what is on the disk, running or not: whoever asks for it has confirmed that.
    /// Powering off a crashed instance ends the attempts to restart it.
    pub const fn allowed(self) -> &'static [Request] {
        use Request::{Delete, PowerOff, Reboot, Rebuild, Rename, Resize, Shutdown, Start, Undelete};
        match self {
            Self::Provisioning | Self::Failed => &[Rename, Delete],
            Self::Running => &[Shutdown, PowerOff, Reboot, Rebuild, Resize, Rename, Delete],
            Self::Stopped => &[Start, Rebuild, Resize, Rename, Delete],
            Self::Crashed => &[Start, PowerOff, Rebuild, Resize, Rename, Delete],
            Self::Deleting => &[Undelete],
            Self::Deleted => &[],
        }
    }

    /// Whether the request makes sense in this state, by the table of [`InstanceState::allowed`].
    pub fn allows(self, request: Request) -> bool {
        self.allowed().contains(&request)
    }

    /// As [`InstanceState::allows`], for callers that refuse.
    pub fn check(self, request: Request) -> Result<(), NotAllowed> {
        if self.allows(request) { Ok(()) } else { Err(NotAllowed { state: self, request }) }
    }

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

impl Request {
    /// Every request, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::Shutdown,
        Self::PowerOff,
        Self::Reboot,
        Self::Rebuild,
        Self::Resize,
        Self::Rename,
        Self::Delete,
        Self::Undelete,
    ];

    /// The name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Shutdown => "shutdown",
            Self::PowerOff => "power_off",
            Self::Reboot => "reboot",
            Self::Rebuild => "rebuild",
            Self::Resize => "resize",
            Self::Rename => "rename",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The instance's state does not allow what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{request} is not possible while the instance is {state}")]
pub struct NotAllowed {
    pub state: InstanceState,
    pub request: Request,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are states and columns requests, in the order of their `ALL`.
    const TABLE: [&str; 7] = [
        // start shutdown power-off reboot rebuild resize rename delete undelete
        ". . . . . . x x .", // provisioning
        ". x x x x x x x .", // running
        "x . . . x x x x .", // stopped
        "x . x . x x x x .", // crashed
        ". . . . . . x x .", // failed
        ". . . . . . . . x", // deleting
        ". . . . . . . . .", // deleted
    ];

    #[test]
    fn each_state_allows_exactly_what_the_table_says() {
        for (state, row) in InstanceState::ALL.into_iter().zip(TABLE) {
            let row: Vec<bool> = row.split(' ').map(|mark| mark == "x").collect();
            assert_eq!(row.len(), Request::ALL.len());
            for (request, allowed) in Request::ALL.into_iter().zip(row) {
                assert_eq!(state.allows(request), allowed, "{request} while {state}");
                let expected = if allowed { Ok(()) } else { Err(NotAllowed { state, request }) };
                assert_eq!(state.check(request), expected);
            }
        }
    }

    #[test]
    fn the_lists_are_complete_and_named_as_on_the_wire() {
        let mut states: Vec<usize> = InstanceState::ALL.iter().map(|state| *state as usize).collect();
        states.dedup();
        assert_eq!(states, [0, 1, 2, 3, 4, 5, 6]);
        for state in InstanceState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for (index, request) in Request::ALL.into_iter().enumerate() {
            assert_eq!(request as usize, index);
            assert_eq!(serde_json::to_value(request).unwrap(), request.name());
        }
    }

    const POWERS: [Power; 2] = [Power::Running, Power::Stopped];
    const BUILDS: [Build; 3] = [Build::Pending, Build::Done, Build::Failed];
    const OBSERVATIONS: [Observation; 5] = [
        Observation::Unknown,
        Observation::Absent,
        Observation::Stopped,
        Observation::Running,
        Observation::Crashed,
    ];

    #[test]
    fn deletion_hides_everything_and_an_unfinished_build_the_domain() {
        for (power, build, observed) in POWERS.into_iter().flat_map(|power| {
            BUILDS.into_iter().flat_map(move |build| OBSERVATIONS.map(|observed| (power, build, observed)))
        }) {
            let derive = |deletion| InstanceState::derive(power, build, observed, deletion);
            assert_eq!(derive(Deletion::Acknowledged), InstanceState::Deleted);
            assert_eq!(derive(Deletion::Requested), InstanceState::Deleting);
            match build {
                Build::Pending => assert_eq!(derive(Deletion::NotRequested), InstanceState::Provisioning),
                Build::Failed => assert_eq!(derive(Deletion::NotRequested), InstanceState::Failed),
                // The next test.
                Build::Done => {}
            }
        }
    }

    #[test]
    fn a_built_instance_shows_what_its_domain_does() {
        use InstanceState::{Crashed, Running, Stopped};
        // In the order of OBSERVATIONS.
        let expected = [
            (Power::Running, [Running, Stopped, Stopped, Running, Crashed]),
            (Power::Stopped, [Stopped, Stopped, Stopped, Running, Stopped]),
        ];
        for (power, states) in expected {
            for (observed, state) in OBSERVATIONS.into_iter().zip(states) {
                let derived = InstanceState::derive(power, Build::Done, observed, Deletion::NotRequested);
                assert_eq!(derived, state, "{observed:?}, to be {power:?}");
            }
        }
    }

    #[test]
    fn whatever_an_instance_does_its_owner_can_get_rid_of_it() {
        for state in InstanceState::ALL {
            let gone = matches!(state, InstanceState::Deleting | InstanceState::Deleted);
            assert_eq!(state.allows(Request::Delete), !gone);
        }
    }

    #[test]
    fn a_refusal_reads_as_plain_words() {
        assert_eq!(
            InstanceState::Deleting.check(Request::Start).unwrap_err().to_string(),
            "start is not possible while the instance is deleting"
        );
    }
}
