//! One normal form of an address: whatever is counted, looked up, invited and sold goes by it.

use super::billing_systems::{Shop, order_with};
use jst_tests::platform::PASSWORD;
use jst_tests::{Platform, postgres};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor, PgPool};

async fn addresses(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT email FROM users ORDER BY email").fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn whichever_way_an_address_is_written_it_is_one_account_and_one_counter() {
    let platform = Platform::start().await;
    let pool = platform.app().db.platform();
    platform.customer("ilker@example.com").await;
    let written = [" ILKER@example.com ", "Ilker@Example.COM", "ilker@example。com", "ilker@EXAMPLE.com"];
    let client = platform.client();
    let sign_in = async |email: &str, password: &str| {
        client.post("/sign-in", &[("email", email), ("password", password)]).await.status
    };
    for way in written {
        client.post("/sign-up", &[("email", way), ("password", PASSWORD)]).await.expect(303);
        assert_eq!(sign_in(way, PASSWORD).await, 303, "{way:?}");
        client.post("/sign-out", &[]).await.expect(303);
        client.post("/forgot", &[("email", way)]).await.expect(303);
    }
    assert_eq!(addresses(pool).await, ["ilker@example.com"]);
    let kinds: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT recipient FROM mail_outbox").fetch_all(pool).await.unwrap();
    assert_eq!(kinds, ["ilker@example.com"]);

    // Failures of strangers in every way of writing count for the one account that they try: those of their network, and
    // those of all.
    let stranger = platform.client();
    let sign_in = async |email: &str, password: &str| {
        stranger.post("/sign-in", &[("email", email), ("password", password)]).await.status
    };
    sqlx::query("DELETE FROM attempt_limits").execute(pool).await.unwrap();
    for n in 0..9 {
        assert_eq!(sign_in(written[n % 4], "wrong").await, 422);
    }
    let counters = "SELECT count(*), max(attempts)::bigint FROM attempt_limits WHERE key LIKE 'sign-in:%'";
    let (keys, attempts): (i64, i64) = sqlx::query_as(counters).fetch_one(pool).await.unwrap();
    assert_eq!((keys, attempts), (2, 9));
    // What another folding of letters would take for the same is no address, and opens no counter beside it.
    for other in ["İlker@example.com", "ılker@example.com", "i\u{307}lker@example.com"] {
        assert_eq!(sign_in(other, PASSWORD).await, 422, "{other}");
        client.post("/sign-up", &[("email", other), ("password", PASSWORD)]).await.expect(422);
        client.post("/forgot", &[("email", other)]).await.expect(422);
    }
    let (keys, attempts): (i64, i64) = sqlx::query_as(counters).fetch_one(pool).await.unwrap();
    assert_eq!((keys, attempts), (2, 9));
    platform.stop().await;
}

#[tokio::test]
async fn invitations_and_billing_systems_mean_the_same_account() {
    let shop = Shop::open().await;
    let (platform, pool) = (&shop.desk.platform, shop.desk.pool());
    platform.customer("anna@xn--r8jz45g.jp").await;
    let owner = platform.customer("owner@example.com").await;
    let invite = async |email: &str| {
        owner.post("/team/invitations", &[("email", email), ("role", "viewer")]).await.status
    };
    assert_eq!(invite("Anna@例え.JP").await, 303);
    assert_eq!(invite("anna@XN--R8JZ45G.jp").await, 422, "invited already");
    let anna = platform.client();
    anna.sign_in("ANNA@例え.jp", PASSWORD).await;
    let token = platform.token_in_mail("anna@xn--r8jz45g.jp", "/invitation?token=").await;
    anna.post("/invitation", &[("token", &token)]).await.expect(303);
    assert_eq!(invite("anna@例え.jp").await, 422, "a member already");

    let mut order = order_with("/owner/email", json!("ANNA@例え.JP"));
    order["owner"]["reference"] = json!("");
    shop.put("8", order).await.expect(202);
    let reference: String =
        sqlx::query_scalar("SELECT reference FROM billing_owners").fetch_one(pool).await.unwrap();
    assert_eq!(reference, "anna@xn--r8jz45g.jp");
    assert_eq!(addresses(pool).await, ["admin@example.com", "anna@xn--r8jz45g.jp", "owner@example.com"]);
    shop.desk.platform.stop().await;
}

#[tokio::test]
async fn the_database_keeps_nothing_but_the_normal_form() {
    let platform = Platform::start().await;
    let pool = platform.app().db.platform();
    let insert = async |email: &str| {
        sqlx::query("INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), $1, 'x')")
            .bind(email)
            .execute(pool)
            .await
    };
    // As the release before writes it.
    insert("Old@Example.com").await.unwrap();
    assert_eq!(addresses(pool).await, ["old@example.com"]);
    assert!(insert("OLD@example.com").await.is_err(), "the same account");
    assert!(insert("İ@example.com").await.is_err(), "no letters but ASCII");
    platform.stop().await;
}

/// Runs the migrations up to a number, without a note of it.
async fn migrated_to(pool: &PgPool, last: i64) {
    for migration in jst_server::db::MIGRATIONS.iter().filter(|migration| migration.version <= last) {
        pool.execute(AssertSqlSafe(migration.sql.as_str().to_owned())).await.unwrap();
    }
}

