//! From counters in reports to graphs: rates, gaps, restarts, roll-ups, and what is forgotten.

use super::desk::{Customer, Desk, add_host, field_errors, obeyed, uuid_of};
use jst_protocol::report::Usage;
use jst_server::worker::samples;
use jst_tests::platform::PASSWORD;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// What a guest has counted after so many minutes of the same work: half a core, a tenth of that waited for and a
/// fifth held back, 100 kB/s and 10 operations a second read, 1 Mbit/s towards it.
fn counted(minutes: u64) -> Usage {
    Usage {
        cpu_nanoseconds: 30_000_000_000 * minutes,
        cpu_steal_nanoseconds: 3_000_000_000 * minutes,
        cpu_throttled_nanoseconds: 6_000_000_000 * minutes,
        memory_resident_mib: 200,
        memory_unused_mib: 20,
        balloon_mib: 192,
        disk_read_bytes: 6_000_000 * minutes,
        disk_read_operations: 600 * minutes,
        network_in_bytes: 7_500_000 * minutes,
        network_out_bytes: 60 * minutes,
        ..Usage::default()
    }
}

/// One guest whose time the test makes.
struct Guest<'a> {
    desk: &'a Desk,
    id: String,
}

impl Guest<'_> {
    /// Everything that is known happened so much earlier.
    async fn wait(&self, seconds: i32) {
        for statement in [
            "UPDATE instance_usage SET at = at - make_interval(secs => $2), \
             sampled_at = sampled_at - make_interval(secs => $2) WHERE instance_id = $1",
            "UPDATE instance_samples SET at = at - make_interval(secs => $2) WHERE instance_id = $1",
        ] {
            sqlx::query(statement)
                .bind(uuid_of(&self.id))
                .bind(seconds)
                .execute(self.desk.pool())
                .await
                .unwrap();
        }
    }

    async fn report(&self, usage: Usage) {
        let mut report = obeyed(&self.desk.told(&self.id).await.unwrap());
        report.usage = Some(usage);
        self.desk.report(&[report]).await;
    }

    async fn samples(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM instance_samples WHERE instance_id = $1")
            .bind(uuid_of(&self.id))
            .fetch_one(self.desk.pool())
            .await
            .unwrap()
    }

    async fn metrics(&self, customer: &Customer, range: &str) -> Value {
        let path = format!("/api/v1/instances/{}/metrics?range={range}", self.id);
        customer.api.get(&path).await.expect(200).json()
    }
}

async fn guest<'a>(desk: &'a Desk, customer: &Customer) -> Guest<'a> {
    Guest { desk, id: desk.running(customer, "web", "small").await }
}

