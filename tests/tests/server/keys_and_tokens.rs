//! SSH keys and API tokens.

use jst_tests::Platform;
use jst_tests::platform::PASSWORD;
use rand::Rng as _;
use serde_json::json;
use ssh_key::public::{DsaPublicKey, KeyData, RsaPublicKey};
use ssh_key::{Mpint, PublicKey};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti lin@example.com";

fn number(bits: usize) -> Mpint {
    let mut bytes = vec![0u8; bits / 8];
    rand::rng().fill(&mut bytes[..]);
    bytes[0] |= 0x80;
    Mpint::from_positive_bytes(&bytes).unwrap()
}

fn rsa(bits: usize) -> String {
    let key = RsaPublicKey { e: Mpint::from_positive_bytes(&[1, 0, 1]).unwrap(), n: number(bits) };
    PublicKey::new(KeyData::Rsa(key), "rsa").to_openssh().unwrap()
}

fn dsa() -> String {
    let key = DsaPublicKey { p: number(1024), q: number(160), g: number(1024), y: number(1024) };
    PublicKey::new(KeyData::Dsa(key), "dsa").to_openssh().unwrap()
}

#[tokio::test]
async fn only_safe_keys_are_kept() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let api = platform.api(&client.make_token(&["read", "write"]).await);
    let private =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----";
    let long = format!("{KEY} {}", "x".repeat(20_000));
    let cases: [(&str, &str); 11] = [
        ("", "required"),
        ("junk", "ssh-key-form"),
        ("ssh-ed25519 AAAA", "ssh-key-form"),
        (private, "ssh-key-private"),
        (&format!("{KEY}\n{KEY}"), "ssh-key-lines"),
        (&format!("command=\"rm -rf /\" {KEY}"), "ssh-key-form"),
        (&format!("no-pty {KEY}"), "ssh-key-form"),
        (&KEY.replace("ssh-ed25519 ", "ssh-rsa "), "ssh-key-form"),
        (&rsa(2048), "ssh-key-short"),
        (&dsa(), "ssh-key-dsa"),
        (&long, "ssh-key-too-long"),
    ];
    for (key, code) in cases {
        let answer =
            api.post("/api/v1/ssh-keys", json!({ "name": "k", "public_key": key })).await.expect(422);
        let problem = answer.json();
        assert_eq!(problem["errors"][0]["code"], code, "{key:.60} {problem}");
        assert_eq!(problem["errors"][0]["field"], "public_key");
    }
    // A private key that was pasted by mistake does not come back on the page.
    let page = client.post("/ssh-keys", &[("name", "k"), ("public_key", private)]).await.expect(422);
    assert!(!page.body.contains("b3BlbnNzaC1rZXktdjEAAAAA"));

    api.post("/api/v1/ssh-keys", json!({ "public_key": rsa(3072) })).await.expect(201);
    let added = api.post("/api/v1/ssh-keys", json!({ "public_key": KEY })).await.expect(201).json();
    assert_eq!(added["name"], "lin@example.com", "the comment becomes the name");
    assert!(added["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    let again = api.post("/api/v1/ssh-keys", json!({ "name": "other", "public_key": KEY })).await.expect(422);
    assert_eq!(again.json()["errors"][0]["code"], "ssh-key-duplicate");
    let same_name = json!({ "name": "lin@example.com", "public_key": rsa(4096) });
    let again = api.post("/api/v1/ssh-keys", same_name).await.expect(422);
    assert_eq!(again.json()["errors"][0]["field"], "name");
    api.post("/api/v1/ssh-keys", json!({ "name": 7 })).await.expect(422);
    api.post("/api/v1/ssh-keys", json!([])).await.expect(422);
    platform.stop().await;
}

#[tokio::test]
async fn another_tenants_key_does_not_exist() {
    let platform = Platform::start().await;
    let mine = platform.customer("mine@example.com").await;
    let theirs = platform.customer("theirs@example.com").await;
    let my_api = platform.api(&mine.make_token(&["read", "write"]).await);
    let their_api = platform.api(&theirs.make_token(&["read", "write"]).await);
    let key = my_api.post("/api/v1/ssh-keys", json!({ "public_key": KEY })).await.expect(201).json();
    let path = format!("/api/v1/ssh-keys/{}", key["id"].as_str().unwrap());
    their_api.get(&path).await.expect(404);
    their_api.delete(&path).await.expect(404);
    let page = format!("/ssh-keys/{}/delete", key["id"].as_str().unwrap());
    theirs.post(&page, &[]).await.expect(404);
    assert!(their_api.get("/api/v1/ssh-keys").await.json()["items"].as_array().unwrap().is_empty());
    // The same key may be in two tenants.
    their_api.post("/api/v1/ssh-keys", json!({ "public_key": KEY })).await.expect(201);
    my_api.get(&path).await.expect(200);
    my_api.get("/api/v1/ssh-keys/key_00").await.expect(404);
    my_api.get("/api/v1/ssh-keys/vm_019ab300000070008000000000000000").await.expect(404);
    mine.post(&page, &[]).await.expect(303);
    my_api.get(&path).await.expect(404);
    platform.stop().await;
}

#[tokio::test]
async fn keys_come_in_parts() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let api = platform.api(&client.make_token(&["write"]).await);
    let mut names = Vec::new();
    for n in 0..5 {
        let name = format!("key {n}");
        api.post("/api/v1/ssh-keys", json!({ "name": name, "public_key": rsa(3072) })).await.expect(201);
        names.insert(0, name);
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/ssh-keys?limit=2".to_owned();
    loop {
        let part = api.get(&path).await.expect(200).json();
        let items = part["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|key| key["name"].as_str().unwrap().to_owned()));
        match part["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/ssh-keys?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, names);
    for query in ["limit=0", "limit=101", "limit=x", "cursor=nonsense", "cursor=vm_00"] {
        let problem = api.get(&format!("/api/v1/ssh-keys?{query}")).await.expect(422).json();
        assert_eq!(problem["errors"][0]["field"], query.split('=').next().unwrap());
    }
    platform.stop().await;
}

#[tokio::test]
async fn a_token_does_what_its_scopes_allow_and_no_more() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    for form in [
        vec![("name", ""), ("scopes", "read")],
        vec![("name", "x")],
        vec![("name", "x"), ("scopes", "root")],
        vec![("name", "x"), ("scopes", "read"), ("scopes", "admin")],
        vec![("name", "x"), ("scopes", "read"), ("valid_days", "0")],
        vec![("name", "x"), ("scopes", "read"), ("valid_days", "many")],
        vec![("name", "x"), ("scopes", "read"), ("valid_days", "99999999999")],
    ] {
        let form = [form, vec![("current_password", PASSWORD)]].concat();
        client.post("/api-tokens", &form).await.expect(422);
    }
    let reads = client.make_token(&["read"]).await;
    let page = client.get("/api-tokens").await.expect(200);
    assert!(!page.body.contains(&reads), "a token is shown once");
    let api = platform.api(&reads);
    api.get("/api/v1/account").await.expect(200);
    api.post("/api/v1/ssh-keys", json!({ "public_key": KEY })).await.expect(403);
    api.patch("/api/v1/account", json!({ "locale": "zh-CN" })).await.expect(403);
    // No token can make one, narrow or wide (OSSA-2026-005).
    let writes = platform.api(&client.make_token(&["read", "write"]).await);
    let answer = writes.post("/api/v1/tokens", json!({ "name": "x", "scopes": ["write"] })).await;
    assert_eq!(answer.status, 405, "{}", answer.body);
    let answer = writes.send(reqwest::Method::POST, "/api-tokens", None, &[]).await;
    assert_ne!(answer.status, 200, "a bearer token is nothing on a page: {}", answer.body);

    // The cookie is nothing to the API.
    let answer = client.get("/api/v1/account").await;
    assert_eq!(answer.status, 401);
    for token in ["", "jst_", "junk", &format!("{reads}x"), &reads.replace("jst_", "xyz_")] {
        platform.api(token).get("/api/v1/account").await.expect(401);
    }
    platform.stop().await;
}

#[tokio::test]
async fn tokens_are_listed_without_their_secret_and_revoked() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let other = platform.customer("other@example.com").await;
    let secret = client.make_token(&["read", "write"]).await;
    let api = platform.api(&secret);
    let list = api.get("/api/v1/tokens").await.expect(200);
    assert!(!list.body.contains(&secret));
    let id = list.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let theirs = platform.api(&other.make_token(&["read", "write"]).await);
    theirs.delete(&format!("/api/v1/tokens/{id}")).await.expect(404);
    other.post(&format!("/api-tokens/{id}/revoke"), &[]).await.expect(404);
    client.post(&format!("/api-tokens/{id}/revoke"), &[]).await.expect(303);
    api.get("/api/v1/tokens").await.expect(401);
    client.post(&format!("/api-tokens/{id}/revoke"), &[]).await.expect(404);

    let expires = client.make_token(&["read"]).await;
    sqlx::query("UPDATE api_tokens SET expires_at = now()")
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    platform.api(&expires).get("/api/v1/account").await.expect(401);
    platform.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_the_api() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let other = platform.customer("other@example.com").await;
    let api = platform.api(&client.make_token(&["read", "write"]).await);
    let theirs = platform.api(&other.make_token(&["read", "write"]).await);
    let list = api.get("/api/v1/sessions").await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let path = format!("/api/v1/sessions/{}", list["items"][0]["id"].as_str().unwrap());
    theirs.delete(&path).await.expect(404);
    client.get("/security").await.expect(200);
    api.delete(&path).await.expect(204);
    client.get("/security").await.expect(303);
    theirs.delete("/api/v1/sessions").await.expect(204);
    other.get("/security").await.expect(303);
    platform.stop().await;
}
