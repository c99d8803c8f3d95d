//! `Idempotency-Key`: a client that did not hear the answer asks again, and nothing happens twice.
//!
//! A layer around the whole API, so that no endpoint can forget it.  The first request with a key
//! books it; its answer is kept (sealed: it may hold a secret that is shown once) and given again
//! for 24 hours.  Only success is kept: what was refused changed nothing and may be tried again.
//!
//! The request runs in a task of its own, because a client that hangs up must not cut it off
//! between the change and the note of it.  Where the server itself was cut off there, the log tells
//! whether the change was made: its event carries the key and was written with it.  Without an event nothing
//! has happened, and the request is carried out now; with one, the answer names what was changed.

use super::db::{self, Booked};
use crate::auth::Actor;
use crate::auth::billing_system::{self, BillingSystem};
use crate::error::{Error, Result};
use crate::ids::TenantId;
use crate::state::App;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use utoipa::IntoParams;
use uuid::Uuid;

pub const HEADER: &str = "idempotency-key";
const MAX_KEY_BYTES: usize = 255;

/// What the API's description says of the header; name it in `params(…)` of each POST.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)]
pub struct IdempotencyParams {
    /// 1 to 255 printable characters of your choice.  The same request with the same key within
    /// 24 hours is carried out once and answered alike.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(HEADER) {
        return next.run(request).await;
    }
    once(app, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

/// Who asks, among whose keys this one is, and what they may: an answer is given again only to somebody who has all
/// the rights of whoever asked first, because the handler that checked them is not asked again.
#[derive(Clone)]
struct Asker {
    who: Uuid,
    scope: TenantId,
    rights: Vec<String>,
}

impl Asker {
    /// Handlers find who asks among the extensions, and with it the key for their events.
    async fn of(parts: &mut Parts, app: &App, key: &str) -> Result<Self> {
        if parts.uri.path().starts_with(billing_system::PATH) {
            let mut system = BillingSystem::from_request_parts(parts, app).await?;
            system.idempotency_key = Some(key.to_owned());
            let asker = Self { who: system.id.uuid(), scope: system.key_scope(), rights: system.rights() };
            parts.extensions.insert(Arc::new(system));
            return Ok(asker);
        }
        let mut actor = Actor::from_request_parts(parts, app).await?;
        actor.idempotency_key = Some(key.to_owned());
        let asker = Self { who: actor.user_id.uuid(), scope: actor.tenant_id, rights: actor.rights() };
        parts.extensions.insert(Arc::new(actor));
        Ok(asker)
    }
}

async fn once(app: App, request: Request, next: Next) -> Result<Response> {
    let (mut parts, body) = request.into_parts();
    let key = key(&parts.headers)?;
    let asker = Asker::of(&mut parts, &app, &key).await?;
    let body = axum::body::to_bytes(body, crate::router::MAX_BODY_BYTES).await.map_err(|_| {
        Error::Refused { status: StatusCode::PAYLOAD_TOO_LARGE, code: "too-large", arguments: Vec::new() }
    })?;
    // Who asks is part of the request: nobody is shown what somebody else was answered.
    let hash = request_hash(&[
        asker.who.as_bytes(),
        parts.method.as_str().as_bytes(),
        parts.uri.to_string().as_bytes(),
        &body,
    ]);
    match db::book_key(&app.db, asker.scope, &key, &hash, &asker.rights).await? {
        Booked::Fresh => {}
        Booked::Other => return Err(Error::invalid("Idempotency-Key", "idempotency-key-reused")),
        Booked::OtherRights => return Err(Error::refused("idempotency-rights")),
        Booked::Unfinished => return Err(Error::conflict("idempotency-in-progress")),
        Booked::Done { subject } => {
            return Err(Error::Refused {
                status: StatusCode::CONFLICT,
                code: "idempotency-done",
                arguments: vec![("subject", subject)],
            });
        }
        Booked::Answered { status, sealed } => return replay(&app, &asker, &key, status, &sealed),
    }
    let request = Request::from_parts(parts, Body::from(body));
    let work = tokio::spawn(async move {
        let response = next.run(request).await;
        keep(&app, &asker, &key, response).await
    });
    work.await.map_err(|error| Error::Internal(anyhow::Error::new(error)))?
}

/// Keeps the answer of a success, and frees the key after anything else.
async fn keep(app: &App, asker: &Asker, key: &str, response: Response) -> Result<Response> {
    if !response.status().is_success() {
        db::free_key(&app.db, asker.scope, key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(anyhow::Error::from)?;
    let sealed = STANDARD.encode(app.sealer.seal(&row_name(asker, key), &body));
    db::keep_answer(&app.db, asker.scope, key, parts.status.as_u16(), &sealed).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(app: &App, asker: &Asker, key: &str, status: u16, sealed: &str) -> Result<Response> {
    let sealed = STANDARD.decode(sealed).map_err(anyhow::Error::from)?;
    let body = app.sealer.open_sealed(&row_name(asker, key), &sealed)?;
    let status = StatusCode::from_u16(status).map_err(anyhow::Error::from)?;
    let mut response = (status, Bytes::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

fn row_name(asker: &Asker, key: &str) -> String {
    format!("idempotency_keys/{}/{key}", asker.scope)
}

fn key(headers: &HeaderMap) -> Result<String> {
    let mut values = headers.get_all(HEADER).iter();
    let text = values.next().and_then(|value| value.to_str().ok()).unwrap_or("");
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.is_empty() || text.len() > MAX_KEY_BYTES || !printable || values.next().is_some() {
        return Err(Error::Invalid(vec![
            crate::error::FieldError::new("Idempotency-Key", "idempotency-key").with("max", MAX_KEY_BYTES),
        ]));
    }
    Ok(text.to_owned())
}

/// The lengths are hashed too, so that two requests cannot be cut differently into the same bytes.
fn request_hash(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}
