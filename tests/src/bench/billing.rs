//! A month of ten thousand instances with random changes: metered by the triggers, and invoiced.
//!
//! The clock of the meters is set hour by hour through the last month; the changes are written as reports and requests
//! write them.  Then the invoices are made again with the run cut off at random, and must be the same.

use super::bounds;
use super::report::Report;
use crate::Platform;
use anyhow::ensure;
use jst_server::billing::calendar::Month;
use jst_server::billing::{charges, db, invoices, settings};
use jst_server::state::App;
use sqlx::{Connection, Executor, PgConnection};
use std::time::{Duration, Instant};

const INSTANCES: i32 = 10_000;
const TENANTS: i32 = 2_000;

pub async fn run() -> anyhow::Result<Report> {
    println!("this takes about two minutes");
    let platform = Platform::start().await;
    let app = platform.app().clone();
    let mut owner = PgConnection::connect_with(&app.db.platform().connect_options()).await?;
    let zone = settings::get(&app).await.map_err(shown)?.zone();
    let now: i64 =
        sqlx::query_scalar("SELECT extract(epoch FROM now())::bigint").fetch_one(&mut owner).await?;
    let month = Month::containing(now, &zone)?.previous(&zone)?;
    furnish(&mut owner).await?;

    let mut report = Report::default();
    let metered = meter(&mut owner, &month).await?;
    let begun = Instant::now();
    invoices::run(&app).await.map_err(shown)?;
    let invoiced = begun.elapsed().as_secs_f64();
    report.add("changes metered", metered.changes as f64, "", None);
    report.add("metering them", metered.seconds, "s", None);
    let made = documents(&mut owner).await?;
    report.add("lines invoiced", made.len() as f64, "", None);
    report.add("invoicing them", invoiced, "s", None);
    let both = metered.seconds + invoiced;
    report.add("a month of 10,000 instances, both", both, "s", Some(bounds::BILLING_MONTH_SECONDS));
    let each = metered.reading_seconds * 1000.0 / metered.readings as f64;
    report.add("a reading of an instance's traffic", each, "ms", None);

    report.add("gaps and overlaps in the ledger", broken(&mut owner).await?, "", Some(0.0));
    let off = difference(&app, &month).await?;
    report.add("ledger less invoices of the month", off as f64, "cents", Some(0.0));

    wipe(&mut owner).await?;
    let cuts = interrupted(&app).await?;
    let again = documents(&mut owner).await?;
    let differ = made.iter().zip(&again).filter(|(one, other)| one != other).count();
    report.add("times that the run was cut off", f64::from(cuts), "", None);
    let differ = differ + made.len().abs_diff(again.len());
    report.add("lines that differ after it", differ as f64, "", Some(0.0));
    ensure!(!made.is_empty(), "nothing was invoiced");
    owner.close().await?;
    platform.stop().await;
    Ok(report)
}

fn shown(error: jst_server::error::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:?}")
}

