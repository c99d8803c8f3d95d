//! Who may ask for what: one function.

use super::Route;
use super::routes::{Class, INCOMPLETE};
use super::world::{Door, Role, Who};
use std::collections::BTreeMap;

/// What an answer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anything that is said to somebody who may ask: also that the input is wrong, or that it contradicts how things stand.
    Allowed,
    /// The same, and what it takes is not there, which is 403 too.
    Incomplete,
    /// Open to everybody: what comes of it depends on what was sent, but nobody is sent to the sign-in.
    Anybody,
    /// 401, or the page where one signs in.
    SignIn,
    /// 403.
    Forbidden,
    /// 404: it does not exist for them.
    NotFound,
    /// The role alone is too low, and it does not exist for them either.
    ForbiddenOrNotFound,
}

#[derive(Default)]
pub struct Seen {
    pub status: u16,
    pub location: String,
    /// Led back to the page, which says why not.
    pub refused: bool,
    pub body: String,
}

impl Expect {
    pub const fn is_refusal(self) -> bool {
        !matches!(self, Self::Allowed | Self::Incomplete | Self::Anybody)
    }

    /// `late`: what was asked for may have gone with an earlier request.
    pub fn fits(self, seen: &Seen, late: bool) -> bool {
        let to_sign_in = seen.status == 401 || seen.location.starts_with("/sign-in");
        if seen.status >= 500 && seen.status != 502 {
            return false;
        }
        match self {
            Self::Allowed if late => seen.status != 403,
            Self::Incomplete => seen.status == 403,
            Self::Allowed => !to_sign_in && !matches!(seen.status, 403 | 404),
            Self::Anybody => true,
            Self::SignIn => to_sign_in,
            Self::Forbidden => seen.status == 403 || seen.refused,
            Self::NotFound => seen.status == 404,
            Self::ForbiddenOrNotFound => matches!(seen.status, 403 | 404),
        }
    }
}

/// Whether it is called by programs, with tokens, and never with a browser's session.
pub fn is_program(path: &str) -> bool {
    path.starts_with("/api/v1/") || path.starts_with("/billing/v1/")
}

/// What somebody is answered.
pub fn expected(route: Route, who: &Who, door: &Door) -> Expect {
    use Class::{
        Admin, AdminInPerson, Agent, BillingProvision, BillingRead, BillingSso, BillingTerminate, Enrol,
        InPerson, InPersonActive, InPersonOperate, InPersonOwn, InPersonTokenOf, Members, Operate, Own,
        OwnAnyway, Personal, Portal, PortalOperate, Public, SignedIn, TokenOf,
    };
    let writes = route.method != "GET";
    match (route.class, door) {
        (Public | Enrol, _) => return Expect::Anybody,
        (Agent, Door::Agent(_)) if !who.host => return Expect::SignIn,
        (Agent, _) => return Expect::Anybody,
        (BillingRead | BillingProvision | BillingTerminate | BillingSso, Door::BillingToken(_)) => {
            return of_billing(route, who);
        }
        (BillingRead | BillingProvision | BillingTerminate | BillingSso, _) => return Expect::SignIn,
        (_, Door::BillingToken(_) | Door::Agent(_)) => return Expect::SignIn,
        (_, Door::Browser(_)) if is_program(route.path) => return Expect::SignIn,
        (_, Door::Token(_)) if !is_program(route.path) => return Expect::SignIn,
        _ => {}
    }
    // Whoever is not known, or not any more.
    let Some(role) = who.role else { return Expect::SignIn };
    // A token is narrower than its owner, whatever it is asked for.
    if who.reads_only && writes {
        return Expect::Forbidden;
    }
    if matches!(route.class, Admin | AdminInPerson) {
        return match who.admin {
            false => Expect::NotFound,
            true if who.acting && route.class == AdminInPerson => Expect::Forbidden,
            true => Expect::Allowed,
        };
    }
    let in_person =
        matches!(route.class, InPerson | InPersonActive | InPersonOperate | InPersonOwn | InPersonTokenOf);
    // What a billing system's customers have they order there.
    if who.bound && (route.method, route.path) == ("POST", "/instances") {
        return Expect::Forbidden;
    }
    let elsewhere = in_person && (who.acting || who.bound);
    if elsewhere || matches!(route.class, Portal | PortalOperate) && who.acting {
        return Expect::Forbidden;
    }
    if route.path == "/tenant" {
        // The form names a team to which nobody but the bound person belongs, and their session does not reach it.
        return Expect::NotFound;
    }
    let least = match route.class {
        Operate | PortalOperate | InPersonOperate => Role::Operator,
        Own | OwnAnyway | Members | TokenOf | InPersonOwn | InPersonTokenOf => Role::Owner,
        _ => Role::Viewer,
    };
    let stopped = who.suspended
        && matches!(
            route.class,
            Operate | PortalOperate | Own | Members | InPersonActive | InPersonOperate | InPersonOwn
        );
    let too_narrow = route.class == Members && !who.members;
    let may = role >= least && !stopped && !too_narrow;
    // Without an id it is about one's own team, or oneself.
    let theirs = match route.class {
        SignedIn => true,
        Personal | InPerson => who.person,
        _ => who.own,
    };
    match (may, theirs || !route.path.contains('{')) {
        // What a link of a mail opens depends on the link.
        (true, true) if route.path == "/invitation" => Expect::Anybody,
        (true, true) if INCOMPLETE.contains(&(route.method, route.path)) => Expect::Incomplete,
        (true, true) => Expect::Allowed,
        (true, false) => Expect::NotFound,
        (false, true) if matches!(route.class, TokenOf | InPersonTokenOf) => Expect::NotFound,
        (false, true) => Expect::Forbidden,
        (false, false) => Expect::ForbiddenOrNotFound,
    }
}

