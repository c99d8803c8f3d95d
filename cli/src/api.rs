//! Asking the API: one request at a time, as often as [`crate::retry`] allows.

use crate::config::Access;
use crate::error::{Failure, Problem, Result};
use crate::output::note;
use crate::retry::{Outcome, Tries};
use crate::server::Server;
use crate::words::{Language, texts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONNECTION, LOCATION, RETRY_AFTER, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use reqwest::{Certificate, Client, Method, RequestBuilder, Upgraded, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// The server answers changes at once and works on them afterwards.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The first pause after a broken connection.
const PAUSE: Duration = Duration::from_millis(500);
/// A pause of this length is announced.
const LONG_PAUSE: Duration = Duration::from_secs(3);
/// The most that one answer of the API lists.
const PAGE: usize = 100;

/// A successful answer, as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    server: String,
}

impl Answer {
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.text).map_err(|_| not_ours(&self.server, self.status))
    }
}

/// A list, put together from as many answers as it takes.
pub struct Listing {
    /// As the API wrote it; several parts are one list here.
    pub text: String,
    items: Vec<Box<RawValue>>,
    server: String,
}

impl Listing {
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        let items = self.items.iter().map(|item| serde_json::from_str(item.get()));
        items.collect::<serde_json::Result<_>>().map_err(|_| not_ours(&self.server, 200))
    }
}

/// One part of a list.
#[derive(Deserialize)]
struct Part {
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
}

fn not_ours(server: &str, status: u16) -> Failure {
    Failure::here(texts::NOT_OURS).with("server", server).with("status", status)
}

pub struct Api {
    http: Client,
    ca: Option<PathBuf>,
    server: Server,
    token: String,
    language: Language,
    /// The first pause after a broken connection.
    pause: Duration,
}

