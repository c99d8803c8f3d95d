//! Hosts as operators deal with them: joining, deciding, revoking, and where a plan would go.

use jst_protocol::enroll::JoinToken;
use jst_tests::Platform;
use jst_tests::agent::{AgentClient, request};
use serde_json::{Value, json};

fn facts() -> Value {
    json!({
        "agent_version": "0.1.0", "hypervisor": "sim", "hypervisor_version": "1", "kernel": "6.1",
        "cpu_model": "test", "cpus": 4, "memory_mib": 8192, "storage_mib": 100000, "uplink": "eth0",
        "uplink_kbit": 0, "qualification": { "status": "simulated" }, "capabilities": ["cpu_limit"],
        "absent": [{ "capability": "virtio_mem", "reason": "QEMU is too old" }],
    })
}

#[tokio::test]
async fn a_join_token_made_by_an_administrator_brings_a_host_in() {
    let platform = Platform::start().await;
    let api = platform.api(&platform.admin_token().await);
    for (name, code) in [("", "required"), ("a b", "host-name"), ("-a", "host-name"), ("节点", "host-name")]
    {
        let answer = api.post("/api/v1/admin/host-tokens", json!({ "name": name })).await.expect(422).json();
        assert_eq!(
            (&answer["errors"][0]["field"], &answer["errors"][0]["code"]),
            (&json!("name"), &json!(code))
        );
    }
    let made = api
        .post("/api/v1/admin/host-tokens", json!({ "name": "Node-1", "nat": true }))
        .await
        .expect(201)
        .json();
    let token: JoinToken = made["token"].as_str().unwrap().parse().unwrap();
    assert_eq!(token.ca_fingerprint, platform.app().ca.fingerprint());
    assert!(made["command"].as_str().unwrap().contains(made["token"].as_str().unwrap()));
    let (_, csr) = request();
    AgentClient::new(&platform, None).enroll(&token.secret, &csr).await.expect(200);
    let hosts = api.get("/api/v1/admin/hosts").await.expect(200).json();
    assert_eq!((&hosts["items"][0]["name"], &hosts["items"][0]["nat"]), (&json!("node-1"), &json!(true)));
    // The secret is nowhere but in the answer.
    let events = api.get("/api/v1/admin/audit?action=host.").await.json().to_string();
    assert!(events.contains("host.enrolled") && !events.contains(&token.secret));
    let stored: bool =
        sqlx::query_scalar("SELECT bool_or(encode(secret_hash, 'hex') = $1) FROM host_join_tokens")
            .bind(&token.secret)
            .fetch_one(platform.app().db.platform())
            .await
            .unwrap();
    assert!(!stored, "the database keeps a hash only");
    platform.stop().await;
}

