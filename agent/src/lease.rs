//! May this host start guests?  Only while the server has lately said so, and only after the agent
//! has read what is desired since it last could not: the server may have given an instance to
//! another host in the meantime.

use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    until: Option<Instant>,
    /// A desired state was read since the lease last began anew.
    synchronised: bool,
}

pub struct Lease {
    state: watch::Sender<State>,
}

impl Default for Lease {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }
}

impl Lease {
    pub fn valid(&self) -> bool {
        let state = *self.state.borrow();
        state.synchronised && state.until.is_some_and(|until| Instant::now() < until)
    }

    /// The server granted `duration`.  It counts from when the report was sent, because the server's
    /// own clock started no later than its answer.  Returns true when a lapsed lease began anew, and
    /// the desired state has to be read before anything starts.
    pub fn renew(&self, sent: Instant, duration: Duration) -> bool {
        let mut lapsed = false;
        self.state.send_modify(|state| {
            lapsed = state.until.is_some_and(|until| until < Instant::now());
            if lapsed {
                state.synchronised = false;
            }
            state.until = Some(sent + duration);
        });
        lapsed
    }

    /// A desired state was asked for at `asked`, and read.
    pub fn synchronise(&self) {
        self.state.send_if_modified(|state| !std::mem::replace(&mut state.synchronised, true));
    }

    /// Waits until the answer of [`Lease::valid`] may have become true.
    pub async fn changed(&self, was: bool) {
        let mut receiver = self.state.subscribe();
        while self.valid() == was {
            let until = self.state.borrow().until.filter(|_| was);
            tokio::select! {
                changed = receiver.changed() => if changed.is_err() { return },
                () = sleep_until(until) => {}
            }
        }
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_needs_a_lease_and_the_desired_state() {
        let lease = Lease::default();
        assert!(!lease.valid());
        lease.renew(Instant::now(), Duration::from_secs(30));
        assert!(!lease.valid(), "nothing was read yet");
        lease.synchronise();
        assert!(lease.valid());
    }

    #[test]
    fn a_lapsed_lease_needs_the_desired_state_again() {
        let lease = Lease::default();
        let past = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        lease.synchronise();
        lease.renew(past, Duration::from_secs(30));
        assert!(!lease.valid());
        assert!(lease.renew(Instant::now(), Duration::from_secs(30)));
        assert!(!lease.valid());
        lease.synchronise();
        assert!(lease.valid());
    }
}
