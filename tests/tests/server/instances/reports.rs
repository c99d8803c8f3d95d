use super::desk::{Desk, add_host, obeyed, text, uuid_of};
use jst_protocol::report::{Applied, FailureCode, InstanceReport, Observed, Outcome, Step, Usage};
use jst_server::instances::reports;
use jst_server::worker;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

/// What people see of an instance when reports have come, without what legitimately differs.
async fn picture(customer: &super::desk::Customer, id: &str) -> Value {
    let instance = customer.instance(id).await;
    let operations = customer.api.get(&format!("/api/v1/operations?instance={id}")).await.expect(200).json();
    let operations: Vec<(String, String)> = operations["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|operation| (text(&operation["kind"]).into(), text(&operation["state"]).into()))
        .collect();
    let keys =
        ["state", "power", "applied_generation", "applied_policy", "restart_required", "drift", "generation"];
    let mut picture: serde_json::Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), instance[*key].clone())).collect();
    picture.insert("operations".into(), json!(operations));
    picture.into()
}

/// Whatever the order in which reports arrive, and however often: the end is the same.
#[tokio::test]
async fn late_repeated_and_reordered_reports_do_no_harm() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let mut first = None;
    for seed in 0..12 {
        let id = customer.create(&format!("vm-{seed}"), "small").await;
        // The whole life of the instance so far, as its host told it.
        let mut told = vec![desk.told(&id).await.unwrap()];
        let mut all: Vec<InstanceReport> = Vec::new();
        desk.report(&[obeyed(&told[0])]).await;
        customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(202);
        told.push(desk.told(&id).await.unwrap());
        desk.report(&[obeyed(&told[1])]).await;
        customer.asked(&id, "shutdown").await;
        told.push(desk.told(&id).await.unwrap());
        desk.report(&[obeyed(&told[2])]).await;
        customer.asked(&id, "start").await;
        told.push(desk.told(&id).await.unwrap());
        for (index, told) in told.iter().enumerate() {
            let done = obeyed(told);
            for (step, percent) in [(Step::Queued, 0), (Step::CreatingVolume, 50), (Step::Starting, 0)] {
                all.push(InstanceReport {
                    observed: if index == 0 { Observed::Absent } else { Observed::Stopped },
                    outcome: Outcome::Progress { step, percent },
                    applied: None,
                    ..done.clone()
                });
            }
            all.push(InstanceReport {
                observed: Observed::Stopped,
                outcome: Outcome::Failed {
                    code: FailureCode::HostMemory,
                    detail: "for now".into(),
                    permanent: false,
                },
                applied: None,
                ..done.clone()
            });
            all.push(done);
        }
        // A foreign epoch, a generation that nobody asked for.
        all.push(InstanceReport { epoch: 9, observed: Observed::Crashed, ..all[0].clone() });
        all.push(InstanceReport { generation: 99, observed: Observed::Crashed, ..all[0].clone() });
        let mut shuffled: Vec<InstanceReport> = all.iter().chain(&all).cloned().collect();
        if seed > 0 {
            shuffled.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
            // The one that is true stays true: it is repeated until the server has it.
            shuffled.push(obeyed(&told[3]));
        }
        for report in &shuffled {
            desk.report(std::slice::from_ref(report)).await;
        }
        let seen = picture(&customer, &id).await;
        assert_eq!(seen["state"], "running", "seed {seed}: {seen}");
        match &first {
            None => first = Some(seen),
            Some(first) => assert_eq!(&seen, first, "seed {seed}"),
        }
    }
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn another_host_s_word_counts_for_nothing() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = customer.create("web", "small").await;
    let stranger = add_host(desk.pool(), "host-2", 1).await;
    let report = obeyed(&desk.told(&id).await.unwrap());
    reports::apply(desk.platform.app(), stranger, &[report]).await.unwrap();
    assert_eq!(customer.instance(&id).await["state"], "provisioning");
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_guest_that_powers_itself_off_stays_off() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let told = desk.told(&id).await.unwrap();
    let stopped = InstanceReport { observed: Observed::Stopped, applied: None, ..obeyed(&told) };
    // On the way of a reboot a guest is down for a moment; that is not its own wish.
    let reboot = customer.asked(&id, "reboot").await;
    let mut rebooting = stopped.clone();
    rebooting.outcome = Outcome::Progress { step: Step::Starting, percent: 0 };
    desk.report(&[rebooting]).await;
    assert_eq!(customer.instance(&id).await["power"], "running");
    desk.obey().await;
    assert_eq!(customer.operation(&reboot).await["state"], "succeeded");

    desk.report(&[stopped.clone(), stopped]).await;
    let instance = customer.instance(&id).await;
    assert_eq!((text(&instance["power"]), text(&instance["state"])), ("stopped", "stopped"));
    assert_eq!(instance["generation"], json!(told.generation + 1));
    assert!(desk.event("instance.stopped_itself").await.is_some());
    desk.obey().await;
    customer.asked(&id, "start").await;
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["state"], "running");
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_crash_is_seen_and_can_be_started_again() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let told = desk.told(&id).await.unwrap();
    desk.report(&[InstanceReport { observed: Observed::Crashed, applied: None, ..obeyed(&told) }]).await;
    assert_eq!(customer.instance(&id).await["state"], "crashed");
    assert!(desk.event("instance.crashed").await.is_some());
    let start = customer.asked(&id, "start").await;
    let again = desk.told(&id).await.unwrap();
    assert!(again.generation > told.generation, "only a newer generation starts it again");
    desk.report(&[InstanceReport { observed: Observed::Crashed, applied: None, ..obeyed(&again) }]).await;
    let seen = customer.operation(&start).await;
    assert_eq!((text(&seen["state"]), text(&seen["failure_code"])), ("failed", "guest_crashed"));
    desk.platform.stop().await;
}

