//! What outlives what: a reset, a new password, signing out everywhere, a disabled account, a lower role.

use super::second_factor::between;
use jst_server::accounts::db::{passkeys, sessions};
use jst_tests::platform::PASSWORD;
use jst_tests::{Api, Client, Platform};
use serde_json::{Value, json};
use uuid::Uuid;

const NEW_PASSWORD: &str = "another good phrase";
const PASSKEY: &[u8] = b"a credential";

async fn count(platform: &Platform, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(platform.app().db.platform()).await.unwrap()
}

async fn execute(platform: &Platform, sql: &'static str) {
    sqlx::query(sql).execute(platform.app().db.platform()).await.unwrap();
}

async fn user(platform: &Platform, email: &str) -> Uuid {
    sqlx::query_scalar("SELECT id FROM users WHERE email = $1")
        .bind(email)
        .fetch_one(platform.app().db.platform())
        .await
        .unwrap()
}

/// Kind and body of the newest mail.
async fn newest_mail(platform: &Platform, email: &str) -> (String, String) {
    let newest = platform.mails_to(email).await.swap_remove(0);
    (newest.kind, newest.body)
}

/// What the newest event of this action says.
async fn told(platform: &Platform, action: &str) -> Value {
    sqlx::query_scalar("SELECT data FROM events WHERE action = $1 ORDER BY id DESC LIMIT 1")
        .bind(action)
        .fetch_one(platform.app().db.platform())
        .await
        .unwrap()
}

async fn invite(inviter: &Client, email: &str, role: &str) {
    inviter.post("/team/invitations", &[("email", email), ("role", role)]).await.expect(303);
}

/// Brings somebody who is signed in into the team of the inviter, and leaves them there.
async fn join(platform: &Platform, inviter: &Client, member: &Client, email: &str, role: &str) {
    invite(inviter, email, role).await;
    let link = platform.token_in_mail(email, "/invitation?token=").await;
    member.post("/invitation", &[("token", &link)]).await.expect(303);
}

async fn reset(platform: &Platform, email: &str) {
    let stranger = platform.client();
    stranger.post("/forgot", &[("email", email)]).await.expect(303);
    let token = platform.token_in_mail(email, "/reset?token=").await;
    stranger.post("/reset", &[("token", &token), ("password", NEW_PASSWORD)]).await.expect(303);
    let page = stranger.get("/sign-in").await.expect(200);
    assert!(page.body.contains("your API tokens and open invitations are no longer valid"), "{}", page.body);
}

/// A passkey of somebody; its id.  No authenticator has it: it is looked up as a sign-in does.
async fn add_passkey(platform: &Platform, owner: Uuid) -> String {
    let id = Uuid::now_v7();
    sqlx::query("INSERT INTO passkeys (id, user_id, name, credential_id, credential) VALUES ($1, $2, 'My phone', $3, '{}')")
        .bind(id)
        .bind(owner)
        .bind(PASSKEY)
        .execute(platform.app().db.platform())
        .await
        .unwrap();
    jst_server::ids::PasskeyId::from(id).to_string()
}

/// Whether a sign-in would find the passkey.
async fn passkey_signs_in(platform: &Platform, owner: Uuid) -> bool {
    let mut tx = platform.app().db.begin_platform().await.unwrap();
    passkeys::lock(&mut tx, owner.into(), PASSKEY).await.unwrap().is_some()
}

/// A link of a billing system under way.  It would not sign in somebody with a password of their own anyway; what ends the
/// credentials of an account removes it all the same.
async fn sign_in_link(platform: &Platform, owner: Uuid) -> &'static str {
    sqlx::query(
        "WITH shop AS (INSERT INTO billing_systems (id, name) VALUES (gen_random_uuid(), 'Shop') RETURNING id) \
         INSERT INTO sign_in_links (token_hash, user_id, tenant_id, path, issued_for, system_id, expires_at) \
         SELECT $2, user_id, tenant_id, '/dashboard', 'shop', shop.id, now() + interval '1 minute' \
         FROM memberships, shop WHERE user_id = $1 LIMIT 1",
    )
    .bind(owner)
    .bind(jst_server::secrets::token_hash("pending"))
    .execute(platform.app().db.platform())
    .await
    .unwrap();
    "/sso?token=pending"
}