/// The values of a series, without the gaps.
fn values(metrics: &Value, name: &str) -> Vec<f64> {
    series(metrics, name)["average"].as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

fn series<'a>(metrics: &'a Value, name: &str) -> &'a Value {
    let all = metrics["series"].as_array().unwrap();
    all.iter().find(|series| series["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn counters_become_graphs() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let guest = guest(&desk, &customer).await;
    assert_eq!(guest.metrics(&customer, "hour").await["series"][0]["average"], json!(vec![Value::Null; 60]));

    guest.report(counted(1)).await;
    assert_eq!(guest.samples().await, 0, "the first reading is where the next one starts from");
    guest.report(counted(2)).await;
    assert_eq!(guest.samples().await, 0, "at most one sample a minute");
    guest.wait(60).await;
    guest.report(counted(2)).await;
    guest.report(counted(2)).await;
    assert_eq!(guest.samples().await, 1, "at most one sample a minute");

    let metrics = guest.metrics(&customer, "hour").await;
    assert_eq!((&metrics["range"], &metrics["step_seconds"]), (&json!("hour"), &json!(60)));
    assert_eq!(metrics["timestamps"].as_array().unwrap().len(), 60);
    for (name, unit, value, guaranteed, maximum) in [
        ("cpu_used", "millicpu", 500.0, Value::Null, json!(1000)),
        ("cpu_stolen", "millicpu", 50.0, Value::Null, Value::Null),
        ("cpu_held_back", "millicpu", 100.0, Value::Null, Value::Null),
        ("memory_used", "mib", 200.0, json!(128), json!(256)),
        ("memory_lent", "mib", 64.0, Value::Null, Value::Null),
        ("memory_size", "mib", 256.0, Value::Null, Value::Null),
        ("disk_read_bytes", "bytes_per_second", 100_000.0, Value::Null, Value::Null),
        ("disk_read_operations", "operations_per_second", 10.0, Value::Null, Value::Null),
        ("disk_write_bytes", "bytes_per_second", 0.0, Value::Null, Value::Null),
        ("network_in", "kbit_per_second", 1000.0, Value::Null, json!(100_000)),
    ] {
        let series = series(&metrics, name);
        let seen = values(&metrics, name);
        // The test itself takes some milliseconds of the minute.
        assert!(seen.len() == 1 && (seen[0] - value).abs() <= value * 0.05, "{name}: {seen:?}");
        assert_eq!(
            (&series["unit"], &series["guaranteed"], &series["maximum"]),
            (&json!(unit), &guaranteed, &maximum)
        );
    }
    for (range, step) in [("day", 600), ("week", 1800), ("month", 7200)] {
        let metrics = guest.metrics(&customer, range).await;
        assert_eq!(metrics["step_seconds"], step);
        assert_eq!(values(&metrics, "memory_size"), [256.0], "{range}: what is not rolled up yet is there");
    }
    desk.platform.stop().await;
}

#[tokio::test]
async fn restarts_and_gaps_are_new_beginnings() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let guest = guest(&desk, &customer).await;
    guest.report(counted(10)).await;
    guest.wait(60).await;
    guest.report(counted(11)).await;
    assert_eq!(guest.samples().await, 1);

    // The guest was restarted: its counters begin at nothing.
    guest.wait(60).await;
    guest.report(counted(0)).await;
    assert_eq!(guest.samples().await, 1, "no negative rate");
    guest.wait(60).await;
    guest.report(counted(1)).await;
    assert_eq!(guest.samples().await, 2, "and from there it goes on");

    // Nobody heard of it for ten minutes, in which it worked.
    guest.wait(600).await;
    guest.report(counted(11)).await;
    assert_eq!(guest.samples().await, 2, "nobody knows when that was");
    guest.wait(60).await;
    guest.report(counted(12)).await;
    let metrics = guest.metrics(&customer, "hour").await;
    let cpu = series(&metrics, "cpu_used")["average"].as_array().unwrap().clone();
    let known: Vec<usize> = (0..cpu.len()).filter(|at| !cpu[*at].is_null()).collect();
    assert_eq!(known.len(), 3, "{cpu:?}");
    assert!(known[1] - known[0] >= 2 && known[2] - known[1] >= 10, "gaps stay gaps: {known:?}");
    for value in values(&metrics, "cpu_used") {
        assert!((value - 500.0).abs() < 25.0, "{value}");
    }
    desk.platform.stop().await;
}

#[tokio::test]
async fn what_another_host_or_epoch_says_is_not_drawn() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let guest = guest(&desk, &customer).await;
    guest.report(counted(1)).await;
    guest.wait(60).await;
    let mut foreign = obeyed(&desk.told(&guest.id).await.unwrap());
    foreign.usage = Some(counted(2));
    let other = add_host(desk.pool(), "host-2", 1024).await;
    jst_server::instances::reports::apply(desk.platform.app(), other, std::slice::from_ref(&foreign))
        .await
        .unwrap();
    foreign.epoch += 1;
    desk.report(&[foreign]).await;
    assert_eq!(guest.samples().await, 0);
    desk.platform.stop().await;
}