impl Api {
    pub fn new(access: Access, language: Language) -> Result<Self> {
        let http = client(&access.server, access.ca.as_deref(), Some(ANSWER_WITHIN))?;
        Ok(Self { http, ca: access.ca, server: access.server, token: access.token, language, pause: PAUSE })
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Answer> {
        self.send(Method::GET, path, query, None).await
    }

    pub async fn post(&self, path: &[&str], body: Value) -> Result<Answer> {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    pub async fn put(&self, path: &[&str], body: Value) -> Result<Answer> {
        self.send(Method::PUT, path, &[], Some(body)).await
    }

    pub async fn patch(&self, path: &[&str], body: Value) -> Result<Answer> {
        self.send(Method::PATCH, path, &[], Some(body)).await
    }

    pub async fn delete(&self, path: &[&str], query: &[(&str, String)]) -> Result<Answer> {
        self.send(Method::DELETE, path, query, None).await
    }

    /// Opens a WebSocket beside the API.  It gets no token: what it needs is a ticket, which the caller shows.
    pub async fn socket(&self, path: &str) -> Result<Upgraded> {
        // Without a limit of time, which would be that of the whole conversation.
        let http = client(&self.server, self.ca.as_deref(), None)?;
        let request = http
            .get(self.server.beside(path))
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, STANDARD.encode(Uuid::new_v4().as_bytes()));
        let response = request.send().await.map_err(|error| self.unreachable(&error, 0, false))?;
        let status = response.status().as_u16();
        if status != 101 {
            let problem = Problem::read(status, response.text().await.unwrap_or_default());
            return Err(Failure::Api(Box::new(Problem { server: self.server.to_string(), ..problem })));
        }
        response.upgrade().await.map_err(|error| self.unreachable(&error, 0, false))
    }

    /// A list up to so many items, or all of it.
    pub async fn list(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        limit: Option<usize>,
    ) -> Result<Listing> {
        let mut items: Vec<Box<RawValue>> = Vec::new();
        let mut cursor: Option<String> = None;
        let mut parts = 0;
        loop {
            let wanted = limit.map_or(PAGE, |limit| limit.saturating_sub(items.len()).clamp(1, PAGE));
            let mut query = query.to_vec();
            query.push(("limit", wanted.to_string()));
            query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
            let answer = self.get(path, &query).await?;
            let part: Part = answer.read()?;
            parts += 1;
            let came = part.items.len();
            items.extend(part.items);
            let enough = limit.is_some_and(|limit| items.len() >= limit);
            // A part that brings nothing, or leads to itself, would lead us in circles.
            let ends = part.next_cursor.is_none() || came == 0 || part.next_cursor == cursor;
            cursor = part.next_cursor;
            if enough || ends {
                let text = if parts == 1 { answer.text } else { joined(&items, cursor.as_deref()) };
                return Ok(Listing { text, items, server: self.server.to_string() });
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> Result<Answer> {
        let url = self.server.url(path, query);
        let changes = method != Method::GET;
        // One key for all tries: by it the server knows that they are one request.
        let key = Uuid::new_v4().to_string();
        let mut tries = Tries::new(self.pause);
        loop {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .header(ACCEPT, "application/json")
                .header(ACCEPT_LANGUAGE, self.language.code());
            if !self.token.is_empty() {
                request = request.bearer_auth(&self.token);
            }
            if changes {
                request = request.header("idempotency-key", &key);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            let reply = Reply::read(request).await;
            let pause = match &reply {
                Ok(reply) => tries.pause(reply.outcome()),
                Err(error) if is_broken(error) => tries.pause(Outcome::Broken),
                Err(_) => None,
            };
            let Some(pause) = pause else { return self.concluded(reply, tries.breaks(), changes) };
            if pause >= LONG_PAUSE && reply.is_ok() {
                let seconds = [("seconds", pause.as_secs().to_string())];
                note(&self.language.fill(texts::WAITING_FOR_TURN, &seconds));
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn concluded(&self, reply: reqwest::Result<Reply>, breaks: usize, changes: bool) -> Result<Answer> {
        let server = self.server.to_string();
        match reply {
            Err(error) => Err(self.unreachable(&error, breaks, changes)),
            Ok(reply) if (200..300).contains(&reply.status) => {
                Ok(Answer { status: reply.status, text: reply.text, server })
            }
            Ok(Reply { status: 300..400, location: Some(location), .. }) => {
                Err(Failure::here(texts::REDIRECTED).with("server", server).with("location", location))
            }
            Ok(reply) => {
                let retry_after = reply.retry_after;
                let problem = Problem::read(reply.status, reply.text);
                Err(Failure::Api(Box::new(Problem { server, retry_after, repeated: breaks > 0, ..problem })))
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error, breaks: usize, changes: bool) -> Failure {
        let times = match breaks {
            0 | 1 => self.language.text(texts::ONCE).to_owned(),
            _ => self.language.fill(texts::TIMES, &[("count", breaks.to_string())]),
        };
        let text = if chain(error).any(|cause| cause.is::<rustls::Error>()) {
            texts::NOT_TRUSTED
        } else if !is_broken(error) {
            texts::NO_CONNECTION
        } else if changes {
            texts::CONNECTION_BROKE
        } else {
            texts::NO_ANSWER
        };
        // The outer errors repeat the address and say that something failed; the innermost says what.
        let cause = chain(error).last().map(ToString::to_string).unwrap_or_default();
        Failure::network(text).with("server", &self.server).with("times", times).with("cause", cause)
    }
}

/// What came back, whatever its status.
struct Reply {
    status: u16,
    retry_after: Option<u64>,
    location: Option<String>,
    /// Of the problem, where it is one.
    code: String,
    text: String,
}

impl Reply {
    async fn read(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|value| value.trim().parse().ok());
        let location = header(LOCATION).map(str::to_owned);
        let status = response.status().as_u16();
        let text = response.text().await?;
        let code = if status >= 400 { Problem::read(status, text.clone()).code } else { String::new() };
        Ok(Self { status, retry_after, location, code, text })
    }

    fn outcome(&self) -> Outcome<'_> {
        Outcome::Answer { status: self.status, code: &self.code, retry_after: self.retry_after }
    }
}

/// Several parts of a list as one document, each item as it came.
fn joined(items: &[Box<RawValue>], cursor: Option<&str>) -> String {
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    format!("{{\"items\":[{}],\"next_cursor\":{}}}", items.join(","), Value::from(cursor))
}

fn client(server: &Server, ca: Option<&Path>, limit: Option<Duration>) -> Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("jst/", env!("CARGO_PKG_VERSION")))
        // A token goes where its owner said, and nowhere else.
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN);
    match limit {
        Some(limit) => builder = builder.timeout(limit),
        // A WebSocket begins in HTTP/1.1.
        None => builder = builder.http1_only(),
    }
    if server.is_plain_http() {
        // This machine: no proxy may see it, and no authority is needed.
        builder = builder.no_proxy().tls_certs_only(Vec::new());
    } else if let Some(file) = ca {
        builder = builder.tls_certs_merge(certificates(file)?);
    }
    builder.build().map_err(|error| {
        let cause = chain(&error).last().map(ToString::to_string).unwrap_or_default();
        Failure::here(texts::NO_ROOTS).with("cause", cause)
    })
}

fn certificates(file: &Path) -> Result<Vec<Certificate>> {
    let failed = |text| Failure::usage(text).with("file", file.display());
    let pem = std::fs::read(file).map_err(|error| failed(texts::CANNOT_READ).with("cause", error))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|_| failed(texts::BAD_CA))?;
    if certificates.is_empty() { Err(failed(texts::BAD_CA)) } else { Ok(certificates) }
}

/// Whether the connection was made and broke before the whole answer was there.  Where none was made, nothing
/// was sent, and whoever asked had better look at the address than wait.
fn is_broken(error: &reqwest::Error) -> bool {
    !(error.is_builder() || error.is_redirect() || error.is_connect())
}

/// An error and its causes.  What an I/O error wraps is no source of it in the sense of the trait, and is
/// just where the TLS library's own error is.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests;
