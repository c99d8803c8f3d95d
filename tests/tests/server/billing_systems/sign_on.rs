//! Letting customers of a billing system in, and nobody else.

use super::{Shop, connect, order, order_with};
use crate::server::instances::desk::text;
use jst_server::ids::{TenantId, UserId};
use jst_tests::platform::PASSWORD;
use jst_tests::{Answer, Client};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use totp_rs::{Builder, Totp};

async fn sso(shop: &Shop, reference: &str) -> Answer {
    shop.api.post(&format!("/billing/v1/services/{reference}/sso"), json!({})).await
}

/// The path of a link, for a browser of this test.
async fn link(shop: &Shop, reference: &str) -> String {
    let url = text(&sso(shop, reference).await.expect(201).json()["url"]).to_owned();
    let at = url.find("/sso?token=").unwrap_or_else(|| panic!("{url}"));
    url[at..].to_owned()
}

#[tokio::test]
async fn a_link_signs_its_owner_in_once_at_the_instance() {
    let shop = Shop::open().await;
    let service = shop.running("42").await;
    let path = link(&shop, "42").await;
    let kept: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sign_in_links WHERE sign_in_links::text LIKE '%' || $1 || '%'",
    )
    .bind(path.rsplit('=').next().unwrap())
    .fetch_one(shop.desk.pool())
    .await
    .unwrap();
    assert_eq!(kept, 0, "a hash is kept and not the link");
    // Whoever only looks at a link does not use it up.
    let head = shop.desk.platform.api("").send(reqwest::Method::HEAD, &path, None, &[]).await;
    assert_eq!(head.status, 405);
    // Of several browsers at once one comes in, and where it leads is nobody's choice but ours.
    let browsers: Vec<_> = (0..4).map(|_| shop.desk.platform.client()).collect();
    let elsewhere = format!("{path}&next=https://evil.example");
    let answers = futures::future::join_all(browsers.iter().map(|browser| browser.get(&elsewhere))).await;
    let place = format!("/instances/{}", text(&service["instance_id"]));
    let inside: Vec<_> =
        answers.iter().zip(&browsers).filter(|(answer, _)| answer.location == place).collect();
    assert_eq!(inside.len(), 1, "{answers:?}");
    assert!(answers.iter().filter(|answer| answer.location == "/sign-in").count() == 3, "{answers:?}");
    let browser = inside[0].1;
    let page = browser.get(&place).await.expect(200);
    assert!(page.body.contains("web.example.com"));
    assert_eq!(browser.get("/admin").await.status, 404);
    assert_eq!(shop.events("service.sso_issued").await, 1);
    assert_eq!(shop.events("session.created").await, 2, "the administrator's and the customer's");
    // Older than a minute.
    let late = link(&shop, "42").await;
    sqlx::query("UPDATE sign_in_links SET expires_at = now()").execute(shop.desk.pool()).await.unwrap();
    assert_eq!(shop.desk.platform.client().get(&late).await.location, "/sign-in");
    for nonsense in ["/sso", "/sso?token=", "/sso?token=00", "/sso?token=%00"] {
        let answer = shop.desk.platform.client().get(nonsense).await;
        assert!(answer.location == "/sign-in" || answer.status == 422, "{nonsense}: {answer:?}");
    }
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn nobody_is_signed_in_to_an_account_that_was_not_made_there() {
    let shop = Shop::open().await;
    // A customer who was here before keeps their password, and gets a team for what is bought elsewhere.
    let browser = shop.desk.platform.customer("before@example.com").await;
    let mut foreign = order_with("/owner/email", json!("Before@example.com"));
    foreign["owner"]["reference"] = json!("client-8");
    shop.put("8", foreign).await.expect(202);
    assert_eq!(sso(&shop, "8").await.expect(403).json()["code"], "sso-foreign-account");
    browser.sign_in("before@example.com", PASSWORD).await;
    // Nor to an administrator's, also where they become one later.
    let mut admin = order_with("/owner/email", json!("admin@example.com"));
    admin["owner"]["reference"] = json!("client-9");
    shop.put("9", admin).await.expect(202);
    assert_eq!(sso(&shop, "9").await.expect(403).json()["code"], "sso-admin");
    shop.running("42").await;
    let path = link(&shop, "42").await;
    sqlx::query("UPDATE users SET is_admin = true WHERE email = 'lin@example.com'")
        .execute(shop.desk.pool())
        .await
        .unwrap();
    assert_eq!(shop.desk.platform.client().get(&path).await.location, "/sign-in");
    assert_eq!(sso(&shop, "42").await.expect(403).json()["code"], "sso-admin");
    sqlx::query("UPDATE users SET is_admin = false, disabled_at = now() WHERE email = 'lin@example.com'")
        .execute(shop.desk.pool())
        .await
        .unwrap();
    assert_eq!(sso(&shop, "42").await.expect(409).json()["code"], "owner-disabled");
    // Another customer of the same system with the same address does not get the account of the first.
    let mut twin = order(1);
    twin["owner"]["reference"] = json!("client-twin");
    sqlx::query("UPDATE users SET disabled_at = NULL").execute(shop.desk.pool()).await.unwrap();
    shop.put("twin", twin).await.expect(202);
    assert_eq!(sso(&shop, "twin").await.expect(403).json()["code"], "sso-foreign-account");

    // Somebody signed up with another's address and never confirmed it: their password is void.
    let squatter = shop.desk.platform.client();
    let form = [("email", "victim@example.com"), ("password", PASSWORD)];
    squatter.post("/sign-up", &form).await;
    let mut victim = order_with("/owner/email", json!("victim@example.com"));
    victim["owner"]["reference"] = json!("client-10");
    shop.put("10", victim).await.expect(202);
    sqlx::query("UPDATE users SET email_verified_at = now() WHERE email = 'victim@example.com'")
        .execute(shop.desk.pool())
        .await
        .unwrap();
    assert_eq!(squatter.post("/sign-in", &form).await.status, 422);
    assert!(link(&shop, "10").await.starts_with("/sso?token="));
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn a_second_factor_is_still_asked_for_and_passwords_come_by_mail() {
    let shop = Shop::open().await;
    shop.running("42").await;
    let mails = "SELECT count(*) FROM mail_outbox WHERE recipient = 'lin@example.com'";
    let before = shop.desk.count(mails).await;
    let reset = shop.api.post("/billing/v1/services/42/reset-password", json!({})).await.expect(204);
    assert_eq!(reset.body, "");
    assert_eq!(shop.desk.count(mails).await, before + 1);
    // An account with a second factor and no password of its own does not come into being by our pages; the link would
    // still ask for the code, and the session would be as narrow.
    let path = link(&shop, "42").await;
    let totp = set_up_totp(&shop, "lin@example.com").await;
    let asked = shop.desk.platform.client();
    let page = asked.get(&path).await.expect(200);
    assert!(asked.get("/dashboard").await.location.starts_with("/sign-in"));
    let ticket = page.body.split("name=\"ticket\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let code = totp.generate(now).to_string();
    asked.post("/sign-in/code", &[("ticket", ticket), ("code", &code)]).await.expect(303);
    asked.get("/dashboard").await.expect(200);
    asked.get("/security").await.expect(403);
    shop.desk.platform.stop().await;
}

async fn set_up_totp(shop: &Shop, email: &str) -> Totp {
    let (app, pool, secret) = (shop.desk.platform.app(), shop.desk.pool(), vec![7; 20]);
    let user: uuid::Uuid = sqlx::query_scalar("SELECT id FROM users WHERE email = $1")
        .bind(email)
        .fetch_one(pool)
        .await
        .unwrap();
    let sealed = app.sealer.seal(&format!("users/{}", UserId::from(user)), &secret);
    sqlx::query("UPDATE users SET totp_secret = $2 WHERE id = $1")
        .bind(user)
        .bind(sealed)
        .execute(pool)
        .await
        .unwrap();
    Builder::new().with_secret(secret).with_account_name("x").build().unwrap()
}

/// A customer of the shop who has a team of their own and one of a colleague beside it, signed in by a link.
async fn customer_with_teams(shop: &Shop) -> (Client, String, String) {
    let service = shop.running("42").await;
    let pool = shop.desk.pool();
    let other = shop.desk.platform.customer("colleague@example.com").await;
    other.post("/team/name", &[("name", "Elsewhere")]).await.expect(303);
    sqlx::query(
        "INSERT INTO memberships (tenant_id, user_id, role) SELECT tenants.id, users.id, 'owner' FROM tenants, users \
         WHERE tenants.name = 'Elsewhere' AND users.email = 'lin@example.com'",
    )
    .execute(pool)
    .await
    .unwrap();
    let elsewhere: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM tenants WHERE name = 'Elsewhere'").fetch_one(pool).await.unwrap();
    let browser = shop.desk.platform.client();
    let answer = browser.get(&link(shop, "42").await).await.expect(303);
    assert!(answer.location.starts_with("/instances/"), "{answer:?}");
    (browser, TenantId::from(elsewhere).to_string(), text(&service["instance_id"]).to_owned())
}

#[tokio::test]
async fn a_links_session_stays_in_the_tenants_of_its_system() {
    let shop = Shop::open().await;
    let (browser, elsewhere, instance) = customer_with_teams(&shop).await;
    let page = browser.get(&format!("/instances/{instance}")).await.expect(200);
    assert!(!page.body.contains("Elsewhere") && !page.body.contains(&elsewhere), "{}", page.body);
    browser.post("/tenant", &[("tenant", &elsewhere)]).await.expect(404);
    // Another service of the same customer is in the same tenant; one of another system's is not reached.
    let page = connect(&shop.admin, "Second", &super::ALL).await.expect(200);
    let second = shop.desk.platform.api(&super::token_in(&page.body));
    second.put("/billing/v1/services/77", order(1)).await.expect(202);
    let foreign: uuid::Uuid = sqlx::query_scalar(
        "SELECT tenant_id FROM billing_owners JOIN billing_systems ON billing_systems.id = system_id WHERE name = 'Second'",
    )
    .fetch_one(shop.desk.pool())
    .await
    .unwrap();
    let foreign = TenantId::from(foreign).to_string();
    browser.post("/tenant", &[("tenant", &foreign)]).await.expect(404);
    assert!(!browser.get("/dashboard").await.expect(200).body.contains(&foreign));
    // A session that says otherwise, by whatever way, leads nowhere.
    sqlx::query("UPDATE sessions SET data = jsonb_set(data, '{user,tenant_id}', to_jsonb($1::text)) WHERE data #>> '{user,bound_to}' IS NOT NULL")
        .bind(&elsewhere)
        .execute(shop.desk.pool())
        .await
        .unwrap();
    assert!(browser.get("/dashboard").await.expect(303).location.starts_with("/sign-in"));
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn a_links_session_makes_no_other_way_in() {
    let shop = Shop::open().await;
    let (browser, ..) = customer_with_teams(&shop).await;
    let owner = shop.desk.platform.customer("owner@example.com").await;
    owner.post("/team/invitations", &[("email", "lin@example.com"), ("role", "owner")]).await.expect(303);
    let invitation = shop.desk.platform.token_in_mail("lin@example.com", "/invitation?token=").await;
    let pages = [
        "/security",
        "/security/password",
        "/security/email",
        "/security/passkeys/new",
        "/security/two-factor",
        "/team",
        "/api-tokens",
        "/notifications",
    ];
    for page in pages {
        let answer = browser.get(page).await;
        assert!([403, 404].contains(&answer.status), "{page}: {} {}", answer.status, answer.location);
    }
    let refused = browser.get("/security").await.expect(403);
    assert!(refused.body.contains("请先设置密码"), "{}", refused.body);
    let user = shop.desk.count("SELECT count(*) FROM users").await;
    let attempts: &[(&str, &[(&str, &str)])] = &[
        ("/security/password", &[("current_password", ""), ("password", PASSWORD)]),
        ("/security/email", &[("email", "mine@example.com"), ("current_password", "")]),
        ("/security/sessions/end-all", &[]),
        ("/api-tokens", &[("name", "x"), ("scopes", "read"), ("valid_days", "1")]),
        ("/team/invitations", &[("email", "mine@example.com"), ("role", "owner")]),
        ("/team/name", &[("name", "Mine")]),
        ("/team/leave", &[]),
        ("/invitation", &[("token", invitation.as_str())]),
        ("/security/passkeys/new", &[("name", "x")]),
        ("/security/two-factor", &[("code", "000000")]),
        ("/webhooks", &[("url", "https://hooks.example.com/x")]),
        ("/notifications", &[]),
    ];
    for (path, form) in attempts {
        let answer = browser.post(path, form).await.expect(403);
        assert!(answer.body.contains("请先设置密码"), "{path}: {}", answer.body);
    }
    assert_eq!(shop.desk.count("SELECT count(*) FROM users").await, user);
    let nothing = "SELECT (SELECT count(*) FROM api_tokens JOIN users ON users.id = user_id WHERE email = 'lin@example.com') \
                   + (SELECT count(*) FROM invitations WHERE email = 'mine@example.com') \
                   + (SELECT count(*) FROM webhook_endpoints) \
                   + (SELECT count(*) FROM invitations WHERE accepted_at IS NOT NULL)";
    assert_eq!(shop.desk.count(nothing).await, 0);
    // What the customer came for works: keys for their servers, and signing out.
    browser.post("/ssh-keys", &[("name", "k"), ("public_key", super::KEY)]).await.expect(303);
    browser.post("/sign-out", &[]).await.expect(303);
    assert!(browser.get("/dashboard").await.expect(303).location.starts_with("/sign-in"));
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn links_end_when_their_owner_has_chosen_a_password() {
    let shop = Shop::open().await;
    shop.running("42").await;
    let (platform, pool) = (&shop.desk.platform, shop.desk.pool());
    let inside = platform.client();
    inside.get(&link(&shop, "42").await).await.expect(303);
    let unused = link(&shop, "42").await;
    // Somebody who signs up with their address neither takes the account nor ends its links.
    let squatter = platform.client();
    let form = [("email", "lin@example.com"), ("password", "another good password")];
    squatter.post("/sign-up", &form).await.expect(303);
    squatter.post("/sign-in", &form).await.expect(422);
    link(&shop, "42").await;

    shop.api.post("/billing/v1/services/42/reset-password", json!({})).await.expect(204);
    let token = platform.token_in_mail("lin@example.com", "/reset?token=").await;
    let owner = platform.client();
    owner.post("/reset", &[("token", &token), ("password", PASSWORD)]).await.expect(303);
    squatter.post("/sign-in", &form).await.expect(422);
    assert_eq!(sso(&shop, "42").await.expect(403).json()["code"], "sso-own-password");
    assert_eq!(platform.client().get(&unused).await.location, "/sign-in", "one from before is void");
    assert!(inside.get("/dashboard").await.location.starts_with("/sign-in"), "and so is its session");
    // Their own session is a whole one.
    owner.sign_in("lin@example.com", PASSWORD).await;
    owner.get("/security").await.expect(200);
    owner.get("/team").await.expect(200);
    // Also where a session outlived the moment.
    sqlx::query("UPDATE users SET own_password_at = NULL").execute(pool).await.unwrap();
    let again = platform.client();
    again.get(&link(&shop, "42").await).await.expect(303);
    again.get("/dashboard").await.expect(200);
    sqlx::query("UPDATE users SET own_password_at = now()").execute(pool).await.unwrap();
    assert!(again.get("/dashboard").await.location.starts_with("/sign-in"));
    shop.desk.platform.stop().await;
}
