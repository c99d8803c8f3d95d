//! What a running guest keeps of a larger plan is booked and charged, until it was read back that nothing of it is left.

use super::desk::{Customer, Desk, field_errors, obeyed, policy, text, uuid_of};
use crate::server::billing::{HOUR, START, Till, row};
use jiff::civil::date;
use jiff::tz::TimeZone;
use jst_policy::units::MiB;
use jst_protocol::desired::{DesiredInstance, Presence};
use jst_protocol::report::{Applied, FailureCode, InstanceReport, Observed, Outcome, Usage};
use jst_server::billing::calendar::Month;
use jst_server::billing::invoices::lines;
use serde_json::{Value, json};

/// The host has done what it was told, but the guest keeps this memory.
fn keeps(told: &DesiredInstance, memory: u64) -> InstanceReport {
    let mut report = obeyed(told);
    let applied = report.applied.as_mut().expect("a running guest");
    applied.policy.memory.size = MiB(memory);
    applied.drift = vec!["memory.size".into()];
    report.outcome = Outcome::RestartRequired { fields: vec!["memory.size".into()] };
    report
}

async fn booked(desk: &Desk) -> i64 {
    desk.books_agree().await;
    desk.count("SELECT booked_memory_size_mib FROM hosts").await
}

async fn resize(customer: &Customer, id: &str, plan: &str) {
    customer.act(id, "resize", json!({ "plan": plan })).await.expect(202);
}

async fn quota(desk: &Desk, memory: i64) {
    sqlx::query("UPDATE tenants SET quota_memory_mib = $1").bind(memory).execute(desk.pool()).await.unwrap();
}

