//! The page, for customers and for operators; and its list alone, for the palette.

use super::{ADMIN, MOST_OF_A_KIND, PORTAL, Place, db, question};
use crate::admin::db::{customers, instances};
use crate::auth::{Actor, Admin};
use crate::error::Result;
use crate::help;
use crate::state::App;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/search", get(portal)).route("/admin/search", get(admin))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Question {
    q: String,
    /// The list alone is wanted, for the palette.
    list: bool,
}

/// One line: where it leads, what it is called, and what it is.
struct Line {
    href: String,
    icon: &'static str,
    name: String,
    kind: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "search/portal.html")]
struct PortalPage {
    page: Page,
    question: String,
    lines: Vec<Line>,
}

#[derive(Template, WebTemplate)]
#[template(path = "search/admin.html")]
struct AdminPage {
    page: Page,
    question: String,
    lines: Vec<Line>,
}

#[derive(Template, WebTemplate)]
#[template(path = "search/list.html")]
struct List {
    page: Page,
    question: String,
    lines: Vec<Line>,
}

/// Places whose name contains what was typed; all of them where nothing was.
fn places(page: &Page, places: &[Place], question: &str) -> Vec<Line> {
    let question = question.to_lowercase();
    places
        .iter()
        .map(|(href, icon, key)| Line {
            href: (*href).to_owned(),
            icon,
            name: page.t(key),
            kind: page.t("search-kind-page"),
        })
        .filter(|line| line.name.to_lowercase().contains(&question))
        .collect()
}

async fn portal(
    State(app): State<App>,
    actor: Actor,
    page: Page,
    Query(sent): Query<Question>,
) -> Result<Response> {
    let question = question(&sent.q);
    let mut lines = Vec::new();
    if !question.is_empty() {
        let mut tx = app.db.tenant(actor.tenant_id).await?;
        for found in db::instances(&mut tx, actor.tenant_id, &question, MOST_OF_A_KIND).await? {
            lines.push(Line {
                href: format!("/instances/{}", found.id),
                icon: "server",
                name: found.name,
                kind: found.address.unwrap_or_else(|| page.t("search-kind-instance")),
            });
        }
    }
    lines.extend(places(&page, PORTAL, &question));
    let articles = help::search(help::articles(page.language), &question);
    lines.extend(articles.into_iter().take(MOST_OF_A_KIND as usize).map(|hit| Line {
        href: format!("/help/{}", hit.article.name),
        icon: "book-open",
        name: hit.article.head.title.clone(),
        kind: page.t("nav-help"),
    }));
    Ok(if sent.list {
        List { page, question, lines }.into_response()
    } else {
        PortalPage { page, question, lines }.into_response()
    })
}

async fn admin(
    State(app): State<App>,
    _: Admin,
    page: Page,
    Query(sent): Query<Question>,
) -> Result<Response> {
    let question = question(&sent.q);
    let pool = app.db.platform();
    let mut lines = Vec::new();
    if !question.is_empty() {
        for (id, name) in db::hosts(pool, &question, MOST_OF_A_KIND).await? {
            lines.push(Line {
                href: format!("/admin/hosts/{id}"),
                icon: "layers",
                name,
                kind: page.t("search-kind-host"),
            });
        }
        let filter = instances::Filter { search: &question, ..Default::default() };
        for found in instances::list(pool, &filter, None, MOST_OF_A_KIND).await? {
            lines.push(Line {
                href: format!("/admin/instances/{}", found.id),
                icon: "server",
                name: found.name,
                kind: found.tenant_name,
            });
        }
        for found in customers::list(pool, &question, None, None, MOST_OF_A_KIND).await? {
            lines.push(Line {
                href: format!("/admin/customers/{}", found.id),
                icon: "users",
                name: found.name,
                kind: found.owner.unwrap_or_else(|| page.t("search-kind-customer")),
            });
        }
    }
    lines.extend(places(&page, ADMIN, &question));
    Ok(if sent.list {
        List { page, question, lines }.into_response()
    } else {
        AdminPage { page, question, lines }.into_response()
    })
}