#[tokio::test]
async fn nothing_made_before_outlives_a_password_reset() {
    // Passkeys belong to a name.
    let platform = Platform::start_with(&["--public-url", "http://localhost:8080"]).await;
    let here = platform.customer("lin@example.com").await;
    let lin = user(&platform, "lin@example.com").await;
    let own = platform.api(&here.make_token(&["write", "members"]).await);
    // In person, so that it does not end with a token.
    let hook = here.post("/webhooks", &[("url", "https://hooks.example.com/in")]).await;
    assert!(hook.status < 400, "{hook:?}");
    invite(&here, "friend@example.com", "owner").await;
    let invitation = platform.token_in_mail("friend@example.com", "/invitation?token=").await;
    let form = [("email", "elsewhere@example.com"), ("current_password", PASSWORD)];
    here.post("/security/email", &form).await.expect(303);
    let new_address = platform.token_in_mail("elsewhere@example.com", "/change-email?token=").await;
    let passkey = add_passkey(&platform, lin).await;
    // A token in somebody else's team, too.
    let other = platform.customer("other@example.com").await;
    join(&platform, &other, &here, "lin@example.com", "operator").await;
    let there = platform.api(&here.make_token(&["read"]).await);
    let link = sign_in_link(&platform, lin).await;
    for api in [&own, &there] {
        api.get("/api/v1/account").await.expect(200);
    }
    assert!(passkey_signs_in(&platform, lin).await);

    reset(&platform, "lin@example.com").await;
    here.get("/security").await.expect(303);
    for api in [&own, &there] {
        api.get("/api/v1/account").await.expect(401);
    }
    let stranger = platform.client();
    stranger.get(&format!("/invitation?token={invitation}")).await.expect(403);
    stranger.post("/change-email", &[("token", &new_address)]).await.expect(403);
    assert_eq!(stranger.get(link).await.expect(303).location, "/sign-in");
    assert_eq!(count(&platform, "SELECT count(*) FROM sign_in_links").await, 0);
    assert!(!passkey_signs_in(&platform, lin).await);
    assert_eq!(
        count(
            &platform,
            "SELECT count(*) FROM sessions WHERE user_id IN (SELECT id FROM users WHERE email LIKE 'lin%')"
        )
        .await,
        0
    );
    // It is said: by mail, in the log, and on the page.
    let facts = json!({ "sessions": 1, "tokens": 2, "invitations": 1, "passkeys": 1 });
    assert_eq!(told(&platform, "account.password_reset").await, facts);
    assert_eq!(count(&platform, "SELECT count(*) FROM events WHERE action = 'api_token.revoked'").await, 2);
    let (kind, body) = newest_mail(&platform, "lin@example.com").await;
    assert_eq!(kind, "password-reset");
    for part in ["API tokens revoked: 2", "confirm again: 1", "https://hooks.example.com/in"] {
        assert!(body.contains(part), "no {part} in {body}");
    }
    // Nobody else has lost anything.
    other.get("/security").await.expect(200);

    here.sign_in("lin@example.com", NEW_PASSWORD).await;
    let page = here.get("/security").await.expect(200);
    for part in ["Your password was reset on", "https://hooks.example.com/in", "Unconfirmed; cannot sign in"]
    {
        assert!(page.body.contains(part), "no {part} in {}", page.body);
    }
    // Only the password confirms a passkey from before.
    let confirm = format!("/security/passkeys/{passkey}/confirm");
    here.get(&confirm).await.expect(200);
    here.post(&confirm, &[("current_password", "wrong password")]).await.expect(422);
    here.post(&confirm, &[]).await.expect(422);
    assert!(!passkey_signs_in(&platform, lin).await);
    other.post(&confirm, &[("current_password", PASSWORD)]).await.expect(404);
    here.post(&confirm, &[("current_password", NEW_PASSWORD)]).await.expect(303);
    assert!(passkey_signs_in(&platform, lin).await);
    here.post(&confirm, &[("current_password", NEW_PASSWORD)]).await.expect(404);
    platform.stop().await;
}