#[tokio::test]
async fn a_guest_that_keeps_its_memory_keeps_its_booking_and_its_price() {
    let till = Till::open().await;
    let desk = &till.desk;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    till.at(10).await;
    resize(&customer, &id, "large").await;
    desk.obey().await;
    till.at(20).await;
    resize(&customer, &id, "small").await;
    assert_eq!(booked(desk).await, 1024, "asked for, and nothing more");
    till.at(30).await;
    desk.report(&[keeps(&desk.told(&id).await.unwrap(), 1024)]).await;
    let metered = [row("sold", "small", 0, Some(10)), row("sold", "large", 10, None)];
    assert_eq!((booked(desk).await, till.ledger(uuid_of(&id)).await), (1024, metered.to_vec()));
    let instance = customer.instance(&id).await;
    assert_eq!(
        (text(&instance["plan"]["slug"]), text(&instance["charged_plan"]["slug"])),
        ("small", "large")
    );
    // The quota counts what is held, so that nobody has it twice.
    quota(desk, 1024 + 255).await;
    assert_eq!(customer.try_create("db", "small").await.expect(403).json()["code"], "quota-memory");
    // Anything else that is changed meanwhile changes nothing of it.
    customer.api.put(&format!("/api/v1/instances/{id}/name"), json!({ "name": "web-2" })).await.expect(202);
    desk.report(&[keeps(&desk.told(&id).await.unwrap(), 1024)]).await;
    assert_eq!(booked(desk).await, 1024);
    // Stopped, nothing of it is left.
    customer.asked(&id, "shutdown").await;
    till.at(40).await;
    desk.obey().await;
    let metered = [
        row("sold", "small", 0, Some(10)),
        row("sold", "large", 10, Some(40)),
        row("sold", "small", 40, None),
    ];
    assert_eq!((booked(desk).await, till.ledger(uuid_of(&id)).await), (256, metered.to_vec()));
    assert_eq!(customer.instance(&id).await["charged_plan"], Value::Null);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn the_largest_of_several_changes_counts_until_the_last_is_in_force() {
    let till = Till::open().await;
    let desk = &till.desk;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    for plan in ["large", "flat", "small"] {
        resize(&customer, &id, plan).await;
    }
    assert_eq!(booked(desk).await, 1024, "the host may have done any of them");
    till.at(HOUR).await;
    desk.report(&[keeps(&desk.told(&id).await.unwrap(), 512)]).await;
    assert_eq!(booked(desk).await, 1024);
    // Of all that was asked for the dearest is charged: how far the host came nobody can tell.
    let metered = [row("sold", "small", 0, Some(HOUR)), row("sold", "large", HOUR, None)];
    assert_eq!(till.ledger(uuid_of(&id)).await, metered);
    till.at(2 * HOUR).await;
    desk.obey().await;
    assert_eq!(booked(desk).await, 256);
    assert_eq!(till.ledger(uuid_of(&id)).await.last(), Some(&row("sold", "small", 2 * HOUR, None)));
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_back_is_not_in_force() {
    let till = Till::open().await;
    let desk = &till.desk;
    let mut limited = policy(2, 1024, 512, 1024);
    limited["memory"]["limit"] = json!(512);
    desk.plan("limited", false, limited).await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "large").await;
    resize(&customer, &id, "flat").await;
    let told = desk.told(&id).await.unwrap();
    let drift = |fields: &[&str]| {
        let mut report = obeyed(&told);
        report.applied.as_mut().unwrap().drift = fields.iter().map(ToString::to_string).collect();
        report
    };
    let unread = InstanceReport { applied: None, ..obeyed(&told) };
    let failed = InstanceReport {
        outcome: Outcome::Failed { code: FailureCode::HostMemory, detail: String::new(), permanent: false },
        ..obeyed(&told)
    };
    for report in [drift(&["network"]), drift(&["cpu.limit"]), unread, failed] {
        desk.report(std::slice::from_ref(&report)).await;
        assert_eq!(booked(desk).await, 1024, "{report:?}");
        assert_eq!(till.ledger(uuid_of(&id)).await, [row("sold", "large", 0, None)], "{report:?}");
    }
    till.at(10).await;
    desk.report(&[drift(&["cpu.shares"])]).await;
    assert_eq!(booked(desk).await, 512);
    assert_eq!(till.ledger(uuid_of(&id)).await[1], row("sold", "flat", 10, None));
    // A limit below the size is the balloon's, which a guest may refuse.
    till.at(20).await;
    resize(&customer, &id, "large").await;
    desk.obey().await;
    resize(&customer, &id, "limited").await;
    let told = desk.told(&id).await.unwrap();
    let left = |balloon_mib| InstanceReport {
        usage: Some(Usage { balloon_mib, ..Usage::default() }),
        ..obeyed(&told)
    };
    desk.report(&[left(1024)]).await;
    assert_eq!(till.ledger(uuid_of(&id)).await.last(), Some(&row("sold", "large", 20, None)));
    till.at(30).await;
    desk.report(&[left(512)]).await;
    assert_eq!(till.ledger(uuid_of(&id)).await.last(), Some(&row("sold", "limited", 30, None)));
    till.desk.platform.stop().await;
}

/// A growth that fails half-way has given the guest something, and that is charged; one that gave nothing is not.
#[tokio::test]
async fn what_a_failed_change_left_in_force_is_charged() {
    let till = Till::open().await;
    let desk = &till.desk;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    resize(&customer, &id, "large").await;
    let told = desk.told(&id).await.unwrap();
    let Presence::Present { spec, .. } = &told.presence else { panic!("{told:?}") };
    let failed = |memory: u64| {
        let mut policy = spec.policy.clone();
        (policy.cpu.vcpus, policy.memory.size, policy.memory.reservation) = (1, MiB(memory), MiB(128));
        InstanceReport {
            outcome: Outcome::Failed {
                code: FailureCode::HostMemory,
                detail: String::new(),
                permanent: true,
            },
            applied: Some(Applied { policy, drift: vec!["cpu.vcpus".into()] }),
            ..obeyed(&told)
        }
    };
    till.at(10).await;
    desk.report(&[failed(256)]).await;
    assert_eq!(till.ledger(uuid_of(&id)).await, [row("sold", "small", 0, None)]);
    till.at(20).await;
    desk.report(&[failed(1024)]).await;
    let metered = [row("sold", "small", 0, Some(20)), row("sold", "large", 20, None)];
    assert_eq!((booked(desk).await, till.ledger(uuid_of(&id)).await), (1024, metered.to_vec()));
    till.desk.platform.stop().await;
}

/// What earlier releases gave back too early is booked again, also above the host's ceilings; and a report that comes again
/// after all was read back books nothing.
#[tokio::test]
async fn what_is_in_force_is_booked_also_where_the_books_had_forgotten_it() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let told = desk.told(&id).await.unwrap();
    desk.report(&[keeps(&told, 2048)]).await;
    assert_eq!(booked(&desk).await, 256, "it was settled before");
    sqlx::query("UPDATE instances SET held_generation = 0").execute(desk.pool()).await.unwrap();
    sqlx::query("UPDATE hosts SET capacity_memory_mib = 300").execute(desk.pool()).await.unwrap();
    desk.report(&[keeps(&told, 2048)]).await;
    assert_eq!(desk.count("SELECT booked_memory_size_mib FROM hosts").await, 2048);
    desk.obey().await;
    assert_eq!(booked(&desk).await, 256);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_host_that_says_nothing_gives_nothing_back() {
    let till = Till::open().await;
    let desk = &till.desk;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "large").await;
    let before = desk.told(&id).await.unwrap();
    resize(&customer, &id, "flat").await;
    // What comes late is about the plan before.
    desk.report(&[obeyed(&before)]).await;
    till.at(HOUR).await;
    assert_eq!((booked(desk).await, till.ledger(uuid_of(&id)).await.len()), (1024, 1));
    // Deleted and undone in between: the same.
    customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(202);
    customer.asked(&id, "undelete").await;
    assert_eq!(booked(desk).await, 1024);
    till.at(2 * HOUR).await;
    desk.obey().await;
    assert_eq!(booked(desk).await, 512);
    assert_eq!(till.ledger(uuid_of(&id)).await.last(), Some(&row("sold", "flat", 2 * HOUR, None)));
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_disk_grows_when_that_is_asked_for_and_never_shrinks() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let disk = async || customer.instance(&id).await["policy"]["disk"]["size"].as_i64().unwrap();
    let booked = async || desk.count("SELECT booked_storage_mib FROM hosts").await;
    resize(&customer, &id, "large").await;
    desk.obey().await;
    assert_eq!((disk().await, booked().await), (512, 512), "nobody asked for it");
    // Within the plan it may grow later, once.
    let grow =
        async |plan: &str| customer.act(&id, "resize", json!({ "plan": plan, "grow_disk": true })).await;
    sqlx::query("UPDATE tenants SET quota_disk_mib = 1023").execute(desk.pool()).await.unwrap();
    assert_eq!(grow("large").await.expect(403).json()["code"], "quota-disk");
    sqlx::query("UPDATE tenants SET quota_disk_mib = 1024").execute(desk.pool()).await.unwrap();
    grow("large").await.expect(202);
    assert_eq!((disk().await, booked().await), (1024, 1024));
    assert_eq!(field_errors(&grow("large").await.expect(422))[0].1, "plan-is-current");
    // And then no plan with a smaller one can be had, done or not.
    for body in [json!({ "plan": "small" }), json!({ "plan": "small", "grow_disk": true })] {
        let answer = customer.act(&id, "resize", body).await.expect(422);
        assert_eq!(field_errors(&answer), [("plan".into(), "plan-disk-too-small".into())]);
        assert!(answer.body.contains("1 GiB") && answer.body.contains("512 MiB"), "{}", answer.body);
    }
    assert_eq!(customer.instance(&id).await["plan"]["slug"], "large");
    let wrong = customer.act(&id, "resize", json!({ "plan": "large", "grow_disk": "yes" })).await;
    assert!([400, 422].contains(&wrong.status), "{wrong:?}");
    desk.books_agree().await;
    desk.platform.stop().await;
}

