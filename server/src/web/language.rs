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

    /// The language the reader chose, else the one that the browser likes best of ours, else English.
    pub fn of_request(headers: &HeaderMap) -> Self {
        if let Some(chosen) = super::cookie(headers, COOKIE).and_then(|code| Self::from_code(&code)) {
            return chosen;
        }
        let accepted = headers.get("accept-language").and_then(|value| value.to_str().ok()).unwrap_or("");
        Self::of_ranges(accepted)
    }

    /// Of a list of ranges with weights (RFC 9110, section 12.5.4) the language with the greatest weight, of two alike the
    /// one that is named first.  A range that is named speaks for itself, and `*` for what is not; a weight of 0 says no.
    fn of_ranges(accepted: &str) -> Self {
        let ranges: Vec<(Option<Self>, bool, u16)> = accepted.split(',').filter_map(range).collect();
        let weighed = |language: Self| {
            let named = ranges.iter().enumerate().filter(|(_, (of, ..))| *of == Some(language));
            let any = ranges.iter().enumerate().filter(|(_, (_, any, _))| *any);
            // Of several ranges of one language the greatest counts: zh-TW may be unwanted where zh is not.
            let best = |(place, (.., weight)): (usize, &(_, _, u16))| (*weight, std::cmp::Reverse(place));
            named.map(best).max().or_else(|| any.map(best).max())
        };
        let mut wanted: Vec<_> = Self::ALL
            .into_iter()
            .filter_map(|language| Some((weighed(language).filter(|(weight, _)| *weight > 0)?, language)))
            .collect();
        // Stable, so that English stays first where only `*` speaks.
        wanted.sort_by_key(|(weighed, _)| std::cmp::Reverse(*weighed));
        wanted.first().map_or(Self::English, |(_, language)| *language)
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

/// A range with its language, whether it means any, and its weight in thousandths; none for what is no range.
fn range(text: &str) -> Option<(Option<Language>, bool, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let tag = parts.next().filter(|tag| !tag.is_empty())?.to_ascii_lowercase();
    let weight =
        match parts.find_map(|part| part.strip_prefix(['q', 'Q']).map(str::trim_start)?.strip_prefix('=')) {
            None => 1000,
            Some(weight) => thousandths(weight.trim())?,
        };
    let language = match tag.split('-').next() {
        Some("zh") => Some(Language::Chinese),
        Some("en") => Some(Language::English),
        _ => None,
    };
    Some((language, tag == "*", weight))
}

/// `0.8` as 800; none for what is no weight.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let digits = places.len() <= 3 && places.bytes().all(|byte| byte.is_ascii_digit());
    let places: u16 = format!("{places:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(places),
        "1" if places == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_with_the_greatest_weight_is_spoken() {
        use Language::{Chinese, English};
        for (accepted, spoken) in [
            ("", English),
            ("en", English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Chinese),
            ("en;q=0.8,zh;q=0.9", Chinese),
            ("zh;q=0.5,en-GB;q=0.7", English),
            ("zh;q=0.1, en;q=0.100", Chinese),
            ("zh-TW", Chinese),
            ("zh-Hant-HK,en;q=0.5", Chinese),
            ("ZH-cn", Chinese),
            ("de,fr;q=0.9", English),
            ("de,zh;q=0.3", Chinese),
            ("de, en;q=0.2, zh;q=0.3", Chinese),
            ("en;q=0,zh;q=0.1", Chinese),
            ("zh;q=0", English),
            ("zh;q=0,en;q=0", English),
            ("en;q=0,*", Chinese),
            ("*", English),
            ("*;q=0.5,zh;q=0.4", English),
            ("*;q=0.4,zh;q=0.5", Chinese),
            ("zh;q=0.000,*;q=0.1", English),
            ("zh-TW;q=0,zh-CN;q=0.5", Chinese),
            // What cannot be read weighs nothing, and does not spoil the rest.
            ("zh;q=high,en;q=0.1", English),
            ("zh;q=1.5,en;q=0.1", English),
            ("zh;q=0.1234,en;q=0.1", English),
            (",,;q=1,zh", Chinese),
            ("zh ; q = 0.9 , en ; q=0.8", Chinese),
            ("zhx,en;q=0.1", English),
            ("english,zh;q=0.1", Chinese),
        ] {
            assert_eq!(Language::of_ranges(accepted), spoken, "{accepted:?}");
        }
    }

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
