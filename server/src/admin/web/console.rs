//! The console of any customer's instance.

use crate::admin::db::instances as db;
use crate::auth::Admin;
use crate::consoles;
use crate::consoles::web::page::{Asked, Widget, answer, right, with_nonce};
use crate::error::{Error, Result};
use crate::state::App;
use crate::web::middleware::StyleNonce;
use crate::web::page::Page;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use axum::routing::get;
use tower_sessions::Session;

pub fn routes() -> Router<App> {
    Router::new().route("/admin/instances/{id}/console", get(show).post(ticket))
}

#[derive(Template)]
#[template(path = "admin/console.html")]
struct ConsolePage {
    name: String,
    back: String,
    customer: String,
    widget: Widget,
    page: Page,
}

async fn show(State(app): State<App>, _: Admin, page: Page, Path(id): Path<String>) -> Result<Response> {
    let instance = db::by_id(app.db.platform(), id.parse()?).await?.ok_or(Error::NotFound)?;
    let nonce = StyleNonce::new();
    let back = format!("/admin/instances/{}", instance.id);
    let widget =
        Widget::new(&page, format!("{back}/console"), String::new(), instance.state == "running", &nonce);
    let shown = ConsolePage { name: instance.name, back, customer: instance.tenant_name, widget, page };
    with_nonce(shown, nonce)
}

async fn ticket(
    State(app): State<App>,
    admin: Admin,
    page: Page,
    session: Session,
    Path(id): Path<String>,
    Form(asked): Form<Asked>,
) -> Result<Response> {
    let open =
        async { consoles::open_of_any(&app, &admin, right(&session)?, id.parse()?, asked.kind()?).await };
    answer(&page, open.await)
}