/// One asks for a larger disk while another asks for the plan with the smaller one: both cannot have their way.
#[tokio::test(flavor = "multi_thread")]
async fn two_resizes_at_once_do_not_leave_a_disk_at_the_price_of_a_smaller_one() {
    let desk = Desk::open().await;
    desk.plan("middle", false, policy(1, 512, 128, 512)).await;
    let customer = desk.buyer("a@example.com").await;
    for round in 0..8 {
        let id = desk.running(&customer, &format!("vm-{round}"), "small").await;
        let ask = |body: Value| {
            let (api, path) = (customer.api.clone(), format!("/api/v1/instances/{id}/actions/resize"));
            async move { api.post(&path, body).await }
        };
        let grows = json!({ "plan": "large", "grow_disk": true });
        tokio::join!(ask(grows), ask(json!({ "plan": "middle" })));
        let instance = customer.instance(&id).await;
        let (plan, disk) = (text(&instance["plan"]["slug"]), &instance["policy"]["disk"]["size"]);
        assert!([("large", &json!(1024)), ("middle", &json!(512))].contains(&(plan, disk)), "{instance}");
    }
    desk.books_agree().await;
    desk.platform.stop().await;
}

/// Deleting and undoing in turn neither keeps anything for longer nor makes it cheaper.
#[tokio::test]
async fn deletions_that_are_undone_share_one_grace_period_and_are_paid_for() {
    let till = Till::open().await;
    let desk = &till.desk;
    let customer = till.postpaid("a@example.com").await;
    // Accounts stand as of now, wherever the clock of the meters is.
    let begun = time::OffsetDateTime::now_utc().unix_timestamp() - START - 50 * HOUR;
    till.at(begun).await;
    let id = desk.running(&customer, "web", "small").await;
    let unbilled = async || till.account(&customer).await["unbilled"]["minor"].as_i64().unwrap();
    let delete = async || customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(202);
    let hours_left = async || {
        desk.count("SELECT round(extract(epoch FROM purge_at - now()) / 3600)::bigint FROM instances").await
    };
    let pass = async |hours: i64| {
        sqlx::query(
            "UPDATE instances SET first_deleted_at = first_deleted_at - make_interval(hours => $1::integer)",
        )
        .bind(hours)
        .execute(desk.pool())
        .await
        .unwrap();
    };
    delete().await;
    assert_eq!(hours_left().await, 72);
    desk.obey().await;
    till.at(begun + 50 * HOUR).await;
    assert_eq!(unbilled().await, 0, "what is deleted is kept for nothing");
    pass(50).await;
    customer.asked(&id, "undelete").await;
    desk.obey().await;
    let owed = unbilled().await;
    assert!((99..=101).contains(&owed), "and paid for when it comes back: {owed}");
    delete().await;
    assert_eq!(hours_left().await, 22, "the time to undo counts from the first deletion");
    desk.obey().await;
    customer.asked(&id, "undelete").await;
    desk.obey().await;
    pass(22).await;
    // The page says so before, and so does the answer.
    let told = delete().await.json();
    assert_eq!(hours_left().await, 0, "{told}");
    assert_eq!(desk.told(&id).await.unwrap().presence, Presence::Deleted, "nothing is left of it");
    assert_eq!(
        customer.act(&id, "undelete", json!({})).await.expect(409).json()["code"],
        "undelete-too-late"
    );
    desk.obey().await;
    // A month later it is a deletion like any other.
    let id = desk.running(&customer, "db", "small").await;
    customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(202);
    customer.asked(&id, "undelete").await;
    pass(31 * 24).await;
    customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(202);
    let left = "SELECT round(extract(epoch FROM purge_at - now()) / 3600)::bigint FROM instances WHERE purged_at IS NULL";
    assert_eq!(desk.count(left).await, 72);
    till.desk.platform.stop().await;
}

