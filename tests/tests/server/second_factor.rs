//! The second factor: codes, recovery codes, and what may not be skipped.

use jst_tests::platform::PASSWORD;
use jst_tests::{Client, Platform};
use std::time::{SystemTime, UNIX_EPOCH};
use totp_rs::{Builder, Secret, Totp};

/// The text between two others on a page.
pub fn between<'a>(body: &'a str, before: &str, after: &str) -> &'a str {
    let rest = body.split(before).nth(1).unwrap_or_else(|| panic!("no {before} in {body}"));
    rest.split(after).next().unwrap_or(rest)
}

pub fn code(totp: &Totp, ahead: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now + ahead).to_string()
}

/// Sets up the second factor; gives the authenticator and the recovery codes.
pub async fn enable(client: &Client) -> (Totp, Vec<String>) {
    let page = client.get("/security/two-factor").await.expect(200);
    let sealed = between(&page.body, "name=\"sealed\" value=\"", "\"").to_owned();
    let secret = between(&page.body, "data-copy=\"", "\"");
    let totp = Builder::new()
        .with_secret(Secret::try_from_base32(secret).unwrap().as_bytes().to_vec())
        .with_account_name("x")
        .build()
        .unwrap();
    let wrong = [("sealed", sealed.as_str()), ("code", "000000"), ("current_password", PASSWORD)];
    let again = client.post("/security/two-factor", &wrong).await.expect(422);
    assert_eq!(between(&again.body, "data-copy=\"", "\""), secret, "the same secret is shown again");
    let code = code(&totp, 0);
    let no_password = [("sealed", sealed.as_str()), ("code", code.as_str()), ("current_password", "")];
    client.post("/security/two-factor", &no_password).await.expect(422);
    let form = [("sealed", sealed.as_str()), ("code", code.as_str()), ("current_password", PASSWORD)];
    let page = client.post("/security/two-factor", &form).await.expect(200);
    let codes: Vec<String> =
        between(&page.body, "<pre class=\"code\"><code>", "</code>").lines().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{}", page.body);
    (totp, codes)
}

/// The first step; gives the ticket for the second one.
pub async fn first_step(client: &Client, email: &str) -> String {
    let page = client.post("/sign-in", &[("email", email), ("password", PASSWORD)]).await.expect(200);
    between(&page.body, "name=\"ticket\" value=\"", "\"").to_owned()
}

#[tokio::test]
async fn signing_in_takes_both_factors_and_a_code_is_good_once() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let (totp, recovery) = enable(&client).await;

    let other = platform.client();
    let ticket = first_step(&other, "lin@example.com").await;
    other.get("/security").await.expect(303);
    other.post("/sign-in/code", &[("ticket", &ticket), ("code", "")]).await.expect(422);
    other.post("/sign-in/code", &[("ticket", &ticket), ("code", "junk")]).await.expect(422);
    other.get("/security").await.expect(303);
    // The next step's code is accepted, and not a second time.
    let next = code(&totp, 30);
    other.post("/sign-in/code", &[("ticket", &ticket), ("code", &next)]).await.expect(303);
    other.get("/security").await.expect(200);
    let third = platform.client();
    let ticket = first_step(&third, "lin@example.com").await;
    third.post("/sign-in/code", &[("ticket", &ticket), ("code", &next)]).await.expect(422);
    let old = code(&totp, 0);
    third.post("/sign-in/code", &[("ticket", &ticket), ("code", &old)]).await.expect(422);
    // A recovery code, however it is typed, works once.
    let typed = recovery[0].to_uppercase().replace('-', " ");
    third.post("/sign-in/code", &[("ticket", &ticket), ("code", &typed)]).await.expect(303);
    third.get("/security").await.expect(200);
    let fourth = platform.client();
    let ticket = first_step(&fourth, "lin@example.com").await;
    fourth.post("/sign-in/code", &[("ticket", &ticket), ("code", &recovery[0])]).await.expect(422);
    platform.stop().await;
}

