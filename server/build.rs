//! The migrations and the messages are compiled in by macros that notice changed files but not new
//! ones; cargo is told to look at the folders.  A message that stands in two files of one language
//! would make the first page fail, so it makes the build fail instead.
//!
//! The names of all messages are compiled in too: the library that renders them cannot tell a message
//! that is missing from one that lacks an argument.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

fn main() {
    for folder in ["../migrations", "locales", "../templates", "../static", "../docs/help"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let mut code = String::new();
    for (constant, language) in [("EN_KEYS", "en"), ("ZH_KEYS", "zh-CN")] {
        let keys = keys(&Path::new("locales").join(language));
        let names: Vec<&String> = keys.keys().collect();
        writeln!(code, "const {constant}: &[&str] = &{names:?};").expect("writing to memory");
    }
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("message_keys.rs"), code).expect("cargo's folder can be written to");
}

/// The messages of one language in order, with the file of each.
fn keys(folder: &Path) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let files = std::fs::read_dir(folder).expect("every language has a folder of messages");
    for file in files.map(|file| file.expect("a readable folder").path()) {
        let name = file.display().to_string();
        for line in std::fs::read_to_string(&file).expect("messages are text").lines() {
            let key = line.split_once('=').map(|(key, _)| key.trim_end()).filter(|key| is_key(key));
            let Some(key) = key else { continue };
            if let Some(other) = seen.insert(key.to_owned(), name.clone()) {
                panic!("the message {key} stands in {other} and in {name}: rename one of them");
            }
        }
    }
    seen
}

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
