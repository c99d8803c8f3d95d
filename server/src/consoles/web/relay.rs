//! Carries bytes between a person and an agent, each way by itself, for as long as both are there and the
//! person may.
//!
//! Each way reads one message and writes it before it reads the next, so that a slow reader slows the writer, over
//! the network, and nothing gathers here; a write that takes too long ends the console.

use super::meeting::Seat;
use crate::consoles::{self, Console, End, PATIENCE_SECONDS, kind_word};
use crate::events::notices::Notice;
use crate::metrics::{CONSOLES_ENDED, CONSOLES_OPEN};
use crate::state::App;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use jst_protocol::CONSOLE_READY;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// A reader that takes nothing for so long is given up.
const WRITE: Duration = Duration::from_secs(20);
/// Proxies close connections on which nothing happens for a minute, and so do we: a living peer answers pings.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether the person still may; changes of the tenant are heard of at once.
const CHECK: Duration = Duration::from_secs(15);
/// Changes come in bursts.
const SETTLE: Duration = Duration::from_millis(100);
/// Without a byte from the person.  A screen that is looked at asks for pictures, which are bytes.
const IDLE: Duration = Duration::from_secs(60 * 60);
const LONGEST: Duration = Duration::from_secs(8 * 60 * 60);
const CLOSE: Duration = Duration::from_secs(5);
/// Close codes from 4000 on are the application's own.
const CLOSE_CODE: u16 = 4000;

/// From the shown ticket to the end, which is written down.
pub async fn run(app: App, console: Console, mut browser: WebSocket, mut seat: Seat) {
    let met = meet(&app, &console, &mut browser, &mut seat).await;
    // Nobody waits any more, however long the farewell takes.
    drop(seat);
    let (end, agent) = match met {
        Ok(mut agent) => {
            let _open = Gauge::begin(kind_word(console.kind));
            (carry(&app, &console, &mut browser, &mut agent).await, Some(agent))
        }
        Err(end) => (end, None),
    };
    tracing::debug!(console = %console.id, end = end.name(), "a console ended");
    metrics::counter!(CONSOLES_ENDED, "reason" => end.name()).increment(1);
    if let Err(error) = consoles::ended(&app, console.id, end).await {
        tracing::warn!(console = %console.id, ?error, "the end of a console was not written down");
    }
    // Both at once: neither has to wait for the other to be polite.
    let to_agent = async {
        if let Some(mut agent) = agent {
            close(&mut agent, end).await;
        }
    };
    tokio::join!(close(&mut browser, end), to_agent);
}

/// Says why, and gives the peer a moment to hear it.
pub async fn close(socket: &mut WebSocket, end: End) {
    let frame = CloseFrame { code: CLOSE_CODE, reason: end.name().into() };
    let farewell = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = timeout(CLOSE, farewell).await;
}

