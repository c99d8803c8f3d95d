//! The outbox, and a mail server at its end.

use jst_tests::platform::PASSWORD;
use jst_tests::{Platform, eventually};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A mail server that takes everything after `refusals` refusals, and keeps what it took.
async fn mail_server(refusals: usize) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = taken.clone();
    let left = Arc::new(Mutex::new(refusals));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (kept, left) = (kept.clone(), left.clone());
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                writer.write_all(b"220 test\r\n").await.ok()?;
                while let Some(line) = lines.next_line().await.ok()? {
                    let verb = line.split(' ').next().unwrap_or("").to_ascii_uppercase();
                    let answer: &[u8] = match verb.as_str() {
                        "EHLO" | "HELO" => b"250 test\r\n",
                        "MAIL" if std::mem::replace(&mut *left.lock().unwrap(), 0) > 0 => b"451 later\r\n",
                        "DATA" => {
                            writer.write_all(b"354 go on\r\n").await.ok()?;
                            let mut text = String::new();
                            while let Some(line) = lines.next_line().await.ok()? {
                                if line == "." {
                                    break;
                                }
                                text.push_str(&line);
                                text.push('\n');
                            }
                            kept.lock().unwrap().push(text);
                            b"250 taken\r\n"
                        }
                        "QUIT" => b"221 bye\r\n",
                        _ => b"250 ok\r\n",
                    };
                    writer.write_all(answer).await.ok()?;
                }
                Some(())
            });
        }
    });
    (url, taken)
}

#[tokio::test]
async fn mails_are_sent_once_and_tried_again_when_refused() {
    let (url, taken) = mail_server(1).await;
    let platform =
        Platform::start_with(&["--smtp-url", &url, "--mail-from", "Jinshitong <no-reply@example.com>"]).await;
    let client = platform.client();
    client.post("/sign-up", &[("email", "lin@example.com"), ("password", PASSWORD)]).await.expect(303);
    let db = platform.app().db.platform();
    // Refused at first: noted, and due again later.
    eventually("the refusal is noted", Duration::from_secs(40), || async {
        sqlx::query_scalar::<_, String>(
            "SELECT last_error FROM mail_outbox WHERE last_error IS NOT NULL AND sent_at IS NULL",
        )
        .fetch_optional(db)
        .await
        .unwrap()
    })
    .await;
    sqlx::query("UPDATE mail_outbox SET next_attempt_at = now()").execute(db).await.unwrap();
    eventually("the mail is sent", Duration::from_secs(40), || async {
        sqlx::query_scalar::<_, i32>("SELECT attempts FROM mail_outbox WHERE sent_at IS NOT NULL")
            .fetch_optional(db)
            .await
            .unwrap()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let taken = taken.lock().unwrap().clone();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0].contains("To: lin@example.com") && taken[0].contains("/verify?token="), "{}", taken[0]);
    platform.stop().await;
}

#[tokio::test]
async fn what_people_type_adds_no_header() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    // The name itself is refused; one that got into the database by another way is cut to a line.
    owner.post("/team/name", &[("name", "x\r\nBcc: all@example.com")]).await.expect(422);
    let db = platform.app().db.platform();
    sqlx::query("UPDATE tenants SET name = E'x\\r\\nBcc: all@example.com'").execute(db).await.unwrap();
    owner.post("/team/invitations", &[("email", "guest@example.com"), ("role", "viewer")]).await.expect(303);
    let mail = &platform.mails_to("guest@example.com").await[0];
    assert!(!mail.subject.contains(['\r', '\n']), "{:?}", mail.subject);
    platform.stop().await;
}

#[tokio::test]
async fn nobody_advertises_with_our_mails() {
    let platform = Platform::start().await;
    let owner = platform.customer("cheap-pills@example.com").await;
    let name = "Buy pills at pills.example";
    owner.post("/team/name", &[("name", name)]).await.expect(303);
    let invite =
        async |email: &str| owner.post("/team/invitations", &[("email", email), ("role", "viewer")]).await;
    for language in ["en", "zh-CN"] {
        owner.post("/preferences", &[("language", language)]).await.expect(303);
        let guest = format!("guest-{language}@example.com").to_lowercase();
        invite(&guest).await.expect(303);
        let mail = &platform.mails_to(&guest).await[0];
        assert!(!mail.subject.contains("pills"), "{}", mail.subject);
        assert!(!mail.body.contains("pills.example"), "{}", mail.body);
        let link = mail.body.find("/invitation?token=").unwrap();
        assert!(!mail.body[..link].contains("pills"), "what a stranger can name stands after our own words");
        assert!(mail.body[link..].contains("cheap-pills@example.com"), "who invites is named: {}", mail.body);
    }
    // So many in an hour and in a day, and so many to one address whoever invites it.
    for n in 0..18 {
        invite(&format!("guest{n}@example.com")).await.expect(303);
    }
    invite("one-more@example.com").await.expect(429);
    let db = platform.app().db.platform();
    sqlx::query("DELETE FROM attempt_limits WHERE key LIKE 'invitation:%'").execute(db).await.unwrap();
    sqlx::query("UPDATE attempt_limits SET attempts = 50 WHERE key LIKE 'invitation-day:%'")
        .execute(db)
        .await
        .unwrap();
    invite("one-more@example.com").await.expect(429);
    let other = platform.customer("other@example.com").await;
    let form = [("email", "victim@example.com"), ("role", "viewer")];
    for status in [303, 422, 422, 429] {
        assert_eq!(other.post("/team/invitations", &form).await.status, status, "three a day to one address");
    }
    // What many others sent is nothing that the next one learns.
    sqlx::query("UPDATE attempt_limits SET attempts = 10 WHERE key LIKE 'invited:%'")
        .execute(db)
        .await
        .unwrap();
    let next = platform.customer("next@example.com").await;
    next.post("/team/invitations", &form).await.expect(303);
    assert_eq!(platform.mails_to("victim@example.com").await.len(), 1);
    platform.stop().await;
}

