//! Asking before something is lost.

use crate::error::{Failure, Result};
use crate::output::note;
use crate::words::{Language, Text, texts};
use std::io::{BufRead, IsTerminal, Write};

/// Goes on when `--yes` was given, or when the name was typed on a terminal.  Without a terminal nobody can be
/// asked, and a script that forgot `--yes` must not lose anything.
pub fn by_name(
    language: Language,
    warning: Text,
    arguments: &[(&'static str, String)],
    name: &str,
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
    if read.is_ok() && typed.trim() == name { Ok(()) } else { Err(Failure::here(texts::NOT_CONFIRMED)) }
}
