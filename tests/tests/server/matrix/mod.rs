//! Every route, asked by everybody, with the ids of things that exist and are somebody else's.
//!
//! The routes come from the routers themselves ([`live`]), what each is from one table ([`routes`]), and who may ask from one
//! function of the two ([`rules::expected`]).  A route that the table does not name fails the test, and so does a line of
//! the table without a route.
//!
//! First come all requests that must be refused, and nothing may have changed after them; then those that are allowed, and
//! among these last what removes things or ends sessions.  The whole server has one database connection for each role.

mod bodies;
mod live;
mod routes;
mod rules;
mod world;

use bodies::Bodies;
use futures::StreamExt;
use routes::{Class, LATE, ROUTES};
use rules::{Expect, Seen, expected};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use world::{Door, Principal, World};

/// Requests under way at once.
const AT_ONCE: usize = 8;

/// Whoever waits for a second connection waits longer; an agent's long poll does not.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub class: Class,
    pub method: &'static str,
    pub path: &'static str,
}

fn table() -> Vec<Route> {
    ROUTES.iter().map(|(class, method, path)| Route { class: *class, method, path }).collect()
}

/// The routers and the table name the same.
fn check_table(world: &World) -> usize {
    let app = world.desk.platform.app();
    let mut served = live::routes(&jst_server::router::router(app.clone()));
    let stop = tokio_util::sync::CancellationToken::new();
    served.extend(live::routes(&jst_server::agent_api::router(app.clone(), stop)));
    let named: BTreeSet<(String, String)> =
        ROUTES.iter().map(|(_, method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(named.len(), ROUTES.len(), "the table names a route twice");
    let unnamed: Vec<_> = served.difference(&named).collect();
    assert!(unnamed.is_empty(), "say in the table who may ask for these: {unnamed:#?}");
    let gone: Vec<_> = named.difference(&served).collect();
    assert!(gone.is_empty(), "the table names routes that are gone: {gone:#?}");
    for (method, path) in LATE {
        assert!(named.contains(&((*method).to_owned(), (*path).to_owned())), "{method} {path} is gone");
    }
    // What the routers print is the whole of it: the described calls are a part.
    assert!(served.len() > 380, "only {} routes were found", served.len());
    served.len()
}

/// What of everything must not change while everybody is refused.
async fn fingerprint(world: &World) -> Vec<(String, String)> {
    let tables = [
        (
            "instances",
            "id, name, power, generation, delete_protection, firewall, policy, deleted_at, lock_reason",
        ),
        ("operations", "id, state"),
        ("ssh_keys", "id, name"),
        ("memberships", "tenant_id, user_id, role"),
        ("invitations", "id, accepted_at"),
        ("api_tokens", "id, revoked_at"),
        ("passkeys", "id, name"),
        ("users", "id, email, password_hash, is_admin, disabled_at, locale"),
        ("tenants", "id, name, suspended_at, may_buy, quota_instances"),
        ("webhook_endpoints", "id, url, disabled_at, secret"),
        ("webhook_deliveries", "id"),
        ("plans", "id, version, retired_at"),
        ("images", "id, name, retired_at"),
        ("hosts", "id, name, state"),
        ("host_certificates", "serial, revoked_at"),
        ("host_join_tokens", "host_name"),
        ("address_pools", "id, name, enabled"),
        ("settings", "key, value"),
        ("announcements", "id, updated_at"),
        ("image_imports", "id, state"),
        ("mail_outbox", "id"),
        ("billing_settings", "billing_settings"),
        ("billing_accounts", "tenant_id, currency, prepaid"),
        ("account_entries", "id"),
        ("invoices", "id"),
        ("credit_notes", "id"),
        ("vouchers", "id"),
        ("payments", "id"),
        ("payment_providers", "provider, settings, secrets"),
        ("billing_systems", "id"),
        ("billing_system_tokens", "id, revoked_at"),
        ("billing_services", "id, entitlement, entitlement_version, plan_version"),
        ("trial_appeals", "id, decision"),
        ("console_sessions", "id"),
        ("sign_in_links", "path"),
    ];
    let mut seen = Vec::new();
    for (table, columns) in tables {
        let query = format!(
            "SELECT coalesce(md5(string_agg(row({columns})::text, '|' ORDER BY row({columns})::text)), '') FROM {table}"
        );
        let hash: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(world.desk.pool())
            .await
            .unwrap_or_else(|error| panic!("{table}: {error}"));
        seen.push((table.to_owned(), hash));
    }
    seen
}

struct Matrix {
    world: World,
    bodies: Bodies,
}

impl Matrix {
    /// One request of somebody; nothing where they have no way to it.
    async fn ask(&self, route: Route, principal: &Principal) -> Option<Seen> {
        let path = rules::filled(route.path, &self.world.things);
        let agents = route.path.starts_with(jst_protocol::PREFIX);
        let body = self.bodies.json(route.method, route.path, &self.world.things);
        let answer = match &principal.door {
            Door::Agent(client) if agents => {
                let path = path.trim_start_matches(jst_protocol::PREFIX).trim_start_matches('/');
                match body {
                    Some(body) => client.post(path, &body).await,
                    None => client.get(path).await,
                }
            }
            Door::Agent(_) => return None,
            _ if agents => return None,
            Door::Browser(client) if route.path == "/live" => {
                let stream = client.stream(&path).await;
                if stream.status == 200 {
                    // It never ends.
                    return Some(Seen { status: 200, ..Seen::default() });
                }
                client.get(&path).await
            }
            Door::Browser(client) if rules::is_program(route.path) => {
                client.send(route.method.parse().unwrap(), &path, body.as_ref(), &[]).await
            }
            Door::Browser(client) if route.method == "GET" => client.get(&path).await,
            Door::Browser(client) => client.post(&path, &self.bodies.form(&self.world.things)).await,
            Door::Token(api) | Door::BillingToken(api) => {
                // Also where it comes to a page, which must not know it.
                api.send(route.method.parse().unwrap(), &path, body, &[]).await
            }
        };
        let refused = answer
            .headers
            .get_all("set-cookie")
            .iter()
            .any(|cookie| cookie.to_str().is_ok_and(|cookie| cookie.contains("k=refused")));
        Some(Seen { status: answer.status, location: answer.location, refused, body: answer.body })
    }

    /// Asks and compares; a text for what is not as it should be.
    async fn probe(&self, route: Route, principal: &Principal, late: bool) -> (usize, Option<String>) {
        let expect = expected(route, &principal.who, &principal.door);
        let asked = tokio::time::timeout(PATIENCE, self.ask(route, principal)).await;
        let Ok(seen) = asked else {
            let text = format!("{} {} by {} got no answer", route.method, route.path, principal.name);
            return (1, Some(text));
        };
        let Some(seen) = seen else { return (0, None) };
        let fits = expect.fits(&seen, late);
        let text = format!(
            "{} {} by {}: expected {expect:?}, got {} {}{}",
            route.method,
            route.path,
            principal.name,
            seen.status,
            seen.location,
            seen.body.chars().filter(|c| *c != '\n').take(160).collect::<String>(),
        );
        (1, (!fits).then_some(text))
    }

    /// Many requests in any order.
    async fn probe_all(&self, pairs: Vec<(Route, &Principal)>) -> (usize, Vec<String>) {
        let asked = pairs.into_iter().map(|(route, principal)| self.probe(route, principal, false));
        let answers: Vec<_> = futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        let probes = answers.iter().map(|(count, _)| count).sum();
        (probes, answers.into_iter().filter_map(|(_, problem)| problem).collect())
    }

    /// Requests that are all refused, and so change nothing.
    async fn refuse(&self, pairs: Vec<(Route, &Principal)>) -> (usize, Vec<String>) {
        let before = fingerprint(&self.world).await;
        let (probes, mut problems) = self.probe_all(pairs).await;
        let after = fingerprint(&self.world).await;
        let changed = before.into_iter().zip(after).filter(|(before, after)| before != after);
        problems.extend(changed.map(|((table, _), _)| format!("whoever was refused has changed {table}")));
        (probes, problems)
    }
}

async fn suspend(world: &World, suspended: bool) {
    sqlx::query("UPDATE tenants SET suspended_at = CASE WHEN $2 THEN now() END WHERE id = $1")
        .bind(world.victim)
        .bind(suspended)
        .execute(world.desk.pool())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_answers_everybody_as_its_class_says() {
    let begun = Instant::now();
    let world = world::build().await;
    let pairs = check_table(&world);
    let bodies = Bodies::read(&world.desk.platform.api("")).await;
    let matrix = Matrix { world, bodies };
    let world = &matrix.world;
    let routes = table();
    let (mut probes, mut holes) = (0, Vec::new());
    let mut count = |(more, problems): (usize, Vec<String>)| {
        probes += more;
        holes.extend(problems);
    };

    // Who must not, and afterwards everything is as it was.
    let refused = |suspended: bool| {
        let mut wanted = Vec::new();
        for route in &routes {
            for principal in world.principals.iter().filter(|principal| principal.who.suspended == suspended)
            {
                if expected(*route, &principal.who, &principal.door).is_refusal() {
                    wanted.push((*route, principal));
                }
            }
        }
        wanted
    };
    count(matrix.refuse(refused(false)).await);
    suspend(world, true).await;
    count(matrix.refuse(refused(true)).await);
    let reads: Vec<_> = world
        .principals
        .iter()
        .filter(|principal| principal.who.suspended)
        .flat_map(|principal| routes.iter().map(move |route| (*route, principal)))
        .filter(|(route, principal)| {
            route.method == "GET" && !expected(*route, &principal.who, &principal.door).is_refusal()
        })
        .collect();
    count(matrix.probe_all(reads).await);
    suspend(world, false).await;

    // Who may: first what only reads, then what changes, and last what removes.
    let active: Vec<&Principal> =
        world.principals.iter().filter(|principal| !principal.who.suspended).collect();
    let allowed = |wanted: &dyn Fn(&Route) -> bool| {
        let mut pairs = Vec::new();
        for route in routes.iter().filter(|route| wanted(route)) {
            let mut anonymously = 0;
            for principal in &active {
                let expect = expected(*route, &principal.who, &principal.door);
                // What is open to everybody is asked by some of them: several of these calls are made to be slow.
                anonymously += usize::from(expect == Expect::Anybody);
                if !expect.is_refusal() && (expect != Expect::Anybody || anonymously <= 3) {
                    pairs.push((*route, *principal));
                }
            }
        }
        pairs
    };
    let late = |route: &Route| LATE.contains(&(route.method, route.path));
    count(matrix.probe_all(allowed(&|route| route.method == "GET")).await);
    for (route, principal) in allowed(&|route| route.method != "GET" && !late(route)) {
        let (more, problem) = matrix.probe(route, principal, false).await;
        count((more, problem.into_iter().collect()));
    }
    for (method, path) in LATE {
        for (route, principal) in allowed(&|route| (route.method, route.path) == (*method, *path)) {
            let (more, problem) = matrix.probe(route, principal, true).await;
            count((more, problem.into_iter().collect()));
        }
    }
    println!(
        "{pairs} routes, {} principals, {probes} probes, {} holes, {:.1} s",
        world.principals.len(),
        holes.len(),
        begun.elapsed().as_secs_f64()
    );
    assert!(holes.is_empty(), "{} answers are not what their class says:\n{}", holes.len(), holes.join("\n"));
    assert!(probes > 5000, "only {probes} probes were made");
    matrix.world.desk.platform.stop().await;
}
