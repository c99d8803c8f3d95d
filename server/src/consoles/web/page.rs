//! The page with the console, and the tickets that its script asks for.

use crate::auth::Actor;
use crate::consoles::{self, End, Opened, Right, kind_of};
use crate::error::{Error, Result};
use crate::ids::InstanceId;
use crate::instances::view;
use crate::instances::web::head::Head;
use crate::state::App;
use crate::web::assets;
use crate::web::errors::words;
use crate::web::middleware::StyleNonce;
use crate::web::page::Page;
use crate::web::session_store::id_hash;
use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jst_policy::lifecycle::InstanceState;
use serde::Deserialize;
use serde_json::json;
use tower_sessions::Session;

pub fn routes() -> Router<App> {
    Router::new().route("/instances/{id}/console", get(show).post(ticket))
}

/// What the script needs, in the portal and in the administration.
pub struct Widget {
    /// Where tickets are asked for: this page's own address.
    pub path: String,
    /// The words that the script shows, by name.
    pub words: Vec<(String, String)>,
    /// What to type elsewhere; "" where the instance has no address.
    pub ssh: String,
    /// There is something to connect to, which makes it the first thing to do here.
    pub running: bool,
    pub nonce: String,
    pub novnc: String,
    pub script: String,
}

impl Widget {
    pub fn new(page: &Page, path: String, ssh: String, running: bool, nonce: &StyleNonce) -> Self {
        const STATES: [&str; 9] = [
            "asking",
            "waiting",
            "connected",
            "again",
            "gave-up",
            "unreachable",
            "typing",
            "typed",
            "untyped",
        ];
        let states = STATES.map(|name| (name.to_owned(), page.t(&format!("console-state-{name}"))));
        let ends = End::ALL
            .map(|end| (format!("ended-{}", end.name()), page.t(&format!("console-ended-{}", end.name()))));
        Self {
            path,
            words: states.into_iter().chain(ends).collect(),
            ssh,
            running,
            nonce: nonce.as_str().to_owned(),
            novnc: assets::tree_url("vendor/novnc", "core/rfb.js"),
            script: assets::tree_url("js", "console.js"),
        }
    }
}

/// A page whose style sheets may be made by xterm.js, which writes `<style>` elements.
pub fn with_nonce(page: impl Template, nonce: StyleNonce) -> Result<Response> {
    let html = page.render().map_err(anyhow::Error::from)?;
    let mut response = Html(html).into_response();
    response.extensions_mut().insert(nonce);
    Ok(response)
}

#[derive(Template)]
#[template(path = "consoles/show.html")]
struct ConsolePage {
    head: Head,
    widget: Widget,
    page: Page,
}

async fn show(State(app): State<App>, page: Page, actor: Actor, Path(id): Path<String>) -> Result<Response> {
    let id: InstanceId = id.parse()?;
    let view = view::one(&app, &actor, id).await?;
    let ssh = match view.addresses.first() {
        Some(address) => format!("ssh {}@{address}", view.image.login_user),
        None => String::new(),
    };
    let nonce = StyleNonce::new();
    let running = view.instance.state == InstanceState::Running;
    let widget = Widget::new(&page, format!("/instances/{id}/console"), ssh, running, &nonce);
    with_nonce(ConsolePage { head: Head::new(&page, &view, "console"), widget, page }, nonce)
}

#[derive(Deserialize)]
pub struct Asked {
    kind: String,
}

async fn ticket(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    session: Session,
    Path(id): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Response> {
    let open =
        async { consoles::open(&app, &actor, right(&session)?, id.parse()?, kind_of(&asked.kind)?).await };
    answer(&page, open.await)
}

impl Asked {
    pub fn kind(&self) -> Result<jst_protocol::desired::ConsoleKind> {
        kind_of(&self.kind)
    }
}

pub fn right(session: &Session) -> Result<Right> {
    Ok(Right::Session(id_hash(session.id().ok_or(Error::Unauthenticated)?)))
}

/// The ticket, or why there is none, for the script.
pub fn answer(page: &Page, opened: Result<Opened>) -> Result<Response> {
    match opened {
        Ok(Opened { ticket, .. }) => {
            let body = json!({ "socket": super::SOCKET, "ticket": ticket });
            Ok((StatusCode::CREATED, Json(body)).into_response())
        }
        Err(error @ (Error::NotFound | Error::Forbidden | Error::Refused { .. })) => {
            let (_, detail) = words(&error, page.language);
            Ok((error.status(), Json(json!({ "detail": detail }))).into_response())
        }
        Err(error) => Err(error),
    }
}