#[tokio::test]
async fn what_the_operator_decides_reaches_host_and_agent() {
    let platform = Platform::start().await;
    let admin = platform.admin().await;
    let api = platform.api(&platform.admin_token().await);
    let agent = AgentClient::enrolled(&platform, "node-1").await;
    agent.post("reports", &json!({ "revision": 1, "host": facts() })).await.expect(200);
    let path = format!("/api/v1/admin/hosts/{}", agent.host.unwrap());

    let before = api.get(&path).await.expect(200).json();
    assert_eq!(before["capacity"]["memory_mib"], 8192 - 1024);
    assert_eq!(before["capacity"]["network_kbit"], 0, "the agent could not measure it");
    let after = api
        .patch(
            &path,
            json!({ "system_memory_mib": 2048, "uplink_kbit": 1000000, "overcommit_cpu_permille": 4000,
                "page_merging": true, "power_saving": "park" }),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        after["capacity"],
        json!({ "cpu_millicpu": 4000, "disk_iops": 0, "memory_mib": 6144, "storage_mib": 100000, "network_kbit": 1000000 })
    );
    assert!(after["revision"].as_i64() > before["revision"].as_i64(), "the agent is told");
    // The tree that divides the uplink is made of the figure that reservations are booked against.
    let told = agent.get("desired?after=0").await.expect(200).json();
    assert_eq!(told["host"]["uplink_kbit"], 1000000, "{told}");
    assert_eq!((&before["page_merging"], &told["host"]["page_merging"]), (&json!(false), &json!(true)));
    assert_eq!((&before["power_saving"], &told["host"]["power_saving"]), (&json!("off"), &json!("park")));
    let audit = api.get("/api/v1/admin/audit?action=host.updated").await.json().to_string();
    assert!(audit.contains("page_merging"), "who allowed it is on record: {audit}");
    // The agent's next report does not undo what the operator said.
    agent
        .post(
            "reports",
            &json!({ "revision": 1, "host": { "agent_version": "0.1.1", "hypervisor": "sim",
        "hypervisor_version": "1", "kernel": "6.1", "cpu_model": "test", "cpus": 8, "memory_mib": 8192,
        "storage_mib": 100000, "uplink": "eth0", "uplink_kbit": 0, "qualification": { "status": "simulated" },
        "capabilities": [], "absent": [] } }),
        )
        .await
        .expect(200);
    let later = api.get(&path).await.json();
    assert_eq!(
        (&later["capacity"]["network_kbit"], &later["capacity"]["memory_mib"]),
        (&json!(1000000), &json!(6144))
    );
    assert_eq!(later["capacity"]["cpu_millicpu"], 8000);

    for (change, field) in [
        (json!({ "overcommit_cpu_permille": 999 }), "overcommit_cpu_permille"),
        (json!({ "system_memory_mib": -1 }), "system_memory_mib"),
        (json!({ "uplink_kbit": -1 }), "uplink_kbit"),
        (json!({ "power_saving": "hibernate" }), "power_saving"),
        (json!({ "state": "gone" }), "state"),
        (json!({ "statu": "active" }), "statu"),
    ] {
        let answer = api.patch(&path, change.clone()).await.expect(422).json();
        assert_eq!(answer["errors"][0]["field"], field, "{change}");
    }

    api.patch(&path, json!({ "state": "disabled" })).await.expect(200);
    agent.get("desired?after=0").await.expect(403);
    api.patch(&path, json!({ "state": "active" })).await.expect(200);
    agent.get("desired?after=0").await.expect(200);

    // How memory stands is told by agents that know it.
    let load = json!({
        "cpu_used_millicpu": 5, "memory_used_mib": 6, "storage_used_mib": 7, "running": 0,
        "memory_reclaimed_mib": 300, "memory_pressure": "critical", "memory_missing_mib": 77,
        "memory_merged_mib": 42, "governor": "schedutil", "parked_cores": 3, "watts": 87,
    });
    agent.post("reports", &json!({ "revision": 1, "load": load })).await.expect(200);
    assert_eq!(api.get(&path).await.json()["load"]["memory_pressure"], "critical");

    // What somebody changed on the host by hand is in the log, once, however often it is told.
    let repair = json!({ "id": "0192a000-0000-7000-8000-000000000001", "fields": ["memory.merging"], "at_unix": 1_790_000_000 });
    let foreign = json!({ "id": "0192a000-0000-7000-8000-000000000002", "instance": "0192a000-0000-7000-8000-000000000003",
        "fields": ["cpu.limit"], "at_unix": 1_790_000_000 });
    for _ in 0..2 {
        agent.post("reports", &json!({ "revision": 1, "repairs": [repair, foreign] })).await.expect(200);
    }
    let events = api.get("/api/v1/admin/audit?action=host.repaired").await.expect(200).json();
    assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
    assert_eq!(
        events["items"][0]["data"],
        json!({ "fields": "memory.merging", "at": "2026-09-21T14:13:20Z" })
    );

    // The page shows it, with what is absent and why, and takes decimals.
    let page_path = format!("/admin/hosts/{}", agent.host.unwrap());
    for language in ["zh-CN", "en"] {
        admin.post("/preferences", &[("language", language)]).await.expect(303);
        let page = admin.get(&page_path).await.expect(200);
        assert!(page.body.contains(&format!("lang=\"{language}\"")), "{language}");
        assert!(!page.body.contains("Unknown localization"), "{language}");
        assert!(page.body.contains("name=\"page_merging\" value=\"on\" checked"), "{language}");
        for amount in ["300 MiB", "77 MiB", "42 MiB", "schedutil", "87 W"] {
            assert!(page.body.contains(amount), "{amount} in {language}");
        }
    }
    let form = [
        ("overcommit_cpu", "2.5"),
        ("overcommit_memory", "1"),
        ("overcommit_storage", "0.5"),
        ("system_memory_mib", "1024"),
    ];
    let refused = admin.post(&page_path, &form).await.expect(422);
    assert!(refused.body.contains("Enter a number from 1 to 100"), "{}", refused.body);
    let form = [
        ("overcommit_cpu", "2.5"),
        ("overcommit_memory", "1"),
        ("overcommit_storage", "1"),
        ("system_memory_mib", "1024"),
    ];
    admin.post(&page_path, &form).await.expect(303);
    let saved = api.get(&path).await.json();
    assert_eq!((&saved["overcommit_cpu_permille"], &saved["uplink_kbit"]), (&json!(2500), &Value::Null));
    // A box without its tick is not sent; a choice that is not sent stays.
    assert_eq!((&saved["page_merging"], &saved["power_saving"]), (&json!(false), &json!("park")));
    let form: Vec<_> = form.into_iter().chain([("power_saving", "governor")]).collect();
    admin.post(&page_path, &form).await.expect(303);
    assert_eq!(api.get(&path).await.json()["power_saving"], "governor");

    let revoked = api.post(&format!("{path}/revoke"), json!({})).await.expect(200).json();
    assert_eq!(revoked["revoked"], 1);
    agent.get("desired?after=0").await.expect(401);
    api.post(&format!("{path}/revoke"), json!({ "serial": "00" })).await.expect(404);
    platform.stop().await;
}

