//! Both ends of a console, as tests hold them: a person's or a program's WebSocket, and an agent's.

use crate::agent::AgentClient;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{SinkExt as _, StreamExt as _};
use jst_protocol::PREFIX;
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use uuid::Uuid;

/// Longer than anything here takes, shorter than a test's patience.
const SOON: Duration = Duration::from_secs(15);

/// An open WebSocket.
pub struct Socket(WebSocketStream<reqwest::Upgraded>);

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Text(String),
    Bytes(Vec<u8>),
    /// Closed, for this reason; "" where the other side only broke off.
    Closed(String),
}

/// Asks for a WebSocket; the status of the answer where it is refused.
async fn upgrade(request: reqwest::RequestBuilder) -> Result<Socket, u16> {
    let response = request
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", STANDARD.encode(rand::random::<[u8; 16]>()))
        .send()
        .await
        .expect("the server answers");
    match response.status().as_u16() {
        101 => {
            let upgraded = response.upgrade().await.expect("the connection is ours");
            Ok(Socket(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await))
        }
        refused => Err(refused),
    }
}

impl Socket {
    /// A program's, with headers of its choice.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        // Without a time limit, because that would be the limit of the whole console.
        let http = reqwest::Client::builder().http1_only().build().expect("a client");
        let mut request = http.get(format!("{url}/console"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        upgrade(request).await
    }

    /// The same, and the ticket is shown.
    pub async fn with_ticket(url: &str, ticket: &str) -> Self {
        let mut socket = Self::open(url, &[]).await.expect("the socket opens");
        socket.say(ticket).await;
        socket
    }

    pub async fn say(&mut self, text: &str) {
        let _ = self.0.send(Message::Text(text.into())).await;
    }

    /// False when the other side is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.send(Message::Binary(bytes.to_vec().into())).await.is_ok()
    }

    pub async fn close(&mut self, reason: &'static str) {
        use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
        let _ = self.0.close(Some(CloseFrame { code: 4000.into(), reason: reason.into() })).await;
    }

    /// What comes next; pings are answered meanwhile.
    pub async fn hear(&mut self) -> Heard {
        self.hear_within(SOON).await.expect("something comes")
    }

    pub async fn hear_within(&mut self, limit: Duration) -> Option<Heard> {
        let next = async {
            loop {
                return match self.0.next().await {
                    Some(Ok(Message::Text(text))) => Heard::Text(text.to_string()),
                    Some(Ok(Message::Binary(bytes))) => Heard::Bytes(bytes.to_vec()),
                    Some(Ok(Message::Close(frame))) => {
                        Heard::Closed(frame.map_or_else(String::new, |frame| frame.reason.to_string()))
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => Heard::Closed(String::new()),
                };
            }
        };
        tokio::time::timeout(limit, next).await.ok()
    }

    /// The reason of the close, whatever comes before it.
    pub async fn end(&mut self) -> String {
        self.end_within(SOON).await
    }

    pub async fn end_within(&mut self, limit: Duration) -> String {
        let end = async {
            loop {
                if let Heard::Closed(reason) = self.hear_within(Duration::MAX).await.expect("no limit") {
                    return reason;
                }
            }
        };
        tokio::time::timeout(limit, end).await.unwrap_or_else(|_| "it goes on".to_owned())
    }

    /// Waits for the words that say that the guest is there.
    pub async fn connected(&mut self) {
        assert_eq!(self.hear().await, Heard::Text("{\"state\":\"waiting\"}".into()));
        assert_eq!(self.hear().await, Heard::Text("{\"state\":\"connected\"}".into()));
    }

    /// Reads bytes until `wanted` stands in them, and gives all.
    pub async fn read_until(&mut self, wanted: &str, limit: Duration) -> String {
        let mut all = Vec::new();
        let start = std::time::Instant::now();
        loop {
            let text = String::from_utf8_lossy(&all).into_owned();
            if text.contains(wanted) {
                return text;
            }
            let left = limit.saturating_sub(start.elapsed());
            match self.hear_within(left).await {
                Some(Heard::Bytes(bytes)) => all.extend(bytes),
                other => panic!("{other:?} instead of {wanted:?} after {text:?}"),
            }
        }
    }

    /// Exactly so many bytes; what came with the last of them and is more stays in `rest`.
    pub async fn read_exact(&mut self, rest: &mut Vec<u8>, length: usize) -> Vec<u8> {
        while rest.len() < length {
            match self.hear().await {
                Heard::Bytes(bytes) => rest.extend(bytes),
                other => panic!("{other:?} instead of bytes"),
            }
        }
        rest.drain(..length).collect()
    }
}

impl AgentClient {
    /// Dials for a console as this host; the status of the answer where it is refused.
    pub async fn dial(&self, console: Uuid) -> Result<Socket, u16> {
        upgrade(self.request(&format!("{PREFIX}/consoles/{console}"))).await
    }
}
