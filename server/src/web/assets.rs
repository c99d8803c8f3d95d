//! Style sheets, scripts, fonts and icons, embedded in the binary under names that carry a hash of
//! their content: browsers keep them for ever and never use an old one.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

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
