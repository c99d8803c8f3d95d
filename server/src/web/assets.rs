//! Style sheets, scripts, fonts and icons, embedded in the binary under names that carry a hash of
//! their content: browsers keep them for ever and never use an old one.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::OnceLock;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../static"]
#[include = "css/*"]
#[include = "js/*"]
#[include = "img/*"]
#[include = "vendor/*"]
struct Assets;

/// The sheets of every page travel as one, which is smaller and one request instead of five.
const SHEETS: (&str, [&str; 5]) = (
    "css/all.css",
    ["css/tokens.css", "css/base.css", "css/layout.css", "css/components.css", "css/pages.css"],
);

struct Asset {
    data: Cow<'static, [u8]>,
    hash: String,
}

fn find(path: &str) -> Option<Asset> {
    if path != SHEETS.0 {
        let file = Assets::get(path)?;
        return Some(Asset { hash: hex::encode(&file.metadata.sha256_hash()[..6]), data: file.data });
    }
    let data: Vec<u8> =
        SHEETS.1.iter().filter_map(|sheet| Assets::get(sheet)).flat_map(|f| f.data.into_owned()).collect();
    Some(Asset { hash: hex::encode(&Sha256::digest(&data)[..6]), data: data.into() })
}

/// `css/all.css` → `/static/<hash>/css/all.css`.  An unknown name is a mistake in a template; it
/// leads to a 404 that the browser tests see.
pub fn url(path: &str) -> String {
    static SHEETS_HASH: OnceLock<String> = OnceLock::new();
    // Every page names them.  A debug build reads them from their files, so that one sees what one changes.
    let hash = if path == SHEETS.0 && !cfg!(debug_assertions) {
        let made = || find(path).map_or_else(String::new, |asset| asset.hash);
        Some(SHEETS_HASH.get_or_init(made).clone())
    } else {
        find(path).map(|asset| asset.hash)
    };
    format!("/static/{}/{path}", hash.as_deref().unwrap_or("missing"))
}

/// The same for a module that imports others of its folder by relative names: the hash is that of the whole folder,
/// because all of them are asked for under it.
pub fn tree_url(folder: &str, file: &str) -> String {
    static SEEN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    let mut seen = SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let hash = seen.entry(folder.to_owned()).or_insert_with(|| {
        let mut files: Vec<_> = Assets::iter().filter(|path| path.starts_with(folder)).collect();
        files.sort();
        let mut all = Sha256::new();
        for file in files.iter().filter_map(|path| Assets::get(path)) {
            all.update(file.metadata.sha256_hash());
        }
        hex::encode(&all.finalize()[..6])
    });
    format!("/static/{hash}/{folder}/{file}")
}

/// The text of an asset that the server itself reads; "" where it was not built in.
pub fn text(path: &str) -> String {
    find(path).map_or_else(String::new, |asset| String::from_utf8_lossy(&asset.data).into_owned())
}

/// Serves an asset.  Style sheets import and link each other by relative names, so the hash in the
/// path is not compared: it only makes the address new when the content is.
pub async fn serve(Path((_hash, path)): Path<(String, String)>) -> Response {
    let Some(file) = find(&path) else {
        return crate::error::Error::NotFound.into_response();
    };
    let kind = match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")], file.data)
        .into_response()
}
