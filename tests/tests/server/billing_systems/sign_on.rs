//! Letting customers of a billing system in, and nobody else.

use super::{Shop, order, order_with};
use crate::server::instances::desk::text;
use jst_tests::Answer;
use jst_tests::platform::PASSWORD;
use serde_json::json;

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
    let token = shop.desk.platform.token_in_mail("lin@example.com", "/reset?token=").await;
    let owner = shop.desk.platform.client();
    let form = [("token", token.as_str()), ("password", PASSWORD)];
    assert!(owner.post("/reset", &form).await.status < 400);
    owner.sign_in("lin@example.com", PASSWORD).await;
    let path = link(&shop, "42").await;
    sqlx::query("UPDATE users SET totp_secret = '\\x00' WHERE email = 'lin@example.com'")
        .execute(shop.desk.pool())
        .await
        .unwrap();
    let asked = shop.desk.platform.client();
    let page = asked.get(&path).await.expect(200);
    assert!(page.body.contains("name=\"ticket\""), "{}", page.body);
    assert!(asked.get("/dashboard").await.location.starts_with("/sign-in"));
    shop.desk.platform.stop().await;
}
