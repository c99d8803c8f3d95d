//! What is sent, when it is sent again, and when no more.

use super::receiver::{Manner, Receiver};
use super::{Hook, desk, hurry, rename};
use crate::server::instances::desk::text;
use jst_tests::eventually;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_message_arrives_signed_and_stands_in_the_log() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Says(200, b"thank you\0<b>".to_vec())]).await;
    let hook = Hook::make(&customer, &receiver, &[]).await;
    let before = time::OffsetDateTime::now_utc().unix_timestamp();
    let instance = customer.create("db", "large").await;
    let request = receiver.wait_for_type("instance.created").await;
    assert_eq!(request.signed_by(&hook.secret), 1);
    assert_eq!(request.signatures().len(), 1);
    assert_eq!(request.signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0);
    assert_eq!(request.headers["content-type"], "application/json");
    assert!(request.headers["user-agent"].starts_with("jinshitong-vps/"));
    let sent: i64 = request.headers["webhook-timestamp"].parse().unwrap();
    assert!((before..before + 20).contains(&sent), "{sent}");
    let body = request.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data", "timestamp", "type"]);
    assert_eq!(body["data"]["instance_id"], json!(instance));
    assert_eq!(body["data"]["plan"], "large");
    assert_eq!(body["data"]["trial"], false);
    // The log has what was sent, and what was said.
    let detail = hook.attempted(&customer.api, 1).await;
    assert_eq!(
        (&detail["state"], &detail["attempts"], &detail["test"]),
        (&json!("succeeded"), &json!(1), &json!(false))
    );
    assert_eq!(detail["body"], json!(request.body));
    assert_eq!(detail["message_id"], json!(request.id()));
    let attempt = &detail["log"][0];
    assert_eq!((&attempt["status"], &attempt["problem"]), (&json!(200), &json!(null)));
    assert_eq!(attempt["response"], "thank you\u{fffd}<b>");
    assert_eq!(attempt["headers"]["webhook-signature"], json!(request.headers["webhook-signature"]));
    assert!(!detail.to_string().contains(&hook.secret), "the secret is told once");
    desk.platform.stop().await;
}

