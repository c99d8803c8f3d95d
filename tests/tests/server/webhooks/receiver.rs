//! Somebody else's server that is told things: it remembers what came, and answers as the test says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jst_tests::eventually;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone, Debug)]
pub enum Manner {
    Status(u16),
    /// With a body.
    Says(u16, Vec<u8>),
    Redirect(String),
    /// The connection stays open, and nothing is said.
    Silence,
    /// One byte a second.
    Drip,
    Close,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// How many of its signatures this secret made.
    pub fn signed_by(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("the prefix")).expect("base64");
        let said = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        let expected = format!("v1,{}", STANDARD.encode(hmac_sha256(&key, said.as_bytes())));
        self.signatures().iter().filter(|signature| **signature == expected).count()
    }

    pub fn signatures(&self) -> Vec<&str> {
        self.headers["webhook-signature"].split(' ').collect()
    }
}

/// RFC 2104, written out: the server's own implementation is not asked what it thinks of itself.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha256::digest([&pad(0x36)[..], message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

/// Drop ends it.
pub struct Receiver {
    pub port: u16,
    pub url: String,
    got: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    /// What is answered in turn; the last one for ever.
    manners: Arc<Mutex<VecDeque<Manner>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start(manners: impl IntoIterator<Item = Manner>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let manners = Arc::new(Mutex::new(manners.into_iter().collect::<VecDeque<_>>()));
        let (log, count, turns) = (got.clone(), connections.clone(), manners.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, log.clone(), turns.clone()));
            }
        });
        Self { port, url: format!("http://127.0.0.1:{port}/hook"), got, connections, manners, task }
    }

    /// Nobody listens there any more.
    pub fn stop(&self) {
        self.task.abort();
    }

    pub fn set(&self, manner: Manner) {
        *self.manners.lock().unwrap() = VecDeque::from([manner]);
    }

    pub fn got(&self) -> Vec<Request> {
        self.got.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have come, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        eventually(&format!("{count} requests at port {}", self.port), Duration::from_secs(40), || async {
            Some(self.got()).filter(|got| got.len() >= count)
        })
        .await
    }

    /// Waits for a message of this type.
    pub async fn wait_for_type(&self, kind: &str) -> Request {
        eventually(&format!("a message {kind}"), Duration::from_secs(20), || async {
            self.got().into_iter().find(|request| request.json()["type"] == kind)
        })
        .await
    }
}

async fn serve(mut stream: TcpStream, got: Arc<Mutex<Vec<Request>>>, manners: Arc<Mutex<VecDeque<Manner>>>) {
    let Some(request) = read(&mut stream).await else { return };
    got.lock().unwrap().push(request);
    let manner = {
        let mut manners = manners.lock().unwrap();
        if manners.len() > 1 { manners.pop_front() } else { manners.front().cloned() }
    };
    let answer = |status: u16, more: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status} So\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let bytes = match manner.unwrap_or(Manner::Status(200)) {
        Manner::Status(status) => answer(status, "", b""),
        Manner::Says(status, body) => answer(status, "", &body),
        Manner::Redirect(to) => answer(302, &format!("location: {to}\r\n"), b""),
        Manner::Silence => std::future::pending().await,
        Manner::Drip => {
            for byte in answer(200, "", b"so slow") {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return;
        }
        Manner::Close => return,
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).await.ok().filter(|length| *length > 0)?;
        bytes.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let headers: HashMap<String, String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let wanted: usize = headers.get("content-length")?.parse().ok()?;
        if body.len() >= wanted {
            return Some(Request { headers, body: body.to_owned() });
        }
    }
}
