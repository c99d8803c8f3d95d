//! Every component in every state, for those who write pages.

use crate::auth::Admin;
use crate::state::App;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::routing::get;

pub fn routes() -> Router<App> {
    Router::new().route("/styleguide", get(show))
}

#[derive(Template, WebTemplate)]
#[template(path = "styleguide.html")]
struct GuidePage {
    page: Page,
}

async fn show(_: Admin, page: Page) -> GuidePage {
    GuidePage { page }
}