#[tokio::test]
async fn what_fails_is_sent_again_with_the_same_id() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(500), Manner::Status(503), Manner::Status(204)]).await;
    let hook = Hook::make(&customer, &receiver, &["instance.created"]).await;
    customer.create("db", "large").await;
    let first = receiver.wait_for(1).await[0].clone();
    let detail = hook.attempted(&customer.api, 1).await;
    assert_eq!((&detail["state"], &detail["log"][0]["problem"]), (&json!("pending"), &json!("status")));
    // The second attempt comes by itself after five seconds, the third after five minutes.
    let second = receiver.wait_for(2).await[1].clone();
    let waited =
        |request: &super::receiver::Request| request.headers["webhook-timestamp"].parse::<i64>().unwrap();
    assert!((4..=9).contains(&(waited(&second) - waited(&first))), "{second:?}");
    let detail = hook.attempted(&customer.api, 2).await;
    let next = text(&detail["next_attempt_at"]);
    let next = time::OffsetDateTime::parse(next, &time::format_description::well_known::Rfc3339).unwrap();
    let wait = (next - time::OffsetDateTime::now_utc()).whole_seconds();
    assert!((280..=335).contains(&wait), "{wait}");
    hurry(&desk).await;
    let third = receiver.wait_for(3).await[2].clone();
    assert!([&second, &third].iter().all(|other| other.id() == first.id() && other.body == first.body));
    assert!(receiver.got().iter().all(|request| request.signed_by(&hook.secret) == 1));
    let detail = hook.attempted(&customer.api, 3).await;
    assert_eq!((&detail["state"], &detail["attempts"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(hook.shown(&customer.api).await["enabled"], true);
    desk.platform.stop().await;
}

#[tokio::test]
async fn who_is_gone_is_asked_no_more() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(410)]).await;
    let hook = Hook::make(&customer, &receiver, &[]).await;
    let instance = customer.create("db", "large").await;
    let shown = eventually("it is disabled", Duration::from_secs(20), || async {
        Some(hook.shown(&customer.api).await).filter(|hook| hook["enabled"] == false)
    })
    .await;
    assert_eq!(shown["disabled_reason"], "gone");
    // Its owner is told, once; and nothing is queued any more.
    eventually("the mail", Duration::from_secs(20), || async {
        let mails = desk.platform.mails_of_kind("webhook-disabled").await;
        (mails.len() == 1 && mails[0].contains("410")).then_some(())
    })
    .await;
    let queued = desk.count("SELECT count(*) FROM webhook_deliveries").await;
    rename(&customer, &instance, "other").await;
    assert_eq!(desk.count("SELECT count(*) FROM webhook_deliveries").await, queued);
    // A message may not be sent again before it is enabled, and a test may.
    let failed = hook.deliveries(&customer.api).await.pop().unwrap();
    let again = hook.at(&format!("/deliveries/{}/resend", text(&failed["id"])));
    assert_eq!(customer.api.post(&again, json!({})).await.expect(409).json()["code"], "webhook-disabled");
    receiver.set(Manner::Status(200));
    assert_eq!(hook.tested(&customer.api).await["state"], "succeeded");
    customer.api.patch(&hook.at(""), json!({ "enabled": true })).await.expect(200);
    customer.api.post(&again, json!({})).await.expect(202);
    let id = text(&failed["message_id"]).to_owned();
    eventually("it comes again", Duration::from_secs(20), || async {
        (receiver.got().iter().filter(|request| request.id() == id).count() == 2).then_some(())
    })
    .await;
    assert_eq!(desk.platform.mails_of_kind("webhook-disabled").await.len(), 1);
    desk.platform.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_never_accepts_is_disabled_in_the_end() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(500)]).await;
    let hook = Hook::make(&customer, &receiver, &["instance.created"]).await;
    customer.create("db", "large").await;
    for attempt in 1..=10 {
        let detail = hook.attempted(&customer.api, attempt).await;
        assert_eq!(detail["attempts"], json!(attempt));
        let shown = hook.shown(&customer.api).await;
        assert_eq!(shown["enabled"], json!(attempt < 10));
        assert_eq!(detail["state"], if attempt < 10 { "pending" } else { "failed" });
        hurry(&desk).await;
    }
    assert_eq!(receiver.got().len(), 10);
    assert_eq!(hook.shown(&customer.api).await["disabled_reason"], "exhausted");
    // What waited is sent once it is enabled again.
    receiver.set(Manner::Status(200));
    customer.api.patch(&hook.at(""), json!({ "enabled": true })).await.expect(200);
    customer.create("web", "large").await;
    receiver.wait_for(11).await;
    desk.platform.stop().await;
}

