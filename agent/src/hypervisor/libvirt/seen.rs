//! Limits that were seen in force, to tell what somebody changed by hand from what changed with the
//! guest's neighbours.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard};
use uuid::Uuid;

pub struct Seen<T> {
    what: &'static str,
    limits: Mutex<HashMap<Uuid, T>>,
}

impl<T: PartialEq + Debug> Seen<T> {
    pub fn new(what: &'static str) -> Self {
        Self { what, limits: Mutex::default() }
    }

    /// Notes whether the wanted limits were found in force, and gives it back.
    pub fn judge(&self, id: Uuid, wanted: T, found: impl Debug, in_force: bool) -> bool {
        let mut limits = self.lock();
        if in_force {
            limits.insert(id, wanted);
        } else if limits.remove(&id).is_some_and(|seen| seen == wanted) {
            tracing::warn!(instance = %id, ?wanted, ?found, "limits of the {} were changed by hand; they are set again", self.what);
        }
        in_force
    }

    pub fn forget(&self, id: Uuid) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, T>> {
        self.limits.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
