//! States, steps and failures as words.
//!
//! Every key that is put together here is checked for every value and both languages by the test below.

use crate::instances::operations::{Kind, Operation, OperationState, failure_key};
use crate::web::page::Page;
use jst_policy::lifecycle::InstanceState;

/// The look of a state: see `ui::state`.
pub const fn state_look(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Provisioning => "working",
        InstanceState::Running => "running",
        InstanceState::Stopped | InstanceState::Deleted => "stopped",
        InstanceState::Crashed => "failed",
        InstanceState::Failed => "failed",
        InstanceState::Deleting => "attention",
    }
}

pub fn state_word(page: &Page, state: InstanceState) -> String {
    page.t(&format!("instance-state-{}", state.name()))
}

pub fn kind_word(page: &Page, kind: Kind) -> String {
    page.t(&format!("operation-{}", kind.name()))
}

pub const fn operation_look(state: OperationState) -> &'static str {
    match state {
        OperationState::Pending | OperationState::Running => "working",
        OperationState::Succeeded => "running",
        OperationState::Failed => "failed",
        OperationState::Cancelled => "stopped",
    }
}

/// Steps that the platform knows by name; a newer agent's are told as 'working'.
const STEPS: [&str; 9] = [
    "queued",
    "fetching_image",
    "creating_volume",
    "configuring",
    "starting",
    "booting",
    "stopping",
    "resizing",
    "deleting",
];

pub fn step_word(page: &Page, step: &str) -> String {
    let step = STEPS.into_iter().find(|known| *known == step).unwrap_or("configuring");
    page.t(&format!("step-{step}"))
}

/// What happened and what to do.
pub fn failure_words(page: &Page, code: &str) -> String {
    page.t(&failure_key(code))
}

/// An operation as pages show it.
pub struct OperationWords {
    /// `Reboot`
    pub what: String,
    pub look: &'static str,
    /// `Copying the image`, `Done`, `Failed`.
    pub how: String,
    /// Present while a step runs that is measured.
    pub percent: Option<i16>,
    /// Why it failed, or why it takes longer; "" for none.
    pub trouble: String,
    pub open: bool,
    pub instance_id: String,
    pub instance_name: String,
    pub at: time::OffsetDateTime,
}

impl OperationWords {
    pub fn of(page: &Page, operation: &Operation) -> Self {
        let open = operation.is_open();
        let how = match operation.state {
            OperationState::Pending | OperationState::Running => step_word(page, &operation.step),
            state => page.t(&format!("operation-state-{}", state.name())),
        };
        let trouble = match (&operation.failure_code, open) {
            (Some(code), false) => failure_words(page, code),
            (Some(code), true) => {
                format!("{} {}", page.t("operation-trying-again"), failure_words(page, code))
            }
            (None, _) => String::new(),
        };
        Self {
            what: kind_word(page, operation.kind),
            look: operation_look(operation.state),
            how,
            percent: (open && operation.percent > 0).then_some(operation.percent),
            trouble,
            open,
            instance_id: operation.instance_id.to_string(),
            instance_name: operation.instance_name.clone(),
            at: operation.created_at,
        }
    }
}

/// A field of the policy as people call it: `memory.size` is the memory.
pub fn field_word(page: &Page, field: &str) -> String {
    let resource = ["cpu", "memory", "disk", "network.inbound", "network.outbound"]
        .into_iter()
        .find(|resource| field.starts_with(resource));
    match (resource, field) {
        (_, "cpu.vcpus") => page.t("field-vcpus"),
        (_, "memory.size") => page.t("field-memory-size"),
        (_, "disk.size") => page.t("field-disk-size"),
        (Some("cpu"), _) => page.t("field-cpu"),
        (Some("memory"), _) => page.t("field-memory"),
        (Some("disk"), _) => page.t("field-disk"),
        (Some("network.inbound"), _) => page.t("field-network-in"),
        (Some("network.outbound"), _) => page.t("field-network-out"),
        _ => field.to_owned(),
    }
}

/// Several fields as one phrase, each thing once.
pub fn fields_words<'a>(page: &Page, fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut words: Vec<String> = Vec::new();
    for field in fields {
        let word = field_word(page, field);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(&page.t("list-separator"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instances::operations;
    use crate::web::language::Language;

    #[test]
    fn everything_has_a_word_in_both_languages() {
        let mut keys = Vec::new();
        keys.extend(InstanceState::ALL.map(|state| format!("instance-state-{}", state.name())));
        keys.extend(Kind::ALL.map(|kind| format!("operation-{}", kind.name())));
        keys.extend(STEPS.map(|step| format!("step-{step}")));
        keys.extend(operations::FAILURES.map(|code| format!("failure-{code}")));
        keys.extend(
            OperationState::ALL
                .into_iter()
                .filter(|state| !state.is_open())
                .map(|state| format!("operation-state-{}", state.name())),
        );
        for language in Language::ALL {
            for key in &keys {
                assert!(language.has(key), "{} {key}", language.code());
            }
        }
    }
}
