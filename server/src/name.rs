//! What people call things: one form of every name, and one set of rules.
//!
//! A name is kept in NFC, without white space around it and with single spaces within, so that one name has one
//! spelling whatever keyboard wrote it.  It holds only what can be seen: no control or format characters, no line
//! separators, nothing unassigned or private, no combining mark that has nothing to combine with.
//!
//! Two joiners are format characters and yet part of the spelling of Persian and of the Indic scripts: U+200C and
//! U+200D pass between two letters of such a script and nowhere else.  Emoji that are joined from several are refused;
//! a single one passes, with its variation selector.

use crate::error::FieldError;
use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Most bytes of a name for each character that it may have: as many as a Chinese character has in UTF-8.
const BYTES_PER_CHARACTER: usize = 3;
/// Most combining marks on one letter.  Tibetan stacks are as high; what is higher covers the lines around it.
const MAX_MARKS: usize = 6;

/// A name in its normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Reads a name of at most `max` characters and three times as many bytes.
    ///
    /// Errors are at `field`: `required`, `too-long`, `control-characters` or `name-characters`, the last two with the
    /// `character` that is meant, as `U+200B`.
    pub fn parse(field: &str, text: &str, max: usize) -> Result<Self, FieldError> {
        let text = normal(text);
        if text.chars().all(is_blank) {
            return Err(FieldError::new(field, "required"));
        }
        if text.chars().count() > max || text.len() > max * BYTES_PER_CHARACTER {
            return Err(FieldError::new(field, "too-long").with("max", max));
        }
        match unfit(&text) {
            None => Ok(Self(text)),
            Some(c) => {
                let code = if c.is_control() { "control-characters" } else { "name-characters" };
                let shown = format!("U+{:04X}", u32::from(c));
                Err(FieldError::new(field, code).with("character", shown))
            }
        }
    }

    /// The longest beginning of a text that is a name, for names that we make; `otherwise` where nothing of it is one.
    pub fn made_from(text: &str, max: usize, otherwise: &str) -> Self {
        let visible: String = text.nfc().map(|c| if unfit_alone(c) { ' ' } else { c }).collect();
        let mut made: Vec<char> = visible.chars().take(max).collect();
        loop {
            let text: String = made.iter().collect();
            match Self::parse("name", &text, max) {
                Ok(name) => return name,
                Err(_) if made.pop().is_some() => {}
                Err(_) => return Self(otherwise.to_owned()),
            }
        }
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Whether two spellings are one name to a reader: compatible forms and what cannot be seen make no difference.
pub fn same(left: &str, right: &str) -> bool {
    comparable(left) == comparable(right)
}

/// Whether a name can be read off a page and typed.  Names from before the rules may hold what cannot.
pub fn can_be_typed(name: &str) -> bool {
    let normal = normal(name);
    !normal.is_empty() && unfit(&normal).is_none()
}

/// Whether a character shows nothing: white space, and what only steers the text around it.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c) || unfit_alone(c) && !is_private(c)
}

fn is_private(c: char) -> bool {
    c.general_category() == GeneralCategory::PrivateUse
}

/// What stands for a name in comparisons.  The index of servers' names says the same in SQL, and case besides.
fn comparable(name: &str) -> String {
    normal(&name.chars().filter(|c| !is_invisible(*c) && !is_format(*c)).nfkc().collect::<String>())
}

/// NFC, with single spaces instead of white space, and none around it.
fn normal(text: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    for c in text.trim().nfc() {
        // A line break or a tab in the middle is an error, which is told, and no space.
        let space = c.is_whitespace() && c.general_category() == GeneralCategory::SpaceSeparator;
        if !space {
            normal.push(c);
        } else if !normal.ends_with(' ') {
            normal.push(' ');
        }
    }
    normal
}

/// The first character that no name may hold where it stands.
fn unfit(text: &str) -> Option<char> {
    let characters: Vec<char> = text.chars().collect();
    let mut marks = 0;
    for (index, c) in characters.iter().copied().enumerate() {
        let before = index.checked_sub(1).map(|index| characters[index]);
        let after = characters.get(index + 1).copied();
        marks = if is_mark(c) { marks + 1 } else { 0 };
        let fits = if is_joiner(c) {
            before.is_some_and(joins) && after.is_some_and(joins)
        } else if is_emoji_selector(c) {
            before.is_some_and(takes_selector)
        } else if is_mark(c) {
            !is_invisible(c) && before.is_some_and(|before| before != ' ') && marks <= MAX_MARKS
        } else {
            !unfit_alone(c)
        };
        if !fits {
            return Some(c);
        }
    }
    None
}

/// What no name holds anywhere, but for joiners.
fn unfit_alone(c: char) -> bool {
    is_invisible(c)
        || matches!(
            c.general_category(),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::Surrogate
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
        )
}

fn is_format(c: char) -> bool {
    c.general_category() == GeneralCategory::Format
}

