use super::{HOUR, Till, row};
use crate::server::instances::desk::{obeyed, uuid_of};
use jst_protocol::report::{FailureCode, Observed, Outcome, Usage};
use serde_json::json;

#[tokio::test]
async fn what_is_applied_is_metered_to_the_second() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let id = customer.create("web", "small").await;
    assert_eq!(till.ledger(uuid_of(&id)).await, [], "what is ordered is not there yet");
    till.at(7).await;
    till.desk.obey().await;
    // Asked for at 100 and applied at 160; stopped or not, it is there.
    till.at(100).await;
    customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(202);
    assert_eq!(till.ledger(uuid_of(&id)).await, [row("sold", "small", 7, None)]);
    till.at(160).await;
    till.desk.obey().await;
    customer.asked(&id, "shutdown").await;
    till.at(200).await;
    till.desk.obey().await;
    let metered = [row("sold", "small", 7, Some(160)), row("sold", "large", 160, None)];
    assert_eq!(till.ledger(uuid_of(&id)).await, metered);
    // Deleted counts from the request, undone from the report, and is over with the purge.
    till.at(300).await;
    customer.api.delete(&format!("/api/v1/instances/{id}")).await.expect(202);
    till.at(320).await;
    till.desk.obey().await;
    till.at(400).await;
    customer.asked(&id, "undelete").await;
    till.at(410).await;
    till.desk.obey().await;
    till.at(500).await;
    customer.api.delete(&format!("/api/v1/instances/{id}?now=true")).await.expect(202);
    till.at(510).await;
    till.desk.obey().await;
    till.at(600).await;
    till.desk.obey().await;
    let whole = [
        row("sold", "small", 7, Some(160)),
        row("sold", "large", 160, Some(300)),
        row("retained", "large", 300, Some(410)),
        row("sold", "large", 410, Some(500)),
        row("retained", "large", 500, Some(510)),
    ];
    assert_eq!(till.ledger(uuid_of(&id)).await, whole);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_change_that_fails_is_not_charged() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let id = till.desk.running(&customer, "web", "small").await;
    customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(202);
    let mut report = obeyed(&till.desk.told(&id).await.unwrap());
    report.outcome =
        Outcome::Failed { code: FailureCode::HostMemory, detail: String::new(), permanent: true };
    // Nothing of it came about.
    report.applied = None;
    till.at(50).await;
    till.desk.report(&[report]).await;
    assert_eq!(till.ledger(uuid_of(&id)).await, [row("sold", "small", 0, None)]);
    // And what could not be made at all was never there.
    let failed = customer.create("never", "small").await;
    let mut report = obeyed(&till.desk.told(&failed).await.unwrap());
    report.observed = Observed::Absent;
    report.outcome =
        Outcome::Failed { code: FailureCode::HostMemory, detail: String::new(), permanent: true };
    till.desk.report(&[report]).await;
    till.desk.obey().await;
    assert_eq!(till.ledger(uuid_of(&failed)).await, []);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn a_trial_is_free_until_it_is_bought() {
    let till = Till::open().await;
    let customer = till.desk.stranger("try@example.com").await;
    let id = till.desk.running(&customer, "try", "small").await;
    sqlx::query("UPDATE tenants SET may_buy = true").execute(till.desk.pool()).await.unwrap();
    // Bought as it is: plan and version stay, the kind changes with the report.
    till.at(HOUR).await;
    customer.act(&id, "resize", json!({ "plan": "small" })).await.expect(202);
    assert_eq!(till.ledger(uuid_of(&id)).await, [row("trial", "small", 0, None)]);
    till.at(HOUR + 5).await;
    till.desk.obey().await;
    let metered = [row("trial", "small", 0, Some(HOUR + 5)), row("sold", "small", HOUR + 5, None)];
    assert_eq!(till.ledger(uuid_of(&id)).await, metered);
    till.desk.platform.stop().await;
}

