//! The calls of agents.

use super::identity::AgentHost;
use super::{Link, desired, reports};
use crate::consoles::web::bounded;
use crate::error::{Error, ErrorToRender, FieldError, Result};
use crate::web::errors::{plain_rejection, problem};
use crate::web::language::Language;
use crate::web::rate_limit;
use crate::{hosts, images};
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Path, Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jst_protocol::desired::Desired;
use jst_protocol::enroll::{EnrollRequest, EnrollResponse};
use jst_protocol::report::Receipt;
use jst_protocol::{MAX_REPORT_BYTES, PREFIX};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::io::ReaderStream;
use tracing::Instrument;
use uuid::Uuid;

/// A certificate request is a few hundred bytes.
const MAX_ENROL_BYTES: usize = 32 * 1024;

/// Images are read and sent in pieces of this size.
const IMAGE_PIECE_BYTES: usize = 256 * 1024;

pub fn router(link: Link) -> Router {
    let calls = Router::new()
        .route("/enroll", post(enroll).layer(DefaultBodyLimit::max(MAX_ENROL_BYTES)))
        .route("/certificate", post(certificate).layer(DefaultBodyLimit::max(MAX_ENROL_BYTES)))
        .route("/desired", get(desired_state))
        .route("/reports", post(report).layer(DefaultBodyLimit::max(MAX_REPORT_BYTES)))
        .route("/images/{sha256}", get(image))
        .route("/consoles/{id}", get(console));
    Router::new()
        .nest(PREFIX, calls)
        .fallback(|| async { Error::NotFound })
        .layer(from_fn(frame))
        .with_state(link)
}

async fn enroll(
    State(link): State<Link>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Result<Json<EnrollResponse>> {
    if let Err(wait) = link.enrolments.check_address(Some(peer.ip())) {
        rate_limit::be_late().await;
        return Err(rate_limit::refusal(wait));
    }
    let request: EnrollRequest = read(&body)?;
    Ok(Json(hosts::enrol::enrol(&link.app, Some(peer.ip()), &request).await?))
}

async fn certificate(
    State(link): State<Link>,
    agent: AgentHost,
    body: Bytes,
) -> Result<Json<EnrollResponse>> {
    let request: EnrollRequest = read(&body)?;
    note(&agent);
    Ok(Json(hosts::enrol::renew(&link.app, agent.id, &agent.link.name, &request).await?))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: i64,
}

async fn desired_state(
    State(link): State<Link>,
    agent: AgentHost,
    Query(After { after }): Query<After>,
) -> Result<Json<Desired>> {
    note(&agent);
    Ok(Json(desired::wait(&link, agent, after).await?))
}

async fn report(State(link): State<Link>, agent: AgentHost, body: Bytes) -> Result<Json<Receipt>> {
    note(&agent);
    Ok(Json(reports::take(&link.app, agent.id, &agent.link.name, read(&body)?).await?))
}

async fn image(State(link): State<Link>, agent: AgentHost, Path(sha256): Path<String>) -> Result<Response> {
    note(&agent);
    let (file, bytes) = images::open(&link.app, &sha256).await?;
    let body = Body::from_stream(ReaderStream::with_capacity(file, IMAGE_PIECE_BYTES));
    let headers =
        [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, bytes.to_string())];
    Ok((headers, body).into_response())
}

/// The agent's end of a console, for somebody who waits in this replica.
async fn console(
    State(link): State<Link>,
    agent: AgentHost,
    Path(id): Path<Uuid>,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    note(&agent);
    let person = link.app.consoles.take(id, agent.id).ok_or(Error::NotFound)?;
    Ok(bounded(upgrade).on_upgrade(|socket| async move {
        // Who went away meanwhile needs no word: the agent sees its socket closed.
        let _ = person.send(socket);
    }))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .map_err(|error| Error::Invalid(vec![FieldError::new("body", "json").with("problem", error)]))
}

/// Names the host in the log lines of this request.
fn note(agent: &AgentHost) {
    tracing::Span::current()
        .record("host", tracing::field::display(agent.id))
        .record("name", agent.link.name.as_str());
}

/// Around every call: its line in the log, and its error as a problem document.  Agents speak
/// English: what they are told ends in a host's journal.
async fn frame(request: Request, next: Next) -> Response {
    let id = uuid::Uuid::new_v4().to_string();
    let (method, started) = (request.method().clone(), Instant::now());
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "agent",
        %method,
        route,
        id,
        host = tracing::field::Empty,
        name = tracing::field::Empty
    );
    async move {
        let response = next.run(request).await;
        let error = match response.extensions().get::<ErrorToRender>() {
            Some(error) => Some(error.0.clone()),
            None => plain_rejection(&response).map(Arc::new),
        };
        let response = match &error {
            Some(error) => problem(error, Language::English, &id),
            None => response,
        };
        let (status, ms) = (response.status().as_u16(), started.elapsed().as_millis() as u64);
        match error.as_deref() {
            Some(Error::Internal(cause)) => {
                tracing::error!(status, ms, error = format!("{cause:#}"), "request failed");
            }
            Some(error) => tracing::info!(status, ms, code = error.code(), "request refused"),
            // Every host asks and reports every few seconds.
            None => tracing::debug!(status, ms, "answered"),
        }
        response
    }
    .instrument(span)
    .await
}
