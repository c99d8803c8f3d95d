//! What every request has in common.

use jst_tests::Platform;

#[tokio::test]
async fn health_is_told_to_load_balancers() {
    let platform = Platform::start().await;
    let client = platform.client();
    client.get("/healthz").await.expect(200);
    client.get("/readyz").await.expect(200);
    platform.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_a_page_for_people_and_a_problem_for_programs() {
    let platform = Platform::start().await;
    let page = platform.client().get("/no-such-page").await.expect(404);
    assert!(page.body.contains("<html"), "{}", page.body);
    assert!(page.headers.get("content-security-policy").is_some());
    let page = platform.client().get_in("/no-such-page", "zh-CN,zh;q=0.9").await.expect(404);
    assert!(page.body.contains("这里什么也没有"), "{}", page.body);

    let problem = platform.api("").get("/api/v1/no-such-thing").await.expect(404);
    assert_eq!(problem.headers["content-type"], "application/problem+json");
    assert_eq!(problem.json()["code"], "not-found");
    platform.stop().await;
}

#[tokio::test]
async fn another_site_cannot_post_a_form() {
    let platform = Platform::start().await;
    let answer = platform
        .api("")
        .send(
            reqwest::Method::POST,
            "/sign-out",
            None,
            &[("origin", "https://elsewhere.example"), ("sec-fetch-site", "cross-site")],
        )
        .await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    platform.stop().await;
}

/// Row-level security is the second layer: a customer's transaction that names no tenant, or
/// another one, sees nothing even without a condition in the query.
#[tokio::test]
async fn a_query_without_its_tenant_sees_nothing() {
    let platform = Platform::start().await;
    let db = &platform.app().db;
    let (mine, theirs) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    for tenant in [mine, theirs] {
        sqlx::query("INSERT INTO tenants (id, name) VALUES ($1, 'somebody')")
            .bind(tenant)
            .execute(db.platform())
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO ssh_keys (id, tenant_id, name, public_key, fingerprint) VALUES ($1, $2, 'k', 'k', 'f')",
        )
        .bind(uuid::Uuid::now_v7())
        .bind(tenant)
        .execute(db.platform())
        .await
        .unwrap();
    }
    let mut tx = db.tenant(mine.into()).await.unwrap();
    let seen: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT tenant_id FROM ssh_keys").fetch_all(&mut *tx).await.unwrap();
    assert_eq!(seen, [mine]);
    let changed = sqlx::query("UPDATE ssh_keys SET name = 'x' WHERE tenant_id = $1")
        .bind(theirs)
        .execute(&mut *tx)
        .await;
    assert_eq!(changed.unwrap().rows_affected(), 0);
    let inserted = sqlx::query(
        "INSERT INTO ssh_keys (id, tenant_id, name, public_key, fingerprint) VALUES ($1, $2, 'n', 'k', 'g')",
    )
    .bind(uuid::Uuid::now_v7())
    .bind(theirs)
    .execute(&mut *tx)
    .await;
    assert!(inserted.is_err(), "a row of another tenant was written");
    drop(tx);
    let mut tx = db.tenant(mine.into()).await.unwrap();
    let hashes = sqlx::query("SELECT password_hash FROM users").fetch_all(&mut *tx).await;
    assert!(hashes.is_err(), "password hashes are not a customer request's business");
    drop(tx);
    platform.stop().await;
}

#[tokio::test]
async fn behind_tls_browsers_are_told_to_stay_there() {
    let header = "strict-transport-security";
    let plain = Platform::start().await;
    assert!(!plain.client().get("/").await.headers.contains_key(header));
    plain.stop().await;
    let platform = Platform::start_with(&["--public-url", "https://vps.example.com"]).await;
    for path in ["/", "/healthz", "/no-such-page", "/api/v1/plans", "/sign-in"] {
        let answer = platform.client().get(path).await;
        assert_eq!(answer.headers[header], "max-age=31536000", "{path}");
    }
    platform.stop().await;
}
