//! What people call things, over HTTP: one form and one set of rules, wherever a name is given.

use super::super::billing_systems::{Shop, order_with};
use super::super::instances::desk::{Desk, text};
use super::named;
use jst_tests::Client;
use serde_json::{Value, json};

/// Names that no field takes, with what is said of them.
const WRONG: [(&str, &str); 7] = [
    ("a\u{200b}b", "name-characters"),
    ("a\u{202e}b", "name-characters"),
    ("\u{301}a", "name-characters"),
    ("a\u{e000}", "name-characters"),
    ("a\u{2028}b", "name-characters"),
    ("a\nb", "control-characters"),
    ("\u{3164}", "required"),
];

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

fn policy() -> Value {
    crate::server::instances::desk::policy(1, 256, 128, 512)
}

#[tokio::test]
async fn every_name_has_one_set_of_rules() {
    let shop = Shop::open().await;
    let api = shop.desk.platform.api(&shop.desk.platform.admin_token().await);
    let id = {
        let made = api.post(
            "/api/v1/instances",
            json!({ "name": "web", "plan": "small", "image": "test", "trial": true }),
        );
        text(&made.await.expect(202).json()["instance_id"]).to_owned()
    };
    let announcement = |title: &str| {
        json!({ "kind": "maintenance", "title_en": title, "title_zh": "维护", "text_en": "x", "text_zh": "x",
            "starts_at": "2026-12-01T00:00:00Z" })
    };
    let plan = |name: &str| {
        json!({ "slug": "p", "name_en": name, "name_zh": "x", "policy": policy(), "price_monthly_usd": 1,
            "price_monthly_cny": 1, "price_hourly_usd_micro": 1, "price_hourly_cny_micro": 1 })
    };
    let import = |name: &str| json!({ "url": "https://example.com/a.qcow2", "slug": "i", "name": name, "format": "qcow2" });
    for (name, code) in WRONG {
        let calls = [
            (
                "POST",
                "/api/v1/instances".to_owned(),
                json!({ "name": name, "plan": "small", "image": "test" }),
                "name",
            ),
            ("PUT", format!("/api/v1/instances/{id}/name"), json!({ "name": name }), "name"),
            (
                "POST",
                "/api/v1/admin/pools".to_owned(),
                json!({ "name": name, "network": "192.0.2.0/24" }),
                "name",
            ),
            ("POST", "/api/v1/admin/plans".to_owned(), plan(name), "name_en"),
            ("POST", "/api/v1/admin/image-imports".to_owned(), import(name), "name"),
            ("POST", "/api/v1/admin/announcements".to_owned(), announcement(name), "title_en"),
        ];
        for (method, path, body, field) in calls {
            let answer = api.send(method.parse().unwrap(), &path, Some(body), &[]).await;
            assert_eq!(answer.status, 422, "{name:?} {path} {}", answer.body);
            let errors = answer.json()["errors"].clone();
            let at_name = errors.as_array().unwrap().iter().find(|error| error["field"] == field);
            assert_eq!(at_name.map(|error| text(&error["code"])), Some(code), "{name:?} {path} {errors}");
        }
        // Here an empty name has a meaning of its own, and what shows nothing is not empty.
        let key = json!({ "name": name, "public_key": KEY });
        assert_eq!(named(&api.post("/api/v1/ssh-keys", key).await.expect(422)), ["name"], "{name:?}");
        let hook = json!({ "name": name, "url": "https://example.com/" });
        let hook = api.post("/api/v1/webhooks", hook).await.expect(422);
        assert!(named(&hook).contains(&"name".to_owned()), "{name:?} {}", hook.body);
        let order = shop.put("42", order_with("/owner/name", json!(name))).await.expect(422);
        assert_eq!(named(&order), ["owner.name"], "{name:?}");
        for path in ["/team/name", "/api-tokens"] {
            let fields = [("name", name), ("scopes", "read"), ("current_password", "x")];
            let page = shop.admin.post(path, &fields).await;
            assert_eq!(page.status, 422, "{name:?} {path}: {} {}", page.location, page.body);
        }
    }
    let key = json!({ "name": " cafe\u{301}\u{a0} key ", "public_key": KEY });
    let key = api.post("/api/v1/ssh-keys", key).await.expect(201).json();
    assert_eq!(key["name"], "caf\u{e9} key");
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn spellings_of_one_name_are_one_name_of_a_team() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let first = customer.create("caf\u{e9} 1", "small").await;
    assert_eq!(customer.instance(&first).await["name"], "caf\u{e9} 1");
    for same in ["cafe\u{301} 1", "CAF\u{c9} 1", " caf\u{e9}\u{a0}\u{a0}1 ", "ｃａｆé　１"] {
        let new = json!({ "name": same, "plan": "small", "image": "test" });
        let refused = customer.api.post("/api/v1/instances", new).await.expect(422);
        assert_eq!(refused.json()["errors"][0]["code"], "name-taken", "{same:?}");
    }
    // Another team's names are its own.
    desk.buyer("b@example.com").await.create("caf\u{e9} 1", "small").await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_deleted_servers_name_is_free_and_does_not_keep_it_from_coming_back() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let first = desk.running(&customer, "web", "small").await;
    customer.api.delete(&format!("/api/v1/instances/{first}")).await.expect(202);
    desk.obey().await;
    // At once, and not when the grace period is over.
    let second = desk.running(&customer, "WEB", "small").await;
    customer.asked(&first, "undelete").await;
    desk.obey().await;
    assert_eq!(customer.instance(&first).await["name"], "web (2)");
    assert_eq!(customer.instance(&second).await["name"], "WEB");
    assert_eq!(desk.event("instance.undeleted").await.unwrap()["name"], "web (2)");
    // Where nobody has taken it, it comes back as it was.
    customer.api.delete(&format!("/api/v1/instances/{second}")).await.expect(202);
    customer.asked(&second, "undelete").await;
    assert_eq!(customer.instance(&second).await["name"], "WEB");
    // What is full to the last letter makes room for the number.
    let long = "x".repeat(63);
    let third = desk.running(&customer, &long, "small").await;
    customer.api.delete(&format!("/api/v1/instances/{third}")).await.expect(202);
    desk.running(&customer, &long, "small").await;
    customer.asked(&third, "undelete").await;
    assert_eq!(customer.instance(&third).await["name"], format!("{} (2)", "x".repeat(59)));
    desk.platform.stop().await;
}