#[tokio::test]
async fn graphs_belong_to_their_tenant_and_ranges_are_known() {
    let desk = Desk::open().await;
    let (owner, thief) = (desk.buyer("owner@example.com").await, desk.buyer("thief@example.com").await);
    let guest = guest(&desk, &owner).await;
    let path = format!("/api/v1/instances/{}/metrics", guest.id);
    owner.api.get(&path).await.expect(200);
    thief.api.get(&path).await.expect(404);
    for bad in ["year", "", "Hour", "3600"] {
        let answer = owner.api.get(&format!("{path}?range={bad}")).await.expect(422);
        assert_eq!(field_errors(&answer), [("range".to_owned(), "choice".to_owned())], "{bad}");
    }
    owner.api.get(&format!("/api/v1/admin/instances/{}/metrics", guest.id)).await.expect(404);
    let admin = desk.platform.api(&desk.platform.admin_token().await);
    let seen =
        admin.get(&format!("/api/v1/admin/instances/{}/metrics?range=week", guest.id)).await.expect(200);
    assert_eq!(seen.json()["range"], "week");
    admin.get(&format!("/api/v1/admin/instances/{}/metrics?range=year", guest.id)).await.expect(422);

    // The database says the same: a statement that forgets its tenant sees nothing of others.
    guest.report(counted(1)).await;
    guest.wait(60).await;
    guest.report(counted(2)).await;
    for (tenant, expected) in [(owner.tenant, 1_i64), (thief.tenant, 0)] {
        let mut tx = desk.platform.app().db.tenant(tenant.into()).await.unwrap();
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM instance_samples").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(count, expected);
        let part = sqlx::query("SELECT FROM instance_samples_60").execute(&mut *tx).await;
        assert!(part.is_err(), "no way around the policy through a partition");
    }
    desk.platform.stop().await;
}

