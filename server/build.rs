//! The migrations and the messages are compiled in by macros that notice changed files but not new
//! ones; cargo is told to look at the folders.  A message that stands in two files of one language
//! would make the first page fail, so it makes the build fail instead.

use std::collections::HashMap;
use std::path::Path;

fn main() {
    for folder in ["../migrations", "locales", "../templates", "../static"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    for language in ["en", "zh-CN"] {
        refuse_duplicates(&Path::new("locales").join(language));
    }
}

fn refuse_duplicates(folder: &Path) {
    let mut seen: HashMap<String, String> = HashMap::new();
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
}

fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