#[tokio::test]
async fn a_device_from_before_a_reset_is_a_strangers() {
    let platform = Platform::start().await;
    let intruder = platform.customer("lin@example.com").await;
    let lin = user(&platform, "lin@example.com").await;
    let pool = platform.app().db.platform();
    let devices = || async {
        let query = sqlx::query_scalar::<_, Uuid>("SELECT device FROM user_devices WHERE user_id = $1");
        let all = query.bind(lin).fetch_all(pool).await.unwrap();
        let mut known = 0;
        for device in &all {
            known += usize::from(sessions::is_device_of(pool, lin, *device).await.unwrap());
        }
        (all.len(), known)
    };
    assert_eq!(devices().await, (1, 1));
    reset(&platform, "lin@example.com").await;
    // That of whoever held the link, and not the one from before.
    assert_eq!(devices().await, (2, 1));
    intruder.sign_in("lin@example.com", NEW_PASSWORD).await;
    assert_eq!(devices().await, (2, 2));
    platform.stop().await;
}

#[tokio::test]
async fn a_new_password_ends_other_sessions_and_all_tokens() {
    let platform = Platform::start().await;
    let here = platform.customer("lin@example.com").await;
    let there = platform.client();
    there.sign_in("lin@example.com", PASSWORD).await;
    let api = platform.api(&here.make_token(&["read"]).await);
    let link = sign_in_link(&platform, user(&platform, "lin@example.com").await).await;
    // The form says it before.
    let page = here.get("/security/password").await.expect(200);
    assert!(page.body.contains("Your API token is revoked"), "{}", page.body);
    let wrong = [("current_password", "wrong password"), ("password", NEW_PASSWORD)];
    here.post("/security/password", &wrong).await.expect(422);
    api.get("/api/v1/account").await.expect(200);
    let right = [("current_password", PASSWORD), ("password", NEW_PASSWORD)];
    here.post("/security/password", &right).await.expect(303);
    let page = here.get("/security").await.expect(200);
    assert!(page.body.contains("API tokens revoked: 1"), "{}", page.body);
    there.get("/security").await.expect(303);
    api.get("/api/v1/account").await.expect(401);
    assert_eq!(platform.client().get(link).await.expect(303).location, "/sign-in");
    assert_eq!(count(&platform, "SELECT count(*) FROM sign_in_links").await, 0);
    let facts = json!({ "sessions": 1, "tokens": 1, "invitations": 0, "passkeys": 0 });
    assert_eq!(told(&platform, "account.password_changed").await, facts);
    let (kind, body) = newest_mail(&platform, "lin@example.com").await;
    assert!(kind == "password-changed" && body.contains("API tokens revoked: 1"), "{body}");
    platform.stop().await;
}

#[tokio::test]
async fn signing_out_everywhere_ends_tokens_on_demand() {
    let platform = Platform::start().await;
    let here = platform.customer("lin@example.com").await;
    let first = platform.api(&here.make_token(&["write"]).await);
    assert!(here.get("/security").await.body.contains("name=\"tokens\""), "it is offered");
    here.post("/security/sessions/end-all", &[]).await.expect(303);
    first.get("/api/v1/account").await.expect(200);
    here.post("/security/sessions/end-all", &[("tokens", "on")]).await.expect(303);
    first.get("/api/v1/account").await.expect(401);
    here.get("/security").await.expect(200);

    // By the API, where the token that asks goes too; what is not understood ends nothing.
    let (second, third) = (here.make_token(&["write"]).await, here.make_token(&["read"]).await);
    let (second, third) = (platform.api(&second), platform.api(&third));
    for query in ["tokens=maybe", "token=true"] {
        let answer = second.delete(&format!("/api/v1/sessions?{query}")).await;
        assert!((400..500).contains(&answer.status), "{query}: {answer:?}");
    }
    here.get("/security").await.expect(200);
    third.delete("/api/v1/sessions?tokens=true").await.expect(403);
    second.delete("/api/v1/sessions").await.expect(204);
    here.get("/security").await.expect(303);
    second.delete("/api/v1/sessions?tokens=true").await.expect(204);
    for api in [&second, &third] {
        api.get("/api/v1/account").await.expect(401);
    }
    assert_eq!(told(&platform, "session.all_ended").await, json!({ "count": 0, "tokens": 2 }));
    platform.stop().await;
}

