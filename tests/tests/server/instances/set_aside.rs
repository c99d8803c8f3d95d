//! One thing that fails alone: everything else goes on, the operator is told, and it is tried again.

use super::desk::{Customer, Desk, obeyed, text, uuid_of};
use jst_protocol::report::{InstanceReport, RefusalReason, RefusedReport, Usage};
use jst_server::instances::reports;
use jst_server::worker;
use jst_tests::agent::AgentClient;
use jst_tests::{Api, Platform};
use serde_json::{Value, json};
use uuid::Uuid;

/// Instances of which the database refuses whatever is written about one.
struct Poisoned {
    desk: Desk,
    customer: Customer,
    admin: Api,
    bad: String,
    good: Vec<String>,
}

impl Poisoned {
    /// So many instances that run, of which the one in the middle is refused from now on.
    async fn open(count: usize) -> Self {
        // So many at once are more than one token may ask for.
        let platform = Platform::start_with(&["--api-requests-per-second", "1000"]).await;
        let desk = Desk::on(platform).await;
        let customer = desk.buyer("a@example.com").await;
        let mut ids = Vec::new();
        for number in 0..count {
            ids.push(customer.create(&format!("vm-{number}"), "small").await);
        }
        desk.obey().await;
        let bad = ids.remove(count / 2);
        let admin = desk.platform.api(&desk.platform.admin_token().await);
        desk.make_poisonable().await;
        desk.poison(uuid_of(&bad)).await;
        Self { desk, customer, admin, bad, good: ids }
    }

    /// A report of every instance in which its guest has stopped itself.
    async fn stopped(&self) -> Vec<InstanceReport> {
        let mut all = Vec::new();
        for id in self.good.iter().chain([&self.bad]) {
            let mut report = obeyed(&self.desk.told(id).await.unwrap());
            report.observed = jst_protocol::report::Observed::Stopped;
            report.applied = None;
            report.usage = Some(Usage { network_out_bytes: 7, ..Usage::default() });
            all.push(report);
        }
        // The refused one stands in the middle.
        let middle = all.len() / 2;
        let last = all.len() - 1;
        all.swap(middle, last);
        all
    }

    async fn aside(&self, kind: &str) -> Vec<Value> {
        let all = self.admin.get("/api/v1/admin/set-aside").await.expect(200).json();
        all.as_array().unwrap().iter().filter(|aside| aside["kind"] == kind).cloned().collect()
    }
}

#[tokio::test]
async fn one_report_that_is_refused_stops_none_of_a_hundred() {
    let poisoned = Poisoned::open(101).await;
    let Poisoned { desk, customer, bad, good, .. } = &poisoned;
    let host = AgentClient::enrolled(&desk.platform, "host-1").await;
    assert_eq!(host.host, Some(desk.host));
    sqlx::query("UPDATE hosts SET lease_until = NULL WHERE id = $1")
        .bind(desk.host.uuid())
        .execute(desk.pool())
        .await
        .unwrap();
    let body = json!({ "revision": 1, "instances": poisoned.stopped().await });
    let receipt = host.post("reports", &body).await.expect(200).json();
    let refused = [RefusedReport { instance: uuid_of(bad), reason: RefusalReason::SetAside }];
    assert_eq!(receipt, json!({ "lease_seconds": 30, "refused": refused }));
    for id in good {
        assert_eq!(customer.instance(id).await["power"], "stopped", "{id}");
    }
    assert_eq!(customer.instance(bad).await["power"], "running");
    // Both sides count on the lease.
    let shown = poisoned.admin.get(&format!("/api/v1/admin/hosts/{}", desk.host)).await.expect(200).json();
    assert_eq!(shown["online"], true);

    // The operator sees which, why and what; and is told once, when it has failed again.
    let aside = poisoned.aside("report").await;
    assert_eq!(aside.len(), 1);
    assert_eq!((&aside[0]["instance_id"], &aside[0]["host_id"]), (&json!(bad), &json!(desk.host)));
    assert_eq!((text(&aside[0]["reason"]), &aside[0]["failures"]), ("constraint", &json!(1)));
    assert!(text(&aside[0]["detail"]).contains("this instance is refused"), "{aside:?}");
    let kept: InstanceReport = serde_json::from_str(text(&aside[0]["document"])).unwrap();
    assert_eq!(kept.id, uuid_of(bad));
    let mails = "SELECT count(*) FROM mail_outbox WHERE kind = 'set-aside'";
    assert_eq!(desk.count(mails).await, 0);
    for _ in 0..3 {
        host.post("reports", &body).await.expect(200);
    }
    assert_eq!(poisoned.aside("report").await[0]["failures"], 4);
    assert_eq!(desk.count(mails).await, 1);
    let browser = desk.platform.client();
    browser.sign_in("admin@example.com", jst_tests::platform::PASSWORD).await;
    for path in
        [format!("/admin/hosts/{}", desk.host), format!("/admin/instances/{bad}"), "/admin/set-aside".into()]
    {
        let page = browser.get(&path).await.expect(200).body;
        assert!(page.contains("this instance is refused"), "{path}");
    }
    let overview = browser.get("/admin").await.expect(200).body;
    assert!(overview.contains("One report or piece of work keeps failing"), "{overview}");
    // Several servers of a test share one recorder: ours has its turn.
    jst_tests::eventually("the figure is one", std::time::Duration::from_secs(20), || async {
        let text = jst_server::metrics::render(desk.platform.app()).await.unwrap().unwrap_or_default();
        text.contains("jst_set_aside{kind=\"report\"} 1").then_some(())
    })
    .await;

    // When the cause is gone, the next report of that instance clears it.
    poisoned.desk.heal().await;
    let receipt = host.post("reports", &body).await.expect(200).json();
    assert_eq!(receipt, json!({ "lease_seconds": 30 }));
    assert_eq!(customer.instance(bad).await["power"], "stopped");
    assert_eq!(poisoned.aside("report").await, Vec::<Value>::new());
    poisoned.desk.platform.stop().await;
}

