//! What the platform could not take or do, and tries again.

use crate::auth::Admin;
use crate::error::Result;
use crate::set_aside::{Aside, Filter, db};
use crate::state::App;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

pub fn routes() -> Router<App> {
    Router::new().route("/admin/set-aside", get(list))
}

/// The latest are enough to see what is wrong; the figure is on the overview.
const SHOWN: i64 = 200;
const SHOWN_OF_ONE: i64 = 20;

/// One of them in the reader's words.
pub struct Row {
    pub kind: String,
    pub reason: String,
    /// Pages of what it is about, with their names.
    pub about: Vec<(String, String)>,
    pub aside: Aside,
}

impl Row {
    fn new(page: &Page, aside: Aside) -> Self {
        let kind = page.t(&format!("set-aside-kind-{}", aside.kind.replace('_', "-")));
        let reason = page.t(&format!("set-aside-reason-{}", aside.reason));
        let named = |path: &str, id: String, name: &Option<String>| {
            (format!("{path}/{id}"), name.clone().unwrap_or_else(|| page.t("admin-unknown")))
        };
        let mut about = Vec::new();
        about.extend(
            aside.instance.as_ref().map(|(id, name)| named("/admin/instances", id.to_string(), name)),
        );
        about.extend(aside.host.as_ref().map(|(id, name)| named("/admin/hosts", id.to_string(), name)));
        about.extend(aside.tenant.map(|id| (format!("/admin/customers/{id}"), page.t("admin-customer"))));
        Self { kind, reason, about, aside }
    }
}

/// What stands aside of one host or instance, for its page.
pub async fn of(app: &App, page: &Page, filter: Filter) -> Result<Vec<Row>> {
    let rows = db::list(app.db.platform(), filter, SHOWN_OF_ONE).await?;
    Ok(rows.into_iter().map(|aside| Row::new(page, aside)).collect())
}

#[derive(Template, WebTemplate)]
#[template(path = "admin/set_aside.html")]
struct ListPage {
    page: Page,
    aside: Vec<Row>,
}

async fn list(State(app): State<App>, _: Admin, page: Page) -> Result<ListPage> {
    let rows = db::list(app.db.platform(), Filter::default(), SHOWN).await?;
    let aside = rows.into_iter().map(|aside| Row::new(&page, aside)).collect();
    Ok(ListPage { page, aside })
}