fn is_mark(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Mark
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Letters and marks of the scripts whose spelling needs joiners: Arabic and its neighbours, those of India, Burmese, Khmer.
fn joins(c: char) -> bool {
    let letter = is_mark(c) || c.general_category_group() == GeneralCategoryGroup::Letter;
    letter
        && matches!(c, '\u{0600}'..='\u{08ff}' | '\u{0900}'..='\u{0dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// Chooses between the text and the picture form of the sign before it.
const fn is_emoji_selector(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
}

fn takes_selector(c: char) -> bool {
    !is_invisible(c)
        && matches!(c.general_category_group(), GeneralCategoryGroup::Symbol | GeneralCategoryGroup::Number)
        || matches!(c, '#' | '*' | '\u{203c}' | '\u{2049}')
}

/// Letters, marks and signs by their category that nevertheless show nothing.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, (&'static str, Option<String>)> {
        Name::parse("name", text, 63).map(Name::into_string).map_err(|error| {
            (error.code, error.arguments.iter().find(|(key, _)| *key == "character").map(|(_, c)| c.clone()))
        })
    }

    #[test]
    fn a_name_has_one_spelling() {
        for (written, kept) in [
            ("web-1", "web-1"),
            ("  林文 Studio ", "林文 Studio"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("caf\u{e9}", "caf\u{e9}"),
            ("web\u{a0}server", "web server"),
            ("web \u{3000} server\u{2003}", "web server"),
            ("\tweb\n", "web"),
            ("한국", "한국"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("أحمد", "أحمد"),
            // Persian and Hindi are spelled with joiners.
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("क्\u{200d}ष", "क्\u{200d}ष"),
            ("Ангстрем Å", "Ангстрем Å"),
            ("rocket 🚀", "rocket 🚀"),
            ("love ❤\u{fe0f}", "love ❤\u{fe0f}"),
            ("1\u{fe0f}\u{20e3}", "1\u{fe0f}\u{20e3}"),
            ("ไทย ที่", "ไทย ที่"),
        ] {
            assert_eq!(read(written).as_deref(), Ok(kept), "{written:?}");
        }
    }

    #[test]
    fn a_name_holds_only_what_can_be_seen() {
        for (text, code, character) in [
            ("", "required", None),
            (" \u{3000}\u{a0}", "required", None),
            ("\u{200b}", "required", None),
            ("\u{3164}", "required", None),
            ("\u{2800}", "required", None),
            ("a\nb", "control-characters", Some("U+000A")),
            ("a\tb", "control-characters", Some("U+0009")),
            ("a\0b", "control-characters", Some("U+0000")),
            ("a\u{85}b", "control-characters", Some("U+0085")),
            ("a\u{200b}b", "name-characters", Some("U+200B")),
            ("a\u{200d}b", "name-characters", Some("U+200D")),
            ("می\u{200c}", "name-characters", Some("U+200C")),
            ("a\u{202e}b", "name-characters", Some("U+202E")),
            ("a\u{2066}b\u{2069}", "name-characters", Some("U+2066")),
            ("a\u{feff}b", "name-characters", Some("U+FEFF")),
            ("a\u{ad}b", "name-characters", Some("U+00AD")),
            ("a\u{2028}b", "name-characters", Some("U+2028")),
            ("a\u{2029}b", "name-characters", Some("U+2029")),
            ("a\u{e000}", "name-characters", Some("U+E000")),
            ("a\u{378}", "name-characters", Some("U+0378")),
            ("a\u{ffff}", "name-characters", Some("U+FFFF")),
            ("a\u{e0041}", "name-characters", Some("U+E0041")),
            ("a\u{3164}b", "name-characters", Some("U+3164")),
            ("a\u{34f}b", "name-characters", Some("U+034F")),
            ("a\u{fe0f}", "name-characters", Some("U+FE0F")),
            ("\u{301}a", "name-characters", Some("U+0301")),
            ("a \u{301}", "name-characters", Some("U+0301")),
            ("👨\u{200d}👩", "name-characters", Some("U+200D")),
        ] {
            assert_eq!(read(text), Err((code, character.map(str::to_owned))), "{text:?}");
        }
        assert_eq!(read(&format!("a{}", "\u{30d}".repeat(7))).unwrap_err().0, "name-characters");
        assert_eq!(read(&"x".repeat(64)).unwrap_err().0, "too-long");
        assert_eq!(read(&"林".repeat(63)).unwrap(), "林".repeat(63));
        // Each counts once, and four bytes.
        assert_eq!(read(&"🚀".repeat(63)).unwrap_err().0, "too-long");
    }

    #[test]
    fn spellings_of_one_name_are_the_same() {
        for (left, right) in [
            ("cafe\u{301}", "caf\u{e9}"),
            ("ｗｅｂ－１", "web-1"),
            ("web\u{200b}", "web"),
            ("\u{202e}web", " web "),
            ("می\u{200c}خواهم", "میخواهم"),
        ] {
            assert!(same(left, right), "{left:?} {right:?}");
        }
        assert!(!same("web", "web-1") && !same("Web", "web") && !same("", "web"));
        assert!(can_be_typed("web") && can_be_typed("测试"));
        assert!(!can_be_typed("we\u{200b}b") && !can_be_typed("\u{301}") && !can_be_typed("\u{2800}"));
    }

    #[test]
    fn a_name_of_ours_is_made_of_anything() {
        let made = |text: &str| Name::made_from(text, 10, "vps").into_string();
        assert_eq!(made("a\u{200b}b\tc"), "a b c");
        assert_eq!(made("0123456789abc"), "0123456789");
        assert_eq!(made("\u{202e}\u{301}"), "vps");
    }

    proptest! {
        #[test]
        fn reading_a_name_again_changes_nothing(text in any::<String>()) {
            if let Ok(name) = Name::parse("name", &text, 100) {
                prop_assert_eq!(Name::parse("name", &name, 100), Ok(name.clone()));
                prop_assert!(same(&name, &text) && can_be_typed(&name));
                prop_assert!(!name.starts_with(' ') && !name.ends_with(' ') && !name.contains("  "));
            }
        }

        #[test]
        fn a_made_name_is_a_name(text in any::<String>()) {
            let made = Name::made_from(&text, 20, "vps");
            prop_assert_eq!(Name::parse("name", &made, 20), Ok(made.clone()));
        }
    }
}
