use super::desk::{Desk, add_host, field_errors, policy, text, uuid_of};
use futures::future::join_all;
use jst_protocol::desired::Presence;
use serde_json::json;

#[tokio::test]
async fn an_instance_is_booked_told_and_runs() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let operation = customer.try_create("Web 1", "small").await.expect(202).json();
    assert_eq!((text(&operation["kind"]), text(&operation["state"])), ("create", "pending"));
    let id = text(&operation["instance_id"]);
    let instance = customer.instance(id).await;
    assert_eq!(instance["state"], "provisioning");
    assert_eq!(instance["hostname"], "web-1");
    assert_eq!(instance["addresses"], json!(["198.51.100.1"]));
    assert_eq!(instance["plan"]["slug"], "small");
    assert_eq!(instance["operation"]["id"], operation["id"]);

    let told = desk.told(id).await.expect("the host is told");
    let Presence::Present { spec, .. } = &told.presence else { panic!("{told:?}") };
    assert_eq!((told.generation, told.epoch, spec.build), (1, 1, 1));
    assert_eq!(spec.interfaces[0].addresses[0].to_string(), "198.51.100.1/32");
    assert_eq!(spec.interfaces[0].nameservers[0].to_string(), "9.9.9.9");
    assert!(spec.interfaces[0].mac.starts_with("52:54:00:"), "{}", spec.interfaces[0].mac);

    desk.obey().await;
    let instance = customer.instance(id).await;
    assert_eq!((text(&instance["state"]), &instance["applied_generation"]), ("running", &json!(1)));
    assert_eq!(instance["applied_policy"], instance["policy"]);
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "succeeded");
    desk.books_agree().await;
    // The administrator finds where it went and why; the customer's event names no host.
    assert!(desk.event("instance.placed").await.unwrap().to_string().contains("host-1"));
    assert!(!desk.event("instance.created").await.unwrap().to_string().contains("host-1"));
    desk.platform.stop().await;
}