#[tokio::test]
async fn the_credentials_of_a_disabled_account_end_for_good() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let lin = user(&platform, "lin@example.com").await;
    add_passkey(&platform, lin).await;
    let api = platform.api(&client.make_token(&["read"]).await);
    invite(&client, "friend@example.com", "viewer").await;
    let invitation = platform.token_in_mail("friend@example.com", "/invitation?token=").await;
    let admin = platform.api(&platform.admin_token().await);
    let id = jst_server::ids::UserId::from(lin);
    for (action, token) in [("disable", 401), ("enable", 401)] {
        admin.post(&format!("/api/v1/admin/users/{id}/{action}"), json!({})).await.expect(204);
        api.get("/api/v1/account").await.expect(token);
        client.get("/security").await.expect(303);
        platform.client().get(&format!("/invitation?token={invitation}")).await.expect(403);
        assert!(!passkey_signs_in(&platform, lin).await);
    }
    client.sign_in("lin@example.com", PASSWORD).await;
    platform.stop().await;
}

#[tokio::test]
async fn an_administrator_made_again_has_nothing_from_before() {
    let platform = Platform::start().await;
    let browser = platform.admin().await;
    let other = platform.api(&browser.make_token(&["read", "write", "admin"]).await);
    other.get("/api/v1/admin/hosts").await.expect(200);
    jst_server::accounts::create_admin(platform.app(), "admin@example.com", NEW_PASSWORD).await.unwrap();
    other.get("/api/v1/account").await.expect(401);
    browser.get("/security").await.expect(303);
    platform.stop().await;
}

async fn set_role(owner: &Client, member: Uuid, role: &str) {
    let id = jst_server::ids::UserId::from(member);
    owner.post(&format!("/team/members/{id}/role"), &[("role", role)]).await.expect(303);
}

#[tokio::test]
async fn a_lower_role_shrinks_tokens_at_once() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let member = platform.customer("member@example.com").await;
    join(&platform, &owner, &member, "member@example.com", "owner").await;
    let id = user(&platform, "member@example.com").await;
    let api = platform.api(&member.make_token(&["write", "members"]).await);
    let mut n = 0;
    let mut statuses = async |api: &Api| {
        n += 1;
        let body = json!({ "email": format!("guest-{n}@example.com"), "role": "viewer" });
        let key = json!({ "name": format!("key {n}"), "public_key": super::grants::ssh_key() });
        [
            api.get("/api/v1/team/members").await.status,
            api.post("/api/v1/ssh-keys", key).await.status,
            api.post("/api/v1/team/invitations", body).await.status,
        ]
    };
    assert_eq!(statuses(&api).await, [200, 201, 201]);
    set_role(&owner, id, "operator").await;
    assert_eq!(statuses(&api).await, [200, 201, 403]);
    set_role(&owner, id, "viewer").await;
    assert_eq!(statuses(&api).await, [200, 403, 403]);
    let id = jst_server::ids::UserId::from(id);
    owner.post(&format!("/team/members/{id}/remove"), &[]).await.expect(303);
    assert_eq!(statuses(&api).await, [401, 401, 401]);
    member.get("/team").await.expect(303);
    platform.stop().await;
}