/// A junk second-factor field that skips the password was a real hole elsewhere (CVE-2023-54391).
#[tokio::test]
async fn the_second_step_does_not_stand_in_for_the_first() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    platform.customer("plain@example.com").await;
    let (_, recovery) = enable(&client).await;
    let stranger = platform.client();
    for email in ["lin@example.com", "plain@example.com"] {
        let form = [
            ("email", email),
            ("password", "wrong password"),
            ("code", recovery[0].as_str()),
            ("ticket", "00"),
            ("second_factor", "x"),
        ];
        stranger.post("/sign-in", &form).await.expect(422);
        stranger.get("/security").await.expect(303);
    }
    let forged = "00".repeat(80);
    for ticket in ["", "00", "zz", forged.as_str()] {
        let form = [("ticket", ticket), ("code", recovery[0].as_str()), ("email", "lin@example.com")];
        let answer = stranger.post("/sign-in/code", &form).await.expect(303);
        assert_eq!(answer.location, "/sign-in");
        stranger.get("/security").await.expect(303);
    }
    // A ticket ends with the password that it was given for.
    let ticket = first_step(&stranger, "lin@example.com").await;
    let form = [("current_password", PASSWORD), ("password", "another good phrase")];
    client.post("/security/password", &form).await.expect(303);
    let form = [("ticket", ticket.as_str()), ("code", recovery[1].as_str())];
    stranger.post("/sign-in/code", &form).await.expect(303);
    stranger.get("/security").await.expect(303);
    platform.stop().await;
}

#[tokio::test]
async fn codes_cannot_be_guessed_at_leisure() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    enable(&client).await;
    let stranger = platform.client();
    let ticket = first_step(&stranger, "lin@example.com").await;
    for guess in 0..10 {
        let guess = format!("{guess:06}");
        stranger.post("/sign-in/code", &[("ticket", &ticket), ("code", &guess)]).await.expect(422);
    }
    stranger.post("/sign-in/code", &[("ticket", &ticket), ("code", "000010")]).await.expect(429);
    platform.stop().await;
}

#[tokio::test]
async fn a_recovery_code_used_by_two_at_once_lets_one_in() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let (_, recovery) = enable(&client).await;
    let stranger = platform.client();
    let ticket = first_step(&stranger, "lin@example.com").await;
    let form = [("ticket", ticket.as_str()), ("code", recovery[0].as_str())];
    let browsers: Vec<Client> = (0..5).map(|_| platform.client()).collect();
    let answers = futures::future::join_all(browsers.iter().map(|b| b.post("/sign-in/code", &form))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1, "{answers:?}");
    platform.stop().await;
}

#[tokio::test]
async fn turning_it_off_takes_the_password_and_a_code() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let (_, recovery) = enable(&client).await;
    let path = "/security/two-factor/disable";
    client.post(path, &[("current_password", PASSWORD), ("code", "000000")]).await.expect(422);
    client.post(path, &[("current_password", "wrong password"), ("code", &recovery[0])]).await.expect(422);
    let renew = "/security/two-factor/codes";
    let page =
        client.post(renew, &[("current_password", PASSWORD), ("code", &recovery[0])]).await.expect(200);
    let fresh = between(&page.body, "<pre class=\"code\"><code>", "\n").to_owned();
    // The codes from before do not work any more.
    client.post(path, &[("current_password", PASSWORD), ("code", &recovery[1])]).await.expect(422);
    client.post(path, &[("current_password", PASSWORD), ("code", &fresh)]).await.expect(303);
    platform.client().sign_in("lin@example.com", PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_set_up_confirms_nothing_for_another_person() {
    let platform = Platform::start().await;
    let mine = platform.customer("lin@example.com").await;
    let other = platform.customer("other@example.com").await;
    let page = mine.get("/security/two-factor").await.expect(200);
    let sealed = between(&page.body, "name=\"sealed\" value=\"", "\"");
    let form = [("sealed", sealed), ("code", "000000"), ("current_password", PASSWORD)];
    other.post("/security/two-factor", &form).await.expect(403);
    other.post("/security/two-factor", &[("sealed", "junk")]).await.expect(403);
    other.post("/security/two-factor", &[]).await.expect(403);
    platform.stop().await;
}
