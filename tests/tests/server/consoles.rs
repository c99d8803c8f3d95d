//! Consoles, with the host's agent played by the test, and at the end by a simulated host.

use super::instances::desk::{Customer, Desk, text, uuid_of};
use jst_protocol::CONSOLE_READY;
use jst_protocol::desired::{ConsoleKind, ConsoleRequest, Desired};
use jst_server::ids::ConsoleId;
use jst_tests::agent::AgentClient;
use jst_tests::console::{Heard, Socket};
use jst_tests::platform::PASSWORD;
use jst_tests::{Answer, Client, Guests, Platform, Stack, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

const WAITING: &str = "{\"state\":\"waiting\"}";

/// A running instance, its owner, and its host's agent.
struct Stage {
    desk: Desk,
    owner: Customer,
    agent: AgentClient,
    instance: String,
}

impl Stage {
    async fn open() -> Self {
        Self::on(Desk::open().await).await
    }

    async fn on(desk: Desk) -> Self {
        let agent = AgentClient::enrolled(&desk.platform, "host-1").await;
        assert_eq!(agent.host, Some(desk.host));
        let owner = desk.buyer("owner@example.com").await;
        let instance = desk.running(&owner, "web", "small").await;
        Self { desk, owner, agent, instance }
    }

    fn url(&self) -> &str {
        &self.desk.platform.url
    }

    async fn ask(&self, customer: &Customer, kind: &str) -> Answer {
        let path = format!("/api/v1/instances/{}/console", self.instance);
        customer.api.post(&path, json!({ "kind": kind })).await
    }

    async fn ticket(&self) -> (Uuid, String) {
        id_and_ticket(&self.ask(&self.owner, "serial").await.expect(201).json())
    }

    /// A person and an agent that have met.
    async fn connected(&self) -> (Socket, Socket, Uuid) {
        let (id, ticket) = self.ticket().await;
        let mut person = Socket::with_ticket(self.url(), &ticket).await;
        assert_eq!(person.hear().await, Heard::Text(WAITING.into()));
        let mut agent = self.agent.dial(id).await.expect("somebody waits");
        agent.say(CONSOLE_READY).await;
        assert_eq!(person.hear().await, Heard::Text("{\"state\":\"connected\"}".into()));
        (person, agent, id)
    }

    async fn execute(&self, sql: &'static str) {
        let done = sqlx::query(sql).execute(self.desk.pool()).await.unwrap();
        assert!(done.rows_affected() > 0, "{sql}");
    }

    async fn row(&self, id: Uuid) -> Value {
        sqlx::query_scalar("SELECT to_jsonb(console_sessions) FROM console_sessions WHERE id = $1")
            .bind(id)
            .fetch_one(self.desk.pool())
            .await
            .unwrap()
    }

    /// The reason that is written down, as soon as it is.
    async fn written_end(&self, id: Uuid) -> String {
        eventually("the end is written down", Duration::from_secs(10), || async {
            self.row(id).await["end_reason"].as_str().map(str::to_owned)
        })
        .await
    }
}

fn id_and_ticket(answer: &Value) -> (Uuid, String) {
    let id: ConsoleId = text(&answer["id"]).parse().unwrap();
    (id.uuid(), text(&answer["ticket"]).to_owned())
}

/// What the agent is told after `revision`, as soon as it is.
async fn told(agent: &AgentClient, revision: i64) -> Desired {
    serde_json::from_value(agent.get(&format!("desired?after={revision}")).await.expect(200).json()).unwrap()
}

#[tokio::test]
async fn a_person_and_an_agent_meet() {
    let stage = Stage::open().await;
    let revision = told(&stage.agent, 0).await.revision;
    let held = tokio::spawn({
        let agent = stage.agent.clone();
        async move { (told(&agent, revision).await, Instant::now()) }
    });
    let answer = stage.ask(&stage.owner, "serial").await.expect(201).json();
    assert!(text(&answer["address"]).starts_with("ws://") && text(&answer["address"]).ends_with("/console"));
    let (id, ticket) = id_and_ticket(&answer);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!held.is_finished(), "a ticket that nobody has shown is nothing for the host");

    let shown = Instant::now();
    let mut person = Socket::with_ticket(stage.url(), &ticket).await;
    assert_eq!(person.hear().await, Heard::Text(WAITING.into()));
    let (document, heard) = held.await.unwrap();
    assert!(heard - shown < Duration::from_secs(2), "the held request is answered at once");
    let wanted =
        ConsoleRequest { id, instance: uuid_of(&stage.instance), kind: ConsoleKind::Serial, server: None };
    assert_eq!(document.consoles, [wanted]);
    assert!(document.instances.is_empty(), "nothing else has changed");

    let mut agent = stage.agent.dial(id).await.expect("somebody waits");
    agent.say(CONSOLE_READY).await;
    assert_eq!(person.hear().await, Heard::Text("{\"state\":\"connected\"}".into()));
    assert!(told(&stage.agent, 0).await.consoles.is_empty(), "who is connected waits no more");
    for piece in [&b"login: "[..], &[0, 255, 27, b'<'], &[7; 60_000]] {
        assert!(agent.send(piece).await);
        assert_eq!(person.hear().await, Heard::Bytes(piece.to_vec()));
        assert!(person.send(piece).await);
        assert_eq!(agent.hear().await, Heard::Bytes(piece.to_vec()));
    }

    // Other tests of this process have consoles, too.
    let metrics = Client::new(&stage.desk.platform.metrics_url()).get("/metrics").await.expect(200).body;
    assert!(metrics.contains("jst_consoles_open{kind=\"serial\"}"), "{metrics}");

    // Who asked stands in the log; the ticket stands nowhere.
    let event = stage.desk.event("instance.console_opened").await.expect("an event");
    assert_eq!((text(&event["kind"]), text(&event["name"])), ("serial", "web"));
    let row = stage.row(id).await.to_string();
    assert!(!row.contains(&ticket) && !event.to_string().contains(&ticket), "{row}");
    person.close("").await;
    assert_eq!(agent.end().await, "left");
    assert_eq!(stage.written_end(id).await, "left");
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn a_ticket_is_good_once_and_in_time() {
    let stage = Stage::open().await;
    let (id, ticket) = stage.ticket().await;
    // Of several at once, one.
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(Socket::with_ticket(stage.url(), &ticket).await);
    }
    let mut waiting = 0;
    for socket in &mut sockets {
        match socket.hear().await {
            Heard::Text(text) if text == WAITING => waiting += 1,
            other => assert_eq!(other, Heard::Closed("ticket".into())),
        }
    }
    assert_eq!(waiting, 1);
    // The agent's side is good once, too.
    let _agent = stage.agent.dial(id).await.expect("somebody waits");
    assert_eq!(stage.agent.dial(id).await.err(), Some(404));

    let (_, late) = stage.ticket().await;
    stage
        .execute(
            "UPDATE console_sessions SET expires_at = now() - interval '1 second' WHERE claimed_at IS NULL",
        )
        .await;
    assert_eq!(Socket::with_ticket(stage.url(), &late).await.end().await, "ticket");
    for nonsense in ["", "x", &"0".repeat(64), &"0".repeat(5000)] {
        assert_eq!(Socket::with_ticket(stage.url(), nonsense).await.end().await, "ticket");
    }
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn nobody_else_gets_a_ticket() {
    let stage = Stage::open().await;
    let thief = stage.desk.buyer("thief@example.com").await;
    stage.ask(&thief, "serial").await.expect(404);
    stage.ask(&stage.owner, "hologram").await.expect(422);
    let nobody = stage.desk.platform.api("");
    nobody
        .post(&format!("/api/v1/instances/{}/console", stage.instance), json!({ "kind": "vnc" }))
        .await
        .expect(401);
    // The way of administrators is none for others.
    let path = format!("/api/v1/admin/instances/{}/console", stage.instance);
    stage.owner.api.post(&path, json!({ "kind": "vnc" })).await.expect(404);

    stage.execute("UPDATE memberships SET role = 'viewer'").await;
    stage.ask(&stage.owner, "serial").await.expect(403);
    stage.execute("UPDATE memberships SET role = 'operator'").await;
    stage.ask(&stage.owner, "serial").await.expect(201);

    stage.execute("UPDATE tenants SET suspended_at = now()").await;
    let refused = stage.ask(&stage.owner, "serial").await.expect(403).json();
    assert_eq!(text(&refused["code"]), "tenant-suspended");
    stage.execute("UPDATE tenants SET suspended_at = NULL").await;

    stage.execute("UPDATE instances SET state = 'stopped'").await;
    let refused = stage.ask(&stage.owner, "serial").await.expect(409).json();
    assert_eq!(text(&refused["code"]), "console-not-running");
    assert_eq!(stage.desk.count("SELECT count(*) FROM console_sessions").await, 1);
    assert_eq!(
        stage.desk.count("SELECT count(*) FROM events WHERE action = 'instance.console_opened'").await,
        1
    );
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn only_the_host_of_the_guest_is_let_in() {
    let stage = Stage::open().await;
    let other = AgentClient::enrolled(&stage.desk.platform, "host-2").await;
    let (id, ticket) = stage.ticket().await;
    let mut person = Socket::with_ticket(stage.url(), &ticket).await;
    assert_eq!(person.hear().await, Heard::Text(WAITING.into()));
    assert!(told(&other, 0).await.consoles.is_empty(), "another host hears nothing of it");
    assert_eq!(other.dial(id).await.err(), Some(404));
    assert_eq!(stage.agent.dial(Uuid::now_v7()).await.err(), Some(404));
    assert_eq!(AgentClient::new(&stage.desk.platform, None).dial(id).await.err(), Some(401));
    // And none of this has spoilt it.
    let mut agent = stage.agent.dial(id).await.expect("somebody waits");
    agent.say(CONSOLE_READY).await;
    assert_eq!(person.hear().await, Heard::Text("{\"state\":\"connected\"}".into()));
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn a_ticket_of_the_portal_is_good_for_its_person_on_our_own_pages() {
    let stage = Stage::open().await;
    let url = stage.url();
    let owner = session(&stage.desk.platform, "owner@example.com").await;
    let other = session(&stage.desk.platform, "admin@example.com").await;
    let ticket = || async {
        let path = format!("/instances/{}/console", stage.instance);
        let answer = stage.desk.platform.api("").send_form(&path, "kind=vnc", &[("cookie", &owner)]).await;
        text(&answer.expect(201).json()["ticket"]).to_owned()
    };
    let open = |cookie: &str, origin: &str| {
        let headers: Vec<(&'static str, String)> =
            [("cookie", cookie.to_owned()), ("origin", origin.to_owned())]
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect();
        async move {
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            Socket::open(url, &headers).await
        }
    };
    let secret = ticket().await;
    for origin in ["https://evil.example", "null", &format!("{url}.evil.example")] {
        assert_eq!(open(&owner, origin).await.err(), Some(403), "{origin}");
    }
    for (cookie, whose) in [("", "nobody's"), (other.as_str(), "somebody else's")] {
        let mut socket = open(cookie, url).await.expect("the socket opens");
        socket.say(&secret).await;
        assert_eq!(socket.end().await, "ticket", "{whose}");
    }
    // It is as good as before for the right one.
    let mut socket = open(&owner, url).await.expect("the socket opens");
    socket.say(&secret).await;
    assert_eq!(socket.hear().await, Heard::Text(WAITING.into()));
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn a_ticket_ends_with_the_token_by_which_it_was_asked_for() {
    let stage = Stage::open().await;
    let (_, ticket) = stage.ticket().await;
    stage.execute("UPDATE api_tokens SET revoked_at = now()").await;
    assert_eq!(Socket::with_ticket(stage.url(), &ticket).await.end().await, "ticket");
    stage.desk.platform.stop().await;
}

/// A cookie of a signed-in person, who is made an administrator or given a password.
async fn session(platform: &Platform, email: &str) -> String {
    jst_server::accounts::create_admin(platform.app(), email, PASSWORD).await.unwrap();
    let form = format!("email={}&password={}", email.replace('@', "%40"), PASSWORD.replace(' ', "+"));
    let answer = platform.api("").send_form("/sign-in", &form, &[]).await.expect(303);
    let cookies = answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let cookie = cookies.filter_map(|value| value.split(';').next()).find(|value| value.starts_with("jst="));
    cookie.expect("a session").to_owned()
}

/// Two replicas on one database: the agent hears at the one of the person who waits at the other.
#[tokio::test]
async fn the_agent_is_told_where_the_person_waits() {
    let stage = Stage::open().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("https://127.0.0.1:{port}");
    let config = jst_server::config::Config {
        agent_listen: ([127, 0, 0, 1], port).into(),
        replica_agent_url: Some(address.clone()),
        ..(*stage.desk.platform.app().config).clone()
    };
    let replica = jst_server::server::start(config).await.unwrap();
    let (id, ticket) = stage.ticket().await;
    let mut person = Socket::with_ticket(&format!("http://{}", replica.address), &ticket).await;
    assert_eq!(person.hear().await, Heard::Text(WAITING.into()));
    let requests = told(&stage.agent, 0).await.consoles;
    assert_eq!(requests[0].server.as_deref(), Some(address.as_str()));
    assert_eq!(stage.agent.dial(id).await.err(), Some(404), "nobody waits here");
    let mut agent = stage.agent.at(&address).dial(id).await.expect("somebody waits there");
    agent.say(CONSOLE_READY).await;
    assert_eq!(person.hear().await, Heard::Text("{\"state\":\"connected\"}".into()));
    // A stop is heard of in every replica.
    stage.owner.asked(&stage.instance, "power-off").await;
    stage.desk.obey().await;
    assert_eq!(person.end_within(Duration::from_secs(5)).await, "stopped");
    replica.shut_down().await;
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn strangers_do_not_take_the_places_of_others() {
    let stage = Stage::open().await;
    let mut sockets = Vec::new();
    for _ in 0..16 {
        sockets.push(Socket::open(stage.url(), &[]).await.expect("the socket opens"));
    }
    assert_eq!(Socket::open(stage.url(), &[]).await.err(), Some(503));
    // Who says nothing is sent away, and so is who is gone.
    assert_eq!(sockets[0].end().await, "ticket");
    sockets.clear();
    let (_, ticket) = stage.ticket().await;
    let mut person = eventually("there is a place again", Duration::from_secs(20), || async {
        Socket::open(stage.url(), &[]).await.ok()
    })
    .await;
    person.say(&ticket).await;
    assert_eq!(person.hear().await, Heard::Text(WAITING.into()));
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn consoles_are_bounded() {
    let stage = Stage::open().await;
    for _ in 0..4 {
        stage.ask(&stage.owner, "vnc").await.expect(201);
    }
    let refused = stage.ask(&stage.owner, "vnc").await.expect(409).json();
    assert_eq!(text(&refused["code"]), "console-too-many-of-instance");
    // Tickets that nobody used, and consoles of a replica that died, count no more.
    stage.execute("UPDATE console_sessions SET expires_at = now() - interval '1 second'").await;
    let (_person, _agent, id) = stage.connected().await;
    for _ in 0..3 {
        stage.ask(&stage.owner, "vnc").await.expect(201);
    }
    stage.ask(&stage.owner, "vnc").await.expect(409);
    sqlx::query("UPDATE console_sessions SET seen_at = now() - interval '2 minutes' WHERE id = $1")
        .bind(id)
        .execute(stage.desk.pool())
        .await
        .unwrap();
    stage.ask(&stage.owner, "vnc").await.expect(201);

    // Of the whole tenant, and of the whole host whoever they belong to.
    let pool = stage.desk.pool();
    let fill = "INSERT INTO console_sessions (id, tenant_id, instance_id, host_id, build, user_id, session_hash, kind, ticket_hash, expires_at) \
         SELECT gen_random_uuid(), $1, instances.id, instances.host_id, 1, $2, '', 'vnc', uuid_send(gen_random_uuid()), now() + interval '1 hour' \
         FROM instances, generate_series(1, $3) WHERE instances.id = $4";
    stage.execute("DELETE FROM console_sessions").await;
    let second = stage.desk.running(&stage.owner, "second", "small").await;
    sqlx::query(fill)
        .bind(stage.owner.tenant)
        .bind(stage.owner.user)
        .bind(20)
        .bind(uuid_of(&second))
        .execute(pool)
        .await
        .unwrap();
    let refused = stage.ask(&stage.owner, "vnc").await.expect(409).json();
    assert_eq!(text(&refused["code"]), "console-too-many-of-tenant");
    stage.execute("DELETE FROM console_sessions").await;
    let other = stage.desk.buyer("other@example.com").await;
    let theirs = stage.desk.running(&other, "theirs", "small").await;
    sqlx::query(fill)
        .bind(other.tenant)
        .bind(other.user)
        .bind(200)
        .bind(uuid_of(&theirs))
        .execute(pool)
        .await
        .unwrap();
    let refused = stage.ask(&stage.owner, "vnc").await.expect(409).json();
    assert_eq!(text(&refused["code"]), "console-too-many-of-host");
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn when_one_side_dies_the_other_is_told() {
    let stage = Stage::open().await;
    let (person, mut agent, id) = stage.connected().await;
    drop(person);
    assert_eq!(agent.end().await, "left");
    assert_eq!(stage.written_end(id).await, "left");

    let (mut person, agent, id) = stage.connected().await;
    drop(agent);
    assert_eq!(person.end().await, "guest-gone");
    assert_eq!(stage.written_end(id).await, "guest-gone");

    // What the agent says of itself is passed on, and nothing else that it says.
    for (said, heard) in [("taken-over", "taken-over"), ("suspended", "guest-gone")] {
        let (mut person, mut agent, _) = stage.connected().await;
        agent.close(said).await;
        assert_eq!(person.end().await, heard);
    }

    // An agent that never comes, and a guest that does not open.
    let (id, ticket) = stage.ticket().await;
    let mut person = Socket::with_ticket(stage.url(), &ticket).await;
    let begin = Instant::now();
    assert_eq!(person.end().await, "host-silent");
    assert!((8..14).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(stage.agent.dial(id).await.err(), Some(404), "nobody waits any more");
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn a_console_ends_with_what_it_stands_on() {
    let stage = Stage::open().await;
    let at_once = Duration::from_secs(5);
    // A stop is heard of by its report.
    let (mut person, mut agent, _) = stage.connected().await;
    stage.owner.asked(&stage.instance, "power-off").await;
    assert_eq!(person.hear_within(Duration::from_millis(500)).await, None, "it still runs");
    stage.desk.obey().await;
    assert_eq!(person.end_within(at_once).await, "stopped");
    assert_eq!(agent.end_within(at_once).await, "stopped");
    stage.owner.asked(&stage.instance, "start").await;
    stage.desk.obey().await;

    let (mut person, _agent, _) = stage.connected().await;
    stage.owner.act(&stage.instance, "rebuild", json!({ "image": "test" })).await.expect(202);
    assert_eq!(person.end_within(at_once).await, "rebuilt");
    stage.desk.obey().await;

    // Rights are looked at every few seconds.
    let soon = Duration::from_secs(25);
    for (take, give, reason) in [
        (
            "UPDATE api_tokens SET revoked_at = now()",
            "UPDATE api_tokens SET revoked_at = NULL",
            "rights-lost",
        ),
        ("UPDATE memberships SET role = 'viewer'", "UPDATE memberships SET role = 'owner'", "rights-lost"),
        ("UPDATE tenants SET suspended_at = now()", "UPDATE tenants SET suspended_at = NULL", "suspended"),
    ] {
        let (mut person, _agent, _) = stage.connected().await;
        stage.execute(take).await;
        assert_eq!(person.end_within(soon).await, reason, "{take}");
        stage.execute(give).await;
    }

    let (mut person, _agent, _) = stage.connected().await;
    stage.owner.api.delete(&format!("/api/v1/instances/{}?now=true", stage.instance)).await.expect(202);
    assert_eq!(person.end_within(at_once).await, "stopped");
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_gathers_nothing_here() {
    let stage = Stage::open().await;
    let (mut person, mut agent, id) = stage.connected().await;
    // The person reads nothing while the guest writes without end.
    let piece = vec![b'x'; 32 * 1024];
    let mut taken: usize = 0;
    while let Ok(true) = tokio::time::timeout(Duration::from_secs(3), agent.send(&piece)).await {
        taken += piece.len();
        assert!(taken < 64 << 20, "{taken} bytes were taken for somebody who reads nothing");
    }
    println!("{} KiB were taken before it stood still", taken >> 10);
    assert_eq!(agent.end_within(Duration::from_secs(40)).await, "too-slow");
    assert_eq!(stage.written_end(id).await, "too-slow");
    let _ = person.hear().await;

    // And a message above the bound ends it.
    let (mut person, mut agent, _) = stage.connected().await;
    person.send(&vec![0; jst_protocol::MAX_CONSOLE_MESSAGE_BYTES + 1]).await;
    assert_eq!(agent.end().await, "left");
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn the_server_stops_although_consoles_are_open() {
    let stage = Stage::open().await;
    let (mut person, _agent, _) = stage.connected().await;
    let begin = Instant::now();
    let heard = tokio::spawn(async move { person.end().await });
    stage.desk.platform.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(8), "took {:?}", begin.elapsed());
    assert_eq!(heard.await.unwrap(), "server-stops");
}

#[tokio::test]
async fn an_administrator_looks_and_the_customer_sees_it() {
    let stage = Stage::open().await;
    let admin = stage.desk.platform.api(&stage.desk.platform.admin_token().await);
    let path = format!("/api/v1/admin/instances/{}/console", stage.instance);
    let answer = admin.post(&path, json!({ "kind": "vnc" })).await.expect(201).json();
    let (id, ticket) = id_and_ticket(&answer);
    let mut person = Socket::with_ticket(stage.url(), &ticket).await;
    assert_eq!(person.hear().await, Heard::Text(WAITING.into()));
    let mut agent = stage.agent.dial(id).await.expect("somebody waits");
    agent.say(CONSOLE_READY).await;
    assert_eq!(person.hear().await, Heard::Text("{\"state\":\"connected\"}".into()));
    let (actor, tenant): (String, Option<Uuid>) =
        sqlx::query_as("SELECT actor_label, tenant_id FROM events WHERE action = 'instance.console_opened'")
            .fetch_one(stage.desk.pool())
            .await
            .unwrap();
    assert_eq!((actor.as_str(), tenant), ("admin@example.com", Some(stage.owner.tenant)));
    stage.execute("UPDATE users SET is_admin = false").await;
    assert_eq!(person.end_within(Duration::from_secs(25)).await, "rights-lost");
    stage.desk.platform.stop().await;
}

#[tokio::test]
async fn only_the_page_with_the_console_lets_style_sheets_pass() {
    let stage = Stage::open().await;
    let cookie = session(&stage.desk.platform, "owner@example.com").await;
    let get = |path: String| {
        let (api, cookie) = (stage.desk.platform.api(""), cookie.clone());
        async move { api.send(reqwest::Method::GET, &path, None, &[("cookie", &cookie)]).await.expect(200) }
    };
    let policy = |answer: &Answer| answer.headers["content-security-policy"].to_str().unwrap().to_owned();
    let console = get(format!("/instances/{}/console", stage.instance)).await;
    let again = get(format!("/instances/{}/console", stage.instance)).await;
    let (first, second) = (policy(&console), policy(&again));
    assert!(first.contains("style-src 'self' 'nonce-") && first != second, "{first}");
    for policy in [&first, &second] {
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    }
    let nonce = first.split("'nonce-").nth(1).unwrap().trim_end_matches('\'');
    assert!(console.body.contains(&format!("nonce=\"{nonce}\"")));
    assert!(!policy(&get(format!("/instances/{}", stage.instance)).await).contains("nonce"));
    // The modules of noVNC find each other.
    let module = console.body.split("data-novnc=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let screen = get(module.clone()).await;
    assert_eq!(screen.headers["content-type"], "text/javascript; charset=utf-8");
    get(module.replace("core/rfb.js", "core/display.js")).await;
    get(module.replace("core/rfb.js", "vendor/pako/lib/zlib/inflate.js")).await;
    stage.desk.platform.stop().await;
}

/// The real agent on a simulated host: it dials, opens the guest's end, and takes it along when the guest stops.
#[tokio::test]
async fn a_simulated_guest_answers() {
    let stack = Stack::start(Guests::Simulated).await;
    stack.furnish(None).await;
    let customer = stack.customer("console@example.com").await;
    stack.let_buy("console@example.com").await;
    let instance = stack.create_instance(&customer, "web", "small", &[]).await;
    eventually("it runs", Duration::from_secs(30), || async {
        let state = customer.get(&format!("/api/v1/instances/{}", instance.id)).await.json()["state"].clone();
        (state == "running").then_some(())
    })
    .await;
    let path = format!("/api/v1/instances/{}/console", instance.id);
    let open = |kind: &'static str| {
        let (customer, path, url) = (customer.clone(), path.clone(), stack.url.clone());
        async move {
            let answer = customer.post(&path, json!({ "kind": kind })).await.expect(201).json();
            let mut socket = Socket::with_ticket(&url, text(&answer["ticket"])).await;
            socket.connected().await;
            socket
        }
    };
    let soon = Duration::from_secs(10);
    let mut first = open("serial").await;
    first.read_until("login: ", soon).await;
    first.send(b"hello\r").await;
    first.read_until("hello\r\n", soon).await;
    // A serial port has one reader.
    let mut second = open("serial").await;
    assert_eq!(first.end().await, "taken-over");
    second.send(b"mine").await;
    second.read_until("mine", soon).await;

    let mut screen = open("vnc").await;
    let mut rest = Vec::new();
    assert_eq!(screen.read_exact(&mut rest, 12).await, b"RFB 003.008\n");
    let begin = Instant::now();
    stack.act(&customer, &instance.id, "power-off", json!({})).await;
    for socket in [&mut second, &mut screen] {
        let reason = socket.end().await;
        assert!(["guest-gone", "stopped"].contains(&reason.as_str()), "{reason}");
    }
    println!("both ended {:?} after the power was asked to go", begin.elapsed());
    customer.post(&path, json!({ "kind": "vnc" })).await.expect(409);
    stack.stop().await;
}