/// Tenants, three plans, a host, and instances that were ordered and are not there yet.
async fn furnish(owner: &mut PgConnection) -> anyhow::Result<()> {
    let statements = format!(
        "CREATE TABLE bench_clock (at timestamptz NOT NULL); GRANT SELECT ON bench_clock TO PUBLIC;
         INSERT INTO bench_clock VALUES (now());
         CREATE OR REPLACE FUNCTION meter_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS
             'SELECT at FROM public.bench_clock';
         UPDATE billing_settings SET traffic_usd_micro = 10000, prepaid = false, credit_limit_usd = 100000000000,
             first_month = date_trunc('month', now() - interval '1 month');
         INSERT INTO hosts (id, name) VALUES (gen_random_uuid(), 'bench');
         INSERT INTO images (id, slug, name, sha256, format, file_bytes, virtual_bytes)
             VALUES (gen_random_uuid(), 'bench', 'bench', repeat('ab', 32), 'qcow2', 1, 1);
         INSERT INTO plans (id, slug, name_en, name_zh, policy, price_hourly_usd_micro, price_monthly_usd)
             SELECT gen_random_uuid(), 'p' || n, 'P' || n, 'P' || n, '{{\"network\": {{\"monthly_quota\": 1024}}}}',
                 CASE WHEN n < 2 THEN 7000 * (n + 1) ELSE 0 END, 400 * (n + 1) FROM generate_series(0, 2) AS n;
         INSERT INTO tenants (id, name) SELECT gen_random_uuid(), 't' || n FROM generate_series(1, {TENANTS}) AS n;
         CREATE TABLE bench AS SELECT gen_random_uuid() AS id, n, random() AS dice FROM generate_series(1, {INSTANCES}) AS n;
         INSERT INTO instances (id, tenant_id, host_id, name, hostname, plan_id, plan_version, image_id, policy, mac, power,
                 revision)
             SELECT bench.id, tenants.id, hosts.id, 'vm-' || n, 'vm', plans.id, 1, images.id, plans.policy, n::text,
                 'running', 1
             FROM bench JOIN (SELECT id, row_number() OVER () AS number FROM tenants WHERE name ~ '^t[0-9]') AS tenants
                 ON number = 1 + n % {TENANTS}
             JOIN plans ON slug = 'p' || n % 3, hosts, images;
         INSERT INTO instance_usage (instance_id, tenant_id, at, usage)
             SELECT id, tenant_id, now(), '{{\"network_in_bytes\": 0, \"network_out_bytes\": 0}}' FROM instances;
         -- What is still empty is left alone: its plans would be those for an empty table.
         ANALYZE instances, plans, tenants, bench"
    );
    owner.execute(sqlx::AssertSqlSafe(statements)).await?;
    Ok(())
}

/// Most are there from the first hour on.
const APPEAR_FIRST: &str =
    "UPDATE instances SET applied_generation = 1 WHERE id IN (SELECT id FROM bench WHERE dice < 0.8)";
const APPEAR: &str = "UPDATE instances SET applied_generation = 1 \
    WHERE id = ANY (ARRAY(SELECT id FROM bench TABLESAMPLE SYSTEM (2) WHERE random() < 0.15)) AND applied_generation = 0";
const MOVE: &str = "UPDATE instances SET plan_id = plans.id, policy = plans.policy, generation = generation + 1, \
    applied_generation = generation + 1 FROM plans \
    WHERE instances.id = ANY (ARRAY(SELECT id FROM bench TABLESAMPLE SYSTEM (2) WHERE random() < 0.2)) \
    AND applied_generation > 0 AND deleted_at IS NULL AND slug = (SELECT 'p' || floor(random() * 3)::text)";

/// Agents report counters every ten seconds, which is no change of an instance.
const READ: &str = "UPDATE instance_usage SET usage = jsonb_build_object(\
    'network_in_bytes', (usage ->> 'network_in_bytes')::bigint + (random() * 500000000)::bigint, \
    'network_out_bytes', (usage ->> 'network_out_bytes')::bigint + (random() * 500000000)::bigint)";

#[derive(Default)]
struct Metered {
    changes: u64,
    seconds: f64,
    readings: u64,
    reading_seconds: f64,
}

