//! Another tenant's instance does not exist.

use super::desk::{Desk, text};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_foreign_instance_is_a_404_on_every_route() {
    let desk = Desk::open().await;
    let owner = desk.buyer("owner@example.com").await;
    let thief = desk.buyer("thief@example.com").await;
    let operation = owner.try_create("web", "small").await.expect(202).json();
    let id = text(&operation["instance_id"]).to_owned();
    desk.obey().await;
    let before = owner.instance(&id).await;
    let base = format!("/api/v1/instances/{id}");
    let body = |value| Some(value);
    for (method, path, body) in [
        (Method::GET, base.clone(), None),
        (Method::PATCH, base.clone(), body(json!({ "delete_protection": true }))),
        (Method::DELETE, base.clone(), None),
        (Method::DELETE, format!("{base}?now=true"), None),
        (Method::GET, format!("{base}/usage"), None),
        (Method::GET, format!("{base}/metrics"), None),
        (Method::PUT, format!("{base}/name"), body(json!({ "name": "mine" }))),
        (Method::PUT, format!("{base}/firewall"), body(json!({ "inbound": null }))),
        (Method::POST, format!("{base}/actions/start"), body(json!({}))),
        (Method::POST, format!("{base}/actions/shutdown"), body(json!({}))),
        (Method::POST, format!("{base}/actions/power-off"), body(json!({}))),
        (Method::POST, format!("{base}/actions/reboot"), body(json!({}))),
        (Method::POST, format!("{base}/actions/rebuild"), body(json!({ "image": "test" }))),
        (Method::POST, format!("{base}/actions/resize"), body(json!({ "plan": "large" }))),
        (Method::POST, format!("{base}/actions/undelete"), body(json!({}))),
        (Method::POST, format!("{base}/actions/retry"), body(json!({}))),
        (Method::GET, format!("/api/v1/operations/{}", text(&operation["id"])), None),
        // An operation's id names no instance, and nonsense names nothing.
        (Method::GET, format!("/api/v1/instances/{}", text(&operation["id"])), None),
        (Method::GET, "/api/v1/instances/nonsense".to_owned(), None),
        (Method::GET, "/api/v1/operations/nonsense".to_owned(), None),
    ] {
        let answer = thief.api.send(method.clone(), &path, body.clone(), &[]).await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
        let nobody = desk.platform.api("").send(method.clone(), &path, body, &[]).await;
        assert_eq!(nobody.status, 401, "{method} {path}");
    }
    assert_eq!(owner.instance(&id).await, before);
    for list in ["/api/v1/instances", "/api/v1/operations", &format!("/api/v1/operations?instance={id}")] {
        let items = thief.api.get(list).await.expect(200).json()["items"].clone();
        assert_eq!(items, json!([]), "{list}");
    }
    desk.platform.stop().await;
}

#[tokio::test]
async fn lists_come_in_parts() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    for number in 0..5 {
        customer.create(&format!("vm-{number}"), "small").await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let part =
            customer.api.get(&format!("/api/v1/instances?limit=2&cursor={cursor}")).await.expect(200).json();
        seen.extend(
            part["items"].as_array().unwrap().iter().map(|instance| text(&instance["name"]).to_owned()),
        );
        match part["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["vm-4", "vm-3", "vm-2", "vm-1", "vm-0"]);
    for query in ["limit=0", "limit=101", "limit=x", "cursor=x"] {
        customer.api.get(&format!("/api/v1/instances?{query}")).await.expect(422);
    }
    customer.api.get("/api/v1/operations?instance=x").await.expect(422);
    desk.platform.stop().await;
}

/// A viewer sees and does not touch.
#[tokio::test]
async fn a_viewer_changes_nothing() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    sqlx::query("UPDATE memberships SET role = 'viewer'").execute(desk.pool()).await.unwrap();
    let before = customer.instance(&id).await;
    for action in ["shutdown", "power-off", "reboot", "undelete", "retry"] {
        customer.act(&id, action, json!({})).await.expect(403);
    }
    customer.act(&id, "rebuild", json!({ "image": "test" })).await.expect(403);
    customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(403);
    customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(403);
    customer.api.put(&format!("/api/v1/instances/{id}/name"), json!({ "name": "x" })).await.expect(403);
    customer
        .api
        .put(&format!("/api/v1/instances/{id}/firewall"), json!({ "inbound": null }))
        .await
        .expect(403);
    customer
        .api
        .patch(&format!("/api/v1/instances/{id}"), json!({ "delete_protection": true }))
        .await
        .expect(403);
    assert_eq!(customer.instance(&id).await, before);
    desk.platform.stop().await;
}
