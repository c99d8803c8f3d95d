use super::Plan;
use super::edit::PlanInput;
use crate::db::Tx;
use crate::ids::PlanId;
use jst_policy::instance::ResourcePolicy;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

struct Row {
    id: Uuid,
    slug: String,
    version: i32,
    name_en: String,
    name_zh: String,
    policy: Json<ResourcePolicy>,
    price_monthly_usd: i64,
    price_monthly_cny: i64,
    price_hourly_usd_micro: i64,
    price_hourly_cny_micro: i64,
    trial: bool,
    public: bool,
    restart_on_crash: bool,
    sort_order: i32,
    retired: bool,
}

impl From<Row> for Plan {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            slug: row.slug,
            version: row.version,
            name_en: row.name_en,
            name_zh: row.name_zh,
            policy: row.policy.0,
            price_monthly_usd: row.price_monthly_usd,
            price_monthly_cny: row.price_monthly_cny,
            price_hourly_usd_micro: row.price_hourly_usd_micro,
            price_hourly_cny_micro: row.price_hourly_cny_micro,
            trial: row.trial,
            public: row.public,
            restart_on_crash: row.restart_on_crash,
            sort_order: row.sort_order,
            retired: row.retired,
        }
    }
}

/// Retired or not.
pub async fn by_id(executor: impl PgExecutor<'_>, id: PlanId) -> sqlx::Result<Option<Plan>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans WHERE id = $1",
        id.uuid(),
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Plan::from))
}

/// Those of these that there are, retired or not.
pub async fn by_ids(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Plan>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans WHERE id = ANY($1)",
        ids,
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Plan::from).collect())
}

/// Retired or not.
pub async fn by_slug(executor: impl PgExecutor<'_>, slug: &str) -> sqlx::Result<Option<Plan>> {
    let row = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans WHERE slug = $1",
        slug,
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(Plan::from))
}

/// What everybody is offered, trial plans among them, in the order of the catalogue.
pub async fn list_public(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Plan>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans WHERE public AND retired_at IS NULL \
         ORDER BY sort_order, price_monthly_usd, slug",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Plan::from).collect())
}

/// Every plan, retired ones last.
pub async fn list_all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Plan>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, slug, version, name_en, name_zh, policy AS \"policy: Json<ResourcePolicy>\", price_monthly_usd, \
         price_monthly_cny, price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order, \
         retired_at IS NOT NULL AS \"retired!\" FROM plans \
         ORDER BY retired_at IS NOT NULL, sort_order, price_monthly_usd, slug",
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(Plan::from).collect())
}

/// Fails with the constraint `plans_slug_key` where the slug is taken.
pub async fn insert(tx: &mut Tx, id: PlanId, plan: &PlanInput) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO plans (id, slug, name_en, name_zh, policy, price_monthly_usd, price_monthly_cny, \
         price_hourly_usd_micro, price_hourly_cny_micro, trial, public, restart_on_crash, sort_order) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        id.uuid(),
        plan.slug,
        plan.name_en,
        plan.name_zh,
        Json(&plan.policy) as Json<&ResourcePolicy>,
        plan.price_monthly_usd,
        plan.price_monthly_cny,
        plan.price_hourly_usd_micro,
        plan.price_hourly_cny_micro,
        plan.trial,
        plan.public,
        plan.restart_on_crash,
        plan.sort_order,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes the next version; the caller holds the row's lock (see [`lock`]).
pub async fn update(tx: &mut Tx, id: PlanId, plan: &PlanInput) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE plans SET version = version + 1, updated_at = now(), slug = $2, name_en = $3, name_zh = $4, policy = $5, \
         price_monthly_usd = $6, price_monthly_cny = $7, price_hourly_usd_micro = $8, price_hourly_cny_micro = $9, trial = $10, \
         public = $11, restart_on_crash = $12, sort_order = $13 WHERE id = $1",
        id.uuid(),
        plan.slug,
        plan.name_en,
        plan.name_zh,
        Json(&plan.policy) as Json<&ResourcePolicy>,
        plan.price_monthly_usd,
        plan.price_monthly_cny,
        plan.price_hourly_usd_micro,
        plan.price_hourly_cny_micro,
        plan.trial,
        plan.public,
        plan.restart_on_crash,
        plan.sort_order,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Locks the plan's row until the transaction ends; false when there is no such plan.
pub async fn lock(tx: &mut Tx, id: PlanId) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!("SELECT id FROM plans WHERE id = $1 FOR UPDATE", id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

/// False when nothing changed.
pub async fn set_retired(tx: &mut Tx, id: PlanId, retired: bool) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "UPDATE plans SET retired_at = CASE WHEN $2 THEN now() END, updated_at = now() \
         WHERE id = $1 AND (retired_at IS NOT NULL) <> $2",
        id.uuid(),
        retired,
    )
    .execute(&mut **tx)
    .await?;
    Ok(result.rows_affected() > 0)
}

/// How many instances have each plan, in whatever version.
pub async fn instance_counts(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<(PlanId, i64)>> {
    let rows = sqlx::query!(
        "SELECT plan_id, count(*) AS \"count!\" FROM instances WHERE purged_at IS NULL GROUP BY plan_id"
    )
    .fetch_all(executor)
    .await?;
    Ok(rows.into_iter().map(|row| (row.plan_id.into(), row.count)).collect())
}
