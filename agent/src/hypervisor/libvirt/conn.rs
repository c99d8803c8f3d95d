//! The connection to libvirtd.  Its calls block and cannot be cancelled, so they run on a bounded number of
//! threads with a deadline on this side, and a connection that broke is opened anew.

use super::{error, events, ffi};
use crate::hypervisor::{Event, Fault};
use jst_protocol::report::FailureCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;

/// Calls at the same time.  libvirtd answers 20 in parallel by default; the rest is left to operators.
const CALLS: usize = 8;
/// An ordinary call takes milliseconds; a start on a busy host takes seconds.
pub const QUICK: Duration = Duration::from_secs(15);
pub const SLOW: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub struct Conn {
    inner: Arc<Inner>,
}

struct Inner {
    uri: String,
    permits: Arc<Semaphore>,
    current: Mutex<Current>,
    events: mpsc::Sender<Event>,
    reboots: Mutex<HashMap<Uuid, u64>>,
}

#[derive(Default)]
struct Current {
    connect: Option<Connect>,
    refused_at: Option<Instant>,
}

impl Conn {
    pub fn new(uri: &str, events: mpsc::Sender<Event>) -> anyhow::Result<Self> {
        events::start_loop()?;
        Ok(Self {
            inner: Arc::new(Inner {
                uri: uri.to_owned(),
                permits: Arc::new(Semaphore::new(CALLS)),
                current: Mutex::default(),
                events,
                reboots: Mutex::default(),
            }),
        })
    }

    /// Makes one call on a thread for such calls.
    pub async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        deadline: Duration,
        call: impl FnOnce(&Connect) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Fault> {
        self.run_classed(what, deadline, call).await?.map_err(|error| error::fault(what, &error))
    }

    /// As [`Conn::run`], for callers that tell some errors apart.
    pub async fn run_classed<T: Send + 'static>(
        &self,
        what: &'static str,
        deadline: Duration,
        call: impl FnOnce(&Connect) -> Result<T, Error> + Send + 'static,
    ) -> Result<Result<T, Error>, Fault> {
        let unavailable =
            |detail: String| Fault::passing(FailureCode::HypervisorUnavailable, format!("{what}: {detail}"));
        let late = || unavailable(format!("libvirt did not answer within {} s", deadline.as_secs()));
        let inner = self.inner.clone();
        let work = async move {
            let permit = inner.permits.clone().acquire_owned().await.ok();
            tokio::task::spawn_blocking(move || {
                // A call that hangs keeps its permit, so that hanging calls cannot pile up.
                let _permit = permit;
                let connect = inner.connect()?;
                let result = call(&connect);
                if let Err(error) = &result
                    && error::is_disconnected(error)
                {
                    inner.disconnect(&connect);
                }
                result
            })
            .await
        };
        match tokio::time::timeout(deadline, work).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(panic)) => Err(unavailable(panic.to_string())),
            Err(_) => Err(late()),
        }
    }

    /// Calls with one domain; `None` when there is no such domain.
    pub async fn domain<T: Send + 'static>(
        &self,
        id: Uuid,
        what: &'static str,
        deadline: Duration,
        call: impl FnOnce(&Domain) -> Result<T, Error> + Send + 'static,
    ) -> Result<Option<T>, Fault> {
        let result = self
            .run_classed(what, deadline, move |connect| {
                let domain = match connect.lookup_domain_by_uuid(id) {
                    Ok(domain) => domain,
                    Err(error) if error::is_absent(&error) => return Ok(None),
                    Err(error) => return Err(error),
                };
                call(&domain).map(Some)
            })
            .await?;
        match result {
            Ok(result) => Ok(result),
            Err(error) if error::is_absent(&error) => Ok(None),
            Err(error) => Err(error::fault(what, &error)),
        }
    }

    /// How often the guest has restarted inside its process since the agent began to listen.
    pub fn reboots(&self, id: Uuid) -> u64 {
        lock(&self.inner.reboots).get(&id).copied().unwrap_or(0)
    }
}

impl Inner {
    /// The open connection, or a new one; not more often than once a second.
    fn connect(self: &Arc<Self>) -> Result<Connect, Error> {
        let mut current = lock(&self.current);
        if let Some(connect) = &current.connect {
            if connect.is_alive().unwrap_or(false) {
                return Ok(connect.clone());
            }
            current.connect = None;
        }
        if let Some(at) = current.refused_at {
            std::thread::sleep(Duration::from_secs(1).saturating_sub(at.elapsed()));
        }
        match self.open() {
            Ok(connect) => {
                current.refused_at = None;
                current.connect = Some(connect.clone());
                Ok(connect)
            }
            Err(error) => {
                current.refused_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    fn open(self: &Arc<Self>) -> Result<Connect, Error> {
        let connect = Connect::open(Some(&self.uri))?;
        // A peer that is silent for 3 × 5 s is gone; without this a hung libvirtd is never noticed.  Drivers
        // inside this process have no peer and refuse.
        if let Err(error) = connect.set_keep_alive(5, 3) {
            tracing::debug!(%error, "no keepalive");
        }
        // The callback must not keep alive what holds the connection that keeps the callback alive.
        let weak = Arc::downgrade(self);
        ffi::watch_domains(&connect, move |id, event| {
            let Some(inner) = weak.upgrade() else { return };
            if event == ffi::DomainEvent::Reboot {
                *lock(&inner.reboots).entry(id).or_default() += 1;
            }
            // When the queue is full, everything is about to be looked at anyway.
            let _ = inner.events.try_send(Event::Instance(id));
        })?;
        tracing::info!(uri = self.uri, "connected to libvirt");
        let _ = self.events.try_send(Event::Everything);
        Ok(connect)
    }

    fn disconnect(&self, broken: &Connect) {
        let _ = broken;
        lock(&self.current).connect = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
