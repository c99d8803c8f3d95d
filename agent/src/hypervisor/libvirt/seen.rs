//! Limits that were seen in force, to tell what somebody changed by hand from what changed with the
//! guest's neighbours.

use crate::reports::Reports;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard};
use uuid::Uuid;

pub struct Seen<T> {
    /// The part of the policy that they are of.
    field: &'static str,
    reports: Arc<Reports>,
    limits: Mutex<HashMap<Uuid, T>>,
}

impl<T: PartialEq + Debug> Seen<T> {
    pub fn new(field: &'static str, reports: &Arc<Reports>) -> Self {
        Self { field, reports: reports.clone(), limits: Mutex::default() }
    }

    /// Notes whether the wanted limits were found in force, and gives it back.
    pub fn judge(&self, id: Uuid, wanted: T, found: impl Debug, in_force: bool) -> bool {
        let mut limits = self.lock();
        if in_force {
            limits.insert(id, wanted);
        } else if limits.remove(&id).is_some_and(|seen| seen == wanted) {
            tracing::warn!(instance = %id, ?wanted, ?found, "{} was changed by hand; it is set again", self.field);
            self.reports.repaired(Some(id), vec![self.field.to_owned()]);
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