/// The invariant of admission under a race: a host with room for five takes five.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_on_a_host_with_room_for_five() {
    let desk = Desk::open().await;
    // 128 reserved + 64 + 2 + 8 MiB of overhead each.
    sqlx::query("UPDATE hosts SET capacity_memory_mib = 5 * 202 + 201, overcommit_memory_permille = 8000")
        .execute(desk.pool())
        .await
        .unwrap();
    let mut customers = Vec::new();
    for number in 0..4 {
        customers.push(desk.buyer(&format!("race-{number}@example.com")).await);
    }
    let customers = &customers;
    let answers = join_all((0..20).map(|number| async move {
        customers[number % 4].try_create(&format!("vm-{number}"), "small").await
    }))
    .await;
    let created = answers.iter().filter(|answer| answer.status == 202).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 202).collect();
    assert_eq!(created, 5, "{answers:?}");
    for answer in refused {
        assert_eq!(answer.status, 409, "{}", answer.body);
        assert_eq!(answer.json()["code"], "short-memory", "{}", answer.body);
        assert!(text(&answer.json()["detail"]).contains("202 MiB"), "{}", answer.body);
    }
    desk.books_agree().await;
    assert_eq!(desk.count("SELECT count(*) FROM instances").await, 5);
    assert_eq!(desk.count("SELECT count(*) FROM addresses").await, 5);
    assert!(
        desk.event("instance.refused").await.unwrap()["in_words"][0].as_str().unwrap().contains("host-1")
    );
    desk.platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_under_a_race() {
    let desk = Desk::open().await;
    let customer = desk.buyer("quota@example.com").await;
    sqlx::query("UPDATE tenants SET quota_vcpus = 3").execute(desk.pool()).await.unwrap();
    let customer = &customer;
    let answers = join_all(
        (0..8).map(|number| async move { customer.try_create(&format!("vm-{number}"), "small").await }),
    )
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 3, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((answer.status, text(&answer.json()["code"])), (403, "quota-vcpus"), "{}", answer.body);
    }
    sqlx::query("UPDATE tenants SET quota_vcpus = 100, quota_instances = 3")
        .execute(desk.pool())
        .await
        .unwrap();
    assert_eq!(customer.try_create("x", "small").await.expect(403).json()["code"], "quota-instances");
    sqlx::query("UPDATE tenants SET quota_instances = 9, quota_memory_mib = 900")
        .execute(desk.pool())
        .await
        .unwrap();
    assert_eq!(customer.try_create("x", "small").await.expect(403).json()["code"], "quota-memory");
    sqlx::query("UPDATE tenants SET quota_memory_mib = 9000, quota_disk_mib = 2000")
        .execute(desk.pool())
        .await
        .unwrap();
    assert_eq!(customer.try_create("x", "small").await.expect(403).json()["code"], "quota-disk");
    desk.platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_goes_to_one_of_two() {
    let desk = Desk::open().await;
    let customer = &desk.buyer("names@example.com").await;
    let answers =
        join_all(["Web", "web"].map(|name| async move { customer.try_create(name, "small").await })).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 422], "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status == 422).unwrap();
    assert_eq!(field_errors(refused), [("name".into(), "name-taken".into())]);
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn an_empty_pool_undoes_everything() {
    let desk = Desk::open().await;
    // One address: .1; the network's own and its last are never given away.
    sqlx::query("UPDATE address_pools SET network = '198.51.100.0/30', excluded = '{198.51.100.2}'")
        .execute(desk.pool())
        .await
        .unwrap();
    let customer = desk.buyer("pool@example.com").await;
    customer.create("first", "small").await;
    let refused = customer.try_create("second", "small").await.expect(409).json();
    assert_eq!(refused["code"], "no-address-free");
    assert_eq!(desk.count("SELECT count(*) FROM instances").await, 1);
    // A pool that fills up between the choice and the booking.
    sqlx::query(
        "INSERT INTO address_pools (id, name, network) VALUES (gen_random_uuid(), 'v6', '2001:db8::/127')",
    )
    .execute(desk.pool())
    .await
    .unwrap();
    sqlx::query("UPDATE address_pools SET excluded = '{}' WHERE name = 'v4'")
        .execute(desk.pool())
        .await
        .unwrap();
    assert_eq!(customer.try_create("third", "small").await.expect(409).json()["code"], "no-address-free");
    assert_eq!(desk.count("SELECT count(*) FROM instances").await, 1);
    assert_eq!(desk.count("SELECT count(*) FROM addresses").await, 1);
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn ipv6_comes_with_a_pool_and_pools_belong_to_hosts() {
    let desk = Desk::open().await;
    let other = add_host(desk.pool(), "host-2", 64).await;
    sqlx::query(
        "INSERT INTO address_pools (id, name, network, host_id) VALUES (gen_random_uuid(), 'v6', '2001:db8:1::/64', $1), \
         (gen_random_uuid(), 'elsewhere', '2001:db8:2::/64', $2)",
    )
    .bind(desk.host.uuid())
    .bind(other.uuid())
    .execute(desk.pool())
    .await
    .unwrap();
    let customer = desk.buyer("six@example.com").await;
    let id = customer.create("six", "small").await;
    let addresses = customer.instance(&id).await["addresses"].clone();
    assert_eq!(addresses, json!(["198.51.100.1", "2001:db8:1::1"]));
    desk.platform.stop().await;
}

#[tokio::test]
async fn only_hosts_that_can_take_it_are_asked() {
    let desk = Desk::open().await;
    let customer = desk.buyer("hosts@example.com").await;
    for (change, code) in [
        ("state = 'draining'", "no-host"),
        ("state = 'active', lease_until = now() - interval '1 second'", "no-host"),
        ("lease_until = now() + interval '1 day', qualification = 'emulated'", "no-host"),
        ("qualification = 'failed'", "no-host"),
        ("qualification = 'simulated', capabilities = '{}'", "no-capable-host"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE hosts SET {change}")))
            .execute(desk.pool())
            .await
            .unwrap();
        let answer = customer.try_create("x", "small").await;
        assert_eq!((answer.status, text(&answer.json()["code"])), (409, code), "{change}: {}", answer.body);
    }
    sqlx::query("UPDATE hosts SET qualification = 'emulated', capabilities = '{network_shaping,ipv6}'")
        .execute(desk.pool())
        .await
        .unwrap();
    sqlx::query("INSERT INTO settings (key, value) VALUES ('allow_emulated', 'true')")
        .execute(desk.pool())
        .await
        .unwrap();
    customer.create("x", "small").await;
    assert_eq!(customer.try_create("y", "huge").await.expect(409).json()["code"], "short-memory");
    desk.platform.stop().await;
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let desk = Desk::open().await;
    desk.plan("tiny", false, policy(1, 64, 0, 64)).await;
    sqlx::query("UPDATE images SET min_memory_mib = 100, virtual_bytes = 104857600")
        .execute(desk.pool())
        .await
        .unwrap();
    let customer = desk.buyer("fields@example.com").await;
    let other = desk.buyer("other@example.com").await;
    sqlx::query(
        "INSERT INTO ssh_keys (id, tenant_id, name, public_key, fingerprint) VALUES ($1, $2, 'k', 'k', 'f')",
    )
    .bind(uuid_of("vm_0199b0c4a7d27c6e8f3a5b1c2d3e4f50"))
    .bind(other.tenant)
    .execute(desk.pool())
    .await
    .unwrap();
    let good = json!({ "name": "web", "plan": "small", "image": "test" });
    for (change, field, code) in [
        (json!({ "name": "" }), "name", "required"),
        (json!({ "name": "x".repeat(64) }), "name", "too-long"),
        (json!({ "name": "a\u{0}b" }), "name", "control-characters"),
        (json!({ "hostname": "-bad-" }), "hostname", "hostname"),
        (json!({ "hostname": "x".repeat(64) }), "hostname", "hostname-too-long"),
        (json!({ "hostname": "a b" }), "hostname", "hostname"),
        (json!({ "plan": "" }), "plan", "required"),
        (json!({ "plan": "nothing" }), "plan", "choice"),
        (json!({ "plan": "' OR 1=1 --" }), "plan", "choice"),
        (json!({ "plan": "plan_0199b0c4a7d27c6e8f3a5b1c2d3e4f50" }), "plan", "choice"),
        (json!({ "plan": "tiny" }), "image", "image-needs-memory"),
        (json!({ "plan": "large", "trial": true }), "plan", "plan-has-no-trial"),
        (json!({ "image": "" }), "image", "required"),
        (json!({ "image": "nothing" }), "image", "choice"),
        (json!({ "ssh_keys": ["nonsense"] }), "ssh_keys", "ssh-key-unknown"),
        // Another tenant's key is as unknown as one that never was.
        (json!({ "ssh_keys": ["key_0199b0c4a7d27c6e8f3a5b1c2d3e4f50"] }), "ssh_keys", "ssh-key-unknown"),
        (json!({ "user_data": "x".repeat(16 * 1024 + 1) }), "user_data", "user-data-too-long"),
        (json!({ "user_data": "a\u{0}" }), "user_data", "control-characters"),
        (json!({ "user_data": "---\n#cloud-config\n" }), "user_data", "user-data-no-cloud-config"),
        (json!({ "user_data": "apt-get update\n" }), "user_data", "user-data-no-head"),
        (json!({ "user_data": "#cloud-config\na: [\n" }), "user_data", "user-data-yaml"),
        (json!({ "name": 7 }), "name", "json"),
        (json!({ "surprise": 1 }), "surprise", "json"),
    ] {
        let mut body = good.clone();
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let answer = customer.api.post("/api/v1/instances", body).await.expect(422);
        let errors = field_errors(&answer);
        assert!(errors.contains(&(field.into(), code.into())), "{change}: {errors:?}");
    }
    // All of them at once.
    let answer = customer.api.post("/api/v1/instances", json!({})).await.expect(422);
    let fields: Vec<String> = field_errors(&answer).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["plan", "image", "name"]);
    assert_eq!(desk.count("SELECT count(*) FROM instances").await, 0);
    assert_eq!(desk.count("SELECT count(*) FROM bookings").await, 0);
    desk.platform.stop().await;
}

#[tokio::test]
async fn who_may_not_is_told_why() {
    let desk = Desk::open().await;
    let customer = desk.buyer("may@example.com").await;
    for (query, code) in [
        ("UPDATE users SET email_verified_at = NULL", "email-unverified"),
        ("UPDATE users SET email_verified_at = now()", ""),
        ("UPDATE tenants SET suspended_at = now()", "tenant-suspended"),
        ("UPDATE tenants SET suspended_at = NULL, may_buy = false", "may-not-buy"),
        ("UPDATE memberships SET role = 'viewer'", "forbidden"),
    ] {
        sqlx::query(query).execute(desk.pool()).await.unwrap();
        if !code.is_empty() {
            let answer = customer.try_create("x", "large").await;
            assert_eq!((answer.status, text(&answer.json()["code"])), (403, code), "{query}");
        }
    }
    assert_eq!(desk.count("SELECT count(*) FROM instances").await, 0);
    desk.platform.stop().await;
}

#[tokio::test]
async fn the_same_key_creates_once() {
    let desk = Desk::open().await;
    let customer = desk.buyer("once@example.com").await;
    let body = json!({ "name": "web", "plan": "small", "image": "test" });
    let send = || {
        customer.api.send(
            reqwest::Method::POST,
            "/api/v1/instances",
            Some(body.clone()),
            &[("idempotency-key", "k1")],
        )
    };
    let first = send().await.expect(202).json();
    let second = send().await.expect(202).json();
    assert_eq!(first, second);
    assert_eq!(desk.count("SELECT count(*) FROM instances").await, 1);
    desk.platform.stop().await;
}