#[tokio::test]
async fn what_was_set_aside_is_taken_when_its_agent_does_not_repeat_it() {
    let poisoned = Poisoned::open(2).await;
    let reports = poisoned.stopped().await;
    reports::apply(poisoned.desk.platform.app(), poisoned.desk.host, &reports).await.unwrap();
    let again = || reports::retry(poisoned.desk.platform.app().clone());
    again().await.unwrap();
    assert_eq!(poisoned.aside("report").await[0]["failures"], 1, "it waits");
    poisoned.desk.wait_is_over().await;
    again().await.unwrap();
    assert!(poisoned.aside("report").await[0]["failures"].as_i64().unwrap() > 1);
    poisoned.desk.heal().await;
    poisoned.desk.wait_is_over().await;
    again().await.unwrap();
    assert_eq!(poisoned.customer.instance(&poisoned.bad).await["power"], "stopped");
    assert_eq!(poisoned.aside("report").await, Vec::<Value>::new());
    poisoned.desk.platform.stop().await;
}

#[tokio::test]
async fn parts_of_a_report_that_cannot_be_read_stop_no_other_part() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let (bad, good) = (customer.create("bad", "small").await, customer.create("good", "small").await);
    let host = AgentClient::enrolled(&desk.platform, "host-1").await;
    let unreadable = json!({ "id": uuid_of(&bad), "epoch": "first" });
    let readable = obeyed(&desk.told(&good).await.unwrap());
    let repair = json!({ "id": Uuid::now_v7(), "fields": ["cpu.limit"], "at_unix": 1_790_000_000 });
    let body = json!({
        "revision": 1,
        "host": { "cpus": "many" },
        "load": { "running": "some" },
        "instances": [unreadable, "nonsense", readable],
        "repairs": [{ "id": 7 }, repair],
    });
    let receipt = host.post("reports", &body).await.expect(200).json();
    let refused = json!([{ "instance": uuid_of(&bad), "reason": "set_aside" }]);
    assert_eq!(receipt, json!({ "lease_seconds": 30, "refused": refused, "facts_refused": true }));
    assert_eq!(customer.instance(&good).await["state"], "running");
    assert!(desk.event("host.repaired").await.is_some());
    let reasons = "SELECT count(*) FROM set_aside WHERE reason = 'unreadable' AND kind IN ('report', 'host_facts', 'repair')";
    assert_eq!(desk.count(reasons).await, 3);
    // An agent of the first release reads what it always read of such a receipt.
    assert_eq!(receipt["lease_seconds"], 30);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_report_that_waits_for_somebody_else_s_lock_stops_no_other() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let (locked, free) = (customer.create("locked", "small").await, customer.create("free", "small").await);
    let mut holder = desk.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM instances WHERE id = $1 FOR UPDATE")
        .bind(uuid_of(&locked))
        .execute(&mut *holder)
        .await
        .unwrap();
    let reports = [obeyed(&desk.told(&locked).await.unwrap()), obeyed(&desk.told(&free).await.unwrap())];
    let refused = reports::apply(desk.platform.app(), desk.host, &reports).await.unwrap();
    assert_eq!(refused, [RefusedReport { instance: uuid_of(&locked), reason: RefusalReason::SetAside }]);
    assert_eq!(customer.instance(&free).await["state"], "running");
    let reason: String =
        sqlx::query_scalar("SELECT reason FROM set_aside").fetch_one(desk.pool()).await.unwrap();
    assert_eq!(reason, "busy");
    holder.rollback().await.unwrap();
    assert!(reports::apply(desk.platform.app(), desk.host, &reports).await.unwrap().is_empty());
    assert_eq!(customer.instance(&locked).await["state"], "running");
    desk.platform.stop().await;
}