fn of_billing(route: Route, who: &Who) -> Expect {
    let scope = match route.class {
        Class::BillingProvision => "provision",
        Class::BillingTerminate => "terminate",
        Class::BillingSso => "sso",
        _ => "read",
    };
    // References are each system's own: what it orders under one that another has is its own.
    let orders = route.method == "PUT";
    match (who.billing.contains(&scope), who.own || orders || !route.path.contains('{')) {
        (false, _) => Expect::Forbidden,
        (true, true) => Expect::Allowed,
        (true, false) => Expect::NotFound,
    }
}

/// The path with ids of things that exist: the victim's, and for the administration those of bystanders.
pub fn filled(path: &str, things: &BTreeMap<&'static str, String>) -> String {
    let admin = path.starts_with("/admin") || path.starts_with("/api/v1/admin");
    let mut filled = Vec::new();
    let mut before = "";
    for part in path.split('/') {
        let thing = match part {
            "{id}" => of_collection(before, admin),
            "{user}" => "anybody",
            "{key}" => "session",
            "{delivery}" if admin => "any-delivery",
            "{delivery}" => "delivery",
            "{token}" => "system-token",
            other if !other.starts_with('{') => {
                before = part;
                filled.push(part.to_owned());
                continue;
            }
            "{external_ref}" => return path.replace(part, "svc-1"),
            "{provider}" => return path.replace(part, "stripe"),
            "{name}" => return path.replace(part, "start"),
            "{sha256}" => return path.replace(part, &"ab".repeat(32)),
            "{decision}" => {
                filled.push("decline".to_owned());
                continue;
            }
            "{hash}" | "{*path}" => {
                filled.push("none".to_owned());
                continue;
            }
            other => panic!("{path}: say what {other} stands for"),
        };
        filled.push(things.get(thing).unwrap_or_else(|| panic!("{path}: there is no {thing}")).clone());
    }
    filled.join("/")
}

/// What the ids of a collection name.
fn of_collection(collection: &str, admin: bool) -> &'static str {
    match (collection, admin) {
        ("instances", false) => "instance",
        ("instances", true) => "any-instance",
        ("operations", false) => "operation",
        ("operations", true) => "any-operation",
        ("invoices", false) => "invoice",
        ("invoices", true) => "any-invoice",
        ("ssh-keys", _) => "key",
        ("tokens" | "api-tokens", _) => "token",
        ("members", _) => "user",
        ("invitations", _) => "invitation",
        ("sessions", _) => "session",
        ("passkeys", _) => "passkey",
        ("webhooks", false) => "webhook",
        ("webhooks", true) => "any-webhook",
        ("payments", false) => "payment",
        ("payments", true) => "any-payment",
        ("customers", _) => "any-tenant",
        ("users", _) => "any-user",
        ("hosts", _) => "host",
        ("plans", _) => "plan",
        ("images", _) => "image",
        ("pools", _) => "pool",
        ("mail", _) => "mail",
        ("announcements", _) => "announcement",
        ("image-imports" | "fetch", _) => "import",
        ("payment-events", _) => "payment-event",
        ("appeals", _) => "any-appeal",
        ("billing-systems", _) => "system",
        ("consoles", _) => "console",
        (other, _) => panic!("say what ids of {other} name"),
    }
}
