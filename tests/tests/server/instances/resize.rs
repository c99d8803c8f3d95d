use super::desk::{Desk, add_host, field_errors, obeyed, policy, text};
use jst_protocol::desired::Presence;
use jst_protocol::report::Outcome;
use jst_server::auth::{Actor, Admin, Role, Scopes};
use jst_server::error::Error;
use jst_server::instances::resize::set_policy;
use serde_json::json;

#[tokio::test]
async fn a_resize_books_the_difference_and_tells_what_needs_a_restart() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let operation = customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(202).json();
    desk.books_agree().await;
    assert_eq!(desk.count("SELECT booked_memory_size_mib FROM hosts").await, 1024);
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    report.outcome = Outcome::RestartRequired { fields: vec!["cpu.vcpus".into()] };
    desk.report(&[report]).await;
    let seen = customer.operation(text(&operation["id"])).await;
    assert_eq!((text(&seen["state"]), &seen["restart_required"]), ("succeeded", &json!(["cpu.vcpus"])));
    let instance = customer.instance(&id).await;
    assert_eq!((text(&instance["state"]), &instance["restart_required"]), ("running", &json!(["cpu.vcpus"])));
    assert_eq!(instance["plan"]["slug"], "large");
    // Back: what was larger stays booked until the host has read back that nothing of it is left.
    customer.act(&id, "resize", json!({ "plan": "small" })).await.expect(202);
    assert_eq!(desk.count("SELECT booked_memory_size_mib FROM hosts").await, 1024);
    desk.obey().await;
    assert_eq!(desk.count("SELECT booked_memory_size_mib FROM hosts").await, 256);
    let instance = customer.instance(&id).await;
    assert_eq!(
        (&instance["policy"]["disk"]["size"], &instance["policy"]["memory"]["size"]),
        (&json!(512), &json!(256))
    );
    assert_eq!(instance["restart_required"], json!([]));
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_resize_that_does_not_fit_changes_nothing() {
    let desk = Desk::open().await;
    add_host(desk.pool(), "host-2", 4_000_000).await;
    sqlx::query("UPDATE hosts SET state = 'draining' WHERE name = 'host-2'")
        .execute(desk.pool())
        .await
        .unwrap();
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let before = customer.instance(&id).await;
    let refused = customer.act(&id, "resize", json!({ "plan": "huge" })).await.expect(409).json();
    assert_eq!(refused["code"], "short-here");
    for (plan, code) in [("", "required"), ("nothing", "choice"), ("small", "plan-is-current")] {
        let answer = customer.act(&id, "resize", json!({ "plan": plan })).await.expect(422);
        assert_eq!(field_errors(&answer), [("plan".into(), code.into())]);
    }
    sqlx::query("UPDATE tenants SET quota_memory_mib = 1000").execute(desk.pool()).await.unwrap();
    assert_eq!(
        customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(403).json()["code"],
        "quota-memory"
    );
    sqlx::query("UPDATE tenants SET may_buy = false").execute(desk.pool()).await.unwrap();
    assert_eq!(
        customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(403).json()["code"],
        "may-not-buy"
    );
    assert_eq!(customer.instance(&id).await, before);
    desk.books_agree().await;
    desk.platform.stop().await;
}

