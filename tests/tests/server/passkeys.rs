//! Passkeys, as far as they go without an authenticator; with one they are tested in a browser.

use jst_tests::platform::PASSWORD;
use jst_tests::{Client, Platform};

const NEW: &str = "/security/passkeys/new";

/// A name that browsers take to be safe.
async fn platform() -> Platform {
    Platform::start_with(&["--public-url", "http://localhost:8080"]).await
}

fn sealed(body: &str) -> String {
    let rest =
        body.split("name=\"sealed\" value=\"").nth(1).unwrap_or_else(|| panic!("no question in {body}"));
    rest.split('"').next().unwrap().to_owned()
}

/// The question for a new passkey.
async fn begin(client: &Client) -> String {
    let form = [("name", "My phone"), ("current_password", PASSWORD)];
    client.post(NEW, &form).await.expect(200).body
}

async fn count(platform: &Platform) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM passkeys").fetch_one(platform.app().db.platform()).await.unwrap()
}

#[tokio::test]
async fn a_question_needs_the_password_and_a_name() {
    let platform = platform().await;
    let client = platform.customer("lin@example.com").await;
    client.get(NEW).await.expect(200);
    for (name, password) in
        [("", PASSWORD), ("My phone", ""), ("My phone", "wrong words"), ("a\nb", PASSWORD)]
    {
        client.post(NEW, &[("name", name), ("current_password", password)]).await.expect(422);
    }
    let body = begin(&client).await;
    // For the browser: whose key it will be, and that it must ask who is there.
    for part in [
        "lin@example.com",
        "&#34;residentKey&#34;:&#34;required&#34;",
        "&#34;userVerification&#34;:&#34;required&#34;",
    ] {
        assert!(body.contains(part), "no {part} in {body}");
    }
    platform.stop().await;
}

#[tokio::test]
async fn what_is_no_answer_adds_nothing() {
    let platform = platform().await;
    let client = platform.customer("lin@example.com").await;
    let other = platform.customer("wang@example.com").await;
    let (own, foreign) = (sealed(&begin(&client).await), sealed(&begin(&other).await));
    let junk = r#"{"id":"AA","rawId":"AA","type":"public-key","response":{"attestationObject":"AA","clientDataJSON":"AA"}}"#;
    let long = "x".repeat(20_000);
    for (sealed, answer) in [
        (own.as_str(), ""),
        (&own, "{}"),
        (&own, junk),
        (&own, &long),
        (&foreign, junk),
        ("", junk),
        ("00ff", junk),
    ] {
        let refused =
            client.post("/security/passkeys", &[("sealed", sealed), ("answer", answer)]).await.expect(303);
        assert_eq!(refused.location, NEW, "{answer}");
    }
    assert_eq!(count(&platform).await, 0);
    let unknown = "/security/passkeys/pk_00000000000070008000000000000000/remove";
    client.post(unknown, &[("current_password", PASSWORD)]).await.expect(404);
    platform.stop().await;
}

#[tokio::test]
async fn what_is_no_answer_signs_nobody_in() {
    let platform = platform().await;
    platform.customer("lin@example.com").await;
    let stranger = platform.client();
    let question = stranger.post("/sign-in/passkey/question", &[]).await.expect(200).json();
    assert_eq!(question["options"]["rpId"], "localhost");
    assert_eq!(question["options"]["userVerification"], "required");
    let sealed = question["sealed"].as_str().unwrap();
    let user: String =
        sqlx::query_scalar("SELECT replace(encode(uuid_send(id), 'base64'), '=', '') FROM users LIMIT 1")
            .fetch_one(platform.app().db.platform())
            .await
            .unwrap();
    let unknown = format!(
        r#"{{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{{"authenticatorData":"AAAA","clientDataJSON":"AAAA","signature":"AAAA","userHandle":"{user}"}}}}"#
    );
    for (sealed, answer) in
        [(sealed, ""), (sealed, "{}"), (sealed, unknown.as_str()), ("", &unknown), ("zz", &unknown)]
    {
        let page =
            stranger.post("/sign-in/passkey", &[("sealed", sealed), ("answer", answer)]).await.expect(422);
        assert!(page.body.contains("This passkey did not sign you in"), "{}", page.body);
    }
    stranger.get("/dashboard").await.expect(303);
    platform.stop().await;
}

#[tokio::test]
async fn an_address_without_a_name_has_none() {
    let platform = Platform::start_with(&["--public-url", "http://192.0.2.1:8080"]).await;
    let client = platform.customer("lin@example.com").await;
    assert!(!client.get("/security").await.expect(200).body.contains(NEW));
    client.get(NEW).await.expect(403);
    client.post(NEW, &[("name", "My phone"), ("current_password", PASSWORD)]).await.expect(403);
    assert!(!platform.client().get("/sign-in").await.expect(200).body.contains("data-passkey"));
    platform.client().post("/sign-in/passkey/question", &[]).await.expect(403);
    platform.stop().await;
}
