//! The administration: what operators of the platform see and decide, across all tenants.
//!
//! Every page and call takes [`crate::auth::Admin`]; for everybody else none of it exists (404).  The
//! use cases of plans, images, pools, hosts and settings belong to those; what only administrators
//! do to others' things stands here.

pub mod api;
pub mod customers;
pub mod db;
pub mod mail;
pub mod placement;
pub mod upload;
pub mod web;

use crate::state::App;
use axum::Router;

pub fn routes() -> Router<App> {
    web::routes()
}
