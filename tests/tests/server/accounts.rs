//! Signing up and in, passwords and addresses.

use jst_tests::platform::PASSWORD;
use jst_tests::{Answer, Platform};

const NEW_PASSWORD: &str = "another good phrase";

async fn count(platform: &Platform, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(platform.app().db.platform()).await.unwrap()
}

async fn kinds_of_mail(platform: &Platform, email: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT kind FROM mail_outbox WHERE recipient = $1 ORDER BY id")
        .bind(email)
        .fetch_all(platform.app().db.platform())
        .await
        .unwrap()
}

/// The value of a cookie that an answer sets.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    answer.headers.get_all("set-cookie").iter().find_map(|value| {
        let (key, rest) = value.to_str().ok()?.split_once('=')?;
        (key == name).then(|| rest.split(';').next().unwrap_or("").to_owned())
    })
}

#[tokio::test]
async fn a_customer_signs_up_confirms_and_signs_in() {
    let platform = Platform::start().await;
    let client = platform.customer("lin.wen@example.com").await;
    let page = client.get("/security").await.expect(200);
    assert!(page.body.contains("lin.wen@example.com"), "{}", page.body);
    for language in ["en", "zh-CN"] {
        // The account's language counts for more than the browser's.
        client.post("/preferences", &[("language", language)]).await.expect(303);
        for path in [
            "/",
            "/team",
            "/ssh-keys",
            "/api-tokens",
            "/activity",
            "/security/two-factor",
            "/security/two-factor/disable",
            "/security/two-factor/codes",
            "/security/password",
            "/security/email",
        ] {
            let page = client.get(path).await.expect(200);
            assert!(page.body.contains(&format!("lang=\"{language}\"")), "{path}");
            assert!(!page.body.contains("Unknown localization"), "{path}: a message is missing");
        }
    }
    let stranger = platform.client();
    for path in [
        "/",
        "/sign-up",
        "/sign-up/done",
        "/sign-in",
        "/forgot",
        "/reset?token=x",
        "/verify?token=x",
        "/verify/resend",
        "/change-email?token=x",
    ] {
        for language in ["en", "zh-CN"] {
            let page = stranger.get_in(path, language).await.expect(200);
            assert!(!page.body.contains("Unknown localization"), "{path}: a message is missing");
        }
    }
    for path in ["/team", "/ssh-keys", "/api-tokens", "/activity", "/security"] {
        let answer = stranger.get(path).await.expect(303);
        assert!(answer.location.starts_with("/sign-in?next="), "{}", answer.location);
    }
    platform.stop().await;
}

#[tokio::test]
async fn signing_up_does_not_tell_whether_an_address_has_an_account() {
    let platform = Platform::start().await;
    platform.customer("here@example.com").await;
    let stranger = platform.client();
    let fresh = stranger.post("/sign-up", &[("email", "new@example.com"), ("password", NEW_PASSWORD)]).await;
    let taken = stranger.post("/sign-up", &[("email", "HERE@example.com"), ("password", NEW_PASSWORD)]).await;
    assert_eq!((fresh.status, &fresh.location, &fresh.body), (taken.status, &taken.location, &taken.body));
    assert_eq!(kinds_of_mail(&platform, "new@example.com").await, ["verify"]);
    assert_eq!(kinds_of_mail(&platform, "here@example.com").await.last().unwrap(), "account-exists");
    assert_eq!(count(&platform, "SELECT count(*) FROM users").await, 2);
    // The password of the account is what it was.
    platform.client().sign_in("here@example.com", PASSWORD).await;
    let answer =
        stranger.post("/sign-in", &[("email", "here@example.com"), ("password", NEW_PASSWORD)]).await;
    assert_eq!(answer.status, 422);

    let known = stranger.post("/forgot", &[("email", "here@example.com")]).await;
    let unknown = stranger.post("/forgot", &[("email", "nobody@example.com")]).await;
    assert_eq!((known.status, known.location), (unknown.status, unknown.location));
    assert!(kinds_of_mail(&platform, "nobody@example.com").await.is_empty());
    platform.stop().await;
}

#[tokio::test]
async fn two_sign_ups_at_once_make_one_account() {
    let platform = Platform::start().await;
    let client = platform.client();
    let form = [("email", "twice@example.com"), ("password", PASSWORD)];
    let answers = futures::future::join_all((0..6).map(|_| client.post("/sign-up", &form))).await;
    assert!(answers.iter().all(|answer| answer.status == 303), "{answers:?}");
    assert_eq!(count(&platform, "SELECT count(*) FROM users").await, 1);
    assert_eq!(count(&platform, "SELECT count(*) FROM tenants").await, 1);
    assert_eq!(count(&platform, "SELECT count(*) FROM memberships").await, 1);
    platform.stop().await;
}

