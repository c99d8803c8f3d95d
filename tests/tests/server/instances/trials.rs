use super::desk::{Desk, field_errors, obeyed, text};
use futures::future::join_all;
use jst_protocol::desired::Presence;
use jst_protocol::report::{FailureCode, Observed, Outcome};
use jst_server::worker;
use serde_json::json;

async fn pass(desk: &Desk) {
    worker::trials::pass(desk.platform.app().clone()).await.unwrap();
}

async fn mails(desk: &Desk, kind: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM mail_outbox WHERE kind = $1")
        .bind(kind)
        .fetch_one(desk.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_trial_lives_is_reminded_of_stopped_and_deleted() {
    let desk = Desk::open().await;
    let customer = desk.stranger("try@example.com").await;
    let id = desk.running(&customer, "try", "small").await;
    let trial = customer.instance(&id).await["trial"].clone();
    assert_eq!(trial["days_left"], json!(7));
    assert_eq!(mails(&desk, "trial-started").await, 1);
    let told = desk.told(&id).await.unwrap();
    let Presence::Present { spec, .. } = &told.presence else { panic!("{told:?}") };
    assert_eq!(spec.firewall.blocked_outbound_tcp, [25], "trials send no mail");
    // Rules of the customer's own do not open it.
    customer
        .api
        .put(&format!("/api/v1/instances/{id}/firewall"), json!({ "inbound": null }))
        .await
        .expect(202);
    assert_eq!(customer.instance(&id).await["firewall"]["blocked_outbound_tcp"], json!([25]));
    desk.obey().await;

    pass(&desk).await;
    assert_eq!(mails(&desk, "trial-ending").await, 0);
    let ends_in = |interval: &'static str| {
        let query = format!(
            "UPDATE trials SET started_at = now() - interval '7 days', expires_at = now() + interval '{interval}', \
                             reminded_at = reminded_at - interval '2 days'"
        );
        sqlx::query(sqlx::AssertSqlSafe(query)).execute(desk.pool())
    };
    for (interval, count) in [("71 hours", 1), ("70 hours", 1), ("23 hours", 2)] {
        ends_in(interval).await.unwrap();
        // The second of these was reminded two days ago, which was before the mark: only then again.
        if interval == "70 hours" {
            sqlx::query("UPDATE trials SET reminded_at = now()").execute(desk.pool()).await.unwrap();
        }
        pass(&desk).await;
        pass(&desk).await;
        assert_eq!(mails(&desk, "trial-ending").await, count, "{interval}");
    }

    ends_in("-1 seconds").await.unwrap();
    pass(&desk).await;
    pass(&desk).await;
    desk.obey().await;
    let instance = customer.instance(&id).await;
    assert_eq!((text(&instance["state"]), text(&instance["lock_reason"])), ("stopped", "trial_expired"));
    assert_eq!(mails(&desk, "trial-stopped").await, 1);
    assert_eq!(customer.act(&id, "start", json!({})).await.expect(403).json()["code"], "trial-expired");

    sqlx::query("UPDATE trials SET stopped_at = now() - interval '30 days'")
        .execute(desk.pool())
        .await
        .unwrap();
    pass(&desk).await;
    pass(&desk).await;
    assert_eq!(desk.told(&id).await.unwrap().presence, Presence::Deleted);
    assert_eq!(mails(&desk, "trial-deleted").await, 1);
    desk.obey().await;
    customer.api.get(&format!("/api/v1/instances/{id}")).await.expect(404);
    // Once is once, also when it is long gone.
    assert_eq!(customer.try_create("again", "small").await.expect(403).json()["code"], "trial-used");
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_trial_is_bought_with_its_disk_and_addresses() {
    let desk = Desk::open().await;
    let customer = desk.stranger("try@example.com").await;
    let id = desk.running(&customer, "try", "small").await;
    let addresses = customer.instance(&id).await["addresses"].clone();
    sqlx::query("UPDATE trials SET expires_at = now() - interval '1 second'")
        .execute(desk.pool())
        .await
        .unwrap();
    pass(&desk).await;
    desk.obey().await;
    let answer = customer.act(&id, "resize", json!({ "plan": "large" })).await;
    assert_eq!(answer.expect(403).json()["code"], "may-not-buy");
    sqlx::query("UPDATE tenants SET may_buy = true").execute(desk.pool()).await.unwrap();
    customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(202);
    desk.obey().await;
    customer.asked(&id, "start").await;
    desk.obey().await;
    let instance = customer.instance(&id).await;
    assert_eq!(text(&instance["state"]), "running");
    assert_eq!((&instance["trial"], &instance["lock_reason"]), (&json!(null), &json!(null)));
    assert_eq!(instance["addresses"], addresses);
    assert_eq!(instance["firewall"]["blocked_outbound_tcp"], json!([]));
    // It is no trial any more: nothing ends.
    sqlx::query("UPDATE trials SET stopped_at = now() - interval '30 days'")
        .execute(desk.pool())
        .await
        .unwrap();
    pass(&desk).await;
    assert_eq!(customer.instance(&id).await["state"], "running");
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_trial_may_be_bought_as_it_is() {
    let desk = Desk::open().await;
    let customer = desk.stranger("try@example.com").await;
    let id = desk.running(&customer, "try", "small").await;
    sqlx::query("UPDATE tenants SET may_buy = true").execute(desk.pool()).await.unwrap();
    customer.act(&id, "resize", json!({ "plan": "small" })).await.expect(202);
    desk.obey().await;
    assert_eq!(customer.instance(&id).await["trial"], json!(null));
    let answer = customer.act(&id, "resize", json!({ "plan": "small" })).await.expect(422);
    assert_eq!(field_errors(&answer)[0].1, "plan-is-current");
    desk.platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_one_trial_by_whatever_address() {
    let desk = Desk::open().await;
    let first = &desk.stranger("li.wen@gmail.com").await;
    let answers =
        join_all((0..4).map(|number| async move { first.try_create(&format!("t-{number}"), "small").await }))
            .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((answer.status, text(&answer.json()["code"])), (403, "trial-used"));
    }
    let alias = desk.stranger("liwen+2@googlemail.com").await;
    assert_eq!(alias.try_create("t", "small").await.expect(403).json()["code"], "trial-used");
    let refused = desk.event("trial.refused").await.unwrap();
    assert_eq!((text(&refused["reason"]), text(&refused["mailbox"])), ("trial-used", "liwen@gmail.com"));
    assert_eq!(first.try_create("x", "large").await.expect(403).json()["code"], "may-not-buy");
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_starts_a_few_trials_a_day() {
    let desk = Desk::open().await;
    let mut customers = Vec::new();
    for number in 0..7 {
        customers.push(desk.stranger(&format!("p{number}@example.com")).await);
    }
    let answers = join_all(customers.iter().map(|customer| customer.try_create("t", "small"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 3, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((answer.status, text(&answer.json()["code"])), (403, "trial-network"));
    }
    sqlx::query("UPDATE trials SET started_at = now() - interval '25 hours'")
        .execute(desk.pool())
        .await
        .unwrap();
    let late = desk.stranger("late@example.com").await;
    late.create("t", "small").await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_trial_that_could_not_be_made_is_given_back() {
    let desk = Desk::open().await;
    let customer = desk.stranger("try@example.com").await;
    let id = customer.create("try", "small").await;
    let mut report = obeyed(&desk.told(&id).await.unwrap());
    report.observed = Observed::Absent;
    report.outcome =
        Outcome::Failed { code: FailureCode::StorageFull, detail: String::new(), permanent: true };
    desk.report(&[report]).await;
    customer.create("again", "small").await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn what_is_only_tried_is_not_had_for_nothing() {
    let desk = Desk::open().await;
    sqlx::query("UPDATE plans SET price_monthly_usd = 0, price_monthly_cny = 0 WHERE slug = 'small'")
        .execute(desk.pool())
        .await
        .unwrap();
    let customer = desk.buyer("a@example.com").await;
    let order = |trial: serde_json::Value| {
        let body = json!({ "name": "web", "plan": "small", "image": "test", "trial": trial });
        let api = customer.api.clone();
        async move { api.post("/api/v1/instances", body).await }
    };
    let code = |answer: jst_tests::Answer| text(&answer.expect(403).json()["code"]).to_owned();
    assert_eq!(code(order(json!(false)).await), "plan-trial-only");
    assert_eq!(desk.count("SELECT count(*) FROM instances").await, 0);
    // Without a word about it, it is the trial: once.
    order(serde_json::Value::Null).await.expect(202);
    assert_eq!(desk.count("SELECT count(*) FROM trials").await, 1);
    assert_eq!(code(order(serde_json::Value::Null).await), "trial-used");
    let id = desk.running(&customer, "shop", "large").await;
    assert_eq!(code(customer.act(&id, "resize", json!({ "plan": "small" })).await), "plan-trial-only");
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_trial_is_narrow_until_it_is_bought() {
    let desk = Desk::open().await;
    let admin = super::oversee::admin(&desk).await;
    admin.patch("/api/v1/admin/settings", json!({ "trial_outbound_mbit": 5 })).await.expect(200);
    let customer = desk.stranger("try@example.com").await;
    let id = desk.running(&customer, "try", "small").await;
    let outbound = |instance: &serde_json::Value| instance["policy"]["network"]["outbound"].clone();
    assert_eq!(outbound(&customer.instance(&id).await)["average"], 5000);
    let told = desk.told(&id).await.unwrap();
    let Presence::Present { spec, .. } = &told.presence else { panic!("{told:?}") };
    assert_eq!(
        spec.policy.network.outbound.average.map(|rate| rate.get()),
        Some(5000),
        "the host is told so"
    );
    sqlx::query("UPDATE tenants SET may_buy = true").execute(desk.pool()).await.unwrap();
    customer.act(&id, "resize", json!({ "plan": "small" })).await.expect(202);
    assert_ne!(outbound(&customer.instance(&id).await)["average"], 5000, "what is bought is the plan");
    desk.books_agree().await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_mailbox_for_minutes_gets_no_trial() {
    let desk = Desk::open().await;
    let customer = desk.stranger("x@deep.mailinator.com").await;
    assert_eq!(customer.try_create("t", "small").await.expect(403).json()["code"], "trial-disposable");
    let refused = desk.event("trial.refused").await.unwrap();
    assert_eq!(text(&refused["reason"]), "trial-disposable");
    desk.platform.stop().await;
}

/// Two people who signed in with one browser.
async fn share_a_browser(desk: &Desk) {
    sqlx::query("INSERT INTO user_devices (user_id, device) SELECT id, '00000000-0000-4000-8000-000000000001' FROM users")
        .execute(desk.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn who_is_refused_may_ask_and_be_let_in() {
    let desk = Desk::open().await;
    let admin = super::oversee::admin(&desk).await;
    admin.patch("/api/v1/admin/settings", json!({ "trials_per_device": 1 })).await.expect(200);
    let (first, second) = (desk.stranger("one@example.com").await, desk.stranger("two@example.com").await);
    share_a_browser(&desk).await;
    first.create("t", "small").await;
    assert_eq!(second.try_create("t", "small").await.expect(403).json()["code"], "trial-device");

    let browser = desk.platform.customer("three@example.com").await;
    let page = browser.get("/trial/appeal").await.expect(200).body;
    assert!(page.contains("Nothing stands in the way"), "{page}");
    browser.post("/trial/appeal", &[("message", "please")]).await.expect(409);
    share_a_browser_with(&desk, "three@example.com").await;
    let page = browser.get("/trial/appeal").await.expect(200).body;
    assert!(page.contains("with this browser"), "{page}");
    for wrong in ["", "  ", "x".repeat(2001).as_str()] {
        browser.post("/trial/appeal", &[("message", wrong)]).await.expect(422);
    }
    let message = "We are two. <script>alert(1)</script>";
    browser.post("/trial/appeal", &[("message", message)]).await.expect(303);
    browser.post("/trial/appeal", &[("message", "again")]).await.expect(409);

    let waiting = admin.get("/api/v1/admin/trials/appeals").await.expect(200).json();
    assert_eq!((text(&waiting[0]["message"]), text(&waiting[0]["reason"])), (message, "trial-device"));
    let overview = admin.get("/api/v1/admin/overview").await.expect(200).json();
    assert_eq!(overview["appeals_waiting"], 1);
    let path = format!("/api/v1/admin/trials/appeals/{}", text(&waiting[0]["id"]));
    second.api.post(&path, json!({ "grant": true })).await.expect(404);
    admin.post(&path, json!({ "grant": "yes" })).await.expect(422);
    admin.post(&path, json!({ "grant": true })).await.expect(204);
    admin.post(&path, json!({ "grant": false })).await.expect(404);
    assert_eq!(mails(&desk, "appeal-granted").await, 1);
    let page = browser.get("/trial/appeal").await.expect(200).body;
    assert!(page.contains("Granted") && page.contains("&#60;script&#62;"), "{page}");
    // Let in, once.
    assert!(browser.get("/dashboard").await.expect(200).body.contains("plan=small"));
    desk.platform.stop().await;
}

async fn share_a_browser_with(desk: &Desk, email: &str) {
    sqlx::query(
        "INSERT INTO user_devices (user_id, device) SELECT id, '00000000-0000-4000-8000-000000000001' \
         FROM users WHERE email = $1",
    )
    .bind(email)
    .execute(desk.pool())
    .await
    .unwrap();
}

#[tokio::test]
async fn a_browser_is_known_by_its_cookie_and_not_by_what_it_says() {
    let desk = Desk::open().await;
    let devices = || async {
        sqlx::query_scalar::<_, i64>("SELECT count(DISTINCT device) FROM user_devices")
            .fetch_one(desk.pool())
            .await
            .unwrap()
    };
    let browser = desk.platform.customer("one@example.com").await;
    assert_eq!(devices().await, 1);
    browser.post("/sign-out", &[]).await.expect(303);
    browser.sign_in("one@example.com", jst_tests::platform::PASSWORD).await;
    assert_eq!(devices().await, 1, "the same browser");
    desk.platform.customer("two@example.com").await;
    assert_eq!(devices().await, 2);
    desk.platform.stop().await;
}
