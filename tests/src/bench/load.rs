//! A load of page requests that costs as little as it can, because it shares the machine with what it measures.
//!
//! It speaks just enough HTTP/1.1: one request after another on connections that stay open, answers whole
//! or in chunks, bodies read and thrown away.

use anyhow::{Context, bail, ensure};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One page, and who asks for it.
#[derive(Clone, Debug)]
pub struct Target {
    pub authority: String,
    pub path: String,
    pub cookie: String,
    /// As browsers do.
    pub gzip: bool,
}

impl Target {
    fn request(&self) -> String {
        let Self { authority, path, cookie, gzip } = self;
        let encoding = if *gzip { "accept-encoding: gzip\r\n" } else { "" };
        format!(
            "GET {path} HTTP/1.1\r\nhost: {authority}\r\naccept-language: en\r\ncookie: {cookie}\r\n{encoding}\r\n"
        )
    }
}

/// Asks `per_second` times a second for `duration`, over `connections` connections, and gives each answer's
/// time in milliseconds.  The time counts from when the request was due: one that waits for a
/// slow one before it has waited as well.
pub async fn steady(
    target: &Target,
    per_second: u32,
    duration: Duration,
    connections: u32,
) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now() + Duration::from_millis(50);
    let gap = Duration::from_secs(1) / per_second;
    let total = (duration.as_secs_f64() * f64::from(per_second)) as u32;
    let mut clients = JoinSet::new();
    for first in 0..connections {
        let target = target.clone();
        clients.spawn(async move {
            let mut connection = Connection::open(&target).await?;
            let mut samples = Vec::new();
            for number in (first..total).step_by(connections as usize) {
                let due = start + gap * number;
                tokio::time::sleep_until(due.into()).await;
                connection.ask().await?;
                samples.push(due.elapsed().as_secs_f64() * 1000.0);
            }
            anyhow::Ok(samples)
        });
    }
    let mut samples = Vec::new();
    while let Some(client) = clients.join_next().await {
        samples.extend(client??);
    }
    Ok(samples)
}

/// Asks as fast as answers come for `duration`, over `connections` connections, and gives the answers a second.
pub async fn flood(target: &Target, duration: Duration, connections: u32) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let target = target.clone();
        clients.spawn(async move {
            let mut connection = Connection::open(&target).await?;
            let mut answers = 0_u32;
            while start.elapsed() < duration {
                connection.ask().await?;
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(client) = clients.join_next().await {
        answers += client??;
    }
    Ok(f64::from(answers) / start.elapsed().as_secs_f64())
}

/// The bytes of the page's body, as it travels.
pub async fn page_bytes(target: &Target) -> anyhow::Result<usize> {
    Connection::open(target).await?.ask().await
}

struct Connection {
    stream: BufReader<TcpStream>,
    request: String,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(&target.authority).await?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(64 * 1024, stream);
        Ok(Self { stream, request: target.request(), line: String::new(), body: Vec::new() })
    }

    /// One request and its whole answer; gives the bytes of the body.
    async fn ask(&mut self) -> anyhow::Result<usize> {
        self.stream.write_all(self.request.as_bytes()).await?;
        let status = line(&mut self.stream, &mut self.line).await?.to_owned();
        ensure!(status.contains(" 200 "), "the page answered: {status}");
        let (mut length, mut chunked) = (None, false);
        loop {
            let header = line(&mut self.stream, &mut self.line).await?.to_ascii_lowercase();
            match header.split_once(':') {
                None if header.is_empty() => break,
                Some(("content-length", value)) => length = Some(value.trim().parse::<usize>()?),
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                _ => {}
            }
        }
        match length {
            Some(bytes) => self.take(bytes).await,
            None if chunked => self.take_chunks().await,
            None => bail!("the answer does not say how long it is"),
        }
    }

    async fn take(&mut self, bytes: usize) -> anyhow::Result<usize> {
        self.body.resize(bytes, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(bytes)
    }

    async fn take_chunks(&mut self) -> anyhow::Result<usize> {
        let mut sum = 0;
        loop {
            let bytes = usize::from_str_radix(line(&mut self.stream, &mut self.line).await?, 16)?;
            sum += self.take(bytes).await?;
            line(&mut self.stream, &mut self.line).await?;
            if bytes == 0 {
                return Ok(sum);
            }
        }
    }
}

/// One line without its end.
async fn line<'a>(
    stream: &mut (impl AsyncBufRead + Unpin),
    buffer: &'a mut String,
) -> anyhow::Result<&'a str> {
    buffer.clear();
    let read = stream.read_line(buffer).await.context("the answer is no HTTP")?;
    ensure!(read > 0, "the server closed the connection");
    Ok(buffer.trim_end())
}
