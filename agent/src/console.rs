//! Consoles: the agent dials out to whoever waits, and carries bytes between them and a guest.
//!
//! Nothing is remembered: a request is acted upon once, in this process, and what was under way when the agent
//! ended is asked for anew by the person.  A screen has any number of viewers; a serial port has one reader, and whoever
//! comes last has it.

use crate::hypervisor::{GuestEnd, Hypervisor};
use crate::link::{Link, chain};
use anyhow::Context as _;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use jst_protocol::desired::{ConsoleKind, ConsoleRequest};
use jst_protocol::{CONSOLE_READY, MAX_CONSOLE_MESSAGE_BYTES};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// At the same time; the server gives out fewer for one host.
const MOST: usize = 256;
/// Requests are told again until the agent has dialled; so many are remembered.
const REMEMBERED: usize = 1024;
/// From the dial to the guest's end.  The person's patience is little longer.
const OPEN: Duration = Duration::from_secs(8);
/// A guest that takes no input, or a server that reads nothing.
const WRITE: Duration = Duration::from_secs(30);
/// The server pings more often than that.
const SILENCE: Duration = Duration::from_secs(90);
/// What is read of a guest at once.
const PIECE_BYTES: usize = 16 * 1024;
const CLOSE: Duration = Duration::from_secs(3);

type Socket = WebSocketStream<reqwest::Upgraded>;

pub struct Consoles {
    link: Arc<Link>,
    hypervisor: Hypervisor,
    /// The present reader of each guest's serial port, by a number of its own.
    readers: Mutex<HashMap<Uuid, (u64, CancellationToken)>>,
    shutdown: CancellationToken,
}

impl Consoles {
    pub fn new(link: Arc<Link>, hypervisor: Hypervisor, shutdown: CancellationToken) -> Arc<Self> {
        Arc::new(Self { link, hypervisor, readers: Mutex::default(), shutdown })
    }

    /// Answers requests, for ever.
    pub async fn run(self: Arc<Self>, mut requests: mpsc::Receiver<ConsoleRequest>) {
        let places = Arc::new(Semaphore::new(MOST));
        let mut seen: VecDeque<Uuid> = VecDeque::new();
        while let Some(request) = requests.recv().await {
            if seen.contains(&request.id) {
                continue;
            }
            seen.push_back(request.id);
            if seen.len() > REMEMBERED {
                seen.pop_front();
            }
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!("too many consoles are open; one more is refused");
                continue;
            };
            let consoles = self.clone();
            tokio::spawn(async move {
                if let Err(error) = consoles.serve(&request).await {
                    tracing::info!(console = %request.id, instance = %request.instance, error = chain(&error), "console");
                }
                drop(place);
            });
        }
    }

    async fn serve(&self, request: &ConsoleRequest) -> anyhow::Result<()> {
        let dialled = timeout(OPEN, self.link.dial(request)).await.context("the server did not answer")??;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_CONSOLE_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_CONSOLE_MESSAGE_BYTES))
            .write_buffer_size(0)
            .max_write_buffer_size(4 * MAX_CONSOLE_MESSAGE_BYTES);
        let mut socket = WebSocketStream::from_raw_socket(dialled, Role::Client, Some(config)).await;
        let opened = timeout(OPEN, self.hypervisor.console(request.instance, request.kind)).await;
        let guest = match opened {
            Ok(Ok(guest)) => guest,
            Ok(Err(fault)) => {
                close(&mut socket, End::GuestGone).await;
                return Err(fault).context("the guest's end could not be opened");
            }
            Err(_) => {
                close(&mut socket, End::GuestGone).await;
                anyhow::bail!("the guest's end was not open in time");
            }
        };
        let reader = Reader::begin(self, request);
        socket.send(Message::Text(CONSOLE_READY.into())).await?;
        let end = self.carry(&mut socket, guest, &reader.taken_over).await;
        tracing::debug!(console = %request.id, ?end, "a console ended");
        close(&mut socket, end).await;
        Ok(())
    }

    async fn carry(&self, socket: &mut Socket, guest: GuestEnd, taken_over: &CancellationToken) -> End {
        let (mut to_server, mut from_server) = socket.split();
        let (mut from_guest, mut to_guest) = tokio::io::split(guest);
        tokio::select! {
            end = outwards(&mut from_guest, &mut to_server) => end,
            end = inwards(&mut from_server, &mut to_guest) => end,
            () = taken_over.cancelled() => End::TakenOver,
            () = self.shutdown.cancelled() => End::GuestGone,
        }
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<Uuid, (u64, CancellationToken)>> {
        self.readers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Why a console ends, as the server knows it by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    GuestGone,
    GuestDeaf,
    TakenOver,
    /// The server closed it, or is gone.
    Left,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::GuestGone => "guest-gone",
            Self::GuestDeaf => "guest-deaf",
            Self::TakenOver => "taken-over",
            Self::Left => "left",
        }
    }
}

/// From the guest to the server.
async fn outwards(from: &mut ReadHalf<GuestEnd>, to: &mut SplitSink<&mut Socket, Message>) -> End {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = match from.read(&mut piece).await {
            // A pseudo-terminal whose other end is gone gives an error, a socket nothing.
            Ok(0) | Err(_) => return End::GuestGone,
            Ok(length) => length,
        };
        let message = Message::Binary(piece[..length].to_vec().into());
        match timeout(WRITE, to.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return End::Left,
        }
    }
}

/// From the server to the guest.
async fn inwards(from: &mut SplitStream<&mut Socket>, to: &mut WriteHalf<GuestEnd>) -> End {
    loop {
        match timeout(SILENCE, from.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                let written = async {
                    to.write_all(&bytes).await?;
                    to.flush().await
                };
                match timeout(WRITE, written).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return End::GuestGone,
                    Err(_) => return End::GuestDeaf,
                }
            }
            // Pings are answered by the library as it reads on.
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(_)) | Some(Err(_)) | None) | Err(_) => return End::Left,
        }
    }
}

async fn close(socket: &mut Socket, end: End) {
    let frame = CloseFrame { code: 4000.into(), reason: end.name().into() };
    let farewell = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(CLOSE, farewell).await;
}

/// The reader of a serial port until it is dropped or another one begins.
struct Reader<'a> {
    consoles: &'a Consoles,
    instance: Uuid,
    number: u64,
    taken_over: CancellationToken,
}

impl<'a> Reader<'a> {
    fn begin(consoles: &'a Consoles, request: &ConsoleRequest) -> Self {
        let (number, taken_over) = (rand::random(), CancellationToken::new());
        if request.kind == ConsoleKind::Serial {
            let before = consoles.readers().insert(request.instance, (number, taken_over.clone()));
            if let Some((_, before)) = before {
                before.cancel();
            }
        }
        Self { consoles, instance: request.instance, number, taken_over }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut readers = self.consoles.readers();
        if readers.get(&self.instance).is_some_and(|(number, _)| *number == self.number) {
            readers.remove(&self.instance);
        }
    }
}
