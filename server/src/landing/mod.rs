//! The first page that anybody sees: what the platform promises, shown with its own share bar.

pub mod web;
