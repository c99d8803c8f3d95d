//! In which language this program speaks, and how a message gets its values.
//!
//! The messages themselves stand in [`texts`], English and Chinese side by side.  What `--help` says is
//! English only: it is written where the arguments are defined.

pub mod texts;

use crate::output::plain;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Chinese,
}

/// One message in both languages.  `{name}` stands for a value, and `{name:sh}` for one in a command that the
/// reader may paste into a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    pub en: &'static str,
    pub zh: &'static str,
}

/// Named values of a message.
pub type Arguments = Vec<(&'static str, String)>;

impl Language {
    /// `JST_LANG` decides; without it, what all programs go by.
    pub fn from_environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = ["JST_LANG", "LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(variable)
            .find(|value| !value.is_empty());
        match set {
            Some(value) if value.to_ascii_lowercase().starts_with("zh") => Self::Chinese,
            _ => Self::English,
        }
    }

    /// For `Accept-Language`: details of errors come from the server.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    pub const fn text(self, text: Text) -> &'static str {
        match self {
            Self::English => text.en,
            Self::Chinese => text.zh,
        }
    }

    /// The message with its values.  They may come from the server or from other people, so what could
    /// steer a terminal is escaped here, once for all messages.
    pub fn fill(self, text: Text, arguments: &[(&'static str, String)]) -> String {
        let mut filled = String::new();
        let mut rest = self.text(text);
        // In one pass, so that a value with braces in it is not taken for a message.
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                rest = after;
                break;
            };
            let (name, for_shell) = name.strip_suffix(":sh").map_or((name, false), |name| (name, true));
            if let Some((_, value)) = arguments.iter().find(|(known, _)| *known == name) {
                let value = plain(value);
                filled.push_str(&if for_shell { shell_word(&value) } else { value });
            }
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// One word to a shell, whatever is in it: somebody else may have named an instance `$(reboot)`.
fn shell_word(text: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || "-_.:/".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_environment_decides_and_jst_lang_first() {
        let of = |set: &[(&str, &str)]| {
            Language::of(|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&[]), Language::English);
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8")]), Language::Chinese);
        assert_eq!(of(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), Language::English);
        assert_eq!(of(&[("LANG", "en_US.UTF-8"), ("JST_LANG", "zh")]), Language::Chinese);
        assert_eq!(of(&[("JST_LANG", ""), ("LANG", "zh_TW")]), Language::Chinese);
    }

    #[test]
    fn values_are_filled_in_once_and_cannot_steer_the_terminal() {
        let text = Text { en: "{name} is {state}.", zh: "{name}：{state}。" };
        let arguments = vec![("name", "{state}\u{1b}[2J".to_owned()), ("state", "好".to_owned())];
        assert_eq!(Language::English.fill(text, &arguments), "{state}\\u{1b}[2J is 好.");
        assert_eq!(Language::Chinese.fill(text, &arguments), "{state}\\u{1b}[2J：好。");
    }

    #[test]
    fn a_name_in_a_command_is_one_word_of_it() {
        let text = Text { en: "jst show {name:sh}", zh: "jst show {name:sh}" };
        for (name, word) in [
            ("web-1", "web-1"),
            ("网站", "网站"),
            ("Web 1", "'Web 1'"),
            ("$(reboot); x", "'$(reboot); x'"),
            ("it's", r"'it'\''s'"),
        ] {
            let shown = Language::English.fill(text, &[("name", name.to_owned())]);
            assert_eq!(shown, format!("jst show {word}"));
        }
    }

    #[test]
    fn both_languages_say_everything_with_the_same_values() {
        let values = |text: &str| -> BTreeSet<String> {
            text.split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}'))
                .map(|(n, _)| n.to_owned())
                .collect()
        };
        for text in texts::ALL {
            assert!(!text.en.is_empty() && !text.zh.is_empty(), "{text:?}");
            assert_eq!(values(text.en), values(text.zh), "{text:?}");
        }
    }
}