#[tokio::test]
async fn answers_of_all_kinds_are_put_into_words_and_nobody_waits_for_the_slow() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let other = desk.buyer("b@example.com").await;
    let target = Receiver::start([Manner::Status(200)]).await;
    let mut odd = Vec::new();
    for (manner, problem) in [
        (Manner::Redirect(target.url.clone()), "redirect"),
        (Manner::Close, "broken"),
        (Manner::Silence, "timeout"),
        (Manner::Drip, "timeout"),
        (Manner::Status(404), "status"),
        (Manner::Says(200, vec![b'x'; 100_000]), ""),
    ] {
        let receiver = Receiver::start([manner]).await;
        let hook = Hook::make(&customer, &receiver, &["instance.created"]).await;
        odd.push((receiver, hook, problem));
    }
    // Nobody is there at all.
    let nobody = Receiver::start([]).await;
    let hook = Hook::make(&customer, &nobody, &["instance.created"]).await;
    nobody.stop();
    odd.push((nobody, hook, "connect"));
    let quick = Receiver::start([Manner::Status(200)]).await;
    Hook::make(&other, &quick, &["instance.created"]).await;
    for name in ["a", "b", "c"] {
        customer.create(name, "large").await;
    }
    let begun = Instant::now();
    other.create("quick", "large").await;
    quick.wait_for(1).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    for (receiver, hook, problem) in &odd {
        let detail = hook.attempted(&customer.api, 1).await;
        let attempt = &detail["log"].as_array().unwrap().last().unwrap().clone();
        let expected = if problem.is_empty() { json!(null) } else { json!(problem) };
        assert_eq!(attempt["problem"], expected, "{attempt}");
        let took = attempt["duration_ms"].as_i64().unwrap();
        match *problem {
            "timeout" => assert!((14_000..19_000).contains(&took), "{took}"),
            "" => assert_eq!(text(&attempt["response"]).len(), 1024),
            _ => assert!(took < 5000, "{took}"),
        }
        assert_eq!(detail["state"], if problem.is_empty() { "succeeded" } else { "pending" });
        drop(receiver.got());
    }
    assert_eq!(target.connections(), 0, "no redirection is followed");
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_queue_ends_somewhere_and_what_is_old_is_forgotten() {
    let desk = desk().await;
    desk.as_owner(
        "CREATE OR REPLACE FUNCTION webhook_queue_limit() RETURNS integer LANGUAGE sql STABLE RETURN 3",
    )
    .await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Status(500)]).await;
    let hook = Hook::make(&customer, &receiver, &["instance.created"]).await;
    for name in ["a", "b", "c", "d", "e"] {
        customer.create(name, "large").await;
    }
    assert_eq!(hook.shown(&customer.api).await["waiting"], 3);
    jst_server::worker::webhooks::tidy(desk.platform.app()).await.unwrap();
    assert_eq!(hook.shown(&customer.api).await["disabled_reason"], "overflow");
    let mails = "SELECT count(*) FROM mail_outbox WHERE kind = 'webhook-disabled'";
    eventually("the mail", Duration::from_secs(20), || async {
        (desk.count(mails).await == 1).then_some(())
    })
    .await;
    // A month later.
    sqlx::query("UPDATE webhook_messages SET created_at = now() - interval '29 days'")
        .execute(desk.pool())
        .await
        .unwrap();
    jst_server::worker::webhooks::tidy(desk.platform.app()).await.unwrap();
    assert_eq!(hook.deliveries(&customer.api).await.len(), 3);
    sqlx::query("UPDATE webhook_messages SET created_at = now() - interval '31 days'")
        .execute(desk.pool())
        .await
        .unwrap();
    jst_server::worker::webhooks::tidy(desk.platform.app()).await.unwrap();
    assert_eq!(hook.deliveries(&customer.api).await.len(), 0);
    assert_eq!(desk.count("SELECT count(*) FROM webhook_attempts").await, 0);
    desk.platform.stop().await;
}

#[tokio::test]
async fn a_delivery_whose_replica_died_is_taken_by_another() {
    let desk = desk().await;
    let customer = desk.buyer("a@example.com").await;
    let receiver = Receiver::start([Manner::Silence]).await;
    let hook = Hook::make(&customer, &receiver, &["instance.created"]).await;
    customer.create("db", "large").await;
    receiver.wait_for(1).await;
    // While it is leased nobody else takes it; its lease ends as it would without the one who has it.
    receiver.set(Manner::Status(200));
    sqlx::query("UPDATE webhook_deliveries SET leased_until = now()").execute(desk.pool()).await.unwrap();
    let got = receiver.wait_for(2).await;
    assert_eq!(got[0].id(), got[1].id());
    let detail = hook.attempted(&customer.api, 1).await;
    assert_eq!((&detail["state"], &detail["attempts"]), (&json!("succeeded"), &json!(2)));
    // The one that was slow comes to its end, and changes nothing.
    let detail = hook.attempted(&customer.api, 2).await;
    assert_eq!((&detail["state"], &detail["log"][0]["problem"]), (&json!("succeeded"), &json!("timeout")));
    desk.platform.stop().await;
}
