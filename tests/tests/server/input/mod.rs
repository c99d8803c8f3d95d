//! Input in general: what every call refuses, found by walking the descriptions of both APIs.

mod bodies;
mod names;

use super::instances::desk::Desk;
use super::instances::desk::text;
use bodies::Calls;
use jst_tests::{Answer, Api};
use reqwest::Method;
use serde_json::{Map, Value, json};

const UNKNOWN: &str = "_unknown";

/// Both APIs, each with somebody who may call everything of it.
async fn apis(shop: &super::billing_systems::Shop) -> [(Api, Calls); 2] {
    let admin = shop.desk.platform.api(&shop.desk.platform.admin_token().await);
    let described = |api: &Api, path: &'static str| {
        let api = api.clone();
        async move { Calls::of(api.get(path).await.expect(200).json()) }
    };
    let main = described(&admin, "/api/v1/openapi.json").await;
    let billing = described(&shop.api, "/billing/v1/openapi.json").await;
    [(admin, main), (shop.api.clone(), billing)]
}

/// The body with another field in one of its objects, before all others, so that it is what is read first.
fn with_unknown(body: &Value, place: &str) -> Value {
    let mut body = body.clone();
    let object = body.pointer_mut(place).expect("the object");
    let known = object.as_object().cloned().unwrap_or_default();
    *object = std::iter::once((UNKNOWN.to_owned(), json!("x"))).chain(known).collect::<Map<_, _>>().into();
    body
}

/// The fields that a problem names.
fn named(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().map(|error| text(&error["field"]).to_owned()).collect()
}

/// Everything that a change of anything leaves behind.
async fn traces(desk: &Desk) -> i64 {
    desk.count("SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM mail_outbox)").await
}

