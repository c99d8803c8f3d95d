//! An administrator who works in a customer's account.

use super::instances::desk::Desk;
use jst_server::consoles;
use jst_tests::{Client, Platform};

async fn tenant_of(platform: &Platform, email: &str) -> String {
    let id: uuid::Uuid = sqlx::query_scalar(
        "SELECT tenant_id FROM memberships JOIN users ON users.id = user_id WHERE email = $1",
    )
    .bind(email)
    .fetch_one(platform.app().db.platform())
    .await
    .expect("they belong to a team");
    format!("ten_{}", id.simple())
}

async fn acting(platform: &Platform) -> (Client, Client, String) {
    let customer = platform.customer("customer@example.com").await;
    customer.post("/team/name", &[("name", "Bakery")]).await.expect(303);
    let admin = platform.admin().await;
    let tenant = tenant_of(platform, "customer@example.com").await;
    let answer = admin.post(&format!("/admin/customers/{tenant}/act-for"), &[]).await.expect(303);
    assert_eq!(answer.location, "/dashboard");
    (admin, customer, tenant)
}

#[tokio::test]
async fn the_banner_is_on_every_page_and_the_customer_is_told() {
    let platform = Platform::start().await;
    let (admin, customer, tenant) = acting(&platform).await;
    for path in ["/dashboard", "/instances", "/activity", "/admin", "/admin/hosts"] {
        let page = admin.get(path).await.expect(200).body;
        assert!(page.contains("You are working in the account of Bakery"), "{path}");
        assert!(page.contains("/admin/stop-acting"), "{path}");
    }
    let told = customer.get("/activity").await.expect(200).body;
    assert!(told.contains("support opened this account"), "{told}");
    let audit = admin.get(&format!("/admin/audit?customer={tenant}")).await.expect(200).body;
    assert!(audit.contains("tenant.acted_for"), "{audit}");

    let answer = admin.post("/admin/stop-acting", &[]).await.expect(303);
    assert_eq!(answer.location, format!("/admin/customers/{tenant}"));
    let page = admin.get("/dashboard").await.expect(200).body;
    assert!(!page.contains("Bakery"), "{page}");
    platform.stop().await;
}

#[tokio::test]
async fn what_belongs_to_people_stays_closed() {
    let platform = Platform::start().await;
    let (admin, _, _) = acting(&platform).await;
    for path in
        ["/security", "/security/password", "/security/two-factor", "/api-tokens", "/ssh-keys", "/team"]
    {
        let page = admin.get(path).await.expect(403).body;
        assert!(page.contains("Leave the account first"), "{path}: {page}");
    }
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBn0rBVrXwVMzKQq3X6LeJtUxhbfjTPsKxoQXdfvHhxN me";
    for (path, fields) in [
        ("/ssh-keys", vec![("public_key", key), ("name", "mine")]),
        ("/api-tokens", vec![("name", "t"), ("scopes", "read"), ("valid_days", "30")]),
        ("/team/name", vec![("name", "Mine")]),
        ("/team/invitations", vec![("email", "friend@example.com"), ("role", "owner")]),
        ("/team/leave", vec![]),
        ("/security/sessions/end-all", vec![]),
    ] {
        admin.post(path, &fields).await.expect(403);
    }
    let written: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM ssh_keys) + (SELECT count(*) FROM invitations) \
         + (SELECT count(*) FROM api_tokens WHERE name = 't')",
    )
    .fetch_one(platform.app().db.platform())
    .await
    .expect("the tables are there");
    assert_eq!(written, 0);
    platform.stop().await;
}

#[tokio::test]
async fn it_ends_by_itself_and_with_the_right_to_it() {
    let platform = Platform::start().await;
    let (admin, _, _) = acting(&platform).await;
    let pool = platform.app().db.platform();
    // As if an hour had passed.
    sqlx::query("UPDATE sessions SET data = jsonb_set(data, '{user,acting,until}', '1') WHERE data->'user'->'acting' IS NOT NULL")
        .execute(pool)
        .await
        .expect("sessions can be written");
    let page = admin.get("/dashboard").await.expect(200).body;
    assert!(!page.contains("Bakery"), "{page}");

    let tenant = tenant_of(&platform, "customer@example.com").await;
    admin.post(&format!("/admin/customers/{tenant}/act-for"), &[]).await.expect(303);
    assert!(admin.get("/dashboard").await.expect(200).body.contains("Bakery"));
    sqlx::query("UPDATE users SET is_admin = false").execute(pool).await.expect("users can be written");
    let page = admin.get("/dashboard").await.expect(200).body;
    assert!(!page.contains("Bakery"), "an administrator no more: {page}");
    platform.stop().await;
}

#[tokio::test]
async fn only_administrators_begin_it_and_only_for_who_is_there() {
    let platform = Platform::start().await;
    let customer = platform.customer("customer@example.com").await;
    platform.customer("other@example.com").await;
    let other = tenant_of(&platform, "other@example.com").await;
    customer.post(&format!("/admin/customers/{other}/act-for"), &[]).await.expect(404);
    customer.post("/admin/stop-acting", &[]).await.expect(404);
    let admin = platform.admin().await;
    let nobody = format!("ten_{}", "0".repeat(32));
    admin.post(&format!("/admin/customers/{nobody}/act-for"), &[]).await.expect(404);
    admin.post("/admin/customers/ten_x/act-for", &[]).await.expect(404);
    platform.stop().await;
}

#[tokio::test]
async fn a_console_opened_on_the_way_stays_open_until_it_is_left() {
    let desk = Desk::open().await;
    let buyer = desk.buyer("customer@example.com").await;
    let id = desk.running(&buyer, "web", "small").await;
    let admin = desk.platform.admin().await;
    let tenant = tenant_of(&desk.platform, "customer@example.com").await;
    admin.post(&format!("/admin/customers/{tenant}/act-for"), &[]).await.expect(303);
    let path = format!("/instances/{id}/console");
    admin.get(&path).await.expect(200);
    admin.post(&path, &[("kind", "serial")]).await.expect(201);
    let opened: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM console_sessions").fetch_one(desk.pool()).await.unwrap();
    let app = desk.platform.app();
    assert_eq!(consoles::check(app, opened.into()).await.unwrap(), None);
    assert_eq!(desk.event("instance.console_opened").await.unwrap()["as_admin"], true);
    admin.post("/admin/stop-acting", &[]).await.expect(303);
    assert_eq!(consoles::check(app, opened.into()).await.unwrap(), Some(consoles::End::RightsLost));
    desk.platform.stop().await;
}
