//! The pages of the administration.

mod announcements;
mod audit;
mod billing;
mod billing_systems;
mod console;
mod customers;
mod division;
mod form;
mod heat;
mod hosts;
mod images;
mod instances;
mod mail;
mod operations;
mod overview;
mod payments;
mod placement;
mod plans;
mod policy_form;
mod pools;
mod set_aside;
mod settings;
mod styleguide;
mod trials;

use crate::state::App;
use crate::web::paging::Listed;
use axum::Router;

pub fn routes() -> Router<App> {
    Router::new()
        .merge(overview::routes())
        .merge(hosts::routes())
        .merge(placement::routes())
        .merge(instances::routes())
        .merge(console::routes())
        .merge(operations::routes())
        .merge(set_aside::routes())
        .merge(pools::routes())
        .merge(plans::routes())
        .merge(images::routes())
        .merge(customers::routes())
        .merge(trials::routes())
        .merge(billing::routes())
        .merge(payments::routes())
        .merge(billing_systems::routes())
        .merge(mail::routes())
        .merge(announcements::routes())
        .merge(audit::routes())
        .merge(settings::routes())
        .merge(styleguide::routes())
}

/// The link to the next part of a list with the same filters, or "".
fn next_href<T>(path: &str, filters: &[(&str, &str)], list: &Listed<T>) -> String {
    let Some(cursor) = &list.next_cursor else { return String::new() };
    let mut query: Vec<(&str, &str)> =
        filters.iter().copied().filter(|(_, value)| !value.is_empty()).collect();
    query.push(("cursor", cursor));
    format!("{path}?{}", serde_urlencoded::to_string(query).unwrap_or_default())
}

/// A share bar in figures and words.
struct Bar {
    label: String,
    value: String,
    /// Percent of the bar.
    reserved: f64,
    used: f64,
    limit: f64,
    text: String,
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).min(100.0) }
}

/// The icon and colour of a state, wherever one is shown.
fn state_kind(state: &str) -> &'static str {
    match state {
        "running" | "active" | "succeeded" | "sent" | "kvm" | "converted" | "eligible" => "running",
        "pending" | "provisioning" | "deleting" | "waiting" => "working",
        "draining" | "emulated" | "simulated" | "late" | "attention" => "attention",
        "failed" | "crashed" | "abandoned" | "disabled" | "offline" | "suspended" => "failed",
        _ => "stopped",
    }
}

/// States, kinds and codes that the database holds, in the reader's words; what a later release may
/// have written is shown as it is.
fn word(page: &crate::web::Page, group: &str, code: &str) -> String {
    let key = format!("admin-{group}-{}", code.replace('_', "-"));
    if page.language.has(&key) { page.t(&key) } else { code.to_owned() }
}