#[tokio::test]
async fn bad_sign_ups_come_back_with_their_errors() {
    let platform = Platform::start().await;
    let client = platform.client();
    let long = "x".repeat(10_000);
    let cases: [(&str, &str, &str); 7] = [
        ("", "", "e-mail address"),
        ("no-address", PASSWORD, "e-mail address"),
        ("a@example.com\r\nBcc: b@example.com", PASSWORD, "e-mail address"),
        (&long, PASSWORD, "e-mail address"),
        ("a@example.com", "short", "at least 10 characters"),
        ("a@example.com", "aaaaaaaaaaaaaaa", "one character repeated"),
        ("a@example.com", &long, "at most 256 bytes"),
    ];
    for (email, password, message) in cases {
        let answer = client.post("/sign-up", &[("email", email), ("password", password)]).await.expect(422);
        assert!(answer.body.contains(message), "{message}: {}", answer.body);
        assert!(!answer.body.contains(&format!("value=\"{password}\"")) || password.is_empty());
    }
    // What was typed comes back, escaped.
    let answer = client.post("/sign-up", &[("email", "<b>\"x"), ("password", PASSWORD)]).await.expect(422);
    assert!(!answer.body.contains("<b>\"x"), "{}", answer.body);
    client.post("/sign-up", &[]).await.expect(422);
    client.post("/sign-up", &[("email", &"y".repeat(300_000))]).await.expect(413);
    assert_eq!(count(&platform, "SELECT count(*) FROM users").await, 0);
    assert_eq!(count(&platform, "SELECT count(*) FROM mail_outbox").await, 0);
    platform.stop().await;
}

