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
    let subject: String = sqlx::query_scalar("SELECT subject FROM mail_outbox WHERE kind = 'invitation'")
        .fetch_one(db)
        .await
        .unwrap();
    assert!(!subject.contains(['\r', '\n']), "{subject:?}");
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