/// Minutes of one made-up instance: their processor use counts up.
async fn minutes(desk: &Desk, tenant: Uuid, id: Uuid, first: &str, count: i32) {
    let statement = format!(
        "INSERT INTO instance_samples (step, instance_id, tenant_id, at, seconds, cpu_used, memory_size) \
         SELECT 60, $1, $2, {first} + make_interval(mins => minute), CASE minute % 2 WHEN 0 THEN 30 ELSE 90 END, minute, 256 \
         FROM generate_series(0, $3 - 1) AS minute"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(id)
        .bind(tenant)
        .bind(count)
        .execute(desk.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn minutes_are_rolled_up_once_they_are_over() {
    let desk = Desk::open().await;
    let (tenant, id) = (Uuid::now_v7(), Uuid::now_v7());
    let start = "date_bin('2 hours', now() - interval '5 hours', 'epoch')";
    minutes(&desk, tenant, id, start, 120).await;
    sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE sample_rollups SET rolled_until = {start}")))
        .execute(desk.pool())
        .await
        .unwrap();
    // The platform's own pass may hold a step just now, and then this one leaves it alone.
    let behind = "SELECT count(*) FROM sample_rollups \
        WHERE rolled_until + make_interval(secs => step) < now() - interval '15 minutes'";
    jst_tests::eventually("all is rolled up", Duration::from_secs(20), || async {
        samples::pass(desk.platform.app()).await.unwrap();
        (desk.count(behind).await == 0).then_some(())
    })
    .await;
    let rolled: Vec<(i64, i32, f32, f32, Option<f32>)> = sqlx::query_as(
        "SELECT count(*) OVER (), seconds, cpu_used, cpu_used_most, network_in FROM instance_samples \
         WHERE instance_id = $1 AND step = 600 ORDER BY at LIMIT 1",
    )
    .bind(id)
    .fetch_all(desk.pool())
    .await
    .unwrap();
    // Of 0 to 9 the odd ones weigh three times as much: (20 × 30 + 25 × 90) / 600.
    assert_eq!(rolled, [(12, 600, 4.75, 9.0, None)]);
    let rolled: Vec<(i32, f32, f32)> = sqlx::query_as(
        "SELECT seconds, cpu_used, cpu_used_most FROM instance_samples WHERE instance_id = $1 AND step = 7200",
    )
    .bind(id)
    .fetch_all(desk.pool())
    .await
    .unwrap();
    assert_eq!(rolled.len(), 1);
    let (seconds, average, most) = rolled[0];
    assert!(seconds == 7200 && (average - 59.75).abs() < 0.01 && most == 119.0, "{rolled:?}");
    desk.platform.stop().await;
}

#[tokio::test]
async fn days_are_made_ahead_and_forgotten_in_time() {
    let desk = Desk::open().await;
    let days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'instance_samples_60'::regclass";
    samples::pass(desk.platform.app()).await.unwrap();
    // Yesterday to the day after tomorrow.
    assert_eq!(desk.count(days).await, 4);
    let made: i32 = sqlx::query_scalar(
        "SELECT made FROM keep_sample_partitions(60, current_date - 9, current_date - 5, current_date - 9)",
    )
    .fetch_one(desk.pool())
    .await
    .unwrap();
    assert_eq!(made, 5);
    minutes(&desk, Uuid::now_v7(), Uuid::now_v7(), "now() - interval '7 days'", 3).await;
    assert_eq!(desk.count("SELECT count(*) FROM instance_samples").await, 3);
    for _ in 0..2 {
        samples::pass(desk.platform.app()).await.unwrap();
        assert_eq!(desk.count(days).await, 4);
    }
    assert_eq!(desk.count("SELECT count(*) FROM instance_samples").await, 0);
    // Whatever it is asked for, it stays within its own tables.
    for call in [
        "keep_sample_partitions(61, current_date, current_date, current_date)",
        "keep_sample_partitions(60, '2000-01-01', current_date, '2000-01-01')",
    ] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {call}"))).execute(desk.pool()).await;
        assert!(refused.is_err(), "{call}");
    }
    desk.platform.stop().await;
}

/// A report counts even where its samples cannot be stored.
#[tokio::test]
async fn a_day_without_partition_costs_no_report() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let guest = guest(&desk, &customer).await;
    guest.report(counted(1)).await;
    guest.wait(60).await;
    sqlx::query("SELECT keep_sample_partitions(60, current_date + 5, current_date + 5, current_date + 5)")
        .execute(desk.pool())
        .await
        .unwrap();
    customer.asked(&guest.id, "shutdown").await;
    guest.report(counted(2)).await;
    assert_eq!((guest.samples().await, &customer.instance(&guest.id).await["state"]), (0, &json!("stopped")));
    desk.platform.stop().await;
}

#[tokio::test]
async fn pages_show_graphs_and_teach_where_there_are_none() {
    let desk = Desk::open().await;
    let customer = desk.buyer("a@example.com").await;
    let client = desk.platform.admin().await;
    let admin: Uuid = sqlx::query_scalar("SELECT id FROM users WHERE email = 'admin@example.com'")
        .fetch_one(desk.pool())
        .await
        .unwrap();
    // The administrator is a member of the customer's team too, so that one browser sees both pages.
    sqlx::query("UPDATE memberships SET tenant_id = $1 WHERE user_id = $2")
        .bind(customer.tenant)
        .bind(admin)
        .execute(desk.pool())
        .await
        .unwrap();
    client.sign_in("admin@example.com", PASSWORD).await;
    let guest = guest(&desk, &customer).await;
    let pages = [format!("/instances/{}/graphs", guest.id), format!("/admin/instances/{}", guest.id)];
    for page in &pages {
        let body = client.get(page).await.expect(200).body;
        assert!(body.contains("No figures for this time") && !body.contains("graphs-drawing"), "{page}");
    }
    guest.report(counted(1)).await;
    guest.wait(60).await;
    guest.report(counted(2)).await;
    for page in &pages {
        for language in ["zh-CN", "en"] {
            client.post("/preferences", &[("language", language)]).await.expect(303);
            for range in ["hour", "day", "week", "month"] {
                let body = client.get(&format!("{page}?range={range}")).await.expect(200).body;
                assert!(!body.contains("Unknown localization"), "{page} {range}");
                assert!(body.contains("\"graphs-drawing\"") && body.contains("200 MiB"), "{page} {range}");
                assert!(!body.contains("style=\""), "{page}: the policy of the page forbids it");
            }
        }
        let body = client.get(&format!("{page}?range=day")).await.expect(200).body;
        assert!(
            body.contains(r#"aria-current="page">Day"#) && body.contains("Waited for the host"),
            "{page}"
        );
        client.get(&format!("{page}?range=year")).await.expect(422);
    }
    // The operator sees on the host who uses what, and who has to wait for it.
    let body = client.get(&format!("/admin/hosts/{}", desk.host)).await.expect(200).body;
    for words in ["0.5 vCPU", "waits 0.05 vCPU", "held back 0.1 vCPU", "beyond guarantees", "share-borrowed"]
    {
        assert!(body.contains(words), "{words}");
    }
    desk.platform.stop().await;
}
