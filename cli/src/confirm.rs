//! Asking before something is lost.

use crate::error::{Failure, Result};
use crate::output::note;
use crate::resolve::same_name;
use crate::words::{Language, Text, texts};
use std::io::{BufRead, IsTerminal, Write};

/// Goes on when `--yes` was given, or when the name (or the id, for names that no keyboard has) was typed on a terminal.  Without a terminal nobody can be
/// asked, and a script that forgot `--yes` must not lose anything.
pub fn by_name(
    language: Language,
    warning: Text,
    arguments: &[(&'static str, String)],
    (id, name): (&str, &str),
    yes: bool,
) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::usage(texts::NEEDS_YES).with("name", name));
    }
    note(&language.fill(warning, arguments));
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "{}", language.text(texts::TYPE_NAME)).and_then(|()| error.flush());
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && means(&typed, id, name) { Ok(()) } else { Err(Failure::here(texts::NOT_CONFIRMED)) }
}

fn means(typed: &str, id: &str, name: &str) -> bool {
    let typed = typed.trim();
    typed == id || !typed.is_empty() && same_name(typed, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_any_spelling_or_the_id_confirms() {
        assert!(means("web-1\n", "vm_1", "web-1") && means("vm_1\n", "vm_1", "we\u{200b}b"));
        assert!(means("cafe\u{301}\n", "vm_1", "caf\u{e9}") && means("ｗｅｂ\n", "vm_1", "web"));
        for other in ["\n", "web\n", "WEB-1\n", "vm_2\n"] {
            assert!(!means(other, "vm_1", "web-1"), "{other:?}");
        }
    }
}
