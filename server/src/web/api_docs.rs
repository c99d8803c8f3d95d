//! `/api/docs`: the API's description as a page that people read.
//!
//! Rendered here from the same document that `/api/v1/openapi.json` serves, so that it needs no
//! script and nothing from elsewhere.  The frame speaks the reader's language; the reference itself is
//! in English, as the document is.

mod example;
mod model;

use super::language::Language;
use super::page::Page;
use crate::state::App;
use askama::Template;
use askama_web::WebTemplate;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use model::Reference;
use rust_embed::RustEmbed;
use std::sync::Arc;
use utoipa::openapi::OpenApi;

pub fn routes(document: Arc<OpenApi>) -> Router<App> {
    let reference =
        serde_json::to_value(&*document).map(|document| Reference::of(&document)).unwrap_or_default();
    let reference = Arc::new(reference);
    Router::new().route(
        "/api/docs",
        get(move |State(app): State<App>, page: Page| async move { DocsPage::new(&app, page, reference) }),
    )
}

/// The messages themselves name every code that there is.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/locales/en"]
#[include = "*.ftl"]
struct Messages;

struct Code {
    code: String,
    text: String,
}

#[derive(Template, WebTemplate)]
#[template(path = "api/docs.html")]
struct DocsPage {
    page: Page,
    reference: Arc<Reference>,
    problems: Vec<Code>,
    field_problems: Vec<Code>,
    server: String,
}

impl DocsPage {
    fn new(app: &App, page: Page, reference: Arc<Reference>) -> Self {
        Self {
            problems: codes("error-", page.language),
            field_problems: codes("invalid-", page.language),
            server: app.config.public_url.trim_end_matches('/').to_owned(),
            reference,
            page,
        }
    }

    fn curl(&self, operation: &model::Operation) -> String {
        operation.curl(&self.server)
    }
}

/// Every code with this prefix, and what it says, in alphabetical order.
fn codes(prefix: &str, language: Language) -> Vec<Code> {
    let mut codes: Vec<String> = Messages::iter()
        .filter_map(|name| Messages::get(&name))
        .flat_map(|file| {
            let text = String::from_utf8_lossy(&file.data).into_owned();
            let keys = text.lines().filter_map(|line| line.split_once(" =").map(|(key, _)| key));
            keys.filter_map(|key| key.strip_prefix(prefix).map(str::to_owned)).collect::<Vec<_>>()
        })
        // Words of the error page, which are no codes.
        .filter(|code| !code.starts_with("title-") && !["back-home", "request-id"].contains(&code.as_str()))
        .collect();
    codes.sort();
    codes.into_iter().map(|code| Code { text: language.text(&format!("{prefix}{code}")), code }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_words_in_both_languages() {
        for language in Language::ALL {
            let codes = codes("error-", language);
            assert!(codes.iter().any(|code| code.code == "not-found"), "the codes are found");
            assert!(codes.iter().all(|code| !code.text.is_empty() && !code.code.contains("title")));
        }
    }
}
