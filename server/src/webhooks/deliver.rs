//! One request to one endpoint.

use crate::outbound::{self, Forbidden, Guard};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(5);
/// From the first look at the name to the last byte that is read.
pub const WHOLE: Duration = Duration::from_secs(15);
/// What is kept of an answer; the rest is not read.
pub const KEPT_BYTES: usize = 1024;

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The address is none that may be asked.
    Forbidden,
    /// The server cannot open the endpoint's secret, because its own key is another one: rotate the secret.
    Unsigned,
    /// No connection: the name, the network, or the encryption.
    Connect,
    Timeout,
    /// The connection ended before there was an answer, or it was none.
    Broken,
    Redirect,
    /// 410: the endpoint wants nothing more.
    Gone,
    /// Another status than 2xx.
    Status,
}

impl Problem {
    pub const ALL: [Self; 8] = [
        Self::Forbidden,
        Self::Unsigned,
        Self::Connect,
        Self::Timeout,
        Self::Broken,
        Self::Redirect,
        Self::Gone,
        Self::Status,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unsigned => "unsigned",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Redirect => "redirect",
            Self::Gone => "gone",
            Self::Status => "status",
        }
    }

    const fn of_status(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            200..=299 => None,
            300..=399 => Some(Self::Redirect),
            410 => Some(Self::Gone),
            _ => Some(Self::Status),
        }
    }
}

impl From<Forbidden> for Problem {
    fn from(_: Forbidden) -> Self {
        Self::Forbidden
    }
}

impl From<reqwest::Error> for Problem {
    fn from(error: reqwest::Error) -> Self {
        if outbound::forbidden(&error).is_some() {
            Self::Forbidden
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Broken
        }
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub struct Outcome {
    pub status: Option<StatusCode>,
    pub problem: Option<Problem>,
    /// The first bytes of the answer, as text.
    pub response: String,
}

impl From<Problem> for Outcome {
    fn from(problem: Problem) -> Self {
        Self { status: None, problem: Some(problem), response: String::new() }
    }
}

/// The headers of a message; `signatures` are separated by spaces.
pub fn headers(id: &str, timestamp: i64, signatures: &str) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", id.parse()?);
    headers.insert("webhook-timestamp", timestamp.into());
    headers.insert("webhook-signature", signatures.parse()?);
    Ok(headers)
}

/// Sends a message, once and to no other address than this.
pub async fn send(guard: &Guard, url: &str, headers: HeaderMap, body: String) -> Outcome {
    let answer = async {
        let url: Url = url.parse().map_err(|_| Problem::Forbidden)?;
        // The operator may have decided otherwise since the endpoint was made.
        guard.check_confidential(&url)?;
        let client = guard.confidential_client(&url, CONNECT, WHOLE)?;
        Ok::<_, Problem>(client.post(url).headers(headers).body(body).send().await?)
    };
    let mut answer = match answer.await {
        Ok(answer) => answer,
        Err(problem) => return problem.into(),
    };
    let mut kept = Vec::new();
    // The status decides.  What does not come of the rest in time is not waited for.
    while kept.len() < KEPT_BYTES
        && let Ok(Some(piece)) = answer.chunk().await
    {
        kept.extend_from_slice(&piece[..piece.len().min(KEPT_BYTES - kept.len())]);
    }
    // Postgres keeps no NUL characters.
    let response = String::from_utf8_lossy(&kept).replace('\0', "\u{fffd}");
    Outcome { status: Some(answer.status()), problem: Problem::of_status(answer.status()), response }
}