async fn delete(browser: &Client, id: &str, typed: &str) -> jst_tests::Answer {
    browser.post(&format!("/instances/{id}/delete"), &[("confirm", typed)]).await
}

#[tokio::test]
async fn what_is_typed_to_confirm_is_compared_as_a_name() {
    let desk = Desk::open().await;
    let admin = desk.platform.admin().await;
    let api = desk.platform.api(&desk.platform.admin_token().await);
    let make = |name: &'static str| {
        let api = &api;
        async move {
            let new = json!({ "name": name, "plan": "small", "image": "test", "trial": true });
            text(&api.post("/api/v1/instances", new).await.expect(202).json()["instance_id"]).to_owned()
        }
    };
    let id = make("web").await;
    desk.obey().await;
    // A name from before the rules, which no keyboard has: the page asks for the end of the id.
    desk.as_owner("UPDATE instances SET name = E'we\\u200bb\\u202e'").await;
    let short = &id[id.len() - 8..];
    let page = admin.get(&format!("/instances/{id}/delete")).await.expect(200);
    assert!(page.body.contains(&format!("Type {short} to confirm")), "{}", page.body);
    let refused = delete(&admin, &id, "web1").await.expect(422);
    assert!(refused.body.contains(short), "{}", refused.body);
    delete(&admin, &id, &format!(" {short} ")).await.expect(303);
    let undelete = format!("/api/v1/instances/{id}/actions/undelete");
    api.post(&undelete, json!({})).await.expect(202);
    // It stayed readable, and can be renamed.
    let path = format!("/api/v1/instances/{id}");
    assert_eq!(api.get(&path).await.expect(200).json()["name"], "we\u{200b}b\u{202e}");
    api.put(&format!("{path}/name"), json!({ "name": "caf\u{e9} 1" })).await.expect(202);
    for other in ["", " ", "cafe 1", "caf\u{e9}", "CAF\u{c9} 1"] {
        assert_eq!(delete(&admin, &id, other).await.status, 422, "{other:?}");
    }
    delete(&admin, &id, " cafe\u{301}\u{a0}1").await.expect(303);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_domain_is_checked_whole_and_reaches_the_guest() {
    let shop = Shop::open().await;
    let long = format!("{}.{}.example.com", "a".repeat(63), "b".repeat(63));
    for (reference, sent, label, domain) in [
        ("1", "web.example.com", "web", Some("example.com")),
        ("2", "163.com.", "163", Some("com")),
        ("3", "例子.中国", "xn--fsqu00a", Some("xn--fiqs8s")),
        ("4", "plain", "plain", None),
        ("5", long.as_str(), &long[..63], Some(&long[64..])),
    ] {
        shop.put(reference, order_with("/hostname", json!(sent))).await.expect(202);
        let service = shop.service(reference).await;
        let full = domain.map_or(label.to_owned(), |domain| format!("{label}.{domain}"));
        assert_eq!(text(&service["hostname"]), full, "{sent}");
        let told = shop.desk.told(text(&service["instance_id"])).await.unwrap();
        let jst_protocol::desired::Presence::Present { spec, .. } = told.presence else { panic!("{told:?}") };
        assert_eq!((spec.hostname.as_str(), spec.domain.as_deref()), (label, domain), "{sent}");
    }
    for (sent, code) in [
        ("web.exa_mple.com", "hostname"),
        ("web.-a.com", "hostname"),
        ("a..b", "hostname"),
        ("http://a.com", "hostname"),
        ("192.0.2.1", "hostname"),
        (&format!("web.{}.com", "a".repeat(64)), "hostname-too-long"),
        (&format!("{}com", "abc.".repeat(63)), "hostname-too-long"),
    ] {
        let refused = shop.put("9", order_with("/hostname", json!(sent))).await.expect(422).json();
        let error = &refused["errors"][0];
        assert_eq!((text(&error["field"]), text(&error["code"])), ("hostname", code), "{sent}");
    }
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn names_from_before_the_rules_are_told_apart() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let ids = [customer.create("web", "small").await, customer.create("web2", "small").await];
    // As the index before let it be: one letter wide, the other plain.
    desk.as_owner("DROP INDEX instances_name_key; UPDATE instances SET name = 'ｗｅｂ' WHERE name = 'web2'")
        .await;
    // The two steps of the migration that look at names, as they stand in it.
    const MIGRATION: &str = include_str!("../../../../migrations/0022_names.sql");
    let step = |begin: &str| {
        let from = MIGRATION.find(begin).expect("the step");
        let length = MIGRATION[from..].find(';').expect("its end");
        &MIGRATION[from..from + length]
    };
    desk.as_owner(step("UPDATE instances AS newer")).await;
    desk.as_owner(step("CREATE UNIQUE INDEX instances_name_key")).await;
    assert_eq!(customer.instance(&ids[0]).await["name"], "web");
    let short = &ids[1][ids[1].len() - 8..];
    assert_eq!(customer.instance(&ids[1]).await["name"], format!("ｗｅｂ {short}"));
    desk.platform.stop().await;
}
