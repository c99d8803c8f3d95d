//! The console's page, its tickets, and the WebSocket that the browser opens.

pub mod meeting;
pub mod page;
mod relay;

use super::End;
use crate::auth::Actor;
use crate::error::{Error, Result};
use crate::state::App;
use crate::web::client::client_ip;
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use jst_protocol::MAX_CONSOLE_MESSAGE_BYTES;
use std::time::Duration;

/// Where the WebSocket is.  The ticket comes as its first message and not in the address, because addresses are
/// written into logs, here and in every proxy.
pub const SOCKET: &str = "/console";

/// From the open socket to the ticket.
const TICKET_WITHIN: Duration = Duration::from_secs(10);
const MAX_TICKET_BYTES: usize = 128;

pub fn routes() -> Router<App> {
    page::routes().route(SOCKET, get(socket))
}

/// The bounds of every console's WebSocket, a person's and an agent's.
pub fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(MAX_CONSOLE_MESSAGE_BYTES)
        .max_frame_size(MAX_CONSOLE_MESSAGE_BYTES)
        .read_buffer_size(16 * 1024)
        // Every message is flushed: what is typed must not wait for more.
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_CONSOLE_MESSAGE_BYTES)
}

async fn socket(State(app): State<App>, request: Request) -> Result<Response> {
    let (mut parts, _) = request.into_parts();
    if !is_ours(&parts.headers, &app.config.public_url) {
        return Err(Error::refused("cross-site"));
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app).await.map_err(|_| {
        Error::Refused { status: StatusCode::BAD_REQUEST, code: "malformed", arguments: Vec::new() }
    })?;
    let address = client_ip(&parts, app.config.trusted_proxies);
    let (place, stranger) = app.consoles.place(address).ok_or(Error::Refused {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "console-too-many-sockets",
        arguments: Vec::new(),
    })?;
    // A program has no cookie, and its ticket needs none.
    let by = Actor::from_request_parts(&mut parts, &app).await.ok().map(|actor| actor.user_id);
    Ok(bounded(upgrade).on_upgrade(move |mut socket| async move {
        let _place = place;
        let Some(ticket) = ticket(&mut socket).await else {
            return relay::close(&mut socket, End::Ticket).await;
        };
        // Wrong ones cost a look at the database each, so they keep the place until the answer is there.
        let stranger = stranger;
        let meeting = app.consoles.clone();
        let claimed =
            super::claim(&app, &ticket, by, |console| meeting.wait(console.id, console.host_id)).await;
        drop(stranger);
        match claimed {
            Ok(Some((console, seat))) => relay::run(app, console, socket, seat).await,
            Ok(None) => relay::close(&mut socket, End::Ticket).await,
            Err(error) => {
                tracing::error!(?error, "a console's ticket could not be looked up");
                relay::close(&mut socket, End::Failed).await;
            }
        }
    }))
}

/// The layer that refuses other sites' forms lets every GET pass, so that a page of another site could open this
/// socket with its visitor's cookie.  Browsers say where the page came from; programs say nothing.
fn is_ours(headers: &HeaderMap, public_url: &str) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let authority = |url: &str| Some(url.parse::<Uri>().ok()?.authority()?.as_str().to_ascii_lowercase());
    let Some(from) = authority(origin) else { return false };
    let asked = headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    asked.as_ref() == Some(&from) || authority(public_url).as_ref() == Some(&from)
}

async fn ticket(socket: &mut WebSocket) -> Option<String> {
    let first = tokio::time::timeout(TICKET_WITHIN, socket.recv()).await.ok()??.ok()?;
    match first {
        Message::Text(text) if text.len() <= MAX_TICKET_BYTES => Some(text.as_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn other_sites_are_told_apart() {
        let public = "https://vps.example.com";
        let from = |origin: Option<&'static str>, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            is_ours(&headers, public)
        };
        assert!(from(None, "10.0.0.1:8080"), "a program");
        assert!(from(Some("https://vps.example.com"), "10.0.0.1:8080"), "behind a proxy that renames");
        assert!(from(Some("http://127.0.0.1:8080"), "127.0.0.1:8080"));
        for other in [
            "https://evil.example.com",
            "https://vps.example.com.evil.example",
            "https://vps.example.com@evil.example",
            "http://127.0.0.1:8081",
            "null",
            "",
        ] {
            assert!(!from(Some(other), "127.0.0.1:8080"), "{other}");
        }
    }
}
