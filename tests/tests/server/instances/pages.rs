//! The pages, as a browser without script has them.

use super::desk::{Customer, Desk, obeyed, text};
use jst_protocol::report::{FailureCode, Observed, Outcome, Usage};
use jst_tests::platform::PASSWORD;
use jst_tests::{Client, eventually};
use serde_json::json;
use std::time::Duration;

/// A customer in a browser, who is also the owner of a token.
async fn browser(desk: &Desk, email: &str) -> (Client, Customer) {
    let client = desk.platform.customer(email).await;
    let (user, tenant): (uuid::Uuid, uuid::Uuid) = sqlx::query_as(
        "SELECT user_id, tenant_id FROM memberships JOIN users ON users.id = user_id WHERE email = $1",
    )
    .bind(email)
    .fetch_one(desk.pool())
    .await
    .unwrap();
    let token = jst_server::auth::token::generate();
    sqlx::query(
        "INSERT INTO api_tokens (id, tenant_id, user_id, name, prefix, token_hash, scopes) \
         VALUES ($1, $2, $3, 't', 't', $4, '{read,write}')",
    )
    .bind(uuid::Uuid::now_v7())
    .bind(tenant)
    .bind(user)
    .bind(jst_server::secrets::token_hash(&token))
    .execute(desk.pool())
    .await
    .unwrap();
    (client, Customer { api: desk.platform.api(&token), token, tenant, user })
}

async fn let_buy(desk: &Desk) {
    sqlx::query("UPDATE tenants SET may_buy = true, quota_memory_mib = 4000000")
        .execute(desk.pool())
        .await
        .unwrap();
}

/// The language that the reader chose on a page.
async fn choose(client: &Client, language: &str) {
    client.post("/preferences", &[("language", language), ("next", "/dashboard")]).await.expect(303);
}

#[tokio::test]
async fn a_guest_that_is_not_seen_on_the_network_is_no_silent_success() {
    let desk = Desk::open().await;
    let (client, customer) = browser(&desk, "a@example.com").await;
    let_buy(&desk).await;
    let id = desk.running(&customer, "web", "small").await;
    let page = || async { client.get(&format!("/instances/{id}")).await.expect(200).body };
    let told = "Not seen on the network since it started";
    assert_eq!(customer.instance(&id).await["network_seen"], json!(null));
    assert!(!page().await.contains(told));
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    for (seen, events) in [(Some(false), 1), (Some(false), 1), (Some(true), 1), (None, 1), (Some(false), 2)] {
        report.usage = Some(Usage { network_seen: seen, ..Usage::default() });
        desk.report(&[report.clone()]).await;
        assert_eq!(customer.instance(&id).await["network_seen"], json!(seen));
        assert_eq!(page().await.contains(told), seen == Some(false));
        let counted = "SELECT count(*) FROM events WHERE action = 'instance.network_not_seen'";
        assert_eq!(desk.count(counted).await, events);
    }
    // A stopped guest is not looked for.
    report.observed = Observed::Stopped;
    desk.report(&[report]).await;
    assert_eq!(customer.instance(&id).await["network_seen"], json!(null));
    desk.platform.stop().await;
}

