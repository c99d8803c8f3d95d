//! Mails that one can do without.

use jst_tests::platform::PASSWORD;
use jst_tests::{Client, Platform};
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use serde_json::json;

const EMAIL: &str = "lin@example.com";

/// Signs in from such an address.
async fn sign_in_from(platform: &Platform, ip: &str) {
    let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let request = http
        .post(format!("{}/sign-in", platform.url))
        .header("x-forwarded-for", ip)
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
        .form(&[("email", EMAIL), ("password", PASSWORD)]);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::SEE_OTHER);
}

/// The newest last.
async fn mails(platform: &Platform, kind: &str) -> Vec<String> {
    platform.mails_of_kind(kind).await
}

async fn mute(client: &Client, wanted: &[&str]) {
    let form: Vec<(&str, &str)> = wanted.iter().map(|topic| (*topic, "on")).collect();
    client.post("/notifications", &form).await.expect(303);
}

#[tokio::test]
async fn a_sign_in_from_an_unfamiliar_network_is_told() {
    let platform = Platform::start_with(&["--trusted-proxies", "1"]).await;
    let client = platform.customer(EMAIL).await;
    assert!(mails(&platform, "new-sign-in").await.is_empty(), "the first sign-in is no news");
    sign_in_from(&platform, "198.51.100.7").await;
    let told = mails(&platform, "new-sign-in").await;
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("198.51.100.7") && told[0].contains("Firefox · Linux"), "{}", told[0]);
    // The same network, and one of IPv6 with an address that changes daily.
    sign_in_from(&platform, "198.51.100.99").await;
    assert_eq!(mails(&platform, "new-sign-in").await.len(), 1);
    sign_in_from(&platform, "2001:db8:1::a").await;
    sign_in_from(&platform, "2001:db8:1:2::b").await;
    assert_eq!(mails(&platform, "new-sign-in").await.len(), 2);

    mute(&client, &["operations", "trials", "balance"]).await;
    sign_in_from(&platform, "203.0.113.1").await;
    assert_eq!(mails(&platform, "new-sign-in").await.len(), 2, "muted");
    mute(&client, &["sign_ins", "operations", "trials", "balance"]).await;
    sign_in_from(&platform, "192.0.2.1").await;
    assert_eq!(mails(&platform, "new-sign-in").await.len(), 3);
    let page = client.get("/notifications").await.expect(200).body;
    assert!(page.contains("A new sign-in to your account"), "{page}");
    assert!(!page.contains("198.51.100.7"), "bodies stay in the mailbox");
    platform.stop().await;
}

#[tokio::test]
async fn what_is_wanted_is_a_choice_of_ones_own() {
    let platform = Platform::start().await;
    let (token, other) = (platform.admin_token().await, platform.customer(EMAIL).await);
    let api = platform.api(&token);
    let all = json!({ "sign_ins": true, "operations": true, "trials": true, "balance": true });
    let path = "/api/v1/account/notifications";
    assert_eq!(api.get(path).await.expect(200).json(), all);
    let some = json!({ "sign_ins": true, "operations": false, "trials": true, "balance": false });
    assert_eq!(api.put(path, some.clone()).await.expect(200).json(), some);
    assert_eq!(api.get(path).await.expect(200).json(), some);
    for wrong in [
        json!({}),
        json!({ "sign_ins": true, "operations": true, "trials": true }),
        json!({ "sign_ins": true, "operations": true, "trials": true, "balance": "no" }),
        json!({ "sign_ins": true, "operations": true, "trials": true, "balance": true, "reset": false }),
    ] {
        api.put(path, wrong).await.expect(422);
    }
    assert_eq!(api.get(path).await.expect(200).json(), some);
    // Nobody else's.
    assert_eq!(other.get("/notifications").await.expect(200).body.matches(" checked").count(), 4);
    mute(&other, &["junk"]).await;
    assert_eq!(other.get("/notifications").await.expect(200).body.matches(" checked").count(), 0);
    platform.client().get("/notifications").await.expect(303);
    platform.stop().await;
}