/// Bodies as the release before left them: in plain text, sent and waiting ones.
#[tokio::test]
async fn bodies_are_sealed_at_rest_and_removed_when_their_time_is_over() {
    let platform = Platform::start().await;
    let app = platform.app();
    let db = app.db.platform();
    platform.client().post("/sign-up", &[("email", "lin@example.com"), ("password", PASSWORD)]).await;
    sqlx::query(
        "INSERT INTO mail_outbox (id, recipient, subject, body, kind) \
         VALUES (gen_random_uuid(), 'old@example.com', 'Old', 'open /reset?token=plain', 'reset')",
    )
    .execute(db)
    .await
    .unwrap();
    jst_server::mail::tidy(db, &app.sealer).await.unwrap();
    let plain =
        "SELECT count(*) FROM mail_outbox WHERE body IS NOT NULL OR mail_outbox::text LIKE '%token=%'";
    let count = async |query: &'static str| sqlx::query_scalar::<_, i64>(query).fetch_one(db).await.unwrap();
    assert_eq!(count(plain).await, 0, "sealed at the first start");
    assert_eq!(
        platform.mails_to("old@example.com").await[0].body,
        "open /reset?token=plain",
        "still to be sent"
    );
    // A sealed body copied to another mail does not open there.
    sqlx::query("UPDATE mail_outbox SET body_sealed = (SELECT body_sealed FROM mail_outbox WHERE kind = 'verify') WHERE kind = 'reset'")
        .execute(db)
        .await
        .unwrap();
    assert!(jst_server::mail::newest(db, &app.sealer, Some("old@example.com"), 1).await.is_err());

    // A day before the end, and after it; and what nobody could send for a month.
    let kept = "SELECT count(*) FROM mail_outbox WHERE body_sealed IS NOT NULL";
    sqlx::query("UPDATE mail_outbox SET sent_at = now() - interval '6 days'").execute(db).await.unwrap();
    jst_server::mail::tidy(db, &app.sealer).await.unwrap();
    assert_eq!(count(kept).await, 2);
    sqlx::query("UPDATE mail_outbox SET sent_at = now() - interval '7 days 1 hour' WHERE kind = 'reset'")
        .execute(db)
        .await
        .unwrap();
    sqlx::query("UPDATE mail_outbox SET sent_at = NULL, created_at = now() - interval '31 days' WHERE kind = 'verify'")
        .execute(db)
        .await
        .unwrap();
    jst_server::mail::tidy(db, &app.sealer).await.unwrap();
    assert_eq!(count(kept).await, 1, "given up now, and kept for sending again");
    assert_eq!(count("SELECT count(*) FROM mail_outbox WHERE abandoned_at IS NOT NULL").await, 1);
    sqlx::query("UPDATE mail_outbox SET abandoned_at = now() - interval '8 days' WHERE kind = 'verify'")
        .execute(db)
        .await
        .unwrap();
    jst_server::mail::tidy(db, &app.sealer).await.unwrap();
    assert_eq!(count(kept).await, 0);
    platform.stop().await;
}

#[tokio::test]
async fn without_a_mail_server_mails_wait_in_the_outbox() {
    let platform = Platform::start().await;
    platform
        .client()
        .post("/sign-up", &[("email", "lin@example.com"), ("password", PASSWORD)])
        .await
        .expect(303);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM mail_outbox WHERE sent_at IS NULL AND attempts = 0")
            .fetch_one(platform.app().db.platform())
            .await
            .unwrap();
    assert_eq!(waiting, 1);
    platform.stop().await;
}

#[tokio::test]
async fn one_person_cannot_have_a_mailbox_flooded() {
    let platform = Platform::start().await;
    platform.customer("victim@example.com").await;
    let client = platform.client();
    for _ in 0..12 {
        client.post("/forgot", &[("email", "victim@example.com")]).await.expect(303);
    }
    let sent: i64 = sqlx::query_scalar("SELECT count(*) FROM mail_outbox WHERE kind = 'reset'")
        .fetch_one(platform.app().db.platform())
        .await
        .unwrap();
    assert_eq!(sent, 3);
    platform.stop().await;
}