#[tokio::test]
async fn an_invitation_ends_with_what_made_it() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let second = platform.customer("second@example.com").await;
    join(&platform, &owner, &second, "second@example.com", "owner").await;
    let works = async || {
        let link = platform.token_in_mail("guest@example.com", "/invitation?token=").await;
        platform.client().get(&format!("/invitation?token={link}")).await.status == 200
    };
    // With the role of the inviter: nobody joins by it, it is not listed, and it is in nobody's way.
    invite(&second, "guest@example.com", "owner").await;
    assert!(works().await);
    set_role(&owner, user(&platform, "second@example.com").await, "viewer").await;
    assert!(!works().await);
    assert!(!owner.get("/team").await.body.contains("guest@example.com"));
    let stale = platform.token_in_mail("guest@example.com", "/invitation?token=").await;
    let guest = platform.customer("guest@example.com").await;
    guest.post("/invitation", &[("token", &stale)]).await.expect(403);

    // With the token, which it does not outlive either way.
    let token = owner.make_token(&["write", "members"]).await;
    let api = platform.api(&token);
    let body = json!({ "email": "guest@example.com", "role": "viewer" });
    api.post("/api/v1/team/invitations", body).await.expect(201);
    assert!(works().await);
    let expires = |list: &Value| list["items"][0]["expires_at"].as_str().unwrap().to_owned();
    let (invitation, token) =
        (api.get("/api/v1/team/invitations").await.json(), api.get("/api/v1/tokens").await.json());
    assert!(expires(&invitation) <= expires(&token), "{invitation} {token}");
    let id = token["items"][0]["id"].as_str().unwrap();
    owner.post(&format!("/api-tokens/{id}/revoke"), &[]).await.expect(303);
    assert!(!works().await);
    platform.stop().await;
}

#[tokio::test]
async fn a_webhook_ends_with_the_token_that_made_it() {
    let platform = Platform::start().await;
    let owner = platform.customer("owner@example.com").await;
    let made = platform.api(&owner.make_token(&["write"]).await);
    let looks = platform.api(&owner.make_token(&["read"]).await);
    let body = json!({ "url": "https://hooks.example.com/in" });
    let hook = made.post("/api/v1/webhooks", body).await.expect(201).json();
    let path = format!("/api/v1/webhooks/{}", hook["id"].as_str().unwrap());
    let state = async || {
        jst_server::worker::webhooks::tidy(platform.app()).await.unwrap();
        looks.get(&path).await.expect(200).json()["disabled_reason"].clone()
    };
    assert_eq!(state().await, Value::Null);
    execute(&platform, "UPDATE api_tokens SET expires_at = now() WHERE scopes @> '{write}'").await;
    assert_eq!(state().await, "token");
    let page = owner.get("/webhooks").await.expect(200);
    assert!(page.body.contains("was revoked or expired"), "{}", page.body);
    // A person takes it over, and it stays.
    let page = format!("/webhooks/{}", hook["id"].as_str().unwrap());
    let form = [("url", "https://hooks.example.com/in"), ("enabled", "on")];
    owner.post(&page, &form).await.expect(303);
    assert_eq!(state().await, Value::Null);
    platform.stop().await;
}

#[tokio::test]
async fn a_half_finished_sign_in_ends_with_the_password() {
    let platform = Platform::start().await;
    let client = platform.customer("lin@example.com").await;
    let (_, recovery) = super::second_factor::enable(&client).await;
    let intruder = platform.client();
    let form = [("email", "lin@example.com"), ("password", PASSWORD)];
    let page = intruder.post("/sign-in", &form).await.expect(200);
    let ticket = between(&page.body, "name=\"ticket\" value=\"", "\"").to_owned();
    reset(&platform, "lin@example.com").await;
    let form = [("ticket", ticket.as_str()), ("code", recovery[0].as_str())];
    assert_eq!(intruder.post("/sign-in/code", &form).await.expect(303).location, "/sign-in");
    intruder.get("/security").await.expect(303);
    platform.stop().await;
}
