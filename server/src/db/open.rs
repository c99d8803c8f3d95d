//! Which tasks hold a transaction, in builds with debug assertions.
//!
//! A task that asks for a connection while it holds another one waits, under load, for tasks that wait for it.  That shows
//! only when all connections are in use, so the mistake itself is what is looked for: whoever makes it panics at once, and
//! the test that came by fails.  In a release nothing is noted and nothing is checked.

use std::panic::Location;

/// Notes an open transaction until it is dropped.
pub struct Open {
    #[cfg(debug_assertions)]
    task: Option<tokio::task::Id>,
}

#[cfg(debug_assertions)]
mod tasks {
    use std::collections::HashMap;
    use std::panic::Location;
    use std::sync::{LazyLock, Mutex, MutexGuard};
    use tokio::task::Id;

    /// Where each task's latest transaction was begun, and how many it holds.
    type Held = HashMap<Id, (&'static Location<'static>, u32)>;

    static HELD: LazyLock<Mutex<Held>> = LazyLock::new(Mutex::default);

    pub fn held() -> MutexGuard<'static, Held> {
        HELD.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Open {
    #[cfg(debug_assertions)]
    pub fn note(place: &'static Location<'static>) -> Self {
        // What runs outside of any task, such as a test's own body, serves nobody else.
        let task = tokio::task::try_id();
        if let Some(task) = task {
            tasks::held().entry(task).and_modify(|(_, count)| *count += 1).or_insert((place, 1));
        }
        Self { task }
    }

    #[cfg(not(debug_assertions))]
    pub fn note(_: &'static Location<'static>) -> Self {
        Self {}
    }
}

#[cfg(debug_assertions)]
impl Drop for Open {
    fn drop(&mut self) {
        let Some(task) = self.task else { return };
        let mut held = tasks::held();
        if let Some((_, count)) = held.get_mut(&task) {
            *count -= 1;
            if *count == 0 {
                held.remove(&task);
            }
        }
    }
}

/// Panics where the present task holds a transaction already.
#[cfg(debug_assertions)]
pub fn check(place: &'static Location<'static>) {
    let Some(task) = tokio::task::try_id() else { return };
    let held = tasks::held().get(&task).map(|(first, _)| *first);
    if let Some(first) = held {
        panic!("{place} asks for a second connection while the transaction begun at {first} is open");
    }
}

#[cfg(not(debug_assertions))]
pub const fn check(_: &'static Location<'static>) {}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_holds_a_transaction_gets_no_second_connection() {
        let place = Location::caller();
        let second = tokio::spawn(async move {
            let _first = Open::note(place);
            check(place);
        });
        assert!(second.await.unwrap_err().is_panic());
        let after = tokio::spawn(async move {
            drop(Open::note(place));
            check(place);
        });
        after.await.expect("the first has ended");
        let _mine = tokio::spawn(async move { std::mem::forget(Open::note(place)) }).await;
        tokio::spawn(async move { check(place) }).await.expect("it is another task's");
    }
}