#[tokio::test]
async fn an_address_is_confirmed_once_and_by_a_button_only() {
    let platform = Platform::start().await;
    let client = platform.client();
    let form = [("email", "lin@example.com"), ("password", PASSWORD)];
    client.post("/sign-up", &form).await.expect(303);
    // Not confirmed: the same answer as to a wrong password.
    let unconfirmed = client.post("/sign-in", &form).await.expect(422);
    let wrong =
        client.post("/sign-in", &[("email", "lin@example.com"), ("password", "wrong password")]).await;
    assert_eq!(unconfirmed.body, wrong.body);

    let first = platform.token_in_mail("lin@example.com", "/verify?token=").await;
    client.post("/verify/resend", &[("email", "lin@example.com")]).await.expect(303);
    let second = platform.token_in_mail("lin@example.com", "/verify?token=").await;
    assert_ne!(first, second);
    client.post("/verify", &[("token", &first)]).await.expect(403);
    // A program that looks at the link does not use it up.
    client.get(&format!("/verify?token={second}")).await.expect(200);
    // Neither does it open anything else.
    client.post("/reset", &[("token", &second), ("password", NEW_PASSWORD)]).await.expect(403);
    client.post("/change-email", &[("token", &second)]).await.expect(403);
    client.post("/verify", &[("token", &second)]).await.expect(303);
    client.post("/verify", &[("token", &second)]).await.expect(403);
    client.post("/verify", &[("token", "")]).await.expect(403);
    client.post("/verify", &[]).await.expect(403);
    client.sign_in("lin@example.com", PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn an_expired_link_is_refused() {
    let platform = Platform::start().await;
    let client = platform.client();
    client.post("/sign-up", &[("email", "late@example.com"), ("password", PASSWORD)]).await.expect(303);
    let token = platform.token_in_mail("late@example.com", "/verify?token=").await;
    sqlx::query("UPDATE email_tokens SET expires_at = now()")
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    client.post("/verify", &[("token", &token)]).await.expect(403);
    platform.stop().await;
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down_for_one_account_only() {
    let platform = Platform::start().await;
    platform.customer("target@example.com").await;
    platform.customer("other@example.com").await;
    let client = platform.client();
    let wrong = [("email", "target@example.com"), ("password", "wrong password")];
    for _ in 0..10 {
        client.post("/sign-in", &wrong).await.expect(422);
    }
    let refused = client.post("/sign-in", &wrong).await.expect(429);
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    // Neither another spelling of the address nor the right password helps.
    let right = [("email", " TARGET@example.com "), ("password", PASSWORD)];
    client.post("/sign-in", &right).await.expect(429);
    platform.client().sign_in("other@example.com", PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn a_session_begins_with_a_new_id_and_ends_for_good() {
    let platform = Platform::start().await;
    platform.customer("lin@example.com").await;
    let program = platform.api("");
    let post = |path: &'static str, cookie: String| {
        let program = program.clone();
        async move {
            let form = "email=lin%40example.com&password=correct+horse+battery";
            program.send_form(path, form, &[("cookie", &cookie)]).await
        }
    };
    let first = post("/sign-in", String::new()).await.expect(303);
    let first = cookie(&first, "jst").expect("a session cookie");
    // Signing in again with the cookie of somebody's session gives another id, and ends that session.
    let second = post("/sign-in", format!("jst={first}")).await.expect(303);
    let second = cookie(&second, "jst").expect("a session cookie");
    assert_ne!(first, second);
    let get = |cookie: String| {
        let program = program.clone();
        async move {
            program
                .send(reqwest::Method::GET, "/security", None, &[("cookie", &format!("jst={cookie}"))])
                .await
        }
    };
    get(first).await.expect(303);
    get(second.clone()).await.expect(200);
    post("/sign-out", format!("jst={second}")).await.expect(303);
    get(second).await.expect(303);
    platform.stop().await;
}

#[tokio::test]
async fn visitors_leave_nothing_behind() {
    let platform = Platform::start().await;
    let client = platform.client();
    for path in ["/", "/sign-in", "/sign-up", "/security", "/no-such-page"] {
        client.get(path).await;
    }
    client.post("/sign-in", &[("email", "a@example.com"), ("password", "wrong password")]).await.expect(422);
    client.post("/sign-out", &[]).await.expect(303);
    assert_eq!(count(&platform, "SELECT count(*) FROM sessions").await, 0);
    platform.stop().await;
}

#[tokio::test]
async fn signing_in_leads_to_our_own_pages_only() {
    let platform = Platform::start().await;
    platform.customer("lin@example.com").await;
    let cases = [
        ("/ssh-keys?cursor=", "/ssh-keys?cursor="),
        ("https://evil.example/", "/dashboard"),
        ("//evil.example/", "/dashboard"),
        ("/\\evil.example/", "/dashboard"),
        ("javascript:alert(1)", "/dashboard"),
        ("", "/dashboard"),
    ];
    for (next, expected) in cases {
        let form = [("email", "lin@example.com"), ("password", PASSWORD), ("next", next)];
        let answer = platform.client().post("/sign-in", &form).await.expect(303);
        assert_eq!(answer.location, expected, "{next}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_every_session_ends() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let stranger = platform.client();
    stranger.post("/forgot", &[("email", "lin@example.com")]).await.expect(303);
    let token = platform.token_in_mail("lin@example.com", "/reset?token=").await;
    let short = stranger.post("/reset", &[("token", &token), ("password", "short")]).await.expect(422);
    assert!(short.body.contains(&token), "the link goes on working after a refused password");
    stranger.post("/reset", &[("token", &token), ("password", NEW_PASSWORD)]).await.expect(303);
    stranger.post("/reset", &[("token", &token), ("password", NEW_PASSWORD)]).await.expect(403);
    client.get("/security").await.expect(303);
    stranger.post("/sign-in", &[("email", "lin@example.com"), ("password", PASSWORD)]).await.expect(422);
    stranger.sign_in("lin@example.com", NEW_PASSWORD).await;
    assert_eq!(kinds_of_mail(&platform, "lin@example.com").await.last().unwrap(), "password-reset");
    platform.stop().await;
}

#[tokio::test]
async fn changing_the_password_needs_the_present_one_and_ends_other_sessions() {
    let platform = Platform::start().await;
    let here = platform.customer("lin@example.com").await;
    let there = platform.client();
    there.sign_in("lin@example.com", PASSWORD).await;
    let wrong = [("current_password", "wrong password"), ("password", NEW_PASSWORD)];
    let answer = here.post("/security/password", &wrong).await.expect(422);
    assert!(answer.body.contains("not your present password"), "{}", answer.body);
    there.get("/security").await.expect(200);
    let right = [("current_password", PASSWORD), ("password", NEW_PASSWORD)];
    here.post("/security/password", &right).await.expect(303);
    here.get("/security").await.expect(200);
    there.get("/security").await.expect(303);
    platform.client().sign_in("lin@example.com", NEW_PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_owner_only() {
    let platform = Platform::start().await;
    let mine = platform.customer("lin@example.com").await;
    let other = platform.client();
    other.sign_in("lin@example.com", PASSWORD).await;
    let stranger = platform.customer("stranger@example.com").await;
    let page = mine.get("/security").await.expect(200);
    assert!(page.body.contains("127.0.0.1"), "the address is shown");
    let path = page.body.split("action=\"/security/sessions/ses_").nth(1).expect("another session");
    let path = format!("/security/sessions/ses_{}", path.split('"').next().unwrap());
    stranger.post(&path, &[]).await.expect(404);
    mine.post("/security/sessions/ses_00/end", &[]).await.expect(404);
    other.get("/security").await.expect(200);
    mine.post(&path, &[]).await.expect(303);
    other.get("/security").await.expect(303);
    mine.get("/security").await.expect(200);

    other.sign_in("lin@example.com", PASSWORD).await;
    mine.post("/security/sessions/end-all", &[]).await.expect(303);
    other.get("/security").await.expect(303);
    mine.get("/security").await.expect(200);
    stranger.get("/security").await.expect(200);
    platform.stop().await;
}

#[tokio::test]
async fn an_address_changes_by_a_link_to_the_new_one() {
    let platform = Platform::start().await;
    let client = platform.customer("old@example.com").await;
    platform.customer("taken@example.com").await;
    let form = |email| [("email", email), ("current_password", PASSWORD)];
    let wrong = [("email", "new@example.com"), ("current_password", "wrong password")];
    client.post("/security/email", &wrong).await.expect(422);
    client.post("/security/email", &form("old@example.com")).await.expect(422);
    client.post("/security/email", &form("nonsense")).await.expect(422);
    // A taken address gets the same answer, and its owner a mail.
    let taken = client.post("/security/email", &form("taken@example.com")).await.expect(303);
    assert_eq!(kinds_of_mail(&platform, "taken@example.com").await.last().unwrap(), "account-exists");
    let fresh = client.post("/security/email", &form("new@example.com")).await.expect(303);
    assert_eq!(taken.location, fresh.location);

    let token = platform.token_in_mail("new@example.com", "/change-email?token=").await;
    assert!(client.get("/security").await.expect(200).body.contains("old@example.com"));
    client.get(&format!("/change-email?token={token}")).await.expect(200);
    client.post("/change-email", &[("token", &token)]).await.expect(303);
    client.post("/change-email", &[("token", &token)]).await.expect(403);
    assert_eq!(kinds_of_mail(&platform, "old@example.com").await.last().unwrap(), "email-changed");
    platform.client().sign_in("new@example.com", PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn an_address_that_was_taken_meanwhile_stays_with_its_account() {
    let platform = Platform::start().await;
    let client = platform.customer("old@example.com").await;
    let form = [("email", "wanted@example.com"), ("current_password", PASSWORD)];
    client.post("/security/email", &form).await.expect(303);
    let token = platform.token_in_mail("wanted@example.com", "/change-email?token=").await;
    platform.customer("wanted@example.com").await;
    client.post("/change-email", &[("token", &token)]).await.expect(409);
    platform.client().sign_in("old@example.com", PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn language_and_theme_are_remembered() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let answer = client.post("/preferences", &[("language", "zh-CN"), ("next", "/team")]).await.expect(303);
    assert_eq!(answer.location, "/team");
    client.post("/preferences", &[("theme", "dark"), ("next", "//evil.example")]).await.expect(303);
    let page = client.get("/team").await.expect(200);
    assert!(
        page.body.contains("lang=\"zh-CN\"") && page.body.contains("data-theme=\"dark\""),
        "{}",
        page.body
    );
    client.post("/preferences", &[("language", "xx")]).await.expect(422);
    client.post("/preferences", &[("theme", "\"><script>")]).await.expect(422);
    let locale: String =
        sqlx::query_scalar("SELECT locale FROM users").fetch_one(platform.app().db.platform()).await.unwrap();
    assert_eq!(locale, "zh-CN");
    // In another browser, the account's language counts.
    let elsewhere = platform.client();
    elsewhere.sign_in("lin@example.com", PASSWORD).await;
    assert!(elsewhere.get("/team").await.body.contains("lang=\"zh-CN\""));
    platform.client().get("/language?to=zh-CN&next=/sign-in").await.expect(303);
    platform.stop().await;
}

#[tokio::test]
async fn making_an_administrator_again_changes_the_password_and_the_token() {
    let platform = Platform::start().await;
    let first = platform.admin_token().await;
    platform.api(&first).get("/api/v1/account").await.expect(200);
    let second =
        jst_server::accounts::create_admin(platform.app(), "Admin@example.com", NEW_PASSWORD).await.unwrap();
    platform.api(&first).get("/api/v1/account").await.expect(401);
    let account = platform.api(&second).get("/api/v1/account").await.expect(200).json();
    assert_eq!((&account["admin"], &account["email_verified"]), (&true.into(), &true.into()));
    assert_eq!(count(&platform, "SELECT count(*) FROM users").await, 1);
    platform.client().sign_in("admin@example.com", NEW_PASSWORD).await;
    assert!(jst_server::accounts::create_admin(platform.app(), "admin@example.com", "short").await.is_err());
    assert!(jst_server::accounts::create_admin(platform.app(), "nonsense", NEW_PASSWORD).await.is_err());
    platform.stop().await;
}

#[tokio::test]
async fn what_happened_is_told_in_sentences() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    client.post("/team/name", &[("name", "林文 & Söhne")]).await.expect(303);
    let page = client.get("/activity").await.expect(200);
    assert!(page.body.contains("The team was renamed from lin to 林文 &#38; Söhne"), "{}", page.body);
    client.post("/preferences", &[("language", "zh-CN")]).await.expect(303);
    let page = client.get("/activity").await.expect(200);
    assert!(page.body.contains("lin@example.com 登录"), "{}", page.body);
    let other = platform.customer("other@example.com").await;
    assert!(!other.get("/activity").await.body.contains("林文"));
    client.get("/activity?limit=1000").await.expect(422);
    client.get("/activity?cursor=x").await.expect(422);
    platform.stop().await;
}

#[tokio::test]
async fn a_session_ends_after_two_weeks_without_a_visit() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let db = platform.app().db.platform();
    let days = "SELECT extract(epoch FROM expires_at - now())::bigint / 86400 FROM sessions";
    // A visit on the last day moves the end.
    sqlx::query("UPDATE sessions SET last_seen_at = now() - interval '13 days', expires_at = now() + interval '1 day'")
        .execute(db)
        .await
        .unwrap();
    client.get("/security").await.expect(200);
    assert!(count(&platform, days).await >= 13);
    sqlx::query("UPDATE sessions SET expires_at = now()").execute(db).await.unwrap();
    client.get("/security").await.expect(303);
    platform.stop().await;
}

#[tokio::test]
async fn a_session_ends_however_often_it_is_visited_or_changed() {
    let platform = Platform::start().await;
    let browser = platform.admin().await;
    let api = platform.api(&platform.admin_token().await);
    let db = platform.app().db.platform();
    // A day before its end. The session's own note of its beginning moves with it.
    let older = "UPDATE sessions SET created_at = created_at - make_interval(days => 29), \
                 last_seen_at = now() - interval '1 hour', \
                 data = jsonb_set(data, '{user,signed_in_at}', to_jsonb((data #>> '{user,signed_in_at}')::bigint - 29 * 86400))";
    sqlx::query(older).execute(db).await.unwrap();
    browser.get("/dashboard").await.expect(200);
    let left = "SELECT ceil(extract(epoch FROM expires_at - now()) / 86400)::bigint FROM sessions";
    assert_eq!(count(&platform, left).await, 1, "a visit does not move the end");
    // A new id, as who acts for a customer gets, is no new session.
    platform.customer("lin@example.com").await;
    let customers = api.get("/api/v1/admin/customers?search=lin").await.expect(200).json();
    let tenant = customers["items"][0]["id"].as_str().unwrap();
    browser.post(&format!("/admin/customers/{tenant}/act-for"), &[]).await.expect(303);
    browser.get("/instances").await.expect(200);
    let old = "SELECT count(*) FROM sessions WHERE created_at < now() - interval '28 days' \
               AND expires_at < now() + interval '25 hours'";
    assert_eq!(count(&platform, old).await, 1);
    // The list says when.
    browser.post("/admin/stop-acting", &[]).await.expect(303);
    assert!(browser.get("/security").await.expect(200).body.contains("Expires"));
    let listed = api.get("/api/v1/sessions").await.expect(200).json();
    let item = &listed["items"][0];
    let at = |name: &str| {
        let format = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(item[name].as_str().unwrap(), format).unwrap()
    };
    assert_eq!(at("ends_at") - at("created_at"), time::Duration::days(30));
    // Also where another release has moved the end.
    sqlx::query("UPDATE sessions SET created_at = now() - interval '30 days 1 second', expires_at = now() + interval '9 days'")
        .execute(db)
        .await
        .unwrap();
    browser.get("/dashboard").await.expect(303);
    platform.stop().await;
}
