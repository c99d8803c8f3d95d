//! Style sheets, scripts, fonts and icons, embedded in the binary under names that carry a hash of
//! their content: browsers keep them for ever and never use an old one.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../static"]
#[include = "css/*"]
#[include = "js/*"]
#[include = "img/*"]
#[include = "vendor/*"]
struct Assets;

/// `css/app.css` → `/static/<hash>/css/app.css`.  An unknown name is a mistake in a template; it
/// leads to a 404 that the browser tests see.
pub fn url(path: &str) -> String {
    match Assets::get(path) {
        Some(file) => format!("/static/{}/{path}", hex::encode(&file.metadata.sha256_hash()[..6])),
        None => format!("/static/missing/{path}"),
    }
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

/// Serves an asset.  Style sheets import and link each other by relative names, so the hash in the
/// path is not compared: it only makes the address new when the content is.
pub async fn serve(Path((_hash, path)): Path<(String, String)>) -> Response {
    let Some(file) = Assets::get(&path) else {
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
