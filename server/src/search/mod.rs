//! One field that leads everywhere: pages by their names, and the reader's own things by theirs.
//!
//! It is a page of its own, and with a script a palette over every page, opened by a key.  Both show the same list.

mod db;
pub mod web;

use unicode_normalization::UnicodeNormalization;

/// Longer questions are cut; no name is as long.
const MOST_LETTERS: usize = 100;

/// Things of one kind that are listed.
const MOST_OF_A_KIND: i64 = 6;

/// A page that has a place in the navigation: its address, its icon and the key of its name.
type Place = (&'static str, &'static str, &'static str);

const PORTAL: &[Place] = &[
    ("/dashboard", "house", "nav-overview"),
    ("/instances", "server", "nav-instances"),
    ("/instances/new", "plus", "instances-create"),
    ("/ssh-keys", "key-round", "nav-ssh-keys"),
    ("/team", "users", "nav-team"),
    ("/api-tokens", "code", "nav-api-tokens"),
    ("/webhooks", "webhook", "nav-webhooks"),
    ("/activity", "activity", "nav-activity"),
    ("/security", "shield-check", "nav-security"),
    ("/notifications", "bell", "nav-notifications"),
    ("/api/docs", "book-open", "nav-api-docs"),
    ("/help", "circle-help", "nav-help"),
];

const ADMIN: &[Place] = &[
    ("/admin", "layout-grid", "nav-overview"),
    ("/admin/hosts", "layers", "nav-hosts"),
    ("/admin/hosts/enrol", "plus", "admin-host-enrol"),
    ("/admin/instances", "server", "nav-instances"),
    ("/admin/operations", "activity", "nav-operations"),
    ("/admin/set-aside", "triangle-alert", "nav-set-aside"),
    ("/admin/pools", "network", "nav-pools"),
    ("/admin/plans", "tag", "nav-plans"),
    ("/admin/images", "disc-3", "nav-images"),
    ("/admin/customers", "users", "nav-customers"),
    ("/admin/trials", "ticket", "nav-trials"),
    ("/admin/mail", "mail", "nav-mail"),
    ("/admin/audit", "book-open", "nav-audit"),
    ("/admin/webhooks", "webhook", "nav-webhooks"),
    ("/admin/settings", "settings", "nav-settings"),
];

/// What was typed, as it is looked for.
fn question(typed: &str) -> String {
    // In the form in which names are kept.
    typed.trim().nfc().take(MOST_LETTERS).collect()
}
