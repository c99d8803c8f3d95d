//! Where a person and an agent meet: in this process, because both hold a socket of it.

use crate::ids::{ConsoleId, HostId};
use crate::web::client::ClientNetwork;
use axum::extract::ws::WebSocket;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

/// Sockets of people in this process, with a ticket or still without.
const MOST_SOCKETS: usize = 2000;
/// Sockets of one network that have shown no ticket yet: strangers must not take the places of everybody.
const MOST_OF_STRANGER: usize = 16;

/// Who waits here for which host's agent.
#[derive(Clone)]
pub struct Meeting {
    waiting: Arc<Mutex<HashMap<Uuid, Waiting>>>,
    places: Arc<Semaphore>,
    strangers: Arc<Mutex<HashMap<Option<ClientNetwork>, usize>>>,
}

struct Waiting {
    host: HostId,
    agent: oneshot::Sender<WebSocket>,
}

impl Default for Meeting {
    fn default() -> Self {
        Self {
            waiting: Arc::default(),
            places: Arc::new(Semaphore::new(MOST_SOCKETS)),
            strangers: Arc::default(),
        }
    }
}

impl Meeting {
    /// A place for a socket, and that of somebody at this address who has yet to show a ticket; none when all are
    /// taken.
    pub fn place(&self, address: Option<IpAddr>) -> Option<(OwnedSemaphorePermit, Stranger)> {
        let address = address.map(ClientNetwork::of);
        let place = self.places.clone().try_acquire_owned().ok()?;
        let mut strangers = lock(&self.strangers);
        let count = strangers.entry(address).or_default();
        if *count >= MOST_OF_STRANGER {
            return None;
        }
        *count += 1;
        Some((place, Stranger { strangers: self.strangers.clone(), address }))
    }

    /// Waits for the agent of `host`; forgotten when it is dropped.
    pub fn wait(&self, id: ConsoleId, host: HostId) -> Seat {
        let (agent, arrival) = oneshot::channel();
        self.lock().insert(id.uuid(), Waiting { host, agent });
        Seat { meeting: self.clone(), id, arrival }
    }

    /// The way to who waits for this host's agent, once.  For another host nobody waits.
    pub fn take(&self, id: Uuid, host: HostId) -> Option<oneshot::Sender<WebSocket>> {
        let mut waiting = self.lock();
        if waiting.get(&id)?.host != host {
            return None;
        }
        waiting.remove(&id).map(|waiting| waiting.agent)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Waiting>> {
        lock(&self.waiting)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Somebody without a ticket, until it is dropped.
pub struct Stranger {
    strangers: Arc<Mutex<HashMap<Option<ClientNetwork>, usize>>>,
    address: Option<ClientNetwork>,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut strangers = lock(&self.strangers);
        if let Some(count) = strangers.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                strangers.remove(&self.address);
            }
        }
    }
}

pub struct Seat {
    meeting: Meeting,
    id: ConsoleId,
    arrival: oneshot::Receiver<WebSocket>,
}

impl Seat {
    /// The agent's socket; none when its dial broke before it was one.
    pub async fn agent(&mut self) -> Option<WebSocket> {
        (&mut self.arrival).await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.meeting.lock().remove(&self.id.uuid());
    }
}