#[tokio::test]
async fn from_the_first_visit_to_a_running_instance_without_script() {
    let desk = Desk::open().await;
    let (client, customer) = browser(&desk, "lin@example.com").await;
    let page = client.get("/dashboard").await.expect(200);
    assert!(page.body.contains("Start free trial"), "{}", page.body);
    choose(&client, "zh-CN").await;
    assert!(client.get("/dashboard").await.expect(200).body.contains("开始免费试用"));
    choose(&client, "en").await;
    let page = client.get("/instances/new?plan=small").await.expect(200);
    // What the account cannot order is there, and cannot be chosen.
    assert!(page.body.contains(r#"value="large" required disabled"#), "{}", page.body);
    assert!(page.body.contains(r#"value="small" required checked"#), "{}", page.body);

    // Everything wrong: everything that was typed is still there, with the reasons.
    let wrong =
        [("plan", "small"), ("image", "test"), ("name", ""), ("hostname", "-x-"), ("user_data", "#!/bin/sh")];
    let page = client.post("/instances", &wrong).await.expect(422);
    assert!(page.body.contains("Fill this in."), "{}", page.body);
    assert!(page.body.contains("Enter a host name such as web-1 or web.example.com"), "{}", page.body);
    assert!(page.body.contains("value=\"-x-\"") && page.body.contains("#!/bin/sh"), "{}", page.body);

    let answer = client
        .post("/instances", &[("plan", "small"), ("image", "test"), ("name", "Web <1>")])
        .await
        .expect(303);
    let path = answer.location;
    let page = client.get(&path).await.expect(200);
    assert!(page.body.contains("Web &#60;1&#62;") && !page.body.contains("Web <1>"), "a name is escaped");
    assert!(page.body.contains("Being made") && page.body.contains("Waiting for the host"), "{}", page.body);
    desk.obey().await;
    let page = client.get(&path).await.expect(200);
    assert!(page.body.contains("Running") && page.body.contains("ssh root@198.51.100.1"), "{}", page.body);
    assert!(page.body.contains("7 days left"), "{}", page.body);
    assert!(page.body.contains("128 MiB guaranteed, up to 256 MiB"), "{}", page.body);
    for language in ["zh-CN", "en"] {
        choose(&client, language).await;
        for part in ["", "/graphs", "/networking", "/settings", "/history", "/resize", "/rebuild", "/delete"]
        {
            let page = client.get(&format!("{path}{part}")).await.expect(200);
            assert!(page.body.contains(&format!("lang=\"{language}\"")), "{part}");
            // A key that has no message shows itself.
            assert!(!page.body.contains("Unknown localization"), "{part} in {language}: {}", page.body);
        }
    }
    for path in ["/dashboard", "/instances", "/instances/new"] {
        let page = client.get(path).await.expect(200);
        assert!(!page.body.contains("Unknown localization"), "{path}: {}", page.body);
    }
    assert!(client.get("/dashboard").await.body.contains("Web &#60;1&#62;"));
    let _ = customer;
    desk.platform.stop().await;
}

/// What the processor was kept from doing is said where it is known, and nothing is said where it is not.
#[tokio::test]
async fn waiting_for_the_host_and_the_own_limit_are_told_apart() {
    let desk = Desk::open().await;
    let (client, customer) = browser(&desk, "lin@example.com").await;
    let_buy(&desk).await;
    let id = desk.running(&customer, "web", "small").await;
    let page = async |language| {
        choose(&client, language).await;
        client.get(&format!("/instances/{id}")).await.expect(200).body
    };
    let told = async |usage: Usage| {
        let mut report = obeyed(&desk.told(&id).await.unwrap());
        report.usage = Some(usage);
        desk.report(&[report]).await;
    };
    // As an agent reports that does not measure it.
    told(Usage { cpu_nanoseconds: 700, ..Usage::default() }).await;
    assert!(!page("en").await.contains("Waited for the host"));
    let waited = Usage { cpu_nanoseconds: 988, cpu_steal_nanoseconds: 12, ..Usage::default() };
    told(waited).await;
    let seen = page("en").await;
    assert!(seen.contains("Waited for the host 1.2% of its busy time."), "{seen}");
    assert!(!seen.contains("its own limit"), "{seen}");
    told(Usage { cpu_nanoseconds: 688, cpu_throttled_nanoseconds: 300, ..waited }).await;
    let seen = page("en").await;
    assert!(seen.contains("Held back by its own limit 30% of its busy time."), "{seen}");
    let seen = page("zh-CN").await;
    assert!(seen.contains("忙时有 1.2% 的时间在等待宿主机。"), "{seen}");
    assert!(seen.contains("忙时有 30% 的时间受自身上限约束。"), "{seen}");
    desk.platform.stop().await;
}

#[tokio::test]
async fn buttons_ask_and_refusals_come_back_as_messages() {
    let desk = Desk::open().await;
    let (client, customer) = browser(&desk, "lin@example.com").await;
    let_buy(&desk).await;
    let id = desk.running(&customer, "web", "small").await;
    let path = format!("/instances/{id}");
    client.post(&format!("{path}/shutdown"), &[]).await.expect(303);
    desk.obey().await;
    assert!(client.get(&path).await.body.contains("Stopped"));
    // Twice: the second is refused, and says why on the page.
    let answer = client.post(&format!("{path}/shutdown"), &[]).await.expect(303);
    assert_eq!(answer.location, path);
    assert!(client.get(&path).await.body.contains("The instance is stopped. Start it first."));
    client.post(&format!("{path}/start"), &[]).await.expect(303);
    desk.obey().await;

    client.post(&format!("{path}/name"), &[("name", "www"), ("hostname", "www")]).await.expect(303);
    let page = client.post(&format!("{path}/name"), &[("name", ""), ("hostname", "")]).await.expect(422);
    assert!(page.body.contains("Fill this in."), "{}", page.body);

    let page = client.post(&format!("{path}/resize"), &[("plan", "huge")]).await.expect(409);
    assert!(page.body.contains("Nothing was changed"), "{}", page.body);
    client.post(&format!("{path}/resize"), &[("plan", "large")]).await.expect(303);
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["plan"]["slug"], "large");

    let page =
        client.post(&format!("{path}/rebuild"), &[("image", "test"), ("confirm", "web")]).await.expect(422);
    assert!(page.body.contains("Type www"), "{}", page.body);
    client.post(&format!("{path}/rebuild"), &[("image", "test"), ("confirm", "www")]).await.expect(303);
    desk.obey().await;

    client.post(&format!("{path}/protection"), &[("on", "on")]).await.expect(303);
    let page = client.post(&format!("{path}/delete"), &[("confirm", "www")]).await.expect(409);
    assert!(page.body.contains("protected"), "{}", page.body);
    client.post(&format!("{path}/protection"), &[]).await.expect(303);
    client.post(&format!("{path}/delete"), &[("confirm", "")]).await.expect(422);
    assert_eq!(
        client.post(&format!("{path}/delete"), &[("confirm", "www")]).await.expect(303).location,
        path
    );
    desk.obey().await;
    let page = client.get(&path).await.expect(200);
    assert!(page.body.contains("Undo the deletion"), "{}", page.body);
    client.post(&format!("{path}/undelete"), &[]).await.expect(303);
    desk.obey().await;
    client.post(&format!("{path}/delete"), &[("confirm", "www"), ("now", "on")]).await.expect(303);
    desk.obey().await;
    client.get(&path).await.expect(404);
    desk.platform.stop().await;
}

#[tokio::test]
async fn the_firewall_is_edited_in_rows() {
    let desk = Desk::open().await;
    let (client, customer) = browser(&desk, "lin@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let path = format!("/instances/{id}/networking");
    let form = |ports: &'static str| {
        [
            ("inbound", "rules"),
            ("outbound", "open"),
            ("inbound_protocol", "tcp"),
            ("inbound_ports", ports),
            ("inbound_peers", "203.0.113.0/24, 2001:db8::1"),
            ("inbound_protocol", "tcp"),
            ("inbound_ports", ""),
            ("inbound_peers", ""),
            ("outbound_protocol", "tcp"),
            ("outbound_ports", ""),
            ("outbound_peers", ""),
        ]
    };
    let page = client.post(&path, &form("99999")).await.expect(422);
    assert!(
        page.body.contains("Enter a port from 1 to 65535") && page.body.contains("99999"),
        "{}",
        page.body
    );
    client.post(&path, &form("22")).await.expect(303);
    let firewall = customer.instance(&id).await["firewall"].clone();
    assert_eq!(firewall["inbound"].as_array().unwrap().len(), 1, "an empty row is no rule: {firewall}");
    assert_eq!(firewall["inbound"][0]["peers"][1], "2001:db8::1");
    // Columns of different lengths come from no page of ours.
    client.post(&path, &[("inbound", "rules"), ("inbound_protocol", "tcp")]).await.expect(422);
    client.post(&path, &[("inbound", "open"), ("outbound", "open")]).await.expect(303);
    assert!(customer.instance(&id).await["firewall"]["inbound"].is_null());
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_failure_says_what_happened_and_what_to_do() {
    let desk = Desk::open().await;
    let (client, customer) = browser(&desk, "lin@example.com").await;
    let_buy(&desk).await;
    let id = customer.create("web", "small").await;
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    report.observed = Observed::Absent;
    report.outcome =
        Outcome::Failed { code: FailureCode::StorageFull, detail: "/dev/x".into(), permanent: true };
    desk.report(&[report]).await;
    let page = client.get(&format!("/instances/{id}")).await.expect(200);
    assert!(
        page.body.contains("could not be made") && page.body.contains("no room on its disks"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("/dev/x"), "details are for the operator");
    let mail = &desk.platform.mails_to("lin@example.com").await[0].body;
    assert!(mail.contains("web") && mail.contains("no room on its disks") && mail.contains(&id), "{mail}");
    assert!(!mail.contains("/dev/x"), "{mail}");
    assert!(page.body.contains("/retry"), "{}", page.body);
    desk.platform.stop().await;
}

#[tokio::test]
async fn pages_of_another_tenant_do_not_exist() {
    let desk = Desk::open().await;
    let (_, owner) = browser(&desk, "owner@example.com").await;
    let (thief, _) = browser(&desk, "thief@example.com").await;
    let id = desk.running(&owner, "web", "small").await;
    let before = owner.instance(&id).await;
    for part in ["", "/graphs", "/networking", "/settings", "/history", "/resize", "/rebuild", "/delete"] {
        thief.get(&format!("/instances/{id}{part}")).await.expect(404);
        let nobody = desk.platform.client().get(&format!("/instances/{id}{part}")).await.expect(303);
        assert!(nobody.location.starts_with("/sign-in"), "{}", nobody.location);
    }
    for (part, fields) in [
        ("start", &[][..]),
        ("shutdown", &[]),
        ("power-off", &[]),
        ("reboot", &[]),
        ("undelete", &[]),
        ("retry", &[]),
        ("name", &[("name", "mine")]),
        ("protection", &[("on", "on")]),
        ("rebuild", &[("image", "test"), ("confirm", "web")]),
        ("delete", &[("confirm", "web"), ("now", "on")]),
        ("resize", &[("plan", "large")]),
        ("networking", &[("inbound", "rules"), ("outbound", "open")]),
    ] {
        thief.post(&format!("/instances/{id}/{part}"), fields).await.expect(404);
    }
    assert_eq!(owner.instance(&id).await, before);
    assert!(!thief.get("/instances").await.body.contains("198.51.100.1"));
    desk.platform.stop().await;
}

/// A change of my tenant wakes my page, and a change of another's does not.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_woken_by_changes_of_their_own_tenant() {
    let desk = Desk::open().await;
    let (_, owner) = browser(&desk, "owner@example.com").await;
    let (watching, reader) = browser(&desk, "reader@example.com").await;
    let id = desk.running(&owner, "web", "small").await;
    let mut stream = watching.stream("/live").await;
    assert_eq!(stream.status, 200);
    assert!(stream.content_type.starts_with("text/event-stream"), "{}", stream.content_type);
    stream.drain().await;
    owner.asked(&id, "shutdown").await;
    assert_eq!(stream.next(Duration::from_millis(1500)).await, None, "another tenant's change");
    reader.create("other", "small").await;
    let seen = stream.next(Duration::from_secs(5)).await.expect("a change of one's own");
    // Without data a browser would pass over it.
    assert!(seen.contains("event: change\ndata: "), "{seen}");
    assert_eq!(desk.platform.client().get("/live").await.status, 303, "nobody listens unasked");
    // Ten pages are enough for anybody.
    let mut open = Vec::new();
    for _ in 0..9 {
        open.push(watching.stream("/live").await);
        assert_eq!(open.last().unwrap().status, 200);
    }
    assert_eq!(watching.stream("/live").await.status, 429);
    drop(open);
    drop(stream);
    eventually("a place is free again", Duration::from_secs(5), || async {
        (watching.stream("/live").await.status == 200).then_some(())
    })
    .await;
    desk.platform.stop().await;
}

/// An expired trial is told on the dashboard, with the way to keep it.
#[tokio::test]
async fn the_dashboard_tells_how_a_trial_stands() {
    let desk = Desk::open().await;
    let (client, customer) = browser(&desk, "lin@example.com").await;
    let id = desk.running(&customer, "try", "small").await;
    assert!(client.get("/dashboard").await.body.contains("7 days left"));
    sqlx::query("UPDATE trials SET expires_at = now() - interval '1 second'")
        .execute(desk.pool())
        .await
        .unwrap();
    jst_server::worker::trials::pass(desk.platform.app().clone()).await.unwrap();
    desk.obey().await;
    let page = client.get("/dashboard").await.expect(200);
    assert!(
        page.body.contains("The trial has ended") && page.body.contains(&format!("/instances/{id}/resize")),
        "{}",
        page.body
    );
    let page = client.get(&format!("/instances/{id}")).await.expect(200);
    assert!(!page.body.contains(&format!("action=\"/instances/{id}/start\"")), "{}", page.body);
    assert_eq!(text(&customer.instance(&id).await["lock_reason"]), "trial_expired");
    desk.platform.stop().await;
}

/// The customer finds what is theirs, the operator what is anybody's, and a hostile question is text.
#[tokio::test]
async fn one_field_leads_everywhere() {
    let desk = Desk::open().await;
    let (owner, other) = (desk.buyer("a@example.com").await, desk.buyer("b@example.com").await);
    let own = desk.running(&owner, "web-front", "small").await;
    let foreign = desk.running(&other, "web-back", "small").await;
    let client = desk.platform.admin().await;
    // The administrator is a member of the customer's team too, so that one browser sees both pages.
    sqlx::query("UPDATE memberships SET tenant_id = $1 WHERE user_id = (SELECT id FROM users WHERE email = 'admin@example.com')")
        .bind(owner.tenant)
        .execute(desk.pool())
        .await
        .unwrap();
    client.sign_in("admin@example.com", PASSWORD).await;
    let list = async |path: &str| client.get(path).await.expect(200).body;
    let mine = list("/search?q=WEB").await;
    assert!(mine.contains(&own) && !mine.contains(&foreign), "{mine}");
    let all = list("/admin/search?q=web&list=true").await;
    assert!(all.contains(&own) && all.contains(&foreign) && !all.contains("<html"), "{all}");
    assert!(list("/admin/search?q=host-1").await.contains(&format!("/admin/hosts/{}", desk.host)));
    assert!(list("/search?list=true&q=ssh").await.contains("/help/ssh-keys"));
    assert!(list("/search?list=true").await.contains("/api-tokens"), "without a question every page");
    for hostile in ["%3Cscript%3E", "%27%22%3E%3Cb%3E", &"%F0%9F%92%A9".repeat(2000)] {
        for path in ["/search", "/admin/search"] {
            let body = list(&format!("{path}?list=true&q={hostile}")).await;
            assert!(!body.contains("<script") && !body.contains("<b>"), "{body}");
        }
    }
    let stranger = desk.platform.client();
    stranger.get("/search?q=web").await.expect(303);
    stranger.get("/admin/search?q=web").await.expect(303);
    desk.platform.stop().await;
}