#[tokio::test]
async fn drift_and_usage_are_shown() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    assert_eq!(
        customer.api.get(&format!("/api/v1/instances/{id}/usage")).await.expect(200).json(),
        json!(null)
    );
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    let policy = report.applied.take().unwrap().policy;
    report.applied = Some(Applied { policy, drift: vec!["network.inbound.average".into()] });
    report.usage = Some(Usage {
        cpu_nanoseconds: 700,
        cpu_steal_nanoseconds: 12,
        cpu_throttled_nanoseconds: 288,
        network_out_bytes: 9,
        ..Usage::default()
    });
    desk.report(&[report]).await;
    assert_eq!(customer.instance(&id).await["drift"], json!(["network.inbound.average"]));
    let usage = customer.api.get(&format!("/api/v1/instances/{id}/usage")).await.expect(200).json();
    assert_eq!((&usage["cpu_nanoseconds"], &usage["network_out_bytes"]), (&json!(700), &json!(9)));
    assert_eq!(usage["cpu_steal_nanoseconds"], 12);
    assert_eq!(usage["cpu_throttled_nanoseconds"], 288);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_deadline_alerts_and_a_late_success_still_counts() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let operation = customer.try_create("web", "small").await.expect(202).json();
    let id = text(&operation["instance_id"]).to_owned();
    let pass = || worker::deadlines::pass(desk.platform.app().clone());
    pass().await.unwrap();
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "pending");
    sqlx::query("UPDATE operations SET deadline_at = now() - interval '1 second'")
        .execute(desk.pool())
        .await
        .unwrap();
    pass().await.unwrap();
    pass().await.unwrap();
    let seen = customer.operation(text(&operation["id"])).await;
    assert_eq!((text(&seen["state"]), text(&seen["failure_code"])), ("failed", "deadline"));
    assert_eq!(desk.count("SELECT count(*) FROM events WHERE action = 'operation.deadline_passed'").await, 1);
    assert!(desk.told(&id).await.is_some(), "the host goes on trying");
    desk.obey().await;
    assert_eq!(customer.operation(text(&operation["id"])).await["state"], "succeeded");
    assert_eq!(customer.instance(&id).await["state"], "running");
    desk.platform.stop().await;
}

#[tokio::test]
async fn every_step_moves_the_deadline_and_standing_still_does_not() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = customer.create("web", "small").await;
    let told = desk.told(&id).await.unwrap();
    let report = |percent| InstanceReport {
        observed: Observed::Absent,
        outcome: Outcome::Progress { step: Step::FetchingImage, percent },
        applied: None,
        ..obeyed(&told)
    };
    let due = "SELECT extract(epoch FROM deadline_at - now())::bigint FROM operations";
    sqlx::query("UPDATE operations SET deadline_at = now() + interval '5 seconds'")
        .execute(desk.pool())
        .await
        .unwrap();
    desk.report(&[report(10)]).await;
    assert!(desk.count(due).await > 500);
    sqlx::query("UPDATE operations SET deadline_at = now() + interval '5 seconds'")
        .execute(desk.pool())
        .await
        .unwrap();
    desk.report(&[report(10)]).await;
    assert!(desk.count(due).await < 10);
    desk.platform.stop().await;
}

/// A host asks after a revision and misses nothing: every change is told once more than seen.
#[tokio::test]
async fn what_changed_after_a_revision_is_told() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let id = desk.running(&customer, "web", "small").await;
    let other = desk.running(&customer, "db", "small").await;
    let revision: i64 = desk.count("SELECT revision FROM hosts").await;
    let after =
        |revision| jst_server::instances::desired::changed_since(desk.platform.app(), desk.host, revision);
    assert_eq!(after(revision).await.unwrap(), []);
    customer.asked(&id, "shutdown").await;
    let changed = after(revision).await.unwrap();
    assert_eq!(changed.iter().map(|instance| instance.id).collect::<Vec<_>>(), [uuid_of(&id)]);
    assert!(desk.count("SELECT revision FROM hosts").await > revision);
    assert_eq!(after(0).await.unwrap().len(), 2);
    let _ = other;
    desk.platform.stop().await;
}
