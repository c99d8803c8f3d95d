//! The two languages of the platform.

use axum::http::HeaderMap;
use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{Loader, static_loader};
use std::borrow::Cow;
use std::collections::HashMap;
use unic_langid::{LanguageIdentifier, langid};

static_loader! {
    static MESSAGES = {
        locales: "./locales",
        fallback_language: "en",
        // The isolation marks around arguments would show in attributes and mails.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

// The names of all messages, sorted, as the build found them.
include!(concat!(env!("OUT_DIR"), "/message_keys.rs"));

static EN: LanguageIdentifier = langid!("en");
static ZH: LanguageIdentifier = langid!("zh-CN");

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    #[default]
    English,
    Chinese,
}

pub const COOKIE: &str = "jst_lang";

impl Language {
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The language the reader chose, else the first of the browser's that we speak, else English.
    pub fn of_request(headers: &HeaderMap) -> Self {
        if let Some(chosen) = super::cookie(headers, COOKIE).and_then(|code| Self::from_code(&code)) {
            return chosen;
        }
        let accepted = headers.get("accept-language").and_then(|value| value.to_str().ok()).unwrap_or("");
        for range in accepted.split(',') {
            let tag = range.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
            if tag == "zh" || tag.starts_with("zh-") {
                return Self::Chinese;
            }
            if tag == "en" || tag.starts_with("en-") {
                return Self::English;
            }
        }
        Self::English
    }

    pub fn text(self, key: &str) -> String {
        MESSAGES.lookup(self.identifier(), key)
    }

    pub fn text_with(self, key: &str, arguments: &[(&'static str, String)]) -> String {
        let arguments: HashMap<Cow<'static, str>, FluentValue<'_>> = arguments
            .iter()
            .map(|(name, value)| {
                // Whole numbers stay numbers, so that plurals work and thousands are grouped.
                let value = match value.parse::<i64>() {
                    Ok(number) if number.to_string() == *value => FluentValue::from(number),
                    // `007` is a name, not seven.
                    _ => FluentValue::from(value.as_str()),
                };
                (Cow::Borrowed(*name), value)
            })
            .collect();
        MESSAGES.lookup_with_args(self.identifier(), key, &arguments)
    }

    /// Whether the message exists in this very language, whatever arguments it wants.
    pub fn has(self, key: &str) -> bool {
        let keys = match self {
            Self::English => EN_KEYS,
            Self::Chinese => ZH_KEYS,
        };
        keys.binary_search(&key).is_ok()
    }

    fn identifier(self) -> &'static LanguageIdentifier {
        match self {
            Self::English => &EN,
            Self::Chinese => &ZH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_wants_arguments_exists() {
        for language in Language::ALL {
            assert!(language.has("flash-invited"), "it has an argument");
            assert!(language.has("sign-in"));
            assert!(!language.has("no-such-message"));
        }
    }

    #[test]
    fn a_name_that_looks_like_a_number_stays_a_name() {
        let text = |name: &str| Language::English.text_with("flash-left", &[("value", name.to_owned())]);
        assert_eq!(text("007"), "You left 007.");
        assert_eq!(text("2024"), "You left 2024.");
    }
}