/// Cores of one's own and guaranteed operations of the disk are booked as everything else is, and come back.
#[tokio::test]
async fn cores_and_operations_are_booked() {
    let desk = Desk::open().await;
    sqlx::query("UPDATE hosts SET capacity_cpu_millicpu = 4000, capacity_disk_iops = 1000")
        .execute(desk.pool())
        .await
        .unwrap();
    let mut own = policy(2, 256, 128, 512);
    own["cpu"] = json!({ "vcpus": 2, "reservation": 2000, "dedicated": true });
    desk.plan("own", false, own).await;
    let mut fast = policy(1, 256, 128, 512);
    fast["disk"]["reservation"] = json!(600);
    desk.plan("fast", false, fast).await;
    let customer = desk.buyer("a@example.com").await;

    let first = desk.running(&customer, "first", "own").await;
    let refused = customer.try_create("second", "own").await.expect(409);
    assert_eq!(refused.json()["code"], "short-dedicated-cores", "one core of four is everybody's");
    assert!(refused.body.contains("2 vCPU"), "{}", refused.body);
    let fast = desk.running(&customer, "fast", "fast").await;
    let refused = customer.try_create("faster", "fast").await.expect(409);
    assert_eq!(refused.json()["code"], "short-disk-iops");
    assert!(refused.body.contains("600 IOPS"), "{}", refused.body);
    let refused = customer.act(&fast, "resize", json!({ "plan": "own" })).await.expect(409).json();
    assert_eq!(refused["code"], "short-here");
    assert_eq!(desk.count("SELECT booked_dedicated_cores + booked_disk_iops FROM hosts").await, 602);
    desk.books_agree().await;

    // One gives up its cores, and the other can have them for its operations.
    customer.act(&first, "resize", json!({ "plan": "small" })).await.expect(202);
    desk.obey().await;
    customer.act(&fast, "resize", json!({ "plan": "own" })).await.expect(202);
    assert_eq!(desk.count("SELECT booked_dedicated_cores + booked_disk_iops FROM hosts").await, 602);
    desk.obey().await;
    assert_eq!(desk.count("SELECT booked_dedicated_cores + booked_disk_iops FROM hosts").await, 2);
    desk.books_agree().await;
    desk.platform.stop().await;
}

/// A host that lost capacity is over its ceilings: growing is refused there, shrinking never.
#[tokio::test]
async fn shrinking_is_never_short() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "large").await;
    sqlx::query("UPDATE hosts SET capacity_memory_mib = 100, capacity_cpu_millicpu = 0")
        .execute(desk.pool())
        .await
        .unwrap();
    desk.plan("slightly-larger", false, policy(2, 1100, 512, 1024)).await;
    let refused = customer.act(&id, "resize", json!({ "plan": "slightly-larger" })).await.expect(409).json();
    assert_eq!(refused["code"], "short-here");
    desk.plan("narrow", false, policy(1, 256, 128, 1024)).await;
    customer.act(&id, "resize", json!({ "plan": "narrow" })).await.expect(202);
    desk.platform.stop().await;
}

#[tokio::test]
async fn an_administrator_changes_the_policy_within_a_plan() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let app = desk.platform.app();
    let admin = Admin(Actor {
        user_id: customer.user.into(),
        email: "admin@example.com".into(),
        email_verified: true,
        locale: "en".into(),
        is_admin: true,
        tenant_id: customer.tenant.into(),
        tenant_name: String::new(),
        role: Role::Viewer,
        suspended: false,
        acting: false,
        bound_to: None,
        token: None,
        scopes: Scopes::of_person(Role::Viewer, true),
        expires_at: None,
        ip: None,
        request_id: None,
        idempotency_key: None,
    });
    let with = |change: fn(&mut serde_json::Value)| {
        let mut body = policy(1, 256, 128, 512);
        change(&mut body);
        serde_json::from_value(body).unwrap()
    };
    let instance = id.parse().unwrap();
    set_policy(app, &admin, instance, with(|body| body["network"]["outbound"]["average"] = json!(200_000)))
        .await
        .unwrap();
    let told = desk.told(&id).await.unwrap();
    let Presence::Present { spec, .. } = &told.presence else { panic!("{told:?}") };
    assert_eq!(spec.policy.network.outbound.average.unwrap().get(), 200_000);
    let wrong =
        set_policy(app, &admin, instance, with(|body| body["memory"]["reservation"] = json!(999))).await;
    assert!(matches!(wrong, Err(Error::Invalid(errors)) if errors[0].field == "memory.reservation"));
    let shrunk = set_policy(app, &admin, instance, with(|body| body["disk"]["size"] = json!(256))).await;
    assert!(matches!(shrunk, Err(Error::Invalid(errors)) if errors[0].code == "disk-never-shrinks"));
    let large =
        set_policy(app, &admin, instance, with(|body| body["memory"]["size"] = json!(1_000_000))).await;
    assert_eq!(large.unwrap_err().code(), "short-here");
    desk.books_agree().await;
    desk.platform.stop().await;
}
