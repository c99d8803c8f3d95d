//! Browsers in which somebody has signed in before.
//!
//! A browser gets a random number at its first sign-in, sealed by the server in a cookie, so that nobody makes one up and
//! a look at the database lets nobody pass for one.  Whose browser it is stands in `user_devices`, one row
//! for each person who signed in with it.  It opens nothing: it only has attempts of its own, so that strangers who
//! guess a person's password use up theirs and not the person's.

use crate::state::App;
use axum::http::HeaderMap;
use axum::response::Response;
use uuid::Uuid;

/// What the sealed cookie is bound to.
const SEALED: &str = "devices";

fn cookie_name(app: &App) -> &'static str {
    // The prefix makes browsers insist on Secure, Path=/ and no Domain.
    if app.config.secure_cookies() { "__Host-jst_device" } else { "jst_device" }
}

/// The device that sent these headers; none for a browser without a cookie of ours.
pub fn of(app: &App, headers: &HeaderMap) -> Option<Uuid> {
    let sealed = hex::decode(crate::web::cookie(headers, cookie_name(app))?).ok()?;
    Uuid::from_slice(&app.sealer.open_sealed(SEALED, &sealed).ok()?).ok()
}

/// Makes the browser this device, for a year from now.
pub fn remember(app: &App, response: &mut Response, device: Uuid) {
    let sealed = hex::encode(app.sealer.seal(SEALED, device.as_bytes()));
    crate::web::set_cookie(app, response, cookie_name(app), &sealed);
}
