use super::desk::{Desk, obeyed, text};
use futures::future::join_all;
use jst_protocol::desired::{OneShotKind, Presence};
use jst_protocol::report::{Observed, Outcome, Step};
use serde_json::json;

#[tokio::test]
async fn power_is_asked_for_and_reported() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;

    let operation = customer.asked(&id, "shutdown").await;
    assert_eq!(customer.instance(&id).await["power"], "stopped");
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "stopped");
    assert_eq!(customer.operation(&operation).await["state"], "succeeded");

    let operation = customer.asked(&id, "start").await;
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "running");
    assert_eq!(customer.operation(&operation).await["state"], "succeeded");

    // A reboot changes nothing that is desired, and is over when the host says so by its id.
    let before = customer.instance(&id).await["generation"].clone();
    let operation = customer.asked(&id, "reboot").await;
    let told = desk.told(&id).await.unwrap();
    assert_eq!(told.actions[0].kind, OneShotKind::Reboot);
    let mut report = obeyed(&told);
    report.actions.clear();
    desk.report(&[report]).await;
    assert_eq!(customer.operation(&operation).await["state"], "pending");
    desk.obey().await;
    assert_eq!(customer.operation(&operation).await["state"], "succeeded");
    assert_eq!(customer.instance(&id).await["generation"], before);
    assert_eq!(desk.told(&id).await.unwrap().actions, []);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_power_off_replaces_a_shutdown_that_hangs() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let shutdown = customer.asked(&id, "shutdown").await;
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    report.observed = Observed::Running;
    report.outcome = Outcome::Progress { step: Step::Stopping, percent: 0 };
    desk.report(&[report]).await;
    assert_eq!(customer.operation(&shutdown).await["step"], "stopping");
    let off = customer.asked(&id, "power-off").await;
    assert_eq!(customer.operation(&shutdown).await["state"], "cancelled");
    assert_eq!(desk.told(&id).await.unwrap().actions[0].kind, OneShotKind::PowerOff);
    desk.obey().await;
    assert_eq!(customer.operation(&off).await["state"], "succeeded");
    assert_eq!(customer.instance(&id).await["state"], "stopped");
    assert_eq!(desk.told(&id).await.unwrap().actions, []);
    desk.platform.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = customer.create("web", "small").await;
    let refused = |answer: jst_tests::Answer| text(&answer.expect(409).json()["code"]).to_owned();
    for action in ["start", "shutdown", "power-off", "reboot", "undelete", "retry"] {
        let code = refused(customer.act(&id, action, json!({})).await);
        let expected = if action == "retry" { "retry-not-failed" } else { "instance-provisioning" };
        assert_eq!(code, expected, "{action}");
    }
    let code = refused(customer.act(&id, "rebuild", json!({ "image": "test" })).await);
    assert_eq!(code, "instance-provisioning");
    desk.obey().await;
    assert_eq!(refused(customer.act(&id, "start", json!({})).await), "instance-running");
    customer.asked(&id, "shutdown").await;
    desk.obey().await;
    for action in ["shutdown", "reboot", "power-off"] {
        assert_eq!(refused(customer.act(&id, action, json!({})).await), "instance-stopped");
    }
    desk.platform.stop().await;
}

/// Two requests for one instance follow each other; the second sees what the first one did.
#[tokio::test(flavor = "multi_thread")]
async fn two_requests_at_once_cannot_both_win() {
    let desk = Desk::open().await;
    let customer = &desk.buyer("a@example.com").await;
    let id = &desk.running(customer, "web", "small").await;
    let path = &format!("/api/v1/instances/{id}");
    let answers = join_all((0..6).map(|_| async move { customer.api.delete(path).await })).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 5, "{statuses:?}");
    assert_eq!(desk.count("SELECT count(*) FROM operations WHERE kind = 'delete'").await, 1);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_rebuild_makes_a_new_disk_and_starts_it() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    // "#!/bin/sh" and the end of a line, as base64.
    let body = json!({ "image": "test", "user_data": "IyEvYmluL3NoCg==", "hostname": "fresh" });
    let operation = customer.act(&id, "rebuild", body).await.expect(202).json();
    let told = desk.told(&id).await.unwrap();
    let Presence::Present { spec, .. } = &told.presence else { panic!("{told:?}") };
    assert_eq!((spec.build, spec.hostname.as_str()), (2, "fresh"));
    assert_eq!(spec.seed.user_data.as_deref(), Some("#!/bin/sh\n"));
    assert_eq!(customer.instance(&id).await["state"], "provisioning");
    // What the host said about the old build decides nothing about the new one.
    let mut late = obeyed(&told);
    late.generation = 1;
    desk.report(&[late]).await;
    assert_eq!(customer.instance(&id).await["state"], "provisioning");
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "running");
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "succeeded");
    for (body, field) in [
        (json!({}), "image"),
        (json!({ "image": "nothing" }), "image"),
        (json!({ "image": "test", "hostname": "-" }), "hostname"),
        (json!({ "image": "test", "ssh_keys": ["x"] }), "ssh_keys"),
        (json!({ "image": "test", "user_data": "x".repeat(20_000) }), "user_data"),
        (json!({ "image": "test", "user_data": "hostname: fresh\n" }), "user_data"),
    ] {
        let answer = customer.act(&id, "rebuild", body.clone()).await.expect(422);
        assert_eq!(super::desk::field_errors(&answer)[0].0, field, "{body}");
    }
    desk.platform.stop().await;
}