/// Hour by hour: some appear, some move to another plan, some go.  Counters are read every third day.
async fn meter(owner: &mut PgConnection, month: &Month) -> anyhow::Result<Metered> {
    let mut metered = Metered::default();
    for hour in 0..month.seconds() / 3600 {
        sqlx::query(
            "UPDATE bench_clock SET at = to_timestamp($1::bigint) + random() * interval '59 minutes'",
        )
        .bind(month.start + hour * 3600)
        .execute(&mut *owner)
        .await?;
        let statements = [
            if hour == 0 { APPEAR_FIRST } else { APPEAR },
            MOVE,
            "UPDATE instances SET deleted_at = now(), generation = generation + 1 \
             WHERE id = ANY (ARRAY(SELECT id FROM bench TABLESAMPLE SYSTEM (2) WHERE random() < 0.02)) \
             AND applied_generation > 0 AND deleted_at IS NULL",
            "UPDATE instances SET purged_at = now() \
             WHERE id = ANY (ARRAY(SELECT id FROM bench TABLESAMPLE SYSTEM (2) WHERE random() < 0.5)) \
             AND deleted_at IS NOT NULL AND purged_at IS NULL",
        ];
        let begun = Instant::now();
        for statement in statements {
            metered.changes += sqlx::query(statement).execute(&mut *owner).await?.rows_affected();
        }
        metered.seconds += begun.elapsed().as_secs_f64();
        if hour % 72 == 0 {
            let begun = Instant::now();
            metered.readings += sqlx::query(READ).execute(&mut *owner).await?.rows_affected();
            metered.reading_seconds += begun.elapsed().as_secs_f64();
        }
    }
    Ok(metered)
}

type Document = (i64, String, i32, String, i32, i64, i64);

/// What all invoices say.
async fn documents(owner: &mut PgConnection) -> anyhow::Result<Vec<Document>> {
    let found = sqlx::query_as(
        "SELECT number, invoices.tenant_id::text, n, instance_id::text || item || invoice_lines.month, interval, quantity, amount \
         FROM invoices JOIN invoice_lines ON invoice_id = id ORDER BY number, n",
    );
    Ok(found.fetch_all(owner).await?)
}

/// The database refuses both; this looks whether it does.
async fn broken(owner: &mut PgConnection) -> anyhow::Result<f64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT since, lag(until) OVER (PARTITION BY instance_id ORDER BY n) AS before, n FROM ledger) \
         AS pairs WHERE n > 1 AND since IS DISTINCT FROM before",
    )
    .fetch_one(owner)
    .await?;
    Ok(count as f64)
}

/// What the ledger says of the month, less what was invoiced for it.
async fn difference(app: &App, month: &Month) -> anyhow::Result<i64> {
    let mut tx = app.db.begin_platform().await?;
    let tenants: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT DISTINCT tenant_id FROM ledger").fetch_all(&mut *tx).await?;
    let mut owed = 0;
    for tenant in tenants {
        for instance in db::ledger::of_tenant(&mut tx, tenant.into(), month.start, month.end).await? {
            let charges = charges::charges(&instance.intervals, &instance.traffic, month, month.end)?;
            owed += charges.iter().map(|charge| charge.amount.minor).sum::<i64>();
        }
    }
    let invoiced: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(amount), 0)::bigint FROM invoice_lines WHERE to_char(month, 'YYYY-MM') = $1",
    )
    .bind(month.name())
    .fetch_one(&mut *tx)
    .await?;
    Ok(owed - invoiced)
}

/// Forgets the invoices, as nobody can but who owns the database.
async fn wipe(owner: &mut PgConnection) -> anyhow::Result<()> {
    owner
        .execute(
            "SET session_replication_role = replica; DELETE FROM account_entries; DELETE FROM invoice_lines; \
             DELETE FROM invoices; DELETE FROM invoice_runs; UPDATE document_numbers SET last = 0; \
             SET session_replication_role = origin",
        )
        .await?;
    Ok(())
}

/// Makes the invoices in pieces, each cut off between two statements; gives how many cuts that were.
async fn interrupted(app: &App) -> anyhow::Result<u32> {
    let mut cuts = 0;
    loop {
        let piece = Duration::from_micros(500_000 + u64::from(cuts) * 7919 % 900_000);
        match tokio::time::timeout(piece, invoices::run(app)).await {
            Ok(result) => {
                result.map_err(shown)?;
                return Ok(cuts);
            }
            Err(_) => cuts += 1,
        }
        ensure!(cuts < 1000, "the run does not get on");
    }
}
