//! The help centre: articles in Markdown, in both languages, compiled in and rendered once.
//!
//! An article is a file `docs/help/LANGUAGE/NAME.md`: what is said of it between two lines `+++`, as TOML, and then
//! CommonMark with tables.  They are ours, and still no HTML in them is passed on.

mod search;
pub mod web;

use crate::web::language::Language;
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use rust_embed::RustEmbed;
use serde::Deserialize;
use std::sync::LazyLock;

pub use search::{Hit, search};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../docs/help"]
#[include = "*.md"]
struct Files;

/// What articles are about, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    Start,
    Limits,
    Network,
    Virtualization,
    Trial,
    Billing,
    Rules,
}

impl Topic {
    pub const ALL: [Self; 7] = [
        Self::Start,
        Self::Limits,
        Self::Network,
        Self::Virtualization,
        Self::Trial,
        Self::Billing,
        Self::Rules,
    ];

    /// The key of its words.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Start => "help-topic-start",
            Self::Limits => "help-topic-limits",
            Self::Network => "help-topic-network",
            Self::Virtualization => "help-topic-virtualization",
            Self::Trial => "help-topic-trial",
            Self::Billing => "help-topic-billing",
            Self::Rules => "help-topic-rules",
        }
    }
}

/// What a file says of its article.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub title: String,
    pub summary: String,
    pub topic: Topic,
    /// Among all articles.
    pub order: u32,
}

#[derive(Clone, Debug)]
pub struct Article {
    pub name: String,
    pub head: Head,
    pub html: String,
    pub sections: Vec<Section>,
    /// All words of it, for searching.
    pub text: String,
}

/// A heading: its words, and the name of the place on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub id: String,
    pub title: String,
}

/// All articles of a language, in order.
pub fn articles(language: Language) -> &'static [Article] {
    static ENGLISH: LazyLock<Vec<Article>> = LazyLock::new(|| load(Language::English));
    static CHINESE: LazyLock<Vec<Article>> = LazyLock::new(|| load(Language::Chinese));
    match language {
        Language::English => &ENGLISH,
        Language::Chinese => &CHINESE,
    }
}

fn load(language: Language) -> Vec<Article> {
    let folder = format!("{}/", language.code());
    let mut articles: Vec<Article> = Files::iter()
        .filter_map(|path| {
            let name = path.strip_prefix(&folder)?.strip_suffix(".md")?;
            let file = Files::get(&path)?;
            // The tests have read every one of them.
            match Article::parse(name, &String::from_utf8_lossy(&file.data)) {
                Ok(article) => Some(article),
                Err(error) => {
                    tracing::error!(
                        path = &*path,
                        error = format!("{error:#}"),
                        "an article of the help is left out"
                    );
                    None
                }
            }
        })
        .collect();
    articles.sort_by_key(|article| article.head.order);
    articles
}

impl Article {
    fn parse(name: &str, file: &str) -> anyhow::Result<Self> {
        let parts = file.strip_prefix("+++\n").and_then(|rest| rest.split_once("\n+++\n"));
        let (head, body) =
            parts.ok_or_else(|| anyhow::anyhow!("it does not begin with a head between two lines +++"))?;
        let head = toml::from_str(head)?;
        let mut sections: Vec<Section> = Vec::new();
        let mut text = String::new();
        let mut heading = false;
        let mut events: Vec<Event<'_>> = Vec::new();
        for event in Parser::new_ext(body, Options::ENABLE_TABLES) {
            match &event {
                Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => {
                    heading = true;
                    sections.push(Section { id: format!("s{}", sections.len() + 1), title: String::new() });
                }
                Event::End(TagEnd::Heading(_)) => heading = false,
                Event::Text(words) | Event::Code(words) => {
                    text.push_str(words);
                    if let Some(section) = sections.last_mut().filter(|_| heading) {
                        section.title.push_str(words);
                    }
                }
                Event::SoftBreak | Event::HardBreak | Event::End(_) => text.push(' '),
                _ => {}
            }
            events.push(match event {
                Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
                    let id =
                        sections.last().filter(|_| heading).map(|section| CowStr::from(section.id.clone()));
                    Event::Start(Tag::Heading { level, id, classes, attrs })
                }
                // Shown as what it is.
                Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
                other => other,
            });
        }
        let mut html = String::new();
        html::push_html(&mut html, events.into_iter());
        Ok(Self { name: name.to_owned(), head, html: dressed(&html), sections, text })
    }
}

/// With our classes.  Nothing may have a style of its own: the policy of the pages forbids it.
fn dressed(html: &str) -> String {
    html.replace("<table>", "<div class=\"article-table\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>")
        .replace(" style=\"text-align: right\"", " class=\"end num\"")
        .replace(" style=\"text-align: left\"", "")
        .replace(" style=\"text-align: center\"", "")
        .replace("<th", "<th scope=\"col\"")
        .replace("<th scope=\"col\"ead>", "<thead>")
        .replace("<pre>", "<pre class=\"code\">")
}

#[cfg(test)]
mod tests;