#[tokio::test]
async fn name_firewall_and_protection_change() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    desk.running(&customer, "db", "small").await;
    let path = format!("/api/v1/instances/{id}");

    let name_path = format!("{path}/name");
    let rename = |body| customer.api.put(&name_path, body);
    rename(json!({ "name": "www" })).await.expect(202);
    assert_eq!(customer.instance(&id).await["name"], "www");
    for (body, code) in [
        (json!({ "name": "DB" }), "name-taken"),
        (json!({ "name": " " }), "required"),
        (json!({ "name": "x", "hostname": "-" }), "hostname"),
    ] {
        let answer = rename(body).await.expect(422);
        assert_eq!(super::desk::field_errors(&answer)[0].1, code);
    }
    assert_eq!(customer.instance(&id).await["name"], "www");

    let firewall = json!({
        "inbound": [{ "protocol": "tcp", "ports": "22", "peers": ["203.0.113.0/24"] }, { "protocol": "icmp" }],
    });
    customer.api.put(&format!("{path}/firewall"), firewall).await.expect(202);
    let shown = customer.instance(&id).await["firewall"].clone();
    assert_eq!(shown["inbound"][0], json!({ "protocol": "tcp", "ports": "22", "peers": ["203.0.113.0/24"] }));
    assert_eq!(shown["outbound"], json!(null));
    let told = desk.told(&id).await.unwrap();
    let Presence::Present { spec, .. } = &told.presence else { panic!("{told:?}") };
    assert_eq!(spec.firewall.inbound.as_ref().unwrap().len(), 2);
    let rule = json!({ "protocol": "tcp" });
    for (body, field) in [
        (json!({ "inbound": [{ "protocol": "gre" }] }), "inbound.0.protocol"),
        (json!({ "outbound": [rule, { "protocol": "udp", "ports": "x" }] }), "outbound.1.ports"),
        (json!({ "inbound": [{ "protocol": "tcp", "peers": ["300.1.1.1"] }] }), "inbound.0.peers.0"),
        (json!({ "inbound": vec![&rule; 51] }), "firewall"),
        (json!({ "inbound": 5 }), "inbound"),
    ] {
        let answer = customer.api.put(&format!("{path}/firewall"), body).await.expect(422);
        assert_eq!(super::desk::field_errors(&answer)[0].0, field);
    }

    customer.api.patch(&path, json!({ "delete_protection": true })).await.expect(200);
    assert_eq!(customer.api.delete(&path).await.expect(409).json()["code"], "delete-protected");
    customer.api.patch(&path, json!({ "delete_protection": false })).await.expect(200);
    customer.api.delete(&path).await.expect(202);
    desk.platform.stop().await;
}

/// Whatever it asks for; and again as before when the suspension ends.
#[tokio::test]
async fn a_suspended_tenant_sees_what_it_has_and_changes_nothing() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let before = customer.instance(&id).await;
    sqlx::query("UPDATE tenants SET suspended_at = now()").execute(desk.pool()).await.unwrap();
    for (action, body) in [
        ("shutdown", json!({})),
        ("reboot", json!({})),
        ("rebuild", json!({ "image": "test" })),
        ("resize", json!({ "plan": "large" })),
    ] {
        let refused = customer.act(&id, action, body).await.expect(403);
        assert_eq!(refused.json()["code"], "tenant-suspended", "{action}");
    }
    let path = format!("/api/v1/instances/{id}");
    assert_eq!(customer.api.delete(&path).await.expect(403).json()["code"], "tenant-suspended");
    let key = json!({ "name": "k", "public_key": "ssh-ed25519 AAAA" });
    assert_eq!(
        customer.api.post("/api/v1/ssh-keys", key).await.expect(403).json()["code"],
        "tenant-suspended"
    );
    assert_eq!(customer.instance(&id).await, before);
    sqlx::query("UPDATE tenants SET suspended_at = NULL").execute(desk.pool()).await.unwrap();
    customer.asked(&id, "shutdown").await;
    desk.platform.stop().await;
}
