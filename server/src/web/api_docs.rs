//! `/api/docs`: the API's description as a page that people read.
//!
//! Rendered here from the same document that `/api/v1/openapi.json` serves, so that it needs no
//! script and nothing from elsewhere.  What a call does is said in the reader's language; its details
//! are in English, as the document is.

mod chinese;
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
use model::{Paragraph, Reference};
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
#[folder = "$CARGO_MANIFEST_DIR/locales"]
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

    fn introduction(&self) -> Vec<Paragraph> {
        match self.page.language {
            Language::English => model::paragraphs(&self.reference.introduction),
            Language::Chinese => model::paragraphs(chinese::INTRODUCTION),
        }
    }

    /// What a group is called and what a call does.
    fn said<'a>(&self, english: &'a str) -> &'a str {
        match self.page.language {
            Language::English => english,
            Language::Chinese => chinese::of(english),
        }
    }

    fn curl(&self, operation: &model::Operation) -> String {
        operation.curl(&self.server)
    }
}

/// Every code with this prefix, and what it says, in alphabetical order.
fn codes(prefix: &str, language: Language) -> Vec<Code> {
    let folder = format!("{}/", language.code());
    let files = Messages::iter().filter(|name| name.starts_with(&folder));
    let mut codes: Vec<Code> = files
        .filter_map(|name| Messages::get(&name))
        .flat_map(|file| entries(&String::from_utf8_lossy(&file.data)))
        .filter_map(|(key, text)| {
            Some(Code { code: key.strip_prefix(prefix)?.to_owned(), text: in_general(&text) })
        })
        // Words of the error page, which are no codes.
        .filter(|Code { code, .. }| {
            !code.starts_with("title-") && !["back-home", "request-id"].contains(&code.as_str())
        })
        .collect();
    codes.sort_by(|a, b| a.code.cmp(&b.code));
    codes
}

/// The messages of a file: a key, and its text with the lines that continue it.
fn entries(file: &str) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in file.lines() {
        if let Some(continued) = line.strip_prefix([' ', '}']).filter(|_| !entries.is_empty()) {
            if let Some((_, text)) = entries.last_mut() {
                text.push('\n');
                text.push_str(continued.trim());
            }
        } else if let Some((key, text)) = line.split_once(" =") {
            entries.push((key.to_owned(), text.trim().to_owned()));
        }
    }
    entries
}

/// A message without its figures: of several forms the general one, and `‹name›` for a placeable.
fn in_general(text: &str) -> String {
    let text = match text.lines().find_map(|line| line.trim().strip_prefix("*[other]")) {
        Some(other) => other.trim(),
        None => text,
    };
    text.replace('\n', " ").replace("{ $", "‹").replace("{$", "‹").replace(" }", "›").replace('}', "›")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_words_in_both_languages() {
        for language in Language::ALL {
            let codes = codes("error-", language);
            assert!(codes.iter().any(|code| code.code == "not-found"), "the codes are found");
            assert!(codes.iter().all(|code| !code.text.is_empty() && !code.text.contains(['{', '}', '*'])));
        }
    }

    #[test]
    fn messages_are_shown_without_their_figures() {
        let file = "# Words\na-b = Enter { $min } to { $max }.\nc = { $count ->\n    [one] One.\n   *[other] { $count } of them.\n}\n";
        let entries = entries(file);
        let shown: Vec<(&str, String)> =
            entries.iter().map(|(key, text)| (key.as_str(), in_general(text))).collect();
        assert_eq!(shown, [("a-b", "Enter ‹min› to ‹max›.".into()), ("c", "‹count› of them.".into())]);
    }
}
