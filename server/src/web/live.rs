//! Live pages: `GET /live` is a stream of events that say only 'look again'.
//!
//! A page that shows something that changes keeps this stream open and fetches itself anew at each
//! event.  What it sees then is decided by the page's own handler, so that the stream can tell
//! nobody anything but the moment of a change in their own tenant.

use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::events::notices::Notice;
use crate::ids::UserId;
use crate::state::App;
use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::Stream;
use futures::stream::unfold;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use uuid::Uuid;

/// Streams of one person in this replica: a tab each, and some to spare.
const STREAMS_PER_USER: usize = 10;
/// Proxies close connections on which nothing happens for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is asked whether the reader is still signed in.
const CHECK_SESSION: Duration = Duration::from_secs(60);
/// Changes come in bursts, and a page needs one of each.
const SETTLE: Duration = Duration::from_millis(100);

pub fn routes() -> Router<App> {
    Router::new().route("/live", get(live))
}

async fn live(
    State(app): State<App>,
    actor: Actor,
    request: Request,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let place = Place::take(actor.user_id)?;
    let (parts, _) = request.into_parts();
    let watch = Watch {
        notices: app.notices.subscribe(),
        tenant: actor.tenant_id.uuid(),
        next_check: Instant::now() + CHECK_SESSION,
        app,
        parts,
        _place: place,
    };
    let stream = unfold(watch, |mut watch| async move {
        // Browsers pass over an event whose data are empty.
        watch.changed().await.then(|| (Ok(Event::default().event("change").data("again")), watch))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// One open stream.
struct Watch {
    app: App,
    /// Of the request, to ask again who sent it.
    parts: Parts,
    notices: Receiver<Notice>,
    tenant: Uuid,
    next_check: Instant,
    _place: Place,
}

impl Watch {
    /// Waits for a change; false when the reader is signed in no more, or the server stops.
    async fn changed(&mut self) -> bool {
        loop {
            tokio::select! {
                notice = self.notices.recv() => match notice {
                    Ok(Notice::Stopping) => return false,
                    Ok(notice) if self.concerns(&notice) => return self.settle().await,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return self.settle().await,
                    Err(RecvError::Closed) => return false,
                },
                () = tokio::time::sleep_until(self.next_check) => {
                    if !self.is_signed_in().await {
                        return false;
                    }
                    self.next_check = Instant::now() + CHECK_SESSION;
                }
            }
        }
    }

    fn concerns(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Tenant(tenant) => *tenant == self.tenant,
            Notice::Everything => true,
            Notice::Host(_) | Notice::Stopping => false,
        }
    }

    /// Lets the rest of a burst come; what it says is said already.
    async fn settle(&mut self) -> bool {
        tokio::time::sleep(SETTLE).await;
        while self.notices.try_recv().is_ok() {}
        true
    }

    async fn is_signed_in(&mut self) -> bool {
        // The request remembers who sent it; the question is asked anew.
        self.parts.extensions.remove::<Arc<Actor>>();
        // The session, too, remembers what it has read.
        if let Some(session) = self.parts.extensions.get::<tower_sessions::Session>().cloned()
            && session.load().await.is_err()
        {
            return false;
        }
        let actor = Actor::from_request_parts(&mut self.parts, &self.app).await;
        actor.is_ok_and(|actor| actor.tenant_id.uuid() == self.tenant)
    }
}

/// One of the streams that a person may have; given back when it is dropped.
struct Place(UserId);

static PLACES: LazyLock<Mutex<HashMap<Uuid, usize>>> = LazyLock::new(Mutex::default);

fn places() -> MutexGuard<'static, HashMap<Uuid, usize>> {
    PLACES.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Place {
    fn take(user: UserId) -> Result<Self> {
        let mut places = places();
        let taken = places.entry(user.uuid()).or_default();
        if *taken >= STREAMS_PER_USER {
            return Err(Error::Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                code: "live-too-many",
                arguments: Vec::new(),
            });
        }
        *taken += 1;
        Ok(Self(user))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = places();
        if let Some(taken) = places.get_mut(&self.0.uuid()) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.0.uuid());
            }
        }
    }
}
