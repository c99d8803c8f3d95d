//! `POST /api/v1/instances/{id}/console`, and the same for administrators.

use super::{Opened, Right, kind_of, kind_word};
use crate::auth::{Actor, Admin};
use crate::error::Result;
use crate::ids::{ConsoleId, InstanceId};
use crate::state::App;
use crate::web::api::Problem;
use crate::web::idempotency::IdempotencyParams;
use crate::web::json::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(open_of_any))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConsoleBody {
    /// `serial` (bytes of the first serial port) or `vnc` (the screen, as RFB).
    #[schema(example = "serial")]
    kind: String,
}

/// A ticket for a console.
#[derive(Serialize, ToSchema)]
#[schema(as = ConsoleTicket)]
struct TicketBody {
    id: ConsoleId,
    #[schema(example = "serial")]
    kind: &'static str,
    /// Open a WebSocket here, and send the ticket as its first message, as text.
    #[schema(example = "wss://vps.example.com/console")]
    address: String,
    /// Good once, for 30 seconds.
    ticket: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: OffsetDateTime,
}

impl TicketBody {
    fn of(app: &App, opened: Opened) -> (StatusCode, Json<Self>) {
        // http becomes ws, and https wss.
        let address = app.config.public_url.trim_end_matches('/').replacen("http", "ws", 1);
        let body = Self {
            id: opened.id,
            kind: kind_word(opened.kind),
            address: format!("{address}{}", super::web::SOCKET),
            ticket: opened.ticket,
            expires_at: opened.expires_at,
        };
        (StatusCode::CREATED, Json(body))
    }
}

/// Opens a console of a running instance.
///
/// The answer has the address of a WebSocket and a ticket.  Send the ticket as the first message, as text.  You are told
/// `{"state":"waiting"}` and then `{"state":"connected"}`, as text; after that all messages are binary and go to the
/// guest and come from it as they are.  The reason of the close says why it ended.
#[utoipa::path(post, path = "/api/v1/instances/{id}/console", tag = "actions",
    params(("id" = InstanceId, Path), IdempotencyParams), request_body = ConsoleBody, responses(
    (status = 201, body = TicketBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "It does not run, or too many consoles are open", body = Problem),
    (status = 422, body = Problem),
))]
async fn open(
    State(app): State<App>,
    actor: Actor,
    Path(id): Path<String>,
    Json(body): Json<ConsoleBody>,
) -> Result<(StatusCode, Json<TicketBody>)> {
    let kind = kind_of(&body.kind)?;
    Ok(TicketBody::of(&app, super::open(&app, &actor, Right::Token, id.parse()?, kind).await?))
}

/// Open a console of any running instance
///
/// The customer sees in the activity of the instance who opened it.
#[utoipa::path(post, path = "/api/v1/admin/instances/{id}/console", tag = "Administration: instances",
    params(("id" = InstanceId, Path), IdempotencyParams), request_body = ConsoleBody, responses(
    (status = 201, body = TicketBody),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, description = "It does not run, or too many consoles are open", body = Problem),
    (status = 422, body = Problem),
))]
async fn open_of_any(
    State(app): State<App>,
    admin: Admin,
    Path(id): Path<String>,
    Json(body): Json<ConsoleBody>,
) -> Result<(StatusCode, Json<TicketBody>)> {
    let kind = kind_of(&body.kind)?;
    Ok(TicketBody::of(&app, super::open_of_any(&app, &admin, Right::Token, id.parse()?, kind).await?))
}
