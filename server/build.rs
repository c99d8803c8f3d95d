//! The migrations and the messages are compiled in by macros that notice changed files but not new
//! ones; cargo is told to look at the folders.

fn main() {
    for folder in ["../migrations", "locales", "../templates", "../static"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
