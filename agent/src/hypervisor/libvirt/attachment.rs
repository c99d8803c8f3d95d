//! Whose network this process has attached, and what attaching did not cure.
//!
//! ```text
//!   unknown --attach--> attached, with what still differs --something else differs--> attach again
//! ```
//!
//! What differs after an attachment is reported as drift and not attached for again: it would differ
//! after every look.  What differs since then was changed by somebody, and is repaired.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

#[derive(Default)]
pub struct Attachments(Mutex<HashMap<Uuid, Attachment>>);

struct Attachment {
    generation: i64,
    /// Fields that differed right after it.
    incurable: Vec<String>,
}

impl Attachments {
    pub fn note(&self, id: Uuid, generation: i64, incurable: Vec<String>) {
        self.lock().insert(id, Attachment { generation, incurable });
    }

    pub fn forget(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    pub fn forget_all(&self) {
        self.lock().clear();
    }

    /// Whether this process has attached what is desired now.
    pub fn is_of(&self, id: Uuid, generation: i64) -> bool {
        self.lock().get(&id).is_some_and(|attachment| attachment.generation == generation)
    }

    /// Whether attaching again can cure any of what differs.
    pub fn cures(&self, id: Uuid, drift: &[String]) -> bool {
        let attachments = self.lock();
        let incurable = attachments.get(&id).map_or(&[][..], |attachment| &attachment.incurable);
        drift.iter().any(|field| !incurable.contains(field))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Attachment>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_attaching_left_is_not_attached_for_again() {
        let attachments = Attachments::default();
        let id = Uuid::from_u128(1);
        let drift = |fields: &[&str]| fields.iter().map(|&field| field.to_owned()).collect::<Vec<_>>();
        assert!(!attachments.is_of(id, 1));
        attachments.note(id, 1, drift(&["network.inbound.shares"]));
        assert!(attachments.is_of(id, 1) && !attachments.is_of(id, 2));
        assert!(!attachments.cures(id, &[]));
        assert!(!attachments.cures(id, &drift(&["network.inbound.shares"])));
        assert!(attachments.cures(id, &drift(&["network.inbound.shares", "firewall"])));
        // Once it is cured, the same change is repaired as often as it is made.
        attachments.note(id, 1, drift(&[]));
        assert!(attachments.cures(id, &drift(&["firewall"])));
        attachments.forget(id);
        assert!(!attachments.is_of(id, 1));
    }
}