#[tokio::test]
async fn no_body_takes_a_field_that_it_does_not_know() {
    let shop = super::billing_systems::Shop::open().await;
    let mut tried = (0, 0);
    for (api, calls) in apis(&shop).await {
        let before = traces(&shop.desk).await;
        for call in calls.with_body() {
            tried.0 += 1;
            let body = calls.body(&call);
            for place in bodies::objects(&body) {
                tried.1 += 1;
                let wrong = with_unknown(&body, &place);
                let answer = api.send(call.method.clone(), &call.path, Some(wrong.clone()), &[]).await;
                assert_eq!(answer.status, 422, "{} {} took {wrong}: {}", call.method, call.path, answer.body);
                let errors = answer.json()["errors"].to_string();
                assert!(errors.contains(UNKNOWN), "{} {}: {wrong} {errors}", call.method, call.path);
            }
        }
        assert_eq!(traces(&shop.desk).await, before, "something was changed");
    }
    assert!(tried.0 >= 35 && tried.1 > tried.0, "{tried:?}: the walk has lost its way");
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn no_list_takes_an_entry_that_says_nothing() {
    let shop = super::billing_systems::Shop::open().await;
    let mut tried = Vec::new();
    for (api, calls) in apis(&shop).await {
        let before = traces(&shop.desk).await;
        for call in calls.with_body() {
            let body = calls.body(&call);
            for place in bodies::lists(&body) {
                tried.push(format!("{} {} {place}", call.method, call.path));
                for blank in [json!(""), json!(" "), json!("\u{a0}\u{200b}"), Value::Null] {
                    for entries in [json!([blank]), json!(["x", blank])] {
                        let last = entries.as_array().unwrap().len() - 1;
                        let mut wrong = body.clone();
                        *wrong.pointer_mut(&place).unwrap() = entries;
                        let answer =
                            api.send(call.method.clone(), &call.path, Some(wrong.clone()), &[]).await;
                        let field = format!("{}.{last}", place.trim_start_matches('/').replace('/', "."));
                        assert_eq!(answer.status, 422, "{} {} took {wrong}", call.method, call.path);
                        assert_eq!(named(&answer), [field], "{} {} {wrong}", call.method, call.path);
                    }
                }
            }
        }
        assert_eq!(traces(&shop.desk).await, before, "something was changed");
    }
    for known in ["ssh_keys", "peers", "types", "excluded", "nameservers", "inbound"] {
        assert!(tried.iter().any(|place| place.contains(known)), "no list {known} among {tried:?}");
    }
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn no_call_takes_a_query_that_it_does_not_know() {
    let shop = super::billing_systems::Shop::open().await;
    let mut tried = 0;
    for (api, calls) in apis(&shop).await {
        let before = traces(&shop.desk).await;
        for call in &calls.all {
            tried += 1;
            let path = format!("{}?{UNKNOWN}=1", call.path);
            let answer = api.send(call.method.clone(), &path, None, &[]).await;
            assert_eq!(answer.status, 422, "{} {path}: {}", call.method, answer.body);
            assert_eq!(named(&answer), [UNKNOWN], "{} {path}", call.method);
        }
        assert_eq!(traces(&shop.desk).await, before, "something was changed");
        // What is known still passes.
        for call in calls.all.iter().filter(|call| call.method == Method::GET && !call.query.is_empty()) {
            for name in &call.query {
                let answer = api.get(&format!("{}?{name}=1", call.path)).await;
                assert!(!named(&answer).contains(&UNKNOWN.to_owned()));
                assert!(!answer.body.contains("query-unknown"), "{} {name}: {}", call.path, answer.body);
            }
        }
    }
    assert!(tried >= 100, "{tried}: the walk has lost its way");
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn a_rule_of_the_firewall_that_names_nobody_opens_nothing() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let path = format!("/api/v1/instances/{id}/firewall");
    let rules = |peers: Value| json!({ "inbound": [{ "protocol": "tcp", "ports": "22", "peers": peers }] });
    customer.api.put(&path, rules(json!(["192.0.2.1"]))).await.expect(202);
    let before = desk.told(&id).await.unwrap();
    for (peers, field) in [
        (json!([""]), "inbound.0.peers.0"),
        (json!([" "]), "inbound.0.peers.0"),
        (json!([null]), "inbound.0.peers.0"),
        (json!(["192.0.2.1", "\t"]), "inbound.0.peers.1"),
        (json!([","]), "inbound.0.peers.0"),
        (json!(["192.0.2.1,192.0.2.2"]), "inbound.0.peers.0"),
        (json!(["010.0.0.1"]), "inbound.0.peers.0"),
        (json!(null), "inbound.0.peers"),
        (json!(""), "inbound.0.peers"),
    ] {
        let answer = customer.api.put(&path, rules(peers.clone())).await.expect(422);
        assert_eq!(named(&answer), [field], "{peers} {}", answer.body);
    }
    for ports in ["", " ", ",", "80,90"] {
        let rule = json!({ "inbound": [{ "protocol": "tcp", "ports": ports, "peers": ["192.0.2.1"] }] });
        assert_eq!(named(&customer.api.put(&path, rule).await.expect(422)), ["inbound.0.ports"], "{ports:?}");
    }
    assert_eq!(desk.told(&id).await.unwrap(), before);
    // What can never stand in a packet is what it means.
    customer.api.put(&path, rules(json!(["::ffff:192.0.2.7"]))).await.expect(202);
    let shown = customer.instance(&id).await["firewall"].clone();
    assert_eq!(shown["inbound"][0]["peers"], json!(["192.0.2.7"]));
    // A body that says nothing at all opens nothing either; who means everybody says null.
    assert_eq!(named(&customer.api.put(&path, json!({})).await.expect(422)), ["inbound"]);
    assert_eq!(customer.instance(&id).await["firewall"], shown);
    customer.api.put(&path, json!({ "inbound": null })).await.expect(202);
    assert_eq!(customer.instance(&id).await["firewall"]["inbound"], json!(null));
    desk.platform.stop().await;
}