/// Waits for the agent and for the guest's end behind it.
async fn meet(
    app: &App,
    console: &Console,
    browser: &mut WebSocket,
    seat: &mut Seat,
) -> Result<WebSocket, End> {
    tell(browser, "waiting").await?;
    let patience = Duration::from_secs(u64::from(PATIENCE_SECONDS.unsigned_abs()));
    let arrival = async {
        let mut agent = seat.agent().await.ok_or(End::HostSilent)?;
        loop {
            match agent.recv().await {
                Some(Ok(Message::Text(text))) if text.as_str() == CONSOLE_READY => return Ok(agent),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(reason(frame)),
                Some(Ok(_)) => return Err(End::Malformed),
                Some(Err(_)) | None => return Err(End::GuestGone),
            }
        }
    };
    let departure = async {
        // Nothing is expected yet but the end: what is typed before it connects belongs to nobody.
        loop {
            match browser.recv().await {
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    };
    let agent = tokio::select! {
        arrived = timeout(patience, arrival) => arrived.unwrap_or(Err(End::HostSilent))?,
        () = departure => return Err(End::Left),
    };
    if consoles::connected(app, console.id).await.is_err() {
        return Err(End::Failed);
    }
    tell(browser, "connected").await?;
    Ok(agent)
}

async fn tell(browser: &mut WebSocket, state: &'static str) -> Result<(), End> {
    let text = format!("{{\"state\":\"{state}\"}}");
    match timeout(WRITE, browser.send(Message::Text(text.into()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Left),
        Err(_) => Err(End::TooSlow),
    }
}

/// Why the agent closed it.
fn reason(frame: Option<CloseFrame>) -> End {
    let named = frame.and_then(|frame| End::from_name(frame.reason.as_str()));
    named.filter(|end| matches!(end, End::TakenOver | End::GuestDeaf)).unwrap_or(End::GuestGone)
}

async fn carry(app: &App, console: &Console, browser: &mut WebSocket, agent: &mut WebSocket) -> End {
    let begun = Instant::now();
    // Seconds since `begun` at which the person last sent something.
    let active = AtomicU64::new(0);
    let (mut to_browser, mut from_browser) = browser.split();
    let (mut to_agent, mut from_agent) = agent.split();
    let person = Way { lost: End::Left, slow: End::GuestDeaf, closed: |_| End::Left };
    let guest = Way { lost: End::GuestGone, slow: End::TooSlow, closed: reason };
    tokio::select! {
            end = person.carry(&mut from_browser, &mut to_agent, || {
                active.store(begun.elapsed().as_secs(), Ordering::Relaxed);
            }) => end,
            end = guest.carry(&mut from_agent, &mut to_browser, || {}) => end,
            end = watch(app, console, begun, &active) => end,
    }
}

/// One direction, and what its ends mean.
struct Way {
    /// The sender broke off or said nothing for too long.
    lost: End,
    /// The receiver did not read.
    slow: End,
    closed: fn(Option<CloseFrame>) -> End,
}

impl Way {
    async fn carry(
        &self,
        from: &mut SplitStream<&mut WebSocket>,
        to: &mut SplitSink<&mut WebSocket, Message>,
        passed: impl Fn(),
    ) -> End {
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let message = tokio::select! {
                message = from.next() => match message {
                    Some(Ok(Message::Binary(bytes))) => {
                        passed();
                        Message::Binary(bytes)
                    }
                    Some(Ok(Message::Close(frame))) => return (self.closed)(frame),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                        heard = Instant::now();
                        continue;
                    }
                    Some(Ok(Message::Text(_))) => return End::Malformed,
                    // Too large a message, too: the protocol's own close has told the sender.
                    Some(Err(_)) | None => return self.lost,
                },
                _ = pings.tick() => {
                    // The peer of the other direction answers this to the reader of the other direction.
                    if heard.elapsed() > SILENCE {
                        return self.lost;
                    }
                    Message::Ping(Vec::new().into())
                }
            };
            if matches!(message, Message::Binary(_)) {
                heard = Instant::now();
            }
            match timeout(WRITE, to.send(message)).await {
                Ok(Ok(())) => {}
                // The other direction says better what happened to its sender.
                Ok(Err(_)) => sleep(Duration::from_millis(200)).await,
                Err(_) => return self.slow,
            }
        }
    }
}

/// Returns when the console must end although both sides are there.
async fn watch(app: &App, console: &Console, begun: Instant, active: &AtomicU64) -> End {
    let mut notices = app.notices.subscribe();
    loop {
        match consoles::check(app, console.id).await {
            Ok(Some(end)) => return end,
            Ok(None) => {}
            // A database that is away takes no rights: the next look comes.
            Err(error) => tracing::warn!(console = %console.id, ?error, "a console could not be checked"),
        }
        if begun.elapsed() >= LONGEST {
            return End::TooLong;
        }
        if begun.elapsed() >= Duration::from_secs(active.load(Ordering::Relaxed)) + IDLE {
            return End::Idle;
        }
        if let Ok(true) = timeout(CHECK, stops(&mut notices, console)).await {
            return End::ServerStops;
        }
    }
}

/// Waits for a change that concerns the console; true when the server stops.
async fn stops(notices: &mut Receiver<Notice>, console: &Console) -> bool {
    loop {
        match notices.recv().await {
            Ok(Notice::Stopping) | Err(RecvError::Closed) => return true,
            Ok(Notice::Tenant(tenant)) if tenant == console.tenant_id.uuid() => break,
            Ok(Notice::Everything) | Err(RecvError::Lagged(_)) => break,
            Ok(_) => {}
        }
    }
    sleep(SETTLE).await;
    false
}

/// Counted while it exists, however the console ends.
struct Gauge(&'static str);

impl Gauge {
    fn begin(kind: &'static str) -> Self {
        metrics::gauge!(CONSOLES_OPEN, "kind" => kind).increment(1.0);
        Self(kind)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        metrics::gauge!(CONSOLES_OPEN, "kind" => self.0).decrement(1.0);
    }
}
