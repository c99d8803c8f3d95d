//! What is counted, by whom, and that it has an end.

use super::*;

/// Of everything that needs no session: pages, forms, links, assets and notifications.
const ANONYMOUS: [(&str, &str); 33] = [
    ("GET", "/"),
    ("GET", "/plans"),
    ("GET", "/help"),
    ("GET", "/help?q=firewall"),
    ("GET", "/status"),
    ("GET", "/api/no/such/call"),
    ("GET", "/no/such/page"),
    ("GET", "/static/x/y.css"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/live"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/sign-in/code"),
    ("POST", "/sign-in/passkey"),
    ("POST", "/sign-in/passkey/question"),
    ("POST", "/sign-out"),
    ("GET", "/sso?token=x"),
    ("GET", "/sign-up"),
    ("POST", "/sign-up"),
    ("GET", "/verify?token=x"),
    ("POST", "/verify"),
    ("POST", "/verify/resend"),
    ("GET", "/forgot"),
    ("POST", "/forgot"),
    ("GET", "/reset?token=x"),
    ("POST", "/reset"),
    ("POST", "/change-email"),
    ("GET", "/invitation?token=x"),
    ("POST", "/invitation"),
    ("POST", "/payments/stripe/notify"),
    ("POST", "/payments/alipay/notify"),
    ("POST", "/payments/wechat/notify"),
];

#[tokio::test]
async fn every_anonymous_call_has_a_limit() {
    let arguments = ["--trusted-proxies", "1", "--page-requests-per-second", "1"];
    let platform = Platform::start_with(&arguments).await;
    let device = platform.customer(OWNER).await;
    let stranger = at(&platform, "192.0.2.1");
    let answers = futures::future::join_all((0..30).map(|_| stranger.get("/healthz"))).await;
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((10..=12).contains(&passed), "{passed}");
    // Each second lets one through, whichever it is.
    let refused = ANONYMOUS.map(|(method, path)| {
        let stranger = &stranger;
        async move {
            for _ in 0..8 {
                let answer = match method {
                    "GET" => stranger.get(path).await,
                    _ => stranger.post(path, &[]).await,
                };
                if answer.status == 429 {
                    assert!(retry_after(&answer) >= 1);
                    return;
                }
            }
            panic!("{method} {path} has no limit");
        }
    });
    futures::future::join_all(refused).await;
    // A known device goes on, and so does another network.
    device.get("/dashboard").await.expect(200);
    at(&platform, "192.0.2.2").get("/sign-in").await.expect(200);
    platform.stop().await;
}

#[tokio::test]
async fn a_call_of_the_api_without_a_token_has_a_limit() {
    let arguments = ["--trusted-proxies", "1", "--api-requests-per-second", "1"];
    let platform = Platform::start_with(&arguments).await;
    let stranger = at(&platform, "192.0.2.1");
    for path in ["/api/v1/account", "/billing/v1/plans"] {
        let answers = futures::future::join_all((0..40).map(|_| stranger.get(path))).await;
        assert!(answers.iter().any(|answer| answer.status == 429), "{path}");
        assert!(answers.iter().all(|answer| [401, 404, 429].contains(&answer.status)), "{answers:?}");
    }
    at(&platform, "192.0.2.2").get("/api/v1/account").await.expect(401);
    platform.stop().await;
}

#[tokio::test]
async fn limits_count_ipv6_by_64_and_by_48() {
    let platform = platform().await;
    let ask = async |address: String| {
        at(&platform, &address).post("/forgot", &[("email", "nobody@example.com")]).await.status
    };
    for host in 1..=20 {
        assert_eq!(ask(format!("2001:db8:1:1::{host:x}")).await, 303);
    }
    assert_eq!(ask("2001:db8:1:1:ffff::1".into()).await, 429, "another address of the same /64");
    let mut passed = 0;
    for subnet in 2..=100 {
        passed += u32::from(ask(format!("2001:db8:1:{subnet:x}::1")).await == 303);
    }
    assert_eq!(passed, 59, "four times as many of the same /48: twenty-one were asked for before");
    assert_eq!(ask("2001:db8:2::1".into()).await, 303, "another /48");
    // An IPv4 address is itself, however it is written.
    for _ in 0..20 {
        assert_eq!(ask("192.0.2.1".into()).await, 303);
    }
    assert_eq!(ask("::ffff:192.0.2.1".into()).await, 429);
    assert_eq!(ask("192.0.2.2".into()).await, 303);
    let rows =
        number(&platform, "SELECT count(*) FROM attempt_limits WHERE key LIKE 'forgot:2001:db8:1:%'").await;
    assert!(rows <= 81, "no row for who is refused as a part of the wider network: {rows}");
    platform.stop().await;
}

#[tokio::test]
async fn counters_are_removed_when_their_time_is_over() {
    let platform = platform().await;
    let stranger = at(&platform, "192.0.2.1");
    for name in 0..15 {
        let email = format!("nobody-{name}@example.com");
        stranger.post("/forgot", &[("email", &email)]).await.expect(303);
        stranger.post("/sign-in", &[("email", &email), ("password", "wrong password")]).await.expect(422);
    }
    assert!(number(&platform, "SELECT count(*) FROM attempt_limits").await > 15);
    jst_server::auth::limits::prune(platform.app().db.platform()).await.unwrap();
    assert!(number(&platform, "SELECT count(*) FROM attempt_limits").await > 15, "not before");
    execute(&platform, "UPDATE attempt_limits SET expires_at = now() - interval '1 second'").await;
    jst_server::auth::limits::prune(platform.app().db.platform()).await.unwrap();
    assert_eq!(number(&platform, "SELECT count(*) FROM attempt_limits").await, 0);
    platform.stop().await;
}