#[tokio::test]
async fn the_place_of_a_plan_is_explained() {
    let platform = Platform::start().await;
    let admin = platform.admin().await;
    let api = platform.api(&platform.admin_token().await);
    let plan = json!({ "slug": "s1", "name_en": "Small", "name_zh": "小型", "policy": {
        "cpu": { "vcpus": 1 }, "memory": { "size": 1024, "reservation": 512 }, "disk": { "size": 10240 }, "network": {} } });
    api.post("/api/v1/admin/plans", plan).await.expect(201);
    let silent = AgentClient::enrolled(&platform, "silent").await;
    let small = AgentClient::enrolled(&platform, "small").await;
    let mut little = facts();
    little["storage_mib"] = json!(100);
    small.post("reports", &json!({ "revision": 1, "host": little })).await.expect(200);
    let good = AgentClient::enrolled(&platform, "good").await;
    good.post("reports", &json!({ "revision": 1, "host": facts() })).await.expect(200);

    let explain = || async { api.get("/api/v1/admin/placement?plan=s1").await.expect(200).json() };
    let without = explain().await;
    assert_eq!(without["chosen"], Value::Null);
    assert!(without.to_string().contains("no_addresses"), "{without}");
    api.post("/api/v1/admin/pools", json!({ "name": "p", "network": "203.0.113.0/24" })).await.expect(201);
    let with = explain().await;
    assert_eq!(with["chosen"], good.host.unwrap().to_string());
    assert_eq!(with["verdicts"][0]["outcome"], "eligible");
    let verdict = |name: &str| {
        let all = with["verdicts"].as_array().unwrap();
        all.iter().find(|verdict| verdict["name"] == name).unwrap()["reasons"].to_string()
    };
    assert!(verdict("silent").contains("lease_expired"), "{with}");
    assert!(verdict("small").contains("disk"), "{with}");
    assert!(silent.host.is_some());

    for language in ["en", "zh-CN"] {
        admin.post("/preferences", &[("language", language)]).await.expect(303);
        let page = admin.get("/admin/placement?plan=s1").await.expect(200);
        assert!(page.body.contains("good") && !page.body.contains("Unknown localization"));
    }
    assert_eq!(
        api.get("/api/v1/admin/placement?plan=none").await.expect(422).json()["errors"][0]["field"],
        "plan"
    );
    platform.stop().await;
}
