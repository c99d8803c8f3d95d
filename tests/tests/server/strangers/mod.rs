//! What strangers can cost: whatever they send, people who are known go on as before.

mod connections;
mod limits;

use jst_tests::platform::PASSWORD;
use jst_tests::{Answer, Client, Platform};
use std::time::Instant;

const OWNER: &str = "owner@example.com";
const WRONG: [(&str, &str); 2] = [("email", OWNER), ("password", "wrong password")];
const RIGHT: [(&str, &str); 2] = [("email", OWNER), ("password", PASSWORD)];

/// Strangers have to wait, however slow the machine is.
const LATER: &str =
    "UPDATE attempt_limits SET not_before = now() + interval '1 minute' WHERE key LIKE 'sign-in:%'";

/// A platform behind a reverse proxy, which says from where somebody comes.
async fn platform() -> Platform {
    Platform::start_with(&["--trusted-proxies", "1"]).await
}

fn at(platform: &Platform, address: &str) -> Client {
    Client::at(&platform.url, address)
}

fn retry_after(answer: &Answer) -> u64 {
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

async fn number(platform: &Platform, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(platform.app().db.platform()).await.unwrap()
}

async fn execute(platform: &Platform, sql: &'static str) {
    sqlx::query(sql).execute(platform.app().db.platform()).await.unwrap();
}

#[tokio::test]
async fn a_device_that_has_signed_in_is_never_locked_out_by_strangers() {
    let platform = platform().await;
    let device = platform.customer(OWNER).await;
    device.post("/sign-out", &[]).await.expect(303);
    let stranger = at(&platform, "192.0.2.1");
    for _ in 0..10 {
        stranger.post("/sign-in", &WRONG).await.expect(422);
    }
    stranger.post("/sign-in", &WRONG).await.expect(429);
    stranger.post("/sign-in", &RIGHT).await.expect(429);
    // Neither the device, though it comes from the same address, nor one of the owner's that is new elsewhere.
    device.sign_in(OWNER, PASSWORD).await;
    at(&platform, "192.0.2.2").sign_in(OWNER, PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn all_strangers_together_slow_each_other_down_and_no_known_device() {
    let platform = platform().await;
    let device = platform.customer(OWNER).await;
    device.post("/sign-out", &[]).await.expect(303);
    let mut refused = 0;
    for network in 0..5 {
        let stranger = at(&platform, &format!("198.51.100.{network}"));
        for _ in 0..9 {
            refused += u32::from(stranger.post("/sign-in", &WRONG).await.status == 429);
        }
    }
    assert!(refused > 0, "forty attempts are free, whatever the address");
    execute(&platform, LATER).await;
    let newcomer = at(&platform, "192.0.2.2");
    newcomer.post("/sign-in", &RIGHT).await.expect(429);
    device.sign_in(OWNER, PASSWORD).await;
    // A new browser becomes a known one by a link that only the owner gets.
    newcomer.post("/forgot", &[("email", OWNER)]).await.expect(303);
    let token = platform.token_in_mail(OWNER, "/reset?token=").await;
    newcomer.post("/reset", &[("token", &token), ("password", "another good phrase")]).await.expect(303);
    newcomer.sign_in(OWNER, "another good phrase").await;
    platform.stop().await;
}

#[tokio::test]
async fn strangers_slow_down_before_they_are_refused_for_long() {
    let platform = platform().await;
    platform.customer(OWNER).await;
    let stranger = at(&platform, "192.0.2.1");
    for _ in 0..10 {
        stranger.post("/sign-in", &WRONG).await.expect(422);
    }
    let mut waits = Vec::new();
    for _ in 0..5 {
        let refused = stranger.post("/sign-in", &WRONG).await.expect(429);
        waits.push(retry_after(&refused));
        // Asking too early does not count: the wait is not longer for it.
        assert!(retry_after(&stranger.post("/sign-in", &WRONG).await.expect(429)) <= waits[waits.len() - 1]);
        execute(&platform, "UPDATE attempt_limits SET not_before = now()").await;
        stranger.post("/sign-in", &WRONG).await.expect(422);
    }
    assert!(waits.is_sorted() && waits[0] <= 4 && waits[4] > 32, "{waits:?}");
    platform.stop().await;
}

#[tokio::test]
async fn a_known_device_has_attempts_of_its_own_and_no_more() {
    let platform = platform().await;
    let device = platform.customer(OWNER).await;
    let other = platform.client();
    other.sign_in(OWNER, PASSWORD).await;
    for _ in 0..10 {
        device.post("/sign-in", &WRONG).await.expect(422);
    }
    device.post("/sign-in", &WRONG).await.expect(429);
    device.post("/sign-in", &RIGHT).await.expect(429);
    other.sign_in(OWNER, PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn nobody_makes_a_device_up() {
    let platform = platform().await;
    platform.customer(OWNER).await;
    platform.customer("stranger@example.com").await;
    let device: uuid::Uuid = sqlx::query_scalar(
        "SELECT device FROM user_devices JOIN users ON users.id = user_id WHERE email = 'owner@example.com'",
    )
    .fetch_one(platform.app().db.platform())
    .await
    .unwrap();
    let stranger = at(&platform, "192.0.2.1");
    for _ in 0..10 {
        stranger.post("/sign-in", &WRONG).await.expect(422);
    }
    execute(&platform, LATER).await;
    // Neither the number in the database, nor a cookie of another account.
    let other = at(&platform, "192.0.2.1");
    other.sign_in("stranger@example.com", PASSWORD).await;
    other.post("/sign-in", &RIGHT).await.expect(429);
    let form = "email=owner%40example.com&password=correct+horse+battery";
    for cookie in [device.to_string(), hex::encode(device.as_bytes()), "00".repeat(57)] {
        let cookie = format!("jst_device={cookie}");
        let headers = [("cookie", cookie.as_str()), ("x-forwarded-for", "192.0.2.1")];
        platform.api("").send_form("/sign-in", form, &headers).await.expect(429);
    }
    platform.stop().await;
}

#[tokio::test]
async fn strangers_do_not_use_up_the_owners_mails() {
    let platform = platform().await;
    let device = platform.customer(OWNER).await;
    let ask = [("email", OWNER)];
    let sent = async || number(&platform, "SELECT count(*) FROM mail_outbox WHERE kind = 'reset'").await;
    let stranger = at(&platform, "192.0.2.1");
    for _ in 0..12 {
        stranger.post("/forgot", &ask).await.expect(303);
    }
    assert_eq!(sent().await, 3, "one network");
    at(&platform, "192.0.2.2").post("/forgot", &ask).await.expect(303);
    assert_eq!(sent().await, 4, "another network has its own");
    for address in 10..30 {
        at(&platform, &format!("192.0.2.{address}")).post("/forgot", &ask).await.expect(303);
    }
    assert_eq!(sent().await, 9, "no number of networks fills a mailbox");
    for _ in 0..12 {
        device.post("/forgot", &ask).await.expect(303);
    }
    assert_eq!(sent().await, 14, "a device of the owner's has its own");
    platform.stop().await;
}

#[tokio::test]
async fn who_knows_the_password_does_not_use_up_the_owners_codes() {
    use super::second_factor::{enable, first_step};
    let platform = platform().await;
    let device = platform.customer(OWNER).await;
    let (_, recovery) = enable(&device).await;
    let stranger = at(&platform, "192.0.2.1");
    let ticket = first_step(&stranger, OWNER).await;
    for guess in 0..10 {
        let guess = format!("{guess:06}");
        stranger.post("/sign-in/code", &[("ticket", &ticket), ("code", &guess)]).await.expect(422);
    }
    stranger.post("/sign-in/code", &[("ticket", &ticket), ("code", "000010")]).await.expect(429);
    let ticket = first_step(&device, OWNER).await;
    device.post("/sign-in/code", &[("ticket", &ticket), ("code", &recovery[0])]).await.expect(303);
    platform.stop().await;
}

#[tokio::test]
async fn a_link_is_looked_up_before_a_password_is_hashed() {
    let platform = platform().await;
    platform.customer(OWNER).await;
    let begun = Instant::now();
    platform.client().sign_in(OWNER, PASSWORD).await;
    let one_hash = begun.elapsed();
    let stranger = platform.client();
    let token = "x".repeat(43);
    let form = [("token", token.as_str()), ("password", "another good phrase")];
    let begun = Instant::now();
    let answers = futures::future::join_all((0..60).map(|_| stranger.post("/reset", &form))).await;
    assert!(answers.iter().all(|answer| answer.status == 403), "{answers:?}");
    // Sixty hashes, one or two at a time, would take thirty times as long as one.
    assert!(begun.elapsed() < 15 * one_hash, "{:?}, and a hash takes {one_hash:?}", begun.elapsed());
    platform.stop().await;
}

#[tokio::test]
async fn accounts_that_are_never_confirmed_are_removed() {
    let platform = platform().await;
    platform.customer("kept@example.com").await;
    let invites = platform.customer("invites@example.com").await;
    invites.post("/team/invitations", &[("email", "x@example.com"), ("role", "viewer")]).await.expect(303);
    for email in ["old@example.com", "young@example.com", "linked@example.com"] {
        platform.client().post("/sign-up", &[("email", email), ("password", PASSWORD)]).await.expect(303);
    }
    execute(&platform, "UPDATE users SET email_verified_at = NULL WHERE email = 'invites@example.com'").await;
    execute(
        &platform,
        "UPDATE users SET created_at = now() - interval '8 days' WHERE email <> 'young@example.com'",
    )
    .await;
    // Somebody made a member of another's team has something there.
    execute(
        &platform,
        "INSERT INTO memberships (tenant_id, user_id, role) SELECT tenant_id, linked.id, 'viewer' \
         FROM memberships JOIN users ON users.id = user_id, users AS linked \
         WHERE users.email = 'kept@example.com' AND linked.email = 'linked@example.com'",
    )
    .await;
    jst_server::accounts::unconfirmed::remove(platform.app()).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar("SELECT email FROM users ORDER BY email")
        .fetch_all(platform.app().db.platform())
        .await
        .unwrap();
    assert_eq!(left, ["invites", "kept", "linked", "young"].map(|name| format!("{name}@example.com")));
    assert_eq!(number(&platform, "SELECT count(*) FROM tenants").await, 4, "its team went with it");
    assert_eq!(number(&platform, "SELECT count(*) FROM events WHERE action = 'account.expired'").await, 1);
    // The address is free again.
    platform.customer("old@example.com").await;
    platform.stop().await;
}