#[tokio::test]
async fn traffic_is_counted_once_whatever_comes_late() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let id = till.desk.running(&customer, "web", "small").await;
    let told = till.desk.told(&id).await.unwrap();
    let passed = async |bytes_in: u64, bytes_out: u64| {
        let usage = Usage { network_in_bytes: bytes_in, network_out_bytes: bytes_out, ..Usage::default() };
        till.desk
            .report(&[jst_protocol::report::InstanceReport { usage: Some(usage), ..obeyed(&told) }])
            .await;
    };
    // Grows, comes twice, comes late, starts anew.
    passed(1000, 500).await;
    passed(2000, 700).await;
    passed(2000, 700).await;
    passed(1900, 690).await;
    passed(2100, 700).await;
    till.at(HOUR).await;
    passed(50, 10).await;
    passed(60, 10).await;
    let hours: Vec<i64> = sqlx::query_scalar("SELECT bytes FROM traffic_hours ORDER BY hour")
        .fetch_all(till.desk.pool())
        .await
        .unwrap();
    assert_eq!(hours, [2800, 70]);
    till.desk.platform.stop().await;
}

/// What the database refuses, whoever asks: a hole, an overlap, another past.
#[tokio::test]
async fn the_ledger_cannot_be_rewritten() {
    let till = Till::open().await;
    let customer = till.desk.buyer("a@example.com").await;
    let id = till.desk.running(&customer, "web", "small").await;
    till.at(100).await;
    customer.act(&id, "resize", json!({ "plan": "large" })).await.expect(202);
    till.desk.obey().await;
    let mut owner = {
        use sqlx::Connection;
        sqlx::PgConnection::connect_with(&till.desk.pool().connect_options()).await.unwrap()
    };
    let add = |since: &str| {
        format!(
            "INSERT INTO ledger (instance_id, resource, n, tenant_id, kind, plan_id, plan_version, traffic_usd_micro, \
             traffic_cny_micro, since) SELECT instance_id, resource, 3, tenant_id, kind, plan_id, plan_version, 0, 0, \
             to_timestamp({}) FROM ledger WHERE n = 1",
            super::START.to_string() + since
        )
    };
    for (statement, refusal) in [
        ("UPDATE ledger SET until = until + interval '1 second' WHERE n = 1".to_owned(), "only closed"),
        ("UPDATE ledger SET since = since - interval '1 second' WHERE n = 2".to_owned(), "only closed"),
        (
            "UPDATE ledger SET until = since + interval '1 second', kind = 'trial' WHERE n = 2".to_owned(),
            "only closed",
        ),
        ("UPDATE ledger SET until = since - interval '1 second' WHERE n = 2".to_owned(), "ledger_forwards"),
        ("UPDATE ledger SET until = since + interval '1 millisecond' WHERE n = 2".to_owned(), "ledger_until"),
        ("DELETE FROM ledger".to_owned(), "append-only"),
        ("TRUNCATE ledger CASCADE".to_owned(), "append-only"),
        ("UPDATE plan_versions SET price_monthly_usd = 0".to_owned(), "append-only"),
        (add(" + 150"), "ledger_no_overlap"),
    ] {
        let error =
            sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(&mut owner).await.unwrap_err();
        assert!(error.to_string().contains(refusal), "{statement}: {error}");
    }
    // Once the open one is closed, the next begins where it ended, and nowhere else.
    let closed = "UPDATE ledger SET until = since + interval '100 seconds' WHERE n = 2";
    sqlx::query(closed).execute(&mut owner).await.unwrap();
    let error = sqlx::query(sqlx::AssertSqlSafe(add(" + 201"))).execute(&mut owner).await.unwrap_err();
    assert!(error.to_string().contains("ledger_no_gap"), "{error}");
    sqlx::query(sqlx::AssertSqlSafe(add(" + 200"))).execute(&mut owner).await.unwrap();
    till.desk.platform.stop().await;
}