/// A deletion that cannot be carried out holds up no other, also where a whole batch of them stands before it.
#[tokio::test]
async fn a_purge_that_fails_stops_no_other() {
    let poisoned = Poisoned::open(4).await;
    let Poisoned { desk, customer, bad, good, .. } = &poisoned;
    poisoned.desk.heal().await;
    for id in good.iter().chain([bad]) {
        customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(202);
    }
    let due = format!(
        "UPDATE instances SET purge_at = CASE WHEN id = '{}' THEN now() - interval '1 hour' ELSE now() END",
        uuid_of(bad)
    );
    desk.poison_with(uuid_of(bad), &due).await;
    worker::purge::pass(desk.platform.app().clone()).await.unwrap();
    let begun = "SELECT count(*) FROM instances WHERE tombstone_at IS NOT NULL";
    assert_eq!(desk.count(begun).await, good.len() as i64);
    assert_eq!(poisoned.aside("purge").await.len(), 1);
    let due = jst_server::instances::db::due_for_purge(desk.pool(), 100).await.unwrap();
    assert!(due.is_empty(), "what waits takes no place in the next batch");
    poisoned.desk.heal().await;
    poisoned.desk.wait_is_over().await;
    worker::purge::pass(desk.platform.app().clone()).await.unwrap();
    assert_eq!(desk.count(begun).await, 4);
    assert_eq!(poisoned.aside("purge").await, Vec::<Value>::new());
    poisoned.desk.platform.stop().await;
}

#[tokio::test]
async fn a_deadline_that_cannot_be_noted_stops_no_other() {
    let poisoned = Poisoned::open(3).await;
    let Poisoned { desk, customer, bad, good, .. } = &poisoned;
    desk.heal().await;
    let mut operations = Vec::new();
    for id in good.iter().chain([bad]) {
        operations.push(customer.asked(id, "shutdown").await);
    }
    desk.poison_with(uuid_of(bad), "UPDATE operations SET deadline_at = now() - interval '1 second'").await;
    let pass = || worker::deadlines::pass(desk.platform.app().clone());
    pass().await.unwrap();
    let failed = "SELECT count(*) FROM operations WHERE failure_code = 'deadline'";
    assert_eq!(desk.count(failed).await, 2);
    assert_eq!(poisoned.aside("deadline").await.len(), 1);
    desk.heal().await;
    desk.wait_is_over().await;
    pass().await.unwrap();
    assert_eq!(desk.count(failed).await, 3);
    assert_eq!(poisoned.aside("deadline").await, Vec::<Value>::new());
    poisoned.desk.platform.stop().await;
}

/// Reminders, ends and deletions of trials: the first one in line fails, and the others have their turn.
#[tokio::test]
async fn a_trial_that_cannot_be_ended_stops_no_other() {
    let desk = Desk::open().await;
    desk.make_poisonable().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let customer = desk.stranger(&format!("{name}@example.com")).await;
        ids.push(uuid_of(&desk.running(&customer, name, "small").await));
    }
    let pass = || worker::trials::pass(desk.platform.app().clone());
    for (age, done, kind) in [
        (
            "started_at = now() - interval '7 days', expires_at = now() + interval '1 hour'",
            "reminded_at",
            "trial_reminder",
        ),
        ("expires_at = now() - interval '1 minute'", "stopped_at", "trial_end"),
        ("stopped_at = now() - interval '9 days'", "deleted_at", "trial_deletion"),
    ] {
        desk.poison_with(ids[0], &format!("UPDATE trials SET {age}")).await;
        pass().await.unwrap();
        let count = format!("SELECT count(*) FROM trials WHERE {done} IS NOT NULL");
        let count = async || -> i64 {
            sqlx::query_scalar(sqlx::AssertSqlSafe(count.clone())).fetch_one(desk.pool()).await.unwrap()
        };
        assert_eq!(count().await, 2, "{kind}");
        let aside: Vec<String> =
            sqlx::query_scalar("SELECT kind FROM set_aside").fetch_all(desk.pool()).await.unwrap();
        assert_eq!(aside, [kind]);
        desk.heal().await;
        desk.wait_is_over().await;
        pass().await.unwrap();
        assert_eq!(count().await, 3, "{kind}");
        assert_eq!(desk.count("SELECT count(*) FROM set_aside").await, 0);
    }
    desk.platform.stop().await;
}