async fn migrate(pool: &PgPool, version: i64) -> sqlx::Result<()> {
    let migration = jst_server::db::MIGRATIONS.iter().find(|migration| migration.version == version).unwrap();
    let mut tx = pool.begin().await?;
    tx.execute(AssertSqlSafe(migration.sql.as_str().to_owned())).await?;
    tx.commit().await
}

#[tokio::test]
async fn addresses_from_before_get_the_normal_form_or_the_operator_is_told() {
    let pool = PgPoolOptions::new().connect(&postgres::empty_database().await).await.unwrap();
    migrated_to(&pool, 15).await;
    let run = async |statement: &'static str| sqlx::query(statement).execute(&pool).await.unwrap();
    run("INSERT INTO users (id, email, password_hash) VALUES \
        ('00000000-0000-0000-0000-000000000001', 'Anna.B@Example.COM', 'x'), \
        ('00000000-0000-0000-0000-000000000002', 'bob@example.com', 'x'), \
        ('00000000-0000-0000-0000-000000000003', 'sold@example.com', 'x'), \
        ('00000000-0000-0000-0000-000000000004', 'chose@example.com', 'x')")
    .await;
    run("INSERT INTO tenants (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 't'), \
        ('00000000-0000-0000-0000-000000000002', 't'), ('00000000-0000-0000-0000-000000000003', 't')")
    .await;
    run("INSERT INTO invitations (id, tenant_id, email, role, token_hash, invited_by, expires_at) VALUES \
        (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'Guest@Example.com', 'viewer', 'a', \
         '00000000-0000-0000-0000-000000000001', now() + interval '1 day')")
    .await;
    run("INSERT INTO email_tokens (token_hash, user_id, purpose, email, expires_at) VALUES \
        ('x', '00000000-0000-0000-0000-000000000001', 'reset', 'Anna.B@Example.COM', now() + interval '1 hour')").await;
    run("INSERT INTO mail_outbox (id, recipient, subject, body, kind, sent_at) VALUES \
        (gen_random_uuid(), 'Anna.B@Example.COM', 's', 'sent?token=1', 'reset', now()), \
        (gen_random_uuid(), 'Anna.B@Example.COM', 's', 'waits?token=2', 'reset', NULL)")
    .await;
    // Two customers of a billing system, one of whom has chosen a password; both are signed in.
    run("INSERT INTO billing_systems (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 's')").await;
    run("INSERT INTO billing_owners (system_id, reference, tenant_id, user_id, made_here) VALUES \
        ('00000000-0000-0000-0000-000000000001', '3', '00000000-0000-0000-0000-000000000002', \
         '00000000-0000-0000-0000-000000000003', true), \
        ('00000000-0000-0000-0000-000000000001', '4', '00000000-0000-0000-0000-000000000003', \
         '00000000-0000-0000-0000-000000000004', true)")
    .await;
    run("INSERT INTO events (actor_kind, actor_id, actor_label, action, subject_kind, subject_id, data) VALUES \
        ('user', '00000000-0000-0000-0000-000000000004', 'chose@example.com', 'account.password_reset', 'user', 'u', '{}')").await;
    run("INSERT INTO sessions (id_hash, user_id, data, expires_at) SELECT email::bytea, id, '{}', now() + interval '1 day' FROM users").await;

    // Nobody decides for the operator who of two people an address belongs to.
    run("DROP INDEX users_email_key").await;
    run("INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'BOB@example.com', 'x')")
        .await;
    let refused = migrate(&pool, 17).await.unwrap_err().to_string();
    assert!(refused.contains("one address, written differently: bob@example.com"), "{refused}");
    run("UPDATE users SET email = 'İ@example.com' WHERE email = 'BOB@example.com'").await;
    let refused = migrate(&pool, 17).await.unwrap_err().to_string();
    assert!(refused.contains("not ASCII: İ@example.com"), "{refused}");
    run("DELETE FROM users WHERE email = 'İ@example.com'").await;
    run("CREATE UNIQUE INDEX users_email_key ON users (lower(email))").await;

    migrate(&pool, 17).await.unwrap();
    assert_eq!(
        addresses(&pool).await,
        ["anna.b@example.com", "bob@example.com", "chose@example.com", "sold@example.com"]
    );
    let texts =
        async |query: &'static str| sqlx::query_scalar::<_, String>(query).fetch_all(&pool).await.unwrap();
    assert_eq!(texts("SELECT email FROM invitations").await, ["guest@example.com"]);
    assert_eq!(texts("SELECT email FROM email_tokens").await, ["anna.b@example.com"]);
    assert_eq!(
        texts("SELECT recipient FROM mail_outbox").await,
        ["anna.b@example.com", "anna.b@example.com"]
    );
    assert_eq!(texts("SELECT body FROM mail_outbox WHERE body IS NOT NULL").await, ["waits?token=2"]);
    let own = "SELECT email FROM users WHERE own_password_at IS NULL";
    assert_eq!(texts(own).await, ["sold@example.com"]);
    let signed_in = "SELECT email FROM sessions JOIN users ON users.id = user_id ORDER BY email";
    assert_eq!(texts(signed_in).await, ["anna.b@example.com", "bob@example.com"]);
}
