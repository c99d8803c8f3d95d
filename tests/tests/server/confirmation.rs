//! What somebody who is signed in has to prove anew: the password, and the second factor where there is one.

use super::second_factor::{between, enable};
use jst_tests::platform::PASSWORD;
use jst_tests::{Client, Platform};
use uuid::Uuid;

/// A name that browsers take to be safe.
async fn platform() -> Platform {
    Platform::start_with(&["--public-url", "http://localhost:8080"]).await
}

async fn add_passkey(platform: &Platform) -> String {
    let id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO passkeys (id, user_id, name, credential_id, credential, unconfirmed_at) \
         SELECT $1, id, 'My phone', $2, '{}', now() FROM users LIMIT 1",
    )
    .bind(id)
    .bind(id.as_bytes().as_slice())
    .execute(platform.app().db.platform())
    .await
    .unwrap();
    jst_server::ids::PasskeyId::from(id).to_string()
}

/// Of a form, with what is in them.
type Fields = Vec<(&'static str, &'static str)>;

/// Everything that lets somebody in or lasts, as (path, fields, the status of success).
fn grave(passkey: &str) -> Vec<(String, Fields, u16)> {
    vec![
        ("/security/passkeys/new".to_owned(), vec![("name", "My stick")], 200),
        (format!("/security/passkeys/{passkey}/confirm"), vec![], 303),
        ("/security/email".to_owned(), vec![("email", "new@example.com")], 303),
        ("/api-tokens".to_owned(), vec![("name", "x"), ("scopes", "read"), ("valid_days", "")], 200),
        ("/admin/billing-systems".to_owned(), vec![("name", "Shop"), ("scopes", "sso")], 200),
        ("/security/two-factor/codes".to_owned(), vec![], 200),
        ("/security/two-factor/disable".to_owned(), vec![], 303),
    ]
}

async fn submit(
    client: &Client,
    path: &str,
    fields: &[(&'static str, &'static str)],
    password: &str,
    code: &str,
) -> jst_tests::Answer {
    let proof = [("current_password", password), ("code", code)];
    let fields: Vec<(&str, &str)> = fields.iter().copied().chain(proof).collect();
    client.post(path, &fields).await
}

#[tokio::test]
async fn what_lets_somebody_in_takes_the_password_and_the_second_factor() {
    let platform = platform().await;
    let client = platform.admin().await;
    let passkey = add_passkey(&platform).await;
    let (_, mut recovery) = enable(&client).await;
    for (path, fields, success) in grave(&passkey) {
        if path != "/security/passkeys/new" && !path.ends_with("/confirm") {
            let page = client.get(&path).await.expect(200);
            assert!(page.body.contains("name=\"code\""), "{path}: {}", page.body);
        }
        let code = recovery.pop().unwrap();
        for (password, typed, field) in [
            ("", code.as_str(), "current_password"),
            ("wrong password", code.as_str(), "current_password"),
            (PASSWORD, "", "code"),
            (PASSWORD, "000000", "code"),
        ] {
            let answer = submit(&client, &path, &fields, password, typed).await.expect(422);
            let mark = format!("id=\"e-{field}\"");
            assert!(answer.body.contains(&mark), "{path} {password:?} {typed:?}: {}", answer.body);
        }
        // None of the refusals has used the code up, and once it has worked it is.
        let page = submit(&client, &path, &fields, PASSWORD, &code).await.expect(success);
        if path == "/security/two-factor/codes" {
            let codes = between(&page.body, "<pre class=\"code\"><code>", "</code>");
            recovery = codes.lines().map(str::to_owned).collect();
        } else if path != "/security/two-factor/disable" {
            let again = submit(&client, &path, &fields, PASSWORD, &code).await;
            assert!([404, 422].contains(&again.status), "{path}: {}", again.body);
        }
    }
    platform.stop().await;
}

#[tokio::test]
async fn without_a_second_factor_the_password_is_enough() {
    let platform = platform().await;
    let client = platform.admin().await;
    let passkey = add_passkey(&platform).await;
    let calls = grave(&passkey);
    for (path, fields, success) in &calls[..5] {
        let page = client.get(path).await.expect(200);
        assert!(!page.body.contains("name=\"code\""), "{path}: {}", page.body);
        submit(&client, path, fields, "", "").await.expect(422);
        submit(&client, path, fields, PASSWORD, "").await.expect(*success);
    }
    platform.stop().await;
}

#[tokio::test]
async fn removing_a_passkey_takes_the_password() {
    let platform = platform().await;
    let client = platform.customer("lin@example.com").await;
    let passkey = add_passkey(&platform).await;
    let other = platform.customer("other@example.com").await;
    let path = format!("/security/passkeys/{passkey}/remove");
    other.get(&path).await.expect(404);
    other.post(&path, &[("current_password", PASSWORD)]).await.expect(404);
    for language in ["en", "zh-CN"] {
        assert!(client.get_in(&path, language).await.expect(200).body.contains("My phone"));
    }
    client.post(&path, &[]).await.expect(422);
    client.post(&path, &[("current_password", "wrong password")]).await.expect(422);
    client.post(&path, &[("current_password", PASSWORD)]).await.expect(303);
    client.get(&path).await.expect(404);
    platform.stop().await;
}
