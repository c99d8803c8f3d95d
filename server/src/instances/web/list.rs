//! The list of instances.

use super::dashboard::Row;
use crate::auth::Actor;
use crate::error::Result;
use crate::ids::InstanceId;
use crate::instances::view;
use crate::state::App;
use crate::web::page::Page;
use crate::web::paging::Paging;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

pub fn routes() -> Router<App> {
    // Creating posts to the same address: see `new`.
    Router::new().route("/instances", get(show).post(super::new::create))
}

#[derive(Template, WebTemplate)]
#[template(path = "instances/list.html")]
struct ListPage {
    rows: Vec<Row>,
    first: bool,
    next: String,
    operates: bool,
    page: Page,
}

async fn show(
    State(app): State<App>,
    page: Page,
    actor: Actor,
    paging: Paging<InstanceId>,
) -> Result<ListPage> {
    let list = view::list(&app, &actor, &paging).await?;
    Ok(ListPage {
        rows: list.items.iter().map(|view| Row::of(&page, view)).collect(),
        first: paging.after.is_none(),
        next: list.next_cursor.map_or(String::new(), |cursor| format!("/instances?cursor={cursor}")),
        operates: actor.may_operate().is_ok(),
        page,
    })
}
