//! The pages of the help centre, for everybody.

use super::{Article, Hit, Topic, articles, search};
use crate::error::{Error, Result};
use crate::state::App;
use crate::web::page::Page;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use serde::Deserialize;

pub fn routes() -> Router<App> {
    Router::new().route("/help", get(index)).route("/help/{name}", get(show))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Question {
    q: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "public/help.html")]
struct HelpPage {
    page: Page,
    question: String,
    hits: Vec<Hit<'static>>,
    topics: Vec<(Topic, Vec<&'static Article>)>,
}

async fn index(page: Page, Query(question): Query<Question>) -> HelpPage {
    let question = question.q.trim().to_owned();
    let all = articles(page.language);
    let topics = Topic::ALL
        .into_iter()
        .map(|topic| (topic, all.iter().filter(|article| article.head.topic == topic).collect()))
        .collect();
    HelpPage { hits: search(all, &question), question, topics, page }
}

#[derive(Template, WebTemplate)]
#[template(path = "public/article.html")]
struct ArticlePage {
    page: Page,
    article: &'static Article,
    before: Option<&'static Article>,
    after: Option<&'static Article>,
}

async fn show(page: Page, Path(name): Path<String>) -> Result<ArticlePage> {
    let all = articles(page.language);
    let place = all.iter().position(|article| article.name == name).ok_or(Error::NotFound)?;
    let before = place.checked_sub(1).and_then(|place| all.get(place));
    Ok(ArticlePage { page, article: &all[place], before, after: all.get(place + 1) })
}