/// Over the end of a month, after its invoice: the next one has what was kept.
#[tokio::test]
async fn a_deletion_that_is_undone_after_its_month_is_on_the_next_invoice() {
    let till = Till::open().await;
    let desk = &till.desk;
    let customer = till.postpaid("a@example.com").await;
    // January ends 30.5 days after the clock's start.
    let february = 30 * 24 * HOUR + 12 * HOUR;
    till.at(february - 100 * HOUR).await;
    let id = desk.running(&customer, "web", "small").await;
    till.at(february - 10 * HOUR).await;
    customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(202);
    desk.obey().await;
    till.at(february + 20 * HOUR).await;
    customer.asked(&id, "undelete").await;
    desk.obey().await;
    till.at(february + 40 * HOUR).await;
    customer.api.delete(&format!("/api/v1/instances/{id}?now=true")).await.expect(202);
    desk.obey().await;
    let owed = async |first: jiff::civil::Date| -> i64 {
        let month = Month::of(first, &TimeZone::UTC).unwrap();
        let mut tx = desk.platform.app().db.begin_platform().await.unwrap();
        let lines = lines(&mut tx, customer.tenant.into(), &month, &TimeZone::UTC).await.unwrap();
        lines.iter().map(|line| line.amount.minor).sum()
    };
    assert_eq!(owed(date(2026, 1, 1)).await, 180, "90 hours of 2 cents: it was deleted at the month's end");
    // Nothing was billed here: all of January is owed with what was kept in it, and 40 hours of February.
    assert_eq!(owed(date(2026, 2, 1)).await, 200 + 80);
    assert_eq!(owed(date(2026, 3, 1)).await, 0);
    till.desk.platform.stop().await;
}

/// What is stopped starts with what is desired then.
#[tokio::test]
async fn a_stopped_instance_is_smaller_as_soon_as_its_host_says_so() {
    let till = Till::open().await;
    let desk = &till.desk;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "large").await;
    customer.asked(&id, "shutdown").await;
    desk.obey().await;
    resize(&customer, &id, "flat").await;
    assert_eq!(booked(desk).await, 1024, "the host has not heard of it");
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    report.observed = Observed::Unknown;
    desk.report(&[report]).await;
    assert_eq!(booked(desk).await, 1024);
    till.at(10).await;
    desk.obey().await;
    assert_eq!(booked(desk).await, 512);
    assert_eq!(till.ledger(uuid_of(&id)).await.last(), Some(&row("sold", "flat", 10, None)));
    till.desk.platform.stop().await;
}
